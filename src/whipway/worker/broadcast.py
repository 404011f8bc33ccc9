"""One session at work: its machine, the muxer behind it, its sink's connection.

The data goes one way: `Session` → media units → `Muxer` → tags → `SinkConnection`. Nothing here waits.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol, assert_never

import structlog

from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.ice import Address
from whipway.relay.muxer import Muxer
from whipway.relay.sink import SinkEvent, SinkFailed, SinkPublishing
from whipway.session.events import Connected, Ended, EndReason
from whipway.session.ice_session import IceUpdate
from whipway.session.session import Session
from whipway.session.snapshot import describe_session
from whipway.worker.sink_connection import SinkConnection

SendDatagram = Callable[[bytes, Address], None]


class MakeSink(Protocol):
    """Opens the sink's connection; `on_event` gets its events."""

    def __call__(self, on_event: Callable[[SinkEvent], None]) -> SinkConnection: ...


class Names(NamedTuple):
    """What a broadcast is known by."""

    session_id: str
    stream_name: str
    """Without the publisher's arguments, which may be secrets."""
    stream_key: str
    """The same for two sessions that would publish one stream."""
    logged_name: str
    """The stream's name as logs may hold it."""


class Broadcast:
    """Drives one session. `on_ended` is called once, when everything is released.

    `conceal` takes the publisher's secrets out of what an RTMP server says.
    """

    def __init__(
        self,
        session: Session,
        muxer: Muxer,
        make_sink: MakeSink,
        send_datagram: SendDatagram,
        on_ended: Callable[["Broadcast", Ended], None],
        names: Names,
        conceal: Callable[[str], str],
    ) -> None:
        self.session = session
        self.names = names
        self.session_id = names.session_id
        self.ufrags: tuple[str, ...] = ()
        """Of our side: STUN to them belongs to this session. As routed, see `Routes`."""
        self.addresses: list[Address] = []
        """Where its datagrams come from, the latest last."""
        self._muxer = muxer
        self._make_sink = make_sink
        self._sink: SinkConnection | None = None
        self._send_datagram = send_datagram
        self._on_ended = on_ended
        self._conceal = conceal
        self._released = False
        self._log = structlog.get_logger("broadcast").bind(session=names.session_id[:8])

    def pump(self) -> None:
        """Take everything the session has to give: after each batch of input."""
        for data, addr in self.session.datagrams_to_send():
            self._send_datagram(data, addr)
        for event in self.session.events():
            match event:
                case AccessUnit() | AudioFrame():
                    self._relay(event)
                case Connected(profile):
                    self._log.info("client connected", srtp=profile)
                    # Not before: a POST alone must not make a stream appear anywhere.
                    self._sink = self._make_sink(self._on_sink_event)
                case Ended():
                    self._finish(event)
                case _:
                    assert_never(event)

    def update_ice(self, fragment: str, if_match: Collection[str], now: float) -> IceUpdate:
        """Trickle or restart; raises as `IceSession.update` does."""
        update = self.session.update_ice(fragment, if_match, now)
        if update.etag:
            self._log.info("ICE restarts", generation=self.session.ice.generation)
        return update

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
        snapshot["stream_name"] = self.names.stream_name
        silent_for = self.session.silent_for(now)
        snapshot["silent_for"] = None if silent_for is None else round(silent_for, 3)
        snapshot["size"] = self._muxer.size
        drops = snapshot["drops"]
        for reason, count in self._muxer.drops.items():
            drops[reason.value] = drops.get(reason.value, 0) + count
        snapshot["sinks"] = [self._describe_sink(self._sink)] if self._sink else []
        return snapshot

    def _relay(self, unit: AccessUnit | AudioFrame) -> None:
        if self._sink is None or self._released:
            return
        if tags := self._muxer.push(unit):
            self._sink.push(tags)
        if isinstance(unit, AccessUnit) and self._muxer.needs_keyframe:
            self.session.request_keyframe()

    def _on_sink_event(self, event: SinkEvent) -> None:
        match event:
            case SinkPublishing():
                self._log.info("publishing", stream=self.names.logged_name)
            case SinkFailed(reason, words):
                detail = self._conceal(words)
                self._log.warning("sink failed", reason=reason, detail=detail)
                self.end(EndReason.SINK_FAILED, detail)
            case _:
                assert_never(event)

    def _finish(self, ended: Ended) -> None:
        if self._sink is not None:
            self._sink.push(self._muxer.flush())
        self._release(ended)

    def _release(self, ended: Ended) -> None:
        if not self._released:
            self._released = True
            try:
                if self._sink is not None:
                    self._sink.close()
            finally:
                self._on_ended(self, ended)

    def _describe_sink(self, connection: SinkConnection) -> dict[str, Any]:
        sink = connection.machine
        return {
            "state": sink.state.value,
            "detail": self._conceal(sink.detail),
            "bytes": sink.bytes_sent,
            "frames": sink.frames_sent,
            "frames_skipped": sink.frames_skipped,
            "backlog_bytes": connection.backlog_bytes,
        }
