from dataclasses import dataclass, field

import pytest

from whipway.pool.placement import BITRATE_OF_A_CORE, SESSION_LOAD, Load, choose, has_room
from whipway.worker.vitals import WINDOW


@dataclass
class Worker:
    cpu: float = 0.0
    bitrate: float = 0.0
    is_ready: bool = True
    is_quiet: bool = False
    load: Load = field(default_factory=Load)

    def __post_init__(self) -> None:
        self.load.note(self.cpu, self.bitrate)


def chosen(*workers: Worker, max_load: float = 0.9, now: float = 0.0) -> int | None:
    worker = choose(workers, max_load, now)
    return None if worker is None else next(at for at, each in enumerate(workers) if each is worker)


def test_the_one_that_uses_the_least_cpu() -> None:
    assert chosen(Worker(0.3), Worker(0.1), Worker(0.2)) == 1


def test_a_bitrate_tells_what_cpu_will_be_used() -> None:
    assert chosen(Worker(0.1, 0.5 * BITRATE_OF_A_CORE), Worker(0.3, 0.2 * BITRATE_OF_A_CORE)) == 1


def test_few_heavy_sessions_weigh_more_than_many_light_ones() -> None:
    heavy, light = Worker(0.5), Worker(0.1)
    for name in "abcdefghij":
        light.load.place(name, 0.0)
    assert chosen(heavy, light, now=1.0) == 1


def test_equal_ones_get_them_in_turn() -> None:
    workers = [Worker(), Worker(), Worker()]
    row = []
    for name in "abcdef":
        at = chosen(*workers)
        assert at is not None
        workers[at].load.place(name, 0.0)
        row.append(at)
    assert row == [0, 1, 2, 0, 1, 2]


def test_what_was_guessed_gives_way_to_what_is_measured() -> None:
    load = Load()
    for name in "abc":
        load.place(name, 0.0)
    load.remove("c")
    load.remove("z")
    assert load.expect(0.0) == pytest.approx(2 * SESSION_LOAD)
    assert load.expect(WINDOW / 2) == pytest.approx(SESSION_LOAD)
    load.note(0.05, 0.0)
    assert load.expect(WINDOW) == 0.05


@pytest.mark.parametrize(("max_load", "expected"), [(0.9, 1), (0.5, None), (0.0, 1)])
def test_full_ones_get_none(max_load: float, expected: int | None) -> None:
    assert chosen(Worker(0.95), Worker(0.6), max_load=max_load) == expected


def test_a_burst_is_bounded_before_it_is_measured() -> None:
    worker = Worker(0.2)
    count = 0
    while has_room(worker, 0.9, 0.0):
        worker.load.place(str(count), 0.0)
        count += 1
    assert count == pytest.approx(0.7 / SESSION_LOAD, abs=1)
    assert has_room(worker, 0.9, WINDOW)
    assert has_room(worker, 0.0, 0.0)


def test_who_is_not_there_gets_none_and_who_is_quiet_is_the_last() -> None:
    assert chosen(Worker(is_ready=False), Worker(0.8)) == 1
    assert chosen(Worker(is_quiet=True), Worker(0.8)) == 1
    assert chosen(Worker(is_quiet=True)) == 0
    assert chosen(Worker(is_ready=False)) is None
