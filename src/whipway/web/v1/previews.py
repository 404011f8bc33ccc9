"""What a stream shows: its last key frame, small, at most every two seconds another one.

Of a WHIP session it is the input on air, of an RTMP publisher what the embedded origin has. One set of
thumbnails makes both, so that who looks at a session's inputs and at its stream gets the same picture.
"""

from fastapi import APIRouter, Request, Response

from whipway.streams.access.roles import Right
from whipway.streams.publications import Publication
from whipway.streams.sessions import InputNotFound, SessionDirectory, SessionNotFound, SessionOver
from whipway.web.services import OriginLooks, Services
from whipway.web.session_operations import picture_response
from whipway.web.thumbnails import KeyframeSource, Thumbnails
from whipway.web.v1 import openapi_live
from whipway.web.v1.ids import STREAM
from whipway.web.v1.lookup import find_stream
from whipway.web.v1.shapes import leading

AT_ORIGIN = ""
"""In the place of a session's id; the input's mid is a stream's key then."""


def make_previews_router(services: Services, thumbnails: Thumbnails) -> APIRouter:
    """The route of previews."""
    router = APIRouter(tags=["Streams"], redirect_slashes=False)

    @router.get(f"{STREAM}/preview", response_class=Response, **openapi_live.PREVIEW)
    async def preview(request: Request) -> Response:
        await services.callers.require(request, Right.VIEW)
        record = await find_stream(services.streams, request.path_params["stream_id"])
        publication = leading(services.streams.publications_of(record))
        if publication is None:
            return picture_response(None)
        return picture_response(await _picture(publication, services.sessions, thumbnails))

    return router


def keyframe_source(sessions: SessionDirectory, origin: OriginLooks | None) -> KeyframeSource:
    """Key frames of sessions and of streams at the origin, for one set of thumbnails."""

    async def keyframe(session_id: str, mid: str) -> bytes | None:
        if session_id != AT_ORIGIN:
            return await sessions.controls.keyframe_picture(session_id, mid)
        return None if origin is None else origin.keyframe(mid)

    return keyframe


async def _picture(
    publication: Publication, sessions: SessionDirectory, thumbnails: Thumbnails
) -> bytes | None:
    if publication.session_id is None:
        return await thumbnails.picture(AT_ORIGIN, publication.key)
    try:
        snapshot = await sessions.describe(publication.session_id)
        mid = snapshot["input"]["on_air"]
        return None if mid is None else await thumbnails.picture(publication.session_id, mid)
    except (InputNotFound, SessionNotFound, SessionOver):
        # It ended a moment ago. The stream may go on with the next one.
        return None
