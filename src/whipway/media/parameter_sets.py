"""H.264 parameter sets: what they say, and the decoder configuration made of them.

`parse_sps` reads a sequence parameter set (ITU-T H.264, 7.3.2.1, and its VUI, E.1.1) as far as this project
uses it. `ParameterSets` keeps the sets of one stream and writes the AVCDecoderConfigurationRecord (ISO/IEC
14496-15, 5.3.3.1) that an RTMP stream begins with and repeats whenever its bytes change. Of a picture
parameter set only the two ids are read. Subset SPSs (SVC, MVC) and SPS extensions are left out: no WebRTC
sender has them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from whipway.failures import DropReason, ParseError
from whipway.media.nal import BitReader, NalType, nal_type, remove_emulation_prevention

MAX_SET_BYTES: Final = 8192
"""Real sets have 10 to 100 bytes; scaling lists and HRD values of every kind stay below 4000."""
MAX_STREAM_SETS_BYTES: Final = 65_536
"""All sets of a stream together: they are sent again as a whole whenever one of them changes."""
MAX_SPS_ID: Final = 31
MAX_PPS_ID: Final = 255
MAX_RECORD_SPS: Final = 31
MAX_RECORD_PPS: Final = 255
"""What the 5 and 8 bits of the record's counters can say."""
MAX_UNIT_SETS: Final = 288
"""What one access unit may bring: a set of each id. Reading a set takes a while."""
MAX_WIDTH_IN_MBS: Final = 1055
"""Sqrt(MaxFS * 8) of level 6.2, the largest picture side that any level allows (A.3.1)."""
MAX_FRAME_RATE: Final = 1000.0
"""Time scales above this are placeholders (a 90 kHz clock), not frame rates."""

HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""profile_idc values whose SPS holds chroma format, bit depths and scaling lists (7.3.2.1.1)."""
INTRA_PROFILES: Final = frozenset({44, 86, 100, 110, 122, 244})
"""profile_idc values for which constraint_set3_flag means: no reordering (E.2.1)."""
PROFILES_WITHOUT_TAIL: Final = frozenset({66, 77, 88})
"""AVCProfileIndication values whose record ends behind the PPSs (ISO/IEC 14496-15, 5.3.3.1.2)."""
BASELINE: Final = 66
CONSTRAINT_SET3: Final = 0x10
EXTENDED_SAR: Final = 255


@dataclass(frozen=True, slots=True)
class SequenceParameterSet:
    """One SPS, read as far as it is used."""

    id: int
    profile_idc: int
    constraint_flags: int
    """constraint_set0_flag … constraint_set5_flag and two zero bits: the record's profile_compatibility."""
    level_idc: int
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    pic_order_cnt_type: int
    width: int
    """Luma samples after cropping."""
    height: int
    frame_rate: float | None
    """Frames a second from the VUI timing information; None without it."""
    max_num_reorder_frames: int | None
    """How many frames may come before one that is shown earlier: 0 means that decoding order is output order.
    None when neither bitstream restriction nor profile say it."""
    separate_colour_planes: bool
    """separate_colour_plane_flag: slice headers have a colour_plane_id."""
    frame_num_bits: int
    """The length of frame_num in a slice header, 4 to 16."""
    pic_order_cnt_lsb_bits: int
    """The length of pic_order_cnt_lsb in a slice header, 4 to 16; 0 unless pic_order_cnt_type is 0."""
    frame_mbs_only: bool
    """frame_mbs_only_flag: there are no fields."""

    @property
    def never_reorders(self) -> bool:
        """Decoding order is output order, by the profile or the kind of picture order count."""
        return _never_reorders(self.profile_idc, self.constraint_flags, self.pic_order_cnt_type)


