from collections.abc import AsyncIterator

import pytest
from tests.peers.databases import databases, open_database

from whipway.streams.store.database import Database


@pytest.fixture(params=databases())
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """An open database without rows, once of each kind."""
    async with open_database(request.param) as database:
        yield database
