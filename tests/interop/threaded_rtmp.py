"""An RTMP server of tests/peers in a thread of its own, beside tests that wait and do not run a loop."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.peers.rtmp_server import Listener, RtmpServer, listening

START_TIMEOUT = 5.0


@contextmanager
def serving(
    make: Callable[[], RtmpServer] = RtmpServer,
    *,
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Listener]:
    """Serve on a loopback port for the length of a `with` block, on a free one unless given.

    What happens is to be looked at, not to be touched: it belongs to another thread.
    """
    started = threading.Event()
    found: list[tuple[Listener, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with listening(make, tls=tls, receive_buffer=receive_buffer, host=host, port=port) as listener:
            stop = asyncio.Event()
            found.append((listener, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(START_TIMEOUT)
        yield found[0][0]
    finally:
        if found:
            found[0][1].call_soon_threadsafe(found[0][2].set)
        thread.join()
