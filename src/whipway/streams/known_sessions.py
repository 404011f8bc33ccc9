"""The sessions that are known: those that live, and how the last ones ended.

A session's end is told by its worker once, as a reply or as an event, and may be asked about by many. Whoever
asks a worker for something that it no longer has waits here for that word. `sessions` makes sessions and ends
them, `session_sinks` and `session_controls` change them; all of them ask through this.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from whipway.protocol.rtmp.url import loggable_name
from whipway.streams.refusals import SessionNotFound, SessionOver
from whipway.streams.session_publications import session_handle
from whipway.streams.sound_formats import SoundFormats
from whipway.streams.workers import Workers
from whipway.worker.messages import (
    DescribeSession,
    Reply,
    SessionDescribed,
    SessionEnded,
    SessionRequest,
    UnknownSession,
)

MAX_REMEMBERED = 1000
"""Ended sessions that can still say why they ended."""
EVENT_TIMEOUT = 1.0
"""Seconds. The event of a session's end was sent before the worker's word that it knows the session no more,
so it is on its way; only a worker that lost the session lets this pass."""

log = structlog.get_logger("sessions")


class Access(NamedTuple):
    """What decides who may touch a session: its stream, and the digest of the token that it was made with."""

    stream_name: str
    stream_url: str
    credential: bytes | None


class Arrival(NamedTuple):
    """Where a session came from, and when."""

    client: str
    """An IP address as text; "" if nobody knows."""
    at: datetime


@dataclass(slots=True)
class LiveSession:
    """What is kept of a session beside its worker."""

    stream_key: str | None
    """Of its first sink; None once that is removed."""
    client: str
    """Which address it came from (`hosts.address_group`)."""
    access: Access
    arrival: Arrival
    sounds: SoundFormats
    is_made: bool = True
    """False while its worker is still asked for it: until then there is nothing to be asked of it."""
    last_words: asyncio.Future[SessionEnded] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """The promise of them."""
    updating: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Ended(NamedTuple):
    last_words: SessionEnded
    access: Access
    arrival: Arrival


class KnownSession(NamedTuple):
    """What is known of a session without asking its worker. Who has the id may do anything with it."""

    session_id: str
    access: Access
    arrival: Arrival


class KnownSessions:
    """Finds sessions, and asks their worker what concerns one of them.

    `note_lost` is told of a living session that the worker does not know.
    """

    def __init__(self, workers: Workers, note_lost: Callable[[str], None] = lambda session_id: None) -> None:
        self._workers = workers
        self._note_lost = note_lost
        self._live: dict[str, LiveSession] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self._by_handle: dict[str, str] = {}

    @property
    def living(self) -> Collection[LiveSession]:
        """All that live, as far as their worker has told."""
        return self._live.values()

    def add(self, session_id: str, session: LiveSession) -> None:
        """Know a session from now on."""
        self._live[session_id] = session
        self._by_handle[session_handle(session_id)] = session_id

    def forget(self, session_id: str) -> None:
        """Know a living session no more."""
        if self._live.pop(session_id, None) is not None:
            self._drop_handle(session_id)

    def by_handle(self, handle: str) -> str | None:
        """The id of a session, living or remembered, that is known by this handle (`session_handle`)."""
        return self._by_handle.get(handle)

    def find(self, session_id: str) -> KnownSession | None:
        """What is known of a session, living or remembered."""
        known = self._live.get(session_id) or self._ended.get(session_id)
        return KnownSession(session_id, known.access, known.arrival) if known else None

    def list_living(self) -> list[KnownSession]:
        """All that live, the oldest first."""
        made = ((id, session) for id, session in self._live.items() if session.is_made)
        return [KnownSession(id, session.access, session.arrival) for id, session in made]

    def access(self, session_id: str) -> Access | None:
        """Who may touch a session, living or remembered; None: there is no such session."""
        known = self._live.get(session_id) or self._ended.get(session_id)
        return known.access if known else None

    def find_live(self, session_id: str) -> LiveSession:
        """A session that lives. Raises SessionNotFound or SessionOver."""
        if session_id in self._ended:
            raise SessionOver(self._ended[session_id].last_words)
        session = self._live.get(session_id)
        if session is None or not session.is_made:
            raise SessionNotFound(session_id)
        return session

    async def ask(self, request: SessionRequest) -> Reply:
        """Have the worker carry out what is asked of one session. Raises SessionNotFound or SessionOver."""
        self.find_live(request.session_id)
        reply = await self._workers.request(request)
        if isinstance(reply, UnknownSession):
            raise SessionOver(await self._last_words(request.session_id))
        return reply

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        """The snapshot of a session, or its last one. Raises SessionNotFound."""
        if session_id in self._ended:
            return self._ended[session_id].last_words.snapshot
        self.find_live(session_id)
        reply = await self._workers.request(DescribeSession(session_id))
        if isinstance(reply, SessionDescribed):
            return reply.snapshot
        assert isinstance(reply, UnknownSession)
        return (await self._last_words(session_id)).snapshot

    def is_last(self, session_id: str, snapshot: Mapping[str, Any]) -> bool:
        """Whether this very snapshot is the one that a session ended with."""
        ended = self._ended.get(session_id)
        return ended is not None and ended.last_words.snapshot is snapshot

    def remember(self, ended: SessionEnded) -> bool:
        """Keep how a session ended. False: that was told already, or the session given up before."""
        session = self._live.pop(ended.session_id, None)
        if session is None:
            return False
        log.info(
            "session ended",
            session=ended.session_id[:8],
            stream=loggable_name(session.access.stream_name, session.access.stream_url),
            reason=ended.reason,
            detail=ended.detail,
        )
        session.last_words.set_result(ended)
        self._ended[ended.session_id] = _Ended(ended, session.access, session.arrival)
        while len(self._ended) > MAX_REMEMBERED:
            forgotten, _ = self._ended.popitem(last=False)
            self._drop_handle(forgotten)
        return True

    def _drop_handle(self, session_id: str) -> None:
        del self._by_handle[session_handle(session_id)]

    async def _last_words(self, session_id: str) -> SessionEnded:
        """How a session ended that the worker knows no more. Raises SessionNotFound."""
        if session_id in self._ended:  # The event came while the worker was asked.
            return self._ended[session_id].last_words
        if session_id not in self._live:
            raise SessionNotFound(session_id)
        try:
            async with asyncio.timeout(EVENT_TIMEOUT):
                # Shielded: others may be waiting for it as well.
                return await asyncio.shield(self._live[session_id].last_words)
        except TimeoutError:
            if session_id in self._live:  # Others may have waited as well.
                self.forget(session_id)
                self._note_lost(session_id)
            raise SessionNotFound(session_id) from None
