"""The WHIP endpoint (RFC 9725) at `/p/webrtc`, and the session URLs below it.

Query values are decoded by hand: publishers send `stream_url=rtmp://host/live` without any encoding, and a
plus sign in a stream key is a plus sign, so the form rule "+ is a space" does not hold here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from whipway import __version__
from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.streams.sessions import SessionDirectory, SessionNotCreated, SessionNotFound, SessionOver
from whipway.web.problems import Problem, ProblemKind

ENDPOINT_PATH = "/p/webrtc"
MAX_OFFER_BYTES = 64 * 1024
BODY_TIMEOUT = 10.0
"""Seconds for a whole offer, a few kB: enough on the worst of networks that could carry a stream."""
OFFER_TYPES = ("application/sdp", "text/plain")
"""RFC 9725, section 4.2 knows the first; the second is what a widespread browser SDK sends."""
MIN_AUDIO_BITRATE = 16_000
MAX_AUDIO_BITRATE = 320_000
DEFAULT_AUDIO_BITRATE = 128_000
PARAMETERS = frozenset({"stream_name", "stream_url", "audio_bitrate"})
"""What a query may say once; anything else in it is left alone."""

_REFUSALS = {
    "malformed": ProblemKind.MALFORMED_SDP,
    "unsupported": ProblemKind.UNSUPPORTED_OFFER,
    "busy": ProblemKind.STREAM_BUSY,
    "full": ProblemKind.SERVER_FULL,
}


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """The query of a WHIP request, checked."""

    stream_name: str
    stream_url: str
    audio_bitrate: int


def make_whip_router(
    directory: SessionDirectory, default_stream_url: str | None, public_url: str | None
) -> APIRouter:
    """The routes of the WHIP endpoint over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["WHIP"], redirect_slashes=False)

    @router.post("", status_code=201, response_class=Response, summary="Publish: send an SDP offer")
    async def publish(request: Request) -> Response:
        target = parse_publish_query(_raw_query(request))
        offer = await _read_offer(request)
        try:
            created = await directory.create(
                offer=offer,
                stream_name=target.stream_name,
                stream_url=target.stream_url,
                audio_bitrate=target.audio_bitrate,
            )
        except SessionNotCreated as refusal:
            raise Problem(_REFUSALS[refusal.kind], refusal.detail) from None
        base = (public_url or str(request.base_url)).rstrip("/")
        location = f"{base}{ENDPOINT_PATH}/{created.session_id}"
        return Response(created.answer, 201, {"Location": location}, media_type="application/sdp")

    @router.get("/status.json", summary="Version, defaults and figures of this server")
    async def server_status() -> dict[str, Any]:
        return {
            "server_version": __version__,
            "default_stream_url": default_stream_url,
            "sessions": directory.live_count,
            "drops": await directory.worker_drops(),
        }

    @router.delete("/{session_id}", response_class=Response, summary="Stop publishing")
    async def delete(session_id: str) -> Response:
        try:
            await directory.end(session_id, "deleted")
        except SessionNotFound:
            raise _unknown_session() from None
        except SessionOver as over:
            detail = f"It ended before: {over.ended.detail or over.ended.reason}"
            raise Problem(ProblemKind.SESSION_OVER, detail) from None
        return Response(status_code=200)

    @router.get("/{session_id}/status", summary="What a session is doing, and why it ended")
    async def session_status(session_id: str) -> JSONResponse:
        try:
            return JSONResponse(dict(await directory.describe(session_id)))
        except SessionNotFound:
            raise _unknown_session() from None

    return router


def parse_publish_query(query: str) -> PublishRequest:
    """Check the query string of a WHIP POST. Raises Problem naming the parameter."""
    values = _split_query(query)
    name, url = _required(values, "stream_name"), _required(values, "stream_url")
    _check("stream_name", check_stream_name, name)
    _check("stream_url", parse_rtmp_url, url)
    return PublishRequest(name, url, _audio_bitrate(values.get("audio_bitrate")))


def _raw_query(request: Request) -> str:
    # Not request.url.query: that fails on bytes that are not UTF-8.
    query: bytes = request.scope["query_string"]
    return query.decode(errors="replace")


def _split_query(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    values: dict[str, str] = {}
    for key, _, value in pairs:
        parameter = unquote(key)
        if parameter in PARAMETERS and parameter in values:
            raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} is given twice", parameter)
        values[parameter] = unquote(value)
    return values


def _required(values: Mapping[str, str], parameter: str) -> str:
    value = values.get(parameter, "")
    if not value:
        raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} is missing", parameter)
    return value


def _check(parameter: str, check: Any, value: str) -> None:
    try:
        check(value)
    except ValueError as error:
        raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} {error}", parameter) from None


def _audio_bitrate(text: str | None) -> int:
    if text is None:
        return DEFAULT_AUDIO_BITRATE
    # isdecimal alone would let other scripts' digits and endless numbers through.
    if text.isascii() and text.isdecimal() and len(text) <= 6:
        bitrate = int(text)
        if MIN_AUDIO_BITRATE <= bitrate <= MAX_AUDIO_BITRATE:
            return bitrate
    detail = f"audio_bitrate is in bit/s, from {MIN_AUDIO_BITRATE} to {MAX_AUDIO_BITRATE}"
    raise Problem(ProblemKind.BAD_PARAMETER, detail, "audio_bitrate")


async def _read_offer(request: Request) -> str:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in OFFER_TYPES:
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"Send the offer as {OFFER_TYPES[0]}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await _read_body(request)
    except TimeoutError:
        detail = f"Send the whole offer within {BODY_TIMEOUT:g} s"
        raise Problem(ProblemKind.BODY_TOO_SLOW, detail) from None
    except ClientDisconnect:
        # Nobody reads this; as a Problem it is no bug either.
        raise Problem(ProblemKind.BODY_TOO_SLOW, "The client left before its offer was complete") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Problem(ProblemKind.MALFORMED_SDP, "It is not UTF-8 text") from None


async def _read_body(request: Request) -> bytearray:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_OFFER_BYTES:
            raise Problem(ProblemKind.BODY_TOO_LARGE, f"An offer has at most {MAX_OFFER_BYTES} bytes")
    return body


def _unknown_session() -> Problem:
    return Problem(ProblemKind.SESSION_UNKNOWN, "It never existed, or ended long ago")
