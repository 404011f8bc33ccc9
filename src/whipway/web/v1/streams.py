"""Streams: the list, one of them, what may be done to it, and tokens to publish it by.

All operations are those of `StreamDirectory`, which the bintu API has as well. Who asks is judged before it
is looked whether there is such a stream; `openapi_streams` describes the operations.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway import __version__
from whipway.streams.access.keys import KeyRefused
from whipway.streams.access.roles import Right, may
from whipway.streams.push_urls import PushUrlRefused
from whipway.streams.records import Role, StreamRecord, StreamState
from whipway.streams.store.tables import MAX_TAG_CHARACTERS, MAX_URL_CHARACTERS
from whipway.streams.stream_directory import StreamNotFound
from whipway.streams.stream_tags import MAX_TAGS
from whipway.web.bodies import DOCUMENT, PATCH_DOCUMENT, check_body_headers, read_optional_text, read_text
from whipway.web.services import Services
from whipway.web.v1 import openapi_streams
from whipway.web.v1.ids import STREAM
from whipway.web.v1.keys import key_refused
from whipway.web.v1.lookup import find_stream, unknown_stream
from whipway.web.v1.members import (
    list_of,
    nullable,
    number_of_seconds,
    parse_members,
    printable_text,
    refused,
)
from whipway.web.v1.openapi_streams import DEFAULT_TOKEN_SECONDS, MAX_TOKEN_SECONDS
from whipway.web.v1.queries import parse_stream_query, parse_text
from whipway.web.v1.shapes import StreamShapes, change_document, iso

MAX_FOUND_TAGS = 100
NO_STORE = {"Cache-Control": "no-store"}
"""The answer holds a secret."""

_TAGS = list_of(printable_text(MAX_TAG_CHARACTERS), MAX_TAGS)
_CREATE = {"tags": _TAGS}
_CHANGE = {"tags": _TAGS, "push_url": nullable(printable_text(MAX_URL_CHARACTERS))}
_TOKEN = {"expires_in": number_of_seconds(MAX_TOKEN_SECONDS)}

Act = Callable[[str], Awaitable[StreamRecord]]
"""Something that is done to the stream of an id."""


def make_streams_router(services: Services) -> APIRouter:
    """The routes of streams and of what is said of all of them."""
    router = APIRouter(tags=["Streams"], redirect_slashes=False)
    streams = _Streams(services)
    every = "/streams"
    json: dict[str, Any] = {"response_class": JSONResponse}
    router.get(every, **json, **openapi_streams.LIST)(streams.list)
    router.post(every, status_code=201, **json, **openapi_streams.CREATE)(streams.create)
    router.get(STREAM, **json, **openapi_streams.GET)(streams.get)
    router.patch(STREAM, **json, **openapi_streams.CHANGE_STREAM)(streams.change)
    router.delete(STREAM, status_code=204, response_class=Response, **openapi_streams.DELETE)(streams.delete)
    router.post(f"{STREAM}/stop", **json, **openapi_streams.STOP)(streams.stop)
    router.post(f"{STREAM}/lock", **json, **openapi_streams.LOCK)(streams.lock)
    router.post(f"{STREAM}/unlock", **json, **openapi_streams.UNLOCK)(streams.unlock)
    router.get(f"{STREAM}/changes", **json, **openapi_streams.CHANGES)(streams.changes)
    router.post(f"{STREAM}/tokens", status_code=201, **json, **openapi_streams.MAKE_TOKEN)(streams.make_token)
    router.get("/tags", **json, **openapi_streams.TAGS)(streams.tags)
    router.get("/summary", **json, **openapi_streams.SUMMARY)(streams.summary)
    return router


class _Streams:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services) -> None:
        self._directory = services.streams
        self._sessions = services.sessions
        self._keys = services.keys
        self._callers = services.callers
        self._urls = services.urls
        self._shapes = StreamShapes(services.urls, services.streams)
        self._began_at = time.monotonic()

    async def list(self, request: Request) -> JSONResponse:
        """A page of them, and how many there are in all."""
        by_tag = bool(request.query_params.getlist("tag"))
        caller = await self._callers.require(request, Right.LIST_BY_TAG if by_tag else Right.VIEW)
        query = parse_stream_query(request.query_params)
        records = await self._directory.list(query)
        # A player is to play what it finds, and neither to publish it nor to know who does.
        full = may(caller.role, Right.VIEW)
        return JSONResponse(
            {
                "items": [self._shapes.stream(each, request, is_shown_in_full=full) for each in records],
                "total": await self._directory.count(query),
                "limit": query.limit,
                "offset": query.offset,
            }
        )

    async def create(self, request: Request) -> JSONResponse:
        """A new one, under a name of its own."""
        await self._callers.require(request, Right.EDIT)
        members = parse_members(await read_optional_text(request, DOCUMENT), _CREATE)
        record = await self._directory.create(members.get("tags", ()))
        location = f"{self._urls.base(request)}{request.scope['path']}/{record.id}"
        return JSONResponse(self._shapes.stream(record, request), 201, {"Location": location})

    async def get(self, request: Request) -> JSONResponse:
        """One of them."""
        await self._callers.require(request, Right.VIEW)
        return self._answer(await self._record(request), request)

    async def change(self, request: Request) -> JSONResponse:
        """Set what the body names. The push URL first, which may be refused: then nothing is changed."""
        await self._callers.require(request, Right.EDIT)
        check_body_headers(request, PATCH_DOCUMENT)
        members = parse_members(await read_text(request, PATCH_DOCUMENT), _CHANGE)
        record = await self._record(request)
        try:
            if "push_url" in members:
                record = await self._directory.set_push_url(record.id, members["push_url"])
            if "tags" in members:
                record = await self._directory.set_tags(record.id, members["tags"])
        except PushUrlRefused as refusal:
            raise refused("push_url", refusal) from None
        except StreamNotFound:
            raise unknown_stream() from None
        return self._answer(record, request)

    async def delete(self, request: Request) -> Response:
        """For good, whoever publishes it."""
        await self._callers.require(request, Right.CONTROL)
        try:
            await self._directory.delete(_stream_id(request))
        except StreamNotFound:
            raise unknown_stream() from None
        return Response(status_code=204)

    async def stop(self, request: Request) -> JSONResponse:
        """End whatever publishes it."""
        return await self._control(request, self._directory.stop)

    async def lock(self, request: Request) -> JSONResponse:
        """Stop it, and let nobody publish it."""
        return await self._control(request, self._directory.lock)

    async def unlock(self, request: Request) -> JSONResponse:
        """Let it be published again."""
        return await self._control(request, self._directory.unlock)

    async def changes(self, request: Request) -> JSONResponse:
        """Which states it has been in."""
        await self._callers.require(request, Right.VIEW)
        try:
            changes = await self._directory.changes(_stream_id(request))
        except StreamNotFound:
            raise unknown_stream() from None
        return JSONResponse({"items": [*map(change_document, changes)]})

    async def make_token(self, request: Request) -> JSONResponse:
        """A key that publishes this stream and does nothing else."""
        await self._callers.require(request, Right.EDIT)
        members = parse_members(await read_optional_text(request, DOCUMENT), _TOKEN)
        record = await self._record(request)
        try:
            secret, key = await self._keys.create(
                f"publishes {record.id}",
                Role.PUBLISHER,
                expires_in=members.get("expires_in", DEFAULT_TOKEN_SECONDS),
                stream_id=record.id,
            )
        except KeyRefused as refusal:
            await self._record(request)  # Or it has been deleted meanwhile.
            raise key_refused(refusal) from None
        content = {"token": secret, "id": key.id, "expires_at": iso(key.expires_at)}
        return JSONResponse(content, 201, NO_STORE)

    async def tags(self, request: Request) -> JSONResponse:
        """Tags that are in use, as for a form that completes them."""
        await self._callers.require(request, Right.VIEW)
        prefix = parse_text(request.query_params, "prefix", MAX_TAG_CHARACTERS)
        return JSONResponse({"items": [*await self._directory.tags(prefix, MAX_FOUND_TAGS)]})

    async def summary(self, request: Request) -> JSONResponse:
        """What a page shows first."""
        await self._callers.require(request, Right.VIEW)
        counts = await self._directory.counts()
        present = {state.value: counts[state] for state in StreamState if state is not StreamState.DELETED}
        return JSONResponse(
            {
                "streams": present,
                "sessions": self._sessions.live_count,
                "version": __version__,
                "uptime": round(time.monotonic() - self._began_at, 1),
            }
        )

    async def _control(self, request: Request, act: Act) -> JSONResponse:
        await self._callers.require(request, Right.CONTROL)
        try:
            return self._answer(await act(_stream_id(request)), request)
        except StreamNotFound:
            raise unknown_stream() from None

    async def _record(self, request: Request) -> StreamRecord:
        return await find_stream(self._directory, _stream_id(request))

    def _answer(self, record: StreamRecord, request: Request) -> JSONResponse:
        return JSONResponse(self._shapes.stream(record, request))


def _stream_id(request: Request) -> str:
    stream_id: str = request.path_params["stream_id"]
    return stream_id
