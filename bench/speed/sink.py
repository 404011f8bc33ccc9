"""An RTMP server that takes every stream and checks every picture; one line of JSON at the end.

    python -m bench.speed.sink --port 1936 --sessions 40

The end is SIGTERM or Ctrl-C, or when so many publishers have come and gone. Latency is the time from the
sending of a picture's last packet (the publishers' table) to the reading of its last byte here.
"""

import argparse
import json
import os
import select
import signal
import socket
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final

from bench.speed.checking import COUNTS, Checker, Tally
from bench.speed.figures import MS, percentile, spread_ms
from bench.speed.material import Material, load_material
from bench.speed.times import Times
from whipway.protocol.rtmp.server import (
    Closed,
    MediaReceived,
    PublishEnded,
    PublishRequested,
    ServerConnection,
)

READ_BYTES: Final = 256 * 1024
WARM_UP_PICTURES: Final = 50
"""Of each stream, whose latency does not count."""


class Connection:
    """One publisher."""

    def __init__(self, sock: socket.socket, material: Material) -> None:
        self.socket = sock
        self.machine = ServerConnection(random=os.urandom, now=monotonic())
        self.checker = Checker(material)
        self.has_published = False


class RtmpSink:
    """All connections, in one epoll loop. `warm_up`: pictures of each stream whose latency does not count."""

    def __init__(
        self, listener: socket.socket, material: Material, times: Times | None, warm_up: int
    ) -> None:
        self.latencies = array("d")
        self.firsts: list[float] = []
        """Seconds from each POST to its stream's first picture."""
        self.tally = Tally()
        self.streams = 0
        """That published, and are gone."""
        self._listener = listener
        self._material = material
        self._times = times
        self._warm_up = warm_up
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._is_stopping = False

    def stop(self, *_: object) -> None:
        """Count what there is, and come to the end. For signal handlers."""
        self._is_stopping = True

    def run(self, sessions: int | None) -> None:
        """Until `stop`, or until so many publishers are gone."""
        while not self._is_stopping and (sessions is None or self.streams < sessions):
            for fd, _ in self._epoll.poll(0.2):
                connection = self._connections.get(fd)
                if connection is None:
                    self._accept()
                else:
                    self._read(connection)
        for connection in list(self._connections.values()):
            self._drop(connection)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[sock.fileno()] = Connection(sock, self._material)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        at = monotonic()
        if data:
            connection.machine.receive_data(data, at)
        else:
            connection.machine.receive_eof()
        is_over = not data
        for event in connection.machine.events():
            match event:
                case MediaReceived(message):
                    mark = connection.checker.take(message, at)
                    if mark is not None and self._times is not None:
                        self._note_latency(mark.stream, mark.number, at)
                case PublishRequested():
                    connection.has_published = True
                    connection.machine.accept_publish()
                case Closed() | PublishEnded():
                    is_over = True
        self._write(connection)
        if is_over:
            self._drop(connection)

    def _note_latency(self, stream: int, number: int, at: float) -> None:
        assert self._times is not None
        sent_at = self._times.picture(stream, number)
        if number == 0:
            self.firsts.append(at - self._times.post(stream))
        if number >= self._warm_up and sent_at:
            # The table is written after the last packet has gone: a hasty server may be ahead of it.
            self.latencies.append(max(0.0, at - sent_at))

    def _write(self, connection: Connection) -> None:
        data = b"".join(connection.machine.data_to_send())
        if data:
            try:
                # Answers are short, and nobody sends more before it has read them.
                connection.socket.send(data)
            except OSError:
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if self._connections.pop(connection.socket.fileno(), None) is None:
            return
        self._epoll.unregister(connection.socket.fileno())
        connection.socket.close()
        self.streams += connection.has_published
        self.tally.add(connection.checker.tally)


def describe(sink: RtmpSink, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """The figures."""
    return {
        "streams": sink.streams,
        **{name: getattr(sink.tally, name) for name in COUNTS},
        "formats": sorted(sink.tally.formats),
        "latency_ms": spread_ms(sink.latencies),
        "timed": len(sink.latencies),
        "first_picture_ms": {
            "p50": round(percentile(sorted(sink.firsts), 0.5) * MS, 1),
            "max": round(max(sink.firsts, default=0.0) * MS, 1),
        },
        "cpu_percent": round(100 * cpu_seconds / seconds, 1),
    }


def listen(port: int) -> socket.socket:
    """On loopback."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and tell what came."""
    options = _parse(arguments)
    listener = listen(options.port)
    times = Times(options.table) if options.table else None
    sink = RtmpSink(listener, load_material(), times, options.warm_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, sink.stop)
    print(f"listening on {listener.getsockname()[1]}", file=sys.stderr, flush=True)
    began = monotonic()
    sink.run(options.sessions)
    print(json.dumps(describe(sink, monotonic() - began, process_time())), flush=True)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.sink", description="Check what RTMP brings.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one, told on stderr")
    parser.add_argument("--sessions", type=int, help="end when so many publishers have come and gone")
    parser.add_argument("--table", type=Path, help="file with the times of sending, from the publishers")
    parser.add_argument(
        "--warm-up", type=int, default=WARM_UP_PICTURES, help="pictures of each stream that are not timed"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
