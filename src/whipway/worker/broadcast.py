"""One session at work: its machine, the muxer behind it, its sinks.

The data goes one way: `Session` → media units → `Muxer` → tags → `Sinks`. Nothing here waits. A sink that is
in trouble is nobody's business but its own; only when the last of them has given up, the session ends.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, assert_never

import structlog

from whipway.media.nal import to_byte_stream
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.ice import Address
from whipway.relay.muxer import Muxer
from whipway.relay.quality import QualityControl
from whipway.relay.sinks.sink import (
    FormatChanged,
    KeyframeWanted,
    PicturesDropped,
    SinkChanged,
    SinkState,
)
from whipway.session.events import Connected, Ended, EndReason
from whipway.session.ice_session import IceUpdate
from whipway.session.session import Session
from whipway.session.snapshot import describe_session
from whipway.worker.sink_driver import DriverEvent, SinkBroken
from whipway.worker.sinks import BroadcastSink, SinkFactory, Sinks, SinkSpec
from whipway.worker.steering import Steering

SendDatagram = Callable[[bytes, Address], None]

MAX_WAITING_SOUND: Final = 50
"""Packets that wait to be transcoded."""
MAX_WAITING_SOUND_US: Final = 500_000
"""Media time that waits. After a second silence would take the place of what is missing (`relay.muxer`). More
comes where this process stood still, and then pictures wait for sound."""


class Names(NamedTuple):
    """What a broadcast is known by."""

    session_id: str
    stream_name: str
    """Without the publisher's arguments, which may be secrets."""


