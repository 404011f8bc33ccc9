"""The web application: routes, the page and its files, and what every request passes on its way there.

From the outside in: the client's real address (`forwarded`), the access log, headers of every response, CORS,
the rules for requests, bugs, OPTIONS, rate limits, the rules for methods, the routes. All of these are plain
ASGI wrappers; they cost a few function calls, where Starlette's own base class starts two tasks for each
request. They see HTTP alone: the server has WebSockets and lifespan events switched off.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whipway import __version__
from whipway.config import IceServer, Settings
from whipway.streams.admission import Admission, unix_time
from whipway.streams.sessions import SessionDirectory
from whipway.web import openapi
from whipway.web.access_log import AccessLog
from whipway.web.auth import Guard
from whipway.web.cors import Cors
from whipway.web.flv import LiveStreams, make_flv_router
from whipway.web.forwarded import Forwarded
from whipway.web.ice_servers import ice_server_links, is_secret
from whipway.web.inputs import make_inputs_router
from whipway.web.methods import MethodRules
from whipway.web.options import LinkSource, Options
from whipway.web.problems import answer_bug, install_problem_handlers
from whipway.web.quality import make_quality_router
from whipway.web.rate_limits import RateLimits
from whipway.web.request_rules import RequestRules
from whipway.web.response_headers import ResponseHeaders
from whipway.web.sinks import make_sinks_router
from whipway.web.whip import make_whip_router

DASHBOARD = Path(__file__).parent / "dashboard"


def make_app(
    directory: SessionDirectory,
    settings: Settings,
    *,
    default_stream_url: str | None = None,
    admission: Admission | None = None,
    origin: LiveStreams | None = None,
) -> FastAPI:
    """Build the application over a session directory.

    Without `admission`, everybody may publish. `origin`: whose streams can be played by HTTP-FLV.
    """
    app = FastAPI(
        title="Whipway",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        **openapi.ABOUT,
    )
    guard = Guard(admission, directory)
    install_problem_handlers(app)
    app.include_router(make_whip_router(directory, settings, default_stream_url, guard))
    app.include_router(make_sinks_router(directory, settings, guard))
    app.include_router(make_inputs_router(directory, guard))
    app.include_router(make_quality_router(directory, guard))
    app.mount("/dashboard", StaticFiles(directory=DASHBOARD), name="dashboard")

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(DASHBOARD / "index.html")

    if origin is not None:
        app.include_router(make_flv_router(origin))

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
    return app


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
