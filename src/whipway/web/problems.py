"""Every HTTP error of this server, in one table.

Bodies are problem documents (RFC 9457): `title` says what kind of error it is, `detail` what is wrong this
time, `code` is a word for programs, `parameter` names the query parameter to mend. Nothing else decides a
status.
"""

from enum import Enum
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger("web")


class ProblemKind(Enum):
    """`code` of the problem document → status and title."""

    BAD_PARAMETER = (HTTPStatus.BAD_REQUEST, "A query parameter is missing or wrong")
    MALFORMED_REQUEST = (HTTPStatus.BAD_REQUEST, "The request is not HTTP")
    MALFORMED_SDP = (HTTPStatus.BAD_REQUEST, "The body is not an SDP offer")
    UNSUPPORTED_OFFER = (HTTPStatus.UNPROCESSABLE_ENTITY, "The offer cannot be accepted")
    UNSUPPORTED_MEDIA_TYPE = (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body has the wrong content type")
    BODY_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
    BODY_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time")
    SESSION_UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such session")
    SESSION_OVER = (HTTPStatus.GONE, "The session has ended")
    STREAM_BUSY = (HTTPStatus.CONFLICT, "The stream is being published")
    SERVER_FULL = (HTTPStatus.SERVICE_UNAVAILABLE, "The server is full")

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What kind of error it is, for a person."""
        return self.value[1]


class Problem(Exception):
    """Raised anywhere below a route to answer with a problem document."""

    def __init__(self, kind: ProblemKind, detail: str, parameter: str | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.parameter = parameter


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error answer of `app` a problem document; for bugs there is `answer_bug`."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def problem_document(problem: Problem) -> JSONResponse:
    """The answer that a problem stands for."""
    kind = problem.kind
    members = {"parameter": problem.parameter} if problem.parameter else {}
    response = _document(kind.status, kind.title, problem.detail, code=kind.name.lower(), **members)
    # RFC 9110, section 15.5.9: the rest of the body may still come, so that where a next request begins is
    # anyone's guess. The client tries again on a new connection.
    if kind is ProblemKind.BODY_TOO_SLOW:
        response.headers["Connection"] = "close"
    return response


async def _answer_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_document(error)


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
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _document(status, status.phrase, "This is a bug in the server; its log says more.", code="bug")


def _document(status: HTTPStatus, title: str, detail: str, **members: object) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": int(status), "detail": detail, **members}
    return JSONResponse(content, status, media_type=MEDIA_TYPE)
