"""ICE over TCP: connections that carry a session's datagrams in frames (RFC 4571, RFC 6544).

Clients whose UDP is blocked connect to the same port number by TCP; this side only listens ("passive").
A connection is an address like any other to the worker, a tuple of three: host, port and a number that is
never given out again, so that nothing which is meant for a connection that is gone reaches its successor.
There is no task here: frames go on as they are read, in one list, and what a peer does not take is dropped,
as it would be on the way of a datagram. A connection that brings more than one batch at once is not read from
until all of it is handed over, and each turn of the loop takes one batch of one such connection. Whoever
connects has ten seconds and a few datagrams to prove by an ICE check that a session is meant, of which the
worker tells by `adopt`.
"""

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import cast

import structlog

from whipway.failures import DropReason, ParseError
from whipway.protocol.framing import Deframer, frame
from whipway.protocol.ice import Address
from whipway.tcp import TCP_BACKLOG, keep_alive

MAX_BATCH = 100
"""Frames taken from one read: about a millisecond of work. The largest read of uvloop (250 KiB) always holds
more, even of the largest frames: so it ends by a pause, without which as much again would be read in the same
turn of the loop, up to 32 times."""
MAX_CONNECTIONS = 2000
"""Of sessions."""
MAX_STRANGERS = 256
"""Connections that no session has adopted. One that is meant lives as such for a round trip."""
MAX_STRANGER_DATAGRAMS = 32
"""A client repeats its first check some 20 times a second while the answer is on its way."""
ADOPT_TIMEOUT = 10.0
"""Seconds from the connection to the first ICE check of a session, which a client sends at once."""
CLOSE_TIMEOUT = 5.0
"""Seconds a peer has to take what was written to it before its connection is cut."""
MAX_BACKLOG_BYTES = 256 * 1024
"""Written, and not taken yet. A session sends feedback only, some kbit/s: such a peer is as good as gone."""

log = structlog.get_logger("worker")


class TcpMedia:
    """The media connections behind one listening socket. `receive` gets datagrams and the address they came
    from; `drops` is where malformed frames are counted."""

    def __init__(
        self,
        listener: socket.socket,
        receive: Callable[[list[bytes], Address], None],
        drops: Counter[DropReason],
    ) -> None:
        self.receive = receive
        self.drops = drops
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._is_open = True
        self._last_number = 0
        self._connections: dict[Address, _Connection] = {}
        self._strangers: dict[Address, _Connection] = {}
        """Those among them that no session has adopted, the oldest first."""
        self._waiting: deque[_Connection] = deque()
        """Those that have more to hand over, and are not read from meanwhile."""

    async def start(self) -> None:
        """Begin to accept connections."""
        # Accepted connections inherit all of it.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(self._listener)
        # The loop calls listen() once more.
        self._server = await self._loop.create_server(
            lambda: _Connection(self), sock=self._listener, backlog=TCP_BACKLOG
        )

    def send(self, data: bytes, addr: Address) -> None:
        """Send a datagram; dropped when the connection is gone or its peer does not take what is written."""
        if connection := self._connections.get(addr):
            connection.send(data)

    def adopt(self, addr: Address) -> None:
        """A session has this address: the connection may stay."""
        connection = self._strangers.pop(addr, None)
        if connection is not None and not connection.is_closing():
            connection.settle()

    def release(self, addr: Address) -> None:
        """The session of this address is over: close once what is written is taken, or soon in any case."""
        if connection := self._connections.get(addr):
            connection.close_soon()

    def close(self) -> None:
        """Stop accepting, and release every connection. Idempotent."""
        self._is_open = False
        if self._server is None:
            self._listener.close()
        else:
            self._server.close()
        for connection in self._connections.values():
            connection.close_soon()

    def admit(self, connection: "_Connection", host: str, port: int) -> Address:
        """The address of a new connection, an empty one when it cannot stay."""
        if not self._is_open:  # It was accepted just before.
            return ()
        if len(self._connections) - len(self._strangers) >= MAX_CONNECTIONS:
            return ()
        if len(self._strangers) >= MAX_STRANGERS:
            # Else a few hundred idle connections would keep every client out for ten seconds.
            next(iter(self._strangers.values())).abort()
        self._last_number += 1
        addr = (host, port, self._last_number)
        self._connections[addr] = self._strangers[addr] = connection
        return addr

    def forget(self, addr: Address) -> None:
        """A connection is lost, or as good as lost."""
        self._connections.pop(addr, None)
        self._strangers.pop(addr, None)

    def wait(self, connection: "_Connection") -> None:
        """Have this connection, which is paused, go on with what it has in the turns to come."""
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        connection = self._waiting[0]
        if connection.hand_over():
            self._waiting.rotate(-1)
        else:
            self._waiting.popleft()
            connection.resume()
        if self._waiting:
            self._loop.call_soon(self._go_on)


