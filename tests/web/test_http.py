"""HTTP below the routes: the server as it runs, and peers that write bytes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from fastapi import Response
from fastapi.responses import StreamingResponse
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until
from tests.web.running import GET_ENDLESS, RunningGateway

from whipway.config import load_settings
from whipway.web import bodies, http, server
from whipway.web.rate_limits import RateLimiter

pytestmark = pytest.mark.anyio

GET = b"GET /p/webrtc/status.json HTTP/1.1\r\nHost: x\r\n\r\n"
GET_SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p/webrtc?stream_name=one&stream_url=rtmp://127.0.0.1/live HTTP/1.1\r\nHost: x\r\n"
OFFER_TYPE = b"Content-Type: application/sdp\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HALF_A_BODY = POST + OFFER_TYPE + b"Content-Length: 1000\r\n\r\nv=0\r\n"
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Peer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, dict[str, str], Any]:
        """Status, header and JSON document of the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def hung_up(self) -> bytes:
        """What comes before the end; an end by a reset is one too."""
        async with asyncio.timeout(2):  # Less than the keep-alive timeout of uvicorn.
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


class Served(RunningGateway):
    """A running gateway and everyone connected to it."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: list[Peer] = []

    async def connect(self, data: bytes = b"") -> Peer:
        peer = Peer(*await asyncio.open_connection(HOST, self.gateway.http_port))
        self.peers.append(peer)
        peer.send(data)
        return peer

    def add_slow_route(self, size: int = 1) -> asyncio.Event:
        """Answer GET_SLOW, by that many digits, once the event is set."""
        answer = asyncio.Event()

        async def slow() -> Response:
            await answer.wait()
            return Response(b"0" * size)

        self.app.add_api_route("/slow", slow)
        return answer

    async def connection(self) -> Any:
        """The server's end of the only connection."""
        [connection] = await until(lambda: self.state.connections)
        return connection

    async def request_under_way(self) -> Any:
        """The server's end of the only connection, once its request is being answered."""
        connection = await self.connection()
        await until(lambda: connection.cycle and not connection.cycle.body and self.state.tasks)
        return connection


