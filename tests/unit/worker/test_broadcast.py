"""What the worker's own tests cannot bring about: several events in one batch, in an order of choice."""

from collections.abc import Collection
from typing import Any

import pytest
import structlog
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.unit.worker.serving import boom, make_sinks

from whipway.failures import DropReason
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
from whipway.worker.broadcast import MAX_WAITING_SOUND, MAX_WAITING_SOUND_US, Broadcast, Names
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


class CountingMuxer:
    """Counts what a muxer is given, and notes what it is asked for."""

    def __init__(self, muxer: Muxer) -> None:
        self._muxer = muxer
        self.pushed = 0
        self.asked: list[Collection[AudioFormat]] = []

    def push(self, unit: AccessUnit | AudioFrame) -> list[Tag]:
        self.pushed += 1
        return self._muxer.push(unit)

    def set_formats(self, formats: Collection[AudioFormat]) -> list[Tag]:
        self.asked.append(formats)
        return self._muxer.set_formats(formats)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._muxer, name)


class Parts:
    """A broadcast of sound with a sink that publishes to `port`."""

    def __init__(self, port: int, *events: Event) -> None:
        self.ends: list[Ended] = []
        self.changes = 0
        self.port = port
        self.muxer = CountingMuxer(
            Muxer(
                has_video=False, has_audio=True, make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate)
            )
        )
        self.script = Script(*events)
        self.broadcast = Broadcast(
            self.script,  # type: ignore[arg-type]
            self.muxer,  # type: ignore[arg-type]
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
    parts = Parts(9, Connected("profile"), *sounds(2))
    parts.broadcast.pump()
    second = parts.add("two", "auto")
    monkeypatch.setattr(type(second), "format", AAC)
    parts.broadcast._on_sink_event(second, FormatChanged())
    monkeypatch.undo()
    parts.broadcast.remove_sink("1")
    parts.fail(second)
    assert parts.muxer.asked == [{AAC}, {AAC, OPUS}, {AAC}, {OPUS}, set()]


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


# Sound that is to be transcoded


def begun(parts: Parts) -> None:
    """Have the stream begin, with AAC for its sink."""
    parts.script._events += sounds(1)
    parts.broadcast.pump()
    assert parts.muxer.pushed == 1 and not parts.broadcast.has_sound


async def test_sound_waits_until_it_has_a_turn() -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    parts.script._events += [*sounds(4)[1:], AccessUnit(0, [b"\x41\x9a\x01"], keyframe=False)]
    parts.broadcast.pump()
    # The picture did not.
    assert parts.muxer.drops == {DropReason.H264_AWAITING_IDR: 1}
    assert (parts.muxer.pushed, parts.broadcast.has_sound) == (2, True)
    for pushed in (3, 4, 5):
        assert parts.broadcast.has_sound
        parts.broadcast.relay_sound()
        assert parts.muxer.pushed == pushed
    assert not parts.broadcast.has_sound
    parts.broadcast.relay_sound()
    assert parts.muxer.pushed == 5
    parts.broadcast.end(EndReason.DELETED)


async def test_what_waits_is_still_relayed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    pushed: list[Tag] = []
    monkeypatch.setattr(BroadcastSink, "push", lambda sink, tags: pushed.extend(tags))
    parts.script._events += sounds(20)[1:]
    parts.broadcast.pump()
    assert (parts.muxer.pushed, pushed) == (1, [])
    parts.broadcast.end(EndReason.DELETED)
    assert parts.muxer.pushed == 20 and not parts.broadcast.has_sound
    assert [tag.timestamp_ms for tag in pushed] == [round(number * 1024 / 48) for number in range(19)]


async def test_where_too_much_waits_the_oldest_sound_is_relayed_at_once() -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    times: list[int] = []
    step_us = 2_500
    parts.script._events += [
        AudioFrame(0, SOUND, number * step_us) for number in range(1, MAX_WAITING_SOUND + 4)
    ]
    parts.broadcast.pump()
    assert parts.muxer.pushed == 4 and not parts.muxer.drops
    while parts.broadcast.has_sound:
        times.append(parts.broadcast._sound[0].time_us // step_us)
        parts.broadcast.relay_sound()
    assert times == list(range(4, MAX_WAITING_SOUND + 4))
    parts.broadcast.end(EndReason.DELETED)


async def test_half_a_second_of_long_packets_waits_at_most() -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    parts.script._events += [AudioFrame(0, SOUND, number * 120_000) for number in range(1, 12)]
    parts.broadcast.pump()
    waiting = [frame.time_us for frame in parts.broadcast._sound]
    assert waiting[-1] - waiting[0] < MAX_WAITING_SOUND_US <= waiting[-1] - (waiting[0] - 120_000)
    parts.broadcast.end(EndReason.DELETED)


async def test_sound_that_is_not_transcoded_does_not_wait() -> None:
    parts = Parts(9, Connected("profile"))
    parts.add("two", "opus")
    parts.broadcast.remove_sink("1")
    parts.script._events += sounds(3)
    parts.broadcast.pump()
    assert parts.muxer.pushed == 3 and not parts.broadcast.has_sound
    parts.broadcast.end(EndReason.DELETED)


async def test_sound_stays_in_order_when_it_is_not_transcoded_any_more() -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    frames = sounds(4)
    parts.script._events += frames[1:3]
    parts.broadcast.pump()
    parts.add("two", "opus")
    parts.broadcast.remove_sink("1")
    parts.script._events += frames[3:]
    parts.broadcast.pump()
    assert list(parts.broadcast._sound) == frames[1:]
    parts.broadcast.end(EndReason.DELETED)
    assert parts.muxer.pushed == 4


async def test_a_broadcast_that_is_over_has_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(9, Connected("profile"))
    begun(parts)
    parts.script._events += sounds(4)[1:]
    parts.broadcast.pump()
    with monkeypatch.context() as patched:
        patched.setattr(parts.script, "events", boom)
        with pytest.raises(RuntimeError):
            parts.broadcast.end(EndReason.DELETED)
    assert parts.ends == [Ended(EndReason.DELETED)] and not parts.broadcast.has_sound
    parts.broadcast.relay_sound()
    assert parts.muxer.pushed == 1
