"""The directory of WHIP sessions: which there are, which worker has them, how the last ones ended.

It knows workers only as a pool that carries plain messages (docs/architecture.md, "What runs"). What the HTTP
side alone needs stays here: which address a session came from, and the digest of the token it was made with
(`known_sessions`). This module makes sessions and ends them; what changes one that goes on is in
`session_sinks` and `session_controls`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import structlog

from whipway.hosts import address_group
from whipway.pool.standing import WorkerStanding
from whipway.protocol.rtmp.url import loggable_name
from whipway.streams.destinations import Destinations
from whipway.streams.known_sessions import Access, Arrival, KnownSession, KnownSessions, LiveSession
from whipway.streams.records import utc_now
from whipway.streams.refusals import (
    IceRefused,
    InputNotFound,
    LayerNotFound,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.streams.session_controls import SessionControls
from whipway.streams.session_keys import stream_key
from whipway.streams.session_sinks import SessionSinks
from whipway.streams.session_watcher import NobodyWatches, SessionWatcher
from whipway.streams.sound_formats import SoundFormats
from whipway.streams.watching import Watching
from whipway.streams.workers import Workers
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    CreateSession,
    EndSession,
    IceNotUpdated,
    IceUpdated,
    SessionChanged,
    SessionCreated,
    SessionEnded,
    SessionRefused,
    UpdateIce,
)

__all__ = [
    "LOST",
    "Access",
    "IceRefused",
    "InputNotFound",
    "KnownSession",
    "LayerNotFound",
    "SessionDirectory",
    "SessionNotCreated",
    "SessionNotFound",
    "SessionOver",
    "SinkNotAdded",
    "SinkNotFound",
    "stream_key",
]

LOST = "lost"
"""Why something is over that its source, as a session's worker, knows no more."""

log = structlog.get_logger("sessions")


