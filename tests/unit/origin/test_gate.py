import pytest

from whipway.origin.gate import RESUME_BACKLOG_BYTES, Gate, Verdict

LIMIT = 4 * RESUME_BACKLOG_BYTES
TIMEOUT = 10.0


@pytest.fixture
def gate() -> Gate:
    return Gate(LIMIT, TIMEOUT)


def picture(gate: Gate, backlog: int, now: float, *, keyframe: bool = False) -> Verdict:
    return gate.admit(video=True, keyframe=keyframe, backlog_bytes=backlog, now=now)


def sound(gate: Gate, backlog: int, now: float) -> Verdict:
    return gate.admit(video=False, backlog_bytes=backlog, now=now)


def header(gate: Gate, backlog: int, now: float) -> Verdict:
    return gate.admit(video=True, header=True, backlog_bytes=backlog, now=now)


def test_a_receiver_within_the_limit_gets_everything(gate: Gate) -> None:
    for backlog in (0, RESUME_BACKLOG_BYTES, LIMIT):
        assert picture(gate, backlog, 0.0) is Verdict.SEND
        assert sound(gate, backlog, 0.0) is Verdict.SEND
    assert gate.skipped == 0


def test_over_the_limit_video_is_skipped_and_counted_and_audio_goes_on(gate: Gate) -> None:
    assert picture(gate, LIMIT + 1, 0.0) is Verdict.SKIP
    assert picture(gate, LIMIT, 0.0, keyframe=True) is Verdict.SKIP
    assert sound(gate, LIMIT + 1, 0.0) is Verdict.SEND
    assert gate.skipped == 2


def test_audio_stops_at_twice_the_limit_and_is_not_counted(gate: Gate) -> None:
    assert sound(gate, 2 * LIMIT, 0.0) is Verdict.SEND
    assert sound(gate, 2 * LIMIT + 1, 0.0) is Verdict.SKIP
    assert gate.skipped == 0


def test_video_comes_back_with_the_first_key_frame_after_the_backlog_was_drained(gate: Gate) -> None:
    picture(gate, LIMIT + 1, 0.0)
    assert picture(gate, RESUME_BACKLOG_BYTES + 1, 1.0, keyframe=True) is Verdict.SKIP
    assert picture(gate, RESUME_BACKLOG_BYTES, 2.0) is Verdict.SKIP
    assert picture(gate, 0, 3.0, keyframe=True) is Verdict.SEND
    assert picture(gate, LIMIT, 3.0) is Verdict.SEND
    assert gate.skipped == 3


def test_who_stays_slow_for_too_long_is_cut_off(gate: Gate) -> None:
    picture(gate, LIMIT + 1, 5.0)
    assert sound(gate, RESUME_BACKLOG_BYTES + 1, 5.0 + TIMEOUT) is Verdict.SEND
    assert sound(gate, RESUME_BACKLOG_BYTES + 1, 5.1 + TIMEOUT) is Verdict.CUT


def test_who_has_drained_its_backlog_once_starts_anew_even_without_a_key_frame(gate: Gate) -> None:
    sound(gate, LIMIT + 1, 0.0)
    assert sound(gate, 0, 1.0) is Verdict.SEND
    # Much later, behind again, but not over the limit: there is nothing to complain about.
    assert sound(gate, LIMIT, 100.0) is Verdict.SEND
    assert sound(gate, LIMIT + 1, 200.0) is Verdict.SEND
    assert sound(gate, LIMIT, 200.0 + TIMEOUT) is Verdict.SEND
    assert sound(gate, LIMIT, 200.1 + TIMEOUT) is Verdict.CUT


def test_a_header_is_never_skipped_but_cuts_off_who_has_no_room_for_it(gate: Gate) -> None:
    assert header(gate, LIMIT + 1, 0.0) is Verdict.SEND
    assert header(gate, 2 * LIMIT, 0.0) is Verdict.SEND
    assert header(gate, 2 * LIMIT + 1, 0.0) is Verdict.CUT
    assert gate.skipped == 0


def test_a_small_limit_is_also_where_video_comes_back() -> None:
    gate = Gate(1000, TIMEOUT)
    assert picture(gate, 1001, 0.0) is Verdict.SKIP
    assert picture(gate, 1000, 0.1, keyframe=True) is Verdict.SEND