def parse_sps(nal: bytes) -> SequenceParameterSet:
    """The SPS NAL unit's content. ParseError(H264_MALFORMED)."""
    if not nal or nal_type(nal) != NalType.SPS:
        raise _malformed("not an SPS")
    bits = BitReader(_rbsp(nal))
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    sps_id = _at_most(MAX_SPS_ID, bits.ue(), "seq_parameter_set_id")
    chroma, planes, depth_luma, depth_chroma = _read_format(bits, profile)
    frame_num_bits = 4 + _at_most(12, bits.ue(), "log2_max_frame_num_minus4")
    order_type, order_bits = _read_picture_order(bits)
    _at_most(16, bits.ue(), "max_num_ref_frames")
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    width, height, frames_only = _read_size(bits, chroma)
    frame_rate, reorder = _read_vui(bits)
    if reorder is None and _never_reorders(profile, constraints, order_type):
        reorder = 0
    return SequenceParameterSet(
        id=sps_id,
        profile_idc=profile,
        constraint_flags=constraints,
        level_idc=level,
        chroma_format_idc=chroma,
        bit_depth_luma=depth_luma,
        bit_depth_chroma=depth_chroma,
        pic_order_cnt_type=order_type,
        width=width,
        height=height,
        frame_rate=frame_rate,
        max_num_reorder_frames=reorder,
        separate_colour_planes=planes,
        frame_num_bits=frame_num_bits,
        pic_order_cnt_lsb_bits=order_bits,
        frame_mbs_only=frames_only,
    )


class ParameterSets:
    """The parameter sets of one stream and the configuration record made of them.

    **Which sets count.** The sets of one access unit belong together: an access unit that brings SPSs
    replaces all older ones, and PPSs of a surviving id give way to those that came along. So an encoder that
    counts its ids up with every IDR picture (OpenH264 can) leaves no stale set behind, a new resolution never
    appears with the PPS of the old one, and x264's SPS and PPS, which come in packets of their own, arrive
    here in one unit because the depacketizer carries them over. An SPS that comes without any PPS keeps the
    PPSs that refer to its id: some encoders never send them again, and a decoder would keep them too
    (7.4.1.2.1). A PPS alone is added.
    """

    def __init__(self, sets: Iterable[bytes] = ()) -> None:
        """`sets`: what the offer's sprop-parameter-sets announced, decoded. ParseError(H264_MALFORMED)."""
        self._sps: dict[int, tuple[SequenceParameterSet, bytes]] = {}
        self._pps: dict[int, tuple[int, bytes]] = {}
        """By pps id: the sps id it refers to, and its bytes."""
        self._configuration: bytes | None = None
        self.update(sets)

    @property
    def sps(self) -> SequenceParameterSet | None:
        """The SPS of the lowest id, whose profile and level the configuration shows."""
        return self._sps[min(self._sps)][0] if self._sps else None

    def sps_of(self, pps_id: int) -> SequenceParameterSet | None:
        """The SPS of the slices that name this PPS; None when the PPS is missing."""
        pps = self._pps.get(pps_id)
        return self._sps[pps[0]][0] if pps else None

    def configuration(self) -> bytes | None:
        """The AVCDecoderConfigurationRecord; None while an SPS, or a PPS that refers to it, is missing."""
        return self._configuration

    def update(self, nals: Iterable[bytes]) -> bool:
        """Takes the sets out of an access unit's NAL units.

        True when the configuration is complete and its bytes differ from before. ParseError(H264_MALFORMED or
        H264_TOO_LARGE) for a set that cannot be read; then nothing changes.
        """
        sps: list[bytes] = []
        pps: list[bytes] = []
        for nal in nals:
            kind = nal[0] & 0x1F if nal else 0
            if kind == NalType.SPS:
                sps.append(nal)
            elif kind == NalType.PPS:
                pps.append(nal)
        if not sps and not pps:
            return False
        if len(sps) + len(pps) > MAX_UNIT_SETS:
            raise ParseError(DropReason.H264_TOO_LARGE, "more parameter sets than there are ids")
        new_pps = {pps_id: (sps_id, nal) for pps_id, sps_id, nal in map(_read_pps, pps)}
        new_sps = {parsed.id: (parsed, nal) for parsed, nal in zip(map(parse_sps, sps), sps, strict=True)}
        all_sps = new_sps or self._sps
        all_pps = self._with_pps(new_pps, all_sps, replace=bool(new_sps))
        if sum(len(nal) for _, nal in [*all_sps.values(), *all_pps.values()]) > MAX_STREAM_SETS_BYTES:
            raise ParseError(DropReason.H264_TOO_LARGE, "parameter sets of impossible size")
        self._sps, self._pps = all_sps, all_pps
        return self._rebuild()

    def _with_pps(
        self,
        new: dict[int, tuple[int, bytes]],
        all_sps: dict[int, tuple[SequenceParameterSet, bytes]],
        *,
        replace: bool,
    ) -> dict[int, tuple[int, bytes]]:
        """The PPSs of before that stay, and the new ones, as far as they have an SPS."""
        renewed = {sps_id for sps_id, _ in new.values()} if replace else set()
        kept = {pps_id: entry for pps_id, entry in self._pps.items() if entry[0] not in renewed}
        return {pps_id: entry for pps_id, entry in (kept | new).items() if entry[0] in all_sps}

    def _rebuild(self) -> bool:
        if not self._pps:
            self._configuration = None
            return False
        configuration = self._record()
        changed = configuration != self._configuration
        self._configuration = configuration
        return changed

    def _record(self) -> bytes:
        """ISO/IEC 14496-15, 5.3.3.1.2; profile and level are those of the first SPS."""
        first = self._sps[min(self._sps)][0]
        sps = [self._sps[sps_id][1] for sps_id in sorted(self._sps)][:MAX_RECORD_SPS]
        pps = [self._pps[pps_id][1] for pps_id in sorted(self._pps)][:MAX_RECORD_PPS]
        # configurationVersion 1, profile, compatibility, level, lengthSizeMinusOne 3, the number of SPSs.
        profile = (first.profile_idc, first.constraint_flags, first.level_idc)
        parts = [bytes((1, *profile, 0xFF, 0xE0 | len(sps)))]
        parts += [len(nal).to_bytes(2, "big") + nal for nal in sps]
        parts += [bytes((len(pps),))]
        parts += [len(nal).to_bytes(2, "big") + nal for nal in pps]
        if first.profile_idc not in PROFILES_WITHOUT_TAIL:
            depths = (0xF8 | first.bit_depth_luma - 8, 0xF8 | first.bit_depth_chroma - 8)
            parts += [bytes((0xFC | first.chroma_format_idc, *depths, 0))]
        return b"".join(parts)


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.H264_MALFORMED, detail)


