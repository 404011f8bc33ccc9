"""The correction of one track, step by step; what it does to a stream is in test_timeline."""

import pytest

from whipway.protocol.rtp.slew import (
    DEAD_BAND_US,
    MAX_SKEW_US,
    MAX_STEP_US,
    QUICK_SLEW_PPM,
    QUICK_SLEW_US,
    SLEW_PPM,
    Slew,
)


def advance(slew: Slew, seconds: int) -> int:
    for _ in range(seconds * 100):
        slew.advance(10_000)
    return slew.correction_us


@pytest.mark.parametrize("skew", [50_000, -50_000])
def test_it_creeps_to_what_reports_say_and_stays_there(skew: int) -> None:
    slew = Slew()
    assert slew.follow_reports(skew)
    assert advance(slew, 1) == (QUICK_SLEW_PPM if skew > 0 else -QUICK_SLEW_PPM)
    assert advance(slew, 10) == skew == advance(slew, 10)


def test_it_is_quick_at_first_only() -> None:
    slew = Slew()
    slew.follow_reports(1_000_000)
    quick = advance(slew, QUICK_SLEW_US // 1_000_000)
    assert quick == QUICK_SLEW_PPM * QUICK_SLEW_US // 1_000_000
    assert advance(slew, 1) - quick == SLEW_PPM


def test_what_nobody_sees_is_there_at_once() -> None:
    slew = Slew()
    slew.follow_reports(1_000_000)
    slew.settle()
    assert slew.correction_us == 1_000_000 == advance(slew, 1)


def test_a_skew_that_nobody_could_watch_is_not_believed() -> None:
    slew = Slew()
    assert not slew.follow_reports(MAX_SKEW_US + 1)
    assert advance(slew, 10) == 0


@pytest.mark.parametrize(("apart", "moved"), [(DEAD_BAND_US, 0), (DEAD_BAND_US + 1, MAX_STEP_US)])
def test_arrival_moves_it_in_small_steps_beyond_a_dead_band(apart: int, moved: int) -> None:
    slew = Slew()
    slew.follow_arrival(apart)
    assert slew.apart_us == apart
    assert advance(slew, 10) == moved


def test_reports_say_what_the_distance_is() -> None:
    slew = Slew()
    slew.follow_reports(40_000)
    slew.follow_arrival(0)  # As far apart as it is by arrival, the two are 40 ms apart by the reports.
    assert advance(slew, 10) == 40_000
    slew.follow_arrival(DEAD_BAND_US)
    assert advance(slew, 10) == 40_000


def test_reports_that_contradict_each_other_stop_it_where_it_is() -> None:
    slew = Slew()
    slew.follow_reports(1_000_000)
    before = advance(slew, 1)
    slew.hold()
    assert advance(slew, 10) == before
    slew.hold()
    assert advance(slew, 10) == before
