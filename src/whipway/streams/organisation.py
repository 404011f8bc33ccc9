"""The organisation as it is now, for those who ask at every publish and must not wait for a database.

Another gateway on the same database may change it, so it is read again now and then.
"""

import asyncio
import secrets
from types import EllipsisType
from uuid import uuid4

import structlog

from whipway.streams.records import Organisation, utc_now
from whipway.streams.store.database import NO_CONNECTION
from whipway.streams.store.organisation_rows import OrganisationStore
from whipway.streams.stream_names import make_hash

READ_INTERVAL = 10.0
"""Seconds."""
DEFAULT_NAME = "Whipway"

log = structlog.get_logger("organisation")


class CurrentOrganisation:
    """Made by `open_organisation`."""

    def __init__(self, store: OrganisationStore, organisation: Organisation) -> None:
        self.current = organisation
        """As it was read last."""
        self._store = store

    async def get(self) -> Organisation:
        """As it is in the database."""
        self.current = await self._store.get()
        return self.current

    async def update(
        self, *, name: str | None = None, webhook: str | EllipsisType | None = ...
    ) -> Organisation:
        """Change what is given; a webhook of None is none."""
        self.current = await self._store.update(name=name, webhook=webhook)
        return self.current

    async def follow(self) -> None:
        """Read it again, for ever. One task runs this."""
        while True:
            await asyncio.sleep(READ_INTERVAL)
            try:
                await self.get()
            except NO_CONNECTION as error:
                log.warning("the organisation cannot be read", error=type(error).__name__)


async def open_organisation(store: OrganisationStore) -> CurrentOrganisation:
    """The organisation of the database; the first gateway makes it."""
    return CurrentOrganisation(store, await store.load(_make))


def _make() -> Organisation:
    prefix = make_hash(secrets.token_bytes)
    return Organisation(str(uuid4()), DEFAULT_NAME, prefix, None, utc_now())
