"""Sinks on real sockets, with servers that are kind and servers that are not."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.peers.certificates import write_certificate
from tests.peers.hostile_rtmp import (
    SMALL_BUFFER,
    ClosesAtOnce,
    FloodsPings,
    NeverAnswers,
    Refuses,
    ResetsInChunk,
    StopsReading,
    reset,
)
from tests.peers.rtmp_client import AUDIO_HEADER, HOST, KEYFRAME, PICTURE, SOUND, VIDEO_HEADER
from tests.peers.rtmp_gatekeeper import guarded
from tests.peers.rtmp_server import Listener, RtmpServer, listening
from tests.peers.waiting import until

from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.server import PublishEnded, PublishRequested
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.relay.sinks.backoff import POLICIES, Policy
from whipway.relay.sinks.sink import (
    AudioChoice,
    KeyframeWanted,
    Sink,
    SinkChanged,
    SinkState,
)
from whipway.relay.tags import AudioCodec, AudioFormat, Tag, TagKind
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_connection import WRITE_BUFFER_BYTES, SinkConnection
from whipway.worker.sink_driver import DriverEvent, SinkBroken, SinkDriver
from whipway.worker.tls import TlsContexts

pytestmark = pytest.mark.anyio

AAC = AudioFormat(AudioCodec.AAC, 128_000)
HEADERS = [
    Tag(TagKind.AUDIO, 0, AUDIO_HEADER, header=True, audio=AAC),
    Tag(TagKind.VIDEO, 0, VIDEO_HEADER, header=True, keyframe=True),
]
LOOPBACK = EgressPolicy(["127.0.0.0/8"])


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


def keyframe(at: int, size: int = 10) -> Tag:
    return Tag(TagKind.VIDEO, at, KEYFRAME + bytes(size), keyframe=True)


def picture(at: int, size: int = 10) -> Tag:
    return Tag(TagKind.VIDEO, at, PICTURE + bytes(size))


def sound(at: int) -> Tag:
    return Tag(TagKind.AUDIO, at, SOUND + b"frame", audio=AAC)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is waited for by seconds comes in a moment."""
    monkeypatch.setattr("whipway.relay.sinks.sink.PROOF_INTERVAL", 0.02)
    monkeypatch.setattr("whipway.relay.sinks.sink.WATCH_INTERVAL", 0.05)
    for reason, policy in POLICIES.items():
        if policy is not None:
            monkeypatch.setitem(POLICIES, reason, Policy(0.1, 0.2))


class Opened:
    """A driven sink, and what it reported."""

    def __init__(self, url: str, egress: EgressPolicy = LOOPBACK, tls: TlsContexts | None = None) -> None:
        parsed = parse_rtmp_url(url)
        self.events: list[DriverEvent] = []
        self.own: list[bool] = []
        """Of each connection, whether it led to this server's origin."""
        self.on_event: Callable[[DriverEvent], None] | None = None
        authenticator = Authenticator(parsed.user, parsed.password, os.urandom)

        def make_publisher(now: float, is_own: bool) -> Publisher:
            self.own.append(is_own)
            return Publisher(
                app=parsed.app,
                tc_url=parsed.tc_url,
                stream_name="one?key=x",
                random=os.urandom,
                now=now,
                authenticator=authenticator,
            )

        self.sink = Sink(
            make_publisher=make_publisher,
            audio=AudioChoice.AAC,
            audio_bitrate=AAC.bitrate,
            random=lambda: 0.0,
            now=asyncio.get_running_loop().time(),
            headers=HEADERS,
        )
        self.driver = SinkDriver(self.sink, parsed, self._hear, egress, tls or TlsContexts())

    def _hear(self, event: DriverEvent) -> None:
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    @property
    def changes(self) -> list[tuple[SinkState, str | None]]:
        return [(event.state, event.reason) for event in self.events if isinstance(event, SinkChanged)]

    @property
    def status(self) -> dict[str, Any]:
        return self.sink.describe(asyncio.get_running_loop().time())

    @property
    def unsent_bytes(self) -> int:
        """Under way on the connection that the driver has."""
        connection = self.driver._connection
        return connection.unsent_bytes if connection is not None else 0

    async def publishing(self) -> "Opened":
        await until(lambda: self.sink.state is SinkState.PUBLISHING)
        return self

    async def begun(self) -> "Opened":
        """Publishing, after a key frame."""
        self.driver.push([keyframe(0)])
        return await self.publishing()

    async def retrying(self) -> SinkChanged:
        return await until(
            lambda: next(
                (e for e in self.events if isinstance(e, SinkChanged) and e.state is SinkState.RETRYING), None
            )
        )


