import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest
from tests.peers.rtmp_client import HOST, KEYFRAME
from tests.peers.rtmp_server import Listener, RtmpServer, listening
from tests.peers.waiting import until

from whipway import tcp
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.messages import ControlEvent, user_control
from whipway.protocol.rtmp.server import PublishEnded, PublishRequested
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.relay.muxer import Tag, TagKind
from whipway.relay.sink import Sink, SinkEvent, SinkFailed, SinkPublishing, SinkState
from whipway.worker import sink_connection
from whipway.worker.sink_connection import SinkConnection

pytestmark = pytest.mark.anyio

SMALL = Tag(TagKind.VIDEO, 0, KEYFRAME + b"small", keyframe=True)
BIG = Tag(TagKind.VIDEO, 0, KEYFRAME + bytes(1_000_000), keyframe=True)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


class Opened:
    """A sink's connection and what it reported."""

    def __init__(self, url: str, age: float = 0.0) -> None:
        parsed = parse_rtmp_url(url)
        now = asyncio.get_running_loop().time() - age
        publisher = Publisher(
            app=parsed.app, tc_url=parsed.tc_url, stream_name="one?key=x", random=os.urandom, now=now
        )
        self.events: list[SinkEvent] = []
        self.sink = Sink(publisher)
        self.connection = SinkConnection(self.sink, parsed, self.events.append)

    async def publishing(self) -> "Opened":
        await until(lambda: self.events == [SinkPublishing()])
        return self

    async def failed(self) -> SinkFailed:
        return await until(lambda: next((one for one in self.events if isinstance(one, SinkFailed)), None))


def url_of(port: int, scheme: str = "rtmp") -> str:
    return f"{scheme}://{HOST}:{port}/live"


async def test_tags_from_before_the_connection_reach_the_server(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    opened.connection.push([SMALL])
    await opened.publishing()
    server = await listener.connection()
    await until(lambda: server.payloads == [SMALL.payload])
    assert server.events[0] == PublishRequested("live", "one", "key=x", 1)
    opened.connection.push([BIG])
    await until(lambda: server.payloads == [SMALL.payload, BIG.payload])
    opened.connection.close()
    await until(lambda: server.lost)
    assert opened.sink.state is SinkState.CLOSED


async def test_close_says_goodbye_and_reports_nothing(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    opened.connection.push([BIG])
    opened.connection.close()
    opened.connection.close()
    await until(lambda: server.lost)
    assert server.payloads == [BIG.payload]
    assert PublishEnded() in server.events
    assert opened.events == [SinkPublishing()]


async def test_close_while_connecting_gives_up(listener: Listener) -> None:
    before = asyncio.all_tasks()
    opened = Opened(url_of(listener.port))
    opened.connection.close()
    await until(lambda: asyncio.all_tasks() == before)
    assert opened.events == []
    assert listener.protocol is None or listener.protocol.events == []


async def test_close_does_not_wait_for_a_server_that_does_not_read(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "CLOSE_TIMEOUT", 0.05)
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.pause_reading()
    for _ in range(12):
        opened.connection.push([BIG])
    opened.connection.close()
    transport = opened.connection.transport
    assert transport is not None and transport.get_write_buffer_size() > 0
    await until(lambda: opened.connection.transport is None)
    server.connected.resume_reading()
    await until(lambda: server.lost)


async def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    failed = await Opened(url_of(port)).failed()
    assert failed.reason == "unreachable"
    assert failed.detail.startswith(f"no connection to the RTMP server {HOST}:{port}: ")


async def test_a_server_that_is_silent_in_tls_is_unreachable(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    failed = await Opened(url_of(listener.port, "rtmps")).failed()
    assert failed.reason == "unreachable"
    assert "did not answer in 0 s" in failed.detail


async def test_a_server_without_tls_is_unreachable_by_it(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        RtmpServer, "data_received", lambda self, data: self.connected.write(b"this is not TLS")
    )
    failed = await Opened(url_of(listener.port, "rtmps")).failed()
    assert failed.reason == "unreachable"


async def test_a_lost_connection_is_reported_once(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.abort()
    failed = await opened.failed()
    assert failed.reason in ("connection_lost", "closed_by_peer")
    await until(lambda: opened.connection.transport is None)
    opened.connection.push([SMALL])
    opened.connection.close()
    assert len(opened.events) == 2


async def test_a_server_that_hangs_up_is_reported(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.close()
    assert (await opened.failed()).reason == "closed_by_peer"


async def test_a_server_that_never_answers_is_given_up(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.protocol.rtmp.client.STEP_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    opened = Opened(url_of(listener.port))
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_a_deadline_may_have_passed_already(listener: Listener) -> None:
    opened = Opened(url_of(listener.port), age=100.0)
    # Before the event loop gets to it, the timer is set once more.
    opened.connection.push([SMALL])
    opened.connection.push([SMALL])
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_a_timer_that_goes_off_early_is_set_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.protocol.rtmp.client.STEP_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    opened = Opened(url_of(listener.port))
    await listener.connection()
    timer = await until(lambda: opened.connection._timer)
    timer.cancel()
    opened.connection._on_timer()
    assert opened.events == []
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_questions_are_not_answered_while_the_server_does_not_read(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.pause_reading()
    while (transport := opened.connection.transport) and transport.is_reading():
        ping = user_control(ControlEvent.PING_REQUEST, 1)
        # Long ones, since very many in one read end a connection by themselves.
        server.machine._link.send(ping._replace(payload=ping.payload + bytes(110)))
        server.connected.write(b"".join(server.machine.data_to_send()) * 2000)
        opened.connection.push([BIG])
        await asyncio.sleep(0)
        assert opened.sink.state is SinkState.PUBLISHING
    assert transport is not None
    server.connected.resume_reading()
    await until(transport.is_reading)
    opened.connection.close()
    await until(lambda: server.lost)
