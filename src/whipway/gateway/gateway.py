"""One running server: every part, started in order and stopped in reverse.

Order: sockets (so that a port in use is said before anything runs), database, RTMP origin, media workers,
HTTP. Stopping ends the sessions first, so that encoders and RTMP servers are told, then the servers, and the
database last: how every stream ended is written down.
"""

import asyncio
import contextlib
import secrets

from whipway.config import Settings, Token
from whipway.gateway.binding import Sockets, bind_all, raise_descriptor_limit
from whipway.gateway.exposure import exposure_notes, for_url, is_exposed, metrics_need_key, plays_by_http
from whipway.gateway.keeping import Keeping, open_keeping
from whipway.gateway.media_workers import Media, count_workers, make_media
from whipway.gateway.parts import Parts, check_egress, make_parts, make_sink_tls, origin_url
from whipway.gateway.services import make_services
from whipway.gateway.start_error import StartError
from whipway.streams.access.admission import Admission, make_admission
from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.access.tokens import make_token
from whipway.web.app import make_app, make_bintu_app
from whipway.web.server import HttpServer
from whipway.web.services import Services
from whipway.web.tls import TlsError, TlsFiles

DRAIN_POLL = 0.1
"""Seconds between two looks at how many sessions are left."""


class Gateway:
    """One running Whipway. `start`, then wait for whatever ends it, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeping: Keeping | None = None
        self._media: Media | None = None
        self._parts: Parts | None = None
        self._admission: Admission | None = None
        self.services: Services | None = None
        """What the routes work with, once it has started."""
        self._https: list[HttpServer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.http_port = self.media_port = self.rtmp_port = self.bintu_port = 0
        self._first_key: str | None = None
        self.token: str | None = None
        """Made for this run, where authentication is on and nothing else is set up to authenticate by."""

    async def start(self) -> None:
        """Bind and serve. Raises StartError."""
        raise_descriptor_limit()
        settings = self._settings
        tls = self._load_tls()
        check_egress(settings)
        sink_tls = make_sink_tls(settings)
        async with contextlib.AsyncExitStack() as undo:
            sockets = bind_all(settings, count_workers(settings) or 1)
            undo.callback(sockets.close)
            # Whatever has begun by then; sockets that nobody took yet are closed after it.
            undo.push_async_callback(self.stop)
            media = self._media = make_media(settings, sockets, sink_tls)
            # They take their time, and so does the database.
            media.workers.begin()
            keeping = self._keeping = await open_keeping(settings)
            self._admission = self._make_admission(keeping.tokens)
            self._note_ports(sockets)
            self._parts = make_parts(settings, keeping, self._admission, sockets, media)
            keeping.webhooks.start()
            await self._parts.start(sockets)
            await self._serve(sockets, tls)
            # Last: it is shown once, by whoever started this.
            self._first_key = await keeping.keys.ensure_first()
            undo.pop_all()

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return self._parts.sessions.live_count if self._parts is not None else 0

    async def drain(self) -> None:
        """Take no more sessions, and wait until those that there are have ended."""
        assert self._parts is not None
        self._parts.sessions.drain()
        while self.session_count:
            await asyncio.sleep(DRAIN_POLL)

    async def stop(self) -> None:
        """End all sessions politely, then everything else."""
        for server in self._https:
            server.should_exit = True
        # Together: HTTP-FLV players are told the end of their streams, and are waited for.
        stopping = []
        if self._parts is not None:
            stopping.append(self._parts.stop())
        elif self._media is not None:
            stopping.append(self._media.workers.stop())
        await asyncio.gather(*stopping, *self._tasks)
        if self._keeping is not None:
            await self._keeping.close()
        if self._admission is not None:
            await self._admission.close()

    @property
    def http_url(self) -> str:
        """The page to open."""
        if self._settings.http.public_url:
            return str(self._settings.http.public_url).rstrip("/")
        scheme = "https" if self._settings.tls.cert else "http"
        return f"{scheme}://{for_url(self._settings.http.host)}:{self.http_port}"

    @property
    def bintu_url(self) -> str:
        """Where the bintu API is alone, if it has a listener of its own."""
        scheme = "https" if self._settings.tls.cert else "http"
        return f"{scheme}://{for_url(self._settings.bintu.host)}:{self.bintu_port}"

    @property
    def stream_url(self) -> str | None:
        """`stream_url` of the embedded origin, if there is one."""
        return origin_url(self._settings, self.rtmp_port)

    @property
    def first_key(self) -> str | None:
        """The admin key that this start has made, where there was none; it is told once."""
        return self._first_key

    def notes(self) -> list[str]:
        """What whoever starts this server should know, one line each."""
        return exposure_notes(self._settings, asks_publishers=self._admission is not None)

    async def _serve(self, sockets: Sockets, tls: TlsFiles | None) -> None:
        assert self._keeping is not None and self._parts is not None
        services = self.services = make_services(
            self._settings, self._keeping, self._parts, self._admission, rtmp_port=self.rtmp_port
        )
        origin = self._parts.origin if plays_by_http(self._settings) else None
        app = make_app(services, origin=origin, metrics_need_key=metrics_need_key(self._settings))
        self._https = [HttpServer(app, sockets.http, tls)]
        if sockets.bintu is not None:
            self._https.append(HttpServer(make_bintu_app(services), sockets.bintu, tls))
        self._tasks = [asyncio.create_task(server.serve(), name="http") for server in self._https]
        while not all(server.started for server in self._https):
            await asyncio.sleep(0.005)

    def _note_ports(self, sockets: Sockets) -> None:
        self.http_port, self.media_port = sockets.http_port, sockets.media_port
        self.rtmp_port, self.bintu_port = sockets.rtmp_port, sockets.bintu_port

    def _load_tls(self) -> TlsFiles | None:
        files = self._settings.tls
        if files.cert is None or files.key is None:
            return None
        try:
            return TlsFiles(files.cert, files.key)
        except TlsError as error:
            raise StartError(str(error)) from None

    def _make_admission(self, keys: KeyTokens) -> Admission | None:
        auth = self._settings.auth
        is_on = auth.enabled == "on" or (
            auth.enabled == "auto" and (auth.is_configured or is_exposed(self._settings))
        )
        if not is_on:
            return None
        made: list[Token] = []
        if not auth.is_configured:
            self.token, digest = make_token(secrets.token_bytes)
            made.append(Token(hash=digest, streams=["*"]))
        try:
            return make_admission(auth, extra_tokens=made, keys=keys)
        except ValueError as error:
            raise StartError(f"auth.jwks: {error}") from None
