"""Where streams are sent on to, whoever publishes them: one more RTMP URL, which the stream's record holds.

For a WHIP session this is a sink like any other: it comes when the stream goes live, or at once if it is, and
goes with the session or when the URL is taken away. For what has no sinks of its own, an RTMP publisher or a
further sink of a session, the origin has to send it on; where it cannot, nothing is sent.

A push URL may lead to the embedded origin, under another name. That stream is published then like any other:
by its own rules (`publish_rules`), as a publication of its own (`further_sinks`), and never in place of
somebody else, so that streams are not sent around in circles.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog

from whipway.pool.failures import WorkerSilent
from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.streams.access.rights import NotAllowed, PublishAttempt
from whipway.streams.destinations import Destinations
from whipway.streams.further_sinks import FurtherSink, FurtherSinks
from whipway.streams.publications import UNPUBLISHED, Publication
from whipway.streams.refusals import (
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.streams.sessions import SessionDirectory

log = structlog.get_logger("streams")


class PushUrlRefused(ValueError):
    """Nothing can or may be sent there. The message is half a sentence: what the URL is or does."""


class PushTarget(NamedTuple):
    """A push URL as RTMP needs it: where to connect to, and what to publish there."""

    stream_url: str
    stream_name: str


class PushSound(NamedTuple):
    """What the sinks of sessions get, as in `AddSink`."""

    audio: str = "aac"
    audio_bitrate: int = 128_000
    filler: str = "none"


class SinkRules(Protocol):
    """`publish_rules.PublishRules`. Both raise NotAllowed."""

    async def admit_sink(self, attempt: PublishAttempt) -> None:
        """Whether something that is published may go there as well."""
        ...

    async def check_sink(self, attempt: PublishAttempt) -> None:
        """Whether it may, as far as can be told before."""
        ...


class OriginPushes(Protocol):
    """An origin that sends on what is published there."""

    def push(self, key: str, stream_url: str, stream_name: str) -> None:
        """Send APP/NAME on to one RTMP server, until `stop_push` or its end."""
        ...

    def stop_push(self, key: str) -> None:
        """Send it on no more, if it is."""
        ...


def split_push_url(url: str) -> PushTarget:
    """Part an RTMP URL whose last part is the stream's name there. Arguments belong to the name.

    Raises PushUrlRefused.
    """
    before, mark, arguments = url.partition("?")
    stream_url, _, name = before.rstrip("/").rpartition("/")
    try:
        parse_rtmp_url(url)
        check_stream_name(name)
        stream_name = f"{name}{mark}{arguments}"
        check_stream_name(stream_name)
    except ValueError as error:
        raise PushUrlRefused(str(error)) from None
    try:
        parse_rtmp_url(stream_url)
    except ValueError:
        raise PushUrlRefused("names no stream, as in rtmp://host/live/name") from None
    return PushTarget(stream_url, stream_name)


class PushUrls:
    """Has publications sent on. `at_origin` None: those by RTMP are not."""

    def __init__(
        self,
        sessions: SessionDirectory,
        destinations: Destinations,
        further: FurtherSinks,
        rules: SinkRules,
        sound: Callable[[], PushSound] = PushSound,
        at_origin: OriginPushes | None = None,
    ) -> None:
        self._sessions = sessions
        self._destinations = destinations
        self._further = further
        self._rules = rules
        self._sound = sound
        self._at_origin = at_origin
        self._urls: dict[int, str] = {}
        """By number of the publication: where it is sent on to."""
        self._sinks: dict[int, str] = {}
        """By the same: the sink of its session."""
        self._at_work: dict[int, FurtherSink] = {}
        """By the same: what the origin sends on."""

    async def check(self, url: str) -> None:
        """Whether this can be a push URL, and something may be sent there. Raises PushUrlRefused."""
        target = split_push_url(url)
        try:
            await self._destinations.check(target.stream_url)
            await self._rules.check_sink(_attempt(target))
        except SessionNotCreated as refusal:
            raise PushUrlRefused(refusal.detail) from None
        except NotAllowed as refusal:
            raise PushUrlRefused(f"names a stream of this server: {refusal.detail}") from None

    async def apply(self, publication: Publication, url: str | None) -> None:
        """Send a publication on to this URL alone, or to none."""
        number = publication.number
        if publication.is_over or self._urls.get(number) == url:
            return
        if self._urls.pop(number, None) is not None:
            await self._stop(publication)
        if url is not None and await self._start(publication, split_push_url(url)):
            self._urls[number] = url

    def forget(self, publication: Publication) -> None:
        """It is over. Its sinks have gone with it."""
        self._sinks.pop(publication.number, None)
        self._urls.pop(publication.number, None)
        self._stop_at_origin(publication)

    async def _start(self, publication: Publication, target: PushTarget) -> bool:
        """Whether there is something to stop later."""
        if not await self._may_go(publication, target):
            return False
        if publication.session_id is not None and publication.remove is None:
            return await self._add_sink(publication, publication.session_id, target)
        if self._at_origin is None:
            log.warning("a stream that is published by RTMP is not sent on: that is not possible yet")
            return False
        if publication.is_over:  # Meanwhile.
            return False
        self._at_origin.push(publication.key, *target)
        remove = partial(self._remove, publication)
        self._at_work[publication.number] = self._further.add(publication, *target, remove)
        return True

    async def _may_go(self, publication: Publication, target: PushTarget) -> bool:
        try:
            await self._rules.admit_sink(_attempt(target, publication.client))
        except NotAllowed as refusal:
            log.warning("a stream is not sent on", detail=refusal.detail)
            return False
        if self._further.is_taken(*target):
            log.warning("a stream is not sent on: that stream of this server is being published")
            return False
        return True

    async def _remove(self, publication: Publication) -> None:
        self._stop_at_origin(publication)

    def _stop_at_origin(self, publication: Publication) -> None:
        sink = self._at_work.pop(publication.number, None)
        if sink is not None:
            assert self._at_origin is not None
            self._at_origin.stop_push(publication.key)
            self._further.over(sink, UNPUBLISHED)

    async def _add_sink(self, publication: Publication, session_id: str, target: PushTarget) -> bool:
        sound = self._sound()
        try:
            sink = await self._sessions.sinks.add(
                session_id, stream_name=target.stream_name, stream_url=target.stream_url, **sound._asdict()
            )
        except SinkNotAdded as refusal:
            log.warning("a stream is not sent on", session=session_id[:8], detail=str(refusal))
            return False
        except WorkerSilent:
            detail = "its worker does not answer"
            log.warning("a stream is not sent on", session=session_id[:8], detail=detail)
            return False
        except (SessionNotFound, SessionOver):
            return False
        if publication.is_over:  # Meanwhile.
            return False
        self._sinks[publication.number] = sink["id"]
        return True

    async def _stop(self, publication: Publication) -> None:
        self._stop_at_origin(publication)
        sink_id = self._sinks.pop(publication.number, None)
        if publication.session_id is None or sink_id is None:
            return
        try:
            await self._sessions.sinks.remove(publication.session_id, sink_id)
        except (SinkNotFound, SessionNotFound, SessionOver, WorkerSilent):
            pass


def _attempt(target: PushTarget, client: str = "") -> PublishAttempt:
    return PublishAttempt(target.stream_name, target.stream_url, client, None)
