"""Records follow publishers: a stream is live from the first frame of the first one to the end of the last.

What happens is noted at once, with its time, and written by one task for each name, in order: an end never
overtakes the live before it, and who begins while another ends stays live. Where the database does not
answer, the writing is tried again until it does; nobody's publish ends for that.

Who begins under a name that has no record gets one, if it can be played here. Elsewhere a name may be the key
to somebody's channel, and is nobody's business. Who was let in, and finds the stream locked or deleted by the
time of the first frame, is made to stop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, TypeAlias

import structlog

from whipway.streams.adoption import Adoption
from whipway.streams.publications import Publication
from whipway.streams.publishers import Publishers
from whipway.streams.push_urls import PushUrls
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.store.database import NO_CONNECTION
from whipway.streams.stream_states import StreamStates

TRY_TIMEOUT = 10.0
"""Seconds for one try to write a change. A database that takes longer is as good as away."""
FIRST_PAUSE = 0.5
"""Seconds; each is twice the one before."""
MAX_PAUSE = 30.0
MAX_CHANGES = 100
"""Of one name, waiting. Of more, the oldest are left out: what counts is how it ends."""
MAX_NAMES = 10_000
"""Names that wait for a database that is away."""
CLOSE_TIMEOUT = 3.0
BEFORE_LIVE = frozenset({StreamState.CREATED, StreamState.LIVE, StreamState.ENDED})

log = structlog.get_logger("streams")


class WentLive(NamedTuple):
    """Somebody's first frame came."""

    at: datetime
    publication: Publication


class WentOver(NamedTuple):
    """The last one of a name who was live is over."""

    at: datetime
    name: str
    reason: str


Change: TypeAlias = WentLive | WentOver


class GoingLive:
    """Listens to publications from its making to `close`."""

    def __init__(
        self,
        states: StreamStates,
        publishers: Publishers,
        pushes: PushUrls,
        *,
        require_known: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`require_known`: who has no record by the first frame is made to stop as well."""
        self._states = states
        self._publishers = publishers
        self._pushes = pushes
        self._adoption = Adoption(states)
        self._require_known = require_known
        self._sleep = sleep
        self._live_here: set[str] = set()
        """Names that are written as live at this gateway."""
        self._waiting: dict[str, deque[Change]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_closed = False
        self._publications = publishers.publications
        self._publications.on_live.append(self.note_live)
        self._publications.on_over.append(self.note_over)

    def note_live(self, publication: Publication) -> None:
        """It can be seen from now on."""
        self._note(publication.name, WentLive(self._states.now(), publication))

    def note_over(self, publication: Publication) -> None:
        """It is over, with its reason."""
        self._pushes.forget(publication)
        others = self._publications.of(publication.name)
        if publication.live_since is not None and not any(other.is_live for other in others):
            reason = publication.reason or ""
            self._note(publication.name, WentOver(self._states.now(), publication.name, reason))

    async def settled(self, name: str) -> None:
        """Wait until all that has happened to a name so far is written; not for a database that is away."""
        if task := self._tasks.get(name):
            await asyncio.wait({task}, timeout=TRY_TIMEOUT)

    async def close(self) -> None:
        """Write what is left, for a moment. The next start ends what is still called live."""
        if self._is_closed:
            return
        self._is_closed = True
        self._publications.on_live.remove(self.note_live)
        self._publications.on_over.remove(self.note_over)
        if tasks := set(self._tasks.values()):
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _note(self, name: str, change: Change) -> None:
        if name in self._waiting:
            self._waiting[name].append(change)
            _shorten(self._waiting[name])
        elif len(self._waiting) < MAX_NAMES:
            self._waiting[name] = deque([change])
            self._tasks[name] = asyncio.create_task(self._write_all(name), name="stream states")
        else:
            log.error("too many streams wait for the database: a change is not written")

    async def _write_all(self, name: str) -> None:
        """One change after the other, until there are none."""
        changes = self._waiting[name]
        pause, is_retry = FIRST_PAUSE, False
        try:
            while changes:
                is_written = await self._try(changes[0], is_retry)
                if is_written:
                    changes.popleft()
                    pause, is_retry = FIRST_PAUSE, False
                else:
                    await self._sleep(pause)
                    pause, is_retry = min(2 * pause, MAX_PAUSE), True
        finally:
            del self._waiting[name], self._tasks[name]

    async def _try(self, change: Change, is_retry: bool) -> bool:
        """Whether there is nothing more to do for this change."""
        try:
            async with asyncio.timeout(TRY_TIMEOUT):
                if isinstance(change, WentLive):
                    refused = await self._write_live(change, is_retry)
                else:
                    await self._write_over(change, is_retry)
                    refused = None
        except NO_CONNECTION as error:
            # By its kind alone: the message may hold the name, by which anybody could publish.
            log.warning("the state of a stream cannot be written yet", error=type(error).__name__)
            return False
        except Exception:
            log.exception("the state of a stream is not written")
            return True
        if refused is not None and isinstance(change, WentLive):
            log.info("a publisher has to stop", kind=change.publication.kind, state=refused.value)
            await self._publishers.stop([change.publication], refused.value)
        return True

    async def _write_live(self, change: WentLive, is_retry: bool) -> StreamState | None:
        """Returns the state that forbids it, if one does."""
        publication = change.publication
        async with self._states.lock(publication.name):
            record = await self._states.find(publication.name)
            if record is None and self._require_known:
                return StreamState.DELETED
            if record is None:
                record = await self._adoption.adopt(publication, change.at)
            if record is None:
                return None
            if record.state in (StreamState.LOCKED, StreamState.DELETED):
                return record.state
            await self._enter_live(record, change, is_retry)
            await self._pushes.apply(publication, record.push_url)
        return None

    async def _write_over(self, change: WentOver, is_retry: bool) -> None:
        async with self._states.lock(change.name):
            record = await self._states.find(change.name)
            if record is not None and record.state is StreamState.ENDED and is_retry:
                self._states.tell("ended", record)
            elif record is not None:
                await self._states.enter(
                    record, StreamState.ENDED, change.reason, expected={StreamState.LIVE}, at=change.at
                )
            self._live_here.discard(change.name)

    async def _enter_live(self, record: StreamRecord, change: WentLive, is_retry: bool) -> None:
        if record.state is StreamState.LIVE and record.name in self._live_here:
            return
        if record.state is StreamState.LIVE and is_retry:
            # The try before was written, and its answer lost.
            self._states.tell("live", record)
        else:
            # From live as well: another gateway had it, which may be gone. Now it is this one's to end.
            await self._states.enter(record, StreamState.LIVE, None, expected=BEFORE_LIVE, at=change.at)
        self._live_here.add(record.name)


def _shorten(changes: deque[Change]) -> None:
    """Leave out the oldest up to an end, except the first, which is being written."""
    if len(changes) <= MAX_CHANGES:
        return
    for index in range(1, len(changes)):
        if isinstance(changes[index], WentOver):
            for _ in range(index):
                del changes[1]
            return
