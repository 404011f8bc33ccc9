"""Methods of every path: OPTIONS (RFC 9725, section 4.2), 405 and HEAD (RFC 9110)."""

import os
import re
from typing import Any

import pytest
from tests.web.served import ENDPOINT, Served, assert_problem, serving

from whipway.config import Settings
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token

pytestmark = pytest.mark.anyio

SESSION = f"{ENDPOINT}/{'A' * 32}"
UNKNOWN = "/nothing/here"
ALLOWED = {
    "/": "GET, HEAD, OPTIONS",
    "/dashboard/webcaster/publish.js": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
    ENDPOINT: "GET, HEAD, POST, OPTIONS",
    SESSION: "GET, HEAD, PATCH, DELETE, OPTIONS",
    f"{SESSION}/status": "GET, HEAD, OPTIONS",
    f"{SESSION}/sink": "GET, HEAD, POST, OPTIONS",
    f"{SESSION}/sink/1": "GET, HEAD, DELETE, OPTIONS",
    f"{SESSION}/metadata": "POST, OPTIONS",
    f"{SESSION}/input": "GET, HEAD, PUT, OPTIONS",
    f"{SESSION}/input/1/thumbnail": "GET, HEAD, OPTIONS",
    f"{SESSION}/quality": "GET, HEAD, PUT, OPTIONS",
    f"{SESSION}/keyframe": "POST, OPTIONS",
    "/live/one.flv": "GET, HEAD, OPTIONS",
    UNKNOWN: "OPTIONS",
    f"{SESSION}/more/and/more": "OPTIONS",
}
SDP = "application/sdp"
ACCEPTED = {
    ENDPOINT: SDP,
    SESSION: SDP,
    f"{SESSION}/status": SDP,
    f"{SESSION}/sink/1": SDP,
    f"{SESSION}/metadata": "application/json",
    f"{SESSION}/input": SDP,
    f"{SESSION}/input/1/thumbnail": SDP,
    f"{SESSION}/quality": SDP,
    UNKNOWN: SDP,
    f"{SESSION}/more/and/more": SDP,
}
"""Accept-Post, where there is one: not where a POST needs no body, nor where something else is."""
ICE = {
    "ice": {
        "servers": [
            {"urls": ["stun:stun.example"]},
            {"urls": ["turn:turn.example", "turns:turn.example"], "secret": "north"},
        ]
    }
}
STUN_LINK = '<stun:stun.example>; rel="ice-server"'
PREFLIGHT = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}


async def links(served: Served, path: str = ENDPOINT, **headers: str) -> list[str]:
    response = await served.http.options(path, headers=headers)
    assert response.status_code == 200
    return response.headers.get_list("link")


# OPTIONS


@pytest.mark.parametrize("path", ALLOWED)
async def test_options_of_any_path(served: Served, path: str) -> None:
    response = await served.http.options(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["allow"] == ALLOWED[path]
    assert response.headers.get("accept-post") == ACCEPTED.get(path)
    assert ("accept-patch" in response.headers) == (path == SESSION)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-length"] == "0"


async def test_a_session_says_what_it_is_patched_with(served: Served) -> None:
    response = await served.http.options(SESSION)
    assert response.headers["accept-patch"] == "application/trickle-ice-sdpfrag"


async def test_options_of_the_whole_server(served: Served) -> None:
    """RFC 9110, section 9.3.7."""

    async def asterisk(scope: Any, receive: Any, send: Any) -> None:
        await served.app({**scope, "path": "*"}, receive, send)

    async with served.client(asterisk) as client:
        response = await client.options("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert response.headers["accept-post"] == "application/sdp"


# ICE servers


async def test_ice_servers_for_everyone_where_everyone_may_publish() -> None:
    async with serving(Settings.model_validate(ICE)) as served:
        found = await links(served)
        assert found[0] == STUN_LINK
        assert [re.match(r"<([^>]+)>", link)[1] for link in found] == [  # type: ignore[index]
            "stun:stun.example",
            "turn:turn.example",
            "turns:turn.example",
        ]
        assert all('credential-type="password"' in link for link in found[1:])


async def test_no_ice_servers_in_a_preflight() -> None:
    async with serving(Settings.model_validate(ICE)) as served:
        assert await links(served, **PREFLIGHT) == []


@pytest.mark.parametrize("path", ["/", SESSION, f"{ENDPOINT}/status.json", UNKNOWN])
async def test_ice_servers_are_the_endpoints(path: str) -> None:
    async with serving(Settings.model_validate(ICE)) as served:
        assert await links(served, path) == []


async def test_turn_credentials_are_for_publishers_only() -> None:
    token, digest = make_token(os.urandom)
    settings = Settings.model_validate({**ICE, "auth": {"tokens": [{"hash": digest, "streams": ["*"]}]}})
    async with serving(settings, admission=make_admission(settings.auth)) as served:
        assert await links(served) == [STUN_LINK]
        assert await links(served, Authorization="Bearer wrong") == [STUN_LINK]
        assert await links(served, Authorization="Basic x") == [STUN_LINK]
        assert len(await links(served, Authorization=f"Bearer {token}")) == 3


async def test_turn_credentials_are_not_for_the_anonymous() -> None:
    """With a callback alone nobody is known before it was asked."""
    settings = Settings.model_validate({**ICE, "auth": {"callback": "http://127.0.0.1:1/"}})
    admission = make_admission(settings.auth)
    assert admission is not None
    async with serving(settings, admission=admission) as served:
        assert await links(served) == [STUN_LINK]
    await admission.close()


# 405


@pytest.mark.parametrize("path", [path for path in ALLOWED if ALLOWED[path] != "OPTIONS"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
async def test_405_names_all_methods(served: Served, path: str, method: str) -> None:
    if method in ALLOWED[path]:
        return
    response = await served.http.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == ALLOWED[path]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "BREW"])
async def test_no_method_finds_what_is_not_there(served: Served, method: str) -> None:
    response = await served.http.request(method, UNKNOWN)
    assert response.status_code == 404
    assert "allow" not in response.headers
    assert response.headers["content-type"] == "application/problem+json"


# HEAD


@pytest.mark.parametrize(
    "path", ["/", "/dashboard/webcaster/publish.js", "/openapi.json", f"{ENDPOINT}/status.json"]
)
async def test_head_is_get_without_a_body(served: Served, path: str) -> None:
    """RFC 9110, section 9.3.2."""
    get, head = await served.http.get(path), await served.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    names = ("content-type", "content-length", "cache-control")
    assert [head.headers[name] for name in names] == [get.headers[name] for name in names]


async def test_head_of_a_session_that_is_not_there(served: Served) -> None:
    response = await served.http.head(f"{SESSION}/status")
    assert (response.status_code, response.content) == (404, b"")
