"""The command line of the fuzzer; see `fuzz`."""

import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fuzz import blind
from fuzz.blind import Progress, Violation
from fuzz.mutation import MAX_INPUT_BYTES
from fuzz.targets import NAMES, load_target

CRASHES = Path(__file__).parent / "crashes"
MAX_EXECUTION_SECONDS = 10
"""One input that takes longer is a finding too."""
MAX_MEMORY_MB = 1024
REPORT_INTERVAL = 0.5

_STATUS = re.compile(rb"#(\d+)\s+\w+\s+.*corp: (\d+)/")
_DONE = re.compile(rb"Done (\d+) runs")
_WRITTEN = re.compile(rb".*Test unit written to (.+)")
_NOISE = re.compile(rb"INFO|WARNING|MS:|0x|\\|SUMMARY|Base64|\s*$")
"""What libFuzzer says besides: its set-up, and the crash in three notations."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    targets: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(NAMES)}.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each target runs.")] = 60.0,
    seed: Annotated[int, typer.Option(min=1, help="Same seed, same inputs.")] = 1,
    input: Annotated[Path | None, typer.Option(help="Run the targets on this file alone.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="Keep what coverage found here.")] = None,
    unguided: Annotated[bool, typer.Option(help="Do not use atheris.")] = False,
) -> None:
    """Fuzz the given targets, by default all, one after another."""
    names = targets or NAMES
    for name in names:
        if name not in NAMES:
            raise typer.BadParameter(f"{name} is none of {', '.join(NAMES)}")
    if input is not None:
        broken = [name for name in names if not _reproduce(name, input)]
    elif unguided or importlib.util.find_spec("atheris") is None:
        broken = [name for name in names if not _run_blind(name, seconds, seed)]
    else:
        broken = [name for name in names if not _run_guided(name, seconds, seed, corpus)]
    if broken:
        typer.echo(f"Broken: {', '.join(broken)}")
        raise typer.Exit(1)


def _reproduce(name: str, path: Path) -> bool:
    try:
        accepted = blind.execute(load_target(name), path.read_bytes())
    except Violation:
        traceback.print_exc()
        return False
    typer.echo(f"{name}: keeps its promise, the input was {'accepted' if accepted else 'rejected'}")
    return True


def _run_blind(name: str, seconds: float, seed: int) -> bool:
    report = Report(name)
    progress = Progress(0, 0)
    try:
        for progress in blind.fuzz(load_target(name), seed):
            if report.is_due() and not report.show(progress) < seconds:
                break
    except Violation as violation:
        report.end(progress)
        traceback.print_exc()
        _write_crash(name, violation.data)
        return False
    report.end(progress)
    return True


def _write_crash(name: str, data: bytes) -> None:
    CRASHES.mkdir(exist_ok=True)
    path = CRASHES / f"{name}-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"
    path.write_bytes(data)
    _say_again(name, path)


def _say_again(name: str, path: Path) -> None:
    typer.echo(f"Again: python -m fuzz {name} --input {path}")


def _run_guided(name: str, seconds: float, seed: int, corpus: Path | None) -> bool:
    CRASHES.mkdir(exist_ok=True)
    report = Report(name)
    progress = Progress(0, 0)
    said: list[bytes] = []
    with _folder(corpus, name) as folder:
        options = {
            "max_total_time": max(1, round(seconds)),
            "seed": seed,
            "max_len": MAX_INPUT_BYTES,
            "timeout": MAX_EXECUTION_SECONDS,
            "rss_limit_mb": MAX_MEMORY_MB,
            "artifact_prefix": f"{CRASHES}/{name}-",
        }
        command = [sys.executable, "-m", "fuzz.guided", name, str(folder)]
        command += [f"-{option}={value}" for option, value in options.items()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if status := _STATUS.match(line):
                    progress = Progress(int(status[1]), int(status[2]))
                    report.show(progress)
                elif done := _DONE.match(line):
                    progress = progress._replace(executions=int(done[1]))
                else:
                    said.append(line)
    report.end(progress)
    if process.returncode != 0:
        _explain(name, said)
    return process.returncode == 0


def _explain(name: str, said: list[bytes]) -> None:
    """Show what libFuzzer said of a crash."""
    for line in said:
        if written := _WRITTEN.match(line):
            _say_again(name, Path(written[1].decode()))
        elif not _NOISE.match(line):
            typer.echo(line.decode(errors="replace"), nl=False)


@contextmanager
def _folder(corpus: Path | None, name: str) -> Iterator[Path]:
    """Where libFuzzer keeps its corpus: a new folder, so that the seed decides alone, unless one is given."""
    if corpus is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        (corpus / name).mkdir(parents=True, exist_ok=True)
        yield corpus / name


class Report:
    """One line for a target, written over while it runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._start = self._shown = time.monotonic()

    def is_due(self) -> bool:
        """Whether the line is old."""
        return time.monotonic() - self._shown >= REPORT_INTERVAL

    def show(self, progress: Progress) -> float:
        """Write the line; the seconds the target has run."""
        self._shown = time.monotonic()
        elapsed = self._shown - self._start
        if sys.stdout.isatty():
            typer.echo(f"\r{self._line(progress, elapsed)}", nl=False)
        return elapsed

    def end(self, progress: Progress) -> None:
        """Write the line for good."""
        line = self._line(progress, time.monotonic() - self._start)
        typer.echo(f"\r{line}" if sys.stdout.isatty() else line)

    def _line(self, progress: Progress, elapsed: float) -> str:
        rate = progress.executions / max(elapsed, 0.001)
        return (
            f"{self._name:<14}{elapsed:6.0f} s {progress.executions:>12,} executions {rate:>10,.0f} /s"
            f"   corpus {progress.corpus:>5}"
        )


if __name__ == "__main__":
    app()
