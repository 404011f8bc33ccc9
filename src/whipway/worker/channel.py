"""The two ends of the seam between a gateway and a worker in a process of its own: frames over a socket pair.

A frame is the length of its body and a number, each in 32 bits, and the body. Requests are numbered from 1,
and the reply has the number of its request; events have the number 0. A reply without a body says that
carrying out the request failed. Who reads the end of the stream knows that the other process is gone.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from struct import Struct
from typing import NamedTuple

EVENT = 0
"""The number of what answers no request."""
_HEADER = Struct("!II")


class Frame(NamedTuple):
    """What crosses."""

    number: int
    body: bytes


class Channel:
    """One end. Belongs to one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> "Channel":
        """Take over one socket of a pair."""
        return cls(*await asyncio.open_connection(sock=sock))

    def send(self, number: int, body: bytes) -> None:
        """Send a frame. To nobody, if the other end is gone: whoever reads hears of that."""
        if not self._writer.is_closing():
            self._writer.write(_HEADER.pack(len(body), number) + body)

    async def frames(self) -> AsyncIterator[Frame]:
        """What the other end sends, until it is gone."""
        while True:
            try:
                length, number = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            yield Frame(number, body)

    def close(self) -> None:
        """Send what was written, and no more. Idempotent."""
        self._writer.close()
