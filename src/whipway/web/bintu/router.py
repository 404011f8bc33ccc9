"""The routes of the bintu API: below `/bintu`, and at the root of a listener of its own.

What the platform's documents leave open is decided in `docs/bintu.md`. Every success is 200, also of what
makes a stream: clients take anything else for a failure.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whipway.config import Settings
from whipway.streams.access.roles import Right, may
from whipway.streams.push_urls import PushUrlRefused
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.stream_directory import StreamNotFound
from whipway.streams.stream_names import is_recordable
from whipway.streams.stream_tags import TagRefused
from whipway.streams.webhooks.webhook_rules import WebhookRefused, check_webhook_url
from whipway.web.bintu.callers import BintuCallers
from whipway.web.bintu.errors import BintuError, BintuRoute, Fault
from whipway.web.bintu.parameters import (
    check_type,
    parse_stream_filter,
    read_members,
    tags_of,
    text_of,
    url_or_none,
)
from whipway.web.bintu.shapes import BintuShapes, organisation_document
from whipway.web.services import Services

BINTU_PATH = "/bintu"
_STREAM = "/stream/{stream_id}"

Act = Callable[[str], Awaitable[StreamRecord]]
"""Something that is done to the stream of an id."""


def make_bintu_router(services: Services, *, prefix: str) -> APIRouter:
    """All of it; without a prefix for a listener of its own.

    It is no part of this server's own description: other documents describe it.
    """
    router = APIRouter(prefix=prefix, route_class=BintuRoute, redirect_slashes=False, include_in_schema=False)
    shapes = BintuShapes(services.urls, None if prefix else _http_port(services.settings))
    streams, organisation = _Streams(services, shapes), _Organisation(services)
    router.post("/stream")(streams.create)
    router.get("/stream")(streams.list)
    router.post("/stream/validate")(streams.validate)
    router.get(_STREAM)(streams.get)
    router.delete(_STREAM)(streams.delete)
    router.put(f"{_STREAM}/stop")(streams.stop)
    router.put(f"{_STREAM}/lock")(streams.lock)
    router.put(f"{_STREAM}/unlock")(streams.unlock)
    router.put(f"{_STREAM}/tag")(streams.set_tags)
    router.put(f"{_STREAM}/push_url")(streams.set_push_url)
    router.get("/organisation")(organisation.get)
    router.put("/organisation/webhook")(organisation.set_webhook)
    return router


class _Streams:
    """The operations on streams. Each raises BintuError for what it refuses."""

    def __init__(self, services: Services, shapes: BintuShapes) -> None:
        self._directory = services.streams
        self._callers = BintuCallers(services.keys)
        self._shapes = shapes

    async def create(self, request: Request) -> JSONResponse:
        """A new stream, under a name of its own."""
        await self._callers.require(request, Right.EDIT)
        members = await read_members(request)
        check_type(members)
        try:
            record = await self._directory.create(tags_of(members))
        except TagRefused as refusal:
            raise _refused("tags", str(refusal)) from None
        return self._answer(record, request)

    async def list(self, request: Request) -> JSONResponse:
        """The newest ones. A player has to name a tag."""
        role = await self._callers.require(request, Right.LIST_BY_TAG)
        query = parse_stream_filter(request.query_params)
        is_public = not may(role, Right.VIEW)
        if is_public and not query.tags:
            raise BintuError(Fault.PARAMETER_REQUIRED, required_parameter="tags")
        records = await self._directory.list(query)
        return JSONResponse([self._shapes.stream(each, request, is_public=is_public) for each in records])

    async def get(self, request: Request) -> JSONResponse:
        """One stream: for anybody who knows its id, as players do; how to publish it, for holders of keys."""
        role = await self._callers.identify(request)
        is_public = role is None or not may(role, Right.VIEW)
        try:
            record = await self._directory.get(_stream_id(request))
        except StreamNotFound:
            raise _unknown(request) from None
        return JSONResponse(self._shapes.stream(record, request, is_public=is_public))

    async def delete(self, request: Request) -> JSONResponse:
        """For good, whoever publishes it."""
        await self._callers.require(request, Right.CONTROL)
        try:
            await self._directory.delete(_stream_id(request))
        except StreamNotFound:
            raise _unknown(request) from None
        return JSONResponse({"id": _stream_id(request), "state": StreamState.DELETED.value})

    async def stop(self, request: Request) -> JSONResponse:
        """End whatever publishes it."""
        return await self._control(request, self._directory.stop)

    async def lock(self, request: Request) -> JSONResponse:
        """Stop it, and let nobody publish it."""
        return await self._control(request, self._directory.lock)

    async def unlock(self, request: Request) -> JSONResponse:
        """Let it be published again."""
        return await self._control(request, self._directory.unlock)

    async def set_tags(self, request: Request) -> JSONResponse:
        """Other tags in place of those that it has."""
        await self._callers.require(request, Right.EDIT)
        # A widespread client sends no body at all for an empty list. Without tags, `{}` is a mistake.
        members = await read_members(request, tags=[])
        if "tags" not in members:
            raise BintuError(Fault.PARAMETER_REQUIRED, required_parameter="tags")
        try:
            record = await self._directory.set_tags(_stream_id(request), tags_of(members))
        except TagRefused as refusal:
            raise _refused("tags", str(refusal)) from None
        except StreamNotFound:
            raise _unknown(request) from None
        return self._answer(record, request)

    async def set_push_url(self, request: Request) -> JSONResponse:
        """Send it on to one RTMP server more, or to none."""
        await self._callers.require(request, Right.EDIT)
        url = url_or_none(await read_members(request), "url")
        try:
            record = await self._directory.set_push_url(_stream_id(request), url)
        except PushUrlRefused as refusal:
            raise _refused("url", f"The URL {refusal}") from None
        except StreamNotFound:
            raise _unknown(request) from None
        return self._answer(record, request)

    async def validate(self, request: Request) -> JSONResponse:
        """Whether a name is taken."""
        await self._callers.require(request, Right.VIEW)
        name = text_of(await read_members(request), "streamname", "name")
        if not is_recordable(name):
            raise BintuError(
                Fault.VALUE_REFUSED, parameter="streamname", detail="No stream can have this name"
            )
        is_taken = await self._directory.is_taken(name)
        return JSONResponse({"streamname": name, "taken": is_taken, "valid": not is_taken})

    async def _control(self, request: Request, act: Act) -> JSONResponse:
        await self._callers.require(request, Right.CONTROL)
        try:
            return self._answer(await act(_stream_id(request)), request)
        except StreamNotFound:
            raise _unknown(request) from None

    def _answer(self, record: StreamRecord, request: Request) -> JSONResponse:
        return JSONResponse(self._shapes.stream(record, request))


class _Organisation:
    """The operations on the organisation."""

    def __init__(self, services: Services) -> None:
        self._organisation = services.organisation
        self._callers = BintuCallers(services.keys)

    async def get(self, request: Request) -> JSONResponse:
        """As it is: clients ask for it to see whether their key is good."""
        role = await self._callers.require(request, Right.VIEW)
        organisation = await self._organisation.get()
        return JSONResponse(organisation_document(organisation, with_webhook=may(role, Right.MANAGE)))

    async def set_webhook(self, request: Request) -> JSONResponse:
        """Ask another URL before each publish, or none."""
        await self._callers.require(request, Right.MANAGE)
        url = url_or_none(await read_members(request), "webhook")
        if url is not None:
            try:
                check_webhook_url(url)
            except WebhookRefused as refusal:
                raise _refused("webhook", f"The URL {refusal}") from None
        organisation = await self._organisation.update(webhook=url)
        return JSONResponse(organisation_document(organisation, with_webhook=True))


def _http_port(settings: Settings) -> int | None:
    """Where WHIP is, for a client of the own listener; None: at the address that it asks for already."""
    # Behind a proxy both may be one host, and `http.public_url` says what it is. Port 0 is any that is free.
    is_known = settings.http.port and not settings.http.trusted_proxies
    return settings.http.port if is_known else None


def _stream_id(request: Request) -> str:
    stream_id: str = request.path_params["stream_id"]
    return stream_id


def _unknown(request: Request) -> BintuError:
    return BintuError(Fault.STREAM_NOT_FOUND, id=_stream_id(request)[:64])


def _refused(parameter: str, detail: str) -> BintuError:
    return BintuError(Fault.VALUE_REFUSED, parameter=parameter, detail=detail)
