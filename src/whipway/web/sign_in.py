"""Signing in to the dashboard with a key, and out again.

The key goes one way, once: what the browser keeps is a cookie that scripts cannot read, that is sent to this
server only and, where the page came by HTTPS, by HTTPS only. Attempts are counted for each address.

A page of another site cannot sign somebody in: a body of JSON is asked for first (Fetch standard, "CORS
protocol"), and cookies of answers to such pages are not kept.
"""

import json
import math
import time
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway import __version__
from whipway.streams.access.keys import KeyRing
from whipway.streams.access.sign_ins import SignIns
from whipway.streams.records import Role
from whipway.web.bodies import JSON_TYPE, Body, check_body_headers, read_text
from whipway.web.callers import COOKIE, CSRF_HEADER, KEY_OR_COOKIE, Callers, check_csrf, unauthenticated
from whipway.web.openapi_answers import BODY_PROBLEMS, NO_STORE, TEXT, nullable, object_of, problems
from whipway.web.openapi_inputs import Described
from whipway.web.problems import Problem, ProblemKind
from whipway.web.rate_limits import RateLimiter

ATTEMPTS_PER_MINUTE = 20
MAX_BODY_BYTES = 1024
MAY_SIGN_IN = (Role.ADMIN, Role.USER, Role.READ_ONLY)
SIGN_IN_BODY = Body("key", (JSON_TYPE,), MAX_BODY_BYTES, ProblemKind.MALFORMED_JSON, "Accept-Post")
_NO_STORE = {"Cache-Control": "no-store"}


def make_sign_in_router(
    callers: Callers, keys: KeyRing, sign_ins: SignIns, monotonic: Callable[[], float] = time.monotonic
) -> APIRouter:
    """The routes by which people come and go. Attempts are timed by `monotonic`."""
    router = APIRouter(prefix="/v1", tags=["People"], redirect_slashes=False)
    routes = _SignInRoutes(callers, keys, sign_ins, monotonic)
    router.post("/sign-in", response_class=JSONResponse, **SIGN_IN)(routes.sign_in)
    router.post("/sign-out", status_code=204, response_class=Response, **SIGN_OUT)(routes.sign_out)
    router.get("/me", response_class=JSONResponse, **ME)(routes.me)
    return router


