import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.h264 import encode

from whipway.failures import DropReason, ParseError
from whipway.media.nal import NalType, nal_type, to_avcc
from whipway.media.parameter_sets import (
    MAX_SET_BYTES,
    MAX_STREAM_SETS_BYTES,
    MAX_UNIT_SETS,
    ParameterSets,
    SequenceParameterSet,
    parse_sps,
)


class Bits:
    """Writes syntax elements in the descriptors of ITU-T H.264, 7.2."""

    def __init__(self, bits: str = "") -> None:
        self.bits = bits

    def u(self, count: int, value: int) -> "Bits":
        self.bits += f"{value:0{count}b}"
        return self

    def ue(self, *values: int) -> "Bits":
        for value in values:
            self.bits += f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}"
        return self

    def se(self, *values: int) -> "Bits":
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def nal(self, header: int) -> bytes:
        """The NAL unit with its trailing bits, and with emulation prevention."""
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        out = bytearray((header,))
        for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
            if byte <= 3 and out[-2:] == b"\x00\x00":
                out.append(3)
            out.append(byte)
        return bytes(out)


POC_2 = Bits().ue(2)
FORMAT_420 = Bits().ue(1, 0, 0).u(2, 0)


def make_sps(
    *,
    profile: int = 77,
    constraints: int = 0,
    sps_id: int = 0,
    high: Bits | None = None,
    poc: Bits = POC_2,
    size: tuple[int, int] = (40, 30),
    crop: tuple[int, int, int, int] | None = None,
    vui: Bits | None = None,
) -> bytes:
    """An SPS of 7.3.2.1.1; `size` in macroblocks, `high` the syntax elements of the high profiles."""
    bits = Bits().u(8, profile).u(8, constraints).u(8, 31).ue(sps_id)
    bits.bits += high.bits if high else ""
    bits.ue(0)
    bits.bits += poc.bits
    bits.ue(1).u(1, 0).ue(size[0] - 1, size[1] - 1).u(1, 1).u(1, 1)
    bits.u(1, crop is not None).ue(*(crop or ()))
    bits.u(1, vui is not None)
    bits.bits += vui.bits if vui else ""
    return bits.nal(0x67)


def make_pps(pps_id: int = 0, sps_id: int = 0, flavour: int = 0) -> bytes:
    return Bits().ue(pps_id, sps_id).u(8, flavour).nal(0x68)


def real(**options: object) -> SequenceParameterSet:
    """The SPS of a stream that libx264 made."""
    sets = ParameterSets()
    assert sets.update(encode(frames=1, **options)[0])
    assert sets.sps is not None
    return sets.sps


# What a real encoder writes is what it was asked for.


def test_baseline():
    sps = real(width=480, height=270, rate=25, profile="baseline", x264_params="sps-id=3")
    assert (sps.id, sps.profile_idc, sps.constraint_flags, sps.level_idc) == (3, 66, 0xC0, 21)
    assert (sps.width, sps.height, sps.frame_rate) == (480, 270, 25.0)
    assert (sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma) == (1, 8, 8)
    assert (sps.pic_order_cnt_type, sps.max_num_reorder_frames) == (2, 0)
    assert (sps.pic_order_cnt_lsb_bits, sps.frame_mbs_only, sps.separate_colour_planes) == (0, True, False)


def test_main_with_b_frames():
    sps = real(profile="main", x264_params="bframes=2")
    assert (sps.profile_idc, sps.pic_order_cnt_type, sps.max_num_reorder_frames) == (77, 0, 2)
    assert (sps.frame_num_bits, sps.pic_order_cnt_lsb_bits) == (4, 6)


def test_high_with_scaling_lists_and_aspect_ratio():
    sps = real(profile="high", preset="fast", x264_params="cqm=jvt:sar=1001/1000", width=1278, height=718)
    assert (sps.profile_idc, sps.width, sps.height, sps.frame_rate) == (100, 1278, 718, 30.0)


