"""An RTMP server in small on real TCP: takes every stream and writes down what happens.

It drives the project's own `ServerConnection` machine and has nothing of the origin. Servers that are less
kind are in `hostile_rtmp`.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until

from whipway.protocol.rtmp.messages import Message
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
                self.decide()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def decide(self) -> None:
        """What becomes of a publisher."""
        self.machine.accept_publish()

    def flush(self) -> None:
        if data := b"".join(self.machine.data_to_send()):
            self.connected.write(data)

    @property
    def media(self) -> list[Message]:
        return [event.message for event in self.events if isinstance(event, MediaReceived)]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.media]


class Listener:
    """Where publishers connect to. `protocol` is the last connection's."""

    def __init__(self, make: Callable[[], RtmpServer] = RtmpServer) -> None:
        self.make = make
        """For the next connection; may be changed at any time."""
        self.connections: list[RtmpServer] = []
        self.port = 0

    @property
    def protocol(self) -> RtmpServer | None:
        return self.connections[-1] if self.connections else None

    def accept(self) -> RtmpServer:
        self.connections.append(self.make())
        return self.connections[-1]

    async def connection(self, number: int = 1) -> RtmpServer:
        """The connection that was made as the first, second … one, once TCP has made it."""
        await until(lambda: len(self.connections) >= number and self.connections[number - 1].transport)
        return self.connections[number - 1]


@asynccontextmanager
async def listening(
    make: Callable[[], RtmpServer] = RtmpServer,
    *,
    host: str = HOST,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> AsyncIterator[Listener]:
    """A server on a free loopback port, for as long as the block runs.

    `receive_buffer`: bytes that the kernel takes for a connection that nobody reads.
    """
    listener = Listener(make)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind((host, port))
    server = await asyncio.get_running_loop().create_server(listener.accept, sock=sock, ssl=tls)
    listener.port = sock.getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for protocol in listener.connections:
            if protocol.transport is not None:
                protocol.transport.abort()
                await until(lambda protocol=protocol: protocol.lost)  # type: ignore[misc]
        await server.wait_closed()
