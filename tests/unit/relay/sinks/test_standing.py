import itertools

import pytest

from whipway.relay.sinks.standing import (
    ENDS,
    TRANSITIONS,
    Failure,
    SinkChanged,
    SinkState,
    Standing,
    Step,
    seconds,
)

LOST = Failure("connection_lost", "reset")
ROUTES: dict[Step, tuple[Step, ...]] = {
    Step.OPENING: (),
    Step.ASKING: (Step.ASKING,),
    Step.ACCEPTED: (Step.ASKING, Step.ACCEPTED),
    Step.PUBLISHING: (Step.ASKING, Step.ACCEPTED, Step.PUBLISHING),
    Step.WAITING: (Step.WAITING,),
    Step.FAILED: (Step.FAILED,),
    Step.CLOSED: (Step.CLOSED,),
}


def standing_at(step: Step) -> Standing:
    standing = Standing()
    for passed in ROUTES[step]:
        standing.enter(passed, 1.0, LOST if passed in (Step.WAITING, Step.FAILED) else None)
    return standing


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Step, Step)))
def test_only_steps_of_the_table_are_taken(before: Step, after: Step) -> None:
    standing = standing_at(before)
    if after in TRANSITIONS[before]:
        standing.enter(after, 1.0, LOST)
        assert standing.step is after
    else:
        with pytest.raises(AssertionError):
            standing.enter(after, 1.0)
    assert standing.is_over == (standing.step in ENDS)


def test_the_first_try_is_connecting_and_later_ones_are_retrying() -> None:
    standing = Standing()
    assert standing.state is SinkState.CONNECTING
    assert standing.enter(Step.ASKING, 1.0) == []
    assert standing.enter(Step.ACCEPTED, 1.0) == []
    assert standing.state is SinkState.CONNECTING
    retrying = SinkChanged(SinkState.RETRYING, "connection_lost", "reset")
    assert standing.enter(Step.WAITING, 2.0, LOST) == [retrying]
    assert standing.enter(Step.OPENING, 3.0) == []
    assert standing.state is SinkState.RETRYING
    assert standing.change() == retrying


def test_publishing_forgets_the_failure() -> None:
    standing = standing_at(Step.PUBLISHING)
    assert standing.reconnects == 0
    standing.enter(Step.WAITING, 2.0, LOST)
    standing.enter(Step.OPENING, 3.0)
    standing.enter(Step.ASKING, 3.0)
    standing.enter(Step.ACCEPTED, 3.0)
    assert standing.enter(Step.PUBLISHING, 4.0) == [SinkChanged(SinkState.PUBLISHING, None, "")]
    assert standing.describe(6.5) == {
        "state": "publishing",
        "reason": None,
        "detail": "",
        "reconnects": 1,
        "publishing_for": 2.5,
    }


def test_a_failure_is_described() -> None:
    assert standing_at(Step.FAILED).describe(9.0) == {
        "state": "failed",
        "reason": "connection_lost",
        "detail": "reset",
        "reconnects": 0,
        "publishing_for": None,
    }


def test_durations_are_short_and_never_negative() -> None:
    assert seconds(1.23456) == 1.235
    assert seconds(-0.1) == 0.0
