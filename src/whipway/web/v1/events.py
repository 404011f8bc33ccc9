"""Everything that changes, as server-sent events: `hello` first, then each event as it happens.

An event's id is `RUN-NUMBER`, where RUN is drawn anew at each start of the server. Who comes back with the
last one it had gets what it missed, if that is still kept (`EventLog`); `hello` says whether it does. Who
does not keep up is cut off, and comes back the same way.
"""

import re
import secrets
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from whipway import __version__
from whipway.streams.access.roles import Right
from whipway.streams.events import MAX_KEPT, EventLog, FollowerTooSlow, StreamEvent
from whipway.web.callers import Callers
from whipway.web.event_streams import (
    EVENT_HEADERS,
    EVENT_STREAM,
    EventPlaces,
    Events,
    EventStream,
    with_pulse,
    write_event,
)
from whipway.web.publish_query import client_address
from whipway.web.services import Services
from whipway.web.v1 import openapi_events
from whipway.web.v1.lookup import still_may
from whipway.web.v1.shapes import iso

RUN_BYTES = 4
MAX_STREAMS_PER_KEY = 64
"""Pages and programs of one key."""
HELLO = "hello"
_EVENT_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")


def make_events_router(services: Services) -> APIRouter:
    """The route of events."""
    router = APIRouter(tags=["Events"], redirect_slashes=False)
    events = _Events(services.events, services.callers)
    router.get("/events", response_class=Response, **openapi_events.EVENTS)(events.follow)
    # As GET it would have no end.
    router.head("/events", include_in_schema=False)(events.head)
    return router


class _Events:
    """The operations, and how many follow. Each raises Problem for what it refuses."""

    def __init__(self, events: EventLog, callers: Callers) -> None:
        self._events = events
        self._callers = callers
        self._run = secrets.token_hex(RUN_BYTES)
        self._places = EventPlaces(MAX_STREAMS_PER_KEY, "a key", "close some of them")

    async def head(self, request: Request) -> Response:
        """What an answer begins with."""
        await self._callers.require(request, Right.VIEW)
        return Response(headers=EVENT_HEADERS, media_type=EVENT_STREAM)

    async def follow(self, request: Request) -> Response:
        """All events from now on, or from where the client says."""
        caller = await self._callers.require(request, Right.VIEW)
        events = self._follow(self._last_number(request.headers.get("last-event-id", "")))
        place = self._places.place(caller.key_id, client_address(request))
        return EventStream(with_pulse(events, still_may(self._callers, request, Right.VIEW)), place)

    def _last_number(self, event_id: str) -> int | None:
        """The number of the event that a client had last, if all that came after it are still kept."""
        match = _EVENT_ID.fullmatch(event_id)
        if match is None or match[1] != self._run:
            return None
        behind = self._events.last_number - int(match[2])
        return int(match[2]) if 0 <= behind <= MAX_KEPT else None

    async def _follow(self, last: int | None) -> Events:
        after = self._events.last_number if last is None else last
        hello = {"version": __version__, "is_resumed": last is not None}
        yield write_event(HELLO, hello, self._id(after))
        try:
            async with aclosing(self._events.follow(after)) as events:
                async for event in events:
                    yield write_event(event.kind, event_document(event), self._id(event.number))
        except FollowerTooSlow:
            return

    def _id(self, number: int) -> str:
        return f"{self._run}-{number}"


def event_document(event: StreamEvent) -> dict[str, object]:
    """An event as programs get it."""
    return {"kind": event.kind, "at": iso(event.at), **event.data}
