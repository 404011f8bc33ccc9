"""Who is signed in to the dashboard: a secret in a cookie that stands for the key that opened it.

A sign-in ends after 30 days, with its key, or when whoever it is signs out. Beside the secret it has a second
one, `csrf`, which the page is told and no other site can know: requests that change something must repeat it.
Of the first only the digest is kept; the second opens nothing by itself.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from whipway.streams.access.keys import KeyRing, Recent, digest_of, make_secret
from whipway.streams.records import KeyRecord, utc_now
from whipway.streams.store.key_rows import SignInRow, SignInStore

MAX_LIFETIME = timedelta(days=30)

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A new sign-in, as its holder gets it."""

    secret: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: datetime
    seconds: int
    """From now to then. For a cookie: the browser's clock may be another."""


class SignIns:
    """Opens sign-ins, knows them again, and closes them."""

    def __init__(
        self,
        store: SignInStore,
        keys: KeyRing,
        now: Callable[[], datetime] = utc_now,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._now = now
        self._random = random
        self._recent: Recent[SignInRow] = Recent()
        self._closed = 0

    async def open(self, key: KeyRecord) -> SignIn:
        """Sign somebody in with a key, which must be a good one."""
        now = self._now()
        expires_at = min(now + MAX_LIFETIME, key.expires_at or datetime.max.replace(tzinfo=now.tzinfo))
        seconds = int((expires_at - now).total_seconds())
        sign_in = SignIn(make_secret(self._random), make_secret(self._random), expires_at, seconds)
        await self._store.add(digest_of(sign_in.secret), key.id, sign_in.csrf, now, expires_at)
        return sign_in

    async def find(self, secret: str) -> tuple[KeyRecord, str] | None:
        """The key behind a sign-in that is good, and its `csrf`; any text may be asked for."""
        if _SHAPE.fullmatch(secret) is None:
            return None
        digest, now = digest_of(secret), self._now()
        revision = (self._keys.revision, self._closed)
        row = self._recent.get(digest, revision, now)
        if row is None:
            row = await self._store.find(digest)
            if row is not None and _is_good(row, now):
                self._recent.put(digest, row, revision, now)
                await self._keys.note_use(row.key)
        return (row.key, row.csrf) if row is not None and _is_good(row, now) else None

    async def close(self, secret: str) -> None:
        """End a sign-in; one that is not there has ended."""
        try:
            await self._store.remove(digest_of(secret))
        finally:
            self._closed += 1


def _is_good(row: SignInRow, now: datetime) -> bool:
    return now < row.expires_at and row.key.is_good(now)
