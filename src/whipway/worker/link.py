"""How the gateway reaches a media worker: requests with replies, and a stream of events.

`LocalLink` runs the worker inside the gateway's process. It still writes and reads every message as bytes, so
that nothing but plain data can cross, and what works here works with a worker in a process of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from whipway.worker.messages import Event, Reply, Request, decode_message, encode_message


class WorkerLink(Protocol):
    """The gateway's end of the seam."""

    async def request(self, message: Request) -> Reply:
        """Send a request and wait for its reply."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """What the worker says on its own account, until the link is closed."""
        ...


class MessageHandler(Protocol):
    """The worker's end of the seam."""

    def handle(self, message: Request) -> Reply:
        """Carry out one request."""
        ...


class LocalLink:
    """A link to a worker in this process. The worker calls `post_event`; the gateway uses the rest."""

    def __init__(self) -> None:
        self._handler: MessageHandler | None = None
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue()

    def attach(self, handler: MessageHandler) -> None:
        """Name the worker that carries out the requests. To be called once, before the first request."""
        self._handler = handler

    async def request(self, message: Request) -> Reply:
        """Send a request and wait for its reply."""
        assert self._handler is not None
        sent = decode_message(encode_message(message))
        reply = decode_message(encode_message(self._handler.handle(sent)))  # type: ignore[arg-type]
        return reply  # type: ignore[return-value]

    def post_event(self, event: Event) -> None:
        """Hand an event to the gateway."""
        self._events.put_nowait(encode_message(event))

    async def events(self) -> AsyncIterator[Event]:
        """Yield events until `close`."""
        while (data := await self._events.get()) is not None:
            yield decode_message(data)  # type: ignore[misc]

    def close(self) -> None:
        """End the stream of events."""
        self._events.put_nowait(None)
