import asyncio

import pytest
from tests.peers.waiting import until

from whipway.tcp import Timer

pytestmark = pytest.mark.anyio


class Alarm:
    """A timer, and when it called."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls: list[float] = []
        self.timer = Timer(lambda: self.calls.append(self.loop.time()))

    def set(self, delay: float) -> float:
        deadline = self.loop.time() + delay
        self.timer.set(deadline)
        return deadline


async def test_it_calls_once_at_the_deadline() -> None:
    alarm = Alarm()
    deadline = alarm.set(0.005)
    await until(lambda: alarm.calls)
    assert alarm.calls[0] >= deadline - 0.001
    await asyncio.sleep(0.01)
    assert len(alarm.calls) == 1


async def test_a_deadline_that_is_put_off_is_the_one_that_counts() -> None:
    alarm = Alarm()
    alarm.set(0.003)
    handle = alarm.timer._handle
    for delay in (0.01, 0.02, 0.03):
        deadline = alarm.set(delay)
        assert alarm.timer._handle is handle
    await until(lambda: alarm.calls)
    assert len(alarm.calls) == 1 and alarm.calls[0] >= deadline - 0.001


async def test_a_deadline_that_comes_sooner_is_kept() -> None:
    alarm = Alarm()
    later = alarm.set(100.0)
    alarm.set(0.003)
    await until(lambda: alarm.calls)
    assert alarm.calls[0] < later


async def test_a_deadline_may_be_put_off_and_come_back() -> None:
    alarm = Alarm()
    alarm.set(0.003)
    alarm.set(100.0)
    alarm.set(0.003)
    await until(lambda: alarm.calls)


async def test_none_is_for_nothing() -> None:
    alarm = Alarm()
    alarm.timer.set(None)
    alarm.set(0.003)
    alarm.timer.set(None)
    await asyncio.sleep(0.01)
    assert not alarm.calls and alarm.timer._handle is None
    alarm.set(0.003)
    await until(lambda: alarm.calls)
