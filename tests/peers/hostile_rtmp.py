"""RTMP servers as they are met on bad days: they stall, reset, vanish, stay silent, flood.

Each is one connection for `rtmp_server.listening`. Give the listener a small `receive_buffer` where a peer
that does not read is to be noticed soon: the kernel takes megabytes in its place otherwise.
"""

import asyncio
import socket
import struct

from tests.peers.rtmp_server import RtmpServer

from whipway.protocol.rtmp.messages import ControlEvent, user_control
from whipway.protocol.rtmp.server import State

SMALL_BUFFER = 16 * 1024
"""Bytes; the least that lets a hand-shake through in one piece."""


NO_LINGER = struct.pack("ii", 1, 0)
"""For SO_LINGER: a connection ends with a RST instead of a FIN (socket(7))."""


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a RST."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


def accept_and_reset(listener: socket.socket) -> None:
    """Reset the next connection before this returns, which is before its other end comes to anything."""
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    accepted.close()


class CountingServer(RtmpServer):
    """Does something once it is publishing and has read that many bytes."""

    limit = 200_000

    def __init__(self) -> None:
        super().__init__()
        self.received_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)
        if self.machine.state is State.PUBLISHING and self.received_bytes >= self.limit:
            self.reach_limit()

    def reach_limit(self) -> None:
        """Once or several times."""


class StopsReading(CountingServer):
    """Takes a stream and reads no more from some byte on; the connection stays open."""

    def reach_limit(self) -> None:
        self.connected.pause_reading()


class ResetsInChunk(CountingServer):
    """Resets the connection in the middle of a message, if that is longer than what is read at once."""

    def reach_limit(self) -> None:
        reset(self.connected)


class ClosesAtOnce(RtmpServer):
    """Accepts the connection, and closes it before any byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.close()


class NeverAnswers(RtmpServer):
    """Reads everything and says nothing."""

    def data_received(self, data: bytes) -> None:
        self.events.append(data)


class Refuses(RtmpServer):
    """Says no to every publisher, in words of its own."""

    code = "NetStream.Publish.BadName"
    description = "The name is taken."

    def decide(self) -> None:
        self.machine.refuse_publish(self.code, self.description)


class FloodsPings(RtmpServer):
    """Takes a stream, then asks for answers without end and reads none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.flooded_bytes = 0

    def decide(self) -> None:
        super().decide()
        self.flush()
        self.connected.pause_reading()
        asyncio.get_running_loop().call_soon(self.flood)

    def flood(self) -> None:
        """Write pings as fast as they are taken."""
        if self.connected.is_closing():
            return
        if self.connected.get_write_buffer_size() < 65536:
            ping = user_control(ControlEvent.PING_REQUEST, 1)
            # Long ones, since very many in one read end a connection by themselves.
            self.machine._link.send(ping._replace(payload=ping.payload + bytes(110)))
            data = b"".join(self.machine.data_to_send()) * 500
            self.flooded_bytes += len(data)
            self.connected.write(data)
        asyncio.get_running_loop().call_later(0.001, self.flood)
