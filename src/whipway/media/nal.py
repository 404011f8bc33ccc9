"""NAL units of ITU-T H.264: their types, their length-prefixed form, and the bits inside them.

A NAL unit here is `bytes` from its one-byte header on (7.3.1), without start code or length prefix, with its
emulation prevention bytes. `BitReader` reads the syntax elements of 7.2 and 9.1 from an RBSP; it never reads
past the end and never loops longer than one code word. The Annex B byte stream is only written, for decoders:
nothing between RTP and RTMP has start codes. The depacketizer, the parameter sets and the FLV writer build on
this module.
"""

from collections.abc import Iterable
from typing import Final

from whipway.failures import DropReason, ParseError

START_CODE: Final = b"\x00\x00\x00\x01"
MAX_SEI_BYTES: Final = 1024
"""How far a SEI NAL unit is searched: the messages that matter have a few bytes and come first."""
RECOVERY_POINT: Final = 6
"""payloadType of a recovery point SEI message (D.1.1)."""
MAX_LEADING_ZEROS: Final = 31
"""A ue(v) of more zeros is beyond 2^32 - 2, the largest value any syntax element may have (7.2)."""


class NalType:
    """nal_unit_type values (ITU-T H.264, Table 7-1) that this project tells apart."""

    SLICE: Final = 1
    IDR: Final = 5
    SEI: Final = 6
    SPS: Final = 7
    PPS: Final = 8
    AUD: Final = 9
    END_OF_SEQUENCE: Final = 10
    FILLER: Final = 12
    SPS_EXTENSION: Final = 13


def nal_type(nal: bytes) -> int:
    """The nal_unit_type of a non-empty NAL unit."""
    return nal[0] & 0x1F


def to_avcc(nals: Iterable[bytes]) -> bytes:
    """The NAL units as one sample: each behind its length in 4 bytes (ISO/IEC 14496-15, 5.3.4.2)."""
    parts: list[bytes] = []
    for nal in nals:
        parts.append(len(nal).to_bytes(4, "big"))
        parts.append(nal)
    return b"".join(parts)


def to_byte_stream(nals: Iterable[bytes]) -> bytes:
    """The NAL units each behind a start code (ITU-T H.264, Annex B), for decoders of files."""
    return b"".join(START_CODE + nal for nal in nals)


def remove_emulation_prevention(nal: bytes) -> bytes:
    """The NAL unit with each 00 00 03 turned back into 00 00 (7.3.1), its header still in front."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")


def has_recovery_point(nal: bytes) -> bool:
    """True for a SEI NAL unit with a recovery point message (7.3.2.3.1, D.1.8): decoding may start here.

    Pictures are right from the recovery point on, which may be some frames away. Never raises.
    """
    if nal_type(nal) != NalType.SEI:
        return False
    rbsp = remove_emulation_prevention(nal[:MAX_SEI_BYTES])
    position, end = 1, len(rbsp) - 1  # The last byte is the trailing bits.
    while position < end:
        kind, position = _read_sei_number(rbsp, position)
        if kind == RECOVERY_POINT:
            return True
        size, position = _read_sei_number(rbsp, position)
        position += size
    return False


def _read_sei_number(rbsp: bytes, position: int) -> tuple[int, int]:
    """A type or size of 7.3.2.3.1, and the position behind it: bytes of 255 and a last one, added up."""
    number = 0
    while rbsp[position : position + 1] == b"\xff":
        number += 255
        position += 1
    return (number + rbsp[position], position + 1) if position < len(rbsp) else (0, position)


class BitReader:
    """Reads bits from the first to the last; ParseError(H264_MALFORMED) where they end early."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, rbsp: bytes) -> None:
        self._data = rbsp
        self._position = 0
        self._end = len(rbsp) * 8

    def u(self, count: int) -> int:
        """u(n): an unsigned number of `count` bits."""
        start = self._position
        stop = start + count
        if stop > self._end:
            raise ParseError(DropReason.H264_MALFORMED, "a syntax structure ends early")
        self._position = stop
        octets = int.from_bytes(self._data[start >> 3 : (stop + 7) >> 3], "big")
        return (octets >> (-stop & 7)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """u(1) as a truth value."""
        return self.u(1) == 1

    def ue(self) -> int:
        """ue(v): an unsigned Exp-Golomb number (9.1), 0 to 2^32 - 2."""
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
            if zeros > MAX_LEADING_ZEROS:
                raise ParseError(DropReason.H264_MALFORMED, "an Exp-Golomb code is too long")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """se(v): a signed Exp-Golomb number (9.1.1): 0, 1, -1, 2, -2, …"""
        code = self.ue()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)
