import pytest

from whipway.relay.sinks.backoff import MAX_CHALLENGES, POLICIES, Backoff


def least() -> float:
    return 0.0


def most() -> float:
    return 1.0 - 2**-53


def delays(backoff: Backoff, reason: str, count: int) -> list[float]:
    tries = [backoff.next_try(reason, 100.0) for _ in range(count)]
    return [round(at - 100.0, 3) for at in tries if at is not None]


SOON = [0.5, 1, 2, 4, 7.5, 7.5]
BRIEF = [1, 2, 2.5, 2.5, 2.5, 2.5]
SELDOM = [2, 4, 7.5, 7.5, 7.5, 7.5]
LADDERS: dict[str, list[float]] = {
    "unreachable": SOON,
    "connection_lost": SOON,
    "timeout": SOON,
    "stalled": SOON,
    "too_slow": SOON,
    "protocol": SOON,
    "closed_by_peer": SOON,
    "bad_name": BRIEF,
    "refused": SELDOM,
    "closed_early": SELDOM,
    "tls": SELDOM,
    "unauthorized": [],
    "egress_refused": [],
}
"""The least that is waited each time."""


def test_every_reason_has_its_ladder() -> None:
    assert LADDERS.keys() == POLICIES.keys()


@pytest.mark.parametrize(("reason", "expected"), [*LADDERS.items(), ("a word that nobody knows", SOON)])
def test_delays_double_up_to_the_longest(reason: str, expected: list[float]) -> None:
    assert delays(Backoff(least, 0.0, 0.0), reason, 6) == expected
    assert delays(Backoff(most, 0.0, 0.0), reason, 6) == [delay * 2 for delay in expected]


@pytest.mark.parametrize("chance", [least, most])
@pytest.mark.parametrize("reason", [reason for reason, policy in POLICIES.items() if policy])
def test_delays_are_bounded_for_ever(reason: str, chance: object) -> None:
    backoff = Backoff(least if chance is least else most, 0.0, 0.0)
    assert all(0.5 <= delay <= 15.0 for delay in delays(backoff, reason, 2000))


def test_ladders_are_climbed_one_by_one() -> None:
    backoff = Backoff(least, 0.0, 0.0)
    assert delays(backoff, "connection_lost", 3) == [0.5, 1, 2]
    assert delays(backoff, "bad_name", 2) == [1, 2]
    assert delays(backoff, "timeout", 1) == [4]


def test_a_reset_leaves_the_ladders() -> None:
    backoff = Backoff(least, 0.0, 0.0)
    delays(backoff, "unreachable", 5)
    backoff.tries = 6
    backoff.reset()
    assert backoff.tries == 1
    assert delays(backoff, "unreachable", 2) == [0.5, 1]


def test_it_gives_up_after_a_while_without_success() -> None:
    backoff = Backoff(least, 10.0, 50.0)
    assert backoff.next_try("unreachable", 52.0) == 52.5
    # The next moment to act is the one to give up in.
    assert backoff.next_try("unreachable", 59.5) == 60.0
    assert not backoff.gives_up(59.9)
    assert backoff.gives_up(60.0)
    assert backoff.next_try("unreachable", 60.0) is None
    backoff.published(70.0)
    assert not backoff.gives_up(79.9)
    assert backoff.gives_up(80.0)


def test_it_never_gives_up_by_itself() -> None:
    assert not Backoff(least, 0.0, 0.0).gives_up(1e9)


def test_challenges_in_a_row_are_counted() -> None:
    backoff = Backoff(least, 0.0, 0.0)
    assert [backoff.challenged() for _ in range(MAX_CHALLENGES + 1)] == [True] * MAX_CHALLENGES + [False]
    backoff.next_try("connection_lost", 1.0)
    assert backoff.challenged()
