"""All that one run of the bench found out, and what follows from it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.speed.steps import BareStep, Starts, Step

KIB_PER_MIB = 1024


class Capacity(NamedTuple):
    """How many streams of a mode went through so many workers at most, and how many were too many."""

    mode: str
    workers: int
    carried: Step | None
    failed: Step | None

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "mode": self.mode,
            "workers": self.workers,
            "carried": self.carried.plan.streams if self.carried else 0,
            "failed_at": self.failed.plan.streams if self.failed else None,
            "failure": self.failed.failure if self.failed else "",
            "limit": self.failed.limit if self.failed else "",
        }


@dataclass
class Results:
    """`machine` is what `procfs.describe_machine` says."""

    machine: dict[str, Any]
    bare: list[BareStep] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    starts: Starts | None = None
    broken: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def find(self, mode: str, workers: int = 1) -> list[Step]:
        """The steps of a mode, by rising number of streams; of several with one number the last."""
        found = {
            step.plan.streams: step
            for step in self.steps
            if (step.plan.mode, step.plan.workers) == (mode, workers)
        }
        return [found[streams] for streams in sorted(found)]

    def bare_for(self, step: Step) -> BareStep | None:
        """The bare loop with the same packets."""
        wanted = (step.plan.streams, step.plan.mode != "video")
        return next((each for each in reversed(self.bare) if (each.streams, each.audio) == wanted), None)

    def ratio(self, step: Step) -> float | None:
        """Times the bare loop, as the workers' CPU."""
        bare = self.bare_for(step)
        return step.cpu_per_stream / bare.cpu_per_stream if bare and bare.cpu else None

    def growth(self, mode: str, few: int, many: int) -> float | None:
        """By how much the cost per stream grows from few to many streams, as a share; below 0: it falls."""
        costs = {step.plan.streams: step.cpu_per_stream for step in self.find(mode)}
        return costs[many] / costs[few] - 1 if costs.get(few) and many in costs else None

    def capacity(self, mode: str, workers: int = 1) -> Capacity:
        """Of what was tried."""
        steps = self.find(mode, workers)
        failed = next((step for step in steps if step.failure), None)
        below = [
            step
            for step in steps
            if not step.failure and (failed is None or step.plan.streams < failed.plan.streams)
        ]
        return Capacity(mode, workers, below[-1] if below else None, failed)

    @property
    def measured(self) -> list[tuple[str, int]]:
        """Modes and numbers of workers that there are steps of."""
        return list(dict.fromkeys((step.plan.mode, step.plan.workers) for step in self.steps))

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "machine": self.machine,
            "bare": [each.describe() for each in self.bare],
            "steps": [step.describe() | {"times_bare": self.ratio(step)} for step in self.steps],
            "capacity": [self.capacity(*each).describe() for each in self.measured],
            "starts": self.starts.describe() if self.starts else None,
            "broken": self.broken,
        }


def memory_per_session(step: Step) -> tuple[float, float, float]:
    """MiB for each session over the empty workers: resident, proportional, private."""
    return (
        (step.grown.resident - step.empty.resident) / step.plan.streams / KIB_PER_MIB,
        (step.grown.proportional - step.empty.proportional) / step.plan.streams / KIB_PER_MIB,
        (step.grown.private - step.empty.private) / step.plan.streams / KIB_PER_MIB,
    )


def nearest(steps: Iterable[Step], streams: float) -> Step | None:
    """The step with the fewest streams of those with at least so many; else the one with the most."""
    ordered = sorted(steps, key=lambda step: step.plan.streams)
    above = [step for step in ordered if step.plan.streams >= streams]
    return above[0] if above else ordered[-1] if ordered else None