def test_interlaced_with_hrd_and_signal_type():
    hrd = "nal-hrd=cbr:vbv-maxrate=900:vbv-bufsize=900"
    sps = real(height=180, x264_params=f"interlaced=1:{hrd}:colorprim=bt709:overscan=show:chromaloc=1")
    assert (sps.width, sps.height, sps.frame_rate, sps.max_num_reorder_frames) == (320, 180, 30.0, 0)
    assert not sps.frame_mbs_only


@pytest.mark.parametrize(
    ("profile", "pixel_format", "numbers"),
    [
        ("high444", "yuv444p", (244, 3, 8)),
        ("high422", "yuv422p", (122, 2, 8)),
        ("high10", "yuv420p10le", (110, 1, 10)),
    ],
)
def test_other_chroma_formats_and_depths(profile: str, pixel_format: str, numbers: tuple[int, int, int]):
    sps = real(profile=profile, pixel_format=pixel_format, width=322, height=182)
    assert (sps.profile_idc, sps.chroma_format_idc, sps.bit_depth_luma) == numbers
    assert (sps.width, sps.height) == (322, 182)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 480, "height": 270},
        {"profile": "high", "preset": "fast", "x264_params": "slices=3:aud=1"},
        {"profile": "high444", "pixel_format": "yuv444p"},
    ],
)
def test_a_decoder_takes_the_configuration(options: dict[str, str]):
    units = encode(frames=4, **options)
    sets = ParameterSets()
    sets.update(units[0])
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.extradata = sets.configuration()
    pictures = []
    for unit in units:
        slices = [nal for nal in unit if nal_type(nal) in (NalType.SLICE, NalType.IDR)]
        pictures += decoder.decode(av.Packet(to_avcc(slices)))
    pictures += decoder.decode(None)
    assert len(pictures) == 4
    assert sets.sps is not None
    assert {(picture.width, picture.height) for picture in pictures} == {(sets.sps.width, sets.sps.height)}


# What real encoders here do not write.


def test_the_offsets_of_picture_order_count_type_1_are_read_past():
    poc = Bits().ue(1).u(1, 0).se(-1, 2).ue(3).se(4, -5, 6)
    sps = parse_sps(make_sps(poc=poc))
    assert (sps.pic_order_cnt_type, sps.width, sps.height) == (1, 640, 480)
    assert sps.max_num_reorder_frames is None


@pytest.mark.parametrize("ending", ["at once", "early", "never"])
def test_scaling_lists_are_read_past(ending: str):
    high = Bits().ue(3).u(1, 1).ue(2, 1).u(2, 1)
    for index in range(12):
        high.u(1, index % 2)
        if index % 2:
            # A next scale of 0 ends the list; it starts at 8.
            size = 16 if index < 6 else 64
            high.se(*{"at once": [-8], "early": [100, 100, 48], "never": [1] * size}[ending])
    sps = parse_sps(make_sps(profile=244, high=high))
    assert (sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma) == (3, 10, 9)
    assert (sps.width, sps.height, sps.frame_rate) == (640, 480, None)


def test_cropping_counts_in_chroma_samples():
    crop = (1, 2, 3, 4)
    assert parse_sps(make_sps(crop=crop)).width == 640 - 2 * 3
    assert parse_sps(make_sps(crop=crop)).height == 480 - 2 * 7
    monochrome = parse_sps(make_sps(profile=100, high=Bits().ue(0, 0, 0).u(2, 0), crop=crop))
    assert (monochrome.width, monochrome.height) == (637, 473)
    planes = parse_sps(make_sps(profile=244, high=Bits().ue(3).u(1, 1).ue(0, 0).u(2, 0), crop=crop))
    assert (planes.width, planes.height, planes.separate_colour_planes) == (637, 473, True)


