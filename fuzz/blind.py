"""Drives a target without knowing its coverage: mutated seeds, and mutants of mutants that were accepted.

One seed, one sequence of inputs. Needs nothing but Python, so the test suite runs a little of it.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from fuzz.mutation import mutate
from fuzz.targets import Target

MAX_PARENTS = 512


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
        return target.run(data)
    except Exception as error:
        raise Violation(data) from error


def _keep(random: Random, parents: list[bytes], seeds: int, data: bytes) -> None:
    """Add it, or let it take the place of another that is no seed."""
    if len(parents) < MAX_PARENTS:
        parents.append(data)
    else:
        parents[random.randrange(seeds, MAX_PARENTS)] = data