class SessionDirectory:
    """Creates, finds and ends sessions over the media workers; `sinks` and `controls` change them.

    `takes_over` says what happens to a stream that is being published when another publisher asks for it:
    the new one gets it, or is refused. A stream whose publisher has fallen silent is the new one's anyway.
    `sessions_per_address` limits the sessions of one client's address (of IPv6: its /64); 0 sets no limit.
    """

    def __init__(
        self,
        workers: Workers,
        new_session_id: Callable[[], str],
        max_sessions: int,
        *,
        takes_over: bool = False,
        egress: EgressPolicy,
        sessions_per_address: int = 0,
        watcher: SessionWatcher | None = None,
    ) -> None:
        self._workers = workers
        self._watcher: SessionWatcher = watcher or NobodyWatches()
        self._new_session_id = new_session_id
        self._max_sessions = max_sessions
        self._takes_over = takes_over
        self._destinations = Destinations(egress)
        self._sessions_per_address = sessions_per_address
        self._is_draining = False
        self._known = KnownSessions(workers, self._note_lost)
        self._watching = Watching(self.describe)
        self.sinks = SessionSinks(self._known, self._destinations, self._watcher, takes_over=takes_over)
        self.controls = SessionControls(self._known)

    @property
    def live_count(self) -> int:
        """How many sessions there are now."""
        return len(self._known.living)

    @property
    def is_draining(self) -> bool:
        """Whether no new sessions are taken."""
        return self._is_draining

    def drain(self) -> None:
        """Take no new sessions from now on; those that there are go on."""
        self._is_draining = True
        self._workers.drain()

    async def check(self, *, stream_name: str, stream_url: str, client: str = "") -> None:
        """Refuse what there is no room for and what may not go where it wants, before others are asked.

        Raises SessionNotCreated ("draining", "full", "crowded" or "egress"). No room is kept.
        """
        key, group = self._destinations.key(stream_url, stream_name), address_group(client)
        self._require_room(key, group)
        await self._destinations.check(stream_url)
        # Others may have come while the name was looked up.
        self._require_room(key, group)

    async def create(
        self,
        *,
        offer: str,
        stream_name: str,
        stream_url: str,
        audio: str,
        audio_bitrate: int,
        filler: str,
        client: str = "",
        credential: bytes | None = None,
    ) -> SessionCreated:
        """Ask the worker for a session. Raises SessionNotCreated, and nothing is left behind then.

        Where the stream may go is for `check` to say; the sink looks again in any case.
        `client` is the publisher's IP address as text, "" when unknown; `credential` its token's digest.
        """
        key, group = self._destinations.key(stream_url, stream_name), address_group(client)
        self._require_room(key, group)
        session_id = self._new_session_id()
        access = Access(stream_name, stream_url, credential)
        sounds = SoundFormats(audio, audio_bitrate)
        arrival = Arrival(client, utc_now())
        session = LiveSession(key, group, access, arrival, sounds, is_made=False)
        self._known.add(session_id, session)
        try:
            reply = await self._workers.request(
                CreateSession(
                    session_id,
                    offer,
                    stream_name,
                    stream_url,
                    audio,
                    audio_bitrate,
                    filler,
                    key,
                    self._takes_over,
                )
            )
        except BaseException:
            self._known.forget(session_id)
            raise
        if isinstance(reply, SessionRefused):
            self._known.forget(session_id)
            raise SessionNotCreated(reply.kind, reply.detail)
        assert isinstance(reply, SessionCreated)
        session.is_made = True
        log.info("session created", session=session_id[:8], stream=loggable_name(stream_name, stream_url))
        self._watcher.session_created(
            session_id, stream_name=stream_name, stream_url=stream_url, client=client
        )
        return reply

    async def end(self, session_id: str, reason: str) -> SessionEnded:
        """End a session. Raises SessionNotFound or SessionOver."""
        reply = await self._known.ask(EndSession(session_id, reason))
        assert isinstance(reply, SessionEnded)
        self._remember(reply)
        return reply

    async def update_ice(self, session_id: str, fragment: str, if_match: Sequence[str]) -> IceUpdated:
        """Hand a session trickled candidates or an ICE restart, the body of a PATCH with its entity tags.

        Raises SessionNotFound, SessionOver or IceRefused.
        """
        # RFC 9725, section 4.3.3 lets such requests overlap: each is to see what the one before has done.
        async with self._known.find_live(session_id).updating:
            reply = await self._known.ask(UpdateIce(session_id, fragment, list(if_match)))
        if isinstance(reply, IceNotUpdated):
            raise IceRefused(reply.kind, reply.detail)
        assert isinstance(reply, IceUpdated)
        return reply

    def access(self, session_id: str) -> Access | None:
        """Who may touch a session, living or remembered; None: there is no such session."""
        return self._known.access(session_id)

    def by_handle(self, handle: str) -> str | None:
        """The id of a session, living or remembered, by what others than its publisher call it."""
        return self._known.by_handle(handle)

    def find(self, session_id: str) -> KnownSession | None:
        """What is known of a session, living or remembered, without asking its worker."""
        return self._known.find(session_id)

    def list_living(self) -> list[KnownSession]:
        """All sessions that live, the oldest first."""
        return self._known.list_living()

    def require_live(self, session_id: str) -> None:
        """Whether a session lives, as far as its worker has told. Raises SessionNotFound or SessionOver."""
        self._known.find_live(session_id)

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        """The snapshot of a session, or its last one. Raises SessionNotFound."""
        return await self._known.describe(session_id)

    def watch(self, session_id: str) -> AsyncGenerator[Mapping[str, Any], None]:
        """The snapshots of a session from now on (see `Watching`); its last one is the last of them.

        Raises SessionNotFound, at once or, if the session is forgotten meanwhile, when the next one is due.
        """
        if self.access(session_id) is None:
            raise SessionNotFound(session_id)
        return self._watching.watch(session_id, partial(self._known.is_last, session_id))

    async def describe_workers(self) -> list[WorkerStanding]:
        """How each media worker stands, and its own figures."""
        return await self._workers.describe()

    async def follow_events(self) -> None:
        """Take the workers' events until they are stopped. One task runs this."""
        async for event in self._workers.events():
            match event:
                case SessionChanged(session_id):
                    self._watching.tell(session_id)
                    self._watcher.session_changed(event)
                case SessionEnded():
                    self._remember(event)
                case _:
                    assert_never(event)

    def _require_room(self, key: str, group: str) -> None:
        """Where the stream has a session already, the worker has the new one take its place or refuses it: so
        the new one needs no room of its own.
        """
        if self._is_draining:
            raise SessionNotCreated("draining", "this server is about to stop and takes no new sessions")
        others = [each for each in self._known.living if each.stream_key != key]
        is_another = len(others) == len(self._known.living)
        if is_another and len(others) >= self._max_sessions:
            raise SessionNotCreated("full", "this server has as many sessions as it is set to take")
        if is_another and (refusal := self._workers.refusal):
            raise SessionNotCreated("full", refusal)
        limit = self._sessions_per_address
        if limit and group and sum(each.client == group for each in others) >= limit:
            raise SessionNotCreated("crowded", "there are as many sessions from your address as it may have")

    def _remember(self, ended: SessionEnded) -> None:
        if self._known.remember(ended):
            self._tell_end(ended)

    def _note_lost(self, session_id: str) -> None:
        """Its worker knows it no more, and has not said how it ended. Nobody else will."""
        log.error("session lost", session=session_id[:8])
        self._tell_end(SessionEnded(session_id, LOST, "", {}))

    def _tell_end(self, ended: SessionEnded) -> None:
        self._watching.tell(ended.session_id)
        self._watcher.session_ended(ended)
