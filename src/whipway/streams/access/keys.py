"""Keys of the APIs: `wk_` and 32 random bytes, of which the server keeps a SHA-256 digest only.

There is nothing to guess in 256 random bits: a plain digest needs neither salt nor slowness, and finding it
in an index tells nothing by the time it takes.

An API that is polled asks for the same key again and again. So answers are remembered for a few seconds, and
no longer: another process may revoke a key, `whipway keys` or a second gateway, and nobody tells this one.
What this process revokes is forgotten at once.
"""

import base64
import hashlib
import math
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from whipway.streams.records import KeyRecord, Role, utc_now
from whipway.streams.store.key_rows import KeyNotAdded, KeyStore

KEY_PREFIX = "wk_"
SECRET_BYTES = 32
ID_BYTES = 8
"""An id names a key, and opens nothing."""
FIRST_ID = "first"
"""The id of the key that the first start makes."""
MAX_NAME_CHARACTERS = 256
MAX_LIFETIME = timedelta(days=3660)
MAX_CACHE_AGE = timedelta(seconds=5)
MAX_CACHED = 1000
"""Of good keys only, so that nobody drives them out with keys he made up."""
USE_NOTED_EVERY = timedelta(minutes=1)

_KEY_SHAPE = re.compile(rf"{KEY_PREFIX}[A-Za-z0-9_-]{{43}}")

T = TypeVar("T")

log = structlog.get_logger("keys")


class KeyRefused(ValueError):
    """A key that was asked for cannot be made. The message begins with what is to be mended: "name: …"."""


def looks_like_key(text: str) -> bool:
    """Whether a text has the shape of a key. Such a text is a secret, and goes to nobody else."""
    return _KEY_SHAPE.fullmatch(text) is not None


def make_secret(random: Callable[[int], bytes]) -> str:
    """256 random bits as 43 characters that can stand in headers, cookies and URLs."""
    return base64.urlsafe_b64encode(random(SECRET_BYTES)).rstrip(b"=").decode()


def digest_of(secret: str) -> str:
    """What is kept in the place of a secret: 64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class _Answer(NamedTuple, Generic[T]):
    value: T
    revision: Hashable
    read_at: datetime


class Recent(Generic[T]):
    """What the database said a moment ago, by digest.

    An answer counts while the revision it was read at is the present one. Who reads takes the revision before
    asking the database: what is revoked in between is not remembered as good.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[str, _Answer[T]] = OrderedDict()

    def get(self, digest: str, revision: Hashable, now: datetime) -> T | None:
        """The answer, if it is still one."""
        answer = self._answers.get(digest)
        # A clock that was set back must not make an answer last.
        if answer and answer.revision == revision and timedelta() <= now - answer.read_at < MAX_CACHE_AGE:
            return answer.value
        return None

    def put(self, digest: str, value: T, revision: Hashable, now: datetime) -> None:
        """Remember an answer; of too many the oldest is forgotten."""
        self._answers.pop(digest, None)
        self._answers[digest] = _Answer(value, revision, now)
        if len(self._answers) > MAX_CACHED:
            self._answers.popitem(last=False)


class KeyRing:
    """Makes keys, knows them again, and revokes them."""

    def __init__(
        self,
        store: KeyStore,
        now: Callable[[], datetime] = utc_now,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._now = now
        self._random = random
        self._recent: Recent[KeyRecord] = Recent()
        self.revision = 0
        """Grows with each key that is revoked here: what was known of keys before counts no more."""

    async def create(
        self, name: str, role: Role, *, expires_in: float | None = None, stream_id: str | None = None
    ) -> tuple[str, KeyRecord]:
        """A new key: the secret, which is nowhere else, and what is kept of it. Raises KeyRefused.

        `expires_in`: seconds; None: never. `stream_id`: which stream a publisher's key is for.
        """
        _check_name(name)
        if (role is Role.PUBLISHER) != (stream_id is not None):
            raise KeyRefused("stream: a publisher's key is for one stream, any other for none")
        at = self._now()
        expires_at = None if expires_in is None else at + _lifetime(expires_in)
        key = KeyRecord(self._random(ID_BYTES).hex(), name, role, at, expires_at, stream_id=stream_id)
        secret = KEY_PREFIX + make_secret(self._random)
        try:
            await self._store.add(key, digest_of(secret))
        except KeyNotAdded as error:
            raise KeyRefused(f"key: {error}") from None
        return secret, key

    async def find(self, secret: str) -> KeyRecord | None:
        """The key that a secret is, if it is good; any text may be asked for."""
        if not looks_like_key(secret):
            return None
        digest, revision, now = digest_of(secret), self.revision, self._now()
        key = self._recent.get(digest, revision, now)
        if key is None:
            key = await self._store.find(digest)
            if key is not None and key.is_good(now):
                self._recent.put(digest, key, revision, now)
                await self.note_use(key)
        return key if key is not None and key.is_good(now) else None

    async def list(self) -> Sequence[KeyRecord]:
        """Keys, the newest first; those that are over for 30 days more. See `KeyStore.list`."""
        return await self._store.list()

    async def revoke(self, id: str) -> bool:
        """End a key, and every sign-in with it. False: there is none, or it was revoked before.

        Any text may be asked for.
        """
        if not (id.isascii() and id.isalnum()):
            return False  # A database need not take every text for an answer.
        try:
            return await self._store.revoke(id, self._now())
        finally:
            # Even after an error: the database may have done it all the same.
            self.revision += 1

    async def ensure_first(self) -> str | None:
        """An administrator's key where none was ever made, for whoever started the server; else None."""
        secret = KEY_PREFIX + make_secret(self._random)
        key = KeyRecord(FIRST_ID, "First admin", Role.ADMIN, self._now())
        return secret if await self._store.add_first(key, digest_of(secret)) else None

    async def note_use(self, key: KeyRecord) -> None:
        """Write down that a key is in use, if that was not done a moment ago."""
        now = self._now()
        if key.used_at is not None and now - key.used_at < USE_NOTED_EVERY:
            return
        try:
            await self._store.note_use(key.id, now, every=USE_NOTED_EVERY)
        except (SQLAlchemyError, OSError) as error:
            # Nobody is turned away for this. Its name only: the message has the statement's values.
            log.warning("the use of a key was not written down", key=key.id, error=type(error).__name__)


def _check_name(name: str) -> None:
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise KeyRefused(f"name: 1 to {MAX_NAME_CHARACTERS} printable characters")


def _lifetime(seconds: float) -> timedelta:
    # What is no number at all (NaN) is in no range.
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_LIFETIME.total_seconds()):
        raise KeyRefused(f"expires_in: more than 0 seconds, at most {MAX_LIFETIME.days} days")
    return timedelta(seconds=seconds)
