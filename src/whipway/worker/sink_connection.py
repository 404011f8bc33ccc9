"""One attempt to reach the RTMP server that a sink names: the way there, TLS, bytes in and out.

The policy says which addresses may be connected to; they are tried in turn. Whoever uses the connection hears
once that it is open, and at most once that it is over; after `close` or `abort` it hears nothing. So there
is no word from an old attempt that could be taken for one of the next.

Reading goes on while the server takes nothing: its acknowledgements and its last words are what tells the
truth about it.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import structlog

from whipway.protocol.rtmp.url import RtmpUrl
from whipway.tcp import TcpConnection, keep_alive
from whipway.worker.egress import EgressPolicy, EgressRefused
from whipway.worker.tcp_progress import (
    acknowledged_bytes,
    limit_farewell,
    not_sent_bytes,
    queued_bytes,
    reset_on_close,
    tune,
)
from whipway.worker.tls import TlsContexts, explain_tls

CONNECT_TIMEOUT = 8.0
"""Seconds for all of it: the name, its addresses, TLS."""
ADDRESS_TIMEOUT = 3.0
"""Seconds for one of several addresses, two attempts of TCP (RFC 6298: after one second), before the next."""
MIN_HANDSHAKE_TIMEOUT = 0.1
"""Seconds; the event loop wants some, even if all the time is used up."""
WRITE_BUFFER_BYTES = 64 * 1024
"""In the program, below the sink. More would wait where no frame can be dropped any more."""

log = structlog.get_logger("worker")


class ConnectionUser(Protocol):
    """Who has a connection made, and hears of it."""

    def connection_opened(self, is_own: bool) -> None:
        """It can be written to. `is_own`: it leads to this server's own origin."""

    def connection_received(self, data: bytes) -> None:
        """Bytes from the server."""

    def connection_ended(self) -> None:
        """The server sends no more. The connection is lost in a moment."""

    def connection_writable(self, writable: bool) -> None:
        """False: enough was written for now; True: go on."""

    def connection_failed(self, reason: str, detail: str) -> None:
        """It could not be made, or is lost. `reason` is one word, `detail` a sentence."""


