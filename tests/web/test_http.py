"""HTTP below the routes: the server as it runs, and peers that write bytes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until

from whipway.config import load_settings
from whipway.gateway import Gateway
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


class Served:
    """A running gateway and everyone connected to it."""

    def __init__(self) -> None:
        self.gateway = Gateway(load_settings(flags={"http.port": "0", "media.port": "0", "rtmp.port": "0"}))
        self.peers: list[Peer] = []
        self.is_stopped = False

    async def connect(self, data: bytes = b"") -> Peer:
        peer = Peer(*await asyncio.open_connection(HOST, self.gateway.http_port))
        self.peers.append(peer)
        peer.send(data)
        return peer

    @property
    def state(self) -> Any:
        return self.gateway._http.server_state  # type: ignore[union-attr]

    @property
    def app(self) -> FastAPI:
        app = self.gateway._http.config.app  # type: ignore[union-attr]
        assert isinstance(app, FastAPI)
        return app

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

    async def stop(self) -> float:
        """Stop the gateway and return the seconds that took."""
        self.is_stopped = True
        begin = asyncio.get_running_loop().time()
        await self.gateway.stop()
        return asyncio.get_running_loop().time() - begin


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
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
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
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
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


async def test_one_connection_too_many(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    first, second = await served.connect(GET), await served.connect(GET)
    assert [(await peer.response())[0] for peer in (first, second)] == [200, 200]
    assert await (await served.connect(GET)).hung_up() == b""
    first.writer.close()
    await until(lambda: len(served.state.connections) == 1)
    assert (await (await served.connect(GET)).response())[0] == 200


# Stopping


async def test_stopping_does_not_wait_for_a_body(served: Served) -> None:
    peer = await served.connect(HALF_A_BODY)
    await served.request_under_way()
    assert await served.stop() < http.STOP_TIMEOUT
    assert await peer.hung_up() == b""


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)  # A file takes its time as well.

    served.app.add_api_route("/endless", lambda: StreamingResponse(endless()))
    await served.connect(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
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