class _SignInRoutes:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(
        self, callers: Callers, keys: KeyRing, sign_ins: SignIns, monotonic: Callable[[], float]
    ) -> None:
        self._callers = callers
        self._keys = keys
        self._sign_ins = sign_ins
        self._monotonic = monotonic
        self._attempts = RateLimiter(ATTEMPTS_PER_MINUTE)

    async def sign_in(self, request: Request) -> JSONResponse:
        """Give a browser a cookie for the key in the body."""
        self._count(request)
        check_body_headers(request, SIGN_IN_BODY)
        key = await self._keys.find(_parse_key(await read_text(request, SIGN_IN_BODY)))
        if key is None:
            raise unauthenticated("The key is not known here, or has ended", sent=True)
        if key.role not in MAY_SIGN_IN:
            raise Problem(ProblemKind.FORBIDDEN, f"A key of the role {key.role} is not one to sign in with")
        sign_in = await self._sign_ins.open(key)
        response = _who(key.role, key.name, sign_in.csrf)
        response.set_cookie(
            COOKIE,
            sign_in.secret,
            max_age=sign_in.seconds,
            path="/",
            secure=_came_by_https(request),
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the sign-in that the cookie stands for, if there is one, and have the cookie forgotten."""
        signed_in = await self._callers.signed_in(request)
        if signed_in is not None:
            check_csrf(request, signed_in)
            await self._sign_ins.close(signed_in.secret)
        response = Response(status_code=204)
        response.delete_cookie(
            COOKIE, path="/", secure=_came_by_https(request), httponly=True, samesite="strict"
        )
        return response

    async def me(self, request: Request) -> JSONResponse:
        """Who asks, by cookie or key."""
        caller, signed_in = await self._callers.recognise(request)
        if caller is None:
            sent = "authorization" in request.headers
            raise unauthenticated("Nobody is signed in, and no key that is good was sent", sent=sent)
        return _who(caller.role, caller.name, signed_in.csrf if signed_in is not None else None)

    def _count(self, request: Request) -> None:
        # Without an address (a Unix socket) nobody knows who asks: one client could lock out all others.
        if request.client is None:
            return
        if wait := self._attempts.wait(request.client.host, self._monotonic()):
            seconds = math.ceil(wait)
            detail = f"Too many attempts to sign in come from this address; try again in {seconds} s"
            raise Problem(ProblemKind.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(seconds)})


def _parse_key(text: str) -> str:
    """The key that `{"key": "wk_…"}` holds. Raises Problem (400, 422), which never repeats it."""
    try:
        # Python takes its time over integers of thousands of digits, and refuses them in the end.
        document = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        raise Problem(ProblemKind.MALFORMED_JSON, "The body is not JSON, or is nested too deep") from None
    match document:
        case {"key": str() as key, **others} if not others:
            return key
    raise Problem(ProblemKind.SIGN_IN_REFUSED, "The body is an object with one member, key, a string")


def _came_by_https(request: Request) -> bool:
    """As this server sees it, or as the page says: a proxy need not tell that it ends TLS."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _who(role: Role, name: str, csrf: str | None) -> JSONResponse:
    content = {"role": role, "name": name, "csrf": csrf, "version": __version__}
    return JSONResponse(content, headers=_NO_STORE)


def _who_answer(example_csrf: str | None) -> Described:
    schema = object_of(
        role={"type": "string", "enum": [*Role]}, name=TEXT, csrf=nullable("string"), version=TEXT
    )
    example = {"role": "admin", "name": "Ada", "csrf": example_csrf, "version": __version__}
    return {
        "headers": {"Cache-Control": NO_STORE},
        "content": {JSON_TYPE: {"schema": schema, "example": example}},
    }


SIGN_IN: Described = {
    "operation_id": "signIn",
    "summary": "Sign in with a key",
    "description": f"For browsers: the answer sets a cookie. Its `csrf` goes into the header {CSRF_HEADER}"
    f" of requests that change something. {ATTEMPTS_PER_MINUTE} attempts a minute for an address.",
    "response_description": "Who is signed in",
    "responses": {
        200: _who_answer("KJ0qVb6sVhVtyD2iuq5kmI4lyk2uhj-mT7rS7nGcHzU")
        | {"headers": {"Cache-Control": NO_STORE, "Set-Cookie": {"schema": TEXT, "required": True}}},
        **problems(
            ProblemKind.MALFORMED_REQUEST,
            ProblemKind.MALFORMED_JSON,
            ProblemKind.UNAUTHENTICATED,
            ProblemKind.FORBIDDEN,
            ProblemKind.ORIGIN_NOT_ALLOWED,
            *BODY_PROBLEMS,
            ProblemKind.SIGN_IN_REFUSED,
            ProblemKind.TOO_MANY_REQUESTS,
            Accept_Post=JSON_TYPE,
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The key; of the roles publisher and player it is not one to sign in with",
            "content": {
                JSON_TYPE: {
                    "schema": {
                        "type": "object",
                        "properties": {"key": TEXT},
                        "required": ["key"],
                        "additionalProperties": False,
                    },
                    "example": {"key": "wk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
                }
            },
        }
    },
}

SIGN_OUT: Described = {
    "operation_id": "signOut",
    "summary": "Sign out",
    "description": f"Who is signed in needs the header {CSRF_HEADER}; who is not is told the same.",
    "response_description": "The cookie is good no more",
    "responses": problems(
        ProblemKind.MALFORMED_REQUEST, ProblemKind.CSRF_FAILED, ProblemKind.ORIGIN_NOT_ALLOWED
    ),
}

ME: Described = {
    "operation_id": "getMe",
    "summary": "Who asks",
    "description": "`csrf` is null for who sends a key.",
    "response_description": "Who it is",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: _who_answer(None),
        **problems(ProblemKind.MALFORMED_REQUEST, ProblemKind.UNAUTHENTICATED),
    },
}
