"""The smoothed round-trip time."""

import pytest

from whipway.protocol.rtp.round_trip import (
    GAIN,
    INITIAL_ROUND_TRIP,
    MAX_ROUND_TRIP,
    QUICK_GAIN,
    RoundTrip,
)


def test_a_guess_until_it_is_measured() -> None:
    round_trip = RoundTrip()
    assert (round_trip.seconds, round_trip.is_measured) == (INITIAL_ROUND_TRIP, False)
    round_trip.add(0.04)
    assert (round_trip.seconds, round_trip.is_measured) == (0.04, True)


def test_later_samples_are_smoothed() -> None:
    round_trip = RoundTrip()
    round_trip.add(0.1)
    round_trip.add(0.2)
    assert round_trip.seconds == pytest.approx(0.1 + GAIN * 0.1)
    assert round_trip.least == 0.1
    for _ in range(100):
        round_trip.add(0.02)
    assert round_trip.seconds == pytest.approx(0.02, abs=0.001)
    assert round_trip.least == 0.02


def test_another_path_is_believed_soon() -> None:
    round_trip = RoundTrip()
    round_trip.add(0.02)
    round_trip.add(0.5)
    assert round_trip.seconds == pytest.approx(0.02 + QUICK_GAIN * 0.48)


@pytest.mark.parametrize("sample", [-0.001, MAX_ROUND_TRIP + 0.001, 65535.0])
def test_what_cannot_be_true_is_left_out(sample: float) -> None:
    round_trip = RoundTrip()
    round_trip.add(sample)
    assert not round_trip.is_measured
    assert round_trip.seconds == INITIAL_ROUND_TRIP
