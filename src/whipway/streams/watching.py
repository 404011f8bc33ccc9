"""Watching sessions, and streams: each watcher gets the snapshots of one, at the pace at which it takes them.

All watchers of a session share one rhythm and one question to its worker. There is no task behind it: whoever
waits longest asks, the others get what it was told; a watcher that leaves is forgotten at once, and nothing
is kept for one that is slow.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

LONGEST_INTERVAL = 1.0
"""Seconds between two snapshots of a session in which nothing seems to change: numbers always do."""
SHORTEST_INTERVAL = 0.1
"""Seconds between two snapshots, however much changes."""

Snapshot = TypeVar("Snapshot")


class Watching(Generic[Snapshot]):
    """Who watches which session. `describe` has a session's snapshot; its errors end the watching."""

    def __init__(self, describe: Callable[[str], Awaitable[Snapshot]]) -> None:
        self._describe = describe
        self._watched: dict[str, _Watched[Snapshot]] = {}

    def tell(self, session_id: str) -> None:
        """A session has changed."""
        if watched := self._watched.get(session_id):
            watched.changed.set()

    async def watch(
        self, session_id: str, is_last: Callable[[Snapshot], bool]
    ) -> AsyncGenerator[Snapshot, None]:
        """Yield the snapshot at once and whenever it may be another one, until it is the last."""
        watched = self._watched.setdefault(session_id, _Watched(self._describe, session_id))
        watched.watchers += 1
        try:
            seen = watched.count
            snapshot = await self._describe(session_id)
            while True:
                yield snapshot
                if is_last(snapshot):
                    return
                seen, snapshot = await watched.after(seen)
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                del self._watched[session_id]


class _Watched(Generic[Snapshot]):
    """One session that somebody watches."""

    def __init__(self, describe: Callable[[str], Awaitable[Snapshot]], session_id: str) -> None:
        self.changed = asyncio.Event()
        self.watchers = 0
        self.count = 0
        """Of the snapshots that were shared."""
        self._session_id = session_id
        self._describe = describe
        self._snapshot: Snapshot | None = None
        self._loop = asyncio.get_running_loop()
        self._taken_at = self._loop.time()
        self._asking = asyncio.Lock()

    async def after(self, seen: int) -> tuple[int, Snapshot]:
        """The first snapshot behind the one of this number, or the latest, and its number."""
        async with self._asking:
            if self.count == seen:  # Nobody has asked since.
                await self._wait()
                self.changed.clear()
                self._snapshot = await self._describe(self._session_id)
                self._taken_at = self._loop.time()
                self.count += 1
            assert self._snapshot is not None  # Each count has one.
            return self.count, self._snapshot

    async def _wait(self) -> None:
        await asyncio.sleep(self._taken_at + SHORTEST_INTERVAL - self._loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._taken_at + LONGEST_INTERVAL):
                await self.changed.wait()
