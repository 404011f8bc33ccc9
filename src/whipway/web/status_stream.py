"""A session's status as server-sent events, for as long as the session goes on.

`event: status` with the snapshot at once, when something changes, and each second; `event: end` with the last
one when the session is over, and the stream ends. The directory says when there is a snapshot to send
(`SessionDirectory.watch`); `event_streams` writes it.

What was missed while a client did not read, or was away, has no meaning when it comes back: the next snapshot
tells how things are by then. So there is one id alone, that of the end: an EventSource comes back after it
all the same, names it, and is told by 204 to stay away.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import Request

from whipway.streams.sessions import SessionDirectory, SessionNotFound
from whipway.web.bodies import JSON_TYPE, parse_media_type
from whipway.web.event_streams import (
    EVENT_HEADERS,
    EVENT_STREAM,
    EventPlaces,
    Events,
    EventStream,
    with_pulse,
    write_event,
)
from whipway.web.session_lookup import raise_gone

__all__ = [
    "END",
    "EVENT_HEADERS",
    "EVENT_STREAM",
    "StatusStreams",
    "has_seen_end",
    "wants_events",
]

MAX_STREAMS_PER_SESSION = 16
"""A publisher's page, and a few who look after the stream."""
END = "end"
"""The last event, and its id."""
_CHOICES = (JSON_TYPE, EVENT_STREAM)


def wants_events(request: Request) -> bool:
    """Whether Accept names event streams, and not JSON before them. Weights are left out of it."""
    members = ",".join(request.headers.getlist("accept")).split(",")
    named = [each for each in map(parse_media_type, members) if each in _CHOICES]
    return named[:1] == [EVENT_STREAM]


def has_seen_end(request: Request) -> bool:
    """Whether who comes back has had the last event of this session."""
    return request.headers.get("last-event-id") == END


class StatusStreams(EventPlaces):
    """All streams there are, within bounds."""

    def __init__(self, directory: SessionDirectory) -> None:
        super().__init__(MAX_STREAMS_PER_SESSION, "a session", "ask for JSON now and then")
        self._directory = directory

    def response(
        self, session_id: str, client: str, may_go_on: Callable[[], Awaitable[bool]] | None = None
    ) -> EventStream:
        """The answer to a request that may touch this session; `client`: the address it came from, or "".

        It raises Problem (404, 503) before it begins. `may_go_on` as for `with_pulse`, where the right to the
        session may end before the session does.
        """
        events = _events(self._directory, session_id)
        if may_go_on is not None:
            events = with_pulse(events, may_go_on)
        return EventStream(events, self.place(session_id, client))


async def _events(directory: SessionDirectory, session_id: str) -> Events:
    last: Mapping[str, Any] | None = None
    try:
        async with aclosing(directory.watch(session_id)) as snapshots:
            async for snapshot in snapshots:
                last = snapshot
                yield write_event("status", snapshot)
    except SessionNotFound as error:
        if last is None:
            raise_gone(error)
        return  # Lost by its worker: nothing is known of an end.
    assert last is not None  # There is one at once, or the session is not known.
    yield write_event(END, last, END)
