"""The results as text: one table for each question."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.speed.bars import FEW, MANY, Bar
from bench.speed.results import Results, memory_per_session, nearest
from bench.speed.steps import NAMES, Step

STEP_COLUMNS = (
    *("streams", "worker %", "server %", "x bare", "p50 ms", "p99 ms", "max ms", "lost"),
    *("lag ms", "late ms", "idle %", "others %", "steal %"),
)
VERDICTS = {True: "met", False: "NOT MET", None: "-"}


def render(results: Results, bars: Sequence[Bar]) -> Iterator[str]:
    """All tables, line by line."""
    yield from _machine(results.machine)
    yield from _bare(results)
    for mode, workers in results.measured:
        yield from _steps(results, mode, workers)
    if not all(step.is_sound for step in results.steps):
        yield "\n* a picture was lost, p99 is above 20 ms, or pictures were sent late: no measure of the cost"
    yield from _growth(results)
    yield from _capacity(results)
    yield from _memory(results)
    yield from _starts(results)
    yield from _bars(bars)
    if results.broken:
        yield "\nWhat could not be measured"
        yield from (f"  {each}" for each in results.broken)


def _machine(machine: dict[str, Any]) -> Iterator[str]:
    load = " ".join(f"{each:.2f}" for each in machine["load_average"])
    yield f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_mib']} MiB"
    yield f"Linux {machine['kernel']}, Python {machine['python']}; load average at the start {load}"


def _bare(results: Results) -> Iterator[str]:
    if results.bare:
        yield "\nThe bare loop, % of a core per stream: the unit of what follows"
        yield _row(("streams", "video", "and Opus"))
    for streams in sorted({each.streams for each in results.bare}):
        costs = {each.audio: each.cpu_per_stream for each in results.bare if each.streams == streams}
        yield _row((streams, *(f"{costs[audio]:.3f}" if audio in costs else "" for audio in (False, True))))


def _steps(results: Results, mode: str, workers: int) -> Iterator[str]:
    yield f"\n{NAMES[mode]}, {_count(workers, 'worker')}: % of a core per stream, and added latency"
    yield _row(STEP_COLUMNS)
    for step in results.find(mode, workers):
        ratio = results.ratio(step)
        latency, window = step.sink["latency_ms"], step.window
        yield _row((
            f"{step.plan.streams}{'' if step.is_sound else '*'}",
            f"{step.cpu_per_stream:.2f}",
            f"{step.server_cpu_per_stream:.2f}",
            f"{ratio:.2f}" if ratio else "",
            *(f"{latency[name]:.1f}" for name in ("p50", "p99", "max")),
            step.lost,
            f"{step.loop_lag_ms:.1f}",
            f"{step.publish['late_ms']['p99']:.1f}",
            *(f"{100 * share:.0f}" for share in (window.idle, window.others, window.steal)),
        ))  # fmt: skip


def _growth(results: Results) -> Iterator[str]:
    rows = [(mode, results.growth(mode, FEW, MANY)) for mode in NAMES]
    if any(growth is not None for _, growth in rows):
        yield f"\nCost per stream, from {FEW} to {MANY} streams"
        for mode, growth in rows:
            if growth is not None:
                yield f"  {NAMES[mode]:<16} {growth:+.0%}{_star(results, mode)}"


def _star(results: Results, mode: str) -> str:
    ends = [step for step in results.find(mode) if step.plan.streams in (FEW, MANY)]
    return "" if all(step.is_sound for step in ends) else " *"


def _capacity(results: Results) -> Iterator[str]:
    yield "\nCapacity: the most streams with every picture, p99 at most 20 ms"
    for mode, workers in results.measured:
        capacity = results.capacity(mode, workers)
        end = _carried(capacity.carried) + _end(capacity.failed)
        yield f"  {NAMES[mode]:<16} {_count(workers, 'worker'):<10} {end}"


def _carried(step: Step | None) -> str:
    return f"{step.plan.streams} ({100 * step.window.workers:.0f} % of a core)" if step else "none"


def _end(failed: Step | None) -> str:
    if failed is None:
        return ", more were not tried"
    limit = f"; {failed.limit}" if failed.limit else "; the worker was the limit"
    return f", {failed.plan.streams}: {failed.failure}{limit}"


def _memory(results: Results) -> Iterator[str]:
    yield "\nMemory of the workers, MiB: empty, and for each session over that"
    yield _row(("", "sessions", "empty RSS", "private", "RSS", "PSS", "private"))
    for mode in NAMES:
        step = nearest(results.find(mode), MANY)
        if step is not None:
            each = (f"{value:.2f}" for value in memory_per_session(step))
            empty = (f"{value / 1024:.0f}" for value in (step.empty.resident, step.empty.private))
            yield _row((mode, step.plan.streams, *empty, *each))


def _starts(results: Results) -> Iterator[str]:
    times = sorted(step.started_in for step in results.steps)
    yield "\nStarts"
    if times:
        yield f"  server: {times[len(times) // 2]:.2f} s until it answers (median of {len(times)})"
    if (starts := results.starts) is not None:
        yield (
            f"  first RTMP picture after the POST: {starts.first_picture_p50_ms:.0f} ms (median),"
            f" {starts.first_picture_max_ms:.0f} ms (max), in {starts.starts} starts"
        )
        for workers, rate in starts.connects_per_second.items():
            yield (
                f"  connects, {starts.connect_sessions} at once, {_count(workers, 'worker')}:"
                f" {rate:.0f} a second from POST to DTLS"
            )


def _bars(bars: Iterable[Bar]) -> Iterator[str]:
    yield "\nBars"
    for bar in bars:
        yield f"  {VERDICTS[bar.is_met]:<8} {bar.text}: {bar.figure}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _row(cells: Iterable[object]) -> str:
    return "".join(f"{cell!s:>10}" for cell in cells)
