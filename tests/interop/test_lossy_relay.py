"""The bad network itself: what it loses, holds up and keeps in order is what was asked for."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.lossy_relay import LossyRelay

COUNT = 200
"""Sent at once; they must fit in a socket's buffer, where Linux takes some 250 by default."""
TIMEOUT = 2.0
QUIET = 0.2
"""Seconds without a packet after which none is on its way."""


def test_the_same_packets_are_lost_each_time_and_counted() -> None:
    runs = []
    for _ in range(2):
        with sockets() as (client, server), relaying(server, loss=(0.1, 0.0)) as relay:
            received = send(client, relay.port, server)
            assert relay.to_server.passed == len(received)
            assert relay.to_server.dropped == COUNT - len(received)
        runs.append(received)
    assert runs[0] == runs[1]
    assert 0.03 * COUNT < COUNT - len(runs[0]) < 0.2 * COUNT


def test_each_way_takes_its_time_and_keeps_the_order() -> None:
    with sockets() as (client, server), relaying(server, delay=(0.05, 0.1)) as relay:
        began = time.monotonic()
        assert send(client, relay.port, server) == list(range(COUNT))
        client.sendto(b"ping", ("127.0.0.1", relay.port))
        _, back = server.recvfrom(100)
        assert time.monotonic() - began >= 0.05
        began = time.monotonic()
        server.sendto(b"pong", back)
        assert client.recv(100) == b"pong"
        assert time.monotonic() - began >= 0.1


def test_with_jitter_packets_overtake_each_other() -> None:
    with sockets() as (client, server), relaying(server, jitter=0.05) as relay:
        received = send(client, relay.port, server)
    assert received != sorted(received)
    assert sorted(received) == list(range(COUNT))


def test_a_narrow_link_is_slow_and_then_drops() -> None:
    # 100 bytes a packet, 40 kB/s: 200 packets would take half a second, and 0.2 s of them fit in the queue.
    with sockets() as (client, server), relaying(server, bandwidth=320_000) as relay:
        began = time.monotonic()
        received = send(client, relay.port, server)
        assert time.monotonic() - began >= 0.2
        assert relay.to_server.dropped == COUNT - len(received) > 0
    assert received == sorted(received)


def test_clients_are_told_apart() -> None:
    with sockets() as (first, server), sockets() as (second, _), relaying(server) as relay:
        backs = []
        for name, client in ((b"first", first), (b"second", second)):
            client.sendto(name, ("127.0.0.1", relay.port))
            backs.append(server.recvfrom(100)[1])
        for name, back in zip((b"to first", b"to second"), backs, strict=True):
            server.sendto(name, back)
        assert (first.recv(100), second.recv(100)) == (b"to first", b"to second")


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and a server."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        for one in (client, server):
            one.bind(("127.0.0.1", 0))
            one.settimeout(TIMEOUT)
        yield client, server


@contextmanager
def relaying(server: socket.socket, **options: float | tuple[float, float]) -> Iterator[LossyRelay]:
    with LossyRelay(server.getsockname()[1], **options) as relay:
        yield relay


def send(client: socket.socket, port: int, server: socket.socket) -> list[int]:
    """Send numbered packets of 100 bytes; return the numbers the server got, in their order."""
    for number in range(COUNT):
        client.sendto(number.to_bytes(4, "big") + bytes(96), ("127.0.0.1", port))
    received = []
    server.settimeout(QUIET)
    try:
        while True:
            received.append(int.from_bytes(server.recv(1000)[:4], "big"))
    except TimeoutError:
        server.settimeout(TIMEOUT)
    return received
