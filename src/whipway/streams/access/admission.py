"""Who may publish, put together from the ways that are set up (settings, section `auth`).

Static tokens and JSON Web Tokens say who somebody is and which streams are theirs: one of them must accept
the bearer token. The callback, which is asked last, says whether this publish may happen. With a callback
alone everybody is anonymous, and it decides.

Keys of the APIs are bearer tokens as well, wherever anything is asked for at all. Unlike the others they open
more than streams, so the callback never sees one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from whipway.config.tree import AuthSettings, Token
from whipway.streams.access.callback import PublishCallback
from whipway.streams.access.jwks import KeyFile, KeySource, KeyUrl
from whipway.streams.access.jwt_tokens import JwtVerifier, looks_like_jwt
from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.access.keys import looks_like_key
from whipway.streams.access.rights import (
    ANONYMOUS,
    NotAllowed,
    NotAuthenticated,
    Principal,
    PublishAttempt,
)
from whipway.streams.access.tokens import StaticTokens
from whipway.streams.webhooks.http_client import make_http_client

__all__ = ["ANONYMOUS", "Admission", "NotAllowed", "NotAuthenticated", "Principal", "PublishAttempt"]

MAX_TOKEN_CHARACTERS = 8192
"""Longer ones are refused unread; signed tokens with many claims have some 2 kB."""
MAX_CALLS = 100
"""Connections for callbacks and keys at a time; more wait for one of them. Publishers by RTMP get no more
than half of them (`rtmp_admission`)."""


def unix_time() -> float:
    """Seconds since 1970, in which tokens say when they expire."""
    return datetime.now(UTC).timestamp()


class Admission:
    """Tells who asks, and whether they may. Built by `make_admission`; to be closed in the end."""

    def __init__(
        self,
        tokens: StaticTokens | None,
        jwt: JwtVerifier | None,
        callback: PublishCallback | None,
        client: httpx.AsyncClient | None,
        keys: KeyTokens | None = None,
    ) -> None:
        self._tokens = tokens
        self._jwt = jwt
        self._callback = callback
        self._client = client
        self._keys = keys

    @property
    def needs_token(self) -> bool:
        """Whether nobody passes without a bearer token; a callback alone decides about everybody."""
        return self._tokens is not None or self._jwt is not None

    async def authenticate(self, bearer: str | None) -> Principal:
        """Whoever a bearer token stands for; None: the request has none. Raises NotAuthenticated."""
        if bearer is not None and (len(bearer) > MAX_TOKEN_CHARACTERS or not bearer.isascii()):
            raise NotAuthenticated(True, "The bearer token cannot be read")
        # Even where it is not needed: who sends a key wants to be known by it.
        if self._keys is not None and bearer is not None and looks_like_key(bearer):
            return await _holder(self._keys, bearer)
        if not self.needs_token:
            return ANONYMOUS
        if bearer is None:
            raise NotAuthenticated(False, "A bearer token is required")
        if self._jwt is not None and looks_like_jwt(bearer):
            return await self._jwt.verify(bearer)
        principal = self._tokens.find(bearer) if self._tokens is not None else None
        if principal is None:
            raise NotAuthenticated(True, "The bearer token is not known here")
        return principal

    async def authorize(self, principal: Principal, attempt: PublishAttempt) -> None:
        """Whether a principal may publish as it asks to. Raises NotAllowed."""
        if not principal.may_name(attempt.stream_name, attempt.stream_url):
            raise NotAllowed("The bearer token is not for a stream of this name")
        if not principal.may_send_to(attempt.stream_url):
            raise NotAllowed("The bearer token is not for this stream_url")
        if self._callback is not None:
            await self._callback.ask(without_key(attempt))

    def may_manage(self, principal: Principal, stream_name: str, stream_url: str) -> bool:
        """Whether a principal may end, change or look at a session: whether it could publish the stream.

        The callback is not asked: it is told of publishing, and of nothing else.
        """
        return principal.may_name(stream_name, stream_url) and principal.may_send_to(stream_url)

    async def close(self) -> None:
        """Give up the connections for callbacks and keys."""
        if self._client is not None:
            await self._client.aclose()


def make_admission(
    settings: AuthSettings,
    *,
    extra_tokens: Sequence[Token] = (),
    keys: KeyTokens | None = None,
    now: Callable[[], float] = unix_time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Admission | None:
    """Build what the settings ask for; None where nobody has to authenticate.

    Whether "auto" and "on" mean a token of this run is decided by who hands it over in `extra_tokens`. Raises
    ValueError with what is wrong with `auth.jwks`, to be written behind that name.
    """
    all_tokens = [*settings.tokens, *extra_tokens]
    if settings.enabled == "off" or not (all_tokens or settings.is_configured):
        return None
    client = make_http_client(MAX_CALLS) if settings.callback or _is_url(settings.jwks) else None
    callback = PublishCallback(client, str(settings.callback)) if client and settings.callback else None
    source = _key_source(settings.jwks, client, monotonic) if settings.jwks else None
    return Admission(
        StaticTokens(all_tokens) if all_tokens else None,
        _verifier(settings, source, now) if settings.jwt_secret or source else None,
        callback,
        client,
        keys,
    )


def without_key(attempt: PublishAttempt) -> PublishAttempt:
    """An attempt as others may see it: without a bearer token that is a key of this server."""
    is_key = attempt.bearer is not None and looks_like_key(attempt.bearer)
    return replace(attempt, bearer=None) if is_key else attempt


async def _holder(keys: KeyTokens, key: str) -> Principal:
    principal = await keys.find(key)
    if principal is None:
        raise NotAuthenticated(True, "The key is not known here, has ended, or is not one to publish with")
    return principal


def _is_url(jwks: str | None) -> bool:
    return jwks is not None and jwks.lower().startswith(("http://", "https://"))


def _key_source(jwks: str, client: httpx.AsyncClient | None, monotonic: Callable[[], float]) -> KeySource:
    if _is_url(jwks):
        assert client is not None
        return KeyUrl(client, jwks, monotonic)
    return KeyFile(Path(jwks), monotonic)


def _verifier(settings: AuthSettings, source: KeySource | None, now: Callable[[], float]) -> JwtVerifier:
    return JwtVerifier(
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret else None,
        source=source,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        now=now,
    )
