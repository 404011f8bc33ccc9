"""Transport-layer feedback (packet type 205): the generic NACK of RFC 4585, 6.2.1, and what else there is.

A NACK names lost RTP packets of one source, so that its sender repeats them (RFC 4588 or as they were). The
other format in use, transport-wide congestion control, has a module of its own. The parser is handed the
format and the body by the compound parser; a format that it does not know is not an error.

    |V=2|P|  FMT=1  |    PT=205     |            length             |
    |                   SSRC of the packet's sender                 |
    |                   SSRC of the media                           |
    |      lost packet (PID)        | bits of the 16 after it (BLP) |   one or more of these
"""

from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.twcc import TRANSPORT_WIDE, TransportFeedback, parse_feedback

TRANSPORT_FEEDBACK = 205
"""Packet type of transport-layer feedback."""
GENERIC_NACK = 1
MAX_NACK_NUMBERS = 256
"""Sequence numbers in one NACK that is written, and pairs in one that is read. Where no two numbers share a
pair this makes 1036 octets: with SRTCP and a report before it still below the usual MTU."""

_HEADER = Struct("!BBHII")
_SSRCS = Struct("!II")
_PAIR = Struct("!HH")
_BITS = 16


class GenericNack(NamedTuple):
    """The packets `lost` (16-bit sequence numbers) of `media_ssrc` are missing; please send them again."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]

    def serialize(self) -> bytes:
        """12 octets and 4 for each pair; a number that lies up to 16 after the one before shares its pair.

        ValueError for no number at all, and for more than MAX_NACK_NUMBERS.
        """
        if not 0 < len(self.lost) <= MAX_NACK_NUMBERS:
            raise ValueError(f"a NACK names 1 to {MAX_NACK_NUMBERS} packets, not {len(self.lost)}")
        pairs = _pack(self.lost)
        header = _HEADER.pack(
            0x80 | GENERIC_NACK, TRANSPORT_FEEDBACK, 2 + len(pairs), self.sender_ssrc, self.media_ssrc
        )
        return header + b"".join(_PAIR.pack(*pair) for pair in pairs)


TransportLayerFeedback = GenericNack | TransportFeedback


def parse_transport_feedback(fmt: int, body: bytes) -> list[TransportLayerFeedback]:
    """Read the body of a packet of type 205; no value for a format that is not known.

    ParseError(RTCP_MALFORMED) when the body does not have the shape of its format.
    """
    if fmt == GENERIC_NACK:
        return [_parse_nack(body)]
    if fmt == TRANSPORT_WIDE:
        return [parse_feedback(body)]
    return []


def _pack(numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for number in numbers:
        pid, mask = pairs[-1] if pairs else (number, 0)
        # RFC 4585, 6.2.1: bit i of the mask stands for packet PID + i, "modulo 2^16".
        distance = number - pid & 0xFFFF
        if 0 < distance <= _BITS:
            pairs[-1] = pid, mask | 1 << (distance - 1)
        else:
            pairs.append((number & 0xFFFF, 0))
    return pairs


def _parse_nack(body: bytes) -> GenericNack:
    pairs = (len(body) - _SSRCS.size) // _PAIR.size
    if not 0 < pairs <= MAX_NACK_NUMBERS:
        raise ParseError(DropReason.RTCP_MALFORMED, "NACK of no or too many pairs")
    sender_ssrc, media_ssrc = _SSRCS.unpack_from(body)
    lost: list[int] = []
    for at in range(_SSRCS.size, _SSRCS.size + pairs * _PAIR.size, _PAIR.size):
        pid, mask = _PAIR.unpack_from(body, at)
        lost.append(pid)
        lost += [pid + bit + 1 & 0xFFFF for bit in range(_BITS) if mask >> bit & 1]
    return GenericNack(sender_ssrc, media_ssrc, tuple(lost))
