"""The driver of one sink: gives it connections, bytes and time, for as long as it lives.

`Sink` is a machine over all its connection attempts; this carries out what it wants of the network. There
is one connection at most, and one that is given up is no longer heard. Whenever the sink asks for it, it is
told how far TCP has come, which is how it knows whether the server takes anything.

What the event loop calls has nobody above it to hear of a bug, so it is guarded here; what the session calls
is guarded where the session is.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeAlias

import structlog

from whipway.protocol.rtmp.url import RtmpUrl
from whipway.relay.sinks.sink import CloseConnection, OpenConnection, Sink, SinkEvent
from whipway.relay.tags import Tag
from whipway.tcp import Timer
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_connection import SinkConnection
from whipway.worker.tls import TlsContexts

_TAKES_NOTHING = {"stalled", "too_slow"}
"""Failures after which waiting for what was written to be taken is in vain."""

log = structlog.get_logger("worker")


@dataclass(frozen=True, slots=True)
class SinkBroken:
    """A bug ended the driver, and is to end the session. The traceback is logged already."""


DriverEvent: TypeAlias = SinkEvent | SinkBroken

P = ParamSpec("P")


def _from_the_loop(
    method: Callable[Concatenate["SinkDriver", P], None],
) -> Callable[Concatenate["SinkDriver", P], None]:
    """Without this, a bug in a callback would leave the sink as it is, waiting for nothing."""

    @functools.wraps(method)
    def guarded(driver: "SinkDriver", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(driver, *args, **kwargs)
        except Exception:
            driver._break_off()

    return guarded


class SinkDriver:
    """Starts in the event loop's next turn. `on_event` gets what the sink reports, but for its connections.

    `on_event` may use the driver, and close it.
    """

    def __init__(
        self,
        sink: Sink,
        url: RtmpUrl,
        on_event: Callable[[DriverEvent], None],
        egress: EgressPolicy,
        tls: TlsContexts,
    ) -> None:
        self.machine = sink
        self._url = url
        self._on_event = on_event
        self._egress = egress
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timer = Timer(self._on_time)
        self._connection: SinkConnection | None = None
        self._is_writable = True
        self._is_closed = False
        self._is_draining = False
        # Not at once: who makes it must have it before it reports anything.
        self._loop.call_soon(self._drain_by_itself)

    def push(self, tags: list[Tag]) -> None:
        """Send tags, or keep what is worth it until the server takes them."""
        self.machine.push(tags, self._loop.time())
        self.drain()

    @property
    def waiting_bytes(self) -> int:
        """What the sink has handed over and TCP has not sent."""
        connection = self._connection
        return connection.waiting_bytes if connection is not None and connection.is_open else 0

    def note_progress(self) -> None:
        """Tell the machine how far TCP has come by now: before it is described.

        What comes of that is reported in the event loop's next turn, not to who is just describing.
        """
        self._note_progress(self._loop.time())
        if self.machine.has_events:
            self._loop.call_soon(self._drain_by_itself)

    def close(self) -> None:
        """End the publish politely and the connection after it. Nothing is reported afterwards."""
        if self._is_closed:
            return
        self._is_closed = True
        now = self._loop.time()
        self._note_progress(now)  # The last time that it can be known.
        self.machine.close(now)
        self.drain()
        self._end_connection(is_heard=True)
        self._timer.set(None)

    def drain(self) -> None:
        """Take everything the machine has to give. To be called after each use of it."""
        if self._is_draining:  # By `on_event`. The drain that called it takes what came of that.
            return
        self._is_draining = True
        try:
            self._take_events()
            # In pieces: the sink stops by itself when `connection_writable` tells it to.
            while self._write():
                self._take_events()
        finally:
            self._is_draining = False
        self._timer.set(None if self._is_closed else self.machine.deadline())

    @_from_the_loop
    def connection_opened(self, is_own: bool) -> None:
        self._is_writable = True
        self.machine.connected(self._loop.time(), is_own)
        self.drain()

    @_from_the_loop
    def connection_received(self, data: bytes) -> None:
        now = self._loop.time()
        # First: if these are the server's consent, all that was acknowledged so far were no media.
        self._note_progress(now)
        self.machine.receive_data(data, now)
        self.drain()

    @_from_the_loop
    def connection_ended(self) -> None:
        now = self._loop.time()
        self._note_progress(now)
        self.machine.receive_eof(now)
        self.drain()

    @_from_the_loop
    def connection_writable(self, writable: bool) -> None:
        self._is_writable = writable
        self.machine.set_writable(writable)
        self.drain()

    @_from_the_loop
    def connection_failed(self, reason: str, detail: str) -> None:
        self._connection = None
        self.machine.connection_failed(reason, detail, self._loop.time())
        self.drain()

    @_from_the_loop
    def _drain_by_itself(self) -> None:
        if not self._is_closed:
            self.drain()

    def _take_events(self) -> None:
        while events := self.machine.events():
            for event in events:
                self._handle(event)

    def _handle(self, event: SinkEvent) -> None:
        match event:
            case OpenConnection() if not self._is_closed:
                self._connection = SinkConnection(self, self._url, self._egress, self._tls)
            case CloseConnection():
                failure = self.machine.failure
                takes = failure is None or failure.reason not in _TAKES_NOTHING
                self._end_connection(is_heard=self._is_writable and takes)
            case _ if not self._is_closed:
                self._on_event(event)

    def _write(self) -> bool:
        """Send what the machine has, or a piece of it; whether there was any."""
        connection = self._connection
        if connection is None or not connection.is_open or not (data := self.machine.data_to_send()):
            return False
        connection.send(data)
        return True

    def _end_connection(self, is_heard: bool) -> None:
        """Say farewell to a server that may hear it. Another is left at once."""
        while is_heard and self._write():
            pass
        connection, self._connection = self._connection, None
        if connection is not None:
            (connection.close if is_heard else connection.abort)()

    @_from_the_loop
    def _on_time(self) -> None:
        now = self._loop.time()
        self._note_progress(now)
        self.machine.handle_timeout(now)
        self.drain()

    def _break_off(self) -> None:
        """A bug: one traceback, and no trust in the machine any more."""
        log.exception("sink failed")
        self._is_closed = True
        self._timer.set(None)
        self._end_connection(is_heard=False)
        with contextlib.suppress(Exception):  # The same bug once more.
            self.machine.close(self._loop.time())
        with contextlib.suppress(Exception):
            self._on_event(SinkBroken())

    def _note_progress(self, now: float) -> None:
        if (connection := self._connection) is not None and connection.is_open:
            self.machine.note_progress(connection.acknowledged_bytes, connection.unsent_bytes, now)
