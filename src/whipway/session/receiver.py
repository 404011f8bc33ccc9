"""Which track a packet belongs to, what of it leaves the session, and what the client's RTCP says.

An SSRC is looked up in one dictionary. One not seen before is bound to the track that `track_finder` tells,
and that at once: senders name the track of a packet only until they are heard. A track follows one SSRC at a
time, and packets of a source that was left do not mix with those of the next. Retransmissions (RFC 4588) are
known by their payload type. Every packet that counts its way over the transport is noted in `arrivals`. Sound
leaves the session, and of the pictures those that are on air (`inputs`).
"""

from collections.abc import Sequence
from typing import cast

from whipway.failures import DropReason, ParseError
from whipway.media.unit import AccessUnit
from whipway.protocol.rtcp.extended import DelayReport
from whipway.protocol.rtcp.packets import Goodbye, SenderReport, parse_compound, seconds_to_ntp
from whipway.protocol.rtcp.twcc import ArrivalRecorder
from whipway.protocol.rtp.packet import (
    EXTENDED,
    HEADER_BYTES,
    ONE_BYTE_PROFILE,
    PLAIN,
    START_BYTES,
    Packet,
    header_extension,
    parse_packet,
    unpack_start,
)
from whipway.protocol.rtp.retransmission import restore_packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.description import PayloadType
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.inputs import Inputs
from whipway.session.track import Track, Unit, VideoTrack, make_track
from whipway.session.track_finder import TrackFinder

SWITCH_INTERVAL = 1.0
"""Seconds. A track whose SSRC is silent for as long, or said BYE, follows another one. Not sooner: silence in
discontinuous transmission has a packet every 400 ms (libopus)."""

MAX_ONE_BYTE_ID = 14
"""RFC 8285, 4.2."""
NO_BYTE = 0x100
"""What no byte is equal to."""


