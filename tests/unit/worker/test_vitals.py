import asyncio
import gc
from itertools import count

import pytest
from tests.peers.waiting import until

from whipway.worker import vitals
from whipway.worker.vitals import Vitals, settle

pytestmark = pytest.mark.anyio


async def test_before_it_looked_nothing_is_known() -> None:
    measured = Vitals(cpu=lambda: 7.5)
    assert (measured.loop_lag, measured.cpu_load, measured.cpu_seconds) == (0.0, 0.0, 7.5)
    assert measured.bitrate == 0.0
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
    looks: list[int] = []
    received = count(1_000)
    measured = Vitals(
        lambda: next(received), lambda: looks.append(len(measured._looks)), cpu=lambda: float(next(seconds))
    )
    measured.start()
    await until(lambda: len(measured._looks) >= 3)
    measured.stop()
    assert looks == list(range(1, len(measured._looks) + 1))
    first, last = measured._looks[0], measured._looks[-1]
    assert measured.cpu_load == (len(measured._looks) - 1) / (last.at - first.at)
    assert measured.bitrate == 8 * measured.cpu_load


def test_what_has_settled_is_not_looked_through_again() -> None:
    before = gc.get_freeze_count()
    try:
        settle()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
