"""What tests of the bintu API have in common: clients by each header, and its streams and refusals."""

from typing import Any

import httpx
from tests.web.served import Served

from whipway.streams.records import Role
from whipway.web.bintu.callers import API_KEY

STREAM = "/bintu/stream"
ORGANISATION = "/bintu/organisation"
UNKNOWN = f"{STREAM}/00000000-0000-0000-0000-000000000000"


async def key(served: Served, role: Role) -> str:
    """A new key of this role."""
    secret, _ = await served.services.keys.create("test", role)
    return secret


async def client(served: Served, role: Role = Role.ADMIN, header: str = API_KEY) -> httpx.AsyncClient:
    """HTTP with a new key of this role in this header."""
    return served.client(headers={header: await key(served, role)})


async def create(http: httpx.AsyncClient, *tags: str) -> dict[str, Any]:
    """A new stream, as the API answers."""
    return succeeded(await http.post(STREAM, json={"tags": tags}))


async def state(http: httpx.AsyncClient, stream: dict[str, Any]) -> str:
    """The state of a stream, as a client that polls sees it."""
    return str(succeeded(await http.get(f"{STREAM}/{stream['id']}"))["state"])


def succeeded(response: httpx.Response) -> Any:
    """The answer to what was done: 200, whatever it was."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def assert_refused(response: httpx.Response, status: int, code: int, message: str, **userinfo: str) -> None:
    """Check an error as this API has it; `detail`, which is for people, may say what it likes."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert set(document) == {"error"} and set(document["error"]) == {"message", "code", "userinfo"}
    assert (document["error"]["code"], document["error"]["message"]) == (code, message)
    found = document["error"]["userinfo"]
    assert isinstance(found.pop("detail", ""), str)
    assert found == userinfo


def assert_no_key(response: httpx.Response) -> None:
    """No key was sent, or one that is no good."""
    assert_refused(response, 401, 4002, "User Credentials are not valid")
    assert response.headers["www-authenticate"].startswith("Bearer ")


def assert_denied(response: httpx.Response) -> None:
    """The key is good, and not for this."""
    assert_refused(response, 403, 2001, "Access denied")


def assert_unknown(response: httpx.Response, stream_id: str) -> None:
    """There is no such stream."""
    assert_refused(response, 404, 9404, "Stream not found", id=stream_id)
