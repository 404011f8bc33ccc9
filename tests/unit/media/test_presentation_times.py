"""Presentation times: the example of the docstring, what tells decoding times apart, and what goes wrong."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.h264 import HIGH_SPS

from whipway.media.decode_times import DEFAULT_FRAME_US, GRAIN_US, MAX_DEPTH, MAX_FRAME_US
from whipway.media.presentation_times import PresentationTimes

FRAME_US = 20_000
SPS = replace(HIGH_SPS, frame_rate=1_000_000 / FRAME_US)

PLAIN = list(range(12))
TWO_B = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
PYRAMID = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]
DEEPEST = [0, 17, *range(1, 17), 34, *range(18, 34)]
BACKWARDS = [0, *range(16, 0, -1), *range(32, 16, -1)]


def machine(depth: int | None = 1, rate: float | None = SPS.frame_rate) -> PresentationTimes:
    times = PresentationTimes()
    times.configure(replace(SPS, max_num_reorder_frames=depth, frame_rate=rate))
    return times


def run(
    times: PresentationTimes,
    numbers: list[int | None],
    *,
    start: float = 0,
    stamps: list[float] | None = None,
) -> list[float]:
    """Pictures in decoding order, stamped a frame apart; when they are shown, in frames."""
    stamped = stamps or [start + index for index in range(len(numbers))]
    return [
        times.place(round(at * FRAME_US), number, index == 0) / FRAME_US
        for index, (at, number) in enumerate(zip(stamped, numbers, strict=True))
    ]


def proven(order: list[int] = TWO_B) -> PresentationTimes:
    """A stream whose timestamps are known to be decoding times; the next picture's number is len(order)."""
    times = machine()
    run(times, order)
    return times


@pytest.mark.parametrize("order", [PLAIN, TWO_B, PYRAMID, DEEPEST, BACKWARDS])
def test_pictures_are_shown_in_their_order(order: list[int]):
    assert run(machine(), order) == order


@pytest.mark.parametrize("depth", [0, None])
@pytest.mark.parametrize("order", [TWO_B, PYRAMID])
def test_a_stream_that_does_not_say_that_it_reorders_is_proven_by_its_first_b_frame(
    depth: int | None, order: list[int]
):
    assert run(machine(depth), order) == [0, 1, *order[2:]]


@pytest.mark.parametrize("order", [PLAIN, TWO_B, PYRAMID, BACKWARDS])
@pytest.mark.parametrize("depth", [0, 1, None])
def test_presentation_times_stay_as_they_are(depth: int | None, order: list[int]):
    assert run(machine(depth), order, stamps=order) == order


def test_presentation_times_of_a_rate_that_varies_stay_as_they_are():
    stamps = [number * 1.7 + number % 3 * 0.4 for number in PYRAMID]
    assert run(machine(), PYRAMID, stamps=stamps) == pytest.approx(stamps)


def test_groups_follow_one_another():
    times = proven()
    assert run(times, [number + 10 for number in TWO_B], start=10) == [number + 10 for number in TWO_B]


def test_a_group_that_was_cut_off_leaves_nothing_behind():
    times = machine()
    run(times, PYRAMID[:7])
    assert run(times, [number + 9 for number in PYRAMID], start=30) == [number + 30 for number in PYRAMID]


# The first picture that comes early.


def test_without_a_frame_rate_the_steps_before_tell():
    order = [0, 1, 2, 5, 3, 4]
    assert run(machine(rate=None), order) == order
    # There are none before the second picture.
    assert run(machine(rate=None), TWO_B) == [0, 1, *TWO_B[2:]]


def test_a_guess_is_made_once():
    """The frame rate that was told is half the real one, and no B-frame comes: a single wrong time."""
    assert run(machine(rate=25.0), [0, 2, 4, 6]) == [0, 2, 2, 3]


def test_a_guess_that_is_wrong_is_taken_back_by_the_next_picture():
    stamps = [number * 0.45 for number in TWO_B]
    assert run(machine(), TWO_B, stamps=stamps) == pytest.approx([0, 3 * stamps[1], *stamps[2:]])


def test_what_is_known_is_not_guessed_again():
    times = machine()
    run(times, TWO_B, stamps=TWO_B)
    times.configure(SPS)
    assert run(times, [10, 13], start=10) == [10, 11]


# Evidence.


def test_one_contradiction_is_not_enough_where_there_was_evidence():
    times = proven()
    assert run(times, [10, 12, 11, 15, 13], stamps=[10, 12, 11, 12, 13])[3:] == [14, 12]
    times = machine()
    run(times, TWO_B, stamps=TWO_B)
    assert run(times, [10, 12, 11, 15, 13], stamps=[10, 11, 12, 15, 13])[1:] == [11, 12, 15, 13]


def test_timestamps_that_change_their_meaning():
    times = proven(TWO_B)
    run(times, [number + 10 for number in TWO_B], stamps=[number + 10 for number in TWO_B])
    honest = [number + 20 for number in TWO_B]
    assert run(times, honest, stamps=honest) == honest
    run(times, [number + 30 for number in TWO_B], start=30)
    back = [number + 40 for number in TWO_B]
    assert run(times, back, start=40) == back


def test_equal_timestamps_tell_nothing():
    stamps = [0, 3, 3, 3]
    assert run(machine(), [0, 3, 1, 2], stamps=stamps) == stamps


