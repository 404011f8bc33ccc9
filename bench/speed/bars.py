"""What is hoped for, what was measured, and whether the one meets the other. Nothing fails here."""

from typing import Any, NamedTuple

from bench.speed.results import Results, memory_per_session, nearest
from bench.speed.steps import BareStep, Step

MAX_TIMES_BARE = 1.6
MAX_SESSION_MIB = 3.0
MAX_FIRST_PICTURE_MS = 150.0
MAX_HALF_LOAD_MS = 5.0
MAX_GROWTH = 0.10
MAX_LAG_MS = 10.0
FEW, MANY = 5, 40
"""Streams between which growth is looked at; the second is also what the other bars are read at."""


class Bar(NamedTuple):
    """`is_met` is None where nothing was measured, or where something else was in the way."""

    text: str
    figure: str
    is_met: bool | None

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


def judge(results: Results) -> list[Bar]:
    """All bars, in the order of the tables."""
    return [
        _cost(results),
        _memory(results),
        _first_picture(results),
        _half_load(results),
        _growth(results),
        _lag(results),
    ]


def _cost(results: Results) -> Bar:
    text = f"video only at most {MAX_TIMES_BARE}x the bare loop"
    step = nearest(results.find("video"), MANY)
    bare = results.bare_for(step) if step else None
    if step is None or bare is None:
        return _unknown(text)
    ratio = step.cpu_per_stream / bare.cpu_per_stream
    return _bar(text, f"{ratio:.2f}x at {step.plan.streams} streams", ratio <= MAX_TIMES_BARE, step, bare)


def _memory(results: Results) -> Bar:
    text = f"at most {MAX_SESSION_MIB:g} MiB for a session over the empty worker"
    step = nearest(results.find("video"), MANY)
    if step is None:
        return _unknown(text)
    private = memory_per_session(step)[2]
    return Bar(text, f"{private:.2f} MiB at {step.plan.streams} sessions", private <= MAX_SESSION_MIB)


def _first_picture(results: Results) -> Bar:
    text = f"first RTMP picture at most {MAX_FIRST_PICTURE_MS:.0f} ms after the POST"
    starts = results.starts
    if starts is None:
        return _unknown(text)
    worst = starts.first_picture_max_ms
    figure = f"{starts.first_picture_p50_ms:.0f} ms, at most {worst:.0f} ms in {starts.starts} starts"
    return Bar(text, figure, worst <= MAX_FIRST_PICTURE_MS)


def _half_load(results: Results) -> Bar:
    text = f"p99 of added latency at most {MAX_HALF_LOAD_MS:g} ms at half load"
    capacity = results.capacity("video")
    if capacity.carried is None:
        return _unknown(text)
    step = nearest(results.find("video"), capacity.carried.plan.streams / 2)
    assert step is not None  # There is the one that was carried.
    at_least = "" if capacity.failed else " or more"
    figure = f"{step.p99:.1f} ms at {step.plan.streams} of {capacity.carried.plan.streams}{at_least} streams"
    return _bar(text, figure, step.p99 <= MAX_HALF_LOAD_MS, step)


def _growth(results: Results) -> Bar:
    text = f"cost per stream grows by less than {MAX_GROWTH:.0%} from {FEW} to {MANY} streams"
    growth = results.growth("video", FEW, MANY)
    if growth is None:
        return _unknown(text)
    ends = [step for step in results.find("video") if step.plan.streams in (FEW, MANY)]
    return _bar(text, f"{growth:+.0%}", growth < MAX_GROWTH, *ends)


def _lag(results: Results) -> Bar:
    text = f"loop lag under {MAX_LAG_MS:g} ms (p99)"
    step = nearest(results.find("video"), MANY)
    if step is None:
        return _unknown(text)
    figure = f"{step.loop_lag_ms:.1f} ms, the worst in ten seconds, at {step.plan.streams} streams"
    return _bar(text, figure, step.loop_lag_ms < MAX_LAG_MS, step)


def _bar(text: str, figure: str, is_met: bool, *steps: Step | BareStep) -> Bar:
    """What was disturbed says nothing."""
    if not all(step.is_sound for step in steps):
        return Bar(text, f"{figure}, but that was disturbed", None)
    return Bar(text, figure, is_met)


def _unknown(text: str) -> Bar:
    return Bar(text, "not measured", None)
