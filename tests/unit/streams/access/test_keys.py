import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from tests.peers.databases import databases
from tests.unit.streams.access.key_parts import START, Clock, KeyParts, key_parts

from whipway.streams.access import keys as module
from whipway.streams.access.keys import FIRST_ID, KeyRefused, Recent, looks_like_key
from whipway.streams.records import KeyRecord, Role
from whipway.streams.store.tables import keys

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts() -> AsyncIterator[KeyParts]:
    """On one kind of database: `store/test_key_rows` has what differs between them."""
    async with key_parts("sqlite") as parts:
        yield parts


@pytest.fixture(params=databases())
async def each(request: pytest.FixtureRequest) -> AsyncIterator[KeyParts]:
    """On each kind."""
    async with key_parts(request.param) as parts:
        yield parts


# Made


async def test_a_key_is_found_by_its_secret_alone(each: KeyParts) -> None:
    secret, key = await each.ring.create("Ada", Role.USER)
    other, _ = await each.ring.create("Bo", Role.ADMIN)
    assert looks_like_key(secret) and looks_like_key(other) and secret != other
    assert key == KeyRecord(key.id, "Ada", Role.USER, START)
    found = await each.ring.find(secret)
    assert found is not None and found.id == key.id and found.role is Role.USER
    assert await each.ring.find(key.id) is None


async def test_only_the_hash_is_kept(parts: KeyParts) -> None:
    secret, _ = await parts.ring.create("Ada", Role.USER)
    async with parts.database.read() as connection:
        row = (await connection.execute(select(keys))).one()
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert not any(secret[3:] in str(value) for value in row)
    cached = str(vars(parts.ring)) + str(vars(parts.ring._recent))
    assert secret[3:] not in cached


async def test_the_list_has_all(parts: KeyParts) -> None:
    _, older = await parts.ring.create("Ada", Role.USER)
    parts.clock.pass_by(seconds=1)
    _, newer = await parts.ring.create("Bo", Role.READ_ONLY)
    assert await parts.ring.list() == [newer, older]


async def test_a_publishers_key_is_for_one_stream(each: KeyParts) -> None:
    stream = await each.stream()
    secret, key = await each.ring.create("OBS", Role.PUBLISHER, stream_id=stream.id)
    assert key.stream_id == stream.id
    found = await each.ring.find(secret)
    assert found is not None and found.stream_id == stream.id
    with pytest.raises(KeyRefused, match="^key: there is no such stream$"):
        await each.ring.create("OBS", Role.PUBLISHER, stream_id="gone")


@pytest.mark.parametrize(
    ("name", "role", "more", "what"),
    [
        ("", Role.USER, {}, "name"),
        ("a" * 257, Role.USER, {}, "name"),
        ("a\x1b[2J", Role.USER, {}, "name"),
        ("a\0", Role.USER, {}, "name"),
        ("a\ud800", Role.USER, {}, "name"),
        ("a", Role.PUBLISHER, {}, "stream"),
        ("a", Role.ADMIN, {"stream_id": "one"}, "stream"),
        ("a", Role.USER, {"expires_in": 0}, "expires_in"),
        ("a", Role.USER, {"expires_in": -1.0}, "expires_in"),
        ("a", Role.USER, {"expires_in": float("nan")}, "expires_in"),
        ("a", Role.USER, {"expires_in": float("inf")}, "expires_in"),
        ("a", Role.USER, {"expires_in": 1e12}, "expires_in"),
    ],
)
async def test_what_is_refused(name: str, role: Role, more: dict[str, Any], what: str) -> None:
    async with key_parts("sqlite") as parts:
        with pytest.raises(KeyRefused, match=f"^{what}: "):
            await parts.ring.create(name, role, **more)
        assert await parts.ring.list() == []


async def test_the_longest_name_and_life(each: KeyParts) -> None:
    _, key = await each.ring.create("ä" * 256, Role.USER, expires_in=3660 * 86_400)
    assert key.expires_at == START + timedelta(days=3660)


async def test_the_first_key(each: KeyParts) -> None:
    await each.ring.create("Ada", Role.USER)
    secret = await each.ring.ensure_first()
    assert secret is not None
    key = await each.ring.find(secret)
    assert key is not None and key.role is Role.ADMIN and key.id == FIRST_ID
    assert await each.other_ring.ensure_first() is None
    # Nor later: whoever revoked it has made another, or makes one by command.
    assert await each.ring.revoke(FIRST_ID)
    each.clock.pass_by(days=365)
    await each.ring.create("Bo", Role.USER)
    assert await each.ring.ensure_first() is None


