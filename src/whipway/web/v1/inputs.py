"""The inputs of a session for those who look after it, and what each of them shows.

The same as `web.inputs` has for publishers.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right
from whipway.web.services import Services
from whipway.web.session_lookup import THUMBNAIL
from whipway.web.session_operations import SessionOperations
from whipway.web.v1 import openapi_sessions
from whipway.web.v1.lookup import SESSION, SessionHandles


def make_inputs_router(services: Services, operations: SessionOperations) -> APIRouter:
    """The routes of inputs."""
    router = APIRouter(tags=["Sessions"], redirect_slashes=False)
    handles = SessionHandles(services.sessions, services.callers)
    path = f"{SESSION}/input"

    @router.get(path, response_class=JSONResponse, **openapi_sessions.INPUTS)
    async def inputs(request: Request) -> JSONResponse:
        return JSONResponse(await operations.inputs(await handles.known(request, Right.VIEW)))

    @router.put(path, response_class=JSONResponse, **openapi_sessions.SELECT_INPUT)
    async def select(request: Request) -> JSONResponse:
        session_id = await handles.live(request, Right.EDIT)
        return JSONResponse(await operations.select_input(session_id, request))

    @router.get(path + THUMBNAIL, response_class=Response, **openapi_sessions.THUMBNAIL)
    async def thumbnail(request: Request) -> Response:
        session_id = await handles.live(request, Right.VIEW)
        return await operations.thumbnail(session_id, request.path_params["mid"])

    return router
