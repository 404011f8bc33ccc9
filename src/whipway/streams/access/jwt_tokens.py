"""JSON Web Tokens (RFC 7519) as bearer tokens, by the advice of RFC 8725.

The settings decide which algorithms there are, never the token: HS256 with the shared secret, RS256 and ES256
with the issuer's public keys, each kind of key for its own algorithm only. Keys that a token names or carries
itself (`jku`, `jwk`, `x5u`, `x5c`) are not looked at. Claims that are read: `exp`, which must be there,
`nbf`, `iat`, `iss`, `aud`, and the rights, `stream_name` and `stream_url`. Nothing of a token is repeated in
a message.
"""

import base64
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError, PyJWTError

from whipway.streams.access.jwks import KeySource
from whipway.streams.access.rights import NotAuthenticated, Principal, Target, parse_target

MAX_TRIED_KEYS = 16
"""For a token that does not say which key it is signed with: each try is a costly calculation."""
LEEWAY = 10.0
"""Seconds that the clocks of issuer and server may be apart (RFC 7519, section 4.1.4)."""

_SIGNATURE_ONLY: Any = {
    # Claims are checked here: PyJWT asks the machine's clock, and takes what is absent for no objection.
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False),
    **dict.fromkeys(("verify_sub", "verify_jti"), False),
    "enforce_minimum_key_length": True,
}


class JwtVerifier:
    """Verifies tokens. `source` has the keys for RS256 and ES256; `now` gives Unix time."""

    def __init__(
        self,
        *,
        secret: str | None,
        source: KeySource | None,
        issuer: str | None,
        audience: str | None,
        now: Callable[[], float],
    ) -> None:
        """Raises ValueError, about the source of keys, when the secret is a public key."""
        self._secret = None if secret is None else _secret_key(secret)
        self._source = source
        self._issuer = issuer
        self._audience = audience
        self._now = now

    async def verify(self, token: str) -> Principal:
        """The principal that a token stands for. Raises NotAuthenticated."""
        for key in await self._candidates(token):
            try:
                # RFC 8725, section 3.1: one key, one algorithm.
                claims = jwt.decode(token, key, [key.algorithm_name], _SIGNATURE_ONLY)
            except PyJWTError:
                continue
            self._check_times(claims)
            self._check_issuer(claims)
            self._check_audience(claims)
            return Principal(_stream_names(claims), _targets(claims))
        raise _refusal("The token is not signed with a key that is known here")

    async def _candidates(self, token: str) -> list[jwt.PyJWK]:
        """The keys that a token may be signed with, by its header, for which nobody has vouched yet."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise _refusal("The token is no JSON Web Token that can be read") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            return [self._secret]
        if algorithm not in ("RS256", "ES256") or self._source is None:
            raise _refusal("The token is signed in a way that is not accepted here")
        keys = [key for key in await self._source.keys(kid) if key.algorithm == algorithm]
        # Keys without a name may be meant by any.
        fitting = [each.key for each in keys if kid is None or each.kid in (kid, None)]
        return fitting[:MAX_TRIED_KEYS]

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """RFC 7519, sections 4.1.4 to 4.1.6."""
        now = self._now()
        expires = _time(claims, "exp")
        if expires is None:
            raise _refusal("The token does not say when it expires")
        # The leeway stands on this side: a token's number may be an integer beyond what a float can hold.
        if now - LEEWAY >= expires:
            raise _refusal("The token has expired")
        for claim in ("nbf", "iat"):
            begins = _time(claims, claim)
            if begins is not None and now + LEEWAY < begins:
                raise _refusal("The token is not valid yet")

    def _check_issuer(self, claims: Mapping[str, Any]) -> None:
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise _refusal("The token is from another issuer")

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        """RFC 7519, section 4.1.3: "If the principal processing the claim does not identify itself with a
        value in the "aud" claim when this claim is present, then the JWT MUST be rejected."

        So a token that has an audience is refused where none is set up.
        """
        if "aud" not in claims and self._audience is None:
            return
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._audience is None or self._audience not in audiences:
            raise _refusal("The token is for another audience")


def looks_like_jwt(token: str) -> bool:
    """RFC 7515, section 3.1: three parts with dots between them; static tokens hold no dots."""
    return token.count(".") == 2


def _secret_key(secret: str) -> jwt.PyJWK:
    try:
        # A public key as the secret would let everybody who has it sign.
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise ValueError("this is where a public key belongs, not auth.jwt_secret") from None
    encoded = base64.urlsafe_b64encode(secret.encode()).decode()
    return jwt.PyJWK({"kty": "oct", "k": encoded}, "HS256")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    # JSON as Python reads it knows NaN and Infinity, and Python counts with True as 1.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(f"The token's {name} is no number")
    if isinstance(value, float) and not isfinite(value):
        raise _refusal(f"The token's {name} is no number")
    return value


def _stream_names(claims: Mapping[str, Any]) -> tuple[str, ...]:
    names = _texts(claims, "stream_name", "streamname")
    if names is None:
        raise _refusal("The token names no stream: it has no claim stream_name")
    return names


def _targets(claims: Mapping[str, Any]) -> frozenset[Target] | None:
    urls = _texts(claims, "stream_url", "ingesturl")
    try:
        return None if urls is None else frozenset(map(parse_target, urls))
    except ValueError:
        raise _refusal("The token's stream_url is no RTMP URL") from None


def _texts(claims: Mapping[str, Any], name: str, older_name: str) -> tuple[str, ...] | None:
    """A claim that is a string or a list of strings. None: it is not there, by neither name."""
    if name not in claims and older_name not in claims:
        return None
    value = claims[name] if name in claims else claims[older_name]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise _refusal(f"The token's {name} is neither a text nor a list of texts")
    return tuple(texts)


def _refusal(detail: str) -> NotAuthenticated:
    return NotAuthenticated(True, detail)
