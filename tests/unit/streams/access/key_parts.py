"""Keys and sign-ins over a real database, at times and with random bytes that a test decides."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy.ext.asyncio import AsyncConnection
from tests.peers.databases import open_database

from whipway.streams.access.keys import KeyRing
from whipway.streams.access.sign_ins import SignIns
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.store.database import Database
from whipway.streams.store.key_rows import KeyStore, SignInStore
from whipway.streams.store.tables import streams

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Says a time that stands still."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **duration: float) -> None:
        """Go on by this much."""
        self.time += timedelta(**duration)


class CountingDatabase(Database):
    """Counts transactions, and may be out of order."""

    reads = writes = 0
    failure: Exception | None = None

    @contextlib.asynccontextmanager
    async def begin(self, *, alone: bool = False) -> AsyncIterator[AsyncConnection]:
        self.writes += 1
        if self.failure:
            raise self.failure
        async with super().begin(alone=alone) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self.reads += 1
        async with super().read() as connection:
            yield connection


class KeyParts:
    """A key ring and sign-ins on one database; `other_ring` is that of another process."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.database = CountingDatabase(database._engine)
        numbers = count(1)
        self.random = lambda size: next(numbers).to_bytes(size, "big")
        self.key_store = KeyStore(self.database)
        self.sign_in_store = SignInStore(self.database)
        self.ring = KeyRing(self.key_store, self.clock, self.random)
        self.other_ring = KeyRing(self.key_store, self.clock, self.random)
        self.sign_ins = SignIns(self.sign_in_store, self.ring, self.clock, self.random)

    async def stream(self, name: str = "one", state: StreamState = StreamState.CREATED) -> StreamRecord:
        """A stream in the database."""
        record = StreamRecord(f"id-of-{name}", name, state, (), True, START, START)
        async with self.database.begin() as connection:
            await connection.execute(
                streams.insert().values(
                    id=record.id,
                    name=name,
                    state=state.value,
                    is_assigned=True,
                    created_at=START,
                    updated_at=START,
                )
            )
        return record


@contextlib.asynccontextmanager
async def key_parts(kind: str) -> AsyncIterator[KeyParts]:
    """Those parts, on a fresh database of that kind."""
    async with open_database(kind) as database:
        yield KeyParts(database)
