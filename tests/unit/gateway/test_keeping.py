"""What goes by the database: opened as one, closed as one."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.peers.databases import database_url, databases

from whipway.config import Settings, load_settings
from whipway.gateway import keeping as module
from whipway.gateway.keeping import Keeping, node_name, open_keeping
from whipway.gateway.start_error import StartError
from whipway.streams.records import Role
from whipway.streams.store.database import Database

pytestmark = pytest.mark.anyio


def settings(url: str = "sqlite://", **changes: str) -> Settings:
    flags = {key.replace("__", "."): value for key, value in changes.items()}
    return load_settings(flags={"database.url": url, **flags})


@asynccontextmanager
async def kept(url: str = "sqlite://") -> AsyncIterator[Keeping]:
    keeping = await open_keeping(settings(url))
    try:
        yield keeping
    finally:
        await keeping.close()


@pytest.mark.parametrize("kind", databases())
async def test_the_next_run_finds_what_this_one_made(kind: str) -> None:
    async with database_url(kind) as url:
        async with kept(url) as keeping:
            organisation = keeping.organisation.current
            secret = await keeping.keys.ensure_first()
            assert secret is not None
        async with kept(url) as keeping:
            assert keeping.organisation.current == organisation
            assert await keeping.keys.ensure_first() is None
            key = await keeping.keys.find(secret)
            assert key is not None and key.role is Role.ADMIN


async def test_names_are_the_organisations() -> None:
    async with kept() as keeping:
        make, prefix = keeping.new_name, keeping.organisation.current.hash
        names = {make() for _ in range(20)}
        assert len(names) == 20
        assert all(re.fullmatch(rf"{prefix}-[1-9A-Za-z]{{10}}", name) for name in names)


async def test_keys_are_tokens_of_publishers() -> None:
    async with kept() as keeping:
        secret, _ = await keeping.keys.create("test", Role.USER)
        principal = await keeping.tokens.find(secret)
        assert principal is not None and principal.may_name("any", "rtmp://127.0.0.1/live")
        assert await keeping.tokens.find("wk_" + 43 * "A") is None


async def test_the_webhook_is_that_of_now() -> None:
    async with kept() as keeping:
        await keeping.organisation.update(webhook="https://hooks.example/")
        assert keeping.hooks._url() == "https://hooks.example/"  # type: ignore[attr-defined]


async def test_closing_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with kept() as keeping:
        keeping.webhooks.start()
        assert keeping.following in asyncio.all_tasks()
    assert asyncio.all_tasks() == before
    assert all(client.is_closed for client in keeping.clients)


@pytest.mark.parametrize("url", ["sqlite:///{file}/one.db", "postgresql://user:s3cret@127.0.0.1:1/x"])
async def test_a_database_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, url: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartError) as caught:
        await open_keeping(settings(url.format(file=file)))
    message = str(caught.value)
    assert message.startswith("database.url: ") and "\n" not in message
    assert "s3cret" not in message


async def test_a_failure_half_way_closes_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Database] = []
    close = Database.close

    async def note_close(database: Database) -> None:
        closed.append(database)
        await close(database)

    async def fail(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Database, "close", note_close)
    monkeypatch.setattr(module, "open_organisation", fail)
    with pytest.raises(asyncio.CancelledError):
        await open_keeping(settings(f"sqlite:///{tmp_path / 'one.db'}"))
    assert len(closed) == 1


def test_the_name_of_a_gateway() -> None:
    assert node_name(settings(streams__node="studio-2")) == "studio-2"
    assert node_name(settings()) == socket.gethostname()