def test_a_count_that_begins_anew_tells_nothing():
    """Without B-frames. As after a memory_management_control_operation 5, or a loss within a long pause."""
    assert run(machine(), [*range(18), *range(18), *range(18)]) == list(range(54))
    stamps = [*range(10), *range(100, 110), *range(200, 210)]
    assert run(machine(), [*range(10), *range(6, 16), *range(12, 22)], stamps=stamps) == stamps


def test_a_new_frame_rate_is_taken_at_once():
    times = proven()
    times.configure(SPS)
    stamps = [10 + index * 0.5 for index in range(10)]
    shown = run(times, [number + 10 for number in TWO_B], stamps=stamps)
    assert shown == [10 + number * 0.5 for number in TWO_B]


def test_a_picture_of_unknown_order_keeps_its_timestamp():
    times = proven()
    assert run(times, [10, None, None], start=10) == [10, 11, 12]
    assert run(times, [13, 16, 14, 15], start=13) == [13, 16, 14, 15]


# Times that are uneven, and orders that make no sense.


def test_pictures_stay_in_order_where_steps_are_uneven():
    times = proven(PYRAMID)
    stamps = [13, 14, 16.9, 17, 17.1, 17.2, 20, 22, 24, 24.01, 24.02, 24.03, 24.04]
    shown = run(times, [number + 13 for number in PYRAMID], stamps=stamps)
    ordered = [at for _, at in sorted(zip(PYRAMID, shown, strict=True))]
    assert all(round((later - earlier) * FRAME_US) >= GRAIN_US for earlier, later in pairwise(ordered))


def test_the_frame_rate_is_that_of_the_timestamps():
    stamps = [index * 1.5 for index in range(10)]
    assert run(machine(), TWO_B, stamps=stamps)[4:] == [number * 1.5 for number in TWO_B[4:]]


def test_the_default_frame_lasts_as_long_as_decoding_times_have_it():
    """No rate was told, and no timestamp rose by less than a second."""
    times = machine(None, None)
    step = 2 * MAX_FRAME_US
    shown = [times.place(index * step, number, index == 0) for index, number in enumerate([0, 3, 2, 1, 5, 4])]
    assert shown == [index * step for index in range(6)]
    assert times.place(6 * step + 1, 3, False) == 6 * step + 1 - 0 * DEFAULT_FRAME_US


@pytest.mark.parametrize("leap", [MAX_DEPTH + 1, 1000, -1000, -MAX_DEPTH - 10])
def test_a_leap_of_the_order_is_forgotten(leap: int):
    times = proven()
    shown = [
        times.place((10 + index) * FRAME_US, number + 10 + leap, False) / FRAME_US
        for index, number in enumerate(TWO_B)
    ]
    assert shown == [number + 10 for number in TWO_B]


def test_frames_that_are_left_out_are_forgotten_after_a_while():
    times = proven()
    numbers = [12 + turn * 10 + number for turn in (0, 1, 2) for number in TWO_B]
    shown = [
        times.place((10 + index) * FRAME_US, number, False) / FRAME_US for index, number in enumerate(numbers)
    ]
    assert shown[:10] == numbers[:10]
    assert shown[20:] == [number - 2 for number in numbers[20:]]


def test_after_a_pause_the_order_begins_anew():
    times = proven()
    assert times.place(100 * FRAME_US, 11, False) == 100 * FRAME_US
    assert run(times, [12, 15, 13, 14], start=101) == [101, 104, 102, 103]


@pytest.mark.parametrize("jump", [-30, -1000, 2000])
def test_a_clock_that_jumps_moves_what_follows(jump: int):
    times = proven()
    moved = [number + 10 + jump for number in TWO_B]
    assert run(times, [number + 10 for number in TWO_B], start=10 + jump) == moved


STEPS = st.lists(
    st.tuples(
        st.integers(-(2**40), 2**40) | st.integers(-300_000, 300_000),
        st.booleans(),
        st.none() | st.integers(-40, 40) | st.integers(-(2**40), 2**40),
    ),
    max_size=60,
)


@given(STEPS, st.none() | st.integers(0, 16), st.none() | st.floats(1e-9, 1000))
def test_whatever_comes_presentation_stays_near(steps, depth, rate):
    times = machine(depth, rate)
    at = 0
    stamps: list[int] = []
    for delta, keyframe, number in steps:
        at += delta
        stamps.append(at)
        shown = times.place(at, number, keyframe)
        bound = MAX_DEPTH * MAX_FRAME_US + 60 * GRAIN_US
        assert min(stamps) - bound <= shown <= max(stamps) + bound


@given(st.lists(st.integers(1, 40), min_size=30, max_size=60), st.sampled_from([TWO_B, PYRAMID]))
def test_decoding_times_of_any_steps_are_shown_in_order(steps: list[int], order: list[int]):
    times = proven(order)
    at, shown = len(order) * FRAME_US, {}
    group = [number + len(order) * turn for turn in (1, 2, 3) for number in order]
    for index, (step, number) in enumerate(zip(steps, group, strict=False)):
        at += step * 4 * GRAIN_US
        shown[number] = times.place(at, number, index % len(order) == 0)
    ordered = [shown[number] for number in sorted(shown)]
    assert all(later > earlier for earlier, later in pairwise(ordered))
