"""What loss does to a stream, and how much of it NACK and retransmissions mend: `make bench-loss`.

Every cell is one stream (`bench.trial`). The figures depend on nothing but the code and the seed. At the end
stands which of the project's bars hold; nothing fails here when one does not.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bench.trial import Case, Outcome, run

LOSSES = (0.0, 0.01, 0.02, 0.05, 0.10, 0.20)
BURST_LOSS = 0.05
BURSTS = (3.0, 10.0)
JITTER = 0.01
"""Seconds, of paths on which packets overtake each other, as on radio links."""
JITTER_LOSSES = (0.0, 0.05, 0.10)
ROUND_TRIPS = (0.02, 0.05, 0.1, 0.2)
QUICK_ROUND_TRIP = 0.05

COLUMNS = (
    *("loss", "burst", "jitter", "sent", "intact", "hit", "repaired", "lost"),
    *("p50", "p99", "max", "gap s", "audio", "PLI", "NACK", "resent", "decodes"),
)

Results = dict[Case, Outcome]


class Bar(NamedTuple):
    """What is hoped for, of which cells, and how it shows."""

    text: str
    is_meant: Callable[[Case], bool]
    is_met: Callable[[Outcome], bool]


def _at(loss: float, round_trip: float | None = None) -> Callable[[Case], bool]:
    """Cells of this loss; bursts are measured beside the bars."""
    return lambda case: case.loss == loss and case.burst == 1.0 and round_trip in (None, case.round_trip)


def _calm(meant: Callable[[Case], bool]) -> Callable[[Case], bool]:
    """Of these the cells without jitter."""
    return lambda case: meant(case) and case.jitter == 0.0


BARS = (
    Bar("no loss: nothing is held", _calm(_at(0.0)), lambda it: it.longest == 0.0 and it.lost == 0),
    Bar("5 % at 50 ms: 99.9 % intact", _at(0.05, 0.05), lambda it: it.intact >= 0.999 * it.sent),
    Bar("5 % at 50 ms: p99 at most 200 ms", _calm(_at(0.05, 0.05)), lambda it: it.p99 <= 200.0),
    Bar("10 % at 100 ms: 99.5 % intact", _at(0.10, 0.1), lambda it: it.intact >= 0.995 * it.sent),
    Bar("20 %: no gap longer than 5 s", _at(0.20), lambda it: it.intact > 0 and it.gap <= 5.0),
    Bar("never a damaged picture downstream", lambda case: True, lambda it: it.is_sound),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the JSON that was asked for."""
    options = _parse(arguments)
    round_trips = (QUICK_ROUND_TRIP,) if options.quick else ROUND_TRIPS
    paths = [
        *((loss, 1.0, 0.0) for loss in LOSSES),
        *((BURST_LOSS, burst, 0.0) for burst in BURSTS),
        *((loss, 1.0, JITTER) for loss in JITTER_LOSSES),
    ]
    cases = [
        Case(loss, burst, round_trip, options.seconds, options.repair, options.seed, jitter)
        for round_trip in round_trips
        for loss, burst, jitter in paths
    ]
    results = measure(cases, jobs=options.jobs)
    print("\n".join(render(results)))
    print("\n".join(judge_bars(results)))
    if options.json:
        rows = [asdict(case) | outcome.describe() for case, outcome in results.items()]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure(cases: Sequence[Case], *, jobs: int) -> Results:
    """Run all cases, `jobs` at once, with a line on stderr for each."""
    results: Results = {}
    begun = monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for case, outcome in zip(cases, pool.map(run, cases), strict=True):
            results[case] = outcome
            elapsed = monotonic() - begun
            print(f"\r{len(results)}/{len(cases)} in {elapsed:.0f} s ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def render(results: Results) -> Iterable[str]:
    """The table: a block for each round trip, a row for each kind of loss. p50, p99 and max are added delay.

    What does not decode is told as pictures handed on that nobody sent, complaints of the decoder, and
    pictures shown that nobody sent.
    """
    round_trip = None
    for case, it in results.items():
        if case.round_trip != round_trip:
            round_trip = case.round_trip
            yield f"\nround trip {round_trip * 1000:.0f} ms, {case.seconds:g} s, repair {case.repair}"
            yield _row(COLUMNS)
        intact = f"{100 * it.intact / max(1, it.sent):.2f}%"
        delays = (f"{it.p50:.0f}", f"{it.p99:.0f}", f"{it.longest:.0f}", f"{it.gap:.2f}")
        burst = f"{case.burst:.0f}"
        counts = (it.sent, intact, it.hit, it.repaired, it.lost)
        rest = (f"{100 * it.audio:.1f}%", it.keyframe_requests, it.nacks, f"{100 * it.resent:.1f}%")
        verdict = "yes" if it.is_sound else f"NO {it.damaged}/{it.decoder_errors}/{it.wrong_pictures}"
        jitter = f"{1000 * case.jitter:.0f}"
        yield _row((f"{100 * case.loss:.0f}%", burst, jitter, *counts, *delays, *rest, verdict))


def judge_bars(results: Results) -> Iterable[str]:
    """One line for each bar that was measured."""
    yield ""
    for bar in BARS:
        cells = [bar.is_met(outcome) for case, outcome in results.items() if bar.is_meant(case)]
        if cells:
            yield f"{'holds' if all(cells) else 'FAILS'}  {bar.text} ({sum(cells)} of {len(cells)})"


def _row(cells: Iterable[object]) -> str:
    return " ".join(f"{cell!s:>8}" for cell in cells)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.loss", description="Streams over lossy paths.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each stream (default 60)")
    parser.add_argument("--quick", action="store_true", help="one round trip only, 50 ms")
    parser.add_argument("--repair", choices=("rtx", "same", "ignored", "none"), default="rtx")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
