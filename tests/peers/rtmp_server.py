"""An RTMP server in small on real TCP: takes every stream and writes down what happens.

It drives the project's own `ServerConnection` machine and has nothing of the origin.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until

from whipway.protocol.rtmp.server import MediaReceived, PublishRequested, ServerConnection


class RtmpServer(asyncio.Protocol):
    """One connection of an RTMP server that takes every stream."""

    def __init__(self) -> None:
        self.machine = ServerConnection(random=os.urandom, now=0.0)
        self.transport: asyncio.Transport | None = None
        self.events: list[object] = []
        self.lost = False

    @property
    def connected(self) -> asyncio.Transport:
        assert self.transport is not None
        return self.transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.machine.receive_data(data, 0.0)
        for event in self.machine.events():
            self.events.append(event)
            if isinstance(event, PublishRequested):
                self.machine.accept_publish()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def flush(self) -> None:
        self.connected.write(b"".join(self.machine.data_to_send()))

    @property
    def payloads(self) -> list[bytes]:
        return [event.message.payload for event in self.events if isinstance(event, MediaReceived)]


class Listener:
    """Where publishers connect to. `protocol` is the last connection's."""

    def __init__(self) -> None:
        self.protocol: RtmpServer | None = None
        self.port = 0

    def accept(self) -> RtmpServer:
        self.protocol = RtmpServer()
        return self.protocol

    async def connection(self) -> RtmpServer:
        return await until(lambda: self.protocol)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A server on a free loopback port, for as long as the block runs."""
    listener = Listener()
    server = await asyncio.get_running_loop().create_server(listener.accept, HOST, 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        await server.wait_closed()
        if (protocol := listener.protocol) is not None and protocol.transport is not None:
            protocol.transport.abort()
            await until(lambda: protocol.lost)