@pytest.fixture
async def served(quiet: None) -> AsyncIterator[Served]:
    served = Served()
    await served.gateway.start()
    yield served
    if not served.is_stopped:
        await served.stop()
    for peer in served.peers:
        peer.writer.close()
    await until(lambda: not served.state.connections)


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No peer makes this server log anything beyond its requests, least of all a traceback."""
    caplog.set_level(logging.WARNING)
    with structlog.testing.capture_logs() as logs:
        yield
    logs = [log for log in logs if log["event"] != "request"]
    assert (caplog.get_records("call"), caplog.get_records("teardown"), logs) == ([], [], [])


def assert_malformed(response: tuple[int, dict[str, str], Any]) -> None:
    status, headers, document = response
    assert status == document["status"] == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert {"type", "title", "status", "detail", "code"} <= document.keys()
    assert document["code"] == "malformed_request"


# What is not HTTP


@pytest.mark.parametrize(
    "data",
    [
        POST + OFFER_TYPE + CHUNKED + b"zz\r\n",
        "GET /\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        CLIENT_HELLO,
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
    ],
    ids=["chunk size", "request line", "TLS", "header", "content length", "header without end"],
)
async def test_what_is_not_http_is_answered_by_a_problem(served: Served, data: bytes) -> None:
    peer = await served.connect(data)
    assert_malformed(await peer.response())
    assert await peer.hung_up() == b""
    await until(lambda: not served.state.tasks)


async def test_what_follows_a_good_request_is_no_better(served: Served) -> None:
    peer = await served.connect(GET + CLIENT_HELLO)
    assert (await peer.response())[0] == 200
    assert_malformed(await peer.response())
    assert await peer.hung_up() == b""


async def test_a_bad_chunk_after_the_response_is_not_answered_again(served: Served) -> None:
    peer = await served.connect(POST + CHUNKED)
    assert (await peer.response())[0] == 415
    peer.send(b"zz\r\n")
    assert await peer.hung_up() == b""


# What is HTTP and yet not to be taken


@pytest.mark.parametrize(
    "data",
    [
        GET.replace(b"/status.json", b"%0A"),
        GET.replace(b"/status.json", b"/status.json%00"),
        GET.replace(b": x", b": x:65536"),
        GET.replace(b": x", b": a,b"),
        GET.replace(b": x", b": :80"),
        GET.replace(b"GET ", b"GET http://user@x"),
    ],
    ids=["line's end", "zero", "port", "list", "port alone", "user"],
)
async def test_what_breaks_the_rules_is_answered_by_a_problem(served: Served, data: bytes) -> None:
    peer = await served.connect(data + GET)
    status, headers, document = await peer.response()
    assert (status, document["code"]) == (400, "malformed_request")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    # Where the next request begins is beyond doubt.
    assert (await peer.response())[0] == 200


async def test_a_body_of_two_lengths_ends_the_connection(served: Served) -> None:
    """RFC 9112, section 6.1."""
    peer = await served.connect(POST + OFFER_TYPE + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n" + GET)
    assert_malformed(await peer.response())
    assert await peer.hung_up() == b""


async def test_an_absolute_target(served: Served) -> None:
    """RFC 9112, section 3.2.2."""
    peer = await served.connect(GET.replace(b"GET ", b"GET HTTP://other.example:81"))
    status, _, document = await peer.response()
    assert (status, document["sessions"]) == (200, 0)
    peer.send(b"DELETE http://x/p/webrtc/unknown HTTP/1.1\r\nHost: other.example\r\n\r\n")
    status, _, document = await peer.response()
    assert (status, document["code"]) == (404, "session_unknown")


@pytest.mark.parametrize("range_", ["bytes=0-3", "bytes=9999999-", "bytes=x", "lines=1-2", "bytes=0-0,2-3"])
async def test_ranges_are_not_served(served: Served, range_: str) -> None:
    """RFC 9110, section 14.2: "A server MAY ignore the Range header field"."""
    peer = await served.connect(f"GET /openapi.json HTTP/1.1\r\nHost: x\r\nRange: {range_}\r\n\r\n".encode())
    assert (await peer.response())[0] == 200
    path = "/dashboard/icon.svg"
    peer.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nRange: {range_}\r\n\r\n".encode())
    head = (await peer.reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 ")
    assert b"accept-ranges" not in head


# Waiting for a request


@pytest.mark.parametrize("data", [b"", b"GE", b"GET / HTTP/1.1\r\nHo", GET[:-2]])
async def test_a_request_that_does_not_come(
    served: Served, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
    peer = await served.connect(data)
    assert await peer.hung_up() == b""


@pytest.mark.parametrize("data", [b"", GET[:-2]])
async def test_a_next_request_that_does_not_come(
    served: Served, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
    peer = await served.connect(GET)
    assert (await peer.response())[0] == 200
    peer.send(data)
    assert await peer.hung_up() == b""


async def test_a_body_that_nobody_reads_does_not_keep_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.5)
    peer = await served.connect(POST + CHUNKED + b"1\r\nx\r\n")
    assert (await peer.response())[0] == 415
    assert await peer.hung_up() == b""


async def test_each_response_starts_the_wait_anew(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
    answer = served.add_slow_route()
    peer = await served.connect(GET_SLOW)
    first_wait = (await served.request_under_way())._timer
    await until(lambda: first_wait.when() < asyncio.get_running_loop().time())
    answer.set()
    assert (await peer.response())[0] == 200
    assert await peer.hung_up() == b""


async def test_a_lost_connection_leaves_no_timer(served: Served) -> None:
    peer = await served.connect(GET)
    await peer.response()
    connection = await served.connection()
    assert not connection._timer.cancelled()
    peer.writer.close()
    await until(lambda: not served.state.connections)
    assert connection._timer.cancelled()
    assert connection.timeout_keep_alive_task is None


# Reading an offer


async def test_a_body_that_does_not_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.1)
    # Shorter, to show that it does not touch a request under way.
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.02)
    peer = await served.connect(HALF_A_BODY)
    status, headers, document = await peer.response()
    assert (status, document["code"]) == (408, "body_too_slow")
    assert headers["connection"] == "close"
    assert await peer.hung_up() == b""


async def test_a_client_that_leaves_within_its_offer(served: Served) -> None:
    peer = await served.connect(HALF_A_BODY)
    await served.request_under_way()
    peer.writer.close()
    await until(lambda: not served.state.tasks)
    assert not served.state.connections


# One request too many


async def limited(served: Served) -> Peer:
    """A peer that has sent all the POST requests it may."""
    peer = await served.connect()
    for _ in range(RateLimiter(load_settings().limits.posts_per_minute).burst):
        peer.send(POST + b"Content-Length: 0\r\n\r\n")
        assert (await peer.response())[0] == 415
    return peer


async def test_the_body_of_one_too_many_is_discarded(served: Served) -> None:
    peer = await limited(served)
    peer.send(POST + OFFER_TYPE + b"Content-Length: 1000000\r\n\r\n")
    # Before there is a body: nobody waits for one.
    status, headers, document = await peer.response()
    assert (status, document["code"]) == (429, "too_many_requests")
    assert int(headers["retry-after"]) >= 1
    peer.send(bytes(1_000_000) + GET)
    assert (await peer.response())[0] == 200


async def test_the_body_of_one_too_many_is_not_asked_for(served: Served) -> None:
    peer = await limited(served)
    peer.send(POST + OFFER_TYPE + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
    assert (await peer.response())[0] == 429


async def test_the_body_of_one_too_many_does_not_keep_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await limited(served)
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.5)
    peer.send(HALF_A_BODY)
    assert (await peer.response())[0] == 429
    assert await peer.hung_up() == b""


# Methods without a body in the answer


async def test_options_of_the_whole_server(served: Served) -> None:
    """RFC 9112, section 3.2.4."""
    peer = await served.connect(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    head = await peer.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 0\r\n" in head
    assert (await peer.response())[0] == 200


async def test_head_of_a_route_for_get(served: Served) -> None:
    peer = await served.connect(GET.replace(b"GET", b"HEAD") + GET)
    head = await peer.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 0\r\n" not in head
    assert (await peer.response())[0] == 200


# Many connections


async def test_who_has_waited_longest_gives_way(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    first = await served.connect(GET)
    assert (await first.response())[0] == 200
    second = await served.connect()
    await until(lambda: len(served.state.connections) == 2)
    # Older, but heard of since.
    first.send(GET)
    assert (await first.response())[0] == 200
    third = await served.connect(GET)
    assert (await third.response())[0] == 200
    assert await second.hung_up() == b""
    first.send(GET)
    assert (await first.response())[0] == 200
    assert len(served.state.connections) == 2


async def test_many_that_say_nothing_keep_nobody_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 3)
    idle = [await served.connect(b"GET / HTTP/1.1\r\n" if number % 2 else b"") for number in range(10)]
    assert (await (await served.connect(GET)).response())[0] == 200
    assert len(served.state.connections) == 3
    assert [await peer.hung_up() for peer in idle[:8]] == [b""] * 8


class Newcomer(asyncio.Transport):
    """Of a connection that the server has just taken; nobody is at its other end."""

    def close(self) -> None: ...


async def test_each_newcomer_has_another_give_way(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    idle = [await served.connect() for _ in range(2)]
    await until(lambda: len(served.state.connections) == 2)
    newcomers = [served.gateway._https[0]._make_protocol() for _ in range(2)]  # type: ignore[union-attr]
    # Within one turn of the event loop: the first to give way has not heard of its end yet.
    for newcomer in newcomers:
        newcomer.connection_made(Newcomer())
    assert [await peer.hung_up() for peer in idle] == [b""] * 2
    for newcomer in newcomers:
        newcomer.connection_lost(None)


async def test_a_request_under_way_gives_way_to_nobody(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    answer = served.add_slow_route()
    slow = [await served.connect(GET_SLOW) for _ in range(2)]
    await until(lambda: len(served.state.tasks) == 2)
    assert await (await served.connect(GET)).hung_up() == b""
    answer.set()
    assert [(await peer.response())[0] for peer in slow] == [200] * 2
    # Both wait again, so that there is room.
    assert (await (await served.connect(GET)).response())[0] == 200
    assert len(served.state.connections) == 2


async def test_an_answer_that_nobody_reads_gives_way(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    served.add_endless_route()
    await served.connect(GET_ENDLESS)
    connection = await served.request_under_way()
    await until(lambda: connection.flow.write_paused)
    assert (await (await served.connect(GET)).response())[0] == 200


async def test_who_has_been_answered_longest_gives_way(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 3)
    answer = served.add_slow_route()
    served.app.add_api_route("/silent", silent)
    streams = []
    for _ in range(2):
        streams.append(await served.connect(b"GET /silent HTTP/1.1\r\nHost: x\r\n\r\n"))
        await streams[-1].reader.readuntil(b"\r\n\r\n")
    slow = await served.connect(GET_SLOW)
    await until(lambda: len(served.state.tasks) == 3)
    # Neither waits for its peer, nor will they end of themselves.
    assert (await (await served.connect(GET)).response())[0] == 200
    assert await streams[0].hung_up() == b""
    # That one is idle now, and goes before the other stream does.
    assert (await (await served.connect(GET)).response())[0] == 200
    assert len(served.state.tasks) == 2
    assert not streams[1].reader.at_eof()
    answer.set()
    assert (await slow.response())[0] == 200


async def silent() -> StreamingResponse:
    """An answer that has begun, and goes on some day."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    return StreamingResponse(nothing())


