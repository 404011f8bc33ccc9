"""The figures of a stream over the last ten minutes (`streams.figures`)."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right
from whipway.streams.figures import INTERVAL, Point
from whipway.web.services import Services
from whipway.web.v1 import openapi_live
from whipway.web.v1.ids import STREAM
from whipway.web.v1.lookup import find_stream
from whipway.web.v1.shapes import iso


def make_figures_router(services: Services) -> APIRouter:
    """The route of figures."""
    router = APIRouter(tags=["Streams"], redirect_slashes=False)

    @router.get(f"{STREAM}/figures", response_class=JSONResponse, **openapi_live.FIGURES)
    async def figures(request: Request) -> JSONResponse:
        await services.callers.require(request, Right.VIEW)
        record = await find_stream(services.streams, request.path_params["stream_id"])
        points = services.figures.points(record.name)
        return JSONResponse({"interval": int(INTERVAL), "points": [*map(point_document, points)]})

    return router


def point_document(point: Point) -> dict[str, Any]:
    """How a stream came at a moment."""
    return {**point._asdict(), "at": iso(point.at)}
