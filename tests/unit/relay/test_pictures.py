from collections import Counter

import pytest
from tests.peers import h264, x264
from tests.unit.relay.tagging import FRAME_US, START_US, sets_of, unit, units, units_of, without_sets

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.nal import has_recovery_point
from whipway.media.parameter_sets import ParameterSets
from whipway.media.unit import AccessUnit
from whipway.relay.pictures import Pictures, Placement

BROKEN_SPS = b"\x67\xff"
B_FRAMES = {"bframes": "3", "b-adapt": "0", "b-pyramid": "normal"}
DEPTH = 2
LATER_US = START_US + 10_000_000


@pytest.fixture(scope="module")
def camera() -> list[list[bytes]]:
    """Two groups of three pictures."""
    return h264.encode(320, 180, 6)


@pytest.fixture(scope="module")
def screen() -> list[list[bytes]]:
    return h264.encode(480, 270, 6)


@pytest.fixture(scope="module")
def reordered() -> list[x264.EncodedPicture]:
    return x264.encode(16, options=B_FRAMES, group=8)


def make_pictures(*sets: bytes) -> Pictures:
    return Pictures(Counter(), sets)


def place_all(pictures: Pictures, media: list[AccessUnit]) -> list[Placement]:
    return [pictures.place(one) for one in media]


def cut(nals: list[bytes], time_us: int) -> AccessUnit:
    made = unit(nals, time_us)
    made.is_cut = True
    return made


def header_of(nals: list[bytes]) -> bytes:
    configuration = ParameterSets(nals).configuration()
    assert configuration is not None
    return flv.avc_sequence_header(configuration)


def assert_awaits_keyframe(pictures: Pictures, one: AccessUnit) -> None:
    with pytest.raises(ParseError) as caught:
        pictures.place(one)
    assert caught.value.reason is DropReason.H264_AWAITING_IDR
    assert pictures.needs_keyframe


def test_pictures_in_order_are_decoded_when_they_are_shown(camera):
    pictures = make_pictures()
    assert (pictures.sps, pictures.header, pictures.needs_keyframe) == (None, None, True)
    placed = place_all(pictures, units(camera))
    times = [START_US + number * FRAME_US for number in range(6)]
    assert [(one.decode_us, one.shown_us) for one in placed] == [(time, time) for time in times]
    assert [one.header for one in placed] == [header_of(camera[0])] + [None] * 5
    assert pictures.header == header_of(camera[0])
    assert pictures.sps is not None and pictures.sps.width == 320
    assert not pictures.needs_keyframe and not pictures.reordered


