"""The composition root: builds every part, starts them in order, stops them in reverse.

Order: sockets (so that a port in use is said before anything runs), RTMP origin, media worker, HTTP. Stopping
ends the sessions first, so that encoders and RTMP servers are told, then the servers.
"""

import asyncio
import contextlib
import resource
import secrets
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

import structlog

from whipway.config import Settings, Token
from whipway.origin.server import OriginServer
from whipway.protocol.rtmp.url import is_loopback_host
from whipway.relay.quality import Policy
from whipway.session.session import Timeouts
from whipway.streams.admission import Admission, make_admission
from whipway.streams.rtmp_admission import RtmpAdmission
from whipway.streams.sessions import SessionDirectory
from whipway.streams.tokens import make_token
from whipway.web.app import make_app
from whipway.web.rate_limits import RateLimiter
from whipway.web.server import HttpServer
from whipway.web.tls import TlsError, TlsFiles
from whipway.worker.addresses import announced_addresses
from whipway.worker.egress import EgressPolicy
from whipway.worker.link import LocalLink
from whipway.worker.rules import SessionRules
from whipway.worker.sinks import SinkFactory
from whipway.worker.sockets import bind_media, bind_tcp
from whipway.worker.tls import TlsContexts
from whipway.worker.worker import Worker

SESSION_ID_BYTES = 24
PASS_BYTES = 24
"""Of the secret by which the origin knows the sinks of its own server."""
DRAIN_POLL = 0.1
"""Seconds between two looks at how many sessions are left."""

T = TypeVar("T")

log = structlog.get_logger("gateway")


class StartError(Exception):
    """The server cannot start. The message is one line and names the configuration key."""


