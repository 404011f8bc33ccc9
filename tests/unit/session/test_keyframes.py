"""What counts as an interval, and what as an answer; a silence is neither."""

import pytest
from tests.network.virtual import Network, Show, make_network
from tests.peers.whip_client import WhipClient

from whipway.session.keyframes import ANSWER_TIME, MAX_SILENCE, KeyframeHabit

RATE = 10
"""Pictures a second: few, to be quick."""


def begin(**how: object) -> tuple[Network, Show, KeyframeHabit]:
    network = make_network(WhipClient(("video",)))
    network.run(0.5)
    show = Show(network, rate=RATE, **how)  # type: ignore[arg-type]
    [request] = network.session.feedback.requests.values()
    return network, show, request.habit


def play(show: Show, seconds: float) -> None:
    show.play(seconds, rest=0.0)


class TestIntervals:
    def test_nothing_came(self):
        network, _, habit = begin()
        network.run(20.0)
        assert (habit.interval, habit.age) == (0.0, 0.0)

    def test_the_age_ends_with_the_packets(self):
        network, show, habit = begin(obeys=False, group=100_000)
        play(show, 3.0)
        network.run(30.0)
        assert habit.age == pytest.approx(2.9, abs=0.05)
        assert habit.interval == 0.0

    def test_the_longer_of_the_last_two(self):
        _, show, habit = begin(obeys=False, group=3 * RATE)
        play(show, 3.5)
        assert habit.interval == pytest.approx(3.0, abs=0.05)
        show.group, show.until_keyframe = RATE, 0
        play(show, 0.9)
        assert habit.interval == pytest.approx(3.0, abs=0.05)
        play(show, 1.0)
        assert habit.interval == pytest.approx(1.0, abs=0.05)

    def test_a_silence_is_no_interval(self):
        network, show, habit = begin(obeys=False, group=2 * RATE)
        play(show, 3.0)
        network.run(60.0)
        resumed_at = network.now
        play(show, 1.5)
        assert habit.resumed_at == pytest.approx(resumed_at, abs=0.1)
        assert habit.interval == pytest.approx(2.0, abs=0.05)

    def test_a_pause_between_two_pictures_is_none(self):
        network, show, habit = begin(obeys=False, group=100_000)
        play(show, 1.0)
        network.run(MAX_SILENCE - 0.2)
        play(show, 1.0)
        assert habit.age == pytest.approx(2.7, abs=0.05)

    def test_what_nobody_sees_is_no_interval(self):
        _, show, habit = begin(obeys=False, group=100_000)
        play(show, 3.0)
        assert habit.age > 2.5
        for _ in range(20):
            play(show, 0.5)
            habit.look(counts=False)
            assert habit.age == 0.0
        show.group, show.until_keyframe = RATE, 0
        play(show, 1.0)
        assert habit.interval < 1.5


class TestAnswers:
    @pytest.mark.parametrize("seconds", [4.0, 4.2, 5.0, 10.0])
    def test_key_frames_by_the_clock_are_no_answers(self, seconds):
        _, show, habit = begin(obeys=False, group=round(seconds * RATE))
        play(show, 4 * seconds)
        for _ in range(24):
            play(show, 0.5)
            assert habit.ignores_requests

    def test_who_sends_one_soon_after_the_request_looks_obedient(self):
        _, show, habit = begin(obeys=False, group=3 * RATE)
        play(show, 15.0)
        assert not habit.ignores_requests

    def test_who_answers(self):
        network, show, habit = begin(group=100_000)
        for _ in range(60):
            play(show, 0.5)
            assert not habit.ignores_requests
        assert len(network.requests) > 8

    @pytest.mark.parametrize(("late", "ignores"), [(ANSWER_TIME - 0.2, False), (ANSWER_TIME + 0.4, True)])
    def test_who_answers_late(self, late, ignores):
        network, show, habit = begin(obeys=False, group=100_000)
        answered = len(network.requests)
        for _ in range(200):
            play(show, 0.1)
            open_requests = network.requests[answered:]
            if open_requests and network.now >= open_requests[0] + late:
                answered = len(network.requests)
                show.until_keyframe = 0
        assert answered > 4
        assert habit.ignores_requests == ignores

    def test_it_takes_more_than_two(self):
        _, show, habit = begin(obeys=False, group=100_000)
        play(show, 2.5 + 0.5 + ANSWER_TIME)  # Asked at 2.5 s, 3.0 s and 4.0 s.
        assert not habit.ignores_requests
        play(show, 1.5)
        assert habit.ignores_requests

    def test_who_pauses_owes_no_answer(self):
        network, show, habit = begin(obeys=False, group=100_000)
        for _ in range(8):
            play(show, 2.8)
            network.run(30.0)
            show.until_keyframe = 0
        assert len(network.requests) > 8
        assert not habit.ignores_requests

    def test_who_begins_to_answer(self):
        _, show, habit = begin(obeys=False, group=100_000)
        play(show, 9.0)
        assert habit.ignores_requests
        show.obeys = True
        play(show, 8.0)
        assert not habit.ignores_requests
