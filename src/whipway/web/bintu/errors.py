"""How the bintu API says no: `{"error": {"message", "code", "userinfo"}}`, with a status and a number.

Numbers that the platform documents keep their meaning. What its documents do not name has numbers here from
9000 on, and where only the status is known, the status is what a client goes by. `docs/bintu.md` lists all.

What never reaches a route of this API (a path that there is not, a method, a rate) is answered as everywhere
on this server, by a problem document (`web.problems`).
"""

import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from enum import Enum
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from whipway.pool.failures import WorkerSilent
from whipway.streams.store.database import NO_CONNECTION
from whipway.web.auth import CHALLENGE
from whipway.web.paths import printable, without_secrets
from whipway.web.problems import RETRY_AFTER, WORKER_SILENT_DETAIL, Problem, ProblemKind

log = structlog.get_logger("bintu")


class Fault(Enum):
    """Status, number, and the sentence for it."""

    PARAMETER_REQUIRED = (400, 1002, "Parameter required")
    WRONG_TYPE = (400, 1004, "Wrong Data Type")
    TYPE_NOT_AVAILABLE = (400, 3002, "Stream Type is not available")
    CREDENTIALS_NOT_VALID = (401, 4002, "User Credentials are not valid")
    ACCESS_DENIED = (403, 2001, "Access denied")
    VALUE_REFUSED = (400, 9400, "Value not possible")
    BODY_REFUSED = (400, 9401, "The body cannot be read")
    STREAM_NOT_FOUND = (404, 9404, "Stream not found")
    TOO_SLOW = (408, 9408, "The body did not arrive in time")
    TOO_MUCH = (413, 9413, "The body is too large")
    NO_CONNECTION = (503, 9503, "The database does not answer")
    NO_WORKER = (504, 9504, "The media worker does not answer")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The number."""
        return self.value[1]

    @property
    def message(self) -> str:
        """The sentence."""
        return self.value[2]


class BintuError(Exception):
    """Raised below a route. `userinfo` says what it is about; "detail" in it is for people."""

    def __init__(self, fault: Fault, **userinfo: str) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.userinfo = userinfo


_PROBLEMS: Mapping[ProblemKind, Fault] = {
    ProblemKind.BODY_TOO_LARGE: Fault.TOO_MUCH,
    ProblemKind.BODY_TOO_SLOW: Fault.TOO_SLOW,
    ProblemKind.MALFORMED_JSON: Fault.BODY_REFUSED,
}
"""What the parts that all APIs share refuse."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BintuRoute(APIRoute):
    """A route whose refusals have the shape of this API."""

    def get_route_handler(self) -> Handler:
        """What answers a request."""
        answer: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def answer_or_refuse(request: Request) -> Response:
            try:
                return await answer(request)
            except BintuError as error:
                return error_answer(error)
            except Problem as problem:
                if problem.kind not in _PROBLEMS:
                    raise
                return error_answer(BintuError(_PROBLEMS[problem.kind], detail=problem.detail))
            except NO_CONNECTION as error:
                # Its name only: the message may repeat what was to be written.
                path = printable(without_secrets(request.scope["path"]))
                log.error("database error", path=path, error=type(error).__name__)
                return error_answer(BintuError(Fault.NO_CONNECTION, detail="Try again in a moment"))
            except WorkerSilent:
                return error_answer(BintuError(Fault.NO_WORKER, detail=WORKER_SILENT_DETAIL))

        return answer_or_refuse


def error_answer(error: BintuError) -> JSONResponse:
    """The answer that an error stands for."""
    fault = error.fault
    # What a client sent may be said back to it, and JSON knows characters that no UTF-8 can hold.
    userinfo = {name: printable(value) for name, value in error.userinfo.items()}
    content = {"error": {"message": fault.message, "code": fault.code, "userinfo": userinfo}}
    return JSONResponse(content, fault.status, _headers(fault))


def _headers(fault: Fault) -> dict[str, str] | None:
    match fault:
        case Fault.CREDENTIALS_NOT_VALID:
            # RFC 9110, section 15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate
            # header field". No browser asks its user because of this one.
            return {"WWW-Authenticate": CHALLENGE}
        case Fault.TOO_SLOW:
            # RFC 9110, section 15.5.9: the rest of the body may still come on this connection.
            return {"Connection": "close"}
        case Fault.NO_CONNECTION | Fault.NO_WORKER:
            return {"Retry-After": str(secrets.choice(RETRY_AFTER))}
        case _:
            return None
