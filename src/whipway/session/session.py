"""One WHIP session as one sans-IO machine: datagrams in; datagrams, media units and facts out.

It only composes: `demux` tells what a datagram is, `transport` has ICE, DTLS and SRTP, `receiver` the tracks,
`feedback` the RTCP we send, `ice` what signalling may still change. Every wrong datagram ends as a count in
`drops`. The first end is final.
"""

from collections import Counter
from collections.abc import Collection
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.protocol.ice import Address
from whipway.session.demux import DatagramKind, classify
from whipway.session.events import Connected, Ended, EndReason, Event
from whipway.session.feedback import Feedback
from whipway.session.ice_session import IceSession, IceUpdate
from whipway.session.inputs import Inputs
from whipway.session.receiver import Receiver
from whipway.session.report import QualityReport
from whipway.session.transport import Transport

CONSENT_TIMEOUT = 30.0
"""Seconds without an authentic datagram, after which nothing more may be sent (RFC 7675, section 5.1)."""
MEDIA_PAUSE = 1.0
"""Seconds. Who is unmuted sends oftener: sound in discontinuous transmission has a packet every 400 ms."""


class SessionState(StrEnum):
    """Where a session stands; the value is the word of the API."""

    CONNECTING = "connecting"
    LIVE = "live"
    ENDED = "ended"


class Timeouts(NamedTuple):
    """Seconds. `setup`: from POST to the end of the handshake. `silence`: without an authentic datagram.

    `takeover`: without any, after which `is_silent` says that the stream may be another publisher's.
    `video`: without a packet of the picture on air, after which it is muted.
    """

    setup: float = 10.0
    silence: float = 5.0
    takeover: float = 2.0
    video: float = 2.0


# Members of an enumeration take a while to find, and these are looked at all the time.
_RTP: Final = DatagramKind.RTP
_LIVE: Final = SessionState.LIVE
_ENDED: Final = SessionState.ENDED


