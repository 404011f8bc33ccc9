"""In which quality a session's video comes: what was asked for, what is in force, and what is measured.

A cap on the bitrate, the layer of a simulcast, and whose pace is followed can be asked for at any time, and
so can a key frame. `inputs` has which video it is, `openapi_controls` describes the operations.
"""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.sessions import LayerNotFound, SessionDirectory, SessionNotFound, SessionOver
from whipway.web import openapi, openapi_controls
from whipway.web.auth import Guard
from whipway.web.bodies import QUALITY, check_body_headers, read_text
from whipway.web.control_bodies import parse_quality
from whipway.web.paths import ENDPOINT_PATH, KEYFRAME_PATH, QUALITY_PATH
from whipway.web.problems import Problem, ProblemKind
from whipway.web.session_lookup import SESSION, SessionLookup, raise_gone


def make_quality_router(directory: SessionDirectory, guard: Guard) -> APIRouter:
    """The routes of quality and key frames over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["Control"], redirect_slashes=False)
    quality = _Quality(directory, guard)
    path = SESSION + QUALITY_PATH

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.get(path, response_class=JSONResponse, **described(openapi_controls.QUALITY))(quality.quality)
    router.put(path, response_class=JSONResponse, **described(openapi_controls.SET_QUALITY))(quality.set)
    keyframe = described(openapi_controls.REQUEST_KEYFRAME)
    path = SESSION + KEYFRAME_PATH
    router.post(path, status_code=204, response_class=Response, **keyframe)(quality.request_keyframe)
    return router


class _Quality:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, guard: Guard) -> None:
        self._directory = directory
        self._lookup = SessionLookup(directory, guard)

    async def quality(self, request: Request) -> JSONResponse:
        """How it is; of an ended session, how it was at last."""
        return await self._answer(await self._lookup.known(request))

    async def set(self, request: Request) -> JSONResponse:
        """Ask for another one: all that the body says or, where a part of it cannot be, nothing."""
        session_id = await self._lookup.live(request)
        check_body_headers(request, QUALITY)
        values = parse_quality(await read_text(request, QUALITY))
        try:
            await self._directory.controls.set_quality(session_id, values)
        except LayerNotFound:
            detail = "The input on air does not come in a layer of this rid"
            raise Problem(ProblemKind.LAYER_UNKNOWN, detail) from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        return await self._answer(session_id)

    async def request_keyframe(self, request: Request) -> Response:
        """Have the client asked for one. A body is not asked for, and not read."""
        session_id = await self._lookup.live(request)
        try:
            await self._directory.controls.request_keyframe(session_id)
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        return Response(status_code=204)

    async def _answer(self, session_id: str) -> JSONResponse:
        try:
            snapshot = await self._directory.describe(session_id)
        except SessionNotFound as error:
            raise_gone(error)
        return JSONResponse(snapshot["quality"])
