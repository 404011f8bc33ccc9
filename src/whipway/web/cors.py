"""Cross-origin requests (the Fetch standard, section 3.2, "CORS protocol"), for answers of every kind.

A page from elsewhere may publish here and read the answers, errors too, if its origin is among
`http.cors_origins`. To any other page nothing is said, so that its browser keeps the answer from it. There
are no cookies here, so credentials are never allowed: a bearer token is set by the page itself.

A preflight is answered by `options`; this adds to it what the browser asked. RFC 9725 needs for all of that
`Location`, `Link` and `ETag` to be readable, and `Authorization`, `Content-Type` and `If-Match` to be sent.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXPOSE_HEADERS = "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate"
ALLOW_HEADERS = "Authorization, Content-Type, If-Match"
MAX_AGE = "7200"
"""Seconds that a browser may keep the answer to a preflight; Chromium keeps none longer."""


class Cors:
    """ASGI wrapper: adds the headers by which a browser lets a page have the answer."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._is_open = "*" in origins
        self._origins = {origin.lower() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Headers(scope=scope)
        origin = self._allowed_origin(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                if not self._is_open:
                    response.add_vary_header("Origin")  # Of every answer: also of one without an origin.
                if origin is not None:
                    response["Access-Control-Allow-Origin"] = origin
                    if scope["method"] == "OPTIONS" and "access-control-request-method" in request:
                        _permit(request, response)
                    else:
                        response["Access-Control-Expose-Headers"] = EXPOSE_HEADERS
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _allowed_origin(self, request: Headers) -> str | None:
        origins = request.getlist("origin")
        if len(origins) != 1 or not (self._is_open or origins[0].lower() in self._origins):
            return None
        return "*" if self._is_open else origins[0]


def _permit(request: Headers, response: MutableHeaders) -> None:
    """Say yes to a preflight."""
    response["Access-Control-Allow-Methods"] = response.get("Allow", "")
    response["Access-Control-Allow-Headers"] = ALLOW_HEADERS
    response["Access-Control-Max-Age"] = MAX_AGE
    # Private Network Access: a page from the internet asks before it speaks to a server on a local network.
    if request.get("access-control-request-private-network") == "true":
        response["Access-Control-Allow-Private-Network"] = "true"
