"""A server that takes only so much: a TCP relay in front of a real one, which reads at a rate that is set.

What it does not read waits at the sender, since its receive buffer is small. The rate may be changed while it
runs. It has threads of its own, so tests with a loop and tests without one can use it alike.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.peers.rtmp_client import HOST

RECEIVE_BUFFER = 16 * 1024
"""Bytes; the kernel makes twice as much of it."""
SEGMENT_BYTES = 1_400
"""As on real networks. By those of the loopback interface, a small window would open only now and then."""
TICK = 0.02
"""Seconds of stream that are read at once."""
MOST_BYTES = 64 * 1024
CONNECT_TIMEOUT = 5.0
JOIN_TIMEOUT = 5.0
BITS = 8


class SlowRelay:
    """The relay. Listens on `port` of the loopback interface."""

    def __init__(self, target_port: int, bitrate: int | None, receive_buffer: int) -> None:
        self.bitrate = bitrate
        """Bits a second of each connection, towards the server; None: no limit, 0: nothing is read."""
        self.bytes = 0
        """Handed on to the server, over all connections."""
        self._target_port = target_port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self._listener.bind((HOST, 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._start(self._accept)

    def close(self) -> None:
        """End it and all connections."""
        self._is_closed = True
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # It is not connected any more.
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT)
            assert not thread.is_alive()
        for sock in self._sockets:
            sock.close()

    def _start(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=work, args=sockets, name="slow relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # Closed.
            while not self._is_closed:
                sender, _ = self._listener.accept()
                try:
                    server = socket.create_connection((HOST, self._target_port), CONNECT_TIMEOUT)
                except OSError:  # The server is not there, and so this one is not, either.
                    sender.close()
                    continue
                server.settimeout(None)
                self._sockets += [sender, server]
                self._start(self._relay_slowly, sender, server)
                self._start(self._relay, server, sender)

    def _relay_slowly(self, source: socket.socket, sink: socket.socket) -> None:
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while not self._is_closed:
                time.sleep(max(0.0, due - time.monotonic()))
                rate = self.bitrate
                if rate == 0:
                    due = time.monotonic() + TICK
                    continue
                size = MOST_BYTES if rate is None else max(1, min(MOST_BYTES, round(rate * TICK / BITS)))
                data = source.recv(size)
                if not data:
                    break
                sink.sendall(data)
                self.bytes += len(data)
                # What was not used while there was nothing to read is lost, but for one tick.
                spent = 0.0 if rate is None else len(data) * BITS / rate
                due = max(due, time.monotonic() - TICK) + spent
        _end(sink)

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(MOST_BYTES):
                sink.sendall(data)
        _end(sink)


def _end(sock: socket.socket) -> None:
    """Say that no more comes."""
    with contextlib.suppress(OSError):  # The other side was faster.
        sock.shutdown(socket.SHUT_WR)


@contextmanager
def slowed(
    target_port: int, bitrate: int | None, *, receive_buffer: int = RECEIVE_BUFFER
) -> Iterator[SlowRelay]:
    """A relay to a server on the loopback interface, for the length of a `with` block."""
    relay = SlowRelay(target_port, bitrate, receive_buffer)
    try:
        yield relay
    finally:
        relay.close()
