"""The order in which pictures are shown, as the pictures themselves tell it: the picture order count.

Pictures come in decoding order. Each slice header begins with the picture order count of its picture, or with
its low bits (ITU-T H.264, 7.3.3 and 8.2.1); it starts anew with every IDR picture and most often rises by two
a frame, one for each field. `PictureOrder` reads it from the first slice of an access unit and makes of it
the number of the frame in order of showing, which goes on over all groups of pictures. Where it cannot tell,
it says so: fields in pictures of their own, pic_order_cnt_type 1 and what cannot be read. A reset by
memory_management_control_operation 5 stands behind the part that is read, and no live encoder sends it.
Only the times of a stream are made of this (`media.presentation_times`): nothing is dropped for its order.
"""

from collections.abc import Iterable
from typing import Final

from whipway.media.nal import NalType, remove_emulation_prevention
from whipway.media.parameter_sets import ParameterSets, SequenceParameterSet

MAX_HEADER_BYTES: Final = 32
"""What is read of a slice: the fields up to the count have 130 bits at most, and emulation prevention adds
half as much."""
FIELDS_PER_FRAME: Final = 2
"""8.2.1: the count goes by fields, so by two a frame. Some encoders count frames; then odd ones come up."""


class PictureOrder:
    """Numbers the frames of one stream in order of showing. Give it every access unit, in decoding order."""

    __slots__ = ("_base", "_lsb", "_msb", "_next", "_odd", "_step")

    def __init__(self) -> None:
        self._msb = 0
        self._lsb = 0
        """prevPicOrderCntMsb and prevPicOrderCntLsb: those of the last reference picture."""
        self._step = FIELDS_PER_FRAME
        """By how much the count rises from frame to frame."""
        self._odd = False
        """There was an odd count since the last IDR picture."""
        self._base = 0
        """The number of the frame whose count is 0."""
        self._next = 0
        """The number behind the highest so far."""

    def number(self, nals: Iterable[bytes], sets: ParameterSets) -> int | None:
        """The place of the access unit in order of showing, counted in frames; None when it is not known."""
        for nal in nals:
            if nal and nal[0] & 0x1F in (NalType.SLICE, NalType.IDR):
                return self._number(nal, sets)
        return None

    def _number(self, nal: bytes, sets: ParameterSets) -> int | None:
        lsb_of = _read_lsb(nal, sets)
        if lsb_of is None:
            return None
        lsb, sps = lsb_of
        if nal[0] & 0x1F == NalType.IDR:
            self._begin(lsb)
        count = self._count(lsb, 1 << sps.pic_order_cnt_lsb_bits, nal[0] & 0x60 != 0)
        # A frame of two fields has a count for each, and the first may be the odd one.
        if count & 1 and sps.frame_mbs_only:
            self._odd = True
            self._step = 1
        number = self._base + count // self._step
        self._next = max(self._next, number + 1)
        return number

    def _begin(self, lsb: int) -> None:
        """8.2.1.1: an IDR picture takes the counts before for 0. All earlier pictures are shown before it."""
        self._msb = self._lsb = 0
        self._step = 1 if self._odd else FIELDS_PER_FRAME
        self._odd = False
        self._base = self._next - lsb // self._step

    def _count(self, lsb: int, end: int, is_reference: bool) -> int:
        """8.2.1.1: the low bits of a count are nearest to those of the last reference picture."""
        msb = self._msb
        if lsb < self._lsb and self._lsb - lsb >= end // 2:
            msb += end
        elif lsb > self._lsb and lsb - self._lsb > end // 2:
            msb -= end
        if is_reference:
            self._msb, self._lsb = msb, lsb
        return msb + lsb


def _read_lsb(nal: bytes, sets: ParameterSets) -> tuple[int, SequenceParameterSet] | None:
    """pic_order_cnt_lsb of a frame, and the SPS it follows (7.3.3); None where there is none.

    All bits are one number here: read bit by bit, a header would take twice as long.
    """
    header = remove_emulation_prevention(nal[:MAX_HEADER_BYTES])
    left = 8 * (len(header) - 1)
    bits = int.from_bytes(header[1:], "big")
    left = _skip_ue(bits, left)  # first_mb_in_slice
    left = _skip_ue(bits, left)  # slice_type
    before, left = left, _skip_ue(bits, left)
    if left <= 0:
        return None
    # A code of n bits is its value plus one.
    sps = sets.sps_of((bits >> left & (1 << before - left) - 1) - 1)
    if sps is None or sps.pic_order_cnt_lsb_bits == 0:
        return None
    left -= 2 * sps.separate_colour_planes + sps.frame_num_bits
    if not sps.frame_mbs_only:
        left -= 1
        if left < 0 or bits >> left & 1:  # field_pic_flag
            return None
    if nal[0] & 0x1F == NalType.IDR:
        left = _skip_ue(bits, left)  # idr_pic_id
    left -= sps.pic_order_cnt_lsb_bits
    if left < 0:
        return None
    return bits >> left & (1 << sps.pic_order_cnt_lsb_bits) - 1, sps


def _skip_ue(bits: int, left: int) -> int:
    """How many of the last `left` bits remain behind an Exp-Golomb code (9.1); negative where it is cut.

    Its n leading zeros are followed by a one and n more bits.
    """
    if left <= 0:
        return -1
    ones = (bits & (1 << left) - 1).bit_length()
    return ones - 1 - (left - ones)
