import asyncio
from itertools import count

import pytest
from tests.peers.waiting import until

from whipway.worker import vitals
from whipway.worker.vitals import Vitals

pytestmark = pytest.mark.anyio


async def test_before_it_looked_nothing_is_known() -> None:
    measured = Vitals(cpu=lambda: 7.5)
    assert (measured.loop_lag, measured.cpu_load, measured.cpu_seconds) == (0.0, 0.0, 7.5)
    measured.stop()


async def test_a_loop_that_is_held_up_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "INTERVAL", 0.01)
    measured = Vitals()
    measured.start()
    await until(lambda: measured._looks)
    before = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - before < 0.1:
        pass
    await until(lambda: measured.loop_lag >= 0.08)
    measured.stop()
    looks = len(measured._looks)
    await asyncio.sleep(0.03)
    assert len(measured._looks) == looks


async def test_how_much_of_a_core_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "INTERVAL", 0.01)
    seconds = count()
    measured = Vitals(cpu=lambda: float(next(seconds)))
    measured.start()
    await until(lambda: len(measured._looks) >= 3)
    measured.stop()
    first, last = measured._looks[0], measured._looks[-1]
    assert measured.cpu_load == (len(measured._looks) - 1) / (last.at - first.at)