def test_when_pictures_are_never_reordered():
    poc_0 = Bits().ue(0, 4)
    assert parse_sps(make_sps(poc=poc_0)).max_num_reorder_frames is None
    assert parse_sps(make_sps()).max_num_reorder_frames == 0
    assert parse_sps(make_sps(profile=66, poc=poc_0)).max_num_reorder_frames == 0
    intra = make_sps(profile=110, constraints=0x10, high=FORMAT_420, poc=poc_0)
    assert parse_sps(intra).max_num_reorder_frames == 0
    high = make_sps(profile=110, high=FORMAT_420, poc=poc_0)
    assert parse_sps(high).max_num_reorder_frames is None


def vui(timing: Bits, rest: Bits) -> Bits:
    return Bits("0000" + timing.bits + rest.bits)


NO_TIMING = Bits("0")
HRD = Bits().ue(1).u(8, 0).ue(5, 6).u(1, 0).ue(7, 8).u(1, 1).u(20, 0)
RESTRICTED_TO_3 = Bits().u(1, 1).u(1, 1).ue(0, 0, 10, 10, 3, 4)


def timing(units: int, scale: int) -> Bits:
    return Bits("1").u(32, units).u(32, scale).u(1, 1)


@pytest.mark.parametrize(
    ("units", "scale", "rate"),
    [(1, 60, 30.0), (1001, 60000, 30000 / 1001), (1, 90000, None), (0, 50, None), (5, 0, None)],
)
def test_frame_rates(units: int, scale: int, rate: float | None):
    sps = parse_sps(make_sps(vui=vui(timing(units, scale), Bits("0000"))))
    assert sps.frame_rate == rate


@pytest.mark.parametrize("hrd", ["0" + "0" + "0", "1" + HRD.bits + "0" + "0" + "0"])
def test_without_bitstream_restriction(hrd: str):
    sps = parse_sps(make_sps(poc=Bits().ue(0, 4), vui=vui(timing(1, 50), Bits(hrd + "0"))))
    assert (sps.frame_rate, sps.max_num_reorder_frames) == (25.0, None)


def test_bitstream_restriction_behind_both_hrds():
    both = Bits("1" + HRD.bits + "1" + HRD.bits + "00" + RESTRICTED_TO_3.bits)
    sps = parse_sps(make_sps(poc=Bits().ue(0, 4), vui=vui(NO_TIMING, both)))
    assert (sps.frame_rate, sps.max_num_reorder_frames) == (None, 3)


def test_a_broken_vui_does_not_take_the_sps_with_it():
    cut = parse_sps(make_sps(poc=Bits().ue(0, 4), vui=vui(timing(1, 50), Bits("01"))))
    assert (cut.width, cut.frame_rate, cut.max_num_reorder_frames) == (640, 25.0, None)
    cut = parse_sps(make_sps(vui=Bits("0000" + "1")))
    assert (cut.width, cut.frame_rate, cut.max_num_reorder_frames) == (640, None, 0)


@pytest.mark.parametrize(
    "nal",
    [
        b"",
        b"\x67",
        b"\x67\x42\xc0",
        make_pps(),
        make_sps(sps_id=32),
        make_sps(profile=100, high=Bits().ue(4, 0, 0).u(2, 0)),
        make_sps(profile=100, high=Bits().ue(1, 7, 0).u(2, 0)),
        make_sps(poc=Bits().ue(3)),
        make_sps(poc=Bits().ue(0, 13)),
        make_sps(poc=Bits().ue(1).u(1, 0).se(0, 0).ue(256)),
        make_sps(size=(1056, 1)),
        make_sps(size=(1, 1056)),
        make_sps(crop=(160, 160, 0, 0)),
        make_sps(crop=(0, 0, 1000, 0)),
    ],
)
def test_malformed_sps(nal: bytes):
    with pytest.raises(ParseError) as error:
        parse_sps(nal)
    assert error.value.reason == DropReason.H264_MALFORMED


def test_a_set_of_impossible_size():
    with pytest.raises(ParseError) as error:
        parse_sps(make_sps() + bytes(MAX_SET_BYTES))
    assert error.value.reason == DropReason.H264_TOO_LARGE


# The configuration record, ISO/IEC 14496-15, 5.3.3.1.


