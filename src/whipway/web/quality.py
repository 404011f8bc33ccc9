"""In which quality a session's video comes: what was asked for, what is in force, and what is measured.

A cap on the bitrate, the layer of a simulcast, and whose pace is followed can be asked for at any time, and
so can a key frame. `inputs` has which video it is, `openapi_controls` describes the operations.
"""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.sessions import SessionDirectory
from whipway.web import openapi, openapi_controls
from whipway.web.auth import Guard
from whipway.web.paths import ENDPOINT_PATH, KEYFRAME_PATH, QUALITY_PATH
from whipway.web.session_lookup import SESSION, SessionLookup
from whipway.web.session_operations import SessionOperations


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
        self._lookup = SessionLookup(directory, guard)
        self._operations = SessionOperations(directory)

    async def quality(self, request: Request) -> JSONResponse:
        """How it is; of an ended session, how it was at last."""
        return JSONResponse(await self._operations.quality(await self._lookup.known(request)))

    async def set(self, request: Request) -> JSONResponse:
        """Ask for another one: all that the body says or, where a part of it cannot be, nothing."""
        return JSONResponse(await self._operations.set_quality(await self._lookup.live(request), request))

    async def request_keyframe(self, request: Request) -> Response:
        """Have the client asked for one. A body is not asked for, and not read."""
        await self._operations.request_keyframe(await self._lookup.live(request))
        return Response(status_code=204)
