from collections.abc import AsyncIterator

import pytest
from tests.web.served import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server with the settings it has of itself, without authentication."""
    async with serving() as served:
        yield served
