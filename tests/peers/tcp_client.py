"""A `WhipClient` on a TCP connection (RFC 6544): datagrams in frames of RFC 4571."""

import asyncio
from typing import Self, cast

from tests.peers.driven_client import DrivenClient
from tests.peers.whip_client import WhipClient

from whipway.protocol.framing import Deframer, frame


class TcpClient(DrivenClient, asyncio.Protocol):
    """Its connection goes to the server's TCP candidate."""

    def __init__(self, machine: WhipClient) -> None:
        super().__init__(machine)
        self.is_lost = False
        self._deframer = Deframer()
        self._transport: asyncio.Transport

    @classmethod
    async def start(cls, machine: WhipClient, answer: str) -> Self:
        """Take the answer, connect, and begin to check."""
        machine.transport = "tcp"
        client = cls(machine)
        machine.take_answer(answer, client._loop.time())
        await client._loop.create_connection(lambda: client, *machine.server)
        client.run()
        return client

    def flush(self) -> None:
        """Send what the machine has to send."""
        datagrams = self.machine.datagrams_to_send() + self.machine.checks_to_send()
        self._transport.write(b"".join(frame(data) for data, _ in datagrams))

    def close(self) -> None:
        """Vanish without a word."""
        super().close()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for datagram in self._deframer.receive_data(data):
            self.machine.receive_datagram(datagram, self.machine.server, self._loop.time())
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
