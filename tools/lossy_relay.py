"""A bad network in small: a UDP relay on loopback that loses, delays and squeezes what passes through it.

    python -m tools.lossy_relay 8200 --port 8201 --loss 0.05 --delay 0.025

It stands before a server's media port; what the server announces to its clients must be the relay's port
(`media.public_port`). Each client address gets a socket of its own towards the server, as behind a NAT, so
that the server tells the clients apart. With one seed the same packets of a client are lost each time; the
chances of the two directions do not depend on each other. Without jitter the order is kept.
"""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Annotated

import typer

LOOPBACK = "127.0.0.1"
MAX_QUEUE_SECONDS = 0.2
"""What a link with a bandwidth holds before it drops from the tail, as routers do."""
MAX_DATAGRAM_BYTES = 65_536
BUFFER_BYTES = 4 * 1024 * 1024
"""Asked of the kernel: what it drops for want of room is not among the counts."""
REPORT_INTERVAL = 1.0
ORDERED_STEP = 1e-6
"""Seconds between packets at least: the loop runs what is due at one time in no particular order."""

Address = tuple[str, int]


@dataclass
class Direction:
    """One way through the relay, for all clients together, with what came of it."""

    loss: float
    delay: float
    jitter: float
    bandwidth: float | None
    random: Random
    passed: int = 0
    dropped: int = 0
    payload_types: Counter[int] = field(default_factory=Counter)
    """RTP packets that came, also those dropped, by payload type: the header is not encrypted."""
    _free_at: float = 0.0

    def schedule(self, data: bytes, now: float) -> float | None:
        """When a packet that came now leaves; None when it is lost."""
        if is_rtp(data):
            self.payload_types[data[1] & 0x7F] += 1
        if self.random.random() < self.loss:
            self.dropped += 1
            return None
        leaves = max(now, self._free_at)
        if leaves - now > MAX_QUEUE_SECONDS:
            self.dropped += 1
            return None
        self._free_at = leaves + (8 * len(data) / self.bandwidth if self.bandwidth else ORDERED_STEP)
        self.passed += 1
        return self._free_at + self.delay + self.random.uniform(0.0, self.jitter)


def is_rtp(data: bytes) -> bool:
    """Tell RTP from RTCP, STUN and DTLS (RFC 7983, section 7, and RFC 5761, section 4)."""
    return len(data) >= 12 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223


class LossyRelay:
    """Use with `with`, or `start` and `stop`. It runs in a thread of its own; counts grow meanwhile.

    `loss` is a share from 0 to 1, `delay` and `jitter` (a random addition to a packet's delay) are seconds,
    `bandwidth` is bit/s. All hold for each direction; a pair gives (to the server, to the clients).
    """

    def __init__(
        self,
        server_port: int,
        *,
        loss: float | tuple[float, float] = 0.0,
        delay: float | tuple[float, float] = 0.0,
        jitter: float = 0.0,
        seed: int = 1,
        bandwidth: float | None = None,
        port: int = 0,
    ) -> None:
        losses = loss if isinstance(loss, tuple) else (loss, loss)
        delays = delay if isinstance(delay, tuple) else (delay, delay)
        self.to_server, self.to_clients = (
            Direction(losses[way], delays[way], jitter, bandwidth, Random(f"{seed}-{way}"))  # noqa: S311
            for way in (0, 1)
        )
        self.port = port
        """Where clients send to; with 0, known once it runs."""
        self._server: Address = (LOOPBACK, server_port)
        self._front = _udp_socket()
        self._clients: dict[Address, socket.socket] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "LossyRelay":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Raises OSError when the port is in use."""
        try:
            self._front.bind((LOOPBACK, self.port))
        except OSError:
            self._front.close()
            self._loop.close()
            raise
        self.port = self._front.getsockname()[1]
        self._loop.add_reader(self._front, self._read_clients)
        self._thread.start()

    def stop(self) -> None:
        """End; what is still on its way is lost."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for sock in (self._front, *self._clients.values()):
            sock.close()

    def _read_clients(self) -> None:
        for data, client in _read_all(self._front):
            if client not in self._clients:
                back = self._clients[client] = _udp_socket()
                back.connect(self._server)
                self._loop.add_reader(back, self._read_server, back, client)
            self._forward(self.to_server, self._clients[client], data, self._server)

    def _read_server(self, back: socket.socket, client: Address) -> None:
        for data, _ in _read_all(back):
            self._forward(self.to_clients, self._front, data, client)

    def _forward(self, direction: Direction, sock: socket.socket, data: bytes, to: Address) -> None:
        leaves = direction.schedule(data, self._loop.time())
        if leaves is not None:
            self._loop.call_at(leaves, _send, sock, data, to)


def _udp_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return sock


def _read_all(sock: socket.socket) -> Iterator[tuple[bytes, Address]]:
    while True:
        try:
            yield sock.recvfrom(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            pass  # ICMP: the server was not there for a packet before.


def _send(sock: socket.socket, data: bytes, to: Address) -> None:
    with suppress(OSError):  # A full buffer or nobody there: as on any network, the packet is lost.
        sock.sendto(data, to)


def main(
    server_port: Annotated[int, typer.Argument(help="The server's media port on 127.0.0.1.")],
    port: Annotated[int, typer.Option(help="Where clients send to: the server's media.public_port.")] = 8201,
    loss: Annotated[float, typer.Option(help="Share of packets lost, each way.", min=0, max=1)] = 0.05,
    delay: Annotated[float, typer.Option(help="Seconds each way.", min=0)] = 0.025,
    jitter: Annotated[float, typer.Option(help="Up to so many seconds more; packets overtake.", min=0)] = 0.0,
    bandwidth: Annotated[float | None, typer.Option(help="bit/s each way.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Another one loses other packets.")] = 1,
) -> None:
    """Put a bad network between WHIP clients on this machine and a server on it. Ends with Ctrl-C."""
    relay = LossyRelay(
        server_port, loss=loss, delay=delay, jitter=jitter, bandwidth=bandwidth, seed=seed, port=port
    )
    with relay:
        print(f"Relaying 127.0.0.1:{relay.port} to 127.0.0.1:{server_port}")
        try:
            while True:
                time.sleep(REPORT_INTERVAL)
                print(_counts("to the server", relay.to_server), _counts("to clients", relay.to_clients))
        except KeyboardInterrupt:
            pass


def _counts(name: str, direction: Direction) -> str:
    return f"{name}: {direction.passed} passed, {direction.dropped} dropped."


if __name__ == "__main__":
    typer.run(main)
