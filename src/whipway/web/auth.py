"""Authentication of HTTP requests: bearer tokens (RFC 9725, section 4.7.1; RFC 6750, sections 2.1 and 3).

Takes the token from the request, asks `streams.admission`, and answers with problem documents that carry the
challenge. Tokens in forms and in query strings (RFC 6750, sections 2.2 and 2.3) are left out: URLs are
written to logs on their way.
"""

import hashlib
import hmac
from collections.abc import Awaitable
from typing import Protocol

from fastapi import Request

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.access.admission import (
    ANONYMOUS,
    Admission,
    NotAllowed,
    NotAuthenticated,
    Principal,
    PublishAttempt,
)
from whipway.streams.sessions import Access, SessionDirectory
from whipway.streams.stream_names import record_name
from whipway.web.problems import Problem, ProblemKind

CHALLENGE = 'Bearer realm="whipway"'


class StreamRules(Protocol):
    """`publish_rules.PublishRules`. Both raise NotAllowed."""

    async def admit(self, attempt: PublishAttempt) -> None:
        """Whether a stream may be published."""
        ...

    async def admit_sink(self, attempt: PublishAttempt) -> None:
        """Whether something that is published may go there as well."""
        ...


class Guard:
    """Lets requests pass or raises Problem. Without an admission everybody may publish.

    `rules`: those of the streams themselves, whoever publishes them.
    """

    def __init__(
        self,
        admission: Admission | None,
        directory: SessionDirectory,
        rules: StreamRules | None = None,
    ) -> None:
        self._admission = admission
        self._directory = directory
        self._rules = rules

    @property
    def needs_token(self) -> bool:
        """Whether nobody passes without a bearer token."""
        return self._admission is not None and self._admission.needs_token

    async def authenticate(self, request: Request) -> Principal:
        """Who sent a request. Raises Problem (401)."""
        if self._admission is None:
            return ANONYMOUS
        try:
            return await self._admission.authenticate(_bearer(request))
        except NotAuthenticated as error:
            raise _unauthenticated(error) from None

    async def is_authenticated(self, request: Request) -> bool:
        """Whether it is known who sent a request; True where nobody has to say so."""
        if self._admission is None:
            return True
        try:
            return not (await self._admission.authenticate(_bearer(request))).is_anonymous
        except NotAuthenticated:
            return False

    async def authorize(self, principal: Principal, attempt: PublishAttempt) -> None:
        """Whether a principal may publish. Raises Problem (403)."""
        if self._admission is None:
            return
        try:
            await self._admission.authorize(principal, attempt)
        except NotAllowed as error:
            raise _forbidden(error.detail, error.wants_scope) from None

    async def admit(self, attempt: PublishAttempt) -> None:
        """Whether the stream may be published, by anybody; asked last. Raises Problem (403)."""
        if self._rules is not None:
            await _judged(self._rules.admit(attempt))

    async def admit_sink(self, session_id: str, attempt: PublishAttempt) -> None:
        """Whether a session may go there as well, whoever wants it to; asked last. Raises Problem (403)."""
        access = self._directory.access(session_id)
        is_its_own = access is not None and _record(attempt) == _record(access)
        if self._rules is not None and not is_its_own:
            await _judged(self._rules.admit_sink(attempt))

    async def check_session(self, request: Request, session_id: str) -> None:
        """Whether a request may touch a session. Raises Problem (401, 403); an unknown session passes.

        The token that the session was made with is always enough, even when it has expired since: its holder
        must be able to end what it began. So is any that could publish the same stream.
        """
        access = self._directory.access(session_id)
        if self._admission is None or (access and self._made_it(request, access)):
            return
        principal = await self.authenticate(request)
        if access and not self._may_manage(self._admission, principal, access):
            if principal.is_anonymous and self.bearer(request) is None:
                raise _unauthenticated(NotAuthenticated(False, "This session was made with a bearer token"))
            raise _forbidden("The bearer token is not for this session")

    def bearer(self, request: Request) -> str | None:
        """The bearer token of a request. None without one that can be read, which `authenticate` judges."""
        try:
            return _bearer(request) if self._admission is not None else None
        except NotAuthenticated:
            return None

    def digest(self, request: Request) -> bytes | None:
        """What a session remembers of the bearer token that it was made with."""
        bearer = self.bearer(request)
        return None if bearer is None else hashlib.sha256(bearer.encode()).digest()

    def _made_it(self, request: Request, access: Access) -> bool:
        digest = self.digest(request)
        # Compared in constant time: one byte after the other could be guessed otherwise.
        return bool(access.credential and digest and hmac.compare_digest(access.credential, digest))

    @staticmethod
    def _may_manage(admission: Admission, principal: Principal, access: Access) -> bool:
        if principal.is_anonymous:
            # Anybody who knows the session's URL, which cannot be guessed; but what was made with a token is
            # its holder's.
            return access.credential is None
        return admission.may_manage(principal, access.stream_name, access.stream_url)


def _record(asked: PublishAttempt | Access) -> str:
    return record_name(parse_rtmp_url(asked.stream_url).app, asked.stream_name)


async def _judged(asking: Awaitable[None]) -> None:
    try:
        await asking
    except NotAllowed as error:
        raise _forbidden(error.detail, error.wants_scope) from None


def _bearer(request: Request) -> str | None:
    """The token of `Authorization: Bearer …`, None without such a header. Raises NotAuthenticated."""
    headers = request.headers.getlist("authorization")
    if not headers:
        return None
    if len(headers) > 1:
        raise NotAuthenticated(True, "There is more than one Authorization header")
    scheme, _, token = headers[0].strip().partition(" ")
    # RFC 9110, section 11.1: "It uses a case-insensitive token to identify the authentication scheme".
    if scheme.lower() != "bearer":
        raise NotAuthenticated(False, "A bearer token is required")
    token = token.strip(" ")
    # RFC 6750, section 2.1 allows some of these characters only; nothing depends on the others' absence.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NotAuthenticated(True, "The bearer token cannot be read")
    return token


def _unauthenticated(error: NotAuthenticated) -> Problem:
    """RFC 6750, section 3.1: no error code where no token was sent."""
    reason = f', error="invalid_token", error_description="{error.detail}"' if error.sent else ""
    headers = {"WWW-Authenticate": CHALLENGE + reason}
    return Problem(ProblemKind.UNAUTHENTICATED, error.detail, headers=headers)


def _forbidden(detail: str, wants_scope: bool = True) -> Problem:
    """RFC 6750, section 3.1: the error code is for requests that a token with more rights could make."""
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'} if wants_scope else {}
    return Problem(ProblemKind.FORBIDDEN, detail, headers=headers)
