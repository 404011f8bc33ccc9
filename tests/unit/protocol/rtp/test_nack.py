"""Which missing packets are asked for, when, and how long they are waited for."""

from math import inf

import pytest

from whipway.protocol.rtp.nack import (
    MAX_MISSING,
    MAX_UNANSWERED,
    MAX_WAIT,
    MIN_MARGIN,
    MIN_WAIT,
    REORDER_WAIT,
    ROUND_TRIPS,
    MissingPackets,
)
from whipway.protocol.rtp.round_trip import INITIAL_ROUND_TRIP, RoundTrip

MANY = 1000


def make(round_trip: float | None = None, *, asks: bool = True) -> MissingPackets:
    path = RoundTrip()
    if round_trip is not None:
        path.add(round_trip)
    return MissingPackets(path, asks=asks)


def test_nothing_is_missing() -> None:
    missing = make()
    assert missing.due(1e9, MANY) == []
    assert missing.deadline() == inf
    assert len(missing) == 0
    assert not missing.was_asked(7)


def test_a_gap_is_asked_for_at_once_lowest_first() -> None:
    missing = make()
    missing.open(10, 13, now=5.0)
    assert missing.deadline() == 5.0
    assert not missing.was_asked(10)
    assert missing.due(4.99, MANY) == []
    assert missing.due(5.0, MANY) == [10, 11, 12]
    assert missing.was_asked(10)
    assert (missing.lost, missing.requests, len(missing)) == (3, 3, 3)


@pytest.mark.parametrize(("round_trip", "margin"), [(0.02, MIN_MARGIN), (0.2, 0.025)])
def test_again_after_a_round_trip_and_a_bit(round_trip: float, margin: float) -> None:
    missing = make(round_trip)
    missing.open(10, 11, now=1.0)
    asked = []
    now = 1.0
    for _ in range(4):
        assert missing.due(now, MANY) == [10]
        assert missing.due(now, MANY) == []
        asked.append(now)
        now = missing.deadline()
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:], strict=False)]
    assert gaps == pytest.approx([round_trip + margin] * 3)


def test_each_number_has_its_own_time() -> None:
    missing = make(0.1)
    missing.open(10, 11, now=1.0)
    assert missing.due(1.0, MANY) == [10]
    missing.open(12, 13, now=1.05)
    assert missing.due(1.05, MANY) == [12]
    assert missing.deadline() == pytest.approx(1.1125)
    assert missing.due(missing.deadline(), MANY) == [10]
    assert missing.deadline() == pytest.approx(1.1625)


def test_a_request_has_a_limit_and_the_rest_comes_next() -> None:
    missing = make()
    missing.open(0, 5, now=1.0)
    assert missing.due(1.0, 3) == [0, 1, 2]
    assert missing.deadline() == 1.0
    assert missing.due(1.0, 3) == [3, 4]
    assert missing.deadline() > 1.0


def test_what_arrives_is_not_asked_for_again() -> None:
    missing = make(0.1)
    missing.open(10, 12, now=1.0)
    missing.due(1.0, MANY)
    missing.arrived(10, 1.1)
    assert not missing.was_asked(10)
    assert missing.due(2.0, MANY) == [11]
    missing.arrived(11, 2.1)
    assert missing.deadline() == inf
    assert missing.due(9.0, MANY) == []
    assert (missing.lost, missing.repaired) == (2, 2)


def test_repairs_measure_the_round_trip_if_only_one_request_can_have_brought_them() -> None:
    path = RoundTrip()
    missing = MissingPackets(path, asks=True)
    missing.open(1, 3, now=1.0)
    missing.due(1.0, MANY)
    missing.arrived(1, 1.03)
    assert path.seconds == pytest.approx(0.03)
    missing.due(1.5, MANY)
    missing.arrived(2, 1.51)
    assert path.seconds == pytest.approx(0.03)
    assert missing.repaired == 2


def test_packets_that_are_only_late_are_not_lost() -> None:
    missing = make()
    missing.open(1, 2, now=1.0)
    missing.arrived(1, 1.001)
    assert (missing.lost, missing.repaired) == (0, 0)


def test_what_comes_sooner_than_an_answer_can_was_only_late() -> None:
    path = RoundTrip()
    path.add(0.1)
    missing = MissingPackets(path, asks=True)
    missing.open(1, 3, now=1.0)
    missing.due(1.0, MANY)
    missing.arrived(1, 1.024)
    assert (missing.lost, missing.repaired) == (1, 0)
    missing.arrived(2, 1.026)
    assert (missing.lost, missing.repaired) == (1, 1)
    # A path that became that short is believed in time.
    assert path.seconds < 0.1


def test_the_memory_is_bounded() -> None:
    missing = make()
    missing.open(0, 2000, now=1.0)
    missing.open(2001, 2100, now=1.0)
    assert len(missing) == MAX_MISSING
    assert missing.lost == 2099
    assert missing.due(1.0, MANY) == list(range(MAX_MISSING))
    # One that is not kept may come all the same: then it was only late.
    missing.arrived(2050, 1.0)
    assert missing.lost == 2098


def test_given_up_numbers_are_forgotten() -> None:
    missing = make()
    missing.open(10, 14, now=1.0)
    missing.give_up(12)
    assert missing.due(1.0, MANY) == [12, 13]
    missing.give_up(100)
    assert len(missing) == 0
    assert missing.deadline() == inf


def test_without_nack_nothing_is_asked_for() -> None:
    missing = make(asks=False)
    missing.open(10, 12, now=1.0)
    assert missing.deadline() == inf
    assert missing.due(9.0, MANY) == []
    assert missing.patience() == REORDER_WAIT
    missing.arrived(10, 1.01)
    assert missing.lost == 1


@pytest.mark.parametrize(
    ("round_trip", "patience"),
    [
        (None, ROUND_TRIPS * INITIAL_ROUND_TRIP),
        (0.001, MIN_WAIT),
        (0.1, ROUND_TRIPS * 0.1),
        (0.5, MAX_WAIT),
    ],
)
def test_patience_goes_by_the_round_trip(round_trip: float | None, patience: float) -> None:
    assert make(round_trip).patience() == pytest.approx(patience)


def test_a_sender_that_never_answers_is_not_waited_for() -> None:
    missing = make(0.1)
    for number in range(MAX_UNANSWERED):
        assert missing.patience() == pytest.approx(ROUND_TRIPS * 0.1)
        missing.open(number, number + 1, now=float(number))
        missing.due(float(number), MANY)
        missing.due(number + 0.5, MANY)
        missing.give_up(number + 1)
    assert missing.patience() == REORDER_WAIT
    # It is still asked, and one answer restores the trust.
    missing.open(500, 501, now=500.0)
    assert missing.due(500.0, MANY) == [500]
    missing.arrived(500, 500.1)
    assert missing.patience() == pytest.approx(ROUND_TRIPS * 0.1, rel=0.1)


def test_one_request_without_an_answer_proves_nothing() -> None:
    missing = make(0.1)
    for number in range(2 * MAX_UNANSWERED):
        missing.open(number, number + 1, now=float(number))
        missing.due(float(number), MANY)
        missing.give_up(number + 1)
    assert missing.patience() > REORDER_WAIT
