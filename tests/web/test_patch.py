"""PATCH of a session: trickle ICE and ICE restart, conditional on entity tags (RFC 9725, section 4.3)."""

import asyncio
import re
import secrets
from typing import Any

import httpx
import pytest
from tests.peers.whip_client import WhipClient
from tests.web.served import BASE, ENDPOINT, FRAGMENT_TYPE, TARGET, Served, assert_problem, serving

from whipway.config import Settings, Token
from whipway.config.tree import AuthSettings
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token

pytestmark = pytest.mark.anyio

CANDIDATE = "1 1 udp 2130706431 192.0.2.7 50000 typ host"


class Publishing:
    """A session with the client that made it."""

    def __init__(self, served: Served, client: WhipClient, created: httpx.Response) -> None:
        assert created.status_code == 201
        self.served = served
        self.client = client
        self.path = str(created.headers["location"]).removeprefix(BASE)
        self.etag = str(created.headers["etag"])

    async def patch(self, fragment: str | bytes | None = None, **headers: str) -> httpx.Response:
        """Trickle, on the condition that the ICE session is still the first one."""
        content = self.client.trickle(CANDIDATE) if fragment is None else fragment
        return await self.served.patch(self.path, content, **{"If_Match": self.etag} | headers)

    async def restart(self, if_match: str = "*") -> httpx.Response:
        return await self.served.patch(self.path, self.client.restart(CANDIDATE), If_Match=if_match)


@pytest.fixture
async def publishing(served: Served) -> Publishing:
    client = WhipClient()
    return Publishing(served, client, await served.post(content=client.offer))


# Entity tags


async def test_the_201_names_the_ice_session(served: Served) -> None:
    queries = [f"stream_name={name}&stream_url={TARGET}" for name in ("one", "two")]
    one, two = [(await served.post(query)).headers["etag"] for query in queries]
    assert re.fullmatch(r'"[!#-~]+"', one) and re.fullmatch(r'"[!#-~]+"', two)
    assert one != two


async def test_a_condition_is_required(publishing: Publishing) -> None:
    path, fragment = publishing.path, publishing.client.trickle(CANDIDATE)
    headers = {"Content-Type": FRAGMENT_TYPE}
    response = await publishing.served.http.patch(path, content=fragment, headers=headers)
    problem = assert_problem(response, 428, "precondition_required")
    assert "If-Match" in problem["detail"]


@pytest.mark.parametrize("field", ["xyzzy", '"xyzzy', '*, "x"', f'"{"x" * 2000}"', ",".join(['"x"'] * 17)])
async def test_a_condition_that_cannot_be_read(publishing: Publishing, field: str) -> None:
    assert_problem(await publishing.patch(If_Match=field), 400, "malformed_if_match")


@pytest.mark.parametrize("field", ['"other"', '"*x"', '"a,b", "c"', "W/{etag}", 'W/"other"'])
async def test_a_condition_that_does_not_hold(publishing: Publishing, field: str) -> None:
    response = await publishing.patch(If_Match=field.replace("{etag}", publishing.etag))
    assert_problem(response, 412, "precondition_failed")


@pytest.mark.parametrize("field", ["*", '"*"', "{etag}", '"other", {etag}', ', "a,b" , {etag},'])
async def test_a_condition_that_holds(publishing: Publishing, field: str) -> None:
    response = await publishing.patch(If_Match=field.replace("{etag}", publishing.etag))
    assert response.status_code == 204


async def test_several_lines_are_one_list(publishing: Publishing) -> None:
    headers = [("Content-Type", FRAGMENT_TYPE), ("If-Match", '"other"'), ("If-Match", publishing.etag)]
    fragment = publishing.client.trickle(CANDIDATE)
    response = await publishing.served.http.patch(publishing.path, content=fragment, headers=headers)
    assert response.status_code == 204


# Trickle


async def test_candidates_are_taken(publishing: Publishing) -> None:
    response = await publishing.patch()
    assert (response.status_code, response.content) == (204, b"")
    assert "etag" not in response.headers and "content-type" not in response.headers


async def test_candidates_of_no_use_are_passed_over(publishing: Publishing) -> None:
    useless = ["1 1 udp 1 0a1b.local 9 typ host", "1 1 sctp 1 192.0.2.7 9 typ host"]
    response = await publishing.patch(publishing.client.trickle(*useless))
    assert (response.status_code, response.content) == (204, b"")


# Restart


@pytest.mark.parametrize("if_match", ["*", '"*"', None])
async def test_a_restart(publishing: Publishing, if_match: str | None) -> None:
    response = await publishing.restart(if_match or publishing.etag)
    assert response.status_code == 200
    assert response.headers["content-type"] == FRAGMENT_TYPE
    assert response.headers["cache-control"] == "no-store"
    assert re.fullmatch(r'"[!#-~]+"', response.headers["etag"])
    assert response.headers["etag"] != publishing.etag
    names = {line.partition(":")[0] for line in response.text.split("\r\n")}
    assert {"a=ice-ufrag", "a=ice-pwd", "a=candidate"} <= names