async def test_who_takes_nothing_of_an_answer_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "STALL_TIMEOUT", 0.1)
    served.add_endless_route()
    await served.connect(GET_ENDLESS)
    await until(lambda: served.state.connections)
    await until(lambda: not served.state.connections)


# Stopping


async def test_stopping_does_not_wait_for_a_body(served: Served) -> None:
    peer = await served.connect(HALF_A_BODY)
    await served.request_under_way()
    assert await served.stop() < http.STOP_TIMEOUT
    assert await peer.hung_up() == b""


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(served: Served) -> None:
    served.add_endless_route()
    await served.connect(GET_ENDLESS)
    connection = await served.request_under_way()
    await until(lambda: connection.flow.write_paused)
    assert await served.stop() < server.STOP_TIMEOUT


@pytest.mark.parametrize("size", [1, 32_000_000], ids=["that is read", "that is not"])
async def test_stopping_waits_a_little_for_a_response(served: Served, size: int) -> None:
    answer = served.add_slow_route(size)
    peer = await served.connect(GET_SLOW)
    connection = await served.request_under_way()
    stopping = asyncio.create_task(served.stop())
    await until(lambda: not connection.cycle.keep_alive)
    answer.set()
    if size == 1:
        assert (await peer.response())[2] == 0
        assert await peer.hung_up() == b""
    assert await stopping < server.STOP_TIMEOUT
