from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from whipway.web.request_rules import RequestRules

pytestmark = pytest.mark.anyio

HOST = (b"host", b"whip.example")


def request(raw_path: str = "/p", path: str | None = None, headers: Any = (HOST,)) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": raw_path if path is None else path,
        "raw_path": raw_path.encode(),
        "query_string": b"a=b",
        "headers": list(headers),
    }


async def ask(scope: Scope, **headers: str) -> tuple[Scope | None, dict[str, str]]:
    """What the application gets, if anything, and the status and headers of the answer."""
    reached: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)
        await Response(headers=headers)(scope, receive, send)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    before = {**scope, "headers": list(scope["headers"])}
    await RequestRules(app)(scope, receive, send)
    assert scope == before
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return (reached or [None])[0], answer | {"status": str(sent[0]["status"])}  # type: ignore[list-item]


async def refused(scope: Scope) -> dict[str, str]:
    reached, answer = await ask(scope)
    assert reached is None
    assert (answer["status"], answer["content-type"]) == ("400", "application/problem+json")
    return answer


async def seen(scope: Scope) -> Scope:
    reached, _ = await ask(scope)
    assert reached is not None
    return reached


# The target


async def test_an_ordinary_request_is_as_it_was() -> None:
    scope = request("/p/%C3%A9", "/p/\u00e9", [HOST, (b"content-length", b"3"), (b"x", b"y")])
    assert await seen(scope) == scope


async def test_the_server_as_a_whole() -> None:
    assert (await seen(request("*")))["path"] == "*"


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\t", "\x1f", "\x7f", "\x85"])
@pytest.mark.parametrize("path", ["/p{}", "{}/p", "/p{}/q"])
async def test_control_characters(path: str, character: str) -> None:
    assert "connection" not in await refused(request("/p%0A", path.format(character)))


async def test_control_characters_of_an_absolute_target() -> None:
    await refused(request("http://whip.example/p%0A", "http://whip.example/p\n"))


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "host"),
    [
        ("http://other.example/p/q", b"/p/q", "/p/q", b"other.example"),
        ("HTTPS://Other.Example:8443/p", b"/p", "/p", b"Other.Example:8443"),
        ("http://[::1]:80/p%C3%A9/", b"/p%C3%A9/", "/p\u00e9/", b"[::1]:80"),
        ("http://other.example", b"/", "/", b"other.example"),
        ("http://other.example//p", b"//p", "//p", b"other.example"),
    ],
)
async def test_an_absolute_target(target: str, raw_path: bytes, path: str, host: bytes) -> None:
    """RFC 9112, section 3.2.2: its host goes before that of the header, whatever stands there."""
    for headers in ([HOST, (b"x", b"y")], [(b"x", b"y")], [(b"host", b"["), (b"x", b"y")]):
        after = await seen(request(target, headers=headers))
        assert (after["raw_path"], after["path"], after["query_string"]) == (raw_path, path, b"a=b")
        assert after["headers"] == [(b"host", host), (b"x", b"y")]


@pytest.mark.parametrize("authority", ["", ":80", "user@host", "host:65536", "a,b", "[::1", "host#"])
async def test_an_absolute_target_without_a_host(authority: str) -> None:
    """RFC 9110, section 4.2.1: an empty host "MUST" be rejected; section 4.2.4: so ought a user."""
    await refused(request(f"http://{authority}/p"))


@pytest.mark.parametrize("target", ["ftp://other.example/p", "//other.example/p", "/http://other.example/p"])
async def test_what_is_no_absolute_target(target: str) -> None:
    assert (await seen(request(target)))["path"] == target


async def test_a_path_that_only_reads_like_one() -> None:
    scope = request("http%3A//other.example/p", "http://other.example/p")
    assert (await seen(scope))["path"] == "http://other.example/p"


async def test_a_server_that_tells_no_raw_path() -> None:
    scope = request()
    del scope["raw_path"]
    assert (await seen(scope))["path"] == "/p"


# The Host header


@pytest.mark.parametrize(
    "host", [b"a", b"a.b:65535", b"192.0.2.1", b"[2001:db8::1]:80", b"under_score", b"a:", b""]
)
async def test_a_host(host: bytes) -> None:
    scope = request(headers=[(b"host", host)])
    assert await seen(scope) == scope


@pytest.mark.parametrize(
    "host", [b":", b"a b", b"a:b", b"a:65536", b"[", b"[1.2.3.4]", b"\xff", b"a/b", b"a@b"]
)
async def test_what_is_no_host(host: bytes) -> None:
    await refused(request(headers=[(b"host", host)]))


async def test_two_hosts() -> None:
    await refused(request(headers=[HOST, HOST]))


async def test_an_empty_host() -> None:
    scope = request(headers=[(b"host", b"")])
    assert await seen(scope) == scope
    await refused(request(headers=[(b"host", b"")] * 2))


async def test_no_host() -> None:
    """Whether that is a fault depends on the version of HTTP."""
    assert await seen(request(headers=[])) == request(headers=[])


# The body, and a part of the answer


async def test_two_lengths() -> None:
    headers = [HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"3")]
    assert (await refused(request(headers=headers)))["connection"] == "close"
    for one in headers[1:]:
        await seen(request(headers=[HOST, one]))


async def test_ranges_are_not_asked_for() -> None:
    scope = request(headers=[HOST, (b"range", b"bytes=0-1"), (b"if-range", b'"x"'), (b"x", b"y")])
    after, answer = await ask(scope, **{"Accept-Ranges": "bytes", "X": "y"})
    assert after is not None and after["headers"] == [HOST, (b"if-range", b'"x"'), (b"x", b"y")]
    assert answer["x"] == "y" and "accept-ranges" not in answer
