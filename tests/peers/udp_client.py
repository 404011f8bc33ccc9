"""A `WhipClient` on a real UDP socket."""

import socket
from typing import Self

from tests.peers.driven_client import DrivenClient
from tests.peers.whip_client import WhipClient

MAX_DATAGRAM_BYTES = 2048


class UdpClient(DrivenClient):
    """Its socket is bound to a port of its own."""

    def __init__(self, machine: WhipClient) -> None:
        super().__init__(machine)
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

    def flush(self) -> None:
        """Send what the machine has to send."""
        for data, _ in self.machine.datagrams_to_send() + self.machine.checks_to_send():
            self.send(data)

    def send(self, data: bytes) -> None:
        """Send a datagram of any kind."""
        self._socket.sendto(data, self.machine.server)

    def close(self) -> None:
        """Vanish without a word."""
        super().close()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _on_readable(self) -> None:
        data, addr = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
        self.machine.receive_datagram(data, addr, self._loop.time())
        self.flush()
