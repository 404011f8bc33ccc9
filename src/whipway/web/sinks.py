"""What hangs below a session's URL and goes to its RTMP servers: sinks, and metadata in the stream.

The sink of the WHIP request is the first one, and a sink like any other here. Paths and names are those of a
widespread browser SDK, which knows `POST`, `GET` and `DELETE` of them.

A sink publishes a stream, so that adding one takes both: the right to touch the session, and the right to
publish that stream there. `whip` has the session itself, `openapi_sinks` describes the operations.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import StringConvertor, register_url_convertor  # codespell:ignore convertors

from whipway.config import Settings
from whipway.streams.admission import PublishAttempt
from whipway.streams.sessions import (
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.web import openapi, openapi_sinks
from whipway.web.auth import Guard
from whipway.web.bodies import METADATA, check_body_headers, read_text
from whipway.web.metadata_body import parse_metadata
from whipway.web.paths import ENDPOINT_PATH, METADATA_PATH, SINKS_PATH
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import client_address, parse_publish_query, raw_query
from whipway.web.session_lookup import SESSION, SessionLookup, raise_gone
from whipway.web.urls import session_url

_REFUSALS = {"busy": ProblemKind.STREAM_BUSY, "full": ProblemKind.TOO_MANY_SINKS}


class _SinkId(StringConvertor):
    """What may stand in a path for a sink."""

    regex = "[A-Za-z0-9]{1,16}"


register_url_convertor("sink", _SinkId())


def make_sinks_router(directory: SessionDirectory, settings: Settings, guard: Guard) -> APIRouter:
    """The routes of sinks and metadata over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["Sinks"], redirect_slashes=False)
    sinks = _Sinks(directory, settings, guard)
    every = SESSION + SINKS_PATH
    one = every + "/{sink_id:sink}"

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.post(every, status_code=201, response_class=JSONResponse, **described(openapi_sinks.ADD))(
        sinks.add
    )
    router.get(every, response_class=JSONResponse, **described(openapi_sinks.LIST))(sinks.sinks)
    router.get(one, response_class=JSONResponse, **described(openapi_sinks.SINK))(sinks.sink)
    router.delete(one, response_class=Response, **described(openapi_sinks.REMOVE))(sinks.remove)
    metadata = described(openapi_sinks.SEND_METADATA)
    path = SESSION + METADATA_PATH
    router.post(path, status_code=204, response_class=Response, **metadata)(sinks.send_metadata)
    return router


class _Sinks:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, settings: Settings, guard: Guard) -> None:
        self._directory = directory
        self._guard = guard
        self._lookup = SessionLookup(directory, guard)
        self._settings = settings.sink
        self._public_url = str(settings.http.public_url) if settings.http.public_url else None

    async def add(self, request: Request) -> JSONResponse:
        """The query is that of a WHIP request. A body is not asked for, and not read."""
        query = parse_publish_query(raw_query(request), self._settings)
        session_id = await self._lookup.known(request)
        # A token that has expired may still end what it began, but begin no more.
        principal = await self._guard.authenticate(request)
        self._lookup.require_live(session_id)
        name, url = query.stream_name, query.stream_url
        attempt = PublishAttempt(name, url, client_address(request), self._guard.bearer(request))
        try:
            # Before a callback hears of it. Whether the stream is free is known later.
            await self._directory.sinks.check(
                session_id,
                stream_url=url,
                audio=query.audio,
                audio_bitrate=query.audio_bitrate,
                max_sinks=self._settings.max_per_session,
            )
            await self._guard.authorize(principal, attempt)
            sink = await self._directory.sinks.add(
                session_id,
                stream_name=name,
                stream_url=url,
                audio=query.audio,
                audio_bitrate=query.audio_bitrate,
                filler=query.filler,
            )
        except SessionNotCreated as refusal:
            raise Problem(ProblemKind.EGRESS_REFUSED, refusal.detail) from None
        except SinkNotAdded as refusal:
            raise Problem(_REFUSALS[refusal.kind], refusal.detail) from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        session = session_url(request, self._public_url, session_id)
        return JSONResponse(dict(sink), 201, {"Location": f"{session}{SINKS_PATH}/{sink['id']}"})

    async def sinks(self, request: Request) -> JSONResponse:
        """All sinks; of an ended session, as they were at last."""
        return JSONResponse(await self._all(request))

    async def sink(self, request: Request) -> JSONResponse:
        """One of them."""
        sink_id = _sink_id(request)
        for sink in await self._all(request):
            if sink["id"] == sink_id:
                return JSONResponse(sink)
        raise _unknown()

    async def remove(self, request: Request) -> Response:
        """End one sink; the others, and the session, go on."""
        session_id = await self._lookup.live(request)
        try:
            await self._directory.sinks.remove(session_id, _sink_id(request))
        except SinkNotFound:
            raise _unknown() from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        # The SDK takes any 2xx; the same as for a session.
        return Response(status_code=200)

    async def send_metadata(self, request: Request) -> Response:
        """Put an RTMP data message into every sink there is."""
        session_id = await self._lookup.live(request)
        check_body_headers(request, METADATA)
        message = parse_metadata(await read_text(request, METADATA))
        try:
            await self._directory.sinks.send_metadata(session_id, message.handler, message.payload)
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        return Response(status_code=204)

    async def _all(self, request: Request) -> list[dict[str, Any]]:
        session_id = await self._lookup.known(request)
        try:
            return [*map(dict, await self._directory.sinks.of(session_id))]
        except SessionNotFound as error:
            raise_gone(error)


def _sink_id(request: Request) -> str:
    sink_id: str = request.path_params["sink_id"]
    return sink_id


def _unknown() -> Problem:
    return Problem(ProblemKind.SINK_UNKNOWN, "It never existed, or was removed")