class Broadcast:
    """Drives one session. Sinks are added after it is made.

    `on_changed` is called when the session or a sink is in another state; `on_ended` once, when everything is
    released.
    """

    def __init__(
        self,
        session: Session,
        muxer: Muxer,
        sinks: SinkFactory,
        send_datagram: SendDatagram,
        on_changed: Callable[["Broadcast"], None],
        on_ended: Callable[["Broadcast", Ended], None],
        names: Names,
        quality: QualityControl,
    ) -> None:
        self.session = session
        self.session_id = names.session_id
        self.ufrags: tuple[str, ...] = ()
        """Of our side: STUN to them belongs to this session. As routed, see `Routes`."""
        self.addresses: list[Address] = []
        """Where its datagrams come from, the latest last."""
        self.quiet_until = 0.0
        """Its `deadline` is not before, unless something happens to it; 0 when something has."""
        self._names = names
        self._muxer = muxer
        self._sinks = Sinks(sinks, self._on_sink_event)
        self._steering = Steering(session, muxer, self._sinks, quality)
        self._send_datagram = send_datagram
        self._on_changed = on_changed
        self._on_ended = on_ended
        self._sound: deque[AudioFrame] = deque()
        """What waits to be transcoded."""
        self._released = False
        self._log = structlog.get_logger("broadcast").bind(session=names.session_id[:8])

    def pump(self) -> None:
        """Take everything the session has to give: after each batch of input."""
        self.quiet_until = 0.0
        for data, addr in self.session.datagrams_to_send():
            self._send_datagram(data, addr)
        for event in self.session.events():
            match event:
                case AccessUnit() | AudioFrame():
                    self._relay(event)
                case Connected(profile):
                    self._log.info("client connected", srtp=profile)
                    self._sinks.start()
                    self._on_changed(self)
                case Ended():
                    self._finish(event)
                case _:
                    assert_never(event)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by now. To be pumped afterwards."""
        deadline = self.session.deadline(now)
        if deadline is not None and deadline <= now:
            self.session.handle_timeout(now)
        if self._steering.handle_timeout(now):
            self._on_changed(self)

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` is wanted; None once the session is over."""
        deadline = self.session.deadline(now)
        return None if deadline is None else min(deadline, self._steering.deadline())

    def update_ice(self, fragment: str, if_match: Collection[str], now: float) -> IceUpdate:
        """Trickle or restart; raises as `IceSession.update` does."""
        update = self.session.update_ice(fragment, if_match, now)
        if update.etag:
            self._log.info("ICE restarts", generation=self.session.ice.generation)
        return update

    @property
    def has_room(self) -> bool:
        """Whether it may have another sink."""
        return not self._sinks.is_full

    def has_failed_sink(self, sink_id: str) -> bool:
        """Whether this sink is still listed, and has given up for good."""
        sink = self._sinks.find(sink_id)
        return sink is not None and sink.has_failed

    def add_sink(self, spec: SinkSpec) -> dict[str, Any]:
        """Make one more sink, and describe it. It begins with the next key frame, which is asked for."""
        sink = self._sinks.add(spec, self._muxer.headers())
        self._choose_formats()
        self._on_changed(self)
        return sink.describe()

    def remove_sink(self, sink_id: str) -> tuple[str, dict[str, Any]] | None:
        """End one sink: its stream's key, and how it was at last. None: there is no such sink.

        The session stays, even without any sink: it may be given another.
        """
        sink = self._sinks.remove(sink_id)
        if sink is None:
            return None
        self._choose_formats()
        self._on_changed(self)
        return sink.spec.stream_key, sink.describe()

    def send_metadata(self, handler: str, payload: Mapping[str, Any]) -> None:
        """Put a data message of the publisher into every sink: for good if it is metadata, else once."""
        if handler == "onMetaData":
            self._sinks.push(self._muxer.set_metadata(payload))
        else:
            self._sinks.push(self._muxer.make_data(handler, payload))

    def select_input(self, mid: str, now: float) -> None:
        """Put another input on air, with its next key frame. Raises `UnknownInput`."""
        self.session.inputs.select_input(mid, now)
        self._on_changed(self)

    def set_quality(self, values: Mapping[str, Any]) -> None:
        """Ask for another quality, as `messages.SetQuality` has it. Raises `UnknownLayer`."""
        self._steering.set_quality(values)
        self._on_changed(self)

    def request_keyframe(self) -> None:
        """Have the client asked for a key frame of what is on air."""
        self.session.request_keyframe()

    def keyframe_picture(self, mid: str, now: float) -> bytes:
        """The last key frame of an input as an Annex B byte stream; b"": none yet. Raises `UnknownInput`."""
        unit = self.session.inputs.want_thumbnail(mid, now)
        return b"" if unit is None else to_byte_stream(unit.nals)

    def end(self, reason: EndReason, detail: str = "") -> None:
        """End the session and release everything, even if a bug gets in between."""
        try:
            self.session.end(reason, detail)
            self.pump()
        finally:
            self._release(self.session.ended or Ended(reason, detail))

    def describe(self, now: float) -> dict[str, Any]:
        """The session's snapshot with its sinks."""
        snapshot = describe_session(self.session, now, has_b_frames=self._muxer.reordered)
        snapshot["stream_name"] = self._names.stream_name
        silent_for = self.session.silent_for(now)
        snapshot["silent_for"] = None if silent_for is None else round(silent_for, 3)
        snapshot["size"] = self._muxer.size
        snapshot["quality"] = self._steering.describe(now)
        drops = snapshot["drops"]
        for reason, count in self._muxer.drops.items():
            drops[reason.value] = drops.get(reason.value, 0) + count
        snapshot["sinks"] = self._sinks.describe()
        return snapshot

    def standing(self) -> tuple[str, list[Mapping[str, Any]]]:
        """Its state, and how each of its sinks stands: what others are told of when it changes."""
        return self.session.state.value, self._sinks.standing()

    @property
    def has_sound(self) -> bool:
        """Whether there is sound to be transcoded: a turn is wanted, see `SoundTurns`."""
        return bool(self._sound)

    def relay_sound(self) -> None:
        """Transcode one packet of the sound that waits."""
        if self._sound:
            self._push(self._sound.popleft())

    def _relay(self, unit: AccessUnit | AudioFrame) -> None:
        if self._released:
            return
        if isinstance(unit, AudioFrame) and (self._muxer.transcodes or self._sound):
            # Behind the packets of this batch; and behind what waits, also where nothing is transcoded now.
            self._keep(unit)
            return
        self._push(unit)
        if isinstance(unit, AccessUnit) and self._muxer.needs_keyframe:
            self.session.request_keyframe()

    def _keep(self, frame: AudioFrame) -> None:
        while self._sound and (
            len(self._sound) >= MAX_WAITING_SOUND
            or frame.time_us - self._sound[0].time_us >= MAX_WAITING_SOUND_US
        ):
            self.relay_sound()
        if not self._released:  # The last sink may have failed by that.
            self._sound.append(frame)

    def _push(self, unit: AccessUnit | AudioFrame) -> None:
        # Without any sink too: one that is added finds the stream going on.
        if tags := self._muxer.push(unit):
            self._sinks.push(tags)

    def _on_sink_event(self, sink: BroadcastSink, event: DriverEvent) -> None:
        self.quiet_until = 0.0
        match event:
            case SinkBroken():
                self.end(EndReason.INTERNAL_ERROR, "an error inside the server")
            case SinkChanged():
                self._on_sink_changed(sink, event)
            case FormatChanged():
                self._choose_formats()
            case KeyframeWanted():
                self.session.request_keyframe()
            case PicturesDropped(count):
                log = self._log.bind(sink=sink.id, stream=sink.logged_name)
                log.warning("sink drops pictures", frames_dropped=count)
            case _:  # What is left is for the sink's driver, and ends there.
                raise AssertionError(event)

    def _on_sink_changed(self, sink: BroadcastSink, changed: SinkChanged) -> None:
        detail = sink.conceal(changed.detail)
        log = self._log.bind(sink=sink.id, stream=sink.logged_name)
        self._on_changed(self)
        match changed.state:
            case SinkState.PUBLISHING:
                log.info("publishing")
            case SinkState.RETRYING:
                # Told of the first failure, and of each try that follows.
                log.warning("sink retries", reason=changed.reason, detail=detail, attempt=sink.attempt)
            case SinkState.FAILED:
                log.warning("sink failed", reason=changed.reason, detail=detail)
                self._choose_formats()
                if self._sinks.have_failed:
                    self.end(EndReason.SINK_FAILED, detail)

    def _choose_formats(self) -> None:
        """Make sound in the formats that are wanted now, and in no other."""
        if tags := self._muxer.set_formats(self._sinks.formats()):
            self._sinks.push(tags)

    def _finish(self, ended: Ended) -> None:
        while self._sound:
            self.relay_sound()
        self._sinks.push(self._muxer.flush())
        self._release(ended)

    def _release(self, ended: Ended) -> None:
        if not self._released:
            self._released = True
            self._sound.clear()
            try:
                self._sinks.close()
            finally:
                self._on_ended(self, ended)