# Found


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "wk_",
        "wk_" + "A" * 42,
        "wk_" + "A" * 44,
        "wk_" + "A" * 42 + "\n",
        "wk_" + "A" * 42 + "ä",
        "\ud800",
    ],
)
async def test_what_is_no_key_asks_no_database(secret: str) -> None:
    async with key_parts("sqlite") as parts:
        assert await parts.ring.find(secret) is None
        assert parts.database.reads == 0


@given(st.text())
def test_any_text_may_be_looked_at(text: str) -> None:
    assert not looks_like_key(text)


async def test_an_unknown_key(parts: KeyParts) -> None:
    assert await parts.ring.find("wk_" + "A" * 43) is None


async def test_an_expired_key(parts: KeyParts) -> None:
    secret, _ = await parts.ring.create("Ada", Role.USER, expires_in=10)
    parts.clock.pass_by(seconds=9)
    assert await parts.ring.find(secret) is not None
    # To the moment, though it is remembered.
    parts.clock.pass_by(seconds=1)
    assert await parts.ring.find(secret) is None
    parts.clock.pass_by(seconds=10)
    assert await parts.ring.find(secret) is None


async def test_a_revoked_key_is_gone_at_once(each: KeyParts) -> None:
    secret, key = await each.ring.create("Ada", Role.USER)
    assert await each.ring.find(secret) is not None
    assert await each.ring.revoke(key.id)
    assert await each.ring.find(secret) is None
    assert not await each.ring.revoke(key.id)
    for id in ("", "\0", "\ud800", "ä", key.id * 9):
        assert not await each.ring.revoke(id)


async def test_a_key_revoked_elsewhere_is_gone_within_five_seconds(parts: KeyParts) -> None:
    secret, key = await parts.ring.create("Ada", Role.USER)
    assert await parts.ring.find(secret) is not None
    assert await parts.other_ring.revoke(key.id)
    parts.clock.pass_by(seconds=5)
    assert await parts.ring.find(secret) is None


async def test_a_polled_key_is_not_read_each_time(parts: KeyParts) -> None:
    secret, _ = await parts.ring.create("Ada", Role.USER)
    for _ in range(50):
        assert await parts.ring.find(secret) is not None
        parts.clock.pass_by(seconds=0.2)
    assert parts.database.reads == 2


async def test_what_is_revoked_while_it_is_read_is_not_remembered(
    parts: KeyParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, key = await parts.ring.create("Ada", Role.USER)
    really_find = parts.key_store.find

    async def find(digest: str) -> KeyRecord | None:
        found = await really_find(digest)
        await parts.ring.revoke(key.id)
        return found

    monkeypatch.setattr(parts.key_store, "find", find)
    # This one asked before.
    assert await parts.ring.find(secret) is not None
    monkeypatch.undo()
    assert await parts.ring.find(secret) is None


async def test_use_is_written_down_once_a_minute(parts: KeyParts) -> None:
    secret, key = await parts.ring.create("Ada", Role.USER)
    before = parts.database.writes
    for _ in range(13):
        assert await parts.ring.find(secret) is not None
        parts.clock.pass_by(seconds=5)
    assert parts.database.writes - before == 2
    (listed,) = await parts.ring.list()
    assert listed == replace(key, used_at=START + timedelta(seconds=60))


async def test_what_cannot_be_written_down_turns_nobody_away() -> None:
    async with key_parts("sqlite") as parts:
        secret, _ = await parts.ring.create("Ada", Role.USER)
        parts.database.failure = OperationalError("UPDATE", {"id": "a secret"}, Exception("disk full"))
        with capture_logs() as logs:
            assert await parts.ring.find(secret) is not None
        assert [entry["error"] for entry in logs] == ["OperationalError"]
        assert "a secret" not in str(logs)


async def test_a_revocation_that_failed_is_looked_up_anew() -> None:
    async with key_parts("sqlite") as parts:
        secret, key = await parts.ring.create("Ada", Role.USER)
        await parts.ring.find(secret)
        parts.database.failure = OSError("gone")
        with pytest.raises(OSError, match="gone"):
            await parts.ring.revoke(key.id)
        reads = parts.database.reads
        assert await parts.ring.find(secret) is not None
        assert parts.database.reads == reads + 1


# Remembered


def test_the_oldest_answer_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 2)
    recent: Recent[int] = Recent()
    for number in (1, 2, 1, 3):
        recent.put(str(number), number, 0, START)
    assert [recent.get(digest, 0, START) for digest in "123"] == [1, None, 3]


def test_an_answer_is_for_its_time_and_revision() -> None:
    clock, recent = Clock(), Recent[int]()
    recent.put("a", 1, "now", START)
    clock.pass_by(seconds=4.999)
    assert recent.get("a", "now", clock()) == 1
    assert recent.get("a", "later", clock()) is None
    clock.pass_by(seconds=0.001)
    assert recent.get("a", "now", clock()) is None
    # The clock was set back.
    assert recent.get("a", "now", START - timedelta(seconds=1)) is None
