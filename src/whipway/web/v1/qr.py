"""QR codes of a stream's URLs, for phones: to publish by WHIP or RTMP, or to play it."""

import asyncio
import io

import segno
from fastapi import APIRouter, Request, Response

from whipway.streams.access.roles import Right
from whipway.web.problems import Problem, ProblemKind
from whipway.web.services import Services
from whipway.web.stream_urls import StreamUrls
from whipway.web.v1 import openapi_live
from whipway.web.v1.ids import STREAM
from whipway.web.v1.lookup import find_stream

SVG_TYPE = "image/svg+xml"
QUIET_ZONE = 4
"""Modules of white around the code: what ISO/IEC 18004 asks for."""
MODULE_PIXELS = 8
TITLES = {"whip": "WHIP URL", "rtmp": "RTMP URL", "play": "URL to play"}
"""What there are codes of."""
NO_STORE = {"Cache-Control": "no-store"}


def make_qr_router(services: Services) -> APIRouter:
    """The route of QR codes."""
    router = APIRouter(tags=["Streams"], redirect_slashes=False)

    @router.get(f"{STREAM}/qr.svg", response_class=Response, **openapi_live.QR_CODE)
    async def qr_code(request: Request) -> Response:
        await services.callers.require(request, Right.VIEW)
        kind = _kind(request)
        record = await find_stream(services.streams, request.path_params["stream_id"])
        url = _url(services.urls, request, record.name, kind)
        if url is None:
            raise Problem(ProblemKind.URL_UNKNOWN, f"This server is not set up to have a {TITLES[kind]}")
        svg = await asyncio.to_thread(draw, url, f"{TITLES[kind]} of {record.name}")
        return Response(svg, headers=NO_STORE, media_type=SVG_TYPE)

    return router


def draw(url: str, title: str) -> bytes:
    """A code as SVG, black on white whatever the page around it. Raises Problem (404) if it is too long."""
    try:
        code = segno.make(url, error="m", micro=False)
    except segno.DataOverflowError:
        raise Problem(ProblemKind.URL_UNKNOWN, "It is too long for a QR code") from None
    svg = io.BytesIO()
    code.save(svg, kind="svg", scale=MODULE_PIXELS, border=QUIET_ZONE, dark="#000", light="#fff", title=title)
    return svg.getvalue()


def _kind(request: Request) -> str:
    found = request.query_params.getlist("of") or ["whip"]
    if len(found) > 1 or found[0] not in TITLES:
        raise Problem(ProblemKind.BAD_PARAMETER, f"of is one of {', '.join(TITLES)}", "of")
    return found[0]


def _url(urls: StreamUrls, request: Request, name: str, kind: str) -> str | None:
    if kind == "whip":
        return urls.whip(request, name)
    rtmp = urls.rtmp(request, name)
    by_rtmp = f"{rtmp.url}/{rtmp.streamname}" if rtmp else None
    # Players in browsers and on phones read FLV by HTTP sooner than RTMP.
    return by_rtmp if kind == "rtmp" else urls.flv(request, name) or by_rtmp
