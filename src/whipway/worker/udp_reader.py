"""Reading the media socket: at once as long as little comes, and in turns while much does.

A wake-up costs a process as much as a dozen packets. One stream has up to a few hundred a second; a hundred
streams have thousands. So while the process has its core half full, a socket that wakes it so often is not
waited for: a timer reads it every `PACE` seconds, and all that came meanwhile goes through the sessions
together. Nothing is delayed on a server with less to do.

Each turn is bounded. What is left over waits for the next turn of the loop, in which others come first.
"""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic, process_time

from whipway.protocol.ice import Address

MAX_BATCH = 128
"""Datagrams taken in one turn: about a millisecond of work, so that TCP and HTTP get theirs."""
MAX_DATAGRAM_BYTES = 2048
PACE = 0.002
"""Seconds from one reading to the next under load: the most that a datagram waits, twice the mean.
Of 10,000 datagrams a second 20 come meanwhile, some 25 KB: the kernel has room for far more."""
MIN_PAUSE = 0.001
"""Seconds between two readings, however long the work took: the grain of the loop's timers."""
LOOK_INTERVAL = 0.25
"""Seconds between two decisions how to read."""
BUSY_RATE = 1000
"""Wake-ups a second beyond which the timer has fewer by enough."""
BUSY_LOAD = 0.6
"""Part of a core that this process uses, beyond which the timer is worth its delay: it saves a tenth of the
CPU with a hundred streams, and nothing with forty."""
QUIET_LOAD = 0.5
"""Below which it is not; the timer itself lowers the load."""

Batch = list[tuple[bytes, Address]]


class UdpReader:
    """Hands batches on from when it is made until `close`; the socket is the caller's to close.

    `cpu` tells the CPU seconds of this process.
    """

    def __init__(
        self,
        sock: socket.socket,
        receive: Callable[[Batch, float], None],
        cpu: Callable[[], float] = process_time,
    ) -> None:
        self.is_paced = False
        """Whether the socket is read by the clock."""
        self._socket = sock
        self._receive = receive
        self._cpu = cpu
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._timer: asyncio.Handle | None = None
        self._looked_at = 0.0
        self._cpu_then = 0.0
        self._turns = 0  # since then
        self._loop.add_reader(sock, self._on_readable)

    def close(self) -> None:
        """Read no more. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.is_paced:
            self._loop.remove_reader(self._socket)

    def _on_readable(self) -> None:
        now = self._loop.time()
        self._read(now)
        elapsed = now - self._looked_at
        if elapsed < LOOK_INTERVAL or self._is_closed:
            return
        if self._turns > BUSY_RATE * elapsed and self._load(elapsed) > BUSY_LOAD:
            self.is_paced = True
            self._loop.remove_reader(self._socket)
            self._timer = self._loop.call_later(PACE, self._on_time)
        self._count_anew(now)

    def _on_time(self) -> None:
        began = monotonic()  # The loop's own clock stands still during a turn.
        is_more = True
        try:
            is_more = self._read(self._loop.time())
        finally:  # A bug must not end the reading.
            if not self._is_closed:
                self._go_on(is_more, began)

    def _go_on(self, is_more: bool, began: float) -> None:
        """Read again: at once, after a pause, or when there is something to read."""
        now = self._loop.time()
        is_quiet = False
        elapsed = now - self._looked_at
        if elapsed >= LOOK_INTERVAL:
            is_quiet = self._load(elapsed) < QUIET_LOAD
            self._count_anew(now)
        if is_quiet:
            self.is_paced, self._timer = False, None
            self._loop.add_reader(self._socket, self._on_readable)
        elif is_more:
            self._timer = self._loop.call_soon(self._on_time)
        else:
            pause = max(MIN_PAUSE, PACE - (monotonic() - began))
            self._timer = self._loop.call_later(pause, self._on_time)

    def _load(self, elapsed: float) -> float:
        return (self._cpu() - self._cpu_then) / elapsed

    def _count_anew(self, now: float) -> None:
        self._looked_at = now
        self._cpu_then = self._cpu()
        self._turns = 0

    def _read(self, now: float) -> bool:
        """Take one batch; whether there may be more."""
        receive = self._socket.recvfrom
        batch: Batch = []
        is_more = True
        for _ in range(MAX_BATCH):
            try:
                batch.append(receive(MAX_DATAGRAM_BYTES))
            except BlockingIOError:
                is_more = False
                break
            except OSError:
                continue  # An ICMP error of something sent earlier; the next call reads on.
        self._turns += 1
        self._receive(batch, now)
        return is_more
