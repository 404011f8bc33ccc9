"""A session's status as server-sent events (HTML standard, section 9.2), for as long as the session goes on.

`event: status` with the snapshot at once, when something changes, and each second; `event: end` with the last
one when the session is over, and the stream ends. The directory says when there is a snapshot to send
(`SessionDirectory.watch`).

Nothing is kept for a slow reader: while it does not read, no snapshot is asked for, and the next one tells
how things are by then. Who reads nothing for long has its stream ended, and its place goes to others. What
was missed while a client was away has no meaning when it comes back, so that there is one id alone, that of
the end: an EventSource comes back after it all the same, names it, and is told by 204 to stay away.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from whipway.hosts import address_group
from whipway.streams.sessions import SessionDirectory, SessionNotFound
from whipway.web.bodies import JSON_TYPE, parse_media_type
from whipway.web.problems import Problem, ProblemKind
from whipway.web.session_lookup import raise_gone

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 500
"""Each one is a task, a connection, and a snapshot each second."""
MAX_STREAMS_PER_SESSION = 16
"""A publisher's page, and a few who look after the stream."""
MAX_STREAMS_PER_ADDRESS = 64
"""So that nobody takes all places by many sessions. Of IPv6 a whole /64 is one address."""
END = "end"
"""The last event, and its id."""
STALL_TIMEOUT = 10.0
"""Seconds in which a reader takes nothing of some 64 KiB that wait for it."""
RETRY_MS = 2000
"""After which a browser's EventSource connects again."""
EVENT_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    # nginx, and others after it, would keep back what is too little for one of their buffers.
    "X-Accel-Buffering": "no",
}
_CHOICES = (JSON_TYPE, EVENT_STREAM)


def wants_events(request: Request) -> bool:
    """Whether Accept names event streams, and not JSON before them. Weights are left out of it."""
    members = ",".join(request.headers.getlist("accept")).split(",")
    named = [each for each in map(parse_media_type, members) if each in _CHOICES]
    return named[:1] == [EVENT_STREAM]


def has_seen_end(request: Request) -> bool:
    """Whether who comes back has had the last event of this session."""
    return request.headers.get("last-event-id") == END


class StatusStreams:
    """All streams there are, within bounds."""

    def __init__(self, directory: SessionDirectory) -> None:
        self._directory = directory
        self._by_session: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._by_session.total()

    def response(self, session_id: str, client: str) -> "StatusStream":
        """The answer to a request that may touch this session; `client`: the address it came from, or ""."""
        return StatusStream(self, self._directory, session_id, client)

    @contextmanager
    def place(self, session_id: str, client: str) -> Iterator[None]:
        """Counts one stream. Raises Problem (503) where there are too many."""
        group = address_group(client)
        if self._by_session[session_id] >= MAX_STREAMS_PER_SESSION or self.count >= MAX_STREAMS:
            raise _too_many(f"{MAX_STREAMS_PER_SESSION} of a session")
        if group and self._by_address[group] >= MAX_STREAMS_PER_ADDRESS:
            raise _too_many(f"{MAX_STREAMS_PER_ADDRESS} for an address")
        self._by_session[session_id] += 1
        self._by_address[group] += 1
        try:
            yield
        finally:
            self._by_session[session_id] -= 1
            self._by_address[group] -= 1
            # Forgets who has none.
            self._by_session += Counter()
            self._by_address += Counter()


class StatusStream(StreamingResponse):
    """The answer with one stream. It ends when the session does, or when its client leaves."""

    def __init__(
        self, streams: StatusStreams, directory: SessionDirectory, session_id: str, client: str
    ) -> None:
        super().__init__((), headers=EVENT_HEADERS, media_type=EVENT_STREAM)
        self._streams = streams
        self._directory = directory
        self._session_id = session_id
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Problem (404, 503), but only before the beginning of the answer."""
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
        with self._streams.place(self._session_id, self._client):
            last_event = await self._write_snapshots(send)
        await send({"type": "http.response.body", "body": last_event, "more_body": False})

    async def _write_snapshots(self, send: Send) -> bytes:
        """Write all there are, and return what is left to say."""
        last: Mapping[str, Any] | None = None
        try:
            watched = self._directory.watch(self._session_id)
            async with aclosing(watched) as snapshots:
                async for snapshot in snapshots:
                    if last is None:
                        await self._begin(send)
                    last = snapshot
                    await _say(send, _event("status", snapshot))
        except SessionNotFound as error:
            if last is None:
                raise_gone(error)
            return b""  # Lost by its worker: nothing is known of an end.
        except _StalledError:
            return b""
        assert last is not None  # There is one at once, or the session is not known.
        return b"id: %s\n" % END.encode() + _event(END, last)

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send(_body(b"retry: %d\n\n" % RETRY_MS))


class _StalledError(Exception):
    """The reader does not read."""


async def _say(send: Send, event: bytes) -> None:
    """Send an event. Raises _StalledError, and nothing of the event was written then."""
    try:
        async with asyncio.timeout(STALL_TIMEOUT):
            await send(_body(event))
    except TimeoutError:
        raise _StalledError from None


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_many(most: str) -> Problem:
    detail = f"There are at most {most}; ask for JSON now and then"
    return Problem(ProblemKind.TOO_MANY_STREAMS, detail)


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _event(kind: str, snapshot: Mapping[str, Any]) -> bytes:
    # ASCII without line ends: a line of JSON is a line of the stream.
    return f"event: {kind}\ndata: {json.dumps(snapshot, allow_nan=False)}\n\n".encode()
