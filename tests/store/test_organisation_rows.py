import asyncio
from datetime import UTC, datetime

import pytest

from whipway.streams.records import Organisation
from whipway.streams.store.database import Database
from whipway.streams.store.organisation_rows import OrganisationStore

pytestmark = pytest.mark.anyio

ONE = Organisation("id-1", "One", "aBcDe", None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


async def test_it_is_made_once(database: Database) -> None:
    made: list[Organisation] = []

    def make() -> Organisation:
        made.append(Organisation(f"id-{len(made)}", "One", "aBcDe", None, ONE.created_at))
        return made[-1]

    stores = [OrganisationStore(database) for _ in range(4)]
    loaded = await asyncio.gather(*[store.load(make) for store in stores])
    assert loaded == made * 4 and len(made) == 1


async def test_what_is_given_changes(database: Database) -> None:
    store = OrganisationStore(database)
    assert await store.load(lambda: ONE) == ONE
    assert await store.update() == ONE
    changed = Organisation("id-1", "Two", "aBcDe", "https://host/hook", ONE.created_at)
    assert (await store.update(webhook="https://host/hook")).name == "One"
    assert await store.update(name="Two") == changed
    assert await store.get() == await store.load(lambda: ONE) == changed
    assert (await store.update(webhook=None)).webhook is None
