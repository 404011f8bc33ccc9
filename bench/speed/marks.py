"""The number that each picture carries: which stream it is of, which picture of it, and what it shows.

An SEI NAL unit with unregistered user data (ITU-T H.264, 7.3.2.3.1 and D.1.6) in front of the slices. No byte
of it is zero, so that it needs no emulation prevention and can be written over in place.

    06 05 18 | UUID, 16 bytes | stream, 2 bytes | number, 4 bytes | picture, 2 bytes | 80
"""

from typing import Final, NamedTuple

UUID: Final = b"whipway-speed-01"
_HEAD: Final = b"\x06\x05\x18" + UUID
MARK_BYTES: Final = 8
MARK_AT: Final = len(_HEAD)
"""Where the mark is in its NAL unit."""
MAX_STREAMS: Final = 1 << 14
_BITS: Final = 7
_FLAG: Final = 0x80
"""In each byte, so that none is zero."""


class Mark(NamedTuple):
    """`number` counts the pictures of a stream from 0; `picture` is the index in the material."""

    stream: int
    number: int
    picture: int


def blank_nal() -> bytes:
    """The NAL unit of stream 0, picture 0."""
    return _HEAD + write_mark(0, 0, 0) + b"\x80"


def write_mark(stream: int, number: int, picture: int) -> bytes:
    """MARK_BYTES bytes."""
    bits = (stream << 42) | (number & 0xFFFFFFF) << 14 | picture
    return bytes(_FLAG | bits >> shift & 0x7F for shift in _SHIFTS)


def read_mark(data: bytes) -> Mark:
    """Of MARK_BYTES bytes."""
    bits = 0
    for byte in data:
        bits = bits << _BITS | byte & 0x7F
    return Mark(bits >> 42, bits >> 14 & 0xFFFFFFF, bits & 0x3FFF)


_SHIFTS: Final = tuple(range(_BITS * (MARK_BYTES - 1), -1, -_BITS))
