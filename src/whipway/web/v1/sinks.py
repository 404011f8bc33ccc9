"""The sinks of a session for those who look after it, and metadata in its stream.

The same as `web.sinks` has for publishers. A key that may edit may send a session anywhere that the server
lets streams go; what streams themselves say (`publish_rules`) holds for everybody.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.config import SinkSettings
from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.streams.access.admission import PublishAttempt
from whipway.streams.access.roles import Right
from whipway.web.bodies import DOCUMENT, check_body_headers, read_text
from whipway.web.openapi_inputs import Described
from whipway.web.publish_query import (
    AUDIO_CHOICES,
    FILLER_CHOICES,
    PublishQuery,
    check_audio_bitrate,
)
from whipway.web.services import Services
from whipway.web.session_lookup import SINK
from whipway.web.session_operations import SessionOperations
from whipway.web.v1 import openapi_sessions
from whipway.web.v1.lookup import SESSION, SessionHandles
from whipway.web.v1.members import Check, parse_members


def make_sinks_router(services: Services, operations: SessionOperations) -> APIRouter:
    """The routes of sinks and metadata."""
    router = APIRouter(tags=["Sessions"], redirect_slashes=False)
    sinks = _Sinks(services, operations)
    every = f"{SESSION}/sinks"
    json: Described = {"response_class": JSONResponse}
    empty: Described = {"response_class": Response}
    one = every + SINK
    router.post(every, status_code=201, **json, **openapi_sessions.ADD_SINK)(sinks.add)
    router.get(every, **json, **openapi_sessions.SINKS)(sinks.sinks)
    router.get(one, **json, **openapi_sessions.SINK)(sinks.sink)
    router.delete(one, status_code=204, **empty, **openapi_sessions.REMOVE_SINK)(sinks.remove)
    metadata = openapi_sessions.SEND_METADATA
    router.post(f"{SESSION}/metadata", status_code=204, **empty, **metadata)(sinks.send_metadata)
    return router


class _Sinks:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services, operations: SessionOperations) -> None:
        self._handles = SessionHandles(services.sessions, services.callers)
        self._sessions = services.sessions
        self._guard = services.guard
        self._urls = services.urls
        self._operations = operations
        self._defaults = services.settings.sink

    async def add(self, request: Request) -> JSONResponse:
        """Feed one more RTMP server."""
        session_id = await self._handles.live(request, Right.EDIT)
        check_body_headers(request, DOCUMENT)
        query = parse_sink(await read_text(request, DOCUMENT), self._defaults)
        await self._operations.check_sink(session_id, query, self._defaults.max_per_session)
        session = self._sessions.find(session_id)
        client = session.arrival.client if session else ""
        attempt = PublishAttempt(query.stream_name, query.stream_url, client, None)
        await self._guard.admit_sink(session_id, attempt)
        sink = await self._operations.add_sink(session_id, query)
        location = f"{self._urls.base(request)}{request.scope['path']}/{sink['id']}"
        return JSONResponse(dict(sink), 201, {"Location": location})

    async def sinks(self, request: Request) -> JSONResponse:
        """All of them; of an ended session, as they were at last."""
        session_id = await self._handles.known(request, Right.VIEW)
        return JSONResponse({"items": await self._operations.sinks(session_id)})

    async def sink(self, request: Request) -> JSONResponse:
        """One of them."""
        session_id = await self._handles.known(request, Right.VIEW)
        return JSONResponse(await self._operations.sink(session_id, request.path_params["sink_id"]))

    async def remove(self, request: Request) -> Response:
        """End one; the others, and the session, go on."""
        session_id = await self._handles.live(request, Right.EDIT)
        await self._operations.remove_sink(session_id, request.path_params["sink_id"])
        return Response(status_code=204)

    async def send_metadata(self, request: Request) -> Response:
        """Put an RTMP data message into every sink there is."""
        session_id = await self._handles.live(request, Right.EDIT)
        await self._operations.send_metadata(session_id, request)
        return Response(status_code=204)


def parse_sink(text: str, defaults: SinkSettings) -> PublishQuery:
    """What a body says of a new sink; the settings say the rest. Raises Problem (400, 422)."""
    members = parse_members(text, _CHECKS, ("stream_url", "stream_name"))
    return PublishQuery(
        members["stream_name"],
        members["stream_url"],
        members.get("audio", defaults.audio),
        members.get("audio_bitrate", defaults.audio_bitrate),
        members.get("filler", defaults.filler),
    )


def _text(check: Callable[[str], object]) -> Check:
    def checked(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("is text that is not empty")
        check(value)
        return value

    return checked


def _word(choices: Sequence[str]) -> Check:
    def checked(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError(f"is one of {', '.join(choices)}")

    return checked


def _bitrate(value: Any) -> int:
    if not isinstance(value, float) or not value.is_integer():
        raise ValueError("is an integer")
    check_audio_bitrate(value)
    return int(value)


_CHECKS = {
    "stream_url": _text(parse_rtmp_url),
    "stream_name": _text(check_stream_name),
    "audio": _word(AUDIO_CHOICES),
    "audio_bitrate": _bitrate,
    "filler": _word(FILLER_CHOICES),
}
