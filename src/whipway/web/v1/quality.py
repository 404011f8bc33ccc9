"""The quality of a session's video for those who look after it, and key frames.

The same as `web.quality` has for publishers.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right
from whipway.web.openapi_inputs import Described
from whipway.web.services import Services
from whipway.web.session_operations import SessionOperations
from whipway.web.v1 import openapi_sessions
from whipway.web.v1.lookup import SESSION, SessionHandles


def make_quality_router(services: Services, operations: SessionOperations) -> APIRouter:
    """The routes of quality and key frames."""
    router = APIRouter(tags=["Sessions"], redirect_slashes=False)
    handles = SessionHandles(services.sessions, services.callers)
    path = f"{SESSION}/quality"
    keyframe: Described = {
        "status_code": 204,
        "response_class": Response,
        **openapi_sessions.REQUEST_KEYFRAME,
    }

    @router.get(path, response_class=JSONResponse, **openapi_sessions.QUALITY)
    async def quality(request: Request) -> JSONResponse:
        return JSONResponse(await operations.quality(await handles.known(request, Right.VIEW)))

    @router.put(path, response_class=JSONResponse, **openapi_sessions.SET_QUALITY)
    async def set_quality(request: Request) -> JSONResponse:
        session_id = await handles.live(request, Right.EDIT)
        return JSONResponse(await operations.set_quality(session_id, request))

    @router.post(f"{SESSION}/keyframe", **keyframe)
    async def request_keyframe(request: Request) -> Response:
        await operations.request_keyframe(await handles.live(request, Right.EDIT))
        return Response(status_code=204)

    return router
