"""The rows of keys, and of the sign-ins that were made with them.

A secret is never here, only its digest: `keys` and `sign_ins` of the ring above make the one of the other.
What has been over for a while is forgotten whenever something new is added, so that neither table grows for
ever.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from whipway.streams.records import KeyRecord, Role
from whipway.streams.store.database import Database
from whipway.streams.store.tables import keys, sign_ins

KEPT_AFTER = timedelta(days=30)
"""For which a key that is over can still be seen in the list. Publishers' keys, which programs make by the
dozen, are forgotten at once."""
MAX_KEYS = 20_000
"""Of one role: who may make keys for publishers must not keep an administrator from making others."""
MAX_LISTED = 1000
MAX_SIGN_INS = 100
"""With one key; the oldest goes."""

# All but the digest: nobody needs it back.
_KEY = (
    keys.c.id,
    keys.c.name,
    keys.c.role,
    keys.c.created_at,
    keys.c.expires_at,
    keys.c.revoked_at,
    keys.c.used_at,
    keys.c.stream_id,
)


class KeyNotAdded(Exception):
    """There are as many keys as there may be, or the stream that it is for is not there."""


class SignInRow(NamedTuple):
    """A sign-in with the key that it was made with."""

    key: KeyRecord
    csrf: str
    expires_at: datetime


class KeyStore:
    """Keys by their digests: SHA-256 in hex."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: KeyRecord, digest: str) -> None:
        """Keep a new key. Raises KeyNotAdded."""
        try:
            async with self._database.begin() as connection:
                await _forget_keys(connection, key.created_at)
                same = select(func.count()).where(keys.c.role == key.role.value)
                if (await connection.scalar(same) or 0) >= MAX_KEYS:
                    raise KeyNotAdded(f"there are {MAX_KEYS} of this role; revoke some that nobody needs")
                await connection.execute(insert(keys).values(_values(key, digest)))
        except IntegrityError:
            raise KeyNotAdded("there is no such stream") from None

    async def add_first(self, key: KeyRecord, digest: str) -> bool:
        """Keep this key if no key of its role was ever made; tells whether it was kept.

        Its id must be the same in every process: of two that begin at once, one finds the id taken.
        """
        values = _values(key, digest)
        row = select(*(literal(value, keys.c[name].type) for name, value in values.items()))
        nobody = row.where(~exists().where(keys.c.role == key.role.value))
        try:
            async with self._database.begin() as connection:
                return (await connection.execute(insert(keys).from_select([*values], nobody))).rowcount > 0
        except IntegrityError:
            return False

    async def find(self, digest: str) -> KeyRecord | None:
        """The key of a digest, good or not."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*_KEY).where(keys.c.digest == digest))).first()
        return None if row is None else _record(row)

    async def list(self) -> Sequence[KeyRecord]:
        """Keys, the newest first, at most MAX_LISTED; those of publishers if there is room for them."""
        wanted = select(*_KEY).order_by(
            keys.c.role == Role.PUBLISHER.value, keys.c.created_at.desc(), keys.c.id
        )
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.limit(MAX_LISTED))
            return sorted(map(_record, rows), key=lambda key: key.created_at, reverse=True)

    async def revoke(self, id: str, at: datetime) -> bool:
        """End a key and what was signed in with it. False: there is none, or it was revoked before."""
        async with self._database.begin() as connection:
            await connection.execute(delete(sign_ins).where(sign_ins.c.key_id == id))
            is_it = (keys.c.id == id) & keys.c.revoked_at.is_(None)
            return (await connection.execute(update(keys).where(is_it).values(revoked_at=at))).rowcount > 0

    async def note_use(self, id: str, at: datetime, *, every: timedelta) -> None:
        """Write down that a key was used, unless that was done less than `every` ago."""
        is_old = or_(keys.c.used_at.is_(None), keys.c.used_at <= at - every)
        async with self._database.begin() as connection:
            await connection.execute(update(keys).where(keys.c.id == id, is_old).values(used_at=at))


class SignInStore:
    """Sign-ins by the digests of their secrets: SHA-256 in hex."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, digest: str, key_id: str, csrf: str, at: datetime, expires_at: datetime) -> None:
        """Keep a new sign-in, of those with one key the newest ones."""
        newest = (
            select(sign_ins.c.digest)
            .where(sign_ins.c.key_id == key_id)
            .order_by(sign_ins.c.created_at.desc(), sign_ins.c.digest)
            .limit(MAX_SIGN_INS - 1)
        )
        async with self._database.begin() as connection:
            await connection.execute(delete(sign_ins).where(sign_ins.c.expires_at <= at))
            too_many = (sign_ins.c.key_id == key_id) & sign_ins.c.digest.not_in(newest)
            await connection.execute(delete(sign_ins).where(too_many))
            await connection.execute(
                insert(sign_ins).values(
                    digest=digest, key_id=key_id, csrf=csrf, created_at=at, expires_at=expires_at
                )
            )

    async def find(self, digest: str) -> SignInRow | None:
        """The sign-in of a digest, expired or not, and its key, good or not."""
        wanted = (
            select(*_KEY, sign_ins.c.csrf, sign_ins.c.expires_at.label("signed_in_until"))
            .join_from(sign_ins, keys)
            .where(sign_ins.c.digest == digest)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else SignInRow(_record(row), row.csrf, row.signed_in_until)

    async def remove(self, digest: str) -> None:
        """End a sign-in, if there is one."""
        async with self._database.begin() as connection:
            await connection.execute(delete(sign_ins).where(sign_ins.c.digest == digest))


async def _forget_keys(connection: AsyncConnection, now: datetime) -> None:
    def ended(before: datetime) -> ColumnElement[bool]:
        return or_(keys.c.expires_at < before, keys.c.revoked_at < before)

    # An administrator's row stays: by it the next start knows that this is not the first one.
    long_ago = ended(now - KEPT_AFTER) & (keys.c.role != Role.ADMIN.value)
    await connection.execute(
        delete(keys).where(or_(long_ago, ended(now) & (keys.c.role == Role.PUBLISHER.value)))
    )


def _values(key: KeyRecord, digest: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "digest": digest,
        "stream_id": key.stream_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "used_at": key.used_at,
    }


def _record(row: Row[*tuple[Any, ...]]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        stream_id=row.stream_id,
    )
