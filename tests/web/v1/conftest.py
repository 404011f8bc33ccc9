from collections.abc import AsyncIterator

import pytest
from tests.peers.databases import ready_url
from tests.web.served import Served, serving

from whipway.config import Settings


@pytest.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server with the settings it has of itself, on the database that a test asks for (`api.on_both`)."""
    if not hasattr(request, "param"):
        async with serving() as served:
            yield served
        return
    async with ready_url(request.param) as url:
        settings = Settings.model_validate({"database": {"url": url}})
        async with serving(settings) as served:
            yield served
