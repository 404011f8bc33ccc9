"""Cross-origin requests (the Fetch standard, section 3.2, "CORS protocol"), for answers of every kind.

A page from elsewhere may publish here and read the answers, errors too, if its origin is among
`http.cors_origins`. To any other page nothing is said, so that its browser keeps the answer from it.
Credentials are never allowed: a bearer token or a key is set by the page itself, and the one cookie there is
belongs to pages of this server's own. So does the header that goes with it (`callers`): no other page is let
send it.

Not to be read is not enough where origins are listed: an offer may be sent as text/plain, for which a browser
asks nobody, and a page could publish without a look at the answer. So it is refused.

A preflight is answered by `options`; this adds to it what the browser asked. RFC 9725 needs for all of that
`Location`, `Link` and `ETag` to be readable, and `Authorization`, `Content-Type` and `If-Match` to be sent.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import HttpUrl
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whipway.web.problems import Problem, ProblemKind, problem_document
from whipway.web.urls import base_url

EXPOSE_HEADERS = "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate"
ALLOW_HEADERS = (
    "Authorization, Content-Type, If-Match, Last-Event-ID, X-BINTU-APIKEY, X-BINTU-TOKEN, X-BINTU-PLAYERKEY"
)
MAX_AGE = "7200"
"""Seconds that a browser may keep the answer to a preflight; Chromium keeps none longer."""
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
_DEFAULT_PORT = re.compile(r"^(http://.+(?=:80$)|https://.+(?=:443$)):\d+$")


class Cors:
    """ASGI wrapper: adds the headers by which a browser lets a page have the answer, or refuses the page.

    `origins` may hold `*`, for all. Pages of this server's own are at home in any case: at the origin that
    the request itself names, or that of `public_url`.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], public_url: HttpUrl | None = None) -> None:
        self._app = app
        self._is_open = "*" in origins
        self._listed = set(map(_plain, origins)) - {"*"}
        self._public_origin = _origin(str(public_url)) if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(scope["method"], request, MutableHeaders(scope=message))
            await send(message)

        app = self._app if self._may_ask(Request(scope)) else _refusal()
        await app(scope, receive, send_with_headers)

    def _may_ask(self, request: Request) -> bool:
        """Whether a request is for the page to make, whatever it may read."""
        origins = [_plain(origin) for origin in request.headers.getlist("origin")]
        if self._is_open or not origins or request.method not in CHANGING:
            return True
        # No page can set this header. A proxy may have told another host or port than the browser knows.
        if request.headers.getlist("sec-fetch-site") == ["same-origin"]:
            return True
        own = {self._public_origin, _plain(base_url(request, None))}
        return len(origins) == 1 and (origins[0] in self._listed or origins[0] in own)

    def _add_headers(self, method: str, request: Headers, response: MutableHeaders) -> None:
        if not self._is_open:
            response.add_vary_header("Origin")  # Of every answer: also of one without an origin.
        origins = request.getlist("origin")
        is_listed = len(origins) == 1 and _plain(origins[0]) in self._listed
        if len(origins) != 1 or not (self._is_open or is_listed):
            return
        response["Access-Control-Allow-Origin"] = "*" if self._is_open else origins[0]
        if method == "OPTIONS" and "access-control-request-method" in request:
            _permit(request, response, is_listed)
        else:
            response["Access-Control-Expose-Headers"] = EXPOSE_HEADERS


def _permit(request: Headers, response: MutableHeaders, is_listed: bool) -> None:
    """Say yes to a preflight."""
    response["Access-Control-Allow-Methods"] = response.get("Allow", "")
    response["Access-Control-Allow-Headers"] = ALLOW_HEADERS
    response["Access-Control-Max-Age"] = MAX_AGE
    # Private Network Access: a page from the internet asks before it speaks to a server on a local network.
    # Whoever runs this one must have named that page: `*` is what it says without being told anything.
    if is_listed and request.get("access-control-request-private-network") == "true":
        response["Access-Control-Allow-Private-Network"] = "true"


def _refusal() -> ASGIApp:
    detail = "http.cors_origins does not name the origin that this page comes from"
    return problem_document(Problem(ProblemKind.ORIGIN_NOT_ALLOWED, detail))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return _plain(f"{parts.scheme}://{parts.netloc}")


def _plain(origin: str) -> str:
    """As browsers write it: in lower case, without the port that goes without saying."""
    return _DEFAULT_PORT.sub(r"\1", origin.lower())
