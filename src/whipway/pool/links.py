"""How one media worker is reached: requests with replies, and the events that it tells.

`LocalLink` runs the worker inside the gateway's process. It still writes and reads every message as bytes, so
that nothing but plain data can cross, and what works here works with a worker in a process of its own, which
is at the other end of a `ProcessLink`.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Protocol, cast

from whipway.pool.failures import RequestFailed, WorkerGone, WorkerSilent
from whipway.worker.channel import EVENT, Channel
from whipway.worker.messages import (
    Reply,
    Request,
    SessionEnded,
    WorkerEvent,
    decode_message,
    encode_message,
)

TakeEvent = Callable[[WorkerEvent], None]
REQUEST_TIMEOUT = 5.0
"""Seconds. A worker that does not answer for so long hangs, and whoever asked is to hear of it."""


class MessageHandler(Protocol):
    """The worker's end of the seam."""

    def handle(self, message: Request) -> Reply:
        """Carry out one request."""
        ...


class LocalLink:
    """A link to a worker in this process."""

    def __init__(self, take_event: TakeEvent) -> None:
        self._take_event = take_event

    async def request(self, handler: MessageHandler, message: Request) -> Reply:
        """Have a request carried out."""
        sent = cast(Request, decode_message(encode_message(message)))
        return cast(Reply, decode_message(encode_message(handler.handle(sent))))

    def post_event(self, event: WorkerEvent) -> None:
        """For the worker: tell an event."""
        self._take_event(cast(WorkerEvent, decode_message(encode_message(event))))


class ProcessLink:
    """The gateway's end of a channel. `run` is to run as long as it is used."""

    def __init__(self, channel: Channel, take_event: TakeEvent) -> None:
        self._channel = channel
        self._take_event = take_event
        self._numbers = count(EVENT + 1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._is_over = False

    async def request(self, message: Request, timeout: float = REQUEST_TIMEOUT) -> Reply:
        """Send a request and wait for its reply. Raises WorkerGone, WorkerSilent or RequestFailed."""
        if self._is_over:
            raise WorkerGone
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        self._channel.send(number, encode_message(message))
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise WorkerSilent from None
        finally:
            del self._waiting[number]

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._is_over

    async def run(self) -> None:
        """Take replies and events until the worker is gone."""
        try:
            async for number, body in self._channel.frames():
                if number == EVENT:
                    self._take_event(cast(WorkerEvent, decode_message(body)))
                elif (reply := self._waiting.get(number)) is not None and not reply.done():
                    _answer(reply, body)
                elif body and isinstance(late := decode_message(body), SessionEnded):
                    # Who asked for the end has stopped waiting; others want to know of it.
                    self._take_event(late)
        finally:
            self._is_over = True
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(WorkerGone())
            self._channel.close()

    def close(self) -> None:
        """Tell the worker that nothing more will be asked: it ends."""
        self._is_over = True
        self._channel.close()


def _answer(reply: asyncio.Future[Reply], body: bytes) -> None:
    if body:
        reply.set_result(cast(Reply, decode_message(body)))
    else:
        reply.set_exception(RequestFailed())
