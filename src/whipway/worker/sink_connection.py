"""The connection of one sink: by TCP or TLS to the RTMP server that it names."""

import asyncio
import ssl
from collections.abc import Callable

from whipway.protocol.rtmp.url import RtmpUrl
from whipway.relay.muxer import Tag
from whipway.relay.sink import Sink, SinkEvent
from whipway.tcp import StreamDriver

CONNECT_TIMEOUT = 8.0
"""Seconds. Below the publisher's own patience, so that a host that does not answer is called just that."""


class SinkConnection(StreamDriver[Sink]):
    """Connects as soon as it is made. `on_event` is called with every event of the sink."""

    def __init__(self, sink: Sink, url: RtmpUrl, on_event: Callable[[SinkEvent], None]) -> None:
        super().__init__(sink)
        self._url = url
        self._on_event = on_event
        self._connecting: asyncio.Task[None] | None = self.loop.create_task(self._connect())

    def push(self, tags: list[Tag]) -> None:
        """Send tags, or keep them until the server has accepted the stream."""
        self.machine.push(tags, self.backlog_bytes, self.loop.time())
        self.drain()

    def close(self) -> None:
        """End the publish politely and the connection after it. Nothing is reported afterwards."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.machine.close()
        self.drain()
        self.close_soon()

    def handle_events(self) -> None:
        for event in self.machine.events():
            self._on_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.machine.fail("connection_lost", _explain("the connection to the RTMP server was lost", exc))
        self.drain()

    async def _connect(self) -> None:
        context = ssl.create_default_context() if self._url.tls else None
        name = f"{self._url.host}:{self._url.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self.loop.create_connection(lambda: self, self._url.host, self._url.port, ssl=context)
        except TimeoutError:
            self.machine.fail(
                "unreachable", f"the RTMP server {name} did not answer in {CONNECT_TIMEOUT:.0f} s"
            )
        except OSError as error:  # ssl.SSLError and socket.gaierror are OSErrors.
            self.machine.fail("unreachable", _explain(f"no connection to the RTMP server {name}", error))
        self._connecting = None
        self.drain()


def _explain(what: str, error: Exception | None) -> str:
    return f"{what}: {error.strerror or error}" if isinstance(error, OSError) else what
