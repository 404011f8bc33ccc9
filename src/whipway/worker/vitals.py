"""How a process fares: by how much its event loop is late, how much of a core it takes, what it receives.

One timer, four times a second. A loop that is late delays every packet, so the worst of the last seconds is
what is told, and not a mean that hides it.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

INTERVAL = 0.25
"""Seconds between two looks."""
WINDOW = 10.0
"""Seconds that are told of."""


class _Look(NamedTuple):
    at: float
    cpu_seconds: float
    late: float
    received_bytes: int


class Vitals:
    """Measures from `start` to `stop`.

    `received_bytes` tells how much was received so far, `cpu` the CPU seconds of the process; `on_look` is
    called after each look.
    """

    def __init__(
        self,
        received_bytes: Callable[[], int] = lambda: 0,
        on_look: Callable[[], None] = lambda: None,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._received_bytes = received_bytes
        self._on_look = on_look
        self._cpu = cpu
        self._looks: deque[_Look] = deque(maxlen=round(WINDOW / INTERVAL))
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def cpu_seconds(self) -> float:
        """Of this process, so far."""
        return self._cpu()

    @property
    def loop_lag(self) -> float:
        """Seconds; the worst of the last ones."""
        return max((look.late for look in self._looks), default=0.0)

    @property
    def cpu_load(self) -> float:
        """Of one core, 1.0 being all of it, over the last seconds."""
        return self._rate(lambda look: look.cpu_seconds)

    @property
    def bitrate(self) -> float:
        """Bits a second received, over the last seconds."""
        return self._rate(lambda look: look.received_bytes * 8)

    def start(self) -> None:
        """Look from now on."""
        self._look_at(self._loop.time() + INTERVAL)

    def stop(self) -> None:
        """Look no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()

    def _rate(self, value: Callable[[_Look], float]) -> float:
        if len(self._looks) < 2:
            return 0.0
        first, last = self._looks[0], self._looks[-1]
        return (value(last) - value(first)) / (last.at - first.at)

    def _look_at(self, due: float) -> None:
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        now = self._loop.time()
        self._look_at(now + INTERVAL)
        self._looks.append(_Look(now, self._cpu(), max(0.0, now - due), self._received_bytes()))
        self._on_look()


def settle() -> None:
    """Keep the garbage collector from what is there now, which is there to stay.

    Looking through all modules takes it tens of milliseconds, in which every packet waits.
    """
    gc.collect()
    gc.freeze()
