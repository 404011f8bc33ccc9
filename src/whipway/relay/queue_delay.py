"""How long what is sent now takes to reach one server, and how fast that server takes things.

Counted in bytes that wait and bytes that the server's TCP has acknowledged, looked at a few times a second:
the delay is what waits, divided by the rate at which it goes. Two things could mislead. A key frame makes a
queue for a moment and is no sign of anything. And what is acknowledged while nothing waits is what was sent,
not what the server can take; so the rate counts only since there is always something waiting.
"""

from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

EMPTY_DELAY: Final = 0.15
"""Seconds, below which nothing waits that matters."""
EMPTY_BYTES: Final = 12_000
"""The same where little is sent: about TCP's first window (RFC 6928, section 2)."""
MEMORY: Final = 2.5
"""Seconds that are looked back, a group of pictures: some of it is without a key frame in the queue."""
GROWTH_WINDOW: Final = 1.0
"""Seconds: four looks."""
SURE_AFTER: Final = 0.5
"""Seconds with something waiting, after which the rate is the server's: one with little memory acknowledges
in a few lumps a second."""
SURE_QUEUE_MS: Final = 200
"""In the sink itself: TCP has been full for a while."""
MAX_DELAY: Final = 60.0
"""Seconds. Longer is no figure any more."""
_LEAST_RATE: Final = 8_000.0
"""Bits a second, less than any sound has: to divide by, where a server takes nothing."""
_BITS: Final = 8


class SinkLoad(NamedTuple):
    """How one sink stands, all of it at the same moment."""

    sink_id: str
    is_publishing: bool
    """The server takes the stream."""
    queue_ms: int
    """The age of what waits in the sink."""
    queue_bytes: int
    """What waits on this side: in the sink, and below it what TCP has not sent yet. Without the latter, a
    queue shows late. What is on its way does not wait."""
    acknowledged_bytes: int
    """Over all connections of the sink; only grows."""


class _Sample(NamedTuple):
    at: float
    acknowledged_bytes: int
    queue_bytes: int


class QueueDelay:
    """The watch over one connection. To be used once it has something noted."""

    def __init__(self) -> None:
        self.drained_since: float | None = None
        """From when on the queue was empty again and again, with key frames in between. None: it is not."""
        self._samples: deque[_Sample] = deque()
        self._queue_ms = 0
        self._pace = _LEAST_RATE
        """Bits a second at which the queue goes, as far as can be told."""
        self._busy_since: float | None = None
        """Since when there is always something waiting."""
        self._last_empty = 0.0

    def note(self, load: SinkLoad, offered: float, now: float) -> None:
        """How things stand, every 0.25 s. `offered`: bits a second that are sent there, of late."""
        self._samples.append(_Sample(now, load.acknowledged_bytes, load.queue_bytes))
        while now - self._samples[0].at > MEMORY:
            self._samples.popleft()
        self._queue_ms = load.queue_ms
        # As long as nothing better is known: a server that kept up so far takes what it is sent.
        self._pace = max(self.rate if self.is_sure else max(self.rate, offered), _LEAST_RATE)
        if self.delay < EMPTY_DELAY or load.queue_bytes < EMPTY_BYTES:
            self._note_empty(now)
        else:
            self._note_busy(now)

    @property
    def delay(self) -> float:
        """Seconds that what is sent now has to wait."""
        return self._time_for(self._samples[-1].queue_bytes)

    @property
    def is_busy(self) -> bool:
        """Whether something waits."""
        return self._busy_since is not None

    @property
    def is_sure(self) -> bool:
        """Whether `rate` is what the server can take."""
        since = self._busy_since
        if since is None:
            return False
        return self._samples[-1].at - since >= SURE_AFTER or self._queue_ms >= SURE_QUEUE_MS

    @property
    def rate(self) -> float:
        """Bits a second that go to the server, since there is always something waiting."""
        newest = self._samples[-1]
        since = newest.at - SURE_AFTER
        if self._busy_since is not None:
            since = min(since, self._busy_since)
        oldest = self._since(since)[0]
        span = newest.at - oldest.at
        return (newest.acknowledged_bytes - oldest.acknowledged_bytes) * _BITS / span if span > 0 else 0.0

    @property
    def least(self) -> float:
        """The least delay within `MEMORY`; 0 as long as there is not so much to look back on."""
        is_long = self._samples[-1].at - self._samples[0].at > MEMORY - GROWTH_WINDOW
        return self._time_for(min(sample.queue_bytes for sample in self._samples)) if is_long else 0.0

    @property
    def growth(self) -> float:
        """Seconds by which the delay has grown within `GROWTH_WINDOW`, without the greatest step.

        That one may be a key frame, behind which the queue goes down again.
        """
        queues = [sample.queue_bytes for sample in self._since(self._samples[-1].at - GROWTH_WINDOW)]
        steps = [after - before for before, after in pairwise(queues)]
        return self._time_for(sum(steps) - max(steps, default=0))

    def _time_for(self, count: int) -> float:
        return min(count * _BITS / self._pace, MAX_DELAY)

    def _since(self, begin: float) -> list[_Sample]:
        return [sample for sample in self._samples if sample.at >= begin]

    def _note_busy(self, now: float) -> None:
        if self._busy_since is None:
            self._busy_since = now
        if now - self._last_empty > MEMORY:
            self.drained_since = None

    def _note_empty(self, now: float) -> None:
        self._busy_since = None
        self._last_empty = now
        if self.drained_since is None:
            self.drained_since = now
