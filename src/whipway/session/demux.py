"""Telling STUN, DTLS, RTP and RTCP apart on one transport.

RFC 7983, section 7: the first byte decides; RFC 5761, section 4: the second byte tells RTP from RTCP.
TURN channels and ZRTP share the scheme but never reach a WHIP server, so they count as unknown.
"""

from enum import IntEnum


class DatagramKind(IntEnum):
    """What a datagram claims to be."""

    UNKNOWN = 0
    STUN = 1
    DTLS = 2
    RTP = 3
    RTCP = 4


def _kind_of(first: int) -> DatagramKind:
    """RFC 7983, section 7, figure 3."""
    if first <= 3:
        return DatagramKind.STUN
    if 20 <= first <= 63:
        return DatagramKind.DTLS
    if 128 <= first <= 191:
        return DatagramKind.RTP
    return DatagramKind.UNKNOWN


_KINDS = tuple(_kind_of(first) for first in range(256))


def classify(data: bytes) -> DatagramKind:
    """Tell what a datagram is by its first two bytes."""
    if len(data) < 2:
        return DatagramKind.UNKNOWN
    kind = _KINDS[data[0]]
    # RFC 5761, section 4: "RTCP packet types in the range 64-95" once the marker bit is taken off.
    if kind is DatagramKind.RTP and 192 <= data[1] <= 223:
        return DatagramKind.RTCP
    return kind
