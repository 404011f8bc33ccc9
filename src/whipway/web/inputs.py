"""The inputs of a session, of which one is on air: its video tracks, known by the mids of the offer.

Beyond WHIP, which knows one video track (RFC 9725, section 4.4.2): an extension of our own, of which a client
with one track notices nothing. `quality` has how they come, `openapi_controls` describes the operations.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import StringConvertor, register_url_convertor  # codespell:ignore convertors

from whipway.streams.sessions import InputNotFound, SessionDirectory, SessionNotFound, SessionOver
from whipway.web import openapi, openapi_controls
from whipway.web.auth import Guard
from whipway.web.bodies import INPUT, check_body_headers, read_text
from whipway.web.control_bodies import parse_input
from whipway.web.paths import ENDPOINT_PATH, INPUTS_PATH
from whipway.web.problems import Problem, ProblemKind
from whipway.web.session_lookup import SESSION, SessionLookup, raise_gone
from whipway.web.thumbnails import Thumbnails

JPEG_TYPE = "image/jpeg"
NO_STORE = {"Cache-Control": "no-store"}
"""It is another one in a moment, and for this client alone."""


class _Mid(StringConvertor):
    """A token, as in the offer (RFC 5888, section 4)."""

    regex = r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}"


register_url_convertor("mid", _Mid())


def make_inputs_router(directory: SessionDirectory, guard: Guard) -> APIRouter:
    """The routes of inputs over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["Control"], redirect_slashes=False)
    inputs = _Inputs(directory, guard)
    every = SESSION + INPUTS_PATH
    thumbnail = every + "/{mid:mid}/thumbnail"

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.get(every, response_class=JSONResponse, **described(openapi_controls.INPUTS))(inputs.inputs)
    router.put(every, response_class=JSONResponse, **described(openapi_controls.SELECT_INPUT))(inputs.select)
    router.get(thumbnail, response_class=Response, **described(openapi_controls.THUMBNAIL))(inputs.thumbnail)
    return router


class _Inputs:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, guard: Guard) -> None:
        self._directory = directory
        self._lookup = SessionLookup(directory, guard)
        self._thumbnails = Thumbnails(directory.controls.keyframe_picture)

    async def inputs(self, request: Request) -> JSONResponse:
        """All of them; of an ended session, as they were at last."""
        return await self._answer(await self._lookup.known(request))

    async def select(self, request: Request) -> JSONResponse:
        """Have another one on air. Until its key frame is there, the answer has it as wanted."""
        session_id = await self._lookup.live(request)
        check_body_headers(request, INPUT)
        mid = parse_input(await read_text(request, INPUT))
        try:
            await self._directory.controls.select_input(session_id, mid)
        except InputNotFound:
            raise _unknown() from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        return await self._answer(session_id)

    async def thumbnail(self, request: Request) -> Response:
        """What an input shows, on air or not."""
        session_id = await self._lookup.live(request)
        try:
            picture = await self._thumbnails.picture(session_id, request.path_params["mid"])
        except InputNotFound:
            raise _unknown() from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        if picture is None:
            return Response(status_code=204, headers=NO_STORE)
        return Response(picture, headers=NO_STORE, media_type=JPEG_TYPE)

    async def _answer(self, session_id: str) -> JSONResponse:
        try:
            snapshot = await self._directory.describe(session_id)
        except SessionNotFound as error:
            raise_gone(error)
        return JSONResponse(input_document(snapshot))


def input_document(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What a session's snapshot says of its inputs."""
    return {**snapshot["input"], "inputs": snapshot["inputs"]}


def _unknown() -> Problem:
    return Problem(ProblemKind.INPUT_UNKNOWN, "The offer had no video of this mid, or it was not accepted")
