"""The tables that the migrations make are those that the queries go by."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from whipway.streams.store.database import Database
from whipway.streams.store.tables import metadata

pytestmark = pytest.mark.anyio


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def constraint_names(connection: Connection) -> set[str | None]:
    found = inspect(connection)
    keys = {found.get_pk_constraint(table)["name"] for table in metadata.tables}
    return keys | {key["name"] for table in metadata.tables for key in found.get_foreign_keys(table)}


async def test_the_migrated_tables_are_those_of_now(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_later_steps_can_speak_of_every_constraint(database: Database) -> None:
    expected = {str(table.primary_key.name) for table in metadata.tables.values()} | {
        str(key.name) for table in metadata.tables.values() for key in table.foreign_key_constraints
    }
    async with database.read() as connection:
        assert await connection.run_sync(constraint_names) == expected
