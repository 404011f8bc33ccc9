"""What is measured, in which order, and how long: the whole of it, and a quick part."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from subprocess import SubprocessError
from time import monotonic
from typing import TypeVar

from bench.speed.bars import MANY
from bench.speed.measuring import measure, measure_bare, measure_connects, measure_first_pictures
from bench.speed.procfs import describe_machine
from bench.speed.results import Results
from bench.speed.steps import Plan, Starts, Step

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Course:
    """`counts`: numbers of streams of each mode. `climbs`: modes, workers, and the numbers that follow until
    one fails. Times in seconds.
    """

    counts: Mapping[str, Sequence[int]]
    climbs: Sequence[tuple[str, int, Sequence[int]]]
    seconds: float
    warm_up: float
    bare_seconds: float
    bare_warm_up: float
    climb_seconds: float
    starts: int
    connect_sessions: int
    connect_workers: Sequence[int] = (1,)
    lag_warm_up: float = 0.0
    """Of the step that loop lag is read at: the worst of the last ten seconds, which are to be free of the
    handshakes. At least `warm_up` in any case.
    """


ATTEMPTS = 2
"""At each step, since another program may have been in the way the first time. The last one counts."""
MAX_ERROR_CHARACTERS = 300
COUNTS = (1, 5, 10, 20, 40)
FULL = Course(
    counts=dict.fromkeys(("video", "aac", "opus"), COUNTS),
    climbs=(
        ("video", 1, (80, 100, 130, 160, 200)),
        ("aac", 1, (50, 70)),
        ("opus", 1, (70, 100, 140)),
        ("video", 2, (40, 100, 160)),
    ),
    seconds=4.0,
    warm_up=1.5,
    bare_seconds=3.0,
    bare_warm_up=1.0,
    climb_seconds=4.0,
    starts=20,
    connect_sessions=100,
    connect_workers=(1, 2),
    lag_warm_up=8.5,
)
QUICK = Course(
    counts={"video": (5, 40), "aac": (20,), "opus": (20,)},
    climbs=(),
    seconds=3.0,
    warm_up=1.0,
    bare_seconds=3.0,
    bare_warm_up=1.0,
    climb_seconds=3.0,
    starts=5,
    connect_sessions=60,
)


def run(course: Course) -> Results:
    """Measure everything; a line on stderr for each step."""
    results = Results(describe_machine())
    begun = monotonic()
    for what in _run(course, results):
        print(f"{monotonic() - begun:4.0f} s  {what}", file=sys.stderr, flush=True)
    return results


def _run(course: Course, results: Results) -> Iterator[str]:
    # Bare loop and server take turns, so that both meet the machine in the same state.
    for streams in sorted({each for counts in course.counts.values() for each in counts}):
        for audio, modes in ((False, ("video",)), (True, ("aac", "opus"))):
            wanted = [mode for mode in modes if streams in course.counts.get(mode, ())]
            if wanted:
                yield from _bare(results, course, streams, audio)
            for mode in wanted:
                warm_up = _warm_up(course, mode, streams)
                yield from _step(results, Plan(mode, streams, 1, course.seconds, warm_up))
    for mode, workers, counts in course.climbs:
        yield from _climb(results, course, mode, workers, counts)
    yield from _starts(results, course)


def _starts(results: Results, course: Course) -> Iterator[str]:
    sink = _attempt(results, "first pictures", lambda: measure_first_pictures(course.starts, 1))
    firsts = sink["first_picture_ms"] if sink else {"p50": 0.0, "max": 0.0}
    yield f"first pictures: {firsts['p50']:.0f} ms"
    rates = {}
    for workers in course.connect_workers:
        connects = partial(measure_connects, course.connect_sessions, workers)
        if publish := _attempt(results, f"connects, {workers} worker(s)", connects):
            rates[workers] = publish["connects_per_second"]
            yield f"{course.connect_sessions} connects, {workers} worker(s): {rates[workers]:.0f} a second"
    if sink:
        results.starts = Starts(firsts["p50"], firsts["max"], course.starts, rates, course.connect_sessions)


def _warm_up(course: Course, mode: str, streams: int) -> float:
    is_read = (mode, streams) == ("video", MANY)
    return max(course.warm_up, course.lag_warm_up) if is_read else course.warm_up


def _climb(results: Results, course: Course, mode: str, workers: int, counts: Sequence[int]) -> Iterator[str]:
    for streams in counts:
        if results.capacity(mode, workers).failed is not None:
            return
        yield from _step(results, Plan(mode, streams, workers, course.climb_seconds, course.warm_up))


def _bare(results: Results, course: Course, streams: int, audio: bool) -> Iterator[str]:
    what = f"bare, {streams} streams{' with audio' if audio else ''}"
    seconds, warm_up = course.bare_seconds, course.bare_warm_up
    bare = partial(measure_bare, streams, audio=audio, seconds=seconds, warm_up=warm_up)
    for _ in range(ATTEMPTS):
        if (step := _attempt(results, what, bare)) is not None:
            results.bare.append(step)
            yield f"{what}: {step.cpu_per_stream:.3f} % each"
            if step.is_sound:
                break


def _step(results: Results, plan: Plan) -> Iterator[str]:
    what = f"{plan.mode}, {plan.streams} streams, {plan.workers} worker(s)"
    for _ in range(ATTEMPTS):
        if (step := _attempt(results, what, lambda: measure(plan))) is not None:
            results.steps.append(step)
            yield f"{what}: {_sum_up(step)}"
            if step.is_sound:
                break


def _attempt(results: Results, what: str, run: Callable[[], Found]) -> Found | None:
    """What `run` finds out; None if a program did not start or end. The rest is measured all the same."""
    try:
        return run()
    except (RuntimeError, OSError, SubprocessError) as error:
        results.broken.append(f"{what}: {error}"[:MAX_ERROR_CHARACTERS])
        return None


def _sum_up(step: Step) -> str:
    faults = ", ".join(filter(None, (step.failure, step.limit)))
    return f"{step.cpu_per_stream:.2f} % each, p99 {step.p99:.1f} ms {faults}".rstrip()
