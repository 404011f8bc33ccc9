"""Where a session is (RFC 9725, section 4.2), and what GET and DELETE do there and at the endpoint."""

from typing import Any

import pytest
from tests.web.served import BASE, ENDPOINT, OFFER, QUERY, SDP, Served, assert_problem, serving

from whipway.config import Settings
from whipway.streams import known_sessions

pytestmark = pytest.mark.anyio

ICE = {
    "servers": [
        {"urls": ["stun:stun.example"]},
        {"urls": ["turn:turn.example", "turns:turn.example"], "secret": "north"},
    ]
}


# The 201


async def test_a_201_is_for_one_client(served: Served) -> None:
    response = await served.post()
    assert response.headers["cache-control"] == "no-store"


async def test_a_201_says_what_there_is_beside_the_session(served: Served) -> None:
    response = await served.post()
    location = response.headers["location"]
    assert response.headers.get_list("link") == [
        f'<{location}/status>; rel="urn:whipway:status"',
        f'<{location}/sink>; rel="urn:whipway:sinks"',
        f'<{location}/metadata>; rel="urn:whipway:metadata"',
        f'<{location}/input>; rel="urn:whipway:inputs"',
        f'<{location}/quality>; rel="urn:whipway:quality"',
    ]
    for path in ("status", "sink", "input", "quality"):
        assert (await served.http.get(f"{location}/{path}")).status_code == 200


async def test_several_inputs_are_offered_where_they_are_taken() -> None:
    async with serving(Settings.model_validate({"inputs": {"max_video": 1}})) as served:
        response = await served.post()
        assert "urn:whipway:quality" in response.headers["link"]
        assert "urn:whipway:inputs" not in response.headers["link"]
        # The one there is can be asked about like any other.
        assert (await served.http.get(f"{response.headers['location']}/input")).status_code == 200


async def test_ice_servers_come_one_by_one() -> None:
    async with serving(Settings.model_validate({"ice": ICE})) as served:
        response = await served.post()
        stun, turn, turns, *_ = response.headers.get_list("link")
        assert stun == '<stun:stun.example>; rel="ice-server"'
        assert turn.startswith('<turn:turn.example>; rel="ice-server"; username="')
        assert turns.startswith('<turns:turn.example>; rel="ice-server"; username="')
        session_id = response.headers["location"].rpartition("/")[2]
        assert f':{session_id[:8]}"' in turn and session_id not in turn


async def test_location_follows_the_public_url() -> None:
    settings = Settings.model_validate({"http": {"public_url": "https://public.example/whip/"}})
    async with serving(settings) as served:
        location = (await served.post()).headers["location"]
        assert location.startswith(f"https://public.example/whip{ENDPOINT}/")


@pytest.mark.parametrize("host", ["other.example:8443", "[2001:db8::1]:8080"])
async def test_location_follows_the_request(served: Served, host: str) -> None:
    location = (await served.post(Host=host)).headers["location"]
    assert location.startswith(f"https://{host}{ENDPOINT}/")
    assert "?" not in location


async def test_location_follows_an_absolute_target(served: Served) -> None:
    """RFC 9112, section 3.2.2."""

    async def absolute(scope: Any, receive: Any, send: Any) -> None:
        target = f"http://other.example:81{ENDPOINT}"
        await served.app({**scope, "path": target, "raw_path": target.encode()}, receive, send)

    served.http = served.client(absolute)
    location = (await served.post()).headers["location"]
    assert location.startswith(f"https://other.example:81{ENDPOINT}/")


@pytest.mark.parametrize(
    "host", [b"[", b":80", b"a b", b"\xff", b"host:port", b"host:65536", b"[::1::]", b"a@b", b"a/b", b"a,b"]
)
async def test_a_host_header_that_is_none(served: Served, host: bytes) -> None:
    """RFC 9112, section 3.2."""
    assert_problem(await served.post(Host=host), 400, "malformed_request")
    assert served.is_empty


async def test_two_host_headers(served: Served) -> None:
    headers = [*SDP.items(), ("Host", "one.example"), ("Host", "two.example")]
    response = await served.http.post(f"{ENDPOINT}?{QUERY}", content=OFFER, headers=headers)
    assert_problem(response, 400, "malformed_request")


async def test_an_empty_host_header(served: Served) -> None:
    """RFC 9112, section 3.2: from who has no host to name."""
    location = (await served.post(Host=b"")).headers["location"]
    assert location.startswith(f"{BASE}{ENDPOINT}/")


async def test_without_a_host_header(served: Served) -> None:
    """As HTTP/1.0 allows."""

    async def nameless(scope: Any, receive: Any, send: Any) -> None:
        await served.app(
            {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"host"]}, receive, send
        )

    served.http = served.client(nameless)
    location = (await served.post()).headers["location"]
    assert location.startswith(f"{BASE}{ENDPOINT}/")


# GET and HEAD


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("suffix", ["", "?stream_name=one", "?&&=%ff"])
async def test_the_endpoint_is_there(served: Served, method: str, suffix: str) -> None:
    response = await served.http.request(method, ENDPOINT + suffix)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers and "content-length" not in response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_session_is_there_until_it_ends(served: Served, method: str) -> None:
    path = await served.session()
    response = await served.http.request(method, path)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers and "etag" not in response.headers
    await served.http.delete(path)
    response = await served.http.request(method, path)
    assert response.status_code == 410
    assert (response.content == b"") == (method == "HEAD")
    assert (await served.http.request(method, f"{ENDPOINT}/unknown")).status_code == 404


async def test_why_it_is_not_there_any_more(served: Served) -> None:
    path = await served.session()
    ended = (await served.http.delete(path), await served.http.get(path), await served.http.delete(path))
    assert ended[0].status_code == 200
    details = [assert_problem(response, 410, "session_over")["detail"] for response in ended[1:]]
    assert details[0] == details[1]


async def test_a_session_that_is_lost(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker knows nothing of it, and no word of its end ever comes."""
    path = await served.session()
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(served.worker, "_broadcasts", {})
        # The worker is not asked for this.
        assert (await served.http.get(path)).status_code == 204
        assert_problem(await served.http.get(f"{path}/status"), 404, "session_unknown")
        assert_problem(await served.http.get(path), 404, "session_unknown")
    await served.http.delete(path)


# DELETE


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ['"other"', "*", "gibberish", ""])
async def test_delete_takes_no_notice_of_entity_tags(served: Served, name: str, value: str) -> None:
    path = await served.session()
    response = await served.http.delete(path, headers={name: value})
    assert (response.status_code, response.content) == (200, b"")
    assert served.is_empty
