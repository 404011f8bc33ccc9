"""What every TCP connection of a stream machine needs: an end that does not wait for ever, and a timer.

`StreamDriver` is a whole driver for a machine that lives as long as its connection. It feeds the machine
bytes, the end of the connection and time, lets the subclass handle events, and writes what the machine wants
to send, in one write per turn. While the peer does not take what was written, nothing more is read from it,
so that a peer that asks for answers without end is not answered without end.

A sink lives longer than its connections: `worker.sink_driver` puts the same parts together in another way.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

CLOSE_TIMEOUT = 5.0
"""Seconds a peer has to take what was written to it before its connection is cut."""
TCP_BACKLOG = 512
"""Connections that wait to be accepted. `create_server` sets it anew, so it has to be told there too."""
KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""A peer whose machine vanished is noticed after 40 s."""


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel look after a connection; those that a listening socket accepts inherit it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class StreamMachine(Protocol):
    """The verbs of docs/architecture.md that need a driver; events are the subclass's business."""

    def receive_data(self, data: bytes, now: float) -> None: ...

    def receive_eof(self) -> None: ...

    def handle_timeout(self, now: float) -> None: ...

    def deadline(self) -> float | None: ...

    def data_to_send(self) -> list[bytes]: ...


Machine = TypeVar("Machine", bound=StreamMachine)


class Timer:
    """Calls back when a machine's deadline has come. To be set anew after each use of the machine.

    Deadlines are mostly put off. The loop's timer stays for that: what comes too early waits on.
    """

    def __init__(self, on_time: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_time = on_time
        self._deadline = 0.0
        self._fires_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def set(self, deadline: float | None) -> None:
        """Wait for that moment of the loop's clock, and no other; None: for nothing."""
        if deadline is not None:
            self._deadline = deadline
            if self._handle is not None and self._fires_at <= deadline:
                return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if deadline is not None:
            self._wait()

    def _wait(self) -> None:
        self._fires_at = self._deadline
        self._handle = self._loop.call_at(self._deadline, self._fire)

    def _fire(self) -> None:
        if self._deadline > self._fires_at:
            self._wait()
            return
        self._handle = None
        self._on_time()


class TcpConnection(asyncio.Protocol):
    """A connection, or the hope of one: `transport` is None before and after it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._cut: asyncio.TimerHandle | None = None

    @property
    def backlog_bytes(self) -> int:
        """Written, and not taken by TCP yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    @property
    def is_open(self) -> bool:
        """Whether there is anybody to send to."""
        return self.transport is not None and not self.transport.is_closing()

    def close_soon(self) -> None:
        """Close the connection once everything written is taken, or a little later in any case."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self._cut = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def abort(self) -> None:
        """Cut the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass.

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._cut is not None:
            self._cut.cancel()


class StreamDriver(TcpConnection, ABC, Generic[Machine]):
    """One connection and its machine, from the first byte to the last."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self._timer = Timer(self._on_time)

    @abstractmethod
    def handle_events(self) -> None:
        """Drain the machine's events; called after every input."""

    def wanted_deadline(self) -> float | None:
        """When `on_deadline` is to be called. The machine's own wish, unless a subclass knows better."""
        return self.machine.deadline()

    def on_deadline(self) -> None:
        """The time has come."""
        self.machine.handle_timeout(self.loop.time())

    def drain(self) -> None:
        """Take everything the machine has to give. To be called after each use of it."""
        self.handle_events()
        self.write()
        self._timer.set(self.wanted_deadline())

    def write(self) -> None:
        """Send what the machine has written, if there is anybody to send it to."""
        if self.transport is None or self.transport.is_closing():
            return
        if data := self.machine.data_to_send():
            self.transport.write(b"".join(data))

    def close_soon(self) -> None:
        self._timer.set(None)
        super().close_soon()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.drain()

    def data_received(self, data: bytes) -> None:
        self.machine.receive_data(data, self.loop.time())
        self.drain()

    def eof_received(self) -> bool:
        self.machine.receive_eof()
        self.drain()
        return False

    def pause_writing(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._timer.set(None)

    def _on_time(self) -> None:
        self.on_deadline()
        self.drain()
