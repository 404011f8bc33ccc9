"""The web application: routes, problem documents, the page and its files, security headers."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from whipway import __version__
from whipway.streams.sessions import SessionDirectory
from whipway.web.problems import answer_bug, install_problem_handlers
from whipway.web.whip import make_whip_router

DASHBOARD = Path(__file__).parent / "dashboard"

RESPONSE_HEADERS = {
    # Ask again each time: modules of two versions of the page must not meet after an update.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(
    directory: SessionDirectory, *, default_stream_url: str | None = None, public_url: str | None = None
) -> FastAPI:
    """Build the application over a session directory."""
    app = FastAPI(title="Whipway", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    install_problem_handlers(app)
    app.include_router(make_whip_router(directory, default_stream_url, public_url))
    app.mount("/dashboard", StaticFiles(directory=DASHBOARD), name="dashboard")

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(DASHBOARD / "index.html")

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            response = await call_next(request)
        except Exception as error:
            # Here and not in a handler of FastAPI's: that one logs every bug once more, and sits outside.
            response = answer_bug(request, error)
        for name, value in RESPONSE_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return app
