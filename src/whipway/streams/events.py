"""What has changed, for whoever wants to know: pages, programs, webhooks.

An event is plain data with a number that grows. The last ones are kept, so that who lost the connection for a
moment misses nothing. A listener is called at once and must not wait; a follower has a queue of its own, and
one that does not keep up is cut off: it comes back with the number of the last event that it had.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whipway.streams.records import utc_now

MAX_KEPT = 1000
MAX_WAITING = 500
"""Events a follower may be behind."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something happened. `kind` is a word such as "stream.live" or "sink.retrying"."""

    number: int
    kind: str
    at: datetime
    data: Mapping[str, Any]


class FollowerTooSlow(Exception):
    """It does not take what it asked for."""


class EventLog:
    """Where events are told, and heard."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._kept: deque[StreamEvent] = deque(maxlen=MAX_KEPT)
        self._number = 0
        self._listeners: list[Callable[[StreamEvent], None]] = []
        self._queues: set[asyncio.Queue[StreamEvent | None]] = set()

    @property
    def last_number(self) -> int:
        """Of the latest event; 0 before the first."""
        return self._number

    def listen(self, listener: Callable[[StreamEvent], None]) -> None:
        """Call this with each event from now on."""
        self._listeners.append(listener)

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Something has happened."""
        self._number += 1
        event = StreamEvent(self._number, kind, self._now(), data)
        self._kept.append(event)
        for listener in self._listeners:
            listener(event)
        for queue in self._queues:
            if queue.qsize() < MAX_WAITING:
                queue.put_nowait(event)
            elif queue.qsize() == MAX_WAITING:
                queue.put_nowait(None)

    async def follow(self, after: int | None = None) -> AsyncGenerator[StreamEvent, None]:
        """Yield events from now on; with `after`, those behind that number that are still kept come first.

        Raises FollowerTooSlow.
        """
        queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        missed = [event for event in self._kept if after is not None and event.number > after]
        self._queues.add(queue)
        try:
            for event in missed:
                yield event
            while (event_or_end := await queue.get()) is not None:
                yield event_or_end
            raise FollowerTooSlow
        finally:
            self._queues.discard(queue)
