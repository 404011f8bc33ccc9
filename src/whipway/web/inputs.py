"""The inputs of a session, of which one is on air: its video tracks, known by the mids of the offer.

Beyond WHIP, which knows one video track (RFC 9725, section 4.4.2): an extension of our own, of which a client
with one track notices nothing. `quality` has how they come, `openapi_controls` describes the operations.
"""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.sessions import SessionDirectory
from whipway.web import openapi, openapi_controls
from whipway.web.auth import Guard
from whipway.web.paths import ENDPOINT_PATH, INPUTS_PATH
from whipway.web.session_lookup import SESSION, THUMBNAIL, SessionLookup
from whipway.web.session_operations import SessionOperations


def make_inputs_router(directory: SessionDirectory, guard: Guard) -> APIRouter:
    """The routes of inputs over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["Control"], redirect_slashes=False)
    inputs = _Inputs(directory, guard)
    every = SESSION + INPUTS_PATH
    thumbnail = every + THUMBNAIL

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.get(every, response_class=JSONResponse, **described(openapi_controls.INPUTS))(inputs.inputs)
    router.put(every, response_class=JSONResponse, **described(openapi_controls.SELECT_INPUT))(inputs.select)
    router.get(thumbnail, response_class=Response, **described(openapi_controls.THUMBNAIL))(inputs.thumbnail)
    return router


class _Inputs:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, guard: Guard) -> None:
        self._lookup = SessionLookup(directory, guard)
        self._operations = SessionOperations(directory)

    async def inputs(self, request: Request) -> JSONResponse:
        """All of them; of an ended session, as they were at last."""
        return JSONResponse(await self._operations.inputs(await self._lookup.known(request)))

    async def select(self, request: Request) -> JSONResponse:
        """Have another one on air. Until its key frame is there, the answer has it as wanted."""
        return JSONResponse(await self._operations.select_input(await self._lookup.live(request), request))

    async def thumbnail(self, request: Request) -> Response:
        """What an input shows, on air or not."""
        session_id = await self._lookup.live(request)
        return await self._operations.thumbnail(session_id, request.path_params["mid"])