class Gateway:
    """One running Whipway. `start`, then wait for whatever ends it, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._origin: OriginServer | None = None
        self._own_pass = secrets.token_urlsafe(PASS_BYTES)
        self._link = LocalLink()
        self._directory: SessionDirectory | None = None
        self._admission: Admission | None = None
        self._worker: Worker | None = None
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.http_port = self.media_port = self.rtmp_port = 0
        self.token: str | None = None
        """Made for this run, where authentication is on and nothing else is set up to authenticate by."""

    async def start(self) -> None:
        """Bind and serve. Raises StartError."""
        _raise_descriptor_limit()
        tls = self._load_tls()
        self._admission = self._make_admission()
        self._check_egress()
        sink_tls = self._make_sink_tls()
        sockets = self._bind()
        if sockets.rtmp is not None:
            self._origin = self._make_origin()
            await self._origin.start(sockets.rtmp)
        egress = self._make_egress(sockets)
        self._worker = self._make_worker(sockets, self._make_sinks(egress, sink_tls))
        self._link.attach(self._worker)
        await self._worker.start()
        self._directory = self._make_directory(egress)
        app = make_app(
            self._directory,
            self._settings,
            default_stream_url=self.stream_url,
            admission=self._admission,
            origin=self._origin if _plays_by_http(self._settings) else None,
        )
        self._http = HttpServer(app, sockets.http, tls)
        self._tasks = [
            asyncio.create_task(self._directory.follow_events(), name="session events"),
            asyncio.create_task(self._http.serve(), name="http"),
        ]
        while not self._http.started:
            await asyncio.sleep(0.005)

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return self._directory.live_count if self._directory is not None else 0

    async def drain(self) -> None:
        """Take no more sessions, and wait until those that there are have ended."""
        assert self._directory is not None
        self._directory.drain()
        while self.session_count:
            await asyncio.sleep(DRAIN_POLL)

    async def stop(self) -> None:
        """End all sessions politely, then everything else."""
        if self._directory is not None:
            self._directory.drain()
        if self._worker is not None:
            self._worker.close()
        self._link.close()
        if self._http is not None:
            self._http.should_exit = True
        # Together: HTTP-FLV players are told the end of their streams, and are waited for.
        stopping = [self._origin.stop()] if self._origin is not None else []
        await asyncio.gather(*stopping, *self._tasks)
        if self._admission is not None:
            await self._admission.close()

    @property
    def http_url(self) -> str:
        """The page to open."""
        if self._settings.http.public_url:
            return str(self._settings.http.public_url).rstrip("/")
        scheme = "https" if self._settings.tls.cert else "http"
        return f"{scheme}://{_for_url(self._settings.http.host)}:{self.http_port}"

    @property
    def stream_url(self) -> str | None:
        """`stream_url` of the embedded origin, if there is one."""
        if not self._settings.rtmp.enabled:
            return None
        return f"rtmp://{_for_url(self._settings.rtmp.host)}:{self.rtmp_port}/live"

    def notes(self) -> list[str]:
        """What whoever starts this server should know, one line each."""
        notes = []
        http = self._settings.http
        is_direct = http.public_url is None and not http.trusted_proxies
        if is_direct and not is_loopback_host(http.host) and self._settings.tls.cert is None:
            notes.append("HTTP is not encrypted: tokens can be read on their way. Set tls.cert and tls.key")
        if _is_exposed(self._settings) and self._admission is None:
            notes.append("Whoever reaches this server may publish: auth.enabled is off")
        return notes

    def _load_tls(self) -> TlsFiles | None:
        files = self._settings.tls
        if files.cert is None or files.key is None:
            return None
        try:
            return TlsFiles(files.cert, files.key)
        except TlsError as error:
            raise StartError(str(error)) from None

    def _make_admission(self) -> Admission | None:
        auth = self._settings.auth
        is_on = auth.enabled == "on" or (
            auth.enabled == "auto" and (auth.is_configured or _is_exposed(self._settings))
        )
        if not is_on:
            return None
        made: list[Token] = []
        if not auth.is_configured:
            self.token, digest = make_token(secrets.token_bytes)
            made.append(Token(hash=digest, streams=["*"]))
        try:
            return make_admission(auth, extra_tokens=made)
        except ValueError as error:
            raise StartError(f"auth.jwks: {error}") from None

    def _bind(self) -> "_Sockets":
        settings = self._settings
        with contextlib.ExitStack() as undo:

            def bind(key: str, make: Callable[[str, int], T], host: str, port: int) -> T:
                try:
                    return make(host, port)
                except (OSError, UnicodeError) as error:  # The latter: a host that is no DNS name.
                    reason = getattr(error, "strerror", None) or error
                    raise StartError(f"{key}: cannot listen on {host}:{port}: {reason}") from None

            http = undo.enter_context(bind("http.port", bind_tcp, settings.http.host, settings.http.port))
            media, media_tcp = bind(
                "media.port",
                lambda host, port: bind_media(host, port, tcp=settings.media.tcp),
                str(settings.media.host),
                settings.media.port,
            )
            undo.enter_context(media)
            if media_tcp is not None:
                undo.enter_context(media_tcp)
            rtmp = None
            if settings.rtmp.enabled:
                rtmp = undo.enter_context(bind("rtmp.port", bind_tcp, settings.rtmp.host, settings.rtmp.port))
                self.rtmp_port = rtmp.getsockname()[1]
            undo.pop_all()
        self.http_port, self.media_port = http.getsockname()[1], media.getsockname()[1]
        return _Sockets(http, media, media_tcp, rtmp)

    def _make_egress(self, sockets: "_Sockets") -> EgressPolicy:
        own: list[tuple[str, int]] = []
        if sockets.rtmp is not None:
            host, port = sockets.rtmp.getsockname()[:2]
            own = [(address, port) for address in (host, *announced_addresses(ip_address(host), []))]
        return EgressPolicy(self._settings.egress.allow, own=own)

    def _check_egress(self) -> None:
        try:
            EgressPolicy(self._settings.egress.allow)
        except ValueError as error:
            raise StartError(f"egress.allow: {error}") from None

    def _make_sink_tls(self) -> TlsContexts:
        try:
            return TlsContexts(self._settings.sink.insecure_tls)
        except ValueError as error:
            raise StartError(f"sink.insecure_tls: {error}") from None

    def _make_sinks(self, egress: EgressPolicy, tls: TlsContexts) -> SinkFactory:
        return SinkFactory(
            egress,
            tls,
            own_pass=self._own_pass,
            give_up_after=self._settings.sink.give_up_after,
            max_sinks=self._settings.sink.max_per_session,
        )

    def _make_origin(self) -> OriginServer:
        assert self.stream_url is not None
        authorize = None
        if self._admission is not None:
            limiter = RateLimiter(self._settings.limits.posts_per_minute)
            authorize = RtmpAdmission(self._admission, self.stream_url, limiter.wait)
        return OriginServer(
            authorize,
            own_pass=self._own_pass,
            takeover_after=self._settings.session.takeover_after,
            takes_over=self._settings.session.on_conflict == "takeover",
        )

    def _make_worker(self, sockets: "_Sockets", sinks: SinkFactory) -> Worker:
        settings = self._settings
        addresses = announced_addresses(settings.media.host, settings.media.public_addresses)
        port = settings.media.public_port or self.media_port
        limits = settings.session
        return Worker(
            sockets.media,
            announced=[(address, port) for address in addresses],
            post_event=self._link.post_event,
            rules=SessionRules(
                timeouts=Timeouts(
                    limits.setup_timeout, limits.silence_timeout, limits.takeover_after, limits.video_silence
                ),
                silent_audio=settings.sink.silent_audio,
                max_video=settings.inputs.max_video,
                policy=Policy(settings.quality.policy),
                min_video_bitrate=settings.quality.min_video_bitrate,
            ),
            sinks=sinks,
            tcp_listener=sockets.media_tcp,
        )

    def _make_directory(self, egress: EgressPolicy) -> SessionDirectory:
        return SessionDirectory(
            self._link,
            lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
            self._settings.session.max_sessions,
            takes_over=self._settings.session.on_conflict == "takeover",
            egress=egress,
            sessions_per_address=self._settings.limits.sessions_per_address,
        )


class _Sockets(NamedTuple):
    http: socket.socket
    media: socket.socket
    media_tcp: socket.socket | None
    rtmp: socket.socket | None


def _is_exposed(settings: Settings) -> bool:
    """Tell whether others than this machine can publish, by HTTP or by RTMP."""
    return _is_http_exposed(settings) or _is_rtmp_exposed(settings)


def _is_http_exposed(settings: Settings) -> bool:
    """Directly, or through a proxy."""
    http = settings.http
    return http.public_url is not None or bool(http.trusted_proxies) or not is_loopback_host(http.host)


def _is_rtmp_exposed(settings: Settings) -> bool:
    return settings.rtmp.enabled and not is_loopback_host(settings.rtmp.host)


def _plays_by_http(settings: Settings) -> bool:
    """Tell whether streams can be had by HTTP-FLV: by default to nobody who could not play them by RTMP."""
    way = settings.rtmp.http_flv
    return way == "on" or (way == "auto" and (_is_rtmp_exposed(settings) or not _is_http_exposed(settings)))


def _raise_descriptor_limit() -> None:
    # A session into the own origin holds three descriptors, both ends of a TCP connection and one more of the
    # sink's: the usual soft limit of 1024 ends below 350 sessions. Where it may not be raised, it stays.
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _for_url(host: str) -> str:
    """A host as a URL holds it; a wildcard is reached on loopback."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
