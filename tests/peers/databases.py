"""Databases for tests: a fresh one each time, with the tables of now, on each kind that is served.

@pytest.fixture(params=databases())
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with open_database(request.param) as database:
        yield database
"""

import atexit
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import asyncpg
from sqlalchemy import delete
from tests.peers.postgres import running_cluster

from whipway.streams.store.database import Database
from whipway.streams.store.tables import metadata

KINDS = ("sqlite", "postgresql")


def databases() -> tuple[str, ...]:
    """The parameters of a fixture."""
    return KINDS


@asynccontextmanager
async def database_url(kind: str) -> AsyncIterator[str]:
    """Where a database of that kind is that has no tables, while the context lasts."""
    if kind == "postgresql":
        async with running_cluster().database() as url:
            yield url
    else:
        with TemporaryDirectory(prefix="whipway-") as folder:
            yield f"sqlite:///{Path(folder, 'whipway.db')}"


@asynccontextmanager
async def ready_url(kind: str) -> AsyncIterator[str]:
    """Where a database of that kind is that has tables and no rows, while the context lasts."""
    if kind == "postgresql":
        async with _emptied_afterwards() as url:
            yield url
    else:
        with TemporaryDirectory(prefix="whipway-") as folder:
            path = Path(folder, "whipway.db")
            copyfile(await _ready_file(), path)
            yield f"sqlite:///{path}"


@asynccontextmanager
async def open_database(kind: str) -> AsyncIterator[Database]:
    """An open database of that kind, without rows."""
    async with ready_url(kind) as url:
        database = await Database.open(url)
        try:
            yield database
        finally:
            await database.close()


@asynccontextmanager
async def _emptied_afterwards() -> AsyncIterator[str]:
    """One that a test before this one has left, emptied: making one takes a tenth of a second and more."""
    cluster = running_cluster()
    url = cluster.left.pop() if cluster.left else await _made(await cluster.create())
    yield url
    # Not after an exception: whoever failed may hold connections, and locks.
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("; ".join(str(delete(table)) for table in reversed(metadata.sorted_tables)))
    finally:
        await connection.close()
    cluster.left.append(url)


async def _ready_file() -> Path:
    """An SQLite file to copy, made once: the migrations take longer than most tests."""
    path = _folder() / "ready.db"
    if not path.exists():
        await _made(f"sqlite:///{path}")
    return path


@cache
def _folder() -> Path:
    folder = TemporaryDirectory(prefix="whipway-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


async def _made(url: str) -> str:
    """The URL, once the tables are there."""
    await (await Database.open(url)).close()
    return url