async def test_after_a_restart_the_old_tag_is_stale(publishing: Publishing) -> None:
    late = publishing.client.trickle(CANDIDATE)
    new = (await publishing.restart()).headers["etag"]
    assert_problem(await publishing.patch(late), 412, "precondition_failed")
    fragment = publishing.client.restart(CANDIDATE)
    assert (await publishing.patch(fragment, If_Match=new)).status_code == 200


async def test_restarts_at_once_are_served_one_after_the_other(publishing: Publishing) -> None:
    responses = await asyncio.gather(*(publishing.restart() for _ in range(4)))
    assert [response.status_code for response in responses] == [200] * 4
    assert len({response.headers["etag"] for response in responses}) == 4


# What is refused, and what goes first


@pytest.mark.parametrize("fragment", ["hello", "<p>", b"a=mid:\xff\r\n", "a=ice-ufrag:only\r\n"])
async def test_what_is_no_fragment(publishing: Publishing, fragment: str | bytes) -> None:
    assert_problem(await publishing.patch(fragment), 400, "malformed_fragment")


@pytest.mark.parametrize("content_type", ["", "application/sdp", "text/plain", "application/json"])
async def test_other_content_types(publishing: Publishing, content_type: str) -> None:
    response = await publishing.patch(Content_Type=content_type)
    problem = assert_problem(response, 415, "unsupported_media_type")
    assert FRAGMENT_TYPE in problem["detail"]
    assert response.headers["accept-patch"] == FRAGMENT_TYPE
    assert "accept-post" not in response.headers


async def test_a_content_type_with_parameters(publishing: Publishing) -> None:
    response = await publishing.patch(Content_Type="Application/Trickle-ICE-SDPfrag; charset=utf-8")
    assert response.status_code == 204


WRONG = {"Content_Type": "text/html", "If_Match": "x"}
BETTER = {"If_Match": "x"}
STALE = {"If_Match": '"x"'}


async def test_what_is_wrong_first_is_said_first(publishing: Publishing) -> None:
    too_large = b"x" * 20_000
    assert_problem(await publishing.patch(too_large, **WRONG), 415, "unsupported_media_type")
    assert_problem(await publishing.patch(too_large, **BETTER), 400, "malformed_if_match")
    assert_problem(await publishing.patch(too_large, **STALE), 413, "body_too_large")
    assert_problem(await publishing.patch("hello", **STALE), 400, "malformed_fragment")
    assert_problem(await publishing.patch(**STALE), 412, "precondition_failed")
    await publishing.served.http.delete(publishing.path)
    assert_problem(await publishing.patch(**WRONG), 410, "session_over")


async def test_an_unknown_session(served: Served) -> None:
    response = await served.patch(f"{ENDPOINT}/unknown", "hello", **WRONG)
    assert_problem(response, 404, "session_unknown")


async def test_a_session_that_ends_meanwhile(publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    update_ice = publishing.served.directory.update_ice

    async def end_first(*args: Any) -> Any:
        await publishing.served.directory.end(publishing.path.rpartition("/")[2], "deleted")
        return await update_ice(*args)

    monkeypatch.setattr(publishing.served.directory, "update_ice", end_first)
    assert_problem(await publishing.patch(), 410, "session_over")


async def test_a_refused_patch_ends_nobody(publishing: Publishing) -> None:
    await publishing.patch("hello")
    await publishing.patch(**STALE)
    assert (await publishing.served.http.get(publishing.path)).status_code == 204
    assert (await publishing.patch()).status_code == 204


async def test_authentication_goes_first() -> None:
    (mine, my_hash), (other, other_hash) = make_token(secrets.token_bytes), make_token(secrets.token_bytes)
    tokens = [Token(hash=my_hash, streams=["one"]), Token(hash=other_hash, streams=["two"])]
    admission = make_admission(AuthSettings(tokens=tokens))
    async with serving(Settings(), admission=admission) as served:
        path = await served.session(Authorization=f"Bearer {mine}")
        assert_problem(await served.patch(path, "", **WRONG), 401, "unauthenticated")
        response = await served.patch(path, "", **WRONG, Authorization=f"Bearer {other}")
        assert_problem(response, 403, "forbidden")
        assert_problem(await served.patch(f"{ENDPOINT}/unknown", ""), 404, "session_unknown")
        for credential in (mine, "gibberish"):
            deleted = await served.http.delete(path, headers={"Authorization": f"Bearer {credential}"})
            assert deleted.status_code == (200 if credential == mine else 401)
        response = await served.patch(path, "", **WRONG, Authorization=f"Bearer {mine}")
        assert_problem(response, 410, "session_over")
