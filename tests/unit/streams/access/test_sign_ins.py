import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.unit.streams.access.key_parts import START, KeyParts, key_parts

from whipway.streams.records import Role
from whipway.streams.store.key_rows import SignInRow
from whipway.streams.store.tables import sign_ins

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts() -> AsyncIterator[KeyParts]:
    """On one kind of database: `store/test_key_rows` has what differs between them."""
    async with key_parts("sqlite") as parts:
        yield parts


async def test_signing_in_and_out(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    first = await parts.sign_ins.open(key)
    second = await parts.sign_ins.open(key)
    assert len({first.secret, first.csrf, second.secret, second.csrf}) == 4
    found = await parts.sign_ins.find(first.secret)
    assert found is not None
    assert (found[0].id, found[0].role, found[1]) == (key.id, Role.ADMIN, first.csrf)
    await parts.sign_ins.close(first.secret)
    assert await parts.sign_ins.find(first.secret) is None
    assert await parts.sign_ins.find(second.secret) is not None


async def test_only_the_hash_is_kept(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    sign_in = await parts.sign_ins.open(key)
    async with parts.database.read() as connection:
        row = (await connection.execute(select(sign_ins))).one()
    assert row.digest == hashlib.sha256(sign_in.secret.encode()).hexdigest()
    assert not any(sign_in.secret in str(value) for value in row)
    assert sign_in.secret not in repr(sign_in) and sign_in.csrf not in repr(sign_in)


async def test_thirty_days_at_most(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN, expires_in=60 * 86_400)
    sign_in = await parts.sign_ins.open(key)
    assert sign_in.expires_at == START + timedelta(days=30)
    assert sign_in.seconds == 30 * 86_400
    parts.clock.pass_by(days=30, seconds=-1)
    assert await parts.sign_ins.find(sign_in.secret) is not None
    parts.clock.pass_by(seconds=1)
    assert await parts.sign_ins.find(sign_in.secret) is None


async def test_no_longer_than_its_key(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN, expires_in=10)
    sign_in = await parts.sign_ins.open(key)
    assert (sign_in.expires_at, sign_in.seconds) == (key.expires_at, 10)
    parts.clock.pass_by(seconds=10)
    assert await parts.sign_ins.find(sign_in.secret) is None


async def test_it_ends_with_its_key_at_once(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    sign_in = await parts.sign_ins.open(key)
    assert await parts.sign_ins.find(sign_in.secret) is not None
    await parts.ring.revoke(key.id)
    assert await parts.sign_ins.find(sign_in.secret) is None


async def test_it_ends_with_a_key_that_was_revoked_elsewhere(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    sign_in = await parts.sign_ins.open(key)
    assert await parts.sign_ins.find(sign_in.secret) is not None
    await parts.other_ring.revoke(key.id)
    parts.clock.pass_by(seconds=5)
    assert await parts.sign_ins.find(sign_in.secret) is None


async def test_it_is_not_read_each_time(parts: KeyParts) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    sign_in = await parts.sign_ins.open(key)
    for _ in range(50):
        assert await parts.sign_ins.find(sign_in.secret) is not None
        parts.clock.pass_by(seconds=0.2)
    assert parts.database.reads == 2
    # Who is signed in uses the key.
    assert [key.used_at for key in await parts.ring.list()] == [START]


async def test_what_is_closed_while_it_is_read_is_not_remembered(
    parts: KeyParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = await parts.ring.create("Ada", Role.ADMIN)
    sign_in = await parts.sign_ins.open(key)
    really_find = parts.sign_in_store.find

    async def find(digest: str) -> SignInRow | None:
        found = await really_find(digest)
        await parts.sign_ins.close(sign_in.secret)
        return found

    monkeypatch.setattr(parts.sign_in_store, "find", find)
    assert await parts.sign_ins.find(sign_in.secret) is not None
    monkeypatch.undo()
    assert await parts.sign_ins.find(sign_in.secret) is None


@pytest.mark.parametrize("secret", ["", "A" * 42, "A" * 44, "A" * 42 + "\n", "ä" * 43, "\ud800"])
async def test_what_is_no_secret_asks_no_database(secret: str) -> None:
    async with key_parts("sqlite") as parts:
        assert await parts.sign_ins.find(secret) is None
        assert parts.database.reads == 0


async def test_an_unknown_secret(parts: KeyParts) -> None:
    assert await parts.sign_ins.find("A" * 43) is None
    await parts.sign_ins.close("A" * 43)
