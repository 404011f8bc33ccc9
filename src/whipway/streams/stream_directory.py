"""The directory of streams: the one set of operations on them, beneath every API.

A stream is a record (`records`) and whoever publishes its name (`publications`). Operations change the record
under the lock of its name (`stream_states`) and have publishers stop; `going_live` writes what publishers do.
What a caller may do is not judged here (`roles`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from whipway.streams.access.rights import PublishAttempt
from whipway.streams.access.stream_gate import StreamGate
from whipway.streams.events import EventLog
from whipway.streams.going_live import GoingLive
from whipway.streams.publications import Publication
from whipway.streams.publishers import Publishers
from whipway.streams.push_urls import PushUrls
from whipway.streams.records import StateChange, StreamQuery, StreamRecord, StreamState, utc_now
from whipway.streams.store.stream_rows import NameTaken, StreamStore
from whipway.streams.stream_states import StreamStates
from whipway.streams.stream_tags import clean_tags

MAX_NAME_TRIES = 5
"""A name that is taken is next to impossible; five in a row are a broken source of chance."""


class StreamNotFound(Exception):
    """There is no such stream, or none any more."""


class StreamDirectory:
    """Creates, finds, changes, stops and deletes streams. `start` before, `close` after.

    `new_name` makes names for the organisation (`stream_names`). `node`: what this gateway is called in a
    database that others use too. `require_known`: nobody may publish a name that has no record. The errors of
    the database come through all operations, except `admit`.
    """

    def __init__(
        self,
        store: StreamStore,
        publishers: Publishers,
        pushes: PushUrls,
        events: EventLog,
        *,
        new_name: Callable[[], str],
        node: str,
        require_known: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._publishers = publishers
        self._publications = publishers.publications
        self._pushes = pushes
        self._new_name = new_name
        self._states = StreamStates(store, events, self._publications.streams, node=node, now=now)
        self._going_live = GoingLive(self._states, publishers, pushes, require_known=require_known)
        self._gate = StreamGate(self._states, require_known=require_known)

    async def start(self) -> None:
        """End what a run before this one has left as live. To be called before anybody publishes."""
        await self._states.end_all("restart")

    async def close(self) -> None:
        """Write what publishers did at last, for a moment; to be called when they are over."""
        await self._going_live.close()

    async def admit(self, attempt: PublishAttempt) -> None:
        """Whether the stream that somebody wants to publish allows it. Raises NotAllowed."""
        await self._gate.admit(attempt)

    async def create(self, tags: Iterable[str] = ()) -> StreamRecord:
        """Make a stream with a name of its own. Raises TagRefused."""
        cleaned = clean_tags(tags)
        for _ in range(MAX_NAME_TRIES):
            try:
                return await self._states.add(self._new_name(), tags=cleaned, is_assigned=True)
            except NameTaken:
                continue
        raise RuntimeError("every name that was made is taken")

    async def get(self, id: str) -> StreamRecord:
        """The stream of an id. Raises StreamNotFound; deleted ones are not found either."""
        record = await self._store.get(id)
        if record is None or record.state is StreamState.DELETED:
            raise StreamNotFound(id)
        return record

    async def find(self, name: str) -> StreamRecord | None:
        """The stream of a name, if it is not deleted."""
        record = await self._store.find(name)
        return None if record is None or record.state is StreamState.DELETED else record

    async def is_taken(self, name: str) -> bool:
        """Whether a stream has this name, or had it: names of deleted streams are not given again."""
        return await self._store.find(name) is not None

    async def list(self, query: StreamQuery) -> Sequence[StreamRecord]:
        """A page of streams, newest first."""
        return await self._store.list(query)

    async def count(self, query: StreamQuery) -> int:
        """How many there are on all pages."""
        return await self._store.count(query)

    async def counts(self) -> Mapping[StreamState, int]:
        """How many are in each state."""
        return await self._store.counts()

    async def changes(self, id: str) -> Sequence[StateChange]:
        """The last states that a stream has entered, the oldest first. Raises StreamNotFound."""
        return await self._store.changes((await self.get(id)).id)

    async def tags(self, prefix: str = "", limit: int = 50) -> Sequence[str]:
        """Tags in use that begin so."""
        return await self._store.tags(prefix, limit)

    def publications_of(self, record: StreamRecord) -> Sequence[Publication]:
        """Who publishes a stream at this gateway now, the oldest first."""
        return self._publications.of(record.name)

    async def stop(self, id: str) -> StreamRecord:
        """End whoever publishes a stream. Somebody who comes back may publish it again: see `lock`.

        Raises StreamNotFound.
        """
        record = await self.get(id)
        return await self._stop(record, "stopped")

    async def lock(self, id: str) -> StreamRecord:
        """Let nobody publish a stream, and end whoever does. Raises StreamNotFound."""
        async with self._states.lock((await self.get(id)).name):
            record = await self.get(id)
            # First locked, then stopped: an encoder that comes back at once finds it locked.
            await self._states.close_off(record, StreamState.LOCKED, "locked")
        return await self._stop(record, "locked")

    async def unlock(self, id: str) -> StreamRecord:
        """Let a locked stream be published again; others stay as they are. Raises StreamNotFound."""
        async with self._states.lock((await self.get(id)).name):
            record = await self.get(id)
            state = StreamState.ENDED if record.live_at else StreamState.CREATED
            await self._states.enter(
                record, state, record.reason, expected={StreamState.LOCKED}, told_as="unlocked"
            )
            return await self.get(id)

    async def delete(self, id: str) -> None:
        """Delete a stream for good, and end whoever publishes it. Raises StreamNotFound.

        A name that the service made is never given again. Others are forgotten: who publishes under such a
        name later gets a new record.
        """
        async with self._states.lock((await self.get(id)).name):
            record = await self.get(id)
            if record.is_assigned:
                await self._states.close_off(record, StreamState.DELETED, "deleted")
            else:
                await self._states.forget(record, "deleted")
            # With the lock still held: none of them is to get a new record.
            await self._publishers.stop(self._publications.of(record.name), "deleted")
        await self._going_live.settled(record.name)

    async def set_tags(self, id: str, tags: Iterable[str]) -> StreamRecord:
        """Give a stream these tags instead of those that it has. Raises StreamNotFound and TagRefused."""
        record = await self.get(id)
        return self._changed(id, await self._store.set_tags(record.id, clean_tags(tags), self._states.now()))

    async def set_push_url(self, id: str, url: str | None) -> StreamRecord:
        """Send a stream on to this URL whenever it is live, from now on; None: to none.

        Raises StreamNotFound and PushUrlRefused.
        """
        name = (await self.get(id)).name
        if url is not None:
            await self._pushes.check(url)
        async with self._states.lock(name):
            record = self._changed(id, await self._store.set_push_url(id, url, self._states.now()))
            for publication in self._publications.of(name):
                if publication.is_live:
                    await self._pushes.apply(publication, url)
        return record

    async def _stop(self, record: StreamRecord, reason: str) -> StreamRecord:
        await self._publishers.stop(self._publications.of(record.name), reason)
        await self._going_live.settled(record.name)
        return await self.get(record.id)

    def _changed(self, id: str, written: StreamRecord | None) -> StreamRecord:
        if written is None or written.state is StreamState.DELETED:
            raise StreamNotFound(id)
        self._states.tell("changed", written)
        return written
