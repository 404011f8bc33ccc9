"""WHIP sessions for those who look after them: the list, one of them, its events, its end.

What a session is made of is in `sinks`, `inputs` and `quality`; `openapi_sessions` describes the operations.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.pool.failures import WorkerSilent
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.access.roles import Right
from whipway.streams.publications import Publications
from whipway.streams.session_publications import session_handle
from whipway.streams.sessions import KnownSession, SessionNotFound
from whipway.streams.stream_names import record_name
from whipway.web.event_streams import EVENT_HEADERS, EVENT_STREAM
from whipway.web.openapi_inputs import Described
from whipway.web.publish_query import client_address
from whipway.web.services import Services
from whipway.web.session_operations import SessionOperations
from whipway.web.status_stream import StatusStreams, has_seen_end
from whipway.web.v1 import openapi_sessions
from whipway.web.v1.lookup import SESSION, SessionHandles, still_may
from whipway.web.v1.queries import parse_page
from whipway.web.v1.shapes import iso


def make_sessions_router(services: Services, operations: SessionOperations) -> APIRouter:
    """The routes of sessions as a whole."""
    router = APIRouter(tags=["Sessions"], redirect_slashes=False)
    sessions = _Sessions(services, operations)
    every = "/sessions"
    json: Described = {"response_class": JSONResponse}
    empty: Described = {"response_class": Response}
    router.get(every, **json, **openapi_sessions.LIST)(sessions.list)
    router.get(SESSION, **json, **openapi_sessions.GET)(sessions.get)
    router.delete(SESSION, status_code=204, **empty, **openapi_sessions.END)(sessions.end)
    events = f"{SESSION}/events"
    router.get(events, **empty, **openapi_sessions.EVENTS)(sessions.events)
    # As GET it would have no end.
    router.head(events, include_in_schema=False)(sessions.events_head)
    return router


class _Sessions:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services, operations: SessionOperations) -> None:
        self._directory = services.sessions
        self._publications = services.publications
        self._callers = services.callers
        self._handles = SessionHandles(services.sessions, services.callers)
        self._operations = operations
        self._streams = StatusStreams(services.sessions)

    async def list(self, request: Request) -> JSONResponse:
        """A page of those that live, the newest first."""
        await self._callers.require(request, Right.VIEW)
        page = parse_page(request.query_params)
        living = self._directory.list_living()[::-1]
        shown = living[page["offset"] : page["offset"] + page["limit"]]
        # Together: a worker that is slow to answer keeps nobody waiting more than once.
        documents = await asyncio.gather(*map(self._document, shown))
        items = [document for document in documents if document is not None]
        return JSONResponse({"items": items, "total": len(living), **page})

    async def get(self, request: Request) -> JSONResponse:
        """One of them; an ended one as it was at last."""
        session_id = await self._handles.known(request, Right.VIEW)
        session = self._directory.find(session_id)
        assert session is not None  # Its handle was known a moment ago.
        snapshot = await self._operations.snapshot(session_id)
        document = session_document(session, snapshot, self._publications)
        return JSONResponse({**document, "snapshot": snapshot})

    async def end(self, request: Request) -> Response:
        """End it: the publisher is told."""
        await self._operations.end(await self._handles.live(request, Right.CONTROL))
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """Its snapshots, as they change."""
        session_id = await self._handles.known(request, Right.VIEW)
        if has_seen_end(request):
            return Response(status_code=204, headers={"Vary": "Accept"})
        may_go_on = still_may(self._callers, request, Right.VIEW)
        return self._streams.response(session_id, client_address(request), may_go_on)

    async def events_head(self, request: Request) -> Response:
        """What an answer with events begins with."""
        await self._handles.known(request, Right.VIEW)
        return Response(headers=EVENT_HEADERS, media_type=EVENT_STREAM)

    async def _document(self, session: KnownSession) -> dict[str, Any] | None:
        """None: it is over and forgotten by now, or its worker has not said yet that it made it."""
        try:
            snapshot = await self._directory.describe(session.session_id)
        except (SessionNotFound, WorkerSilent):
            return None
        return session_document(session, snapshot, self._publications) if snapshot else None


def session_document(
    session: KnownSession, snapshot: Mapping[str, Any], publications: Publications
) -> dict[str, Any]:
    """A session in brief."""
    access, quality = session.access, snapshot["quality"]
    name = record_name(parse_rtmp_url(access.stream_url).app, access.stream_name)
    measured = quality["measured"]
    return {
        "id": session_handle(session.session_id),
        "stream": publications.streams.brief(name),
        # As the snapshot has it: of a name that may be a key, the beginning.
        "stream_name": snapshot["stream_name"],
        "client": session.arrival.client,
        "created_at": iso(session.arrival.at),
        "state": snapshot["state"],
        "reason": snapshot["reason"],
        "sinks": len(snapshot["sinks"]),
        "bitrate": measured["video_bitrate"] + measured["audio_bitrate"],
        "fps": measured["fps"],
        "light": quality["light"]["color"],
    }
