import asyncio
from collections import Counter
from typing import cast

import pytest
from tests.peers.waiting import until
from tests.unit.worker.serving import boom

from whipway.failures import DropReason
from whipway.worker import rounds
from whipway.worker.broadcast import Broadcast
from whipway.worker.rounds import Rounds
from whipway.worker.routes import Routes

pytestmark = pytest.mark.anyio


class Timed:
    """A broadcast in small: what it does by the clock."""

    session_id = "one"
    has_sound = False

    def __init__(self) -> None:
        self.quiet_until = 0.0
        self.due: float | None = 0.0
        self.looks = 0
        self.handled = 0
        self.pumps = 0

    def deadline(self, now: float) -> float | None:
        self.looks += 1
        return None if self.due is None else now + self.due

    def handle_timeout(self, now: float) -> None:
        self.handled += 1

    def pump(self) -> None:
        self.pumps += 1
        self.quiet_until = 0.0


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    monkeypatch.setattr(rounds, "TICK_INTERVAL", 0.001)
    return Timed()


class Table(dict[str, Broadcast]):
    """The sessions, and the rounds that serve them."""

    def __init__(self, *broadcasts: Timed) -> None:
        super().__init__({str(index): cast(Broadcast, each) for index, each in enumerate(broadcasts)})
        self.failed: list[Broadcast] = []
        drops = Counter[DropReason]()
        self.rounds = Rounds(self, Routes(drops, None), drops, self.failed.append)
        self.rounds.start()


async def test_what_is_due_is_done_until_nobody_is_there(timed: Timed) -> None:
    table = Table(timed)
    table.rounds.start()  # Which it has.
    await until(lambda: timed.pumps > 3)
    assert timed.handled == timed.pumps == timed.looks
    assert table.rounds.is_ticking
    table.clear()
    await until(lambda: not table.rounds.is_ticking)
    assert not table.failed


async def test_nobody_looks_again_before_the_deadline_unless_something_happens(timed: Timed) -> None:
    timed.due = 100.0
    other = Timed()
    table = Table(timed, other)
    await until(lambda: other.looks > 5)
    assert (timed.looks, timed.handled) == (1, 0)
    timed.pump()
    before = other.looks
    await until(lambda: other.looks > before + 5)
    assert (timed.looks, timed.handled) == (2, 0)
    table.rounds.close()


async def test_one_that_is_over_is_left_alone(timed: Timed) -> None:
    timed.due = None
    table = Table(timed)
    await until(lambda: timed.looks > 3)
    assert (timed.handled, timed.pumps) == (0, 0)
    table.rounds.close()


@pytest.mark.parametrize("method", ["deadline", "handle_timeout", "pump"])
async def test_a_bug_in_one_is_nothing_to_the_others(
    timed: Timed, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Timed()
    table = Table(timed, other)
    monkeypatch.setattr(timed, method, boom)
    await until(lambda: other.pumps > 3)
    assert set(table.failed) == {timed}
    table.rounds.close()


async def test_who_stood_still_reads_before_it_judges(timed: Timed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LATE", -1.0)
    table = Table(timed)
    skipped: list[bool] = []
    look = table.rounds._look_after_all
    monkeypatch.setattr(
        table.rounds, "_look_after_all", lambda now: (skipped.append(table.rounds._has_skipped), look(now))
    )
    monkeypatch.setattr(table.rounds, "_set_timer", lambda: None)
    table.rounds._tick()
    assert skipped == [] and table.rounds._has_skipped
    # Who is always late judges every other time.
    table.rounds._tick()
    table.rounds._tick()
    table.rounds._tick()
    assert len(skipped) == 2
    table.rounds.close()


async def test_a_bug_outside_of_all_sessions_does_not_end_the_ticking(
    timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(timed)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    with monkeypatch.context() as broken:
        broken.setattr(table.rounds, "_attribute_strays", boom)
        await until(lambda: told)
    await until(lambda: timed.handled)
    table.rounds.close()
