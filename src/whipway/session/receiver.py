"""Which track a packet belongs to (RFC 9143, 9.2), and what the client's RTCP says.

An SSRC is looked up in one dictionary. One not seen before is bound by its MID header extension, else by its
payload type. A track follows one SSRC at a time: of a simulcast that nobody asked for that is the first
layer, and packets of a source that was left do not mix with those of the next. Retransmissions (RFC 4588) are
known by their payload type. Every packet that counts its way over the transport is noted in `arrivals`.
"""

from collections.abc import Sequence

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.extended import DelayReport
from whipway.protocol.rtcp.packets import Goodbye, SenderReport, parse_compound, seconds_to_ntp
from whipway.protocol.rtcp.twcc import ArrivalRecorder
from whipway.protocol.rtp.packet import Packet, header_extension, parse_packet
from whipway.protocol.rtp.retransmission import restore_packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.answer import TrackDescription
from whipway.protocol.sdp.description import Ssrc
from whipway.session.track import Track, Unit, make_track

SWITCH_INTERVAL = 1.0
"""Seconds. A track whose SSRC is silent for as long, or said BYE, follows another one. Not sooner: silence in
discontinuous transmission has a packet every 400 ms (libopus)."""


class Receiver:
    """The tracks of a session. `local_ssrc` is the one this side's RTCP is sent with."""

    def __init__(self, descriptions: Sequence[TrackDescription], local_ssrc: int) -> None:
        timeline = Timeline()
        self.local_ssrc = local_ssrc
        self.round_trip = RoundTrip()
        self.tracks = tuple(
            make_track(description, timeline, self.round_trip) for description in descriptions
        )
        self.arrivals = ArrivalRecorder()
        """What there is to tell about packets with a transport-wide number."""
        # One header extension id for all: RFC 9143, 9.2 lets bundled descriptions not differ in it.
        self._transport_cc_id = next(
            (each.transport_cc_extension_id for each in descriptions if each.transport_cc_extension_id), None
        )
        self._repairs: dict[int, tuple[Track, int]] = {
            rtx: (track, repeated) for track in self.tracks for rtx, repeated in track.description.rtx.items()
        }
        self._routes: dict[int, Track] = {}
        self._gone: set[int] = set()
        self._map_routes()

    def receive_rtp(self, data: bytes, now: float) -> Sequence[Unit]:
        """Take one decrypted RTP packet; return the media units it completes. Raises ParseError."""
        packet = parse_packet(data)
        if packet.profile and self._transport_cc_id is not None:
            number = header_extension(packet, self._transport_cc_id)
            if number is not None and len(number) == 2:
                self.arrivals.received(number[0] << 8 | number[1], now)
        track = self._routes.get(packet.ssrc) or self._find(packet)
        # RFC 9143, 9.2: a payload type that the media description does not have is not decoded.
        if track is None or packet.payload_type not in track.description.payload_types:
            return self._receive_repair(packet, now)
        if packet.ssrc != track.ssrc:
            self._switch(track, packet.ssrc, now)
        elif self._gone:  # It may have said BYE, and goes on after all.
            self._gone.discard(packet.ssrc)
        return track.receive(packet, now)

    def receive_rtcp(self, data: bytes, now: float) -> bool:
        """Take one decrypted RTCP datagram; True when the client has said BYE for every track it sent.

        BYE ends at once: nobody waits for a new SSRC of a client that sends one track only and changes it
        after a collision (RFC 3550, 8.2). Raises ParseError.
        """
        for packet in parse_compound(data):
            if isinstance(packet, SenderReport) and packet.ssrc in self._routes:
                self._routes[packet.ssrc].sender_report(packet, now)
            elif isinstance(packet, Goodbye):
                self._gone.update(ssrc for ssrc in packet.sources if ssrc in self._routes)
            elif isinstance(packet, DelayReport):
                self._measure_round_trip(packet, now)
        sent = {track.ssrc for track in self.tracks if track.packets}
        return bool(sent) and sent <= self._gone

    def handle_timeout(self, now: float) -> list[Unit]:
        """Let every track give up what is overdue."""
        return [unit for track in self.tracks for unit in track.handle_timeout(now)]

    def deadline(self) -> float | None:
        """The earliest deadline of a track."""
        return min((at for track in self.tracks if (at := track.deadline()) is not None), default=None)

    def _receive_repair(self, packet: Packet, now: float) -> Sequence[Unit]:
        repair = self._repairs.get(packet.payload_type)
        if repair is None:
            raise ParseError(DropReason.RTP_UNKNOWN_TRACK)
        track, payload_type = repair
        # What repairs another source than the one followed must not get among its packets.
        if track.ssrc is None or self._repaired_ssrc(track, packet) != track.ssrc:
            raise ParseError(DropReason.RTP_UNKNOWN_TRACK)
        original = restore_packet(packet, payload_type, track.ssrc)
        if original is None:
            raise ParseError(DropReason.RTP_EMPTY)
        return track.receive_repair(original, now)

    @staticmethod
    def _repaired_ssrc(track: Track, packet: Packet) -> int | None:
        """The source that a retransmission repairs: by the offer, else the one followed."""
        return track.description.repair_ssrcs.get(Ssrc(packet.ssrc), track.ssrc)

    def _measure_round_trip(self, packet: DelayReport, now: float) -> None:
        """RFC 3611, 4.5: the time since our last report there, less the time the sender sat on it."""
        for report in packet.reports:
            if report.ssrc == self.local_ssrc and report.last_report:
                elapsed = (seconds_to_ntp(now) >> 16) - report.last_report - report.delay
                self.round_trip.add((elapsed & 0xFFFFFFFF) / 65536)

    def _switch(self, track: Track, ssrc: int, now: float) -> None:
        if now - track.heard_at < SWITCH_INTERVAL and track.ssrc not in self._gone:
            raise ParseError(DropReason.RTP_UNKNOWN_TRACK)
        track.begin(ssrc, now)
        self._map_routes()
        self._gone &= self._routes.keys()

    def _map_routes(self) -> None:
        self._routes = {track.ssrc: track for track in self.tracks if track.ssrc is not None}

    def _find(self, packet: Packet) -> Track | None:
        for track in self.tracks:
            id, mid = track.description.mid_extension_id, track.description.mid
            if id is not None and mid is not None and header_extension(packet, id) == mid.encode():
                return track
        for track in self.tracks:
            if packet.payload_type in track.description.payload_types:
                return track
        return None
