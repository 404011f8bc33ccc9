"""The order of showing: slice headers written by hand, and those of libx264."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.x264 import encode

from whipway.media.parameter_sets import ParameterSets
from whipway.media.picture_order import MAX_HEADER_BYTES, PictureOrder

SLICE, REFERENCE, IDR, SPS, PPS, SEI = 0x01, 0x41, 0x65, 0x67, 0x68, 0x06
LSB_BITS, FRAME_NUM_BITS = 6, 5
"""A count of 64 is one of 0 again."""
MAIN, HIGH_444 = 77, 244


def ue(value: int) -> str:
    """Exp-Golomb (9.1)."""
    return f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}"


def nal(header: int, bits: str) -> bytes:
    """The NAL unit with trailing bits and emulation prevention (7.3.1)."""
    bits += "1" + "0" * (-(len(bits) + 1) % 8)
    out = bytearray((header,))
    for octet in int(bits, 2).to_bytes(len(bits) // 8, "big"):
        if octet <= 3 and out[-2:] == b"\x00\x00":
            out.append(3)
        out.append(octet)
    return bytes(out)


def make_sps(
    *, order: str = ue(0) + ue(LSB_BITS - 4), frames_only: bool = True, planes: bool = False
) -> bytes:
    """7.3.2.1.1, up to the VUI."""
    bits = f"{HIGH_444 if planes else MAIN:08b}" + "0" * 8 + f"{31:08b}" + ue(3)
    bits += (ue(3) + "1" + ue(0) + ue(0) + "00") if planes else ""
    bits += ue(FRAME_NUM_BITS - 4) + order + ue(4) + "0" + ue(39) + ue(29)
    bits += ("1" if frames_only else "00") + "1" + "0" + "0"
    return nal(SPS, bits)


def make_sets(pps_id: int = 7, **fields: object) -> ParameterSets:
    return ParameterSets([make_sps(**fields), nal(PPS, ue(pps_id) + ue(3) + "0" * 8)])


def make_slice(
    lsb: int, header: int = SLICE, *, pps_id: int = 7, plane: str = "", field: str = "", frame_num: int = 0
) -> bytes:
    """The beginning of 7.3.3, and some data."""
    bits = ue(0) + ue(7) + ue(pps_id) + plane + f"{frame_num:0{FRAME_NUM_BITS}b}" + field
    bits += ue(9) if header == IDR else ""
    return nal(header, bits + f"{lsb:0{LSB_BITS}b}" + "10" * 200)


def numbers(counts: list[int], *, sets: ParameterSets | None = None) -> list[int | None]:
    """What comes of the low bits: 0 is an IDR picture, all others are reference pictures."""
    order, sets = PictureOrder(), sets or make_sets()
    return [order.number([make_slice(lsb, REFERENCE if lsb else IDR)], sets) for lsb in counts]


def test_the_order_of_a_group():
    assert numbers([0, 6, 2, 4, 12, 8, 10]) == [0, 3, 1, 2, 6, 4, 5]


def test_groups_follow_one_another():
    assert numbers([0, 4, 2, 0, 0, 6, 2]) == [0, 2, 1, 3, 4, 7, 5]


def test_low_bits_begin_anew_again_and_again():
    shown = [0] + [index + ahead for index in range(1, 200, 3) for ahead in (2, 0, 1)]
    order, sets = PictureOrder(), make_sets()
    order.number([make_slice(0, IDR)], sets)
    for number in shown[1:]:
        header = REFERENCE if number % 3 == 0 else SLICE
        assert order.number([make_slice(number * 2 % 64, header)], sets) == number


def test_low_bits_also_go_back():
    """8.2.1.1: the second branch, a picture from before the turn behind one from after it."""
    assert numbers([0, 20, 40, 60, 4, 62, 2]) == [0, 10, 20, 30, 34, 31, 33]


def test_only_reference_pictures_are_measured_from():
    order, sets = PictureOrder(), make_sets()
    headers = [(0, IDR), (30, SLICE), (34, SLICE), (62, REFERENCE)]
    assert [order.number([make_slice(lsb, header)], sets) for lsb, header in headers] == [0, 15, -15, -1]


def test_an_idr_picture_whose_count_is_not_zero():
    order, sets = PictureOrder(), make_sets()
    found = [
        order.number([make_slice(lsb, header)], sets) for lsb, header in [(8, IDR), (10, SLICE), (6, IDR)]
    ]
    assert found == [0, 1, 2]


def test_encoders_that_count_frames():
    # The first odd count tells; from the next group on it is known.
    assert numbers([0, 3, 1, 2, 6, 4, 5, 0, 2, 1, 3])[2:] == [1, 2, 6, 4, 5, 7, 9, 8, 10]
    assert numbers([0, 1, 0, 4, 2, 0, 4, 2])[-5:] == [6, 4, 7, 9, 8]


def test_frames_of_two_fields():
    """The bottom field may be the first one; then the count of the top field is odd."""
    sets = make_sets(frames_only=False)
    order = PictureOrder()
    found = [
        order.number([make_slice(lsb, header, field="0")], sets)
        for lsb, header in [(1, IDR), (7, REFERENCE), (3, SLICE), (5, SLICE)]
    ]
    assert found == [0, 3, 1, 2]


def test_fields_in_pictures_of_their_own_are_not_known():
    sets = make_sets(frames_only=False)
    assert PictureOrder().number([make_slice(0, IDR, field="11")], sets) is None


def test_colour_planes_of_their_own():
    sets = make_sets(planes=True)
    assert PictureOrder().number([make_slice(8, plane="10")], sets) == 4


def test_emulation_prevention_is_taken_out():
    sets = make_sets()
    bits = ue(0) + ue(0) + ue(7) + "00000" + ue(65534) + "000100"
    one = nal(IDR, bits + "0" * 80)
    assert b"\x00\x00\x03" in one[:12]
    order = PictureOrder()
    assert order.number([one], sets) == 0
    assert order.number([make_slice(6)], sets) == 1


def test_the_first_slice_counts_wherever_it_is():
    sets = make_sets()
    nals = [b"", bytes((SEI, 5, 1, 0, 0x80)), make_slice(4), make_slice(8)]
    assert PictureOrder().number(nals, sets) == 2
    assert PictureOrder().number(nals[:2], sets) is None


@pytest.mark.parametrize("order", [ue(2), ue(1) + "0" + ue(0) + ue(0) + ue(0)])
def test_counts_of_other_types_are_not_read(order: str):
    assert PictureOrder().number([make_slice(4)], make_sets(order=order)) is None


def test_a_picture_without_its_sets_is_not_known():
    assert PictureOrder().number([make_slice(4, pps_id=8)], make_sets()) is None


def test_headers_cut_short():
    for sets, one in [
        (make_sets(), make_slice(62, frame_num=31)),
        (make_sets(), make_slice(62, IDR, frame_num=31)),
        (make_sets(frames_only=False), make_slice(62, frame_num=31, field="0")),
    ]:
        found = [PictureOrder().number([one[:size]], sets) for size in range(1, 8)]
        assert found[0] is None and found[-1] is not None
        assert found == sorted(found, key=lambda number: number is not None)
    assert PictureOrder().number([bytes((SLICE,)) + bytes(MAX_HEADER_BYTES)], make_sets()) is None


@given(st.lists(st.tuples(st.sampled_from([SLICE, REFERENCE, IDR]), st.binary(max_size=40)), max_size=20))
def test_any_bytes_have_a_number_or_none(slices: list[tuple[int, bytes]]):
    for sets in (make_sets(0), make_sets(0, frames_only=False), make_sets(0, planes=True)):
        order = PictureOrder()
        for header, rest in slices:
            number = order.number([bytes((header,)) + rest], sets)
            # None turns by more than the low bits can say.
            assert number is None or abs(number) <= (len(slices) + 1) << LSB_BITS


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bframes": "1", "b-adapt": "0"},
        {"bframes": "3", "b-adapt": "0", "b-pyramid": "normal", "slices": "3", "aud": "1"},
        {"bframes": "5", "b-adapt": "2", "rc-lookahead": "10"},
        {"bframes": "2", "b-adapt": "0", "open-gop": "1"},
        {"bframes": "2", "b-adapt": "0", "interlaced": "1"},
        {"bframes": "2", "b-adapt": "0", "bff": "1"},
    ],
)
def test_what_x264_writes(options: dict[str, str]):
    pictures = encode(60, width=64, height=64, group=40, options=options)
    order, sets = PictureOrder(), ParameterSets(pictures[0].nals)
    for picture in pictures:
        number = order.number(picture.nals, sets)
        expected = picture.pts // 3000
        assert number == (None if sets.sps.pic_order_cnt_type else expected)
