import pytest

from whipway.origin.pace import BURST_MESSAGES, MAX_PAUSE, MESSAGES_PER_SECOND, Pace


def test_pictures_and_sound_are_never_too_many() -> None:
    pace = Pace()
    for second in range(1000, 1100):
        # 4K at 60 a second, sound in pieces of 2.5 ms, a cue point with each picture.
        for turn in range(60):
            now = second + turn / 60
            assert pace.take(2 + 400 // 60 + 1, now) <= now


def test_a_group_of_pictures_at_once_is_not_too_much() -> None:
    pace = Pace()
    for when in (100.0, 110.0):
        assert pace.take(15 * 110, when) <= when


def test_who_sends_too_much_comes_to_the_rate() -> None:
    pace = Pace()
    now = start = 100.0
    sent = 0
    while now < start + 60:
        sent += 300
        now = max(now, pace.take(300, now))
    assert sent == pytest.approx(60 * MESSAGES_PER_SECOND + BURST_MESSAGES, abs=300)


def test_time_without_messages_saves_no_more_than_a_burst() -> None:
    pace = Pace()
    assert pace.take(BURST_MESSAGES, 1e6) <= 1e6
    assert pace.take(MESSAGES_PER_SECOND, 1e6) == pytest.approx(1e6 + 1)


def test_no_pause_is_long() -> None:
    pace = Pace()
    assert pace.take(1_000_000, 5.0) == pytest.approx(5.0 + MAX_PAUSE)
    assert pace.take(0, 5.0 + MAX_PAUSE) <= 5.0 + MAX_PAUSE
