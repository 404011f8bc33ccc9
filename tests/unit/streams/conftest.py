from collections.abc import AsyncIterator
from itertools import count

import pytest
from tests.unit.streams.played_worker import EGRESS, Worker
from tests.unit.streams.stream_stage import Stage

from whipway.streams.sessions import SessionDirectory
from whipway.streams.store.database import Database


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def directory(worker: Worker) -> SessionDirectory:
    """A directory with room for two sessions."""
    numbers = count(1)
    return SessionDirectory(worker, lambda: f"id-{next(numbers)}", max_sessions=2, egress=EGRESS)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """In memory. Tests of what depends on the kind of database have a fixture of their own."""
    database = await Database.open("sqlite://")
    yield database
    await database.close()


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Streams with everything around them."""
    stage = Stage(database)
    yield stage
    await stage.streams.close()
