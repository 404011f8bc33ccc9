"""Which RTP header extensions are taken from an offer and what is answered (RFC 8285, 5 and 6).

Two are read always: the MID (RFC 9143, 15), which says what media description a packet belongs to, and the
packet number of transport-wide congestion control. Two more are read where a source is sent in layers: the
RID, which says what layer a packet is of, and the repaired RID, which says what layer it repairs (RFC 8852).
The answer repeats the offered identifiers: in packets they stand for the extension, and one that means two
things on the shared transport is of no use to either. `answer` decides which of the extensions found here go
into the answer.
"""

from collections.abc import Iterable

from whipway.protocol.sdp.description import MediaDescription
from whipway.protocol.sdp.grammar import Direction, ExtMap

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
TRANSPORT_CC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
HEADER_EXTENSIONS = (MID_URI, TRANSPORT_CC_URI)
"""RTP header extensions this server reads of every track."""
LAYER_EXTENSIONS = (RID_URI, REPAIRED_RID_URI)
"""Those it reads of tracks in layers."""

_MAX_ID = 255
"""RFC 8285, 4.3 and 5: what fits a packet; ids above only stand for ids still to be chosen."""
_ANSWERED_DIRECTIONS = {Direction.SENDRECV: Direction.SENDRECV, Direction.SENDONLY: Direction.RECVONLY}
"""RFC 8285, 6: what the offerer only sends is answered as only received. One with any other direction would
not be sent, so it is not taken."""


def answer_extensions(media: MediaDescription, ambiguous: Iterable[int] = ()) -> dict[str, ExtMap]:
    """The extensions to answer with, by URI; `ambiguous` are ids not to be used."""
    # Elsewhere RIDs would only make the packets longer.
    uris = HEADER_EXTENSIONS + (LAYER_EXTENSIONS if media.simulcast.send else ())
    offered = (media.extmap[uri] for uri in uris if uri in media.extmap)
    return {
        extension.uri: extension._replace(direction=_ANSWERED_DIRECTIONS[extension.direction])
        for extension in offered
        if extension.direction in _ANSWERED_DIRECTIONS
        and extension.id <= _MAX_ID
        and extension.id not in ambiguous
    }


def ambiguous_ids(bundled: Iterable[MediaDescription]) -> set[int]:
    """The ids that would stand for two extensions in the answers to these media descriptions."""
    meanings: dict[int, str] = {}
    # RFC 9143, 12: "the identifier used for a given extension MUST identify the same extension across all
    # the bundled media descriptions."
    return {
        extension.id
        for media in bundled
        for uri, extension in answer_extensions(media).items()
        if meanings.setdefault(extension.id, uri) != uri
    }
