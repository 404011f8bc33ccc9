"""Decoding times: the example of the docstring, depths that are wrong, and clocks that jump."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.h264 import HIGH_SPS

from whipway.media.decode_times import (
    DEFAULT_FRAME_US,
    GRAIN_US,
    MAX_DEPTH,
    MAX_FRAME_US,
    MAX_LEARNT_DEPTH,
    MAX_PAUSE_US,
    DecodeTimes,
)

FRAME_US = 20_000
MAX_AHEAD_US = MAX_PAUSE_US + (MAX_DEPTH + 1) * MAX_FRAME_US
HIGH, BASELINE = 100, 66

SPS = replace(HIGH_SPS, frame_rate=1_000_000 / FRAME_US)

PLAIN = list(range(12))
ONE_B = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 11]
PYRAMID = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]


def machine(depth: int | None = 2, **fields: object) -> DecodeTimes:
    times = DecodeTimes()
    times.configure(replace(SPS, max_num_reorder_frames=depth, **fields))
    return times


def run(times: DecodeTimes, order: list[float], *, first: bool = True) -> list[float]:
    """Feeds pictures by their place in output order, the first a key frame; decoding times in frames."""
    return [
        times.place(round(shown * FRAME_US), first and index == 0) / FRAME_US
        for index, shown in enumerate(order)
    ]


def grows(decoded: list[float]) -> bool:
    return all(round((later - earlier) * FRAME_US) >= GRAIN_US for earlier, later in pairwise(decoded))


@pytest.mark.parametrize(
    ("depth", "order"),
    [(0, PLAIN), (1, ONE_B), (2, PYRAMID), (2, PLAIN), (16, PYRAMID), (3, [0, 3, 1, 2, 6, 4, 5, 7])],
)
def test_decoding_goes_on_by_a_frame_at_a_time(depth: int, order: list[float]):
    times = machine(depth)
    assert run(times, order) == [index - depth for index in range(len(order))]
    assert times.reordered == (order not in (PLAIN,))


def test_pictures_of_any_distance_are_decoded_at_times_when_others_are_shown():
    order = [0, 4.5, 2, 1.25, 3, 9, 7, 5, 8]
    assert run(machine(2), order) == [-2, -1, 0, 1.25, 2, 3, 4.5, 5, 7]


@pytest.mark.parametrize(
    ("frame_rate", "frame_us"),
    [(None, DEFAULT_FRAME_US), (25.0, 40_000), (1000.0, 1000), (0.001, MAX_FRAME_US)],
)
def test_the_frame_rate_places_the_first_pictures(frame_rate: float | None, frame_us: int):
    assert machine(2, frame_rate=frame_rate).place(0, True) == -2 * frame_us


def test_a_depth_nobody_told_of_is_learnt():
    times = machine(None)
    decoded = run(times, PYRAMID)
    grain = GRAIN_US / FRAME_US
    # Two pictures come too late; then all is as it would have been.
    assert decoded[:3] == [0, 4, 4 + grain]
    assert grows(decoded)
    assert decoded[7:] == [5, 6, 7, 8, 9, 10]
    assert times.reordered


def test_what_was_learnt_holds_for_the_next_group():
    times = machine(0)
    run(times, PYRAMID)
    assert run(times, [shown + 13 for shown in PYRAMID]) == [index + 11 for index in range(13)]


def test_a_single_wrong_time_is_forgotten_after_a_group():
    times = machine(0)
    run(times, [0, 1, 2, 1.5, 3, 4])
    assert run(times, [5, 6, 7]) == [4, 5, 6]
    assert times.reordered
    assert run(times, [8, 9, 10]) == [8, 9, 10]
    assert not times.reordered


@pytest.mark.parametrize("fields", [{"profile_idc": BASELINE}, {"pic_order_cnt_type": 2}])
@pytest.mark.parametrize("depth", [0, 4])
def test_a_stream_that_cannot_reorder_is_believed(fields: dict[str, int], depth: int):
    times = machine(depth, **fields)
    grain = GRAIN_US / FRAME_US
    assert run(times, [0, 1, 2, 0.5, 1.5, 3]) == [0, 1, 2, 2 + grain, 2 + 2 * grain, 3]
    assert not times.reordered


def test_a_clock_set_back_is_no_reordering():
    times = machine(None)
    assert run(times, list(range(100, 120))) == list(range(100, 120))
    decoded = run(times, list(range(110, 130)), first=False)
    assert grows([119, *decoded])
    assert decoded[-9:] == list(range(121, 130))
    assert not times.reordered


def test_the_most_that_is_learnt():
    for back in (MAX_LEARNT_DEPTH, MAX_LEARNT_DEPTH + 1):
        times = machine(None)
        run(times, [*range(20), 19 - back + 0.5])
        assert times.reordered == (back == MAX_LEARNT_DEPTH)


def test_a_declared_depth_is_honoured_beyond_what_is_learnt():
    order = [0, 8, 1, 2, 3, 4, 5, 6, 7, 16, 9]
    times = machine(8)
    assert run(times, order) == [index - 8 for index in range(len(order))]
    assert run(times, [4.5, 17, 18], first=False)[0] == 3
    assert times.reordered


def test_a_depth_that_grows_stands_still_until_it_is_caught_up():
    times = machine(0)
    run(times, PLAIN)
    times.configure(replace(SPS, max_num_reorder_frames=2))
    decoded = run(times, [shown + 12 for shown in PYRAMID])
    assert grows([11, *decoded])
    assert decoded[3:] == [index + 10 for index in range(3, 13)]


def test_a_depth_that_shrinks_leaps_ahead():
    times = machine(2)
    run(times, PYRAMID)
    # What the group before needed holds for one more.
    times.configure(replace(SPS, max_num_reorder_frames=0))
    assert run(times, [13, 14, 15]) == [11, 12, 13]
    assert run(times, [16, 17, 18]) == [16, 17, 18]


@pytest.mark.parametrize("pause", [130, 1_000_000])
def test_after_a_pause_decoding_does_not_wait_for_pictures_long_shown(pause: int):
    times = machine(2)
    run(times, PYRAMID)
    again = [shown + pause for shown in PYRAMID]
    assert run(times, again) == [pause + index - 2 for index in range(13)]


def test_a_gap_of_a_loss_is_filled_by_what_follows():
    times = machine(2)
    run(times, PYRAMID)
    decoded = run(times, [shown + 40 for shown in PYRAMID])
    assert grows([10, *decoded])
    assert decoded[:4] == [11, 12, 40, 41]


STEPS = st.lists(
    st.tuples(
        st.integers(-(2**40), 2**40) | st.integers(-300_000, 300_000),
        st.booleans(),
        st.none() | st.integers(0, 16),
        st.none() | st.floats(1e-9, 1000),
        st.sampled_from([0, 2]),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_times_grow_and_stay_near(steps):
    times = DecodeTimes()
    shown, last = 0, None
    for delta, keyframe, depth, rate, order_type in steps:
        if keyframe:
            fields = {"max_num_reorder_frames": depth, "frame_rate": rate, "pic_order_cnt_type": order_type}
            times.configure(replace(SPS, **fields))
        shown += delta
        decoded = times.place(shown, keyframe)
        assert last is None or decoded >= last + GRAIN_US
        assert shown - decoded <= MAX_AHEAD_US
        last = decoded


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_a_depth_that_is_enough_never_decodes_a_picture_after_it_is_shown(gaps, held, more):
    """One picture ahead of those shown before it, as without b-pyramid: a depth of 1 is enough."""
    shown = [0]
    for gap in gaps:
        shown.append(shown[-1] + gap * GRAIN_US)
    order = [shown[0]]
    for start in range(1, len(shown), held + 1):
        *between, anchor = shown[start : start + held + 1]
        order += [anchor, *between]
    times = machine(min(held, 1) + more)
    decoded = [times.place(time, index == 0) for index, time in enumerate(order)]
    assert all(later - earlier >= GRAIN_US for earlier, later in pairwise(decoded))
    assert all(earlier <= later for earlier, later in zip(decoded, order, strict=True))
