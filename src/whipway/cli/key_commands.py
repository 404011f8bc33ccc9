"""`whipway keys`: makes, lists and revokes the keys of the APIs, in the database that the settings name.

A server on the same database need not run, nor be stopped: it sees a new key at once, and knows within five
seconds of one that was revoked.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from whipway.cli.options import EXIT_BAD_CONFIGURATION, ConfigOption, SetOption, fail, load
from whipway.config import Settings
from whipway.streams.access.keys import KeyRefused, KeyRing
from whipway.streams.records import KeyRecord, Role, utc_now
from whipway.streams.store.database import Database, DatabaseError
from whipway.streams.store.key_rows import KeyStore
from whipway.streams.store.stream_rows import StreamStore
from whipway.web.v1.shapes import key_document

keys = typer.Typer(help="Keys of the APIs and the dashboard.", no_args_is_help=True)

UNIT_SECONDS = {"d": 86_400, "h": 3600, "m": 60}
HEADINGS = ("ID", "ROLE", "STATE", "CREATED", "EXPIRES", "LAST USED", "NAME")

_LIFETIME = re.compile(r"([0-9]{1,6})([dhm])")

T = TypeVar("T")


@keys.command()
def create(
    role: Annotated[Role, typer.Option(help="What its holder may do.")],
    name: Annotated[str | None, typer.Option(help="Whose it is, for the list.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends, as in 30d, 12h or 90m; by default never.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Name of the stream that a publisher's key is for.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Make a key and print it. It is shown here and never again: only its hash is kept."""
    seconds = None if expires is None else _seconds(expires)
    if (role is Role.PUBLISHER) != (stream is not None):
        fail("--stream: belongs to --role publisher, and only there", EXIT_BAD_CONFIGURATION)
    secret, key = _run(_create(load(config, settings), name or role.value, role, seconds, stream))
    typer.echo(f"Key: {secret}\nId:  {key.id}")


@keys.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """List the keys, the newest first. What has ended stays in the list for 30 days."""
    found = _run(_list(load(config, settings)))
    if as_json:
        typer.echo(json.dumps([key_document(key) for key in found], indent=2))
    else:
        typer.echo(_table([HEADINGS, *(_row(key, utc_now()) for key in found)]))


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(help="As `whipway keys list` shows it.")],
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """End a key, and sign out whoever signed in with it."""
    if not _run(_revoke(load(config, settings), id)):
        fail(f"{id!r}: there is no such key, or it was revoked before")


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except DatabaseError as error:
        fail(f"database.url: {error}")
    except (SQLAlchemyError, OSError) as error:
        # Its name only: the message has the statement's values.
        fail(f"the database does not do what it should: {type(error).__name__}")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = await Database.open(settings.database.url.get_secret_value())
    try:
        yield database
    finally:
        await database.close()


async def _create(
    settings: Settings, name: str, role: Role, seconds: float | None, stream: str | None
) -> tuple[str, KeyRecord]:
    async with _database(settings) as database:
        record = None if stream is None else await StreamStore(database).find(stream)
        if stream is not None and record is None:
            fail(f"--stream: there is no stream of the name {stream!r}")
        ring = KeyRing(KeyStore(database))
        try:
            return await ring.create(
                name, role, expires_in=seconds, stream_id=None if record is None else record.id
            )
        except KeyRefused as error:
            fail(str(error))


async def _list(settings: Settings) -> Sequence[KeyRecord]:
    async with _database(settings) as database:
        return await KeyRing(KeyStore(database)).list()


async def _revoke(settings: Settings, id: str) -> bool:
    async with _database(settings) as database:
        return await KeyRing(KeyStore(database)).revoke(id)


def _seconds(text: str) -> int:
    match = _LIFETIME.fullmatch(text)
    if match is None:
        fail("--expires: a number and d, h or m, as in 30d, 12h or 90m", EXIT_BAD_CONFIGURATION)
    return int(match[1]) * UNIT_SECONDS[match[2]]


class _State(StrEnum):
    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"


def _row(key: KeyRecord, now: datetime) -> tuple[str, ...]:
    times = (key.created_at, key.expires_at, key.used_at)
    return (key.id, key.role, _state(key, now), *map(_time, times), key.name)


def _state(key: KeyRecord, now: datetime) -> _State:
    if key.revoked_at is not None:
        return _State.REVOKED
    return _State.GOOD if key.is_good(now) else _State.EXPIRED


def _time(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}Z"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what stands in them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
