"""The least that a server in Python can do with the same packets: receive and open them. The unit.

    python -m bench.speed.bare --port 9000

`select`, `recvfrom` until there is no more, `unprotect` of pylibsrtp; a table by address finds the stream's
SRTP session. Nothing is answered and nothing looked at. Ends at SIGTERM or Ctrl-C with one line of JSON; what
it costs is read from outside, as with the server.
"""

import argparse
import json
import select
import signal
import socket
import sys
from collections.abc import Sequence
from time import process_time
from typing import Final

from pylibsrtp import Error, Session

from bench.speed.protector import make_opener
from bench.speed.publishers import BARE_PROFILE, bare_key

MAX_DATAGRAM_BYTES: Final = 2048
BUFFER_BYTES: Final = 4 * 1024 * 1024
"""As the server asks of the kernel."""
_RTCP: Final = range(192, 224)
"""Second bytes of RTCP (RFC 5761, section 4)."""


class BareLoop:
    """Of one socket, until `stop`."""

    def __init__(self, sock: socket.socket) -> None:
        self.packets = 0
        self.failures = 0
        self.wakes = 0
        self._socket = sock
        self._sessions: dict[tuple[str, int], Session] = {}
        self._is_stopping = False

    def stop(self, *_: object) -> None:
        """For signal handlers."""
        self._is_stopping = True

    def run(self) -> None:
        """Receive and open."""
        receive, sessions = self._socket.recvfrom, self._sessions
        while not self._is_stopping:
            readable, _, _ = select.select([self._socket], [], [], 0.2)
            self.wakes += bool(readable)
            while readable:
                try:
                    data, addr = receive(MAX_DATAGRAM_BYTES)
                except BlockingIOError:
                    break
                session = sessions.get(addr) or self._meet(data, addr)
                self.packets += 1
                try:
                    if data[1] in _RTCP:
                        session.unprotect_rtcp(data)
                    else:
                        session.unprotect(data)
                except Error:
                    self.failures += 1

    def _meet(self, data: bytes, addr: tuple[str, int]) -> Session:
        """A stream's key follows from its SSRC, which RTP has at 8 and RTCP at 4."""
        at = 4 if data[1] in _RTCP else 8
        key = bare_key(int.from_bytes(data[at : at + 4], "big"))
        session = self._sessions[addr] = make_opener(BARE_PROFILE, key)
        return session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the loop."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed.bare", description="Receive, open, forget.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one, told on stderr")
    options = parser.parse_args(arguments)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.bind(("127.0.0.1", options.port))
    loop = BareLoop(sock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, loop.stop)
    print(f"listening on {sock.getsockname()[1]}", file=sys.stderr, flush=True)
    loop.run()
    report = {"packets": loop.packets, "failures": loop.failures, "wakes": loop.wakes}
    print(json.dumps(report | {"cpu_seconds": round(process_time(), 3)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
