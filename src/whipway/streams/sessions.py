"""The directory of WHIP sessions: which there are, which worker has them, how the last ones ended.

It knows workers only as links that carry plain messages (docs/architecture.md, "What runs"). What the HTTP
side alone needs stays here: which address a session came from, and the digest of the token it was made with.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, assert_never

import structlog

from whipway.hosts import address_group
from whipway.protocol.rtmp.url import loggable_name, parse_rtmp_url
from whipway.streams.refusals import (
    IceRefused,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.streams.session_keys import stream_key
from whipway.streams.sound_formats import SoundFormats
from whipway.streams.watching import Watching
from whipway.worker.egress import EgressPolicy, EgressRefused
from whipway.worker.link import WorkerLink
from whipway.worker.messages import (
    FIRST_SINK,
    AddSink,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    IceNotUpdated,
    IceUpdated,
    MetadataSent,
    RemoveSink,
    Reply,
    SendMetadata,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    UnknownSession,
    UnknownSink,
    UpdateIce,
    WorkerDescribed,
)

__all__ = [
    "Access",
    "IceRefused",
    "SessionDirectory",
    "SessionNotCreated",
    "SessionNotFound",
    "SessionOver",
    "SinkNotAdded",
    "SinkNotFound",
    "stream_key",
]

MAX_REMEMBERED = 1000
"""Ended sessions that can still say why they ended."""
EVENT_TIMEOUT = 1.0
"""Seconds. The event of a session's end was sent before the worker's word that it knows the session no more,
so it is on its way; only a worker that lost the session lets this pass."""
FULL = "this session has as many sinks as it is set to take"
EGRESS_TIMEOUT = 2.0
"""Seconds to see where a stream would go. Slow DNS is no refusal: the sink looks again, and waits longer."""

_SessionRequest = AddSink | RemoveSink | SendMetadata | EndSession | UpdateIce

log = structlog.get_logger("sessions")


class Access(NamedTuple):
    """What decides who may touch a session: its stream, and the digest of the token that it was made with."""

    stream_name: str
    stream_url: str
    credential: bytes | None


@dataclass(slots=True)
class _Live:
    stream_key: str | None
    """Of its first sink; None once that is removed."""
    client: str
    access: Access
    last_words: asyncio.Future[SessionEnded]
    """The promise of them."""
    sounds: SoundFormats
    updating: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Ended(NamedTuple):
    last_words: SessionEnded
    access: Access


class SessionDirectory:
    """Creates, finds and ends sessions over one worker's link.

    `takes_over` says what happens to a stream that is being published when another publisher asks for it:
    the new one gets it, or is refused. A stream whose publisher has fallen silent is the new one's anyway.
    `sessions_per_address` limits the sessions of one client's address (of IPv6: its /64); 0 sets no limit.
    """

    def __init__(
        self,
        link: WorkerLink,
        new_session_id: Callable[[], str],
        max_sessions: int,
        *,
        takes_over: bool = False,
        egress: EgressPolicy,
        sessions_per_address: int = 0,
    ) -> None:
        self._link = link
        self._new_session_id = new_session_id
        self._max_sessions = max_sessions
        self._takes_over = takes_over
        self._egress = egress
        self._sessions_per_address = sessions_per_address
        self._is_draining = False
        self._live: dict[str, _Live] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self._watching = Watching(self.describe)

    @property
    def live_count(self) -> int:
        """How many sessions there are now."""
        return len(self._live)

    def drain(self) -> None:
        """Take no new sessions from now on; those that there are go on."""
        self._is_draining = True

    async def check(self, *, stream_name: str, stream_url: str, client: str = "") -> None:
        """Refuse what there is no room for and what may not go where it wants, before others are asked.

        Raises SessionNotCreated ("draining", "full", "crowded" or "egress"). No room is kept.
        """
        key, group = self._key(stream_url, stream_name), address_group(client)
        self._require_room(key, group)
        await self.check_egress(stream_url)
        # Others may have come while the name was looked up.
        self._require_room(key, group)

    async def check_egress(self, stream_url: str) -> None:
        """Refuse a URL to which nothing may be sent: SessionNotCreated ("egress")."""
        url = parse_rtmp_url(stream_url)
        try:
            async with asyncio.timeout(EGRESS_TIMEOUT):
                await self._egress.check(url.host, url.port)
        except EgressRefused as refusal:
            raise SessionNotCreated("egress", str(refusal)) from None
        except OSError:  # Timeouts among them.
            log.debug("the host of a stream_url does not resolve yet", host=url.host)

    async def create(
        self,
        *,
        offer: str,
        stream_name: str,
        stream_url: str,
        audio: str,
        audio_bitrate: int,
        client: str = "",
        credential: bytes | None = None,
    ) -> SessionCreated:
        """Ask the worker for a session. Raises SessionNotCreated, and nothing is left behind then.

        Where the stream may go is for `check` to say; the sink looks again in any case.
        `client` is the publisher's IP address as text, "" when unknown; `credential` its token's digest.
        """
        key, group = self._key(stream_url, stream_name), address_group(client)
        self._require_room(key, group)
        session_id = self._new_session_id()
        access = Access(stream_name, stream_url, credential)
        last_words = asyncio.get_running_loop().create_future()
        sounds = SoundFormats(audio, audio_bitrate)
        self._live[session_id] = _Live(key, group, access, last_words, sounds)
        try:
            reply = await self._link.request(
                CreateSession(
                    session_id, offer, stream_name, stream_url, audio, audio_bitrate, key, self._takes_over
                )
            )
        except BaseException:
            self._live.pop(session_id, None)
            raise
        if isinstance(reply, SessionRefused):
            self._live.pop(session_id, None)
            raise SessionNotCreated(reply.kind, reply.detail)
        assert isinstance(reply, SessionCreated)
        log.info("session created", session=session_id[:8], stream=loggable_name(stream_name, stream_url))
        return reply

    async def end(self, session_id: str, reason: str) -> SessionEnded:
        """End a session. Raises SessionNotFound or SessionOver."""
        reply = await self._ask(EndSession(session_id, reason))
        assert isinstance(reply, SessionEnded)
        self._remember(reply)
        return reply

    async def update_ice(self, session_id: str, fragment: str, if_match: Sequence[str]) -> IceUpdated:
        """Hand a session trickled candidates or an ICE restart, the body of a PATCH with its entity tags.

        Raises SessionNotFound, SessionOver or IceRefused.
        """
        # RFC 9725, section 4.3.3 lets such requests overlap: each is to see what the one before has done.
        async with self._find_live(session_id).updating:
            reply = await self._ask(UpdateIce(session_id, fragment, list(if_match)))
        if isinstance(reply, IceNotUpdated):
            raise IceRefused(reply.kind, reply.detail)
        assert isinstance(reply, IceUpdated)
        return reply

    async def check_sink(
        self, session_id: str, *, stream_url: str, audio: str, audio_bitrate: int, max_sinks: int
    ) -> None:
        """Refuse a sink that there is no room for or that may not go there, before others are asked.

        Raises SessionNotFound, SessionOver, SessionNotCreated ("egress") or SinkNotAdded ("full"). No room
        is kept.
        """
        await self.check_egress(stream_url)
        live = self._find_live(session_id)
        sinks = await self.sinks(session_id)
        if len(sinks) >= max_sinks:
            raise SinkNotAdded("full", FULL)
        live.sounds.require_room(sinks, audio, audio_bitrate)

    async def add_sink(
        self, session_id: str, *, stream_name: str, stream_url: str, audio: str, audio_bitrate: int
    ) -> Mapping[str, Any]:
        """Have a session feed one more RTMP server. Describes the sink.

        Where the stream may go is for `check_sink` to say; the sink looks again in any case.
        Raises SessionNotFound, SessionOver or SinkNotAdded.
        """
        key = self._key(stream_url, stream_name)
        live = self._find_live(session_id)
        # Of several at the same time each is to see what sound those before it want.
        async with live.updating:
            live.sounds.require_room(await self.sinks(session_id), audio, audio_bitrate)
            reply = await self._ask(
                AddSink(session_id, stream_name, stream_url, audio, audio_bitrate, key, self._takes_over)
            )
            if isinstance(reply, SinkRefused):
                raise SinkNotAdded(reply.kind, reply.detail)
            assert isinstance(reply, SinkAdded)
            live.sounds.add(reply.sink["id"], audio, audio_bitrate)
        return reply.sink

    async def remove_sink(self, session_id: str, sink_id: str) -> Mapping[str, Any]:
        """End one sink of a session. Describes it for the last time.

        Raises SessionNotFound, SessionOver or SinkNotFound.
        """
        reply = await self._ask(RemoveSink(session_id, sink_id))
        if isinstance(reply, UnknownSink):
            raise SinkNotFound(sink_id)
        assert isinstance(reply, SinkRemoved)
        if sink_id == FIRST_SINK and (live := self._live.get(session_id)):
            # The stream is free again: whoever publishes it next does not take this session's place.
            live.stream_key = None
        return reply.sink

    async def sinks(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """The sinks of a session, or how they were at its end. Raises SessionNotFound."""
        sinks: Sequence[Mapping[str, Any]] = (await self.describe(session_id))["sinks"]
        return sinks

    async def send_metadata(self, session_id: str, handler: str, payload: Mapping[str, Any]) -> None:
        """Put a data message into all sinks of a session. Raises SessionNotFound or SessionOver."""
        reply = await self._ask(SendMetadata(session_id, handler, payload))
        assert isinstance(reply, MetadataSent)

    def access(self, session_id: str) -> Access | None:
        """Who may touch a session, living or remembered; None: there is no such session."""
        known = self._live.get(session_id) or self._ended.get(session_id)
        return known.access if known else None

    def require_live(self, session_id: str) -> None:
        """Whether a session lives, as far as its worker has told. Raises SessionNotFound or SessionOver."""
        self._find_live(session_id)

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        """The snapshot of a session, or its last one. Raises SessionNotFound."""
        if session_id in self._ended:
            return self._ended[session_id].last_words.snapshot
        self._find_live(session_id)
        reply = await self._link.request(DescribeSession(session_id))
        if isinstance(reply, SessionDescribed):
            return reply.snapshot
        assert isinstance(reply, UnknownSession)
        return (await self._last_words(session_id)).snapshot

    def watch(self, session_id: str) -> AsyncGenerator[Mapping[str, Any], None]:
        """The snapshots of a session from now on (see `Watching`); its last one is the last of them.

        Raises SessionNotFound, at once or, if the session is forgotten meanwhile, when the next one is due.
        """
        if self.access(session_id) is None:
            raise SessionNotFound(session_id)

        def is_last(snapshot: Mapping[str, Any]) -> bool:
            ended = self._ended.get(session_id)
            return ended is not None and ended.last_words.snapshot is snapshot

        return self._watching.watch(session_id, is_last)

    async def worker_drops(self) -> Mapping[str, int]:
        """How many datagrams the worker could give to no session, by reason."""
        reply = await self._link.request(DescribeWorker())
        assert isinstance(reply, WorkerDescribed)
        return reply.drops

    async def follow_events(self) -> None:
        """Take the worker's events until its link is closed. One task runs this."""
        async for event in self._link.events():
            match event:
                case SessionChanged(session_id):
                    self._watching.tell(session_id)
                case SessionEnded():
                    self._remember(event)
                case _:
                    assert_never(event)

    def _key(self, stream_url: str, stream_name: str) -> str:
        return stream_key(stream_url, stream_name, self._egress.is_own)

    def _require_room(self, key: str, group: str) -> None:
        """Where the stream has a session already, the worker has the new one take its place or refuses it: so
        the new one needs no room of its own.
        """
        if self._is_draining:
            raise SessionNotCreated("draining", "this server is about to stop and takes no new sessions")
        others = [each for each in self._live.values() if each.stream_key != key]
        is_another = len(others) == len(self._live)
        if is_another and len(others) >= self._max_sessions:
            raise SessionNotCreated("full", "this server has as many sessions as it is set to take")
        limit = self._sessions_per_address
        if limit and group and sum(each.client == group for each in others) >= limit:
            raise SessionNotCreated("crowded", "there are as many sessions from your address as it may have")

    async def _ask(self, request: _SessionRequest) -> Reply:
        """Have the worker carry out what is asked of one session. Raises SessionNotFound or SessionOver."""
        self._find_live(request.session_id)
        reply = await self._link.request(request)
        if isinstance(reply, UnknownSession):
            raise SessionOver(await self._last_words(request.session_id))
        return reply

    def _find_live(self, session_id: str) -> _Live:
        if session_id in self._ended:
            raise SessionOver(self._ended[session_id].last_words)
        if session_id not in self._live:
            raise SessionNotFound(session_id)
        return self._live[session_id]

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
            self._live.pop(session_id, None)
            raise SessionNotFound(session_id) from None

    def _remember(self, ended: SessionEnded) -> None:
        live = self._live.pop(ended.session_id, None)
        if live is None:  # Told already, or given up: who may ask for it is forgotten then.
            return
        log.info(
            "session ended",
            session=ended.session_id[:8],
            stream=loggable_name(live.access.stream_name, live.access.stream_url),
            reason=ended.reason,
            detail=ended.detail,
        )
        live.last_words.set_result(ended)
        self._ended[ended.session_id] = _Ended(ended, live.access)
        while len(self._ended) > MAX_REMEMBERED:
            self._ended.popitem(last=False)
        self._watching.tell(ended.session_id)
