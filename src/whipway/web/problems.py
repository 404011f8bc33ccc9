"""Every HTTP error of this server, in one table.

Bodies are problem documents (RFC 9457): `title` says what kind of error it is, `detail` what is wrong this
time, `code` is a word for programs, `parameter` names the query parameter to mend, or the member of the body.
Nothing else decides a status.
"""

import secrets
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from whipway.pool.failures import WorkerSilent
from whipway.streams.store.database import NO_CONNECTION
from whipway.web.paths import printable, without_secrets

WORKER_SILENT_DETAIL = "Whether it has done what was asked is not known; try again in a moment"
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = range(2, 11)
"""Seconds; drawn anew for each client, so that those turned away together do not come back together."""

log = structlog.get_logger("web")


class ProblemKind(Enum):
    """`code` of the problem document → status and title."""

    BAD_PARAMETER = (HTTPStatus.BAD_REQUEST, "A query parameter is missing or wrong")
    MALFORMED_REQUEST = (HTTPStatus.BAD_REQUEST, "The request is not HTTP as it should be")
    MALFORMED_SDP = (HTTPStatus.BAD_REQUEST, "The body is not an SDP offer")
    MALFORMED_FRAGMENT = (HTTPStatus.BAD_REQUEST, "The body is not an SDP fragment")
    MALFORMED_METADATA = (HTTPStatus.BAD_REQUEST, "The body is not JSON")
    MALFORMED_JSON = (HTTPStatus.BAD_REQUEST, "The body cannot be read as JSON")
    MALFORMED_IF_MATCH = (HTTPStatus.BAD_REQUEST, "If-Match cannot be read")
    UNAUTHENTICATED = (HTTPStatus.UNAUTHORIZED, "Who is asking is not known")
    FORBIDDEN = (HTTPStatus.FORBIDDEN, "This is not allowed")
    CSRF_FAILED = (HTTPStatus.FORBIDDEN, "The page that asks may not be the one that signed in")
    EGRESS_REFUSED = (HTTPStatus.FORBIDDEN, "Streams may not be sent there")
    ORIGIN_NOT_ALLOWED = (HTTPStatus.FORBIDDEN, "Pages from there may not do this")
    SESSION_UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such session")
    SINK_UNKNOWN = (HTTPStatus.NOT_FOUND, "The session has no such sink")
    INPUT_UNKNOWN = (HTTPStatus.NOT_FOUND, "The session has no such input")
    STREAM_UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such stream")
    URL_UNKNOWN = (HTTPStatus.NOT_FOUND, "The stream has no such URL")
    KEY_UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such key")
    WEBHOOK_UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such webhook")
    LAYER_UNKNOWN = (HTTPStatus.NOT_FOUND, "The input has no such layer")
    METHOD_NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, "The method is not for this resource")
    BODY_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time")
    STREAM_BUSY = (HTTPStatus.CONFLICT, "The stream is being published")
    TOO_MANY_KEYS = (HTTPStatus.CONFLICT, "There are as many keys of this kind as there may be")
    TOO_MANY_SINKS = (HTTPStatus.CONFLICT, "The session has as many sinks as it may have")
    SESSION_OVER = (HTTPStatus.GONE, "The session has ended")
    PRECONDITION_FAILED = (HTTPStatus.PRECONDITION_FAILED, "The ICE session is another one by now")
    BODY_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
    UNSUPPORTED_MEDIA_TYPE = (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body has the wrong content type")
    UNSUPPORTED_OFFER = (HTTPStatus.UNPROCESSABLE_ENTITY, "The offer cannot be accepted")
    METADATA_REFUSED = (HTTPStatus.UNPROCESSABLE_ENTITY, "The metadata cannot be sent")
    INPUT_REFUSED = (HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not name an input")
    QUALITY_REFUSED = (HTTPStatus.UNPROCESSABLE_ENTITY, "The quality cannot be asked for")
    SIGN_IN_REFUSED = (HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not hold a key")
    BODY_REFUSED = (HTTPStatus.UNPROCESSABLE_ENTITY, "A member of the body is missing or wrong")
    PRECONDITION_REQUIRED = (HTTPStatus.PRECONDITION_REQUIRED, "If-Match is missing")
    TOO_MANY_REQUESTS = (HTTPStatus.TOO_MANY_REQUESTS, "There are too many requests from this address")
    TOO_MANY_SESSIONS = (HTTPStatus.TOO_MANY_REQUESTS, "There are too many sessions from this address")
    SERVER_FULL = (HTTPStatus.SERVICE_UNAVAILABLE, "The server is full")
    TOO_MANY_STREAMS = (HTTPStatus.SERVICE_UNAVAILABLE, "There are too many streams of status events")
    DATABASE_UNREACHABLE = (HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer")
    WORKER_SILENT = (HTTPStatus.SERVICE_UNAVAILABLE, "The media worker of the session does not answer")
    DRAINING = (HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping")

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What kind of error it is, for a person."""
        return self.value[1]


class Problem(Exception):
    """Raised anywhere below a route to answer with a problem document, and with `headers` if it needs any."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        parameter: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.parameter = parameter
        self.headers = headers or {}


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error answer of `app` a problem document; for bugs there is `answer_bug`."""
    app.add_exception_handler(Problem, _answer_problem)
    for kind in NO_CONNECTION:
        app.add_exception_handler(kind, _answer_unreachable)
    app.add_exception_handler(WorkerSilent, _answer_silent)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def problem_document(problem: Problem) -> JSONResponse:
    """The answer that a problem stands for."""
    kind = problem.kind
    members = {"parameter": problem.parameter} if problem.parameter else {}
    response = _document(kind.status, kind.title, problem.detail, code=kind.name.lower(), **members)
    response.headers.update(problem.headers)
    # RFC 9725, section 4.5 for 503, RFC 6585, section 4 for 429.
    if kind.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        response.headers.setdefault("Retry-After", str(secrets.choice(RETRY_AFTER)))
    # RFC 9110, section 15.5.9: the rest of the body may still come, so that where a next request begins is
    # anyone's guess. The client tries again on a new connection.
    if kind is ProblemKind.BODY_TOO_SLOW:
        response.headers["Connection"] = "close"
    return response


async def _answer_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_document(error)


async def _answer_unreachable(request: Request, error: Exception) -> JSONResponse:
    # Its name only: the message may repeat what was to be written.
    log.error(
        "database error", path=printable(without_secrets(request.scope["path"])), error=type(error).__name__
    )
    return problem_document(Problem(ProblemKind.DATABASE_UNREACHABLE, "Try again in a moment"))


async def _answer_silent(_: Request, _error: Exception) -> JSONResponse:
    return problem_document(Problem(ProblemKind.WORKER_SILENT, WORKER_SILENT_DETAIL))


async def _answer_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    response = _document(status, status.phrase, status.description, code=status.name.lower())
    response.headers.update(error.headers or {})
    return response


async def _answer_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    kind = ProblemKind.BAD_PARAMETER
    return _document(kind.status, kind.title, first["msg"], code="bad_parameter", parameter=first["loc"][-1])


def answer_bug(request: Request, error: Exception) -> JSONResponse:
    """Log an error that nobody expected, and answer without its details."""
    log.error(
        "request failed",
        method=request.method,
        path=printable(without_secrets(request.scope["path"])),
        exc_info=error,
    )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _document(status, status.phrase, "This is a bug in the server; its log says more.", code="bug")


def _document(status: HTTPStatus, title: str, detail: str, **members: object) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": int(status), "detail": detail, **members}
    return JSONResponse(content, int(status), media_type=MEDIA_TYPE)
