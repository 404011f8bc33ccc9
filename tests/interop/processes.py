"""Programs a test starts, and what the kernel tells about their ports.

A program ends with the `with` block that started it, whatever happens in there. What it writes goes to files,
so that it never waits for a reader, and can be shown when the test fails.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_TIMEOUT = 5.0
POLL_INTERVAL = 0.02
TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"


class Program:
    """A running program; `output` holds what it wrote, both streams unless `stdout` got a file of its own."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    def wait(self, timeout: float) -> int:
        """Wait for its own end; return the exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout:g} s: {self.output}") from None

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")


@contextmanager
def running(
    arguments: Sequence[str], output: Path, *, stdout: Path | None = None, folder: Path | None = None
) -> Iterator[Program]:
    """Run a program for the length of a `with` block, in `folder` if given."""
    with open(output, "wb") as errors, open(stdout or output, "ab") as out:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=folder)
    try:
        yield Program(process, output)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Wait until `condition()` is true; fail with `what` did not happen otherwise."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(POLL_INTERVAL)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_listener(port: int, program: Program, timeout: float = 10.0) -> None:
    """Wait until it listens on `port`, without connecting: a server for one client would take that one."""

    def ready() -> bool:
        assert program.process.poll() is None, f"it ended at once: {program.output}"
        return count_sockets(port, TCP_LISTEN) > 0

    wait_until(ready, timeout, f"a listener on port {port}")


def wait_for_clients(port: int, count: int, timeout: float = 10.0) -> None:
    """Wait until `count` TCP clients are connected to the server on `port`."""
    wait_until(
        lambda: count_sockets(port, TCP_ESTABLISHED) >= count, timeout, f"{count} clients of port {port}"
    )


def count_sockets(port: int, state: str) -> int:
    """How many TCP sockets of this machine have the local IPv4 port `port` and this state."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == port and row[3] == state for row in rows)
