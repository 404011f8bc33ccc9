"""Broadcasts are stood for by objects that count: what counts is who has a turn, and when."""

import asyncio
from time import monotonic
from typing import Any

import pytest

from whipway.worker.sound_turns import TURN_SECONDS, SoundTurns

pytestmark = pytest.mark.anyio


class Row:
    """Stands for a broadcast with so many packets of sound, each of which takes its time."""

    def __init__(self, name: str, packets: int, done: list[str], seconds: float = 0.0) -> None:
        self.name = name
        self.packets = packets
        self.seconds = seconds
        self._done = done

    @property
    def has_sound(self) -> bool:
        return self.packets > 0

    def relay_sound(self) -> None:
        end = monotonic() + self.seconds
        self.packets -= 1
        self._done.append(self.name)
        while monotonic() < end:
            pass


class Broken(Row):
    def relay_sound(self) -> None:
        super().relay_sound()
        raise RuntimeError(self.name)


@pytest.fixture
def failed() -> list[str]:
    return []


@pytest.fixture
async def turns(failed: list[str]) -> SoundTurns:
    def fail(broadcast: Any) -> None:
        broadcast.packets = 0
        failed.append(broadcast.name)

    return SoundTurns(fail)


def add(turns: SoundTurns, *rows: Any) -> None:
    for row in rows:
        turns.add(row)


async def until_done(*rows: Row) -> None:
    async with asyncio.timeout(5):
        while any(row.packets for row in rows):
            await asyncio.sleep(0)


async def test_nothing_is_done_at_once(turns: SoundTurns) -> None:
    done: list[str] = []
    row = Row("one", 2, done)
    add(turns, row, row)
    assert done == []
    await until_done(row)
    assert done == ["one", "one"]


async def test_sessions_take_turns(turns: SoundTurns, failed: list[str]) -> None:
    done: list[str] = []
    rows = [Row("one", 3, done), Row("two", 1, done), Row("three", 2, done)]
    add(turns, *rows)
    await until_done(*rows)
    assert done == ["one", "two", "three", "one", "three", "one"]
    assert failed == []


async def test_between_turns_others_have_theirs(turns: SoundTurns) -> None:
    done: list[str] = []
    row = Row("one", 4, done, seconds=TURN_SECONDS)
    add(turns, row)
    seen = []
    async with asyncio.timeout(5):
        while row.packets:
            await asyncio.sleep(0)
            seen.append(len(done))
    assert seen == [1, 2, 3, 4]


async def test_who_comes_in_a_turn_is_in_the_row(turns: SoundTurns) -> None:
    done: list[str] = []
    late = Row("late", 2, done)

    class Calling(Row):
        def relay_sound(self) -> None:
            super().relay_sound()
            add(turns, late)

    first = Calling("first", 1, done)
    add(turns, first)
    await until_done(first, late)
    assert done == ["first", "late", "late"]
    again = Row("again", 1, done)
    add(turns, again)
    await until_done(again)
    assert done[-1] == "again"


async def test_a_bug_costs_one_session(turns: SoundTurns, failed: list[str]) -> None:
    done: list[str] = []
    rows = [Broken("broken", 3, done), Row("other", 2, done)]
    add(turns, *rows)
    await until_done(*rows)
    assert done == ["broken", "other", "other"]
    assert failed == ["broken"]
