"""H.264 as FLV files and RTMP have it, read back: decoder configuration and length-prefixed NAL units.

ISO/IEC 14496-15, sections 5.2.4.1 (AVCDecoderConfigurationRecord) and 5.3.2. Publishers write these, so
nothing is believed: what cannot be read is `None`, as there is always somebody to go on without it.
"""

from typing import Final, NamedTuple

_SETS_AT: Final = 5
"""Byte with the number of sequence parameter sets, in its low five bits."""


class AvcConfiguration(NamedTuple):
    """What a decoder needs first: parameter sets, without lengths, and how lengths are written."""

    length_size: int
    """Bytes of a length in front of a NAL unit: 1, 2 or 4."""
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


def read_avc_configuration(record: bytes) -> AvcConfiguration | None:
    """Read an AVCDecoderConfigurationRecord; what follows the picture parameter sets is not looked at."""
    if len(record) <= _SETS_AT or record[0] != 1:
        return None
    length_size = (record[4] & 0x03) + 1
    sps = _read_sets(record, _SETS_AT, 0x1F)
    pps = _read_sets(record, sps[1], 0xFF) if sps else None
    if sps is None or pps is None or length_size == 3:
        return None
    return AvcConfiguration(length_size, sps[0], pps[0])


def read_avc_nals(sample: bytes, length_size: int) -> list[bytes] | None:
    """The NAL units of a sample, each behind a length of `length_size` bytes, big-endian."""
    nals: list[bytes] = []
    position = 0
    while position < len(sample):
        start = position + length_size
        position = start + int.from_bytes(sample[position:start], "big")
        if start > len(sample) or position > len(sample):
            return None
        nals.append(sample[start:position])
    return nals


def _read_sets(record: bytes, position: int, count_mask: int) -> tuple[tuple[bytes, ...], int] | None:
    """Parameter sets with two bytes of length each, and where they end."""
    if position >= len(record):
        return None
    sets = []
    count = record[position] & count_mask
    position += 1
    for _ in range(count):
        start = position + 2
        position = start + int.from_bytes(record[position:start], "big")
        if position > len(record) or start > len(record):
            return None
        sets.append(record[start:position])
    return tuple(sets), position
