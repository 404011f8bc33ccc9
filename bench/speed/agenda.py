"""What is to be done when: a heap."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Action = Callable[[float, Any], None]
"""Called with the time it was due at, and what it is about."""


class Agenda:
    """Actions by time; those of one time in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action, Any]] = []
        self._count = 0

    def add(self, at: float, action: Action, subject: Any) -> None:
        """Do it at that time or soon after."""
        self._count += 1
        heappush(self._heap, (at, self._count, action, subject))

    def wait(self, now: float) -> float:
        """Seconds until the first is due; a tenth at most."""
        return min(0.1, max(0.0, self._heap[0][0] - now)) if self._heap else 0.1

    def run(self, clock: Callable[[], float], limit: int = 64) -> None:
        """Do what is due."""
        heap = self._heap
        now = clock()
        while heap and heap[0][0] <= now and limit:
            at, _, action, subject = heappop(heap)
            action(at, subject)
            now = clock()
            limit -= 1
