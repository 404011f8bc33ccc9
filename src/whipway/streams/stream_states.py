"""The records of streams and their states: each change is written first, then told (`EventLog`).

All that changes one stream holds the lock of its name meanwhile, so that changes do not overtake each other:
operations (`stream_directory`) and publishers that come and go (`going_live`). Other gateways with the same
database are held off by the store alone, which enters a state from those that are expected only.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from uuid import uuid4
from weakref import WeakValueDictionary

from whipway.streams.events import EventLog
from whipway.streams.records import PRESENT, StreamRecord, StreamState, utc_now
from whipway.streams.store.stream_rows import StreamStore
from whipway.streams.stream_ids import StreamIds
from whipway.streams.stream_shapes import describe


class StreamStates:
    """Writes and tells. `node`: the name of this gateway; `ids` are kept up to date."""

    def __init__(
        self,
        store: StreamStore,
        events: EventLog,
        ids: StreamIds,
        *,
        node: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store = store
        self._now = now
        self._events = events
        self._ids = ids
        self._node = node
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def now(self) -> datetime:
        """To the millisecond: events tell the times that the store keeps."""
        now = self._now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def lock(self, name: str) -> asyncio.Lock:
        """What to hold while the stream of a name is changed. It lasts while somebody holds or awaits it."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    async def find(self, name: str) -> StreamRecord | None:
        """The record of a name, deleted ones too."""
        record = await self.store.find(name)
        if record is None:
            self._ids.forget(name)
        else:
            self._ids.note(record)
        return record

    async def add(
        self, name: str, *, tags: tuple[str, ...] = (), is_assigned: bool, at: datetime | None = None
    ) -> StreamRecord:
        """Make a record. Raises NameTaken."""
        at = at or self.now()
        record = StreamRecord(str(uuid4()), name, StreamState.CREATED, tags, is_assigned, at, at)
        await self.store.add(record)
        self.tell("created", record)
        return record

    async def enter(
        self,
        record: StreamRecord,
        state: StreamState,
        reason: str | None,
        *,
        expected: Collection[StreamState],
        at: datetime | None = None,
        told_as: str | None = None,
    ) -> StreamRecord | None:
        """Have a stream enter a state; None: it is in none of those that are expected."""
        node = self._node if state is StreamState.LIVE else None
        entered = await self.store.enter(
            record.id, state, at or self.now(), reason, expected=expected, node=node
        )
        if entered is not None:
            self.tell(told_as or state.value, entered)
        return entered

    async def close_off(self, record: StreamRecord, state: StreamState, reason: str) -> None:
        """Have a stream be locked or deleted, and end before that if it is live."""
        await self._end(record, reason)
        await self.enter(record, state, reason, expected=PRESENT - {state})

    async def forget(self, record: StreamRecord, reason: str) -> None:
        """Delete a record whose name nobody had assigned, as if it had never been."""
        await self._end(record, reason)
        await self.store.forget(record.id)
        at = self.now()
        self.tell(
            "deleted",
            replace(record, state=StreamState.DELETED, deleted_at=at, updated_at=at, reason=reason),
        )

    async def end_all(self, reason: str) -> None:
        """End every stream that is written down as live here."""
        for record in await self.store.end_live(self._node, self.now(), reason):
            self.tell("ended", record)

    async def _end(self, record: StreamRecord, reason: str) -> None:
        if record.state is StreamState.LIVE:
            await self.enter(record, StreamState.ENDED, reason, expected={StreamState.LIVE})

    def tell(self, what: str, record: StreamRecord) -> None:
        """Tell of a change that is written."""
        self._ids.note(record)
        self._events.tell(f"stream.{what}", {"stream": describe(record)})
