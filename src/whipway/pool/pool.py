"""The pool of media workers: requests go to the worker they concern, and events of all come out in one row.

A new session goes to the worker with the least to do (`placement`), except where a stream has a session
already: there, and nowhere else, it can take its place. A session that is to have a stream of another
worker's gets it only once that one has let it go. What a worker that died has left behind is told here: each
of its sessions ends, because nobody else could say so.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from whipway.pool.failures import RequestFailed, WorkerGone, WorkerSilent
from whipway.pool.holdings import Held, Holdings
from whipway.pool.members import Member
from whipway.pool.placement import choose, has_room
from whipway.pool.standing import WORKER_LOST, WorkerStanding
from whipway.worker.messages import (
    FIRST_SINK,
    AddSink,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    Event,
    Reply,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SessionRequest,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StreamKept,
    UnknownSession,
    WorkerDescribed,
    YieldStream,
)
from whipway.worker.worker import FULL as FULL_OF_SINKS

FULL = "every media worker has as much to do as it is set to take"
DESCRIBE_TIMEOUT = 1.0
"""Seconds. Who asks for figures wants those of the others, even if one worker hangs."""
NOT_READY = "no media worker is there just now; one is being started"


class WorkerPool:
    """`max_load`: part of a core that a worker may use before it gets no more sessions; 0 sets no limit.
    `max_sinks`: as for `SinkFactory`.
    """

    def __init__(self, members: Sequence[Member], *, max_load: float = 0.0, max_sinks: int = 16) -> None:
        self.members = members
        self._max_load = max_load
        self._max_sinks = max_sinks
        self._loop = asyncio.get_running_loop()
        self._holdings = Holdings()
        self._is_draining = False
        self._starting: list[asyncio.Task[None]] = []
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        for member in members:
            member.take_event = self._take_event
            member.take_loss = self._take_loss

    @property
    def refusal(self) -> str | None:
        """Why there is no room for another session; None: there is."""
        now = self._loop.time()
        if any(has_room(member, self._max_load, now) for member in self.members):
            return None
        return FULL if any(member.is_ready for member in self.members) else NOT_READY

    def begin(self) -> None:
        """Have every worker started, while the caller does other things that a start takes."""
        self._starting = [asyncio.create_task(member.start()) for member in self.members]

    async def start(self) -> None:
        """Wait until every worker has started. Raises WorkerGone, and the others are to be stopped then."""
        await asyncio.gather(*self._starting)

    def drain(self) -> None:
        """Say of every worker that it takes no more sessions."""
        self._is_draining = True

    async def stop(self) -> None:
        """End every session, each with an event, then every worker, then the events."""
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(member.stop() for member in self.members))
        for member in self.members:
            self._take_loss(member, "its process did not end by itself")
        self._events.put_nowait(None)

    async def request(self, message: CreateSession | SessionRequest) -> Reply:
        """Send a request to the worker it concerns and wait for the reply.

        A worker that dies meanwhile answers as one that does not know the session. One that does not answer
        describes its sessions as they were. Raises WorkerSilent or RequestFailed.
        """
        match message:
            case CreateSession():
                async with self._lock(message.stream_key):
                    return await self._create(message)
            case AddSink():
                async with self._lock(message.stream_key):
                    return await self._add_sink(message)
            case _:
                return await self._forward(message)

    async def describe(self) -> list[WorkerStanding]:
        """How each worker stands, in their order."""
        return list(await asyncio.gather(*(self._describe(member) for member in self.members)))

    async def events(self) -> AsyncIterator[Event]:
        """What the workers say of their sessions, until the pool is stopped."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _create(self, message: CreateSession) -> Reply:
        # Once for each worker: one that dies in the middle of it has not answered the client.
        left = list(self.members)
        while left:
            holder = self._holdings.holder(message.stream_key)
            if holder is not None and not holder.is_ready:
                holder = None  # And what it had with it.
            member = holder or choose(left, self._max_load, self._loop.time())
            if member not in left:
                break  # There is none, or the one that has the stream hangs.
            left.remove(member)
            reply = await self._create_at(member, message)
            if reply is not None:
                return reply
        return SessionRefused(message.session_id, "full", self.refusal or NOT_READY)

    async def _create_at(self, member: Member, message: CreateSession) -> Reply | None:
        """None: the worker died, or does not answer."""
        member.load.place(message.session_id, self._loop.time())
        life = member.restarts
        # Before the reply: the session's end may come right behind it.
        held = Held(member)
        self._holdings.add_session(message.session_id, held)
        reply: Reply | None = None
        try:
            reply = await member.request(message)
        except (WorkerGone, WorkerSilent):
            return None  # What it may create later is nobody's, and ends soon.
        finally:
            if not isinstance(reply, SessionCreated):
                self._holdings.remove_session(message.session_id)
        if not isinstance(reply, SessionCreated):
            return reply
        if not member.is_ready or member.restarts != life:
            return None
        held.snapshot = reply.snapshot
        if self._holdings.find(message.session_id) is held:
            self._holdings.add_stream(message.stream_key, message.session_id, FIRST_SINK)
        return reply

    async def _add_sink(self, message: AddSink) -> Reply:
        held = self._holdings.find(message.session_id)
        if held is None:
            return UnknownSession(message.session_id)
        holder = self._holdings.holder(message.stream_key)
        if holder is not None and holder is not held.member:
            refusal = await self._free_stream(message, holder)
            if refusal is not None:
                return refusal
        reply = await self._forward(message)
        if isinstance(reply, SinkAdded):
            self._holdings.add_stream(message.stream_key, message.session_id, reply.sink["id"])
        return reply

    async def _free_stream(self, message: AddSink, holder: Member) -> Reply | None:
        """Have another worker let a stream go. A reply says that the sink cannot be added."""
        # First what the session's own worker would say: nobody is to lose a stream for nothing.
        reply = await self._forward(DescribeSession(message.session_id))
        if not isinstance(reply, SessionDescribed):
            return reply
        if len(reply.snapshot["sinks"]) >= self._max_sinks:
            return SinkRefused(message.session_id, "full", FULL_OF_SINKS)
        try:
            answer = await holder.request(YieldStream(message.stream_key, message.takes_over))
        except WorkerGone:
            return None  # And its streams with it.
        if isinstance(answer, StreamKept):
            return SinkRefused(message.session_id, "busy", answer.detail)
        return None

    async def _forward(self, message: SessionRequest) -> Reply:
        held = self._holdings.find(message.session_id)
        if held is None:
            return UnknownSession(message.session_id)
        try:
            if isinstance(message, DescribeSession):
                reply = await _ask_briefly(held.member, message)
            else:
                reply = await held.member.request(message)
        except WorkerGone:
            return UnknownSession(message.session_id)
        except WorkerSilent:
            if isinstance(message, DescribeSession) and held.snapshot:
                return SessionDescribed(message.session_id, held.snapshot)
            raise
        match reply:
            case SessionDescribed(_, snapshot):
                held.snapshot = snapshot
            case SessionEnded() | UnknownSession():
                self._holdings.remove_session(message.session_id)
            case SinkRemoved(session_id, sink):
                self._holdings.remove_sink(session_id, sink["id"])
        return reply

    async def _describe(self, member: Member) -> WorkerStanding:
        described = None
        with contextlib.suppress(WorkerGone, WorkerSilent, RequestFailed):
            reply = await _ask_briefly(member, DescribeWorker())
            assert isinstance(reply, WorkerDescribed)
            described = reply
        state = "starting" if not member.is_ready else "draining" if self._is_draining else "running"
        return WorkerStanding(
            member.number,
            state,
            member.process_id,
            member.port,
            member.restarts,
            member.lost_sessions,
            described,
        )

    def _take_event(self, member: Member, event: Event) -> None:
        held = self._holdings.find(event.session_id)
        if held is None or held.member is not member:
            return  # Of a session that it made too late, when nobody waited for it any more.
        if isinstance(event, SessionEnded):
            self._holdings.remove_session(event.session_id)
        self._events.put_nowait(event)

    def _take_loss(self, member: Member, how: str) -> None:
        """A worker is no more."""
        detail = f"worker lost: {how}"
        for session_id, held in self._holdings.of_member(member):
            self._holdings.remove_session(session_id)
            if not held.snapshot:  # It is being created, elsewhere then.
                continue
            member.lost_sessions += 1
            last = _last_snapshot(held.snapshot, detail)
            self._events.put_nowait(SessionEnded(session_id, WORKER_LOST, detail, last))

    def _lock(self, stream_key: str) -> asyncio.Lock:
        """Whoever wants a stream waits for who wanted it before; the lock lives as long as anybody does."""
        return self._locks.setdefault(stream_key, asyncio.Lock())


async def _ask_briefly(member: Member, message: DescribeSession | DescribeWorker) -> Reply:
    """Ask for a description. Raises as `Member.request` does, and soon."""
    if member.is_quiet:
        raise WorkerSilent
    try:
        async with asyncio.timeout(DESCRIBE_TIMEOUT):
            return await member.request(message)
    except TimeoutError:
        raise WorkerSilent from None


def _last_snapshot(snapshot: Mapping[str, Any], detail: str) -> dict[str, Any]:
    """How a session looked, and that it is over."""
    sinks = [{**sink, "state": "closed"} for sink in snapshot.get("sinks", ())]
    return {**snapshot, "state": "ended", "reason": WORKER_LOST, "detail": detail, "sinks": sinks}
