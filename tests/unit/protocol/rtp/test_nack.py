"""Which missing packets are asked for, when, and how long they are waited for."""

from functools import partial
from itertools import pairwise
from math import inf

import pytest

from whipway.protocol.rtp.nack import (
    MAX_DOUBTS,
    MAX_GIVEN_UP,
    MAX_GRACE,
    MAX_MISSING,
    MAX_REQUESTS,
    MAX_UNANSWERED,
    MAX_WAIT,
    MIN_MARGIN,
    MIN_WAIT,
    REORDER_WAIT,
    ROUND_TRIPS,
    SPREAD,
    MissingPackets,
)
from whipway.protocol.rtp.round_trip import INITIAL_ROUND_TRIP, RoundTrip

MANY = 1000


def make(
    round_trip: float | None = None, *, asks: bool = True, repeats_apart: bool = False
) -> MissingPackets:
    path = RoundTrip()
    if round_trip is not None:
        path.add(round_trip)
    return MissingPackets(path, asks=asks, repeats_apart=repeats_apart)


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
def test_again_after_a_round_trip_and_a_bit_and_then_less_often(round_trip: float, margin: float) -> None:
    missing = make(round_trip)
    missing.open(10, 11, now=1.0)
    asked = []
    while (now := missing.deadline()) < inf:
        assert missing.due(now, MANY) == [10]
        assert missing.due(now, MANY) == []
        asked.append(now)
    assert asked[0] == 1.0
    assert len(asked) == missing.requests == MAX_REQUESTS
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == pytest.approx([round_trip * (1 + SPREAD * times) + margin for times in range(9)])


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


class TestRoundTrip:
    def ask(self, missing: MissingPackets, number: int, *moments: float) -> None:
        missing.open(number, number + 1, now=moments[0])
        for at in moments:
            assert missing.due(at, MANY) == [number]

    def test_a_repair_measures_it(self) -> None:
        path = RoundTrip()
        missing = MissingPackets(path, asks=True)
        self.ask(missing, 1, 1.0)
        missing.arrived(1, 1.03)
        assert path.seconds == pytest.approx(0.03)
        self.ask(missing, 2, 2.0, 2.5)
        missing.repeated(2, 2.54)
        # The answer to the last request, as far as one can tell.
        assert path.seconds == pytest.approx(0.03 + 0.01 / 8)
        assert missing.repaired == 2

    def test_what_comes_too_soon_for_the_last_request_answers_the_first(self) -> None:
        path = RoundTrip()
        path.add(0.02)
        missing = MissingPackets(path, asks=True, repeats_apart=True)
        for number in range(30):
            missing.open(number, number + 1, now=float(number))
            answered = number + 0.3 + 0.01 * (number % 7)
            while missing.deadline() < answered:
                missing.due(missing.deadline(), MANY)
            missing.repeated(number, answered)
        assert path.seconds == pytest.approx(0.33, abs=0.03)

    def test_a_repair_that_comes_too_late_measures_it_as_well(self) -> None:
        path = RoundTrip()
        path.add(0.02)
        missing = MissingPackets(path, asks=True)
        self.ask(missing, 1, 1.0)
        missing.give_up(2)
        missing.came_too_late(1, 1.6, is_repeated=False)
        assert path.seconds > 0.2
        assert missing.repaired == 0
        # Once.
        missing.came_too_late(1, 1.9, is_repeated=False)
        assert path.seconds < 0.4

    def test_late_packets_do_not(self) -> None:
        path = RoundTrip()
        path.add(0.1)
        missing = MissingPackets(path, asks=True)
        self.ask(missing, 1, 1.0)
        missing.arrived(1, 1.049)
        missing.open(2, 3, now=2.0)
        assert missing.due(2.0 + MAX_GRACE, MANY) == [2]
        missing.give_up(3)
        missing.came_too_late(2, 2.01 + MAX_GRACE, is_repeated=False)
        assert path.seconds == 0.1

    def test_a_repair_that_comes_apart_and_too_late_is_an_answer_whenever_it_comes(self) -> None:
        path = RoundTrip()
        path.add(0.02)
        missing = MissingPackets(path, asks=True, repeats_apart=True)
        self.ask(missing, 1, 1.0)
        missing.give_up(2)
        missing.came_too_late(1, 1.5, is_repeated=True)
        assert path.seconds > 0.2
        self.ask(missing, 2, 2.0)
        missing.give_up(3)
        missing.came_too_late(2, 3.9, is_repeated=False)  # The packet itself.
        assert path.seconds < 0.3


