"""The database of one gateway, or of several: connections, transactions, and tables that are up to date.

SQLite takes one writer at a time. Writers of this process wait for each other at a lock of our own; those of
other processes wait in SQLite, up to BUSY_TIMEOUT_MS. The driver's own handling of transactions is switched
off, as it leaves out tables being made; BEGIN is ours, and a writer's takes the lock at once: one that read
first and wanted to write later would be refused instead of waiting.

Leaves out: what is in the tables (`stream_rows` and the like), how they came to be (`migrations`).
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiosqlite
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

MIGRATIONS = "whipway.streams.store:migrations"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
BUSY_TIMEOUT_MS = 10_000
ENGINE_OPTIONS = {"hide_parameters": True}
"""Errors do not repeat the values of a statement: names by which anybody may publish, digests of keys."""
SQLITE_OPTIONS = {"isolation_level": None}
"""The driver begins no transactions of itself."""
WAL_INTERVAL = 0.01
PRAGMAS = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "synchronous = NORMAL",  # With WAL, a power cut may cost the last changes, and never the file.
    "foreign_keys = ON",
)
_MEMORY = "?mode=memory&cache=shared"
"""What a database has behind its name that lives as long as somebody is connected to it."""
CONNECT_TIMEOUT = 10.0
PROBE_TIMEOUT = 2.0
ALONE_LOCK = 0x77686970
"""Any number will do that nobody else uses in that PostgreSQL database: "whip"."""
NO_CONNECTION = (SQLAlchemyError, OSError)
"""What any use may raise; TimeoutError is an OSError."""
REFUSED = (*NO_CONNECTION, CommandError, TypeError, ValueError)
"""Also: tables of a later version; a parameter of the URL that the driver does not know, or its value."""


# Alembic tells of each step at a level that is shown wherever logging is set up at all.
logging.getLogger("alembic").setLevel(logging.WARNING)


class DatabaseError(Exception):
    """The database cannot be used: one line for the operator, without the password."""


class Database:
    """Hands out connections; made by `open`, ended by `close`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._readers = engine.execution_options(is_reading=True)
        is_sqlite = engine.dialect.name == "sqlite"
        self._writing: AbstractAsyncContextManager[Any] = asyncio.Lock() if is_sqlite else nullcontext()
        # In memory there is one connection, and it has one transaction.
        self._reading = self._writing if isinstance(engine.pool, StaticPool) else nullcontext()
        # A call that is cancelled costs its connection: a second one keeps what is in memory.
        self._keeper = _keep(engine.url.database or "")
        self._path = Path(engine.url.database or "") if is_sqlite and self._keeper is None else None
        self._file = None if self._path is None else _identity(self._path)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, making what is missing of an SQLite file, and bring the tables up to date.

        `url`: sqlite:///relative.db, sqlite:////absolute.db, sqlite:// (in memory, gone at the end) or
        postgresql://user:password@host/name. Raises DatabaseError.
        """
        parsed = _parse_url(url)
        try:
            database = cls(_make_engine(parsed))
            await database._migrate()
        except REFUSED as error:
            raise DatabaseError(_describe(parsed, error)) from error
        return database

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    @asynccontextmanager
    async def begin(self, *, alone: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction for writing; an exception undoes it.

        With `alone`, no other one that asks for it runs at the same time, in whichever gateway.
        """
        async with self._writing, self._engine.begin() as connection:
            if alone and self.dialect == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({ALONE_LOCK})"))
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for reading, which waits for no writer."""
        async with self._reading, self._readers.begin() as connection:
            yield connection

    async def is_reachable(self) -> bool:
        """Whether it answers now, and an SQLite file is still where it was."""
        # What is open outlives its name: all goes on as if nothing had happened, and is lost at the end.
        if self._path is not None and _identity(self._path) != self._file:
            return False
        try:
            async with asyncio.timeout(PROBE_TIMEOUT), self.read() as connection:
                await connection.execute(text("SELECT 1"))
        except NO_CONNECTION:
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
        if self._keeper is not None:
            self._keeper.close()

    async def _migrate(self) -> None:
        try:
            async with self.begin(alone=True) as connection:
                await connection.run_sync(_upgrade)
        except BaseException:
            await self.close()
            raise


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _parse_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):
        raise DatabaseError("This is not the URL of a database.") from None  # It may hold a password.
    driver = DRIVERS.get(url.drivername)
    if driver is None:
        raise DatabaseError(f"{url.drivername}: use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.")
    if "sslmode" in url.query:  # PostgreSQL's name for what the driver calls `ssl`.
        url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    return url.set(drivername=driver)


def _describe(url: URL, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    line = (str(cause) or type(cause).__name__).splitlines()[0].replace(url.password or "\n", "***")
    where = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
    return f"{where}: {line}"


def _make_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "postgresql":
        return create_async_engine(
            url, pool_pre_ping=True, connect_args={"timeout": CONNECT_TIMEOUT}, **ENGINE_OPTIONS
        )
    if _is_file(url):
        _make_file(Path(url.database or ""))
        engine = create_async_engine(url, connect_args=SQLITE_OPTIONS, **ENGINE_OPTIONS)
    else:
        url = url.set(database=f"file:{uuid4().hex}{_MEMORY}", query={"uri": "true"})
        engine = create_async_engine(url, connect_args=SQLITE_OPTIONS, poolclass=StaticPool, **ENGINE_OPTIONS)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _is_file(url: URL) -> bool:
    return url.database not in {None, "", ":memory:"}


def _keep(name: str) -> sqlite3.Connection | None:
    return sqlite3.connect(name, uri=True) if name.endswith(_MEMORY) else None


def _make_file(path: Path) -> None:
    """SQLite would make it readable for everybody. Its further files get the rights of this one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that is there is not opened: closing it would end the locks that this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        raise PermissionError("not a file that can be read and written")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever it is called; None: there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.run_async(_prepare)


async def _prepare(connection: aiosqlite.Connection) -> None:
    for pragma in PRAGMAS:
        await connection.execute(f"PRAGMA {pragma}")
    # Here SQLite itself does not wait for others, and refuses at once.
    async with asyncio.timeout(BUSY_TIMEOUT_MS / 1000):
        while await _is_kept_from_wal(connection):
            await asyncio.sleep(WAL_INTERVAL)


async def _is_kept_from_wal(connection: aiosqlite.Connection) -> bool:
    """Have readers and a writer not wait for each other. The file remembers it; some file systems cannot."""
    try:
        await connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Of anything else that is wrong the first statement will complain as well.
        return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


def _begin_sqlite(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("is_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
