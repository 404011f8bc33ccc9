"""What the worker's own tests cannot bring about: several events in one batch, in an order of choice."""

import asyncio

import pytest
import structlog
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening

from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.relay import sink
from whipway.relay.muxer import Muxer, Tag
from whipway.relay.sink import Sink, SinkPublishing, SinkState
from whipway.session.events import Connected, Ended, EndReason, Event
from whipway.worker import broadcast
from whipway.worker.broadcast import Broadcast, Names
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_connection import SinkConnection

pytestmark = pytest.mark.anyio

EGRESS = EgressPolicy([HOST])
SOUND = b"\xfc\xff\xfe"


class Script:
    """Stands for a session: has the given events, once."""

    def __init__(self, *events: Event) -> None:
        self._events = [*events]
        self.requests = 0
        self.ended = next((event for event in events if isinstance(event, Ended)), None)

    def datagrams_to_send(self) -> list[object]:
        return []

    def events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def end(self, reason: EndReason, detail: str) -> None:
        if self.ended is None:
            self.ended = Ended(reason, detail)
            self._events.append(self.ended)

    def request_keyframe(self) -> None:
        self.requests += 1

    def silent_for(self, now: float) -> float | None:
        return None


class CountingMuxer(Muxer):
    """Counts what it is given."""

    pushed = 0

    def push(self, unit: object) -> list[Tag]:
        self.pushed += 1
        return super().push(unit)  # type: ignore[arg-type]


class Parts:
    """A broadcast of sound that publishes to `port`."""

    def __init__(self, port: int, *events: Event) -> None:
        self.ends: list[Ended] = []
        self.sinks: list[Sink] = []
        self.connections: list[SinkConnection] = []
        self._url = parse_rtmp_url(f"rtmp://{HOST}:{port}/live")
        self.muxer = CountingMuxer(has_video=False, make_transcoder=lambda: Transcoder(bitrate=64_000))
        self.broadcast = Broadcast(
            Script(*events),  # type: ignore[arg-type]
            self.muxer,
            self._make_sink,
            lambda data, addr: None,
            lambda broadcast, ended: self.ends.append(ended),
            Names("one", "one", "host/live/one", "on…"),
            lambda words: words.replace("SECRET", "…"),
        )

    def _make_sink(self, on_event: object) -> SinkConnection:
        now = asyncio.get_running_loop().time()
        publisher = Publisher(app="live", tc_url=self._url.tc_url, stream_name="one", random=bytes, now=now)
        self.sinks.append(Sink(publisher))
        self.connections.append(SinkConnection(self.sinks[-1], self._url, on_event, EGRESS))  # type: ignore[arg-type]
        return self.connections[-1]


def sounds(count: int) -> list[AudioFrame]:
    return [AudioFrame(number * 960, SOUND, number * 20_000) for number in range(count)]


async def test_media_in_the_same_batch_as_the_goodbye_is_relayed() -> None:
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"), *sounds(3), Ended(EndReason.CLIENT_CLOSED))
        parts.broadcast.pump()
    assert parts.muxer.pushed == 3
    assert parts.ends == [Ended(EndReason.CLIENT_CLOSED)]
    assert [one.state for one in parts.sinks] == [SinkState.CLOSED]


async def test_a_picture_that_is_of_no_use_has_a_key_frame_asked_for() -> None:
    picture = AccessUnit(0, [b"\x41\x9a\x01"], keyframe=False)
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"), *sounds(2), picture, picture)
        parts.broadcast.pump()
        assert parts.muxer.needs_keyframe
        assert parts.broadcast.session.requests == 2  # type: ignore[attr-defined]
        parts.broadcast.end(EndReason.DELETED)


async def test_nothing_is_relayed_once_the_sink_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MAX_WAITING_BYTES", 0)
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"), *sounds(3))
        parts.broadcast.pump()
    assert parts.muxer.pushed == 1
    [ended] = parts.ends
    assert ended.reason is EndReason.SINK_FAILED


async def test_the_first_end_counts_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MAX_WAITING_BYTES", 0)
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"), *sounds(3), Ended(EndReason.CLIENT_CLOSED))
        parts.broadcast.pump()
        parts.broadcast.end(EndReason.DELETED)
    assert parts.ends == [Ended(EndReason.CLIENT_CLOSED)]


async def test_media_before_the_connection_has_no_sink() -> None:
    parts = Parts(1, *sounds(2))
    parts.broadcast.pump()
    assert parts.muxer.pushed == 0 and parts.sinks == []
    parts.broadcast.end(EndReason.DELETED)
    assert parts.ends == [Ended(EndReason.DELETED)]


async def test_a_sink_that_cannot_be_closed_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(_: object) -> None:
        raise RuntimeError("a bug")

    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"))
        parts.broadcast.pump()
        with monkeypatch.context() as patched:
            patched.setattr(SinkConnection, "close", boom)
            with pytest.raises(RuntimeError):
                parts.broadcast.end(EndReason.DELETED)
        assert parts.ends == [Ended(EndReason.DELETED)]
        parts.connections[0].close()


async def test_what_the_server_says_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "describe_session", lambda *args, **more: {"drops": {}})
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"))
        with structlog.testing.capture_logs() as logs:
            parts.broadcast.pump()
            parts.broadcast._on_sink_event(SinkPublishing())
            parts.sinks[0].fail("bad_name", "Stream one?key=SECRET is busy")
            parts.connections[0].drain()
    assert [entry["event"] for entry in logs] == ["client connected", "publishing", "sink failed"]
    assert logs[1]["stream"] == "on…" and logs[2]["detail"] == "Stream one?key=… is busy"
    assert parts.ends == [Ended(EndReason.SINK_FAILED, "Stream one?key=… is busy")]
    [described] = parts.broadcast.describe(0.0)["sinks"]
    assert described["detail"] == "Stream one?key=… is busy"
