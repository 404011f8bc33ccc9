"""Server-sent events (HTML standard, section 9.2): how they are written, and how many streams of them there
may be.

An answer begins with its first event, so that what goes wrong before is a problem document. Nothing is kept
for a slow reader: while it does not read, no event is asked for. Who reads nothing for long has its stream
ended, and its place goes to others. Which events there are is for `status_stream` and for modules of `v1` to
say.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from whipway.hosts import address_group
from whipway.web.problems import Problem, ProblemKind

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 500
"""Of one kind. Each one is a task and a connection, and may be sent something each second."""
MAX_STREAMS_PER_ADDRESS = 64
"""So that nobody takes all places. Of IPv6 a whole /64 is one address."""
STALL_TIMEOUT = 10.0
"""Seconds in which a reader takes nothing of some 64 KiB that wait for it."""
RETRY_MS = 2000
"""After which a browser's EventSource connects again."""
PULSE = 15.0
"""Seconds between two comments where nothing else may come for long: proxies hang up after some 60."""
COMMENT = b":\n\n"
EVENT_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    # nginx, and others after it, would keep back what is too little for one of their buffers.
    "X-Accel-Buffering": "no",
}

Events = AsyncGenerator[bytes, None]
"""Events as they are written, made by `write_event`."""


def write_event(kind: str, data: Mapping[str, Any], event_id: str | None = None) -> bytes:
    """An event as it stands in a stream. Who comes back names the last `event_id` that it had."""
    # ASCII without line ends: a line of JSON is a line of the stream.
    text = f"event: {kind}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
    return (text if event_id is None else f"id: {event_id}\n{text}").encode()


class EventPlaces:
    """Counts the streams there are, by what they are of and by the address that reads them.

    `noun`: what they are of, in a sentence; `advice`: what to do where there are too many.
    """

    def __init__(self, max_per_key: int, noun: str, advice: str) -> None:
        self._max_per_key = max_per_key
        self._noun = noun
        self._advice = advice
        self._by_key: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._by_key.total()

    @contextmanager
    def place(self, key: str, client: str) -> Iterator[None]:
        """Counts one stream; `client`: the address that reads it, or "". Raises Problem (503)."""
        group = address_group(client)
        if self._by_key[key] >= self._max_per_key or self.count >= MAX_STREAMS:
            raise self._too_many(f"{self._max_per_key} of {self._noun}")
        if group and self._by_address[group] >= MAX_STREAMS_PER_ADDRESS:
            raise self._too_many(f"{MAX_STREAMS_PER_ADDRESS} for an address")
        self._by_key[key] += 1
        self._by_address[group] += 1
        try:
            yield
        finally:
            self._by_key[key] -= 1
            self._by_address[group] -= 1
            # Forgets who has none.
            self._by_key += Counter()
            self._by_address += Counter()

    def _too_many(self, most: str) -> Problem:
        return Problem(ProblemKind.TOO_MANY_STREAMS, f"There are at most {most}; {self._advice}")


class EventStream(StreamingResponse):
    """An answer made of `events`, in a place of its own. It ends when they do, or when its client leaves."""

    def __init__(self, events: Events, place: AbstractContextManager[None]) -> None:
        super().__init__((), headers=EVENT_HEADERS, media_type=EVENT_STREAM)
        self._events = events
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Problem, but only before the beginning of the answer."""
        writing = asyncio.ensure_future(self._write(send))
        # Whatever the server does with what is sent to nobody: a client that leaves ends its stream at once.
        leaving = asyncio.ensure_future(_client_left(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            writing.cancel()
            leaving.cancel()
            await asyncio.wait((writing, leaving))
        if not writing.cancelled():
            writing.result()

    async def _write(self, send: Send) -> None:
        with self._place:
            async with aclosing(self._events) as events:
                first = await anext(events, b"")
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send(_body(b"retry: %d\n\n" % RETRY_MS))
                is_read = await _say(send, first)
                while is_read and (event := await anext(events, None)) is not None:
                    is_read = await _say(send, event)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def with_pulse(events: Events, may_go_on: Callable[[], Awaitable[bool]]) -> Events:
    """The same events, and now and then a comment, so that nobody on the way takes the stream for dead.

    Just before each comment it is asked whether the reader may still have them; if not, the stream ends.
    """
    following: asyncio.Future[bytes | None] | None = None
    pulse_at = time.monotonic() + PULSE
    async with aclosing(events):
        try:
            while True:
                following = following or asyncio.ensure_future(_next(events))
                await asyncio.wait((following,), timeout=max(pulse_at - time.monotonic(), 0))
                if time.monotonic() >= pulse_at:
                    if not await may_go_on():
                        return
                    yield COMMENT
                    pulse_at = time.monotonic() + PULSE
                elif following.done():
                    event, following = following.result(), None
                    if event is None:
                        return
                    yield event
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait((following,))


async def _next(events: Events) -> bytes | None:
    return await anext(events, None)


async def _say(send: Send, event: bytes) -> bool:
    """Send an event. False: the reader does not read, and nothing of the event was written."""
    try:
        async with asyncio.timeout(STALL_TIMEOUT):
            await send(_body(event))
    except TimeoutError:
        return False
    return True


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}