def test_the_record_of_a_baseline_stream():
    sps, pps = make_sps(profile=66, constraints=0xC0), make_pps()
    sets = ParameterSets()
    assert sets.configuration() is None
    assert sets.sps is None
    assert sets.update([sps, pps, b"\x65\x88"])
    assert sets.configuration() == (
        b"\x01\x42\xc0\x1f\xff"
        + b"\xe1" + len(sps).to_bytes(2, "big") + sps
        + b"\x01" + len(pps).to_bytes(2, "big") + pps
    )  # fmt: skip


def test_the_tail_of_the_high_profiles():
    sets = ParameterSets([make_sps(profile=110, high=Bits().ue(2, 1, 2).u(2, 0)), make_pps()])
    configuration = sets.configuration()
    assert configuration is not None
    assert configuration.endswith(make_pps() + b"\xfe\xf9\xfa\x00")


def test_the_offer_seeds_the_sets():
    sets = ParameterSets([make_sps(), make_pps()])
    assert sets.configuration() is not None
    assert not sets.update([make_sps(), make_pps(), b"\x65\x88"])


def test_an_update_is_true_only_when_the_bytes_change():
    sets = ParameterSets()
    assert not sets.update([])
    assert not sets.update([b"\x41\x9a", b""])
    assert not sets.update([make_sps()])
    assert sets.sps is not None
    assert sets.configuration() is None
    assert sets.update([make_pps()])
    assert not sets.update([make_sps(), make_pps()])
    assert not sets.update([make_pps()])
    assert sets.update([make_sps(size=(80, 45)), make_pps()])
    assert (sets.sps.width, sets.sps.height) == (1280, 720)


def test_the_sps_of_a_slice_is_found_by_its_pps():
    sets = ParameterSets(
        [make_sps(sps_id=2), make_sps(sps_id=3, size=(8, 6)), make_pps(0, 3), make_pps(9, 2)]
    )
    assert [sps.id if (sps := sets.sps_of(pps_id)) else None for pps_id in (0, 9, 1)] == [3, 2, None]


def test_the_order_inside_a_unit_does_not_matter():
    one, other = ParameterSets(), ParameterSets()
    assert one.update([make_sps(), make_pps(0), make_pps(1, flavour=9)])
    assert other.update([make_pps(1, flavour=9), make_pps(0), make_sps()])
    assert one.configuration() == other.configuration()


def test_ids_that_count_up_leave_nothing_behind():
    sets = ParameterSets([make_sps(sps_id=0), make_pps(0, 0)])
    for number in range(1, 32):
        assert sets.update([make_sps(sps_id=number), make_pps(number, number)])
    fresh = ParameterSets([make_sps(sps_id=31), make_pps(31, 31)])
    assert sets.configuration() == fresh.configuration()


def test_picture_sets_of_the_same_sequence_set_give_way_together():
    sets = ParameterSets([make_sps(), make_pps(0), make_pps(1)])
    assert sets.update([make_sps(), make_pps(2)])
    assert sets.configuration() == ParameterSets([make_sps(), make_pps(2)]).configuration()


def test_a_sequence_set_alone_keeps_its_picture_sets():
    sets = ParameterSets([make_sps(), make_pps()])
    assert sets.update([make_sps(size=(80, 45))])
    assert sets.configuration() == ParameterSets([make_sps(size=(80, 45)), make_pps()]).configuration()


def test_a_picture_set_alone_is_added():
    sets = ParameterSets([make_sps(), make_pps(0)])
    assert sets.update([make_pps(1)])
    assert sets.update([make_pps(1, flavour=1)])
    expected = ParameterSets([make_sps(), make_pps(0), make_pps(1, flavour=1)])
    assert sets.configuration() == expected.configuration()


def test_a_picture_set_without_its_sequence_set_is_not_kept():
    sets = ParameterSets([make_sps(), make_pps()])
    assert not sets.update([make_pps(1, sps_id=5)])
    assert not sets.update([make_sps(sps_id=5)])
    assert sets.configuration() is None


