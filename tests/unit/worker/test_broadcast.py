"""What the worker's own tests cannot bring about: several events in one batch, in an order of choice."""

import pytest
import structlog
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.unit.worker.serving import boom, make_sinks

from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.relay.muxer import Muxer
from whipway.relay.quality import Policy, QualityControl
from whipway.relay.sinks.sink import (
    FormatChanged,
    KeyframeWanted,
    OpenConnection,
    PicturesDropped,
    SinkChanged,
    SinkState,
)
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat, Tag
from whipway.session.events import Connected, Ended, EndReason, Event
from whipway.worker import broadcast
from whipway.worker.broadcast import Broadcast, Names
from whipway.worker.sink_driver import SinkBroken
from whipway.worker.sinks import BroadcastSink, SinkSpec
from whipway.worker.steering import Steering

pytestmark = pytest.mark.anyio

AAC = AudioFormat(AudioCodec.AAC, 64_000)
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
    """A broadcast of sound with a sink that publishes to `port`."""

    def __init__(self, port: int, *events: Event) -> None:
        self.ends: list[Ended] = []
        self.changes = 0
        self.port = port
        self.muxer = CountingMuxer(
            has_video=False, has_audio=True, make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate)
        )
        self.script = Script(*events)
        self.broadcast = Broadcast(
            self.script,  # type: ignore[arg-type]
            self.muxer,
            make_sinks(),
            lambda data, addr: None,
            self._note_change,
            lambda broadcast, ended: self.ends.append(ended),
            Names("one", "one"),
            QualityControl(Policy.OFF, 150_000),
        )
        self.add("one?key=S3CRET0")

    def add(self, name: str, audio: str = "aac") -> BroadcastSink:
        spec = SinkSpec(name, f"rtmp://{HOST}:{self.port}/live", audio, 64_000, "none", name)
        found = self.broadcast._sinks.find(self.broadcast.add_sink(spec)["id"])
        assert found is not None
        return found

    @property
    def sinks(self) -> list[BroadcastSink]:
        return list(self.broadcast._sinks._by_id.values())

    def fail(self, sink: BroadcastSink, detail: str = "no") -> None:
        """Have a sink give up, as its driver would tell."""
        driver = sink._driver
        assert driver is not None
        driver.drain()
        driver.connection_failed("unauthorized", detail)

    def _note_change(self, broadcast: Broadcast) -> None:
        assert broadcast is self.broadcast
        self.changes += 1


def sounds(count: int) -> list[AudioFrame]:
    return [AudioFrame(number * 960, SOUND, number * 20_000) for number in range(count)]


async def test_media_in_the_same_batch_as_the_goodbye_is_relayed() -> None:
    async with listening() as listener:
        parts = Parts(listener.port, Connected("profile"), *sounds(3), Ended(EndReason.CLIENT_CLOSED))
        parts.broadcast.pump()
    assert parts.muxer.pushed == 3
    assert parts.ends == [Ended(EndReason.CLIENT_CLOSED)]
    assert [sink._machine.state for sink in parts.sinks] == [SinkState.CLOSED]


async def test_a_picture_that_is_of_no_use_has_a_key_frame_asked_for() -> None:
    picture = AccessUnit(0, [b"\x41\x9a\x01"], keyframe=False)
    parts = Parts(9, Connected("profile"), *sounds(2), picture, picture)
    parts.broadcast.pump()
    assert parts.muxer.needs_keyframe
    # By the sink that begins, and for each picture.
    assert parts.script.requests == 1 + 2
    parts.broadcast.end(EndReason.DELETED)


async def test_nothing_is_relayed_once_the_broadcast_is_over() -> None:
    parts = Parts(9, Connected("profile"), *sounds(3))

    class LastSink(BroadcastSink):
        def push(self, tags: list[Tag]) -> None:
            parts.fail(self)

    parts.sinks[0].__class__ = LastSink
    parts.broadcast.pump()
    assert parts.muxer.pushed == 1
    [ended] = parts.ends
    assert ended.reason is EndReason.SINK_FAILED


async def test_the_first_end_counts_and_is_told_once() -> None:
    parts = Parts(9, Connected("profile"), *sounds(3), Ended(EndReason.CLIENT_CLOSED))
    parts.broadcast.pump()
    parts.fail(parts.sinks[0])
    parts.broadcast.end(EndReason.DELETED)
    assert parts.ends == [Ended(EndReason.CLIENT_CLOSED)]


async def test_a_sink_that_cannot_be_closed_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(9, Connected("profile"))
    parts.add("two")
    parts.broadcast.pump()
    with monkeypatch.context() as patched:
        patched.setattr(parts.sinks[0], "close", boom)
        with pytest.raises(RuntimeError):
            parts.broadcast.end(EndReason.DELETED)
    assert parts.ends == [Ended(EndReason.DELETED)]
    assert parts.sinks[1]._machine.state is SinkState.CLOSED
    parts.sinks[0].close()


async def test_a_bug_in_a_sink_ends_its_session() -> None:
    parts = Parts(9, Connected("profile"))
    parts.broadcast.pump()
    parts.broadcast._on_sink_event(parts.sinks[0], SinkBroken())
    [ended] = parts.ends
    assert ended.reason is EndReason.INTERNAL_ERROR


# What sinks tell