class _Connection(asyncio.Protocol):
    """One connection. Its address is empty before it is made, and when it was not admitted."""

    def __init__(self, media: TcpMedia) -> None:
        self._media = media
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._addr: Address = ()
        self._deframer = Deframer()
        self._is_stranger = True
        self._datagrams = 0  # that came while it is one
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass.
        peer = _peer_of(self._transport)
        self._addr = self._media.admit(self, *peer) if peer else ()
        if self._addr:
            self.set_limit(ADOPT_TIMEOUT)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._addr and self.hand_over(data):
            self._transport.pause_reading()
            self._media.wait(self)

    def eof_received(self) -> None:
        # ICE has no use for a connection of one direction. The session learns of it by silence, if at all.
        self.close_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self.set_limit(None)
        self._media.forget(self._addr)

    def hand_over(self, data: bytes = b"") -> bool:
        """Hand one batch over, of `data` and what waits; tell whether more waits behind it."""
        if self.is_closing():
            return False
        limit = MAX_STRANGER_DATAGRAMS if self._is_stranger else MAX_BATCH
        try:
            datagrams = self._deframer.receive_data(data, limit)
        except ParseError as error:
            self._media.drops[error.reason] += 1
            self.abort()
            return False
        if datagrams:
            self._receive(datagrams)
        if self._is_stranger:
            self._judge(len(datagrams))
        return self._deframer.has_more and not self.is_closing()

    def resume(self) -> None:
        """Read on after a pause."""
        if not self.is_closing():
            self._transport.resume_reading()

    def settle(self) -> None:
        """It belongs to a session from now on."""
        self._is_stranger = False
        self.set_limit(None)

    def send(self, data: bytes) -> None:
        """Write a frame, unless too much waits already."""
        if not self.is_closing() and self._transport.get_write_buffer_size() <= MAX_BACKLOG_BYTES:
            self._transport.write(frame(data))

    def is_closing(self) -> bool:
        """Whether it is over, though the peer may still take what was written."""
        return self._transport.is_closing()

    def set_limit(self, seconds: float | None) -> None:
        """Cut the connection after that time, or never."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self._loop.call_later(seconds, self.abort)

    def close_soon(self) -> None:
        """Close the connection once everything written is taken, or a little later in any case."""
        if not self.is_closing():
            self._transport.close()
            self.set_limit(CLOSE_TIMEOUT)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._media.forget(self._addr)
        self._transport.abort()

    def _receive(self, datagrams: list[bytes]) -> None:
        try:
            self._media.receive(datagrams, self._addr)
        except Exception:
            # A bug: this connection ends, the others never notice.
            log.exception("media connection failed")
            self.abort()

    def _judge(self, datagrams: int) -> None:
        """Cut a stranger that goes on and on without a check; empty frames count where there are many."""
        self._datagrams += datagrams
        if self._deframer.has_more or self._datagrams > MAX_STRANGER_DATAGRAMS:
            self.abort()


def _peer_of(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Host and port, or None when the peer has gone already. An IPv6 address comes with two more parts."""
    try:
        peer = transport.get_extra_info("peername")
    except OSError:  # uvloop asks the kernel only now.
        return None
    return (peer[0], peer[1]) if peer else None
