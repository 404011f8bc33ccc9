"""Payload-specific feedback (packet type 206): PLI (RFC 4585, 6.3.1), FIR (RFC 5104, 4.3.1), and the table.

PLI and FIR ask the sender of video for a key frame. The third format in use, REMB, has a module of its own.
The parser is handed the format and the body by the compound parser; a format that it does not know is not an
error.

    |V=2|P|   FMT   |    PT=206     |            length             |
    |                   SSRC of the packet's sender                 |
    |                   SSRC of the media (0 for FIR)               |
    :            feedback control information: none for PLI         :
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.remb import APPLICATION_LAYER, BitrateEstimate, parse_estimate

PAYLOAD_FEEDBACK = 206
"""Packet type of payload-specific feedback."""
PICTURE_LOSS_INDICATION = 1
FULL_INTRA_REQUEST = 4

_PLI = Struct("!BBHII")
_FIR = Struct("!BBHIIIBxxx")
_SSRCS = Struct("!II")
_FIR_ENTRY = Struct("!IBxxx")


class PictureLossIndication(NamedTuple):
    """The receiver lost picture data of `media_ssrc` and cannot go on without a key frame."""

    sender_ssrc: int
    media_ssrc: int

    def serialize(self) -> bytes:
        """12 octets."""
        first = 0x80 | PICTURE_LOSS_INDICATION
        return _PLI.pack(first, PAYLOAD_FEEDBACK, 2, self.sender_ssrc, self.media_ssrc)


class FullIntraRequest(NamedTuple):
    """An order for a key frame of `media_ssrc`; `sequence` (8 bits) rises with each new order."""

    sender_ssrc: int
    media_ssrc: int
    sequence: int

    def serialize(self) -> bytes:
        """20 octets: one entry."""
        first = 0x80 | FULL_INTRA_REQUEST
        # RFC 5104, 4.3.1.2: the "SSRC of media source" of the header "is not used and SHALL be set to 0".
        return _FIR.pack(
            first, PAYLOAD_FEEDBACK, 4, self.sender_ssrc, 0, self.media_ssrc, self.sequence & 0xFF
        )


PayloadFeedback = PictureLossIndication | FullIntraRequest | BitrateEstimate


def parse_payload_feedback(fmt: int, body: bytes) -> Sequence[PayloadFeedback]:
    """Read the body of a packet of type 206; one value per FIR entry, none for a format that is not known.

    ParseError(RTCP_MALFORMED) when the body is too short for its format.
    """
    if fmt == PICTURE_LOSS_INDICATION and len(body) >= _SSRCS.size:
        return [PictureLossIndication(*_SSRCS.unpack_from(body))]
    if fmt == FULL_INTRA_REQUEST and len(body) >= _SSRCS.size + _FIR_ENTRY.size:
        sender_ssrc = _SSRCS.unpack_from(body)[0]
        last = len(body) - _FIR_ENTRY.size
        entries = range(_SSRCS.size, last + 1, _FIR_ENTRY.size)
        return [FullIntraRequest(sender_ssrc, *_FIR_ENTRY.unpack_from(body, at)) for at in entries]
    if fmt in (PICTURE_LOSS_INDICATION, FULL_INTRA_REQUEST):
        raise ParseError(DropReason.RTCP_MALFORMED, "feedback shorter than its format")
    estimate = parse_estimate(body) if fmt == APPLICATION_LAYER else None
    return [] if estimate is None else [estimate]
