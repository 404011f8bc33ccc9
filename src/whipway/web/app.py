"""The web application: routes, the page and its files, and what every request passes on its way there.

From the outside in: the client's real address (`forwarded`), the access log, headers of every response, CORS,
the rules for requests, bugs, OPTIONS, rate limits, the rules for methods, the routes. All of these are plain
ASGI wrappers; they cost a few function calls, where Starlette's own base class starts two tasks for each
request. They see HTTP alone: the server has WebSockets and lifespan events switched off.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whipway import __version__
from whipway.config import IceServer
from whipway.streams.access.admission import unix_time
from whipway.web import openapi
from whipway.web.access_log import AccessLog
from whipway.web.auth import Guard
from whipway.web.bintu.router import BINTU_PATH, make_bintu_router
from whipway.web.cors import Cors
from whipway.web.flv import LiveStreams, make_flv_router
from whipway.web.forwarded import Forwarded
from whipway.web.ice_servers import ice_server_links, is_secret
from whipway.web.inputs import make_inputs_router
from whipway.web.methods import MethodRules
from whipway.web.metrics import make_metrics_router
from whipway.web.options import LinkSource, Options
from whipway.web.problems import answer_bug, install_problem_handlers
from whipway.web.quality import make_quality_router
from whipway.web.rate_limits import RateLimits
from whipway.web.request_rules import RequestRules
from whipway.web.response_headers import ResponseHeaders
from whipway.web.services import Services
from whipway.web.sign_in import make_sign_in_router
from whipway.web.sinks import make_sinks_router
from whipway.web.v1.router import make_v1_router
from whipway.web.whip import make_whip_router

DASHBOARD = Path(__file__).parent / "dashboard"
_CONSOLE = "console.html"
PAGES = {
    "/": _CONSOLE,
    "/sign-in": _CONSOLE,
    "/streams": _CONSOLE,
    "/streams/{stream_id}": _CONSOLE,
    "/streams/{stream_id}/start": _CONSOLE,
    "/create": _CONSOLE,
    "/sessions": _CONSOLE,
    "/settings": _CONSOLE,
    "/webcaster": "webcaster.html",
}
"""Which file a page is. The console finds out by its address what to show."""


def make_app(
    services: Services, *, origin: LiveStreams | None = None, metrics_need_key: bool = False
) -> FastAPI:
    """Build the application. `origin`: whose streams can be played by HTTP-FLV."""
    app = FastAPI(
        title="Whipway",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        **openapi.ABOUT,
    )
    install_problem_handlers(app)
    for router in _routers(services):
        app.include_router(router)
    app.include_router(make_metrics_router(services, needs_key=metrics_need_key))
    app.mount("/dashboard", StaticFiles(directory=DASHBOARD), name="dashboard")
    public_url = services.settings.http.public_url
    prefix = (public_url.path or "").rstrip("/") if public_url else ""
    for path, file in PAGES.items():
        app.add_api_route(path, _page(file, prefix), methods=["GET", "HEAD"], include_in_schema=False)
    if origin is not None:
        app.include_router(make_flv_router(origin))
    _go_around(app, services)
    return app


def make_bintu_app(services: Services) -> FastAPI:
    """The bintu API alone, at the root: for a listener of its own."""
    app = FastAPI(
        title="Whipway: bintu API",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    install_problem_handlers(app)
    app.include_router(make_bintu_router(services, prefix=""))
    _go_around(app, services)
    return app


def _routers(services: Services) -> Iterator[APIRouter]:
    directory, settings, guard = services.sessions, services.settings, services.guard
    yield make_whip_router(directory, settings, services.default_stream_url, guard)
    yield make_sinks_router(directory, settings, guard)
    yield make_inputs_router(directory, guard)
    yield make_quality_router(directory, guard)
    yield make_v1_router(services)
    yield make_sign_in_router(services.callers, services.keys, services.sign_ins)
    yield make_bintu_router(services, prefix=BINTU_PATH)


def _page(name: str, prefix: str) -> Callable[[], Awaitable[Response]]:
    """What gives a file. Where this server is seen below a path, its addresses begin with that."""
    path = DASHBOARD / name
    if not prefix:

        async def file() -> Response:
            return FileResponse(path)

        return file
    text = path.read_text().replace('="/', f'="{escape(prefix)}/')

    async def page() -> Response:
        return HTMLResponse(text)

    return page


def _go_around(app: FastAPI, services: Services) -> None:
    """What every request passes on its way to a route."""
    settings, guard = services.settings, services.guard
    # Each one goes around those before it.
    app.add_middleware(MethodRules, routes=app.routes)
    app.add_middleware(RateLimits, limits=settings.limits)
    app.add_middleware(Options, routes=app.routes, links=_option_links(settings.ice.servers, guard))
    app.add_middleware(BugAnswers)
    app.add_middleware(RequestRules)
    app.add_middleware(Cors, origins=settings.http.cors_origins, public_url=settings.http.public_url)
    app.add_middleware(ResponseHeaders)
    app.add_middleware(AccessLog)
    app.add_middleware(Forwarded, trusted=settings.http.trusted_proxies, kind=settings.http.forwarded_headers)


class BugAnswers:
    """ASGI wrapper: an error that nobody expected becomes a log entry and a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. After the beginning of an answer the error goes on: the server hangs up."""
        has_begun = False

        async def note_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note_begin)
        except Exception as error:
            if has_begun:
                raise
            # Here and not in a handler of FastAPI's: that one logs every bug once more, and sits outside.
            await answer_bug(Request(scope), error)(scope, receive, send)


def _option_links(servers: Sequence[IceServer], guard: Guard) -> LinkSource:
    """The ICE servers for OPTIONS; credentials are for those who could publish."""

    async def links(scope: Scope) -> list[str]:
        now = unix_time()  # TURN servers compare it with their own.
        every = ice_server_links(servers, now, secrets.token_hex(4))
        if any(map(is_secret, every)) and not await guard.is_authenticated(Request(scope)):
            return [link for link in every if not is_secret(link)]
        return every

    return links