def test_pictures_out_of_order_are_decoded_before_they_are_shown(reordered):
    pictures = make_pictures()
    placed = place_all(pictures, units_of(reordered))
    assert pictures.reordered
    assert [one.shown_us - START_US for one in placed] == [one.pts * 100 // 9 for one in reordered]
    for number, one in enumerate(placed):
        assert abs(one.decode_us - START_US - (number - DEPTH) * FRAME_US) < 20


def test_it_begins_with_a_key_frame_and_its_sets(camera):
    pictures = make_pictures()
    first, second, third, *_ = units(camera)
    first.nals = without_sets(first.nals)
    for one in (first, second, third):
        assert_awaits_keyframe(pictures, one)
    assert pictures.place(units(camera)[3]).header is not None


def test_the_sets_of_the_offer_will_do(camera):
    pictures = make_pictures(*sets_of(camera[0]))
    assert pictures.header is None
    assert pictures.place(unit(without_sets(camera[0]), START_US)).header == header_of(camera[0])
    # Unless nobody can read them.
    assert make_pictures(BROKEN_SPS).place(units(camera)[0]).header == header_of(camera[0])


def test_sets_that_nobody_can_read(camera):
    pictures = Pictures(drops := Counter())
    pictures.place(units(camera)[0])
    inter = unit([BROKEN_SPS, *camera[1]], START_US + FRAME_US)
    pictures.place(inter)
    assert inter.nals == camera[1]
    assert drops == {DropReason.H264_MALFORMED: 1}
    with pytest.raises(ParseError) as caught:
        pictures.place(unit([BROKEN_SPS, *camera[3]], START_US + 3 * FRAME_US))
    assert caught.value.reason is DropReason.H264_MALFORMED
    assert_awaits_keyframe(pictures, unit(camera[4], START_US + 4 * FRAME_US))


def test_a_header_is_given_when_its_bytes_change_and_never_else(camera, screen):
    pictures = make_pictures()
    placed = place_all(pictures, units([*camera, *screen, *screen, *camera]))
    headers = [header_of(nals) for nals in (camera[0], screen[0], camera[0])]
    assert [one.header for one in placed if one.header] == headers
    assert [number for number, one in enumerate(placed) if one.header] == [0, 6, 18]


def test_sets_that_came_with_a_picture_left_out_get_their_header_all_the_same(camera, screen):
    pictures = make_pictures()
    pictures.place(units(camera)[0])
    pictures.needs_keyframe = True
    assert_awaits_keyframe(pictures, unit([*sets_of(screen[0]), *screen[1]], LATER_US))
    assert pictures.place(unit(without_sets(screen[0]), LATER_US)).header == header_of(screen[0])


# Cuts.


def test_a_cut_to_a_source_with_other_sets(camera, screen):
    pictures = make_pictures()
    place_all(pictures, units(camera))
    placed = pictures.place(cut(screen[0], START_US + 100))
    assert placed == Placement(START_US + 100, START_US + 100, header_of(screen[0]))
    assert pictures.sps is not None and pictures.sps.width == 480


def test_a_cut_to_a_source_with_the_same_sets_needs_no_header(camera):
    pictures = make_pictures()
    place_all(pictures, units(camera))
    assert pictures.place(cut(camera[0], START_US + 100)).header is None
    assert pictures.header == header_of(camera[0])
    assert pictures.place(unit(camera[1], START_US + FRAME_US + 100)).header is None


def test_the_sets_of_before_do_not_serve_the_source_behind_a_cut(camera):
    pictures = make_pictures()
    place_all(pictures, units(camera))
    assert_awaits_keyframe(pictures, cut(without_sets(camera[0]), LATER_US))
    assert_awaits_keyframe(pictures, unit(camera[1], LATER_US))
    assert pictures.sps is None
    pictures.pause()
    assert pictures.place(unit(camera[3], LATER_US)) == Placement(LATER_US, LATER_US, None)


def test_a_cut_whose_sets_nobody_can_read_waits_for_the_next_key_frame(reordered, camera):
    pictures = make_pictures()
    place_all(pictures, units_of(reordered))
    with pytest.raises(ParseError) as caught:
        pictures.place(cut([BROKEN_SPS, *camera[0]], LATER_US))
    assert caught.value.reason is DropReason.H264_MALFORMED
    assert pictures.needs_keyframe
    assert pictures.place(unit(camera[3], LATER_US)).header == header_of(camera[0])


def test_a_cut_forgets_that_there_were_b_frames(reordered, camera):
    pictures = make_pictures()
    place_all(pictures, units_of(reordered))
    # Earlier than the last of the others, too.
    first, *rest = units(camera, START_US + 14 * FRAME_US)
    first.is_cut = True
    placed = place_all(pictures, [first, *rest])
    assert not pictures.reordered
    assert [one.decode_us for one in placed] == [one.shown_us for one in placed]


def test_a_cut_to_a_source_with_b_frames_and_the_same_sets(reordered):
    pictures = make_pictures()
    place_all(pictures, units_of(reordered))
    first, *rest = units_of(reordered, LATER_US)
    first.is_cut = True
    placed = place_all(pictures, [first, *rest])
    alone = place_all(make_pictures(), units_of(reordered, LATER_US))
    assert [one[:2] for one in placed] == [one[:2] for one in alone]
    assert not any(one.header for one in placed)


# Pauses.


def test_what_comes_behind_a_pause_is_a_key_frame(camera):
    pictures = make_pictures()
    first, second, third, *_ = units(camera)
    place_all(pictures, [first, second])
    pictures.pause()
    assert_awaits_keyframe(pictures, third)
    placed = place_all(pictures, units(camera[3:], LATER_US))
    assert placed[0] == Placement(LATER_US, LATER_US, None)


def test_b_frames_behind_a_pause_do_not_wait_for_those_before_it(reordered):
    pictures = make_pictures()
    place_all(pictures, units_of(reordered[:8]))
    pictures.pause()
    after_us = START_US + 1_000_000  # A pause too short to be seen in the times alone.
    placed = place_all(pictures, units_of(reordered[8:], after_us))
    begin_us = placed[0].shown_us
    for number, one in enumerate(placed):
        assert abs(one.decode_us - begin_us - (number - DEPTH) * FRAME_US) < 20


def test_a_pause_before_the_first_picture_is_none(camera):
    pictures = make_pictures()
    pictures.pause()
    assert pictures.place(units(camera)[0]).decode_us == START_US


def test_behind_a_pause_a_recovery_point_will_do_if_there_is_nothing_better():
    """Encoders with intra refresh never send another key frame."""
    encoded = units_of(x264.encode(40, group=10, options={"intra-refresh": "1"}))
    pictures = make_pictures()
    place_all(pictures, encoded[:10])
    pictures.pause()
    start = next(
        index for index, one in enumerate(encoded) if index >= 10 and any(map(has_recovery_point, one.nals))
    )
    assert_awaits_keyframe(pictures, encoded[start])
    encoded[start].is_entry = True
    placed = place_all(pictures, encoded[start:])
    assert [one.decode_us for one in placed] == [one.time_us for one in encoded[start:]]
    assert not pictures.needs_keyframe
