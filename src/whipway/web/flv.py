"""HTTP-FLV: live streams of the embedded origin at `/APP/NAME.flv`, for players in browsers and others.

The answer is an FLV file that ends with its stream. While a reader is slow, its part of the stream waits in
its source, which bounds it and leaves the stream when there is too much of it; uvicorn takes some 64 KiB more
at most. One task waits for the reader's leaving, so that nothing is kept for one that has left. When the
server stops, `http` hangs up.

A reader needs no token and may stay for ever, so the origin has only so many of them.
"""

import asyncio
from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from whipway.web.problems import Problem, ProblemKind

FLV_TYPE = "video/x-flv"
HEADERS = {
    "Cache-Control": "no-store",
    # nginx would collect it before it passes anything on.
    "X-Accel-Buffering": "no",
}


class FlvSource(Protocol):
    """One reader's view of a stream."""

    async def read(self) -> bytes:
        """The next bytes of the file; nothing at its end."""
        ...

    def close(self) -> None:
        """Nobody reads any more."""
        ...


class LiveStreams(Protocol):
    """What this module needs of the origin."""

    def watch(self, key: str, client: str) -> FlvSource | None:
        """A new reader of APP/NAME; None: there is no such stream, or no room for one from that address."""
        ...

    def has_room(self, client: str) -> bool:
        """Whether there may be one reader more from that address."""
        ...


def make_flv_router(live: LiveStreams) -> APIRouter:
    """The route over the origin's streams. To be added last: its path fits much."""
    router = APIRouter(redirect_slashes=False)

    @router.api_route("/{key:path}.flv", methods=["GET", "HEAD"], include_in_schema=False)
    async def play(request: Request) -> Response:
        client = request.client.host if request.client else ""
        source = live.watch(request.path_params["key"], client)
        if source is None:
            if live.has_room(client):
                raise HTTPException(HTTPStatus.NOT_FOUND)
            raise Problem(ProblemKind.SERVER_FULL, "As many play by HTTP as may, in all or from this address")
        if request.method == "HEAD":
            source.close()
        return _FlvResponse(source)

    return router


class _FlvResponse(Response):
    """Answers with everything a source gives, and closes it."""

    media_type = FLV_TYPE

    def __init__(self, source: FlvSource) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        leaving = asyncio.create_task(self._follow(receive), name="flv reader")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while data := await self._source.read():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._source.close()
            leaving.cancel()

    async def _follow(self, receive: Receive) -> None:
        """Wait for the reader's leaving; `read` gives nothing then."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._source.close()
