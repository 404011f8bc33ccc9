"""One channel of AAC heard on both sides: a frame of one channel, rewritten as a frame of two.

A raw data block with a single_channel_element becomes one with a channel_pair_element in which every band is
mid/side coded (ISO/IEC 14496-3, 4.4.2 and 4.6.8.1) and the side is empty: left and right are both the mid.
So a stereo stream can be encoded at the price of mono, for as long as both channels are the same, and its
AudioSpecificConfig never changes.

    single: id tag global_gain ics_info                        REST END
    pair:   id tag 1 ics_info ms_mask_present=2 global_gain REST side END

Nothing is decoded: the bits behind ics_info (sections, scale factors, spectrum) move as they are. Only what
FFmpeg's encoder writes is taken: one element and END. Temporal noise shaping and noise substitution have to
be switched off, as both are outside of mid/side coding and would be of the left channel alone.
"""

from functools import lru_cache
from typing import Final

ID_SCE: Final = 0
ID_CPE: Final = 1
ID_END: Final = 0b111
"""id_syn_ele, 3 bits (Table 4.85)."""
EIGHT_SHORT_SEQUENCE: Final = 2
"""window_sequence (Table 4.124)."""
MS_MASK_ALL: Final = 2
"""ms_mask_present: every band is mid/side coded."""

SINGLE_HEAD_BITS: Final = 3 + 4 + 8
"""id_syn_ele, element_instance_tag, global_gain."""
PAIR_HEAD_BITS: Final = 3 + 4 + 1
"""id_syn_ele, element_instance_tag, common_window."""
LONG_ICS_BITS: Final = 1 + 2 + 1 + 6 + 1
"""ics_reserved_bit, window_sequence, window_shape, max_sfb, predictor_data_present."""
SHORT_ICS_BITS: Final = 1 + 2 + 1 + 4 + 7
"""The same for eight short windows: max_sfb, and scale_factor_grouping for the last two."""
SHAPES: Final = 4 * 128 + 64
"""As many as there are kinds of empty sides."""


def pair(block: bytes) -> bytes:
    """The raw data block of two equal channels, of one with a single channel element of FFmpeg's."""
    number, bits = _without_end(block)
    assert number >> (bits - 3) == ID_SCE
    short = number >> (bits - SINGLE_HEAD_BITS - 3) & 3 == EIGHT_SHORT_SEQUENCE
    ics_bits = SHORT_ICS_BITS if short else LONG_ICS_BITS
    rest_bits = bits - SINGLE_HEAD_BITS - ics_bits
    rest = number & (1 << rest_bits) - 1
    ics = number >> rest_bits & (1 << ics_bits) - 1
    gain = number >> (bits - SINGLE_HEAD_BITS) & 0xFF
    side, side_bits = _empty_side(short, ics & (1 << 11) - 1 if short else ics >> 1 & 0x3F)
    # The tag is 0; common_window: both channels have the same ics_info.
    paired = ((ID_CPE << 4 << 1 | 1) << ics_bits | ics) << 10 | MS_MASK_ALL << 8 | gain
    paired = ((paired << rest_bits | rest) << side_bits | side) << 3 | ID_END
    size = PAIR_HEAD_BITS + ics_bits + 10 + rest_bits + side_bits + 3
    return (paired << (-size & 7)).to_bytes(size + 7 >> 3, "big")


def window(block: bytes) -> int:
    """window_sequence and window_shape of a block with a single channel, or a pair with a common window.

    Frames can follow each other if these fit. -1 for a pair without a common window.
    """
    head = int.from_bytes(block[:4], "big")
    if head >> 29 == ID_SCE:
        return head >> (32 - SINGLE_HEAD_BITS - 4) & 7
    return head >> (32 - PAIR_HEAD_BITS - 4) & 7 if head >> 24 & 1 else -1


def _without_end(block: bytes) -> tuple[int, int]:
    """The bits in front of the END element, and their number."""
    number = int.from_bytes(block, "big")
    # Behind END there are zeros up to a whole byte, and END is three ones.
    padding = (number & -number).bit_length() - 1
    return number >> (padding + 3), len(block) * 8 - padding - 3


@lru_cache(maxsize=SHAPES)
def _empty_side(short: bool, shape: int) -> tuple[int, int]:
    """individual_channel_stream (Table 4.50) of a channel in which all bands are zero: bits and their number.

    `shape` is max_sfb, and behind it scale_factor_grouping for short windows.
    """
    max_sfb = shape >> 7 if short else shape
    # A bit of scale_factor_grouping that is 0 begins another group.
    groups = 1 + 7 - (shape & 0x7F).bit_count() if short else 1
    length_bits = 3 if short else 5
    text = "0" * 8  # global_gain
    for _ in range(groups if max_sfb else 0):
        text += "0" * 4  # sect_cb: ZERO_HCB
        left = max_sfb
        while left >= (1 << length_bits) - 1:
            text += "1" * length_bits
            left -= (1 << length_bits) - 1
        text += f"{left:0{length_bits}b}"
    text += "000"  # pulse_data_present, tns_data_present, gain_control_data_present
    return int(text, 2), len(text)
