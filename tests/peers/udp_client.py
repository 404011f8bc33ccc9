"""A `WhipClient` on a real UDP socket."""

import asyncio
import socket
from typing import Self

from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient

MAX_DATAGRAM_BYTES = 2048


class UdpClient:
    """Drives a client machine; tests call its methods and then `flush`."""

    def __init__(self, machine: WhipClient) -> None:
        self.machine = machine
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self._loop.add_reader(self._socket, self._on_readable)

    @classmethod
    def start(cls, machine: WhipClient, answer: str) -> Self:
        """Take the answer and begin to check."""
        client = cls(machine)
        machine.take_answer(answer, client._loop.time())
        client.run()
        return client

    async def connected(self) -> Self:
        """Wait for the end of the handshake."""
        await until(lambda: self.machine.srtp)
        return self

    def run(self) -> None:
        """Do what is due, now and from now on."""
        now = self._loop.time()
        self.machine.handle_timeout(now)
        self.flush()
        deadline = self.machine.deadline(now)
        self._timer = None if deadline is None else self._loop.call_at(deadline, self.run)

    def flush(self) -> None:
        """Send what the machine has to send."""
        for data, _ in self.machine.datagrams_to_send() + self.machine.checks_to_send():
            self.send(data)

    def send(self, data: bytes) -> None:
        """Send a datagram of any kind."""
        self._socket.sendto(data, self.machine.server)

    def close(self) -> None:
        """Vanish without a word."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._timer is not None:
            self._timer.cancel()

    def _on_readable(self) -> None:
        data, addr = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
        self.machine.receive_datagram(data, addr, self._loop.time())
        self.flush()
