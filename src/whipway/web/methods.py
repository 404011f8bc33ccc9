"""Which methods a path takes, and what follows for HEAD (RFC 9110, section 9.3.2) and 405 (section 15.5.6).

A router of Starlette's refuses a method in the name of the first route that has the path; `Allow` has to name
what all of them take together. And a route that was declared for GET alone takes HEAD here as well.
"""

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""All that any route of this server takes; OPTIONS is good for every path."""


def methods_of(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """The methods of every route with this path, HEAD wherever there is GET, and at last OPTIONS."""
    methods = [method for method in METHODS if _takes(routes, path, method)]
    if "GET" in methods and "HEAD" not in methods:
        methods.insert(1, "HEAD")
    return [*methods, "OPTIONS"]


class MethodRules:
    """ASGI wrapper: answers HEAD as GET where no route does, and completes the `Allow` of 405."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, method = scope["path"], scope["method"]
        drops_body = method == "HEAD" and not _takes(self._routes, path, "HEAD")

        async def send_by_rules(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(scope=message)["Allow"] = ", ".join(methods_of(self._routes, path))
            elif message["type"] == "http.response.body" and drops_body:
                message = {**message, "body": b""}
            await send(message)

        if drops_body and _takes(self._routes, path, "GET"):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send_by_rules)


def _takes(routes: Sequence[BaseRoute], path: str, method: str) -> bool:
    scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
    # A mount answers for any method itself; what is mounted here are files.
    return any(
        route.matches(scope)[0] is Match.FULL
        for route in routes
        if method in ("GET", "HEAD") or not isinstance(route, Mount)
    )
