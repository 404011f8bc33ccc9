"""One stream as server-sent events, for a page that shows it: the stream, and whoever publishes it.

`event: status` at once, when something changes, and each second, whether it is live or not; `event: gone`
when it is deleted. All who watch a stream share one look at it a second (`streams.watching`).
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from whipway.streams.access.roles import Right
from whipway.streams.events import StreamEvent
from whipway.streams.records import StreamRecord
from whipway.streams.session_publications import session_handle
from whipway.streams.sessions import SessionNotFound
from whipway.streams.stream_directory import StreamNotFound
from whipway.streams.watching import Watching
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
from whipway.web.v1 import openapi_live
from whipway.web.v1.ids import STREAM
from whipway.web.v1.lookup import find_stream, still_may, unknown_stream
from whipway.web.v1.shapes import StreamShapes, leading

MAX_STREAMS_PER_STREAM = 32
"""Pages that show one stream at a time."""
STATUS, GONE = "status", "gone"


def make_live_router(services: Services) -> APIRouter:
    """The route of a stream's events."""
    router = APIRouter(tags=["Streams"], redirect_slashes=False)
    live = _Live(services)
    path = f"{STREAM}/live"
    router.get(path, response_class=Response, **openapi_live.LIVE)(live.follow)
    # As GET it would have no end.
    router.head(path, include_in_schema=False)(live.head)
    return router


class _Look(NamedTuple):
    """A stream at a moment. What a client reads of it has URLs of its own."""

    record: StreamRecord | None
    """None: there is no such stream any more."""
    session: Mapping[str, Any] | None
    rtmp: Mapping[str, Any] | None


class _Live:
    """The operations, and who watches. Each raises Problem for what it refuses."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._shapes = StreamShapes(services.urls, services.streams)
        self._places = EventPlaces(MAX_STREAMS_PER_STREAM, "a stream", "close some of them")
        self._watching: Watching[_Look] = Watching(self._look)
        services.events.listen(self._note)

    async def head(self, request: Request) -> Response:
        """What an answer begins with."""
        await self._services.callers.require(request, Right.VIEW)
        await find_stream(self._services.streams, request.path_params["stream_id"])
        return Response(headers=EVENT_HEADERS, media_type=EVENT_STREAM)

    async def follow(self, request: Request) -> Response:
        """How the stream is, until it is deleted."""
        await self._services.callers.require(request, Right.VIEW)
        stream_id = request.path_params["stream_id"]
        may_go_on = still_may(self._services.callers, request, Right.VIEW)
        events = with_pulse(self._events(stream_id, request), may_go_on)
        return EventStream(events, self._places.place(stream_id, client_address(request)))

    async def _events(self, stream_id: str, request: Request) -> Events:
        is_first = True
        async with aclosing(self._watching.watch(stream_id, lambda look: look.record is None)) as looks:
            async for look in looks:
                if look.record is None and is_first:
                    raise unknown_stream()
                is_first = False
                if look.record is not None:
                    stream = self._shapes.stream(look.record, request)
                    yield write_event(STATUS, {"stream": stream, "session": look.session, "rtmp": look.rtmp})
        yield write_event(GONE, {"id": stream_id})

    async def _look(self, stream_id: str) -> _Look:
        try:
            record = await self._services.streams.get(stream_id)
        except StreamNotFound:
            return _Look(None, None, None)
        publication = leading(self._services.streams.publications_of(record))
        if publication is None:
            return _Look(record, None, None)
        if publication.session_id is None:
            return _Look(record, None, self._services.figures.rtmp(publication))
        return _Look(record, await self._session(publication.session_id), None)

    async def _session(self, session_id: str) -> Mapping[str, Any] | None:
        try:
            snapshot = await self._services.sessions.describe(session_id)
        except SessionNotFound:
            return None
        return {"id": session_handle(session_id), "snapshot": snapshot}

    def _note(self, event: StreamEvent) -> None:
        """Something has happened, perhaps with a stream that is watched."""
        stream = event.data.get("stream")
        if stream is not None:
            self._watching.tell(stream["id"])
