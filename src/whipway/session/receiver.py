"""Which track a packet belongs to (RFC 9143, 9.2), and what the client's RTCP says.

An SSRC is looked up in one dictionary. One not seen before is bound by its MID header extension, else by its
payload type. A track follows one SSRC at a time: of a simulcast that nobody asked for that is the first
layer, and packets of a source that was left do not mix with those of the next.
"""

from collections.abc import Sequence

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.packets import Goodbye, SenderReport, parse_compound
from whipway.protocol.rtp.packet import Packet, header_extension, parse_packet
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.answer import TrackDescription
from whipway.session.track import Track, Unit, make_track

SWITCH_INTERVAL = 1.0
"""Seconds. A track whose SSRC is silent for as long, or said BYE, follows another one. Not sooner: silence in
discontinuous transmission has a packet every 400 ms (libopus)."""


class Receiver:
    """The tracks of a session."""

    def __init__(self, descriptions: Sequence[TrackDescription]) -> None:
        timeline = Timeline()
        self.tracks = tuple(make_track(description, timeline) for description in descriptions)
        self._routes: dict[int, Track] = {}
        self._gone: set[int] = set()
        self._map_routes()

    def receive_rtp(self, data: bytes, now: float) -> Sequence[Unit]:
        """Take one decrypted RTP packet; return the media units it completes. Raises ParseError."""
        packet = parse_packet(data)
        track = self._routes.get(packet.ssrc) or self._find(packet)
        # RFC 9143, 9.2: a payload type that the media description does not have is not decoded.
        if track is None or packet.payload_type not in track.description.payload_types:
            raise ParseError(DropReason.RTP_UNKNOWN_TRACK)
        if packet.ssrc != track.ssrc:
            self._switch(track, packet.ssrc, now)
        return track.receive(packet, now)

    def receive_rtcp(self, data: bytes, now: float) -> bool:
        """Take one decrypted RTCP datagram; True when the client has said BYE for every track it sent.

        Raises ParseError.
        """
        for packet in parse_compound(data):
            if isinstance(packet, SenderReport) and packet.ssrc in self._routes:
                self._routes[packet.ssrc].sender_report(packet, now)
            elif isinstance(packet, Goodbye):
                self._gone.update(ssrc for ssrc in packet.sources if ssrc in self._routes)
        sent = {track.ssrc for track in self.tracks if track.packets}
        return bool(sent) and sent <= self._gone

    def handle_timeout(self, now: float) -> list[Unit]:
        """Let every track give up what is overdue."""
        return [unit for track in self.tracks for unit in track.handle_timeout(now)]

    def deadline(self) -> float | None:
        """The earliest deadline of a track."""
        return min((at for track in self.tracks if (at := track.deadline()) is not None), default=None)

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
