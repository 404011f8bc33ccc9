"""Who asks for something of the APIs, and whether they may.

A program sends its key with each request (RFC 6750, section 2.1). The dashboard was given a cookie for its
key (`sign_in`), which a browser adds by itself, whichever page makes the request. So what changes something
must also repeat a value in `X-CSRF-Token` that only the page which signed in was told; the cookie itself says
SameSite=Strict besides. A request with an `Authorization` header is judged by that alone.

Publishers of WHIP are judged by `auth`, by rules of their own.
"""

import hmac
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fastapi import Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from whipway.streams.access.keys import KeyRing
from whipway.streams.access.roles import Right, may
from whipway.streams.access.sign_ins import SignIns
from whipway.streams.records import KeyRecord, Role
from whipway.web.auth import CHALLENGE
from whipway.web.problems import Problem, ProblemKind

COOKIE = "whipway_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD"})

KEY_OR_COOKIE = (
    Security(
        HTTPBearer(scheme_name="key", auto_error=False, description="A key: `whipway keys create` makes one.")
    ),
    Security(
        APIKeyCookie(
            name=COOKIE,
            scheme_name="cookie",
            auto_error=False,
            description=f"Of who signed in. What changes something needs the header {CSRF_HEADER} as well.",
        )
    ),
)
"""Dependencies that refuse nobody: they are there to be described. `Callers.require` decides."""


class Caller(NamedTuple):
    """Who asks. `stream_id`: the one stream of a publisher."""

    key_id: str
    name: str
    role: Role
    stream_id: str | None
    via: Literal["bearer", "cookie"]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The sign-in that a cookie stands for."""

    secret: str = field(repr=False)
    key: KeyRecord
    csrf: str = field(repr=False)


class Callers:
    """Knows callers by their keys and cookies."""

    def __init__(self, keys: KeyRing, sign_ins: SignIns) -> None:
        self._keys = keys
        self._sign_ins = sign_ins

    async def identify(self, request: Request) -> Caller | None:
        """Who asks; None: nobody who is known. For what changes nothing: `require` has the rest."""
        return (await self.recognise(request))[0]

    async def require(self, request: Request, right: Right) -> Caller:
        """Whoever asks, who has this right. Raises Problem (401, 403)."""
        caller, signed_in = await self.recognise(request)
        if caller is None:
            raise unauthenticated("Send a key that is good, or sign in", sent=_has_authorization(request))
        if signed_in is not None:
            check_csrf(request, signed_in)
        if not may(caller.role, right):
            raise _forbidden(caller.role)
        return caller

    async def signed_in(self, request: Request) -> SignedIn | None:
        """The sign-in of a request's cookie, whatever else the request has."""
        secret = request.cookies.get(COOKIE)
        found = await self._sign_ins.find(secret) if secret is not None else None
        return None if secret is None or found is None else SignedIn(secret, *found)

    async def recognise(self, request: Request) -> tuple[Caller | None, SignedIn | None]:
        """Who asks, and by which sign-in, if it is by one. Of no use before `check_csrf` for changes."""
        if _has_authorization(request):
            key = await self._keys.find(_bearer(request))
            return (None if key is None else _caller(key, "bearer")), None
        signed_in = await self.signed_in(request)
        return (None if signed_in is None else _caller(signed_in.key, "cookie")), signed_in


def check_csrf(request: Request, signed_in: SignedIn) -> None:
    """Whether a request with a cookie comes from the page that signed in. Raises Problem (403)."""
    if request.method in SAFE_METHODS:
        return
    # As bytes: what a stranger sends need not be ASCII, which is all that text may be to be compared so.
    sent = request.headers.get(CSRF_HEADER, "").encode()
    if not hmac.compare_digest(sent, signed_in.csrf.encode()):
        detail = f"Send {CSRF_HEADER} as GET /v1/me tells it; with a key instead of a cookie it is not needed"
        raise Problem(ProblemKind.CSRF_FAILED, detail)


def unauthenticated(detail: str, *, sent: bool) -> Problem:
    """401. RFC 6750, section 3.1: no error code where no key was sent."""
    challenge = f'{CHALLENGE}, error="invalid_token"' if sent else CHALLENGE
    return Problem(ProblemKind.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})


def _forbidden(role: Role) -> Problem:
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}
    return Problem(ProblemKind.FORBIDDEN, f"A key of the role {role} may not do this", headers=headers)


def _caller(key: KeyRecord, via: Literal["bearer", "cookie"]) -> Caller:
    return Caller(key.id, key.name, key.role, key.stream_id, via)


def _has_authorization(request: Request) -> bool:
    return "authorization" in request.headers


def _bearer(request: Request) -> str:
    """What stands behind `Bearer`; empty for anything else, and where there are two."""
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].strip().partition(" ")
    # RFC 9110, section 11.1: "It uses a case-insensitive token to identify the authentication scheme".
    return token.strip(" ") if len(headers) == 1 and scheme.lower() == "bearer" else ""