async def test_a_sink_in_trouble_is_only_told_of() -> None:
    parts = Parts(9, Connected("profile"))
    parts.broadcast.pump()
    [sink] = parts.sinks
    changes = parts.changes
    with structlog.testing.capture_logs() as logs:
        for state in (SinkState.RETRYING, SinkState.CONNECTING, SinkState.PUBLISHING):
            parts.broadcast._on_sink_event(sink, SinkChanged(state, "bad_name", "Stream one?key=S3CRET0!"))
    assert parts.changes == changes + 3
    assert [entry["event"] for entry in logs] == ["sink retries", "publishing"]
    assert {(entry["session"], entry["sink"], entry["stream"]) for entry in logs} == {("one", "1", "one")}
    assert (logs[0]["reason"], logs[0]["detail"]) == ("bad_name", "Stream one?…")
    assert parts.ends == []
    parts.broadcast.end(EndReason.DELETED)


async def test_a_sink_that_drops_pictures_is_named_in_the_log() -> None:
    parts = Parts(9)
    with structlog.testing.capture_logs() as logs:
        parts.broadcast._on_sink_event(parts.sinks[0], PicturesDropped(75))
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == ("sink drops pictures", "warning")
    assert (entry["sink"], entry["stream"], entry["frames_dropped"]) == ("1", "one", 75)


async def test_only_the_last_sink_to_fail_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "describe_session", lambda *args, **more: {"drops": {}})
    monkeypatch.setattr(Steering, "describe", lambda steering, now: {})
    parts = Parts(9, Connected("profile"))
    parts.broadcast.pump()
    first, second = parts.sinks[0], parts.add("two")
    with structlog.testing.capture_logs() as logs:
        parts.fail(first, "of one?key=S3CRET0")
        assert parts.ends == []
        # Which stays to say so.
        assert [sink["state"] for sink in parts.broadcast.describe(0.0)["sinks"]] == ["failed", "connecting"]
        parts.fail(second, "of two")
    assert [(entry["event"], entry["detail"]) for entry in logs] == [
        ("sink failed", "of one?…"),
        ("sink failed", "of two"),
    ]
    assert parts.ends == [Ended(EndReason.SINK_FAILED, "of two")]


async def test_a_session_without_a_sink_goes_on() -> None:
    parts = Parts(9, Connected("profile"))
    parts.broadcast.pump()
    assert parts.broadcast.remove_sink("9") is None
    removed = parts.broadcast.remove_sink("1")
    assert removed is not None and removed[0] == "one?key=S3CRET0" and removed[1]["state"] == "closed"
    parts.script._events += sounds(3)
    parts.broadcast.pump()
    assert parts.muxer.pushed == 3 and parts.ends == []
    # The stream has begun, so that the next one finds what it has to begin with.
    assert parts.muxer.headers() == []
    parts.add("two")
    assert {tag.audio for tag in parts.muxer.headers()} == {AAC}
    parts.broadcast.end(EndReason.DELETED)


async def test_a_key_frame_is_asked_for_when_a_sink_wants_one() -> None:
    parts = Parts(9)
    parts.broadcast._on_sink_event(parts.sinks[0], KeyframeWanted())
    assert parts.script.requests == 1
    parts.broadcast.end(EndReason.DELETED)


async def test_what_is_for_the_driver_does_not_come_here() -> None:
    parts = Parts(9)
    with pytest.raises(AssertionError):
        parts.broadcast._on_sink_event(parts.sinks[0], OpenConnection())
    parts.broadcast.end(EndReason.DELETED)


async def test_sound_is_made_as_the_sinks_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[AudioFormat]] = []
    make = CountingMuxer.set_formats

    def set_formats(muxer: CountingMuxer, formats: set[AudioFormat]) -> list[Tag]:
        asked.append(formats)
        return make(muxer, formats)

    monkeypatch.setattr(CountingMuxer, "set_formats", set_formats)
    parts = Parts(9, Connected("profile"), *sounds(2))
    parts.broadcast.pump()
    second = parts.add("two", "auto")
    monkeypatch.setattr(type(second), "format", AAC)
    parts.broadcast._on_sink_event(second, FormatChanged())
    monkeypatch.undo()
    monkeypatch.setattr(CountingMuxer, "set_formats", set_formats)
    parts.broadcast.remove_sink("1")
    parts.fail(second)
    assert asked == [{AAC}, {AAC, OPUS}, {AAC}, {OPUS}, set()]


async def test_a_sink_that_comes_late_gets_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(9, Connected("profile"), *sounds(2))
    parts.broadcast.pump()
    pushed: list[Tag] = []
    monkeypatch.setattr(BroadcastSink, "push", lambda sink, tags: pushed.extend(tags))
    parts.add("two", "opus")
    # Those of a format that nobody had wanted before come behind.
    assert {tag.audio for tag in pushed} == {OPUS}
    parts.broadcast.end(EndReason.DELETED)


async def test_metadata_goes_to_all_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(9, Connected("profile"), *sounds(2))
    parts.broadcast.pump()
    parts.add("two")
    pushed: dict[str, list[bytes]] = {"1": [], "2": []}
    monkeypatch.setattr(
        BroadcastSink, "push", lambda sink, tags: pushed[sink.id].extend(tag.payload for tag in tags)
    )
    parts.broadcast.send_metadata("onCuePoint", {"name": "goal"})
    parts.broadcast.send_metadata("onMetaData", {"title": "match"})
    assert pushed["1"] == pushed["2"]
    cue, metadata = pushed["1"]
    assert b"onCuePoint" in cue and b"goal" in cue
    assert b"onMetaData" in metadata and b"match" in metadata
    monkeypatch.undo()
    parts.broadcast.end(EndReason.DELETED)
