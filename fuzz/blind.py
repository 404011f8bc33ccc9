"""Drives a target without knowing its coverage: mutated seeds, and mutants of mutants that were accepted.

One seed, one sequence of inputs. Needs nothing but Python, so the test suite runs a little of it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import NamedTuple

from fuzz.mutation import mutate
from fuzz.targets import Target

MAX_PARENTS = 512
MAX_CPU_SECONDS = 4.0
"""For one input; the slowest honest ones take a tenth of it."""


class TooSlow(Exception):
    """The input costs too much, or there is no end to it."""


class Violation(Exception):
    """The target raised; the cause says what."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{len(data)} bytes break the invariant")
        self.data = data


class Progress(NamedTuple):
    """How far a run has come."""

    executions: int
    corpus: int
    """Inputs that others are made of."""


def fuzz(target: Target, seed: int) -> Iterator[Progress]:
    """Run forever, one execution a step. Raises `Violation`."""
    # Only its own and the same sequence is wanted of this generator, so a text will do for a seed.
    random = Random(f"{target.name} {seed}")
    seeds = target.seeds()
    parents = list(seeds)
    executions = 0
    while True:
        data = seeds[executions] if executions < len(seeds) else mutate(random, parents)
        if execute(target, data) and executions >= len(seeds):
            _keep(random, parents, len(seeds), data)
        executions += 1
        yield Progress(executions, len(parents))


def execute(target: Target, data: bytes) -> bool:
    """Whether the target accepted the input. Raises `Violation`."""
    try:
        with _limit():
            return target.run(data)
    except Exception as error:
        raise Violation(data) from error


@contextmanager
def _limit() -> Iterator[None]:
    """Break off what takes more than `MAX_CPU_SECONDS` of this process's own time."""
    before = signal.signal(signal.SIGVTALRM, _break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _break_off(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"more than {MAX_CPU_SECONDS:g} s")


def _keep(random: Random, parents: list[bytes], seeds: int, data: bytes) -> None:
    """Add it, or let it take the place of another that is no seed."""
    if len(parents) < MAX_PARENTS:
        parents.append(data)
    else:
        parents[random.randrange(seeds, MAX_PARENTS)] = data