def url_of(port: int, scheme: str = "rtmp") -> str:
    return f"{scheme}://{HOST}:{port}/live"


async def until_nothing_is_left(before: set["asyncio.Task[Any]"]) -> None:
    await until(lambda: asyncio.all_tasks() <= before)


async def test_tags_from_before_the_connection_reach_the_server(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    assert opened.events == []
    opened.driver.push([keyframe(1000), sound(1010), picture(1020)])
    server = await listener.connection()
    await until(lambda: len(server.media) == 5)
    assert server.events[0] == PublishRequested("live", "one", "key=x", 1)
    assert [message.timestamp for message in server.media[2:]] == [1000, 1010, 1020]
    assert server.payloads[:2] == [AUDIO_HEADER, VIDEO_HEADER]
    await opened.publishing()
    opened.driver.push([picture(1040)])
    await until(lambda: len(server.media) == 6)
    assert opened.own == [False]
    opened.driver.close()
    await until(lambda: server.lost)
    assert opened.sink.state is SinkState.CLOSED
    assert KeyframeWanted() in opened.events


async def test_close_says_goodbye_and_reports_nothing(listener: Listener) -> None:
    before = asyncio.all_tasks()
    opened = await Opened(url_of(listener.port)).begun()
    server = await listener.connection()
    opened.driver.push([picture(40, 1_000_000)])
    events = list(opened.events)
    opened.driver.close()
    opened.driver.close()
    opened.driver.push([picture(80)])
    await until(lambda: server.lost)
    assert PublishEnded() in server.events
    assert opened.events == events
    assert opened.unsent_bytes == opened.driver.waiting_bytes == 0
    await until_nothing_is_left(before)


@pytest.mark.parametrize("who", ["we", "the server"])
async def test_all_that_arrived_is_counted_at_the_end(
    who: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.relay.sinks.sink.WATCH_INTERVAL", 60.0)
    opened = await Opened(url_of(listener.port)).begun()
    server = await listener.connection()
    opened.driver.push([picture(40, 200_000)])
    await until(lambda: len(server.media) == 4)
    await until(lambda: opened.unsent_bytes == 0)
    if who == "the server":
        server.connected.close()
        await opened.retrying()
    opened.driver.close()
    assert opened.status["bytes"] > 200_000


async def test_close_while_connecting(listener: Listener) -> None:
    before = asyncio.all_tasks()
    opened = Opened(url_of(listener.port))
    opened.driver.close()
    await until_nothing_is_left(before)
    assert opened.events == []
    assert listener.connections == []


async def test_close_while_a_server_is_silent_in_tls() -> None:
    async with listening(NeverAnswers) as listener:
        opened = Opened(url_of(listener.port, "rtmps"))
        server = await listener.connection()
        opened.driver.close()
        await until(lambda: server.lost, timeout=1.0)
        assert all(not isinstance(event, SinkChanged) for event in opened.events)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


async def test_close_between_two_attempts() -> None:
    before = asyncio.all_tasks()
    opened = Opened(url_of(free_port()))
    changed = await opened.retrying()
    assert changed.reason == "unreachable"
    count = len(opened.events)
    opened.driver.close()
    await until_nothing_is_left(before)
    assert opened.driver._timer._handle is None
    assert opened.sink.state is SinkState.CLOSED
    assert len(opened.events) == count


async def test_a_server_that_comes_back() -> None:
    async with listening() as listener:
        opened = await Opened(url_of(listener.port)).begun()
        opened.driver.push([picture(40)])
    changed = await opened.retrying()
    assert changed.reason in ("connection_lost", "closed_by_peer")
    assert opened.status["next_try_in"] > 0
    assert opened.unsent_bytes == 0
    opened.driver.push([picture(80), keyframe(120), sound(130)])
    async with listening(port=listener.port) as again:
        server = await again.connection()
        await until(lambda: len(server.media) == 4)
        # From the key frame on, with all headers, and the clock goes on.
        assert server.payloads[:2] == [AUDIO_HEADER, VIDEO_HEADER]
        assert [message.timestamp for message in server.media] == [120, 120, 120, 130]
        await opened.publishing()
        assert opened.status["reason"] is None
        assert opened.status["reconnects"] == 1
        opened.driver.close()


@pytest.mark.parametrize(
    ("make", "reasons"),
    [
        (ClosesAtOnce, {"closed_early", "closed_by_peer", "connection_lost"}),
        (Refuses, {"bad_name"}),
    ],
)
async def test_a_server_that_does_not_take_the_stream(
    listener: Listener, make: Callable[[], RtmpServer], reasons: set[str]
) -> None:
    listener.make = make
    opened = Opened(url_of(listener.port))
    assert (await opened.retrying()).reason in reasons
    assert SinkState.PUBLISHING not in dict(opened.changes)
    server = listener.connections[0]
    await until(lambda: server.lost)
    opened.driver.close()


async def test_a_server_that_resets_in_the_middle_of_a_message(listener: Listener) -> None:
    listener.make = ResetsInChunk
    opened = await Opened(url_of(listener.port)).begun()
    opened.driver.push([picture(40, 2_000_000)])
    assert (await opened.retrying()).reason == "connection_lost"
    listener.make = RtmpServer
    opened.driver.push([keyframe(80)])
    server = await listener.connection(2)
    await until(lambda: len(server.media) == 3)
    await opened.publishing()
    opened.driver.close()


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whipway.protocol.rtmp.client.STEP_TIMEOUT", 0.05)
    async with listening(NeverAnswers) as listener:
        opened = Opened(url_of(listener.port))
        opened.driver.push([keyframe(0)])
        assert (await opened.retrying()).reason == "timeout"
        server = await listener.connection()
        await until(lambda: server.lost)
        opened.driver.close()


async def test_a_stalled_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whipway.relay.sinks.progress.STALL_TIMEOUT", 0.3)
    async with listening(StopsReading, receive_buffer=SMALL_BUFFER) as listener:
        opened = await Opened(url_of(listener.port)).begun()
        server = await listener.connection()
        opened.driver.push([picture(40, 1_000_000)])
        assert opened.unsent_bytes > 0
        changed = await opened.retrying()
        assert changed.reason == "stalled"
        # Cut at once: nothing of ours stays behind for the next attempt to meet.
        assert opened.unsent_bytes == 0
        assert isinstance(server, StopsReading)
        server.limit = 10**9
        server.connected.resume_reading()
        await until(lambda: server.lost)
        assert PublishEnded() not in server.events
        listener.make = RtmpServer
        opened.driver.push([keyframe(80)])
        await opened.publishing()
        opened.driver.close()


async def test_what_waits_waits_in_the_sink() -> None:
    async with listening(StopsReading, receive_buffer=SMALL_BUFFER) as listener:
        opened = await Opened(url_of(listener.port)).begun()
        server = await listener.connection()
        for at in range(40, 1640, 40):
            opened.driver.push([picture(at, 100_000)])
            await asyncio.sleep(0)
        connection = opened.driver._connection
        assert connection is not None
        assert connection.backlog_bytes <= WRITE_BUFFER_BYTES + 100_100
        assert opened.status["queue_bytes"] > 2_000_000
        assert opened.status["queue_ms"] > 500
        assert isinstance(server, StopsReading)
        server.limit = 10**9
        server.connected.resume_reading()
        await until(lambda: len(server.media) == 43)
        assert [message.timestamp for message in server.media[2:]] == list(range(0, 1640, 40))
        assert opened.status["queue_bytes"] == 0
        opened.driver.close()


async def test_a_flood_of_questions_ends_in_bounds() -> None:
    async with listening(FloodsPings, receive_buffer=SMALL_BUFFER) as listener:
        opened = Opened(url_of(listener.port))
        most = 0

        def is_over() -> bool:
            nonlocal most
            most = max(most, opened.unsent_bytes)
            return any(state is SinkState.RETRYING for state, _ in opened.changes)

        await until(is_over)
        assert most < 1_000_000
        opened.driver.close()


async def test_a_bad_certificate_is_said(tmp_path: Path) -> None:
    context = write_certificate(tmp_path).server_context()
    async with listening(tls=context) as listener:
        refused = Opened(url_of(listener.port, "rtmps"))
        changed = await refused.retrying()
        assert changed.reason == "tls"
        assert changed.detail.endswith("its certificate is not accepted: self-signed certificate")
        refused.driver.close()
        opened = await Opened(url_of(listener.port, "rtmps"), tls=TlsContexts([HOST])).begun()
        server = await until(lambda: listener.protocol)
        opened.driver.close()
        await until(lambda: server.lost)
        assert PublishEnded() in server.events


async def test_a_stalled_server_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whipway.relay.sinks.progress.STALL_TIMEOUT", 0.3)
    context = write_certificate(tmp_path).server_context()
    async with listening(StopsReading, receive_buffer=SMALL_BUFFER, tls=context) as listener:
        opened = await Opened(url_of(listener.port, "rtmps"), tls=TlsContexts([HOST])).begun()
        for at in range(40, 800, 40):
            opened.driver.push([picture(at, 200_000)])
        assert (await opened.retrying()).reason == "stalled"
        opened.driver.close()


async def test_a_host_that_is_not_allowed_is_final(listener: Listener) -> None:
    opened = Opened(url_of(listener.port), EgressPolicy())
    await until(lambda: opened.sink.state is SinkState.FAILED)
    assert opened.changes[-1] == (SinkState.FAILED, "egress_refused")
    assert opened.driver._timer._handle is None
    opened.driver.close()
    assert opened.sink.state in (SinkState.FAILED, SinkState.CLOSED)


async def test_the_own_origin_is_told_apart(listener: Listener) -> None:
    opened = Opened(url_of(listener.port), EgressPolicy(own=[(HOST, listener.port)]))
    await opened.begun()
    assert opened.own == [True]
    opened.driver.close()


async def test_who_hears_of_events_may_close(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    opened.on_event = lambda event: opened.driver.close()
    await until(lambda: opened.events)
    await until(lambda: opened.sink.state is SinkState.CLOSED)
    assert len(opened.events) == 1
    await until(lambda: all(server.lost for server in listener.connections))


async def test_nothing_is_heard_after_that_of_what_happened_before(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    opened.on_event = lambda event: opened.driver.close()
    opened.sink._events.append(KeyframeWanted())
    await until(lambda: opened.events)
    assert opened.events == [KeyframeWanted()]


async def test_who_hears_of_publishing_may_close(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))

    def on_event(event: DriverEvent) -> None:
        if isinstance(event, SinkChanged) and event.state is SinkState.PUBLISHING:
            opened.driver.close()

    opened.on_event = on_event
    opened.driver.push([keyframe(0)])
    server = await listener.connection()
    await until(lambda: server.lost)
    assert PublishEnded() in server.events


async def test_who_hears_of_events_may_push(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    opened.on_event = lambda event: (
        opened.driver.push([keyframe(0)]) if isinstance(event, KeyframeWanted) else None
    )
    server = await listener.connection()
    await until(lambda: len(server.media) >= 3)
    await opened.publishing()
    opened.driver.close()


async def test_one_write_for_each_push(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = await Opened(url_of(listener.port)).begun()
    connection = opened.driver._connection
    assert connection is not None
    written: list[int] = []
    send = connection.send

    def count(data: list[bytes]) -> None:
        written.append(sum(map(len, data)))
        send(data)

    monkeypatch.setattr(connection, "send", count)
    opened.driver.push([picture(40, 200_000), sound(50), sound(70)])
    assert len(written) == 1
    assert written[0] > 200_000
    opened.driver.close()


async def test_what_was_acknowledged_before_the_media_proves_nothing(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged, looks = 10_000, 0  # More than RTMP has written by then, as with TLS.

    def look(connection: SinkConnection) -> int:
        nonlocal looks
        looks += 1
        return acknowledged

    monkeypatch.setattr(SinkConnection, "acknowledged_bytes", property(look))
    opened = Opened(url_of(listener.port))
    opened.driver.push([keyframe(0)])
    server = await listener.connection()
    await until(lambda: len(server.media) == 3)
    before = looks
    await until(lambda: looks >= before + 3)
    assert opened.changes == []
    acknowledged += 1
    await opened.publishing()
    opened.driver.close()


async def test_progress_is_noted_when_it_is_wanted(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await Opened(url_of(listener.port)).begun()
    monkeypatch.setattr("whipway.relay.sinks.sink.WATCH_INTERVAL", 1000.0)
    opened.driver.note_progress()
    opened.sink.handle_timeout(asyncio.get_running_loop().time() + 1)  # Does not look before a long time.
    before = opened.status["bytes"]
    opened.driver.push([picture(40, 50_000)])
    await until(lambda: opened.unsent_bytes == 0)
    assert opened.status["bytes"] == before
    opened.driver.note_progress()
    assert opened.status["bytes"] > before + 50_000
    opened.driver.close()
    opened.driver.note_progress()
    assert opened.sink.state is SinkState.CLOSED


async def test_what_is_noted_is_reported_in_the_next_turn(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.relay.sinks.sink.PROOF_INTERVAL", 1000.0)
    opened = Opened(url_of(listener.port))
    opened.driver.push([keyframe(0)])
    server = await listener.connection()
    await until(lambda: len(server.media) == 3 and opened.unsent_bytes == 0)
    opened.driver.note_progress()
    assert opened.sink.state is SinkState.PUBLISHING
    assert opened.changes == []
    await asyncio.sleep(0)
    assert opened.changes == [(SinkState.PUBLISHING, None)]
    opened.driver.close()


def bug(*args: object) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("verb", "end"),
    [
        ("events", None),
        ("connected", None),
        ("receive_data", None),
        ("handle_timeout", None),
        ("receive_eof", lambda transport: transport.close()),
        ("connection_failed", reset),
    ],
)
async def test_a_bug_in_a_callback_is_said_once_and_ends_the_sink(
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    end: Callable[[asyncio.Transport], None] | None,
) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    before = asyncio.all_tasks()
    opened = Opened(url_of(listener.port))
    opened.driver.push([keyframe(0)])
    if end is not None:
        await opened.publishing()
        end(listener.connections[0].connected)
    monkeypatch.setattr(opened.sink, verb, bug)
    with capture_logs() as logs:
        await until(lambda: SinkBroken() in opened.events)
        await until_nothing_is_left(before)
        await until(lambda: all(server.lost for server in listener.connections))
    assert [entry["event"] for entry in logs] == ["sink failed"]
    assert logs[0]["exc_info"]
    assert opened.events.count(SinkBroken()) == 1
    assert opened.sink.state is SinkState.CLOSED
    assert opened.driver._timer._handle is None
    assert unheard == []
    opened.driver.close()


async def test_a_bug_that_comes_from_writing() -> None:
    async with listening(StopsReading, receive_buffer=SMALL_BUFFER) as listener:
        opened = await Opened(url_of(listener.port)).begun()
        opened.sink.set_writable = bug  # type: ignore[method-assign, assignment]
        with capture_logs() as logs:
            opened.driver.push([picture(40, 5_000_000)])
            await until(lambda: SinkBroken() in opened.events)
        assert [entry["event"] for entry in logs] == ["sink failed"]


async def test_a_bug_in_who_hears_of_it(listener: Listener) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    opened = Opened(url_of(listener.port))
    opened.on_event = bug
    with capture_logs() as logs:
        await until(lambda: SinkBroken() in opened.events)
    assert [entry["event"] for entry in logs] == ["sink failed"]
    assert unheard == []
    opened.driver.push([keyframe(0)])
    opened.driver.close()


@pytest.mark.parametrize("scheme", ["adobe", "llnw"])
async def test_a_server_that_wants_a_password(scheme: str) -> None:
    async with guarded(scheme, "bob", "wonderland") as keeper:
        opened = await Opened(f"rtmp://bob:wonderland@{HOST}:{keeper.port}/live").begun()
        await until(lambda: keeper.media_messages == 3)
        assert opened.changes == [(SinkState.PUBLISHING, None)]
        assert len(opened.own) == 3
        await until(lambda: len(keeper.transports) == 1)
        opened.driver.close()
        await until(lambda: not keeper.transports)
        refused = Opened(f"rtmp://bob:alice@{HOST}:{keeper.port}/live")
        await until(lambda: refused.changes == [(SinkState.FAILED, "unauthorized")])
        await until(lambda: not keeper.transports)
        refused.driver.close()