class TestLatePackets:
    def test_they_are_not_lost(self) -> None:
        missing = make()
        missing.open(1, 2, now=1.0)
        missing.arrived(1, 1.001)
        assert (missing.lost, missing.repaired) == (0, 0)

    def test_asked_for_in_vain(self) -> None:
        missing = make(0.1)
        missing.open(1, 3, now=1.0)
        missing.due(1.0, MANY)
        missing.arrived(1, 1.049)
        assert (missing.lost, missing.repaired) == (1, 0)
        missing.arrived(2, 1.051)
        assert (missing.lost, missing.repaired) == (1, 1)

    def test_where_repairs_come_apart_all_others_are_late(self) -> None:
        missing = make(0.01, asks=True, repeats_apart=True)
        missing.open(1, 3, now=1.0)
        missing.due(1.0, MANY)
        missing.arrived(1, 1.3)
        assert (missing.lost, missing.repaired) == (1, 0)
        missing.repeated(2, 1.3)
        assert (missing.lost, missing.repaired) == (1, 1)

    def test_who_answers_sooner_than_was_thought_possible_is_believed_at_last(self) -> None:
        path = RoundTrip()
        path.add(0.4)  # Measured when the client was busy.
        missing = MissingPackets(path, asks=True)
        for number in range(10):
            missing.open(number, number + 1, now=float(number))
            asked_at = missing.deadline()
            missing.due(asked_at, MANY)
            missing.arrived(number, asked_at + 0.02)
        assert (missing.repaired, missing.lost) == (10 - MAX_DOUBTS, 10 - MAX_DOUBTS)
        assert path.least == pytest.approx(0.02)

    def test_late_packets_that_nobody_asks_for_dispel_the_doubts(self) -> None:
        missing = make(0.4)
        for number in range(40):
            missing.open(number, number + 1, now=float(number))
            if number % 3 == 0:
                missing.due(missing.deadline(), MANY)
            missing.arrived(number, number + 0.05)
        assert (missing.repaired, missing.lost) == (0, 0)

    def test_requests_wait_until_a_packet_is_later_than_those_were(self) -> None:
        missing = make(0.1)
        missing.open(1, 2, now=1.0)
        missing.arrived(1, 1.02)
        missing.open(5, 6, now=2.0)
        assert missing.deadline() == pytest.approx(2.02)
        assert missing.due(2.019, MANY) == []
        assert missing.due(missing.deadline(), MANY) == [5]

    def test_the_wait_is_bounded_and_shrinks_with_repairs(self) -> None:
        missing = make(0.1)
        missing.open(1, 2, now=1.0)
        missing.arrived(1, 1.3)
        for number in range(10, 200, 2):
            at = float(number)
            missing.open(number, number + 1, now=at)
            assert missing.deadline() <= at + MAX_GRACE
            missing.due(missing.deadline(), MANY)
            missing.arrived(number, at + 0.3)
        missing.open(500, 501, now=500.0)
        assert missing.deadline() < 500.0 + 0.1 * MAX_GRACE


def test_unknown_numbers_change_nothing() -> None:
    missing = make()
    missing.open(1, 2, now=1.0)
    for tell in (missing.arrived, missing.repeated, partial(missing.came_too_late, is_repeated=True)):
        tell(9, 1.0)
    assert (missing.lost, missing.repaired, len(missing)) == (1, 0, 1)


def test_numbers_that_were_never_sent() -> None:
    missing = make()
    missing.open(10, 20, now=1.0)
    missing.due(1.0, 3)
    missing.forget(15)
    assert (missing.lost, len(missing)) == (5, 5)
    assert missing.due(1.0, MANY) == [15, 16, 17, 18, 19]


def test_the_memory_is_bounded() -> None:
    missing = make()
    missing.open(0, MAX_MISSING, now=1.0)
    assert not missing.overflowed
    missing.open(2000, 2100, now=1.0)
    assert missing.overflowed
    assert len(missing) == MAX_MISSING
    assert missing.lost == MAX_MISSING + 100
    assert missing.due(1.0, 10_000) == list(range(MAX_MISSING))
    missing.give_up(3000)
    assert not missing.overflowed
    assert len(missing._given_up) == MAX_GIVEN_UP


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


@pytest.mark.parametrize(("round_trip", "patience"), [(0.1, REORDER_WAIT), (0.3, 0.45)])
def test_a_sender_that_never_answers_is_not_waited_for(round_trip: float, patience: float) -> None:
    missing = make(round_trip)
    full = missing.patience()
    assert full > patience
    for number in range(MAX_UNANSWERED):
        assert missing.patience() == full
        missing.open(number, number + 1, now=float(number))
        missing.due(float(number), MANY)
        missing.due(number + 0.5, MANY)
        missing.give_up(number + 1)
    assert missing.patience() == pytest.approx(patience)
    # It is still asked, and one answer restores the trust, also one that comes too late.
    missing.open(500, 501, now=500.0)
    assert missing.due(500.0, MANY) == [500]
    missing.give_up(501)
    missing.came_too_late(500, 500.0 + round_trip, is_repeated=True)
    assert missing.patience() == pytest.approx(full)


def test_one_request_without_an_answer_proves_nothing() -> None:
    missing = make(0.1)
    for number in range(2 * MAX_UNANSWERED):
        missing.open(number, number + 1, now=float(number))
        missing.due(float(number), MANY)
        missing.give_up(number + 1)
    assert missing.patience() > REORDER_WAIT
