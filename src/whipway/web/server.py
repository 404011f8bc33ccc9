"""The HTTP server: uvicorn, on a socket that is bound already, stopped by whoever started it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from whipway.tcp import TCP_BACKLOG
from whipway.web.http import HttpProtocol
from whipway.web.tls import TlsFiles

STOP_TIMEOUT = 1
"""Seconds, the last resort: connections give up by themselves after web.http.STOP_TIMEOUT, without a trace in
the log, where uvicorn cancels what is left and logs that as an error."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds for TLS; until it is through, a connection counts for nobody."""
REFRESH_TICKS = 600
"""Of a tenth of a second: how often the certificate's files are looked at."""


class HttpServer(uvicorn.Server):
    """Serves an application until `should_exit` is set; `tls` makes it HTTPS."""

    def __init__(self, app: ASGIApp, sock: socket.socket, tls: TlsFiles | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                log_config=None,
                log_level="error",  # Whatever else a peer can make it say is no news.
                access_log=False,
                proxy_headers=False,  # Its default believes whoever connects from this machine.
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=STOP_TIMEOUT,
            )
        )
        self._sock = sock
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Uvicorn's own leaves a client sixty seconds for its TLS handshake."""
        await self.lifespan.startup()
        self.servers = [
            await asyncio.get_running_loop().create_server(
                self._make_protocol,
                sock=self._sock,
                backlog=TCP_BACKLOG,
                ssl=self._tls.context if self._tls else None,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT if self._tls else None,
            )
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn every tenth of a second; True ends it."""
        if self._tls is not None and counter % REFRESH_TICKS == 0:
            self._tls.refresh()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the gateway decides when it stops."""
        yield

    def _make_protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self.config, self.server_state, {})