def test_the_record_holds_what_its_counters_can_say():
    sets = ParameterSets([make_sps(sps_id=number) for number in range(32)])
    assert sets.update([make_pps(number, 0) for number in range(256)])
    configuration = sets.configuration()
    assert configuration is not None
    assert configuration[5] == 0xE0 | 31
    position = 6
    for _ in range(31):
        position += 2 + int.from_bytes(configuration[position : position + 2], "big")
    assert configuration[position] == 255


@pytest.mark.parametrize(
    ("nal", "reason"),
    [
        (b"\x67\x42", DropReason.H264_MALFORMED),
        (b"\x68", DropReason.H264_MALFORMED),
        (make_pps(256), DropReason.H264_MALFORMED),
        (make_pps(0, 32), DropReason.H264_MALFORMED),
        (make_pps() + bytes(MAX_SET_BYTES), DropReason.H264_TOO_LARGE),
    ],
)
def test_a_bad_set_changes_nothing(nal: bytes, reason: DropReason):
    sets = ParameterSets([make_sps(), make_pps()])
    before = sets.configuration()
    with pytest.raises(ParseError) as error:
        sets.update([make_sps(size=(80, 45)), make_pps(1), nal])
    assert error.value.reason == reason
    assert sets.configuration() == before
    assert sets.sps is not None
    assert sets.sps.width == 640


def test_more_sets_in_a_unit_than_there_are_ids():
    sets = ParameterSets([make_sps(), make_pps()])
    before = sets.configuration()
    assert not sets.update([make_sps(), *[make_pps()] * (MAX_UNIT_SETS - 1)])
    with pytest.raises(ParseError) as error:
        sets.update([make_sps(size=(80, 45)), *[make_pps()] * MAX_UNIT_SETS])
    assert error.value.reason == DropReason.H264_TOO_LARGE
    assert sets.configuration() == before


def test_large_sets_that_come_one_by_one():
    sets = ParameterSets([make_sps()])
    size = MAX_STREAM_SETS_BYTES // 10
    for number in range(9):
        assert sets.update([make_pps(number) + bytes(size)])
    before = sets.configuration()
    with pytest.raises(ParseError) as error:
        sets.update([make_pps(9) + bytes(size)])
    assert error.value.reason == DropReason.H264_TOO_LARGE
    assert sets.configuration() == before


POC_0 = Bits().ue(0, 4)


@pytest.mark.parametrize(
    ("fields", "never"),
    [
        ({"profile": 77, "poc": POC_0}, False),
        ({"profile": 77, "poc": POC_2}, True),
        ({"profile": 66, "poc": POC_0}, True),
        ({"profile": 100, "poc": POC_0, "high": FORMAT_420}, False),
        ({"profile": 100, "poc": POC_0, "high": FORMAT_420, "constraints": 0x10}, True),
    ],
)
def test_streams_that_never_reorder(fields: dict, never: bool):
    assert parse_sps(make_sps(**fields)).never_reorders == never


@given(st.binary(max_size=60))
def test_any_bytes_parse_or_raise(body: bytes):
    for head in (b"\x67", b"\x67\x64\x00\x1f", b"\x67\x42\xc0\x1f", b"\x68"):
        try:
            ParameterSets().update([head + body])
        except ParseError as error:
            assert error.reason == DropReason.H264_MALFORMED


REAL_SPS = encode(frames=1, profile="high", preset="fast", x264_params="cqm=jvt")[0][0]


@given(st.integers(1, len(REAL_SPS) - 1), st.integers(0, 255))
def test_a_real_sps_with_a_wrong_byte_parses_or_raises(position: int, value: int):
    nal = bytearray(REAL_SPS)
    nal[position] = value
    try:
        sps = parse_sps(bytes(nal))
    except ParseError as error:
        assert error.reason == DropReason.H264_MALFORMED
    else:
        assert 0 < sps.width <= 16880
        assert 0 < sps.height <= 2 * 16880
