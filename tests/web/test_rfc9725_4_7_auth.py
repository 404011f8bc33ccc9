"""RFC 9725, section 4.7: authentication by bearer tokens. The table is docs/rfc/9725.md."""

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.peers.whip_client import WhipClient
from tests.web.served import ENDPOINT, QUERY, Served, assert_problem, serving

from whipway.config import Settings

pytestmark = pytest.mark.anyio

TOKEN = "a-token-for-everything"
OTHERS = "a-token-for-studio-streams"
EVERYONE = "Bearer " + TOKEN
PREFLIGHT = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}


def entry(token: str, streams: str) -> dict[str, object]:
    return {"hash": f"sha256:{hashlib.sha256(token.encode()).hexdigest()}", "streams": [streams]}


@pytest.fixture
async def guarded(anyio_backend: object) -> AsyncIterator[Served]:
    """A server that wants one of two tokens, one of which is good for a few streams only."""
    tokens = {"tokens": [entry(TOKEN, "*"), entry(OTHERS, "studio-*")]}
    settings = Settings.model_validate({"auth": tokens})
    async with serving(settings) as served:
        yield served


async def test_s4_7_bearer_token_opens_endpoint_and_session(guarded: Served) -> None:
    machine = WhipClient()
    created = await guarded.post(content=machine.offer, Authorization=EVERYONE)
    assert created.status_code == 201
    path = created.headers["location"]
    token = {"Authorization": EVERYONE}
    assert (await guarded.http.get(path, headers=token)).status_code == 204
    assert (await guarded.patch(path, machine.restart(), Authorization=EVERYONE)).status_code == 200
    assert (await guarded.http.get(f"{path}/status", headers=token)).status_code == 200
    assert (await guarded.http.delete(path, headers=token)).status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
async def test_s4_7_scheme_is_read_as_http_has_it(guarded: Served, scheme: str) -> None:
    assert (await guarded.post(Authorization=f"{scheme} {TOKEN}")).status_code == 201


async def test_s4_7_without_authentication_every_token_is_fine(served: Served) -> None:
    path = await served.session(Authorization="Bearer whatever")
    assert (await served.http.delete(path)).status_code == 200


async def test_s4_7_1_token_is_required_on_endpoint_and_session(guarded: Served) -> None:
    path = await guarded.session(Authorization=EVERYONE)
    answers = [
        await guarded.post(),
        await guarded.http.get(path),
        await guarded.patch(path, WhipClient().restart()),
        await guarded.http.get(f"{path}/status"),
        await guarded.http.delete(path),
    ]
    for answer in answers:
        assert_problem(answer, 401, "unauthenticated")
    assert guarded.directory.live_count == 1


@pytest.mark.parametrize(
    "authorization", ["", "Basic bWU6cHc=", f"Basic {base64.b64encode(TOKEN.encode()).decode()}"]
)
async def test_s4_7_missing_token_is_401_with_challenge(guarded: Served, authorization: str) -> None:
    response = await guarded.post(**({"Authorization": authorization} if authorization else {}))
    assert_problem(response, 401, "unauthenticated")
    # RFC 6750, section 3.1: no error code where no token was sent.
    assert response.headers["www-authenticate"] == 'Bearer realm="whipway"'
    assert guarded.is_empty


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], TOKEN.upper(), "a.b.c", "x" * 20_000])
async def test_s4_7_wrong_token_is_401_with_invalid_token(guarded: Served, token: str) -> None:
    response = await guarded.post(Authorization=f"Bearer {token}")
    assert_problem(response, 401, "unauthenticated")
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="whipway", error="invalid_token"')
    assert guarded.is_empty


async def test_s4_7_token_without_right_is_403(guarded: Served) -> None:
    theirs = await guarded.session("one", Authorization=EVERYONE)
    refused = [
        await guarded.post(Authorization=f"Bearer {OTHERS}"),
        await guarded.http.delete(theirs, headers={"Authorization": f"Bearer {OTHERS}"}),
    ]
    for response in refused:
        assert_problem(response, 403, "forbidden")
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert await guarded.session("studio-one", Authorization=f"Bearer {OTHERS}")


@pytest.mark.parametrize(("path", "method"), [(ENDPOINT, "POST"), (f"{ENDPOINT}/any", "PATCH")])
async def test_s4_7_preflight_passes_without_token(guarded: Served, path: str, method: str) -> None:
    asked = PREFLIGHT | {"Access-Control-Request-Method": method}
    response = await guarded.http.options(path, headers=asked)
    assert response.status_code == 200
    assert "authorization" in response.headers["access-control-allow-headers"].lower()


async def test_s4_7_page_may_read_the_challenge(guarded: Served) -> None:
    response = await guarded.post(Origin="https://page.example")
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "*"
    assert "www-authenticate" in response.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("parameter", ["access_token", "token", "authorization"])
async def test_s4_7_token_in_the_url_is_none(guarded: Served, parameter: str) -> None:
    assert_problem(await guarded.post(f"{QUERY}&{parameter}={TOKEN}"), 401, "unauthenticated")


async def test_s4_7_token_in_the_body_is_none(guarded: Served) -> None:
    body = f"access_token={TOKEN}"
    response = await guarded.post(content=body, Content_Type="application/x-www-form-urlencoded")
    assert_problem(response, 401, "unauthenticated")
