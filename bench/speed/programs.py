"""The other programs of this package, each in a process of its own, and their last words."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT = 20.0


class Program:
    """`python -m bench.speed.NAME`: ends with the `with` block at the latest."""

    def __init__(self, name: str, *arguments: object) -> None:
        self._name = name
        self._arguments = [str(argument) for argument in arguments]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", f"bench.speed.{self._name}", *self._arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._running.poll() is None:
            self._running.kill()
        self._running.communicate()

    @property
    def process_id(self) -> int:
        """Of the running program."""
        return self._running.pid

    def wait_for(self, start: str) -> str:
        """What follows `start` in the line of stderr that begins with it. RuntimeError if it ends before."""
        assert self._running.stderr is not None
        lines = []
        for line in self._running.stderr:
            if line.startswith(start):
                return line.removeprefix(start).strip()
            lines.append(line)
        words = self._running.stdout.read() if self._running.stdout else ""
        raise RuntimeError(f"{self._name} ended: {''.join(lines)}{words}")

    def finish(self, *, stop: bool = False, timeout: float = STOP_TIMEOUT) -> dict[str, Any]:
        """Wait for the end, or ask for it, and read the figures."""
        if stop:
            self._running.send_signal(signal.SIGTERM)
        out, errors = self._running.communicate(timeout=timeout)
        lines = out.splitlines()
        if not lines:
            raise RuntimeError(f"{self._name} said nothing: {errors}")
        figures: dict[str, Any] = json.loads(lines[-1])
        return figures

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process


def run_program(name: str, arguments: Sequence[object], timeout: float) -> dict[str, Any]:
    """From start to end."""
    with Program(name, *arguments) as program:
        return program.finish(timeout=timeout)


def table_path(purpose: str) -> Path:
    """A file for `Times` that no other run has: in memory where there is /dev/shm."""
    shared = Path("/dev/shm")  # noqa: S108
    folder = shared if shared.is_dir() else ROOT / "build"
    return folder / f"whipway-bench-{os.getpid()}-{purpose}"
