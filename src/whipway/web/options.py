"""OPTIONS for every path (RFC 9725, section 4.2): what a client finds out before it publishes.

The answer is 200 with an empty body, whoever asks: a CORS preflight comes without credentials. It names the
methods of the path and the media types that it takes, and for the endpoint the ICE servers, except in a
preflight (section 4.6): a browser sends one of those for each request, and most of the credentials would be
made for nothing.
"""

from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from whipway.web.bodies import FRAGMENT_TYPE, JSON_TYPE, SDP_TYPE
from whipway.web.methods import METHODS, methods_of
from whipway.web.paths import ENDPOINT_PATH, KEYFRAME_PATH, METADATA_PATH

_ACTIONS = ("/stop", "/lock", "/unlock", "/test", KEYFRAME_PATH, "/sign-out")
"""What a path ends with to which a POST goes without a body."""

LinkSource = Callable[[Scope], Awaitable[list[str]]]
"""Values of Link headers for one request."""


class Options:
    """ASGI wrapper: answers OPTIONS, lets anything else through."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], links: LinkSource) -> None:
        self._app = app
        self._routes = routes
        self._links = links

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return
        # RFC 9110, section 9.3.7: `*` asks about the server and not about a path of it.
        methods = [*METHODS, "OPTIONS"] if scope["path"] == "*" else methods_of(self._routes, scope["path"])
        response = Response(headers={"Allow": ", ".join(methods)})
        if accepted := _accepted(scope["path"], methods):
            response.headers["Accept-Post"] = accepted
        if "PATCH" in methods:
            response.headers["Accept-Patch"] = FRAGMENT_TYPE if _is_whip(scope["path"]) else JSON_TYPE
        is_preflight = "access-control-request-method" in Headers(scope=scope)
        if scope["path"] == ENDPOINT_PATH and not is_preflight:
            for link in await self._links(scope):
                response.headers.append("Link", link)
        await response(scope, receive, send)


def _accepted(path: str, methods: Sequence[str]) -> str | None:
    """The value of Accept-Post; None where a POST is not taken, or taken without a body."""
    # RFC 9725, section 4.2: any OPTIONS SHOULD have SDP in it. Where something is that has nothing to do with
    # offers, that would be wrong.
    if path in ("*", ENDPOINT_PATH) or methods == ["OPTIONS"]:
        return SDP_TYPE
    if "POST" in methods:
        takes_json = path.endswith(METADATA_PATH) if _is_whip(path) else not path.endswith(_ACTIONS)
        return JSON_TYPE if takes_json else None
    return SDP_TYPE if _is_whip(path) else None


def _is_whip(path: str) -> bool:
    return path.startswith(f"{ENDPOINT_PATH}/")