class Session:
    """The machine. Feed one input, then drain `datagrams_to_send` and `events`, then feed the next."""

    def __init__(
        self,
        *,
        transport: Transport,
        ice: IceSession,
        receiver: Receiver,
        feedback: Feedback,
        timeouts: Timeouts,
        now: float,
    ) -> None:
        self.state = SessionState.CONNECTING
        self.ended: Ended | None = None
        self.connected_at: float | None = None
        self.transport = transport
        self.ice = ice
        self.receiver = receiver
        self.feedback = feedback
        self.report = QualityReport(receiver, feedback)
        self._timeouts = timeouts
        self._created_at = now
        self._stray_at = -inf
        self._restarted_at = -inf
        self._now = now  # of the last input
        # The deadline, asked for fifty times a second. It is no nearer until something is fed or asked for.
        self._due: float | None = None
        self._asked = 0  # of the inputs, when it was made
        self._drops: Counter[DropReason] = Counter()
        self._events: list[Event] = []

    @property
    def inputs(self) -> Inputs:
        """What there is to be seen, and what of it is on air."""
        return self.receiver.inputs

    def receive_datagram(self, data: bytes, addr: Address, now: float) -> None:
        """Feed one datagram that came from `addr`."""
        if self.state is _ENDED:
            return
        self._now = now
        self._due = None
        kind = classify(data)
        try:
            if kind is _RTP:
                units = self.receiver.receive_rtp(self.transport.unprotect_rtp(data, addr, now), now)
                if units:
                    self._events += units
                return
            self._receive_control(kind, data, addr, now)
        except ParseError as error:
            self._drops[error.reason] += 1
        self._take_transport_events()

    def update_ice(self, fragment: str, if_match: Collection[str], now: float) -> IceUpdate:
        """Take candidates or restart ICE, and raise as `IceSession.update` does.

        Who restarts ICE is there and looks for another path: it gets the time of one more silence, as long as
        there is consent to send.
        """
        update = self.ice.update(fragment, if_match)
        if update.etag:
            self._restarted_at = now
        return update

    def handle_timeout(self, now: float) -> None:
        """Do what is due: end, repeat, give up, report."""
        if self.state is _ENDED:
            return
        self._now = now
        self._due = None
        if now >= self._last_moment():
            self._end_of_patience()
            return
        self.transport.handle_timeout(now)
        self._take_transport_events()
        if self.state is SessionState.LIVE:
            self._events += self.receiver.handle_timeout(now)
            self.inputs.handle_timeout(now)
            self.report.handle_timeout(now)

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` is wanted; None once the session is over."""
        if self.state is _ENDED:
            return None
        asked = self.inputs.asked
        if self._due is None or self._asked != asked:
            self._asked = asked
            self._due = self._next_moment(now)
        return self._due

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Datagrams and where to send them."""
        datagrams = self.transport.datagrams_to_send()
        # Here and not with each packet: what a batch of datagrams brings is told once, and packets that only
        # overtook each other in it are not asked for.
        if self.state is _LIVE and self.feedback.deadline() <= self._now:
            datagrams += self._compose_feedback()
        return datagrams

    def events(self) -> list[Event]:
        """What happened since the last call: media units, and at most one Connected and one Ended."""
        events, self._events = self._events, []
        return events

    def end(self, reason: EndReason, detail: str = "") -> None:
        """End the session for a reason of the caller's. The goodbye is in `datagrams_to_send`."""
        if self.state is not SessionState.ENDED:
            self.state = SessionState.ENDED
            self.ended = Ended(reason, detail)
            self.transport.close()
            self._events.append(self.ended)

    def close(self) -> None:
        """End the session because the server stops."""
        self.end(EndReason.SHUTDOWN, "the server is stopping")

    def was_heard_since(self, moment: float) -> bool:
        """Tell whether something authentic came from the client at or after `moment`."""
        return self.transport.last_heard is not None and self.transport.last_heard >= moment

    def silent_for(self, now: float) -> float | None:
        """Seconds since something authentic came from the client; None before the first."""
        heard = self.transport.last_heard
        return None if heard is None else now - heard

    def is_silent(self, now: float) -> bool:
        """Tell whether the client seems to be gone, long before its session would end by silence.

        Media that broke off tell it soon. Who sends none, because it is muted, only has a consent check to
        send every few seconds (RFC 7675, section 5.1): its silence says nothing before it ends the session.
        """
        transport = self.transport
        if self.state is SessionState.CONNECTING:
            # Also what cannot be authenticated yet: OpenSSL repeats a lost flight after a second.
            return now - max(self._created_at, transport.last_seen) >= self._timeouts.takeover
        # Once connected something was heard, or there would be no connection.
        assert transport.last_heard is not None
        if transport.last_heard - transport.media_at > MEDIA_PAUSE:
            return False
        return now - transport.last_heard >= self._timeouts.takeover

    def note_stray(self, now: float) -> None:
        """Take notice of packets that seem to be this client's, from an address without an ICE check."""
        self._stray_at = now

    def request_keyframe(self) -> None:
        """Have the client asked for a key frame of what is on air, and of what is to be."""
        for track in (self.inputs.on_air, self.inputs.wanted):
            if track is not None:
                track.want_keyframe()
                self._due = None

    def limit_video(self, bitrate: int | None) -> None:
        """Have the client send no more than so many bits a second of what is on air; None: as it likes."""
        if bitrate != self.feedback.video_cap:
            self.inputs.cap = self.feedback.video_cap = bitrate
            self._due = None

    def drops(self) -> Counter[DropReason]:
        """Everything that was not used, by reason."""
        counts = self._drops.copy()
        for track in self.receiver.tracks:
            counts += track.all_drops()
        return counts

    def _receive_control(self, kind: DatagramKind, data: bytes, addr: Address, now: float) -> None:
        match kind:
            case DatagramKind.STUN:
                self.transport.receive_stun(data, addr, now)
            case DatagramKind.DTLS:
                self.transport.receive_dtls(data, addr, now)
            case DatagramKind.RTCP:
                plain = self.transport.unprotect_rtcp(data, now)
                if self.receiver.receive_rtcp(plain, now):
                    self.end(EndReason.CLIENT_CLOSED, "the client said goodbye")
            case _:
                raise ParseError(DropReason.UNKNOWN_DATAGRAM)

    def _take_transport_events(self) -> None:
        for event in self.transport.events():
            if isinstance(event, Connected):
                self.state = SessionState.LIVE
                self.connected_at = self._now
                if self.transport.round_trip is not None:
                    self.receiver.round_trip.add(self.transport.round_trip)
                self._events.append(event)
            else:
                self.end(event.reason, event.detail)

    def _next_moment(self, now: float) -> float:
        due = self._last_moment()
        if self.state is _LIVE:
            due = min(due, self.feedback.deadline(), self.inputs.deadline(now), self.report.deadline())
        for at in (self.transport.deadline(now), self.receiver.deadline()):
            if at is not None and at < due:
                due = at
        return due

    def _last_moment(self) -> float:
        if self.state is SessionState.CONNECTING:
            return self._created_at + self._timeouts.setup
        # Once connected something was heard, or there would be no connection.
        assert self.transport.last_heard is not None
        heard, silence = self.transport.last_heard, self._timeouts.silence
        # No request prolongs consent: only what comes from where this side sends to.
        return min(max(heard, self._restarted_at) + silence, heard + max(silence, CONSENT_TIMEOUT))

    def _end_of_patience(self) -> None:
        if self.state is SessionState.LIVE:
            detail = f"nothing came from the client for {self._timeouts.silence:g} s"
            if not self.was_heard_since(self._stray_at):
                detail += "; packets came from an address that no ICE check came from"
            self.end(EndReason.SILENCE, detail)
        elif self.transport.last_heard is None:
            self.end(EndReason.SETUP_TIMEOUT, "no ICE check came from the client: can it reach the UDP port?")
        else:
            self.end(EndReason.SETUP_TIMEOUT, "the DTLS handshake did not come to an end")

    def _compose_feedback(self) -> list[tuple[bytes, Address]]:
        # Once connected there is an address, or there would have been no handshake.
        address = self.transport.remote_address
        assert address is not None
        return [(self.transport.protect_rtcp(packet), address) for packet in self.feedback.compose(self._now)]
