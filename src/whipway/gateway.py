"""The composition root: builds every part, starts them in order, stops them in reverse.

Order: sockets (so that a port in use is said before anything runs), RTMP origin, media worker, HTTP. Stopping
ends the sessions first, so that encoders and RTMP servers are told, then the servers.
"""

import asyncio
import contextlib
import resource
import secrets
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from whipway.config import Settings
from whipway.origin.server import OriginServer
from whipway.streams.sessions import SessionDirectory
from whipway.web.app import make_app
from whipway.web.http import HttpProtocol
from whipway.worker.addresses import announced_addresses
from whipway.worker.link import LocalLink
from whipway.worker.sockets import bind_tcp, bind_udp
from whipway.worker.worker import Worker

SESSION_ID_BYTES = 24
HTTP_STOP_TIMEOUT = 1
"""Seconds, the last resort: connections give up by themselves after web.http.STOP_TIMEOUT, without a trace in
the log, where uvicorn cancels what is left and logs that as an error."""

log = structlog.get_logger("gateway")


class StartError(Exception):
    """The server cannot start. The message is one line and names the configuration key."""


class _HttpServer(uvicorn.Server):
    """Uvicorn without its own signal handling: the gateway decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Gateway:
    """One running Whipway. `start`, then wait for whatever ends it, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._origin = OriginServer()
        self._link = LocalLink()
        self._worker: Worker | None = None
        self._http: _HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.http_port = self.media_port = self.rtmp_port = 0

    async def start(self) -> None:
        """Bind and serve. Raises StartError."""
        _raise_descriptor_limit()
        http, media, rtmp = self._bind()
        if rtmp is not None:
            await self._origin.start(rtmp)
        self._worker = self._make_worker(media)
        self._link.attach(self._worker)
        directory = SessionDirectory(
            self._link,
            lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
            self._settings.session.max_sessions,
            takes_over=self._settings.session.on_conflict == "takeover",
        )
        public_url = self._settings.http.public_url
        app = make_app(
            directory,
            default_stream_url=self.stream_url,
            public_url=str(public_url) if public_url else None,
        )
        self._http = _HttpServer(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                log_config=None,
                log_level="error",  # Whatever else a peer can make it say is no news.
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=HTTP_STOP_TIMEOUT,
            )
        )
        self._tasks = [
            asyncio.create_task(directory.follow_events(), name="session events"),
            asyncio.create_task(self._http.serve(sockets=[http]), name="http"),
        ]
        while not self._http.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """End all sessions politely, then everything else."""
        if self._worker is not None:
            self._worker.close()
        self._link.close()
        if self._http is not None:
            self._http.should_exit = True
        await asyncio.gather(*self._tasks)
        await self._origin.stop()

    @property
    def http_url(self) -> str:
        """The page to open."""
        if self._settings.http.public_url:
            return str(self._settings.http.public_url).rstrip("/")
        return f"http://{_for_url(self._settings.http.host)}:{self.http_port}"

    @property
    def stream_url(self) -> str | None:
        """`stream_url` of the embedded origin, if there is one."""
        if not self._settings.rtmp.enabled:
            return None
        return f"rtmp://{_for_url(self._settings.rtmp.host)}:{self.rtmp_port}/live"

    def _bind(self) -> tuple[socket.socket, socket.socket, socket.socket | None]:
        settings = self._settings
        with contextlib.ExitStack() as undo:

            def bind(key: str, make: object, host: str, port: int) -> socket.socket:
                try:
                    bound: socket.socket = make(host, port)  # type: ignore[operator]
                except (OSError, UnicodeError) as error:  # The latter: a host that is no DNS name.
                    reason = getattr(error, "strerror", None) or error
                    raise StartError(f"{key}: cannot listen on {host}:{port}: {reason}") from None
                undo.callback(bound.close)
                return bound

            http = bind("http.port", bind_tcp, settings.http.host, settings.http.port)
            media = bind("media.port", bind_udp, str(settings.media.host), settings.media.port)
            rtmp = None
            if settings.rtmp.enabled:
                rtmp = bind("rtmp.port", bind_tcp, settings.rtmp.host, settings.rtmp.port)
                self.rtmp_port = rtmp.getsockname()[1]
            undo.pop_all()
        self.http_port, self.media_port = http.getsockname()[1], media.getsockname()[1]
        return http, media, rtmp

    def _make_worker(self, media: socket.socket) -> Worker:
        settings = self._settings
        addresses = announced_addresses(settings.media.host, settings.media.public_addresses)
        port = settings.media.public_port or self.media_port
        return Worker(
            media,
            announced=[(address, port) for address in addresses],
            post_event=self._link.post_event,
            setup_timeout=settings.session.setup_timeout,
            silence_timeout=settings.session.silence_timeout,
            takeover_after=settings.session.takeover_after,
        )


def _raise_descriptor_limit() -> None:
    # A session into the own origin holds two descriptors, both ends of one TCP connection, so that the usual
    # soft limit of 1024 ends below 500 sessions. Where it may not be raised, it stays.
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _for_url(host: str) -> str:
    """A host as a URL holds it; a wildcard is reached on loopback."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
