import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.peers.databases import databases
from tests.unit.streams.access.key_parts import START, KeyParts, key_parts

from whipway.streams.records import KeyRecord, Role
from whipway.streams.store import key_rows
from whipway.streams.store.key_rows import KEPT_AFTER, KeyNotAdded
from whipway.streams.store.tables import keys, sign_ins, streams

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
KEY = KeyRecord("k1", "Ada", Role.USER, START)


@pytest.fixture(params=databases())
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[KeyParts]:
    async with key_parts(request.param) as parts:
        yield parts


async def count(parts: KeyParts, table: object) -> int:
    async with parts.database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table))


async def test_a_key_comes_back_as_it_was(parts: KeyParts) -> None:
    stream = await parts.stream()
    everything = KeyRecord(
        "k2", "Zoë ☂", Role.PUBLISHER, START + DAY, START + 2 * DAY, None, START, stream.id
    )
    for key, digest in ((KEY, "a" * 64), (everything, "b" * 64)):
        await parts.key_store.add(key, digest)
        assert await parts.key_store.find(digest) == key
    assert await parts.key_store.find("c" * 64) is None
    assert await parts.key_store.list() == [everything, KEY]


async def test_a_key_for_no_stream_is_not_added(parts: KeyParts) -> None:
    with pytest.raises(KeyNotAdded, match="no such stream"):
        await parts.key_store.add(replace(KEY, role=Role.PUBLISHER, stream_id="gone"), "a" * 64)
    assert await parts.key_store.list() == []


async def test_a_forgotten_stream_takes_its_keys_along(parts: KeyParts) -> None:
    stream = await parts.stream()
    await parts.key_store.add(replace(KEY, role=Role.PUBLISHER, stream_id=stream.id), "a" * 64)
    async with parts.database.begin() as connection:
        await connection.execute(streams.delete())
    assert await parts.key_store.list() == []


async def test_there_are_not_too_many(parts: KeyParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rows, "MAX_KEYS", 2)
    for number in range(2):
        await parts.key_store.add(replace(KEY, id=f"k{number}"), str(number))
    with pytest.raises(KeyNotAdded, match="there are 2 of this role"):
        await parts.key_store.add(replace(KEY, id="k2"), "2")
    await parts.key_store.add(replace(KEY, id="k3", role=Role.ADMIN), "3")


async def test_what_is_long_over_is_forgotten(parts: KeyParts) -> None:
    later = START + KEPT_AFTER + DAY
    stream = await parts.stream()
    publisher = {"role": Role.PUBLISHER, "stream_id": stream.id}
    over = {
        "expired": {"expires_at": START},
        "revoked": {"revoked_at": START},
        "used up": publisher | {"expires_at": later - DAY},
        "taken back": publisher | {"revoked_at": later - DAY},
    }
    recent = {
        "fresh": {"expires_at": START + 2 * DAY},
        "admin": {"revoked_at": START, "role": Role.ADMIN},
        "lasting": {},
        "publisher": publisher,
    }
    for name, values in (over | recent).items():
        await parts.key_store.add(replace(KEY, id=name, **values), name)
    await parts.key_store.add(replace(KEY, id="new", created_at=later), "new")
    assert {key.id for key in await parts.key_store.list()} == {"new", *recent}


async def test_a_long_list(parts: KeyParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rows, "MAX_LISTED", 3)
    stream = await parts.stream()
    for day in range(4):
        role, of = (Role.PUBLISHER, stream.id) if day else (Role.USER, None)
        key = KeyRecord(f"k{day}", "Ada", role, START + day * DAY, stream_id=of)
        await parts.key_store.add(key, str(day))
    assert [key.id for key in await parts.key_store.list()] == ["k3", "k2", "k0"]


async def test_revoking(parts: KeyParts) -> None:
    await parts.key_store.add(KEY, "a" * 64)
    await parts.key_store.add(replace(KEY, id="k2"), "b" * 64)
    await parts.sign_in_store.add("s1", "k1", "c", START, START + DAY)
    await parts.sign_in_store.add("s2", "k2", "c", START, START + DAY)
    assert await parts.key_store.revoke("k1", START + DAY)
    assert await parts.key_store.find("a" * 64) == replace(KEY, revoked_at=START + DAY)
    assert await parts.sign_in_store.find("s1") is None
    assert await parts.sign_in_store.find("s2") is not None
    assert not await parts.key_store.revoke("k1", START + 2 * DAY)
    assert not await parts.key_store.revoke("k3", START)


async def test_use_is_noted_now_and_then(parts: KeyParts) -> None:
    await parts.key_store.add(KEY, "a")
    noted = []
    for seconds in (0, 59, 60, 61):
        at = START + timedelta(seconds=seconds)
        await parts.key_store.note_use("k1", at, every=timedelta(minutes=1))
        key = await parts.key_store.find("a")
        assert key is not None and key.used_at is not None
        noted.append((key.used_at - START).total_seconds())
    assert noted == [0, 0, 60, 60]


async def test_the_first_key_is_the_first(parts: KeyParts) -> None:
    admin = replace(KEY, id="first", role=Role.ADMIN)
    await parts.key_store.add(replace(KEY, id="user"), "u")
    tries = [parts.key_store.add_first(admin, str(number)) for number in range(5)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 4 + [True]
    assert await count(parts, keys) == 2


async def test_no_first_key_where_there_was_one(parts: KeyParts) -> None:
    await parts.key_store.add(replace(KEY, role=Role.ADMIN, revoked_at=START), "a")
    assert not await parts.key_store.add_first(replace(KEY, id="first", role=Role.ADMIN), "b")
    assert await parts.key_store.find("b") is None


async def test_the_id_of_the_first_key_is_taken(parts: KeyParts) -> None:
    """As it is to the second of two processes that looked at the same time."""
    await parts.key_store.add(replace(KEY, id="first"), "a")
    assert not await parts.key_store.add_first(replace(KEY, id="first", role=Role.ADMIN), "b")


async def test_a_sign_in_comes_back_with_its_key(parts: KeyParts) -> None:
    await parts.key_store.add(KEY, "a")
    await parts.sign_in_store.add("s1", "k1", "csrf", START, START + DAY)
    assert await parts.sign_in_store.find("s1") == (KEY, "csrf", START + DAY)
    await parts.sign_in_store.remove("s1")
    await parts.sign_in_store.remove("s1")
    assert await parts.sign_in_store.find("s1") is None


async def test_of_many_sign_ins_the_newest_stay(parts: KeyParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rows, "MAX_SIGN_INS", 3)
    await parts.key_store.add(KEY, "a")
    await parts.key_store.add(replace(KEY, id="k2"), "b")
    await parts.sign_in_store.add("other", "k2", "csrf", START, START + DAY)
    for second in range(5):
        at = START + timedelta(seconds=second)
        await parts.sign_in_store.add(f"s{second}", "k1", "csrf", at, START + DAY)
    async with parts.database.read() as connection:
        left = set(await connection.scalars(select(sign_ins.c.digest)))
    assert left == {"s2", "s3", "s4", "other"}


async def test_expired_sign_ins_are_forgotten(parts: KeyParts) -> None:
    await parts.key_store.add(KEY, "a")
    await parts.sign_in_store.add("s1", "k1", "csrf", START, START + DAY)
    await parts.sign_in_store.add("s2", "k1", "csrf", START + DAY, START + 2 * DAY)
    assert await count(parts, sign_ins) == 1