class Receiver:
    """The tracks of a session. `local_ssrc` is the one this side's RTCP is sent with.

    `video_silence`: seconds without a packet after which the picture on air counts as muted.
    """

    def __init__(
        self, descriptions: Sequence[TrackDescription], local_ssrc: int, video_silence: float = 2.0
    ) -> None:
        self._timeline = timeline = Timeline()
        self.local_ssrc = local_ssrc
        self.round_trip = RoundTrip()
        self.tracks = tuple(
            make_track(description, timeline, self.round_trip) for description in descriptions
        )
        video = [track for track in self.tracks if isinstance(track, VideoTrack)]
        self.inputs = Inputs(video, video_silence)
        self.arrivals = ArrivalRecorder()
        """What there is to tell about packets with a transport-wide number."""
        # One header extension id for all: RFC 9143, 9.2 lets bundled descriptions not differ in it.
        self._transport_cc_id = next(
            (each.transport_cc_extension_id for each in descriptions if each.transport_cc_extension_id), None
        )
        # The first byte of that element in the one-byte form (RFC 8285, 4.2): id, and length less one. An id
        # above 14 has no such form, and 15 there means something else.
        number_id = self._transport_cc_id or 0
        self._number_head = NO_BYTE if number_id > MAX_ONE_BYTE_ID else number_id and number_id << 4 | 1
        self._finder = TrackFinder(self.tracks)
        self._routes: dict[int, Track] = {}
        """By the SSRC that a track follows."""
        self._repairs: dict[int, Track] = {}
        """By the SSRC that repeats packets of the one followed: one for each track."""
        self._gone: set[int] = set()
        self._map_routes()

    def receive_rtp(self, data: bytes, now: float) -> Sequence[Unit]:
        """Take one decrypted RTP packet; return the media units it completes. Raises ParseError."""
        # The way of nearly every packet: it is the next one of its track, its header has nothing special, and
        # the transport-wide number is the first extension in it. All others go the long way, to the same end.
        if len(data) <= START_BYTES:
            return self._receive_any(data, now)
        first, kind, number, timestamp, ssrc, profile, words, head, wide = unpack_start(data)
        start = HEADER_BYTES
        if first != PLAIN:
            start += 4 + 4 * words
            wanted = self._number_head
            if first != EXTENDED or (wanted and (head != wanted or profile != ONE_BYTE_PROFILE or not words)):
                return self._receive_any(data, now)
        track = self._routes.get(ssrc)
        if track is None or kind & 0x7F not in track.payload_types or start >= len(data) or self._gone:
            return self._receive_any(data, now)
        units = track.receive_next(data, start, number, timestamp, kind > 0x7F, now)
        if units is None:
            return self._receive_any(data, now)
        if first != PLAIN and self._number_head:
            self.arrivals.received(wide, now)
        return self._hand_on(track, units, now) if units else units

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
        return [
            unit for track in self.tracks for unit in self._hand_on(track, track.handle_timeout(now), now)
        ]

    def deadline(self) -> float | None:
        """The earliest deadline of a track."""
        return min((at for track in self.tracks if (at := track.deadline()) is not None), default=None)

    def media_us(self, now: float) -> int:
        """Where the media timeline is now: the time of a picture on air that would come at this moment."""
        if not any(each.clock.started for each in self.tracks):
            return 0
        track = self.inputs.on_air or self.tracks[0]
        lag_us = round(self._timeline.lag_us(track.clock))
        return max(0, self._timeline.elapsed_us(now) - lag_us + track.clock.correction_us)

    def _receive_any(self, data: bytes, now: float) -> Sequence[Unit]:
        packet = parse_packet(data)
        if packet.profile and self._transport_cc_id is not None:
            number = header_extension(packet, self._transport_cc_id)
            if number is not None and len(number) == 2:
                self.arrivals.received(number[0] << 8 | number[1], now)
        track = self._routes.get(packet.ssrc)
        if track is None or packet.payload_type not in track.payload_types:
            return self._receive_apart(packet, now)
        if self._gone:  # It may have said BYE, and goes on after all.
            self._gone.discard(packet.ssrc)
        units = track.receive(packet, now)
        return self._hand_on(track, units, now) if units else units

    def _hand_on(self, track: Track, units: Sequence[Unit], now: float) -> Sequence[Unit]:
        """What of a track's units leaves the session: sound, and the pictures on air."""
        # Not by isinstance, which takes its time for abstract classes.
        if type(track) is not VideoTrack or not units:
            return units
        return self.inputs.take(track, cast(Sequence[AccessUnit], units), now)

    def _receive_apart(self, packet: Packet, now: float) -> Sequence[Unit]:
        """Take a packet that is not of an SSRC which is followed, or not of its media."""
        if packet.ssrc not in self._routes and packet.ssrc not in self._repairs:
            track = self._finder.find(packet)
            # RFC 9143, 9.2: a payload type that the media description does not have is not decoded.
            if track is not None and packet.payload_type in track.description.payload_types:
                self._switch(track, packet.ssrc, now)
                return self._hand_on(track, track.receive(packet, now), now)
        return self._receive_repair(packet, now)

    def _receive_repair(self, packet: Packet, now: float) -> Sequence[Unit]:
        track = self._repairs.get(packet.ssrc) or self._finder.find_repaired(packet)
        repeated = track.description.rtx.get(PayloadType(packet.payload_type)) if track else None
        if track is None or repeated is None or track.ssrc is None:
            raise ParseError(DropReason.RTP_UNKNOWN_TRACK)
        if packet.ssrc not in self._repairs and packet.ssrc not in self._routes:
            self._forget_repairs(track)
            self._repairs[packet.ssrc] = track
        original = restore_packet(packet, repeated, track.ssrc)
        if original is None:
            raise ParseError(DropReason.RTP_EMPTY)
        return self._hand_on(track, track.receive_repair(original, now), now)

    def _forget_repairs(self, track: Track) -> None:
        self._repairs = {ssrc: each for ssrc, each in self._repairs.items() if each is not track}

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
        self._forget_repairs(track)
        self._map_routes()
        self._gone &= self._routes.keys()

    def _map_routes(self) -> None:
        self._routes = {track.ssrc: track for track in self.tracks if track.ssrc is not None}
