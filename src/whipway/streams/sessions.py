"""The directory of WHIP sessions: which there are, which worker has them, how the last ones ended.

It knows workers only as links that carry plain messages (docs/architecture.md, section 2).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

import structlog

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.worker.link import WorkerLink
from whipway.worker.messages import (
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    UnknownSession,
    WorkerDescribed,
)

MAX_REMEMBERED = 1000
"""Ended sessions that can still say why they ended."""
EVENT_TIMEOUT = 1.0
"""Seconds. The event of a session's end was sent before the worker's word that it knows the session no more,
so it is on its way; only a worker that lost the session lets this pass."""

log = structlog.get_logger("sessions")


class SessionNotFound(Exception):
    """No session has this id, now or lately."""


class SessionOver(Exception):
    """The session has ended already. Holds its last words."""

    def __init__(self, ended: SessionEnded) -> None:
        super().__init__(ended.reason)
        self.ended = ended


class SessionNotCreated(Exception):
    """The worker refused. `kind` is "malformed", "unsupported", "busy" or "full"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class _Live(NamedTuple):
    stream_key: str
    last_words: asyncio.Future[SessionEnded]
    """The promise of them."""


class SessionDirectory:
    """Creates, finds and ends sessions over one worker's link.

    `takes_over` says what happens to a stream that is being published when another publisher asks for it:
    the new one gets it, or is refused. A stream whose publisher has fallen silent is the new one's anyway.
    """

    def __init__(
        self,
        link: WorkerLink,
        new_session_id: Callable[[], str],
        max_sessions: int,
        *,
        takes_over: bool = False,
    ) -> None:
        self._link = link
        self._new_session_id = new_session_id
        self._max_sessions = max_sessions
        self._takes_over = takes_over
        self._live: dict[str, _Live] = {}
        self._ended: OrderedDict[str, SessionEnded] = OrderedDict()

    @property
    def live_count(self) -> int:
        """How many sessions there are now."""
        return len(self._live)

    async def create(
        self, *, offer: str, stream_name: str, stream_url: str, audio_bitrate: int
    ) -> SessionCreated:
        """Ask the worker for a session. Raises SessionNotCreated, and nothing is left behind then."""
        key = stream_key(stream_url, stream_name)
        self._require_room(key)
        session_id = self._new_session_id()
        self._live[session_id] = _Live(key, asyncio.get_running_loop().create_future())
        try:
            reply = await self._link.request(
                CreateSession(
                    session_id, offer, stream_name, stream_url, audio_bitrate, key, self._takes_over
                )
            )
        except BaseException:
            self._live.pop(session_id, None)
            raise
        if isinstance(reply, SessionRefused):
            self._live.pop(session_id, None)
            raise SessionNotCreated(reply.kind, reply.detail)
        assert isinstance(reply, SessionCreated)
        # Without the publisher's arguments: those are secrets as often as not.
        log.info("session created", session=session_id[:8], stream=stream_name.partition("?")[0])
        return reply

    async def end(self, session_id: str, reason: str) -> SessionEnded:
        """End a session. Raises SessionNotFound or SessionOver."""
        self._require_live(session_id)
        reply = await self._link.request(EndSession(session_id, reason))
        match reply:
            case SessionEnded():
                self._remember(reply)
                return reply
            case UnknownSession():
                raise SessionOver(await self._last_words(session_id))
            case _:
                raise AssertionError(reply)  # The worker answers EndSession with these two only.

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        """The snapshot of a session, or its last one. Raises SessionNotFound."""
        if session_id in self._ended:
            return self._ended[session_id].snapshot
        self._require_live(session_id)
        reply = await self._link.request(DescribeSession(session_id))
        if isinstance(reply, SessionDescribed):
            return reply.snapshot
        assert isinstance(reply, UnknownSession)
        return (await self._last_words(session_id)).snapshot

    async def worker_drops(self) -> Mapping[str, int]:
        """How many datagrams the worker could give to no session, by reason."""
        reply = await self._link.request(DescribeWorker())
        assert isinstance(reply, WorkerDescribed)
        return reply.drops

    async def follow_events(self) -> None:
        """Take the worker's events until its link is closed. One task runs this."""
        async for event in self._link.events():
            self._remember(event)

    def _require_room(self, key: str) -> None:
        """Where the stream has a session already, the worker has the new one take its place or refuses it."""
        is_full = len(self._live) >= self._max_sessions
        if is_full and not any(each.stream_key == key for each in self._live.values()):
            raise SessionNotCreated("full", "this server has as many sessions as it is set to take")

    def _require_live(self, session_id: str) -> None:
        if session_id in self._ended:
            raise SessionOver(self._ended[session_id])
        if session_id not in self._live:
            raise SessionNotFound(session_id)

    async def _last_words(self, session_id: str) -> SessionEnded:
        """How a session ended that the worker knows no more. Raises SessionNotFound."""
        if session_id in self._ended:  # The event came while the worker was asked.
            return self._ended[session_id]
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
        if live is not None:
            live.last_words.set_result(ended)
        self._ended[ended.session_id] = ended
        while len(self._ended) > MAX_REMEMBERED:
            self._ended.popitem(last=False)
        log.info("session ended", session=ended.session_id[:8], reason=ended.reason, detail=ended.detail)


def stream_key(stream_url: str, stream_name: str) -> str:
    """The same for two targets that are one stream: where players find it, without anybody's arguments.

    Arguments are secrets as often as not, and differ from one publisher to the next. All names of this host
    are one.
    """
    url = parse_rtmp_url(stream_url)
    host = "localhost" if _is_loopback(url.host) else url.host
    app, name = url.app.partition("?")[0].strip("/"), stream_name.partition("?")[0].strip("/")
    return f"{host}:{url.port}/{app}/{name}"


def _is_loopback(host: str) -> bool:
    """RFC 6761, section 6.3, and the loopback addresses of both IP versions."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
