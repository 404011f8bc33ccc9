"""The page's files beside a session's status that a test makes up, told in one of several ways, bad ones too.

For parts of the page that are tried without a server of the real kind. Everything else is 404.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Literal

import whipway.web

DASHBOARD = Path(next(iter(whipway.web.__path__))) / "dashboard"
STATUS_PATH = "/session/status"
EVENTS, JSON = "text/event-stream", "application/json"
LOOK_INTERVAL = 0.02

Way = Literal["events", "cut", "held back", "json", "busy", "gone"]
"""How it answers who asks for events: as it should; with one event and no more; with a beginning after which
nothing comes, as behind a proxy that keeps it; by JSON all the same; by 503. "gone": 404 to everybody."""


class StatusServer:
    """`url` is where the page is; `told` goes to whoever asks, and to open streams as often as it changes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.way: Way = "events"
        self.told: dict[str, Any] = {"state": "connected", "number": 0}
        self.asked: list[str] = []
        """What each request for the status accepts, in order."""
        self.open_streams = 0
        self.has_ended = threading.Event()
        """The streams end as they should when the session does."""
        self.is_over = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == STATUS_PATH:
            self._tell(self.server.peer)
        elif path == "/":
            self._send_file(DASHBOARD / "webcaster.html")
        else:
            self._send_file(DASHBOARD / path.removeprefix("/dashboard/"))

    def _tell(self, peer: StatusServer) -> None:
        accepted = self.headers["Accept"]
        peer.asked.append(accepted)
        if peer.way == "gone":
            self._send(404, "application/problem+json", b'{"detail": "It never existed"}')
        elif accepted != EVENTS or peer.way == "json":
            self._send(200, JSON, json.dumps(peer.told).encode())
        elif peer.way == "busy":
            self._send(503, "text/plain", b"Too many")
        else:
            self._stream(peer)

    def _stream(self, peer: StatusServer) -> None:
        self._send(200, f"{EVENTS}; charset=utf-8", b"")
        peer.open_streams += 1
        try:
            self._write_events(peer)
        except ConnectionError:
            pass  # The page has left.
        finally:
            peer.open_streams -= 1

    def _write_events(self, peer: StatusServer) -> None:
        told = None
        while not peer.is_over.is_set():
            if peer.way != "held back" and told != peer.told:
                told = peer.told
                self.wfile.write(f"event: status\ndata: {json.dumps(told)}\n\n".encode())
            if peer.way == "cut":
                return
            if peer.has_ended.wait(LOOK_INTERVAL):
                self.wfile.write(b"event: end\ndata: {}\n\n")
                return
            self.wfile.write(b":\n")  # Tells whether the page is still there.

    def _send_file(self, path: Path) -> None:
        if path.parent.parent in (DASHBOARD, DASHBOARD.parent) and path.is_file():
            self._send(200, guess_type(path.name)[0] or "", path.read_bytes())
        else:
            self._send(404, "text/plain", b"")

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    peer: StatusServer


@contextmanager
def status_server() -> Iterator[StatusServer]:
    """Run one for the length of a `with` block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.peer = StatusServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.peer
        finally:
            server.peer.is_over.set()
            server.shutdown()
            thread.join()
