"""Which track a packet of an SSRC that is not followed yet belongs to (RFC 9143, 9.2; RFC 8852).

Its header extensions name it: MID says which media description it is of, RID which layer of that, repaired
RID which layer a retransmission (RFC 4588) is for. Senders leave them out once they were heard, so the SSRC
is to be remembered. Without a name, what the offer announces decides (RFC 5576), and in the end the payload
type, provided that only one track has it. A layer is never guessed: it takes only what names it.
"""

from collections.abc import Iterable, Sequence

from whipway.protocol.rtp.packet import Packet, header_extension
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.track import Track


class TrackFinder:
    """Knows how the tracks of one session are recognized."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        self._announced = _by_announcement(tracks)
        # RFC 9143, 9.2: bundled descriptions do not differ in the extension's id.
        self._mid_id = next(filter(None, (track.description.mid_extension_id for track in tracks)), None)
        self._repaired: dict[int, int] = {
            repair: primary for track in tracks for repair, primary in track.description.repair_ssrcs.items()
        }
        self._mids = {track.description.mid for track in tracks} - {None}

    def find(self, packet: Packet) -> Track | None:
        """The track of a packet, by name, announcement or payload type; None if it cannot be told."""
        mid = _read_name(packet, self._mid_id)
        named = [
            track
            for track in self._tracks
            if _is_named(packet, track.description, mid, track.description.rid_extension_id)
        ]
        if named or mid in self._mids:
            return _only(named)
        if (announced := self._announced.get(packet.ssrc)) is not None:
            return announced
        return _only_unnamed(
            track for track in self._tracks if packet.payload_type in track.description.payload_types
        )

    def find_repaired(self, packet: Packet) -> Track | None:
        """The track that a retransmission is for; None if it cannot be told, or is not followed."""
        mid = _read_name(packet, self._mid_id)
        able = [track for track in self._tracks if packet.payload_type in track.description.rtx]
        named = [
            track
            for track in able
            if _is_named(packet, track.description, mid, track.description.repaired_rid_extension_id)
        ]
        if named and named[0].description.rid is not None:
            return _only(named)
        # RFC 5576, 4.2: what repairs another source than the one followed must not get among its packets.
        if (primary := self._repaired.get(packet.ssrc)) is not None:
            return _only(track for track in able if track.ssrc == primary)
        if named or mid in self._mids:
            return _only(named)
        return _only_unnamed(able)


def _by_announcement(tracks: Sequence[Track]) -> dict[int, Track]:
    """By the SSRCs of the offer that send media of their own; the first track that names one has it."""
    announced: dict[int, Track] = {}
    for track in tracks:
        for ssrc in track.description.ssrcs:
            if ssrc not in track.description.repair_ssrcs:
                announced.setdefault(ssrc, track)
    return announced


def _read_name(packet: Packet, id: int | None) -> str | None:
    """What an extension says; names are ASCII (RFC 8852, 3, RFC 9143, 15.1): None for what is none."""
    name = header_extension(packet, id) if id is not None else None
    return name.decode() if name and name.isascii() else None


def _is_named(packet: Packet, track: TrackDescription, mid: str | None, rid_id: int | None) -> bool:
    """Whether the packet names this track: by MID, and if it is a layer by the RID in extension `rid_id`.

    RFC 8852, 1: a RID is scoped by the MID; without a MID, several inputs may have a layer of that name.
    """
    if mid is not None and mid != track.mid:
        return False
    if track.rid is None:
        return mid is not None
    return _read_name(packet, rid_id) == track.rid


def _only(tracks: Iterable[Track]) -> Track | None:
    """The track if there is exactly one."""
    found = list(tracks)
    return found[0] if len(found) == 1 else None


def _only_unnamed(tracks: Iterable[Track]) -> Track | None:
    """The track if there is exactly one, and that is no layer."""
    track = _only(tracks)
    return track if track is not None and track.description.rid is None else None
