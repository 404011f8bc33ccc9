"""The driver of one sink: a TCP (or TLS) connection around the `Sink` machine."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from whipway.protocol.rtmp.url import RtmpUrl
from whipway.relay.muxer import Tag
from whipway.relay.sink import Sink, SinkEvent

CONNECT_TIMEOUT = 8.0
"""Seconds. Below the publisher's own patience, so that a host that does not answer is called just that."""
CLOSE_TIMEOUT = 5.0
"""Seconds a server has to take what was written to it before its connection is cut."""


class SinkConnection(asyncio.Protocol):
    """Connects, feeds the sink what the server says, writes what the sink wants to.

    `on_event` is called with every event of the sink.
    """

    def __init__(self, sink: Sink, url: RtmpUrl, on_event: Callable[[SinkEvent], None]) -> None:
        self.sink = sink
        self._url = url
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = self._loop.create_task(self._connect())

    def push(self, tags: list[Tag]) -> None:
        """Send tags, or keep them until the server has accepted the stream."""
        backlog = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self.sink.push(tags, backlog, self._loop.time())
        self._drain()

    def close(self) -> None:
        """End the publish politely and the connection after it. Nothing is reported afterwards."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.sink.close()
        self._drain()
        self._set_timer(None)
        if self._transport is not None:
            self._transport.close()
            self._cut = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass.
        self._drain()

    def data_received(self, data: bytes) -> None:
        self.sink.receive_data(data, self._loop.time())
        self._drain()

    def eof_received(self) -> bool:
        self.sink.receive_eof()
        self._drain()
        return False

    def pause_writing(self) -> None:
        # What the server says may ask for answers: none are made while it does not take them.
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._cut is not None:
            self._cut.cancel()
        self.sink.fail("connection_lost", _explain("the connection to the RTMP server was lost", exc))
        self._drain()

    async def _connect(self) -> None:
        context = ssl.create_default_context() if self._url.tls else None
        name = f"{self._url.host}:{self._url.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._loop.create_connection(lambda: self, self._url.host, self._url.port, ssl=context)
        except TimeoutError:
            self.sink.fail("unreachable", f"the RTMP server {name} did not answer in {CONNECT_TIMEOUT:.0f} s")
        except (OSError, UnicodeError) as error:
            # ssl.SSLError and socket.gaierror are OSErrors; a host that is no DNS name is a UnicodeError.
            self.sink.fail("unreachable", _explain(f"no connection to the RTMP server {name}", error))
        self._connecting = None
        self._drain()

    def _drain(self) -> None:
        if self._transport is not None and (data := self.sink.data_to_send()):
            self._transport.write(b"".join(data))
        for event in self.sink.events():
            self._on_event(event)
        self._set_timer(self.sink.deadline())

    def _set_timer(self, deadline: float | None) -> None:
        if deadline == self._deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._deadline = None
        self.sink.handle_timeout(self._loop.time())
        self._drain()


def _explain(what: str, error: Exception | None) -> str:
    return f"{what}: {error.strerror or error}" if isinstance(error, OSError) else what
