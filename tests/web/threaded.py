"""The application behind a real port, in a thread with its own loop: for clients that know no asyncio."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until
from tests.web.served import Served, serving

from whipway.web.server import HttpServer
from whipway.worker.sockets import bind_tcp

Prepare = Callable[[Served], Awaitable[None]]

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


@contextmanager
def serving_in_thread(prepare: Prepare | None = None, **options: Any) -> Iterator[str]:
    """Serve, and give the URL; `options` are those of `served.Served`.

    `prepare` is called with it in the server's loop, before anybody else asks for anything.
    """
    server = _Server(options, prepare)
    server.start()
    assert server.is_ready.wait(START_TIMEOUT)
    try:
        yield server.url
    finally:
        server.stop()
        server.join(STOP_TIMEOUT)
    assert not server.is_alive()
    if server.error is not None:
        raise server.error


class _Server(threading.Thread):
    def __init__(self, options: dict[str, Any], prepare: Prepare | None) -> None:
        super().__init__(daemon=True)
        self.is_ready = threading.Event()
        self.url = ""
        self.error: BaseException | None = None
        self._options = options
        self._prepare = prepare
        self._http: HttpServer | None = None

    def run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        assert self._http is not None
        self._http.should_exit = True

    async def _serve(self) -> None:
        async with serving(**self._options) as served:
            sock = bind_tcp(HOST, 0)
            self.url = f"http://{HOST}:{sock.getsockname()[1]}"
            self._http = HttpServer(served.app, sock)
            http = asyncio.create_task(self._http.serve())
            await until(lambda: self._http is not None and self._http.started)
            if self._prepare is not None:
                await self._prepare(served)
            self.is_ready.set()
            await http
