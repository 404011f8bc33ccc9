"""What hangs below a session's URL and goes to its RTMP servers: sinks, and metadata in the stream.

The sink of the WHIP request is the first one, and a sink like any other here. Paths and names are those of a
widespread browser SDK, which knows `POST`, `GET` and `DELETE` of them.

A sink publishes a stream, so that adding one takes both: the right to touch the session, and the right to
publish that stream there. `whip` has the session itself, `openapi_sinks` describes the operations.
"""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.config import Settings
from whipway.streams.access.admission import PublishAttempt
from whipway.streams.sessions import SessionDirectory
from whipway.web import openapi, openapi_sinks
from whipway.web.auth import Guard
from whipway.web.paths import ENDPOINT_PATH, METADATA_PATH, SINKS_PATH
from whipway.web.publish_query import client_address, parse_publish_query, raw_query
from whipway.web.session_lookup import SESSION, SINK, SessionLookup
from whipway.web.session_operations import SessionOperations
from whipway.web.urls import session_url


def make_sinks_router(directory: SessionDirectory, settings: Settings, guard: Guard) -> APIRouter:
    """The routes of sinks and metadata over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["Sinks"], redirect_slashes=False)
    sinks = _Sinks(directory, settings, guard)
    every = SESSION + SINKS_PATH
    one = every + SINK

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
        self._guard = guard
        self._lookup = SessionLookup(directory, guard)
        self._operations = SessionOperations(directory)
        self._defaults = settings.sink
        self._public_url = str(settings.http.public_url) if settings.http.public_url else None

    async def add(self, request: Request) -> JSONResponse:
        """The query is that of a WHIP request. A body is not asked for, and not read."""
        query = parse_publish_query(raw_query(request), self._defaults)
        session_id = await self._lookup.known(request)
        # A token that has expired may still end what it began, but begin no more.
        principal = await self._guard.authenticate(request)
        self._lookup.require_live(session_id)
        name, url = query.stream_name, query.stream_url
        attempt = PublishAttempt(name, url, client_address(request), self._guard.bearer(request))
        # Before a callback hears of it.
        await self._operations.check_sink(session_id, query, self._defaults.max_per_session)
        await self._guard.authorize(principal, attempt)
        await self._guard.admit_sink(session_id, attempt)
        sink = await self._operations.add_sink(session_id, query)
        session = session_url(request, self._public_url, session_id)
        return JSONResponse(dict(sink), 201, {"Location": f"{session}{SINKS_PATH}/{sink['id']}"})

    async def sinks(self, request: Request) -> JSONResponse:
        """All sinks; of an ended session, as they were at last."""
        return JSONResponse([*await self._operations.sinks(await self._lookup.known(request))])

    async def sink(self, request: Request) -> JSONResponse:
        """One of them."""
        session_id = await self._lookup.known(request)
        return JSONResponse(dict(await self._operations.sink(session_id, _sink_id(request))))

    async def remove(self, request: Request) -> Response:
        """End one sink; the others, and the session, go on."""
        session_id = await self._lookup.live(request)
        await self._operations.remove_sink(session_id, _sink_id(request))
        # The SDK takes any 2xx; the same as for a session.
        return Response(status_code=200)

    async def send_metadata(self, request: Request) -> Response:
        """Put an RTMP data message into every sink there is."""
        await self._operations.send_metadata(await self._lookup.live(request), request)
        return Response(status_code=204)


def _sink_id(request: Request) -> str:
    sink_id: str = request.path_params["sink_id"]
    return sink_id