def _at_most(limit: int, value: int, name: str) -> int:
    if value > limit:
        raise _malformed(f"{name} is out of range")
    return value


def _rbsp(nal: bytes) -> bytes:
    """What follows the NAL unit header, without emulation prevention."""
    if len(nal) > MAX_SET_BYTES:
        raise ParseError(DropReason.H264_TOO_LARGE, "a parameter set of impossible size")
    return remove_emulation_prevention(nal)[1:]


def _read_pps(nal: bytes) -> tuple[int, int, bytes]:
    """The PPS's own id, the id of its SPS (7.3.2.2), and the NAL unit."""
    bits = BitReader(_rbsp(nal))
    pps_id = _at_most(MAX_PPS_ID, bits.ue(), "pic_parameter_set_id")
    return pps_id, _at_most(MAX_SPS_ID, bits.ue(), "seq_parameter_set_id"), nal


def _never_reorders(profile: int, constraints: int, order_type: int) -> bool:
    """Baseline has no B slices (A.2.1), pic_order_cnt_type 2 is decoding order (8.2.1.3); intra: E.2.1."""
    if profile in INTRA_PROFILES and constraints & CONSTRAINT_SET3:
        return True
    return profile == BASELINE or order_type == 2


def _read_format(bits: BitReader, profile: int) -> tuple[int, bool, int, int]:
    """chroma_format_idc, separate_colour_plane_flag, luma and chroma bit depth."""
    if profile not in HIGH_PROFILES:
        return 1, False, 8, 8
    chroma = _at_most(3, bits.ue(), "chroma_format_idc")
    planes = chroma == 3 and bits.flag()
    depth_luma = 8 + _at_most(6, bits.ue(), "bit_depth_luma_minus8")
    depth_chroma = 8 + _at_most(6, bits.ue(), "bit_depth_chroma_minus8")
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(12 if chroma == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, planes, depth_luma, depth_chroma


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """7.3.2.1.1.1: deltas follow until one makes the next scale 0, which repeats the last to the end."""
    scale = 8
    for _ in range(size):
        scale = (scale + bits.se()) & 0xFF
        if scale == 0:
            return


def _read_picture_order(bits: BitReader) -> tuple[int, int]:
    """pic_order_cnt_type, and the bits of pic_order_cnt_lsb for type 0; the others are read past."""
    order_type = _at_most(2, bits.ue(), "pic_order_cnt_type")
    if order_type == 0:
        return 0, 4 + _at_most(12, bits.ue(), "log2_max_pic_order_cnt_lsb_minus4")
    if order_type == 1:
        bits.flag()  # delta_pic_order_always_zero_flag
        bits.se()  # offset_for_non_ref_pic
        bits.se()  # offset_for_top_to_bottom_field
        for _ in range(_at_most(255, bits.ue(), "num_ref_frames_in_pic_order_cnt_cycle")):
            bits.se()
    return order_type, 0


def _read_size(bits: BitReader, chroma: int) -> tuple[int, int, bool]:
    """frame_mbs_only_flag behind width and height in luma samples (7.4.2.1.1, equations 7-19 to 7-22).

    Cropping counts in chroma samples; without them, or with as many as of luma, in luma samples.
    """
    width = 16 * (1 + _at_most(MAX_WIDTH_IN_MBS - 1, bits.ue(), "pic_width_in_mbs_minus1"))
    map_units = 1 + _at_most(MAX_WIDTH_IN_MBS - 1, bits.ue(), "pic_height_in_map_units_minus1")
    fields = 1 if bits.flag() else 2  # frame_mbs_only_flag
    if fields == 2:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    height = 16 * fields * map_units
    if bits.flag():  # frame_cropping_flag
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * fields
        if width <= 0 or height <= 0:
            raise _malformed("cropping leaves no picture")
    return width, height, fields == 1


def _read_vui(bits: BitReader) -> tuple[float | None, int | None]:
    """Frame rate and max_num_reorder_frames of E.1.1, each None when absent.

    Nothing a decoder needs stands in the VUI, and some encoders write a broken one: bits that end early or
    make no sense take away what they would have said, never the SPS.
    """
    frame_rate: float | None = None
    try:
        if not bits.flag():  # vui_parameters_present_flag
            return None, None
        _skip_vui_video(bits)
        frame_rate = _read_timing(bits)
        return frame_rate, _read_restriction(bits)
    except ParseError:
        return frame_rate, None


def _skip_vui_video(bits: BitReader) -> None:
    """The VUI in front of the timing information: aspect ratio, overscan, signal type, chroma location."""
    if bits.flag() and bits.u(8) == EXTENDED_SAR:
        bits.u(32)  # sar_width, sar_height
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    if bits.flag():
        bits.u(4)  # video_format, video_full_range_flag
        if bits.flag():
            bits.u(24)  # colour_primaries, transfer_characteristics, matrix_coefficients
    if bits.flag():
        bits.ue()  # chroma_sample_loc_type_top_field
        bits.ue()  # chroma_sample_loc_type_bottom_field


def _read_timing(bits: BitReader) -> float | None:
    if not bits.flag():
        return None
    units, scale = bits.u(32), bits.u(32)
    bits.flag()  # fixed_frame_rate_flag
    # E.2.1: a tick is a field, so a frame lasts two.
    if units == 0 or not 0 < scale / (2 * units) <= MAX_FRAME_RATE:
        return None
    return scale / (2 * units)


def _read_restriction(bits: BitReader) -> int | None:
    """max_num_reorder_frames, behind the HRD parameters."""
    nal_hrd = bits.flag()
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = bits.flag()
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.flag()  # low_delay_hrd_flag
    bits.flag()  # pic_struct_present_flag
    if not bits.flag():
        return None
    bits.flag()  # motion_vectors_over_pic_boundaries_flag
    for _ in range(4):  # max_bytes_per_pic_denom … log2_max_mv_length_vertical
        bits.ue()
    return _at_most(16, bits.ue(), "max_num_reorder_frames")


def _skip_hrd(bits: BitReader) -> None:
    """hrd_parameters (E.1.2)."""
    count = 1 + _at_most(31, bits.ue(), "cpb_cnt_minus1")
    bits.u(8)  # bit_rate_scale, cpb_size_scale
    for _ in range(count):
        bits.ue()  # bit_rate_value_minus1
        bits.ue()  # cpb_size_value_minus1
        bits.flag()  # cbr_flag
    bits.u(20)  # four lengths of 5 bits
