"""The organisation in the database: one row, made when the first gateway starts."""

from collections.abc import Callable
from dataclasses import asdict
from types import EllipsisType
from typing import Any

from sqlalchemy import insert, select, update

from whipway.streams.records import Organisation
from whipway.streams.store.database import Database
from whipway.streams.store.tables import organisation


class OrganisationStore:
    """Whose streams these are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, make: Callable[[], Organisation]) -> Organisation:
        """The organisation; the first to ask makes it, also of several gateways."""
        async with self._database.begin(alone=True) as connection:
            if row := (await connection.execute(select(organisation))).one_or_none():
                return Organisation(*row)
            made = make()
            await connection.execute(insert(organisation).values(asdict(made)))
        return made

    async def get(self) -> Organisation:
        """As it is now, after `load`."""
        async with self._database.read() as connection:
            return Organisation(*(await connection.execute(select(organisation))).one())

    async def update(
        self, *, name: str | None = None, webhook: str | EllipsisType | None = ...
    ) -> Organisation:
        """Change what is given, after `load`; a webhook of None is none."""
        values: dict[str, Any] = {} if name is None else {"name": name}
        if webhook is not ...:
            values["webhook"] = webhook
        async with self._database.begin() as connection:
            if values:
                await connection.execute(update(organisation).values(values))
            return Organisation(*(await connection.execute(select(organisation))).one())
