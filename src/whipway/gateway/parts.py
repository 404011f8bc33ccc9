"""The parts that carry streams, put together: origin, media worker, sessions, and the streams they belong to.

Nothing runs yet when they are made; `Parts.start` and `Parts.stop` say in which order they do.
"""

import asyncio
import secrets
from dataclasses import dataclass

from whipway.config import Settings
from whipway.gateway.binding import Sockets
from whipway.gateway.exposure import for_url
from whipway.gateway.keeping import Keeping, node_name
from whipway.gateway.media_workers import Media
from whipway.gateway.pushes import OriginPushes
from whipway.gateway.start_error import StartError
from whipway.origin.server import OriginServer
from whipway.pool.failures import WorkerGone
from whipway.pool.pool import WorkerPool
from whipway.streams.access.admission import Admission
from whipway.streams.access.publish_rules import PublishRules
from whipway.streams.access.rtmp_admission import RtmpAdmission
from whipway.streams.destinations import Destinations
from whipway.streams.figures import Figures
from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.origin_publications import OriginPublications
from whipway.streams.publishers import Publishers
from whipway.streams.push_urls import PushSound, PushUrls
from whipway.streams.session_publications import SessionPublications, make_is_here
from whipway.streams.sessions import SessionDirectory
from whipway.streams.stream_directory import StreamDirectory
from whipway.web.rate_limits import RateLimiter
from whipway.worker.egress import EgressPolicy
from whipway.worker.tls import TlsContexts

SESSION_ID_BYTES = 24


@dataclass(slots=True)
class Parts:
    """What carries streams."""

    workers: WorkerPool
    sessions: SessionDirectory
    streams: StreamDirectory
    figures: Figures
    origin: OriginServer | None
    pushes: OriginPushes | None
    rules: PublishRules
    tasks: list[asyncio.Task[None]]

    async def start(self, sockets: Sockets) -> None:
        """Let publishers come, once what a run before this one left as live is ended. Raises StartError."""
        await self.streams.start()
        if self.origin is not None and sockets.rtmp is not None:
            await self.origin.start(sockets.rtmp)
        try:
            await self.workers.start()
        except WorkerGone:
            raise StartError("workers: a media worker does not start") from None
        self.figures.start()
        self.tasks.append(asyncio.create_task(self.sessions.follow_events(), name="session events"))

    async def stop(self) -> None:
        """End everybody who publishes, and write down how."""
        self.sessions.drain()
        await self.workers.stop()
        if self.pushes is not None:
            self.pushes.close()
        stopping = [self.origin.stop()] if self.origin is not None else []
        await asyncio.gather(*stopping, *self.tasks)
        await self.figures.close()
        await self.streams.close()


def make_parts(
    settings: Settings, keeping: Keeping, admission: Admission | None, sockets: Sockets, media: Media
) -> Parts:
    """Build everything else around the media workers, on sockets that are bound. Raises StartError."""
    egress = media.egress
    stream_url = origin_url(settings, sockets.rtmp_port)
    destinations = Destinations(egress)
    is_here = make_is_here(destinations.key, stream_url)
    rules = PublishRules(keeping.hooks.ask, is_here)
    further = FurtherSinks(keeping.publications, is_here)
    origin = None
    if stream_url is not None:
        judge = _make_judge(settings, admission, stream_url, rules)
        observer = OriginPublications(keeping.publications, further, stream_url)
        origin = _make_origin(settings, judge, observer, media.own_pass)
    watcher = SessionPublications(keeping.publications, further, keeping.events, is_here)
    sessions = _make_sessions(settings, media.workers, egress, watcher)
    pushes = OriginPushes(origin.streams, media.sinks) if origin else None
    sound = PushSound(settings.sink.audio, settings.sink.audio_bitrate, settings.sink.filler)
    streams = StreamDirectory(
        keeping.streams,
        Publishers(keeping.publications, sessions, origin.control if origin else None),
        PushUrls(sessions, destinations, further, rules, lambda: sound, pushes),
        keeping.events,
        new_name=keeping.new_name,
        node=node_name(settings),
        require_known=settings.streams.require_known,
    )
    rules.records = streams
    figures = Figures(keeping.publications, sessions, origin.control if origin else None)
    return Parts(media.workers, sessions, streams, figures, origin, pushes, rules, [])


def origin_url(settings: Settings, port: int) -> str | None:
    """`stream_url` of the embedded origin, if there is one."""
    return f"rtmp://{for_url(settings.rtmp.host)}:{port}/live" if settings.rtmp.enabled else None


def check_egress(settings: Settings) -> None:
    """Whether the rules can be read. Raises StartError."""
    try:
        EgressPolicy(settings.egress.allow)
    except ValueError as error:
        raise StartError(f"egress.allow: {error}") from None


def make_sink_tls(settings: Settings) -> TlsContexts:
    """How certificates of RTMP servers are checked. Raises StartError."""
    try:
        return TlsContexts(settings.sink.insecure_tls)
    except ValueError as error:
        raise StartError(f"sink.insecure_tls: {error}") from None


def _make_judge(
    settings: Settings, admission: Admission | None, stream_url: str, rules: PublishRules
) -> RtmpAdmission:
    limiter = RateLimiter(settings.limits.posts_per_minute)
    return RtmpAdmission(admission, stream_url, limiter.wait, rules.admit)


def _make_origin(
    settings: Settings, judge: RtmpAdmission, observer: OriginPublications, own_pass: str
) -> OriginServer:
    return OriginServer(
        judge,
        own_pass=own_pass,
        takeover_after=settings.session.takeover_after,
        takes_over=settings.session.on_conflict == "takeover",
        observer=observer,
    )


def _make_sessions(
    settings: Settings, workers: WorkerPool, egress: EgressPolicy, watcher: SessionPublications
) -> SessionDirectory:
    return SessionDirectory(
        workers,
        lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
        settings.session.max_sessions,
        takes_over=settings.session.on_conflict == "takeover",
        egress=egress,
        sessions_per_address=settings.limits.sessions_per_address,
        watcher=watcher,
    )
