"""Static bearer tokens, of which the server knows SHA-256 digests only.

A token is 32 random bytes, so there is nothing to guess: a plain digest needs neither salt nor slowness, and
finding it in a dictionary tells nothing by the time it takes.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable

from whipway.config.tree import Token
from whipway.streams.access.rights import Principal

TOKEN_BYTES = 32
HASH_PREFIX = "sha256:"


class StaticTokens:
    """Finds whom a token stands for. Entries with one hash count together."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        streams: dict[bytes, tuple[str, ...]] = {}
        for token in tokens:
            digest = bytes.fromhex(token.hash.removeprefix(HASH_PREFIX))
            streams[digest] = (*streams.get(digest, ()), *token.streams)
        self._principals = {digest: Principal(patterns) for digest, patterns in streams.items()}

    def find(self, bearer: str) -> Principal | None:
        """The principal of a token; None: it is none of these."""
        return self._principals.get(_digest(bearer))


def make_token(random: Callable[[int], bytes]) -> tuple[str, str]:
    """A new token for a publisher, and its hash for the settings. `random` gives that many secret bytes."""
    token = base64.urlsafe_b64encode(random(TOKEN_BYTES)).rstrip(b"=").decode()
    return token, HASH_PREFIX + _digest(token).hex()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