class SinkConnection(TcpConnection):
    """Connects as soon as it is made."""

    def __init__(self, user: ConnectionUser, url: RtmpUrl, egress: EgressPolicy, tls: TlsContexts) -> None:
        super().__init__()
        self._user: ConnectionUser | None = user
        self._url = url
        self._egress = egress
        self._tls = tls
        self._sock: socket.socket | None = None
        """Set once TCP has connected. Ours, to tune and to ask: the loop has a descriptor of its own."""
        self._end = self.close_soon
        """What is left to do when connecting is over and nobody wants the connection any more."""
        self._is_own = False
        self._sent_bytes = 0
        self._connecting = self.loop.create_task(self._connect())

    def send(self, data: list[bytes]) -> None:
        """Write all of it at once, if the connection is open."""
        if self.transport is not None and self.is_open:
            joined = b"".join(data)
            self._sent_bytes += len(joined)
            self.transport.write(joined)

    @property
    def acknowledged_bytes(self) -> int:
        """What the server's TCP has. Where that is not known: what this program is rid of."""
        count = acknowledged_bytes(self._sock) if self._sock is not None else None
        return self._sent_bytes - self.backlog_bytes if count is None else count

    @property
    def unsent_bytes(self) -> int:
        """Written, and not acknowledged. Where that is not known: what TCP has not taken."""
        return self.backlog_bytes + (queued_bytes(self._sock) if self._sock is not None else 0)

    @property
    def waiting_bytes(self) -> int:
        """Written, and not even sent. Where that is not known: what TCP has not taken."""
        return self.backlog_bytes + (not_sent_bytes(self._sock) if self._sock is not None else 0)

    def close(self) -> None:
        """Close the connection, or stop connecting, once all that was sent is taken. Nothing is reported."""
        if self._sock is not None:
            limit_farewell(self._sock)
        self._leave(self.close_soon)

    def abort(self) -> None:
        """The same at once: what waits is thrown away, in the kernel too."""
        if self._sock is not None:
            reset_on_close(self._sock)
        self._leave(super().abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        if self._user is not None:
            self._user.connection_opened(self._is_own)

    def data_received(self, data: bytes) -> None:
        if self._user is not None:
            self._user.connection_received(data)

    def eof_received(self) -> bool:
        if self._user is not None:
            self._user.connection_ended()
        return False

    def pause_writing(self) -> None:
        if self._user is not None:
            self._user.connection_writable(False)

    def resume_writing(self) -> None:
        if self._user is not None:
            self._user.connection_writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._release()
        self._fail("connection_lost", _explain("the connection to the RTMP server was lost", exc))

    def _leave(self, end: Callable[[], None]) -> None:
        """Hear no more, and have the connection ended, however far it is."""
        self._user = None
        self._end = end
        if self._connecting.done():
            end()
        elif self._sock is None:
            self._connecting.cancel()
        elif self.transport is None:
            # In the TLS handshake, which ends by that.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        """Close our descriptor. Until then TCP does not end, even if the loop has closed its own."""
        if self._sock is not None:
            self._sock.close()

    def _fail(self, reason: str, detail: str) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.connection_failed(reason, detail)

    async def _connect(self) -> None:
        name = f"the RTMP server {self._shown}"
        try:
            # Before there is a socket that could be left open if this went wrong.
            context = self._tls.get(self._url.host) if self._url.tls else None
            give_up = self.loop.time() + CONNECT_TIMEOUT
            async with asyncio.timeout_at(give_up):
                self._sock = await self._reach(give_up)
            await self._open(self._sock, context, give_up)
        except EgressRefused as refusal:
            self._fail("egress_refused", str(refusal))
        except ssl.SSLError as error:
            self._fail("tls", f"no TLS with {name}: {explain_tls(error)}")
        except OSError as error:  # TimeoutError and socket.gaierror are OSErrors.
            self._fail(*self._explain_failure(name, error))
        except Exception:
            # A bug: one traceback; the sink is to know all the same that nothing comes of this.
            log.exception("connecting failed")
            self._fail("unreachable", f"no connection to {name}")
        if self.transport is None:
            self._release()
        if self._user is None:
            self._end()

    def _explain_failure(self, name: str, error: OSError) -> tuple[str, str]:
        """Reason and detail; what did not come about depends on how far it had come."""
        if self._sock is None:
            if isinstance(error, TimeoutError):
                return "unreachable", f"{name} did not answer in {CONNECT_TIMEOUT:.0f} s"
            return "unreachable", _explain(f"no connection to {name}", error)
        if isinstance(error, ConnectionAbortedError):  # So the loop calls a handshake that takes too long.
            return "timeout", f"{name} did not answer the TLS handshake in {CONNECT_TIMEOUT:.0f} s"
        what = "the TLS handshake" if self._url.tls else "the connection"
        return "connection_lost", _explain(f"{name} broke off {what}", error)

    @property
    def _shown(self) -> str:
        host = self._url.host
        return f"[{host}]:{self._url.port}" if ":" in host else f"{host}:{self._url.port}"

    async def _reach(self, give_up: float) -> socket.socket:
        """Connect to one of the addresses that the policy allows, never to the name, which may change."""
        *others, last = await self._egress.addresses(self._url.host, self._url.port)
        # Each gets its share of the time, or those at the end would never be tried.
        share = (give_up - self.loop.time()) / (len(others) + 1)
        for address in others:
            with contextlib.suppress(OSError):  # TimeoutError is one.
                async with asyncio.timeout(min(share, ADDRESS_TIMEOUT)):
                    return await self._connect_to(address)
        return await self._connect_to(last)

    async def _connect_to(self, address: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            tune(sock)
            keep_alive(sock)
            await self.loop.sock_connect(sock, (address, self._url.port))
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError) and error.errno is not None:
                # The loop's own words hold the address, which may be one that only this side is to know.
                raise OSError(error.errno, os.strerror(error.errno)) from None
            raise
        self._is_own = self._egress.is_own(address, self._url.port)
        return sock

    async def _open(self, sock: socket.socket, context: ssl.SSLContext | None, give_up: float) -> None:
        """Let the loop take over. A certificate must be good for the host that the URL names."""
        handed = sock.dup()
        try:
            if context is None:
                await self.loop.create_connection(lambda: self, sock=handed)
                return
            await self.loop.create_connection(
                lambda: self,
                sock=handed,
                ssl=context,
                server_hostname=self._url.host,
                ssl_handshake_timeout=max(give_up - self.loop.time(), MIN_HANDSHAKE_TIMEOUT),
            )
        finally:
            _forget_if_closed(handed, sock)


def _forget_if_closed(handed: socket.socket, ours: socket.socket) -> None:
    """Part with a descriptor that the loop has closed: its number may be somebody else's by now.

    uvloop binds itself to a socket object only some time after it has told of the connection. If the server
    resets in that time, the descriptor is closed, and the object would close it once more. `ours` is of the
    same connection. It is closed where `connection_lost` was called, and then the loop's own is, too.
    """
    try:
        is_open = os.path.sameopenfile(handed.fileno(), ours.fileno())
    except OSError:  # One of them is no descriptor at all.
        is_open = False
    if not is_open:
        handed.detach()


def _explain(what: str, error: Exception | None) -> str:
    # Some errors of the loop's own have no words.
    words = (error.strerror or str(error)) if isinstance(error, OSError) else ""
    return f"{what}: {words}" if words else what
