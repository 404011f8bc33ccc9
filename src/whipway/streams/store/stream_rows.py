"""Streams in the database, with their tags and the states they have been in.

Every change of a stream is one transaction, and a change of state asks for the state it comes from, so that
of two who want to change it at once, also at different gateways, only one does. A list takes two statements,
however long it is: the rows, and the tags of all of them.

Letters of either case are the same to a search; SQLite knows that of ASCII letters only.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    case,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from whipway.streams.records import StateChange, StreamQuery, StreamRecord, StreamState
from whipway.streams.store.database import Database
from whipway.streams.store.tables import MAX_NAME_CHARACTERS, Moment, state_changes, stream_tags, streams

MAX_CHANGES = 100
"""Kept of each stream."""
MAX_LIMIT = 10_000
"""Streams in one list: each is a parameter of the statement for the tags, of which SQLite takes 32 766."""

AnyRow = Row[*tuple[Any, ...]]


class NameTaken(Exception):
    """There is, or was, a stream of that name."""


class NameRefused(ValueError):
    """The name is too long, or has characters that no database keeps."""


class StreamStore:
    """Streams by id and by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: StreamRecord) -> None:
        """Keep a new stream. Raises NameTaken, and NameRefused for a name that cannot be kept."""
        if len(record.name) > MAX_NAME_CHARACTERS or not _can_be_kept(record.name):
            raise NameRefused
        async with self._database.begin() as connection:
            try:
                await connection.execute(insert(streams).values(_row(record)))
            except IntegrityError:
                raise NameTaken(record.name) from None
            await _insert_tags(connection, record.id, record.tags)
            await _note(connection, [record.id], StateChange(record.state, record.created_at, record.reason))

    async def get(self, id: str) -> StreamRecord | None:
        """The stream with that id, deleted ones too."""
        return await self._one(streams.c.id, id)

    async def find(self, name: str) -> StreamRecord | None:
        """The stream of that name, deleted ones too."""
        return await self._one(streams.c.name, name)

    async def list(self, query: StreamQuery) -> Sequence[StreamRecord]:
        """Those of the query, newest first; at most MAX_LIMIT."""
        rows = (
            select(streams)
            .where(*_conditions(query))
            .order_by(streams.c.created_at.desc(), streams.c.id.desc())
            .limit(min(query.limit, MAX_LIMIT))
            .offset(query.offset)
        )
        async with self._database.read() as connection:
            return await _with_tags(connection, (await connection.execute(rows)).all())

    async def count(self, query: StreamQuery) -> int:
        """How many there are, whatever the limit."""
        async with self._database.read() as connection:
            number = await connection.scalar(
                select(func.count()).select_from(streams).where(*_conditions(query))
            )
        return number or 0

    async def counts(self) -> dict[StreamState, int]:
        """How many there are in each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(streams.c.state, func.count()).group_by(streams.c.state))
        return dict.fromkeys(StreamState, 0) | {StreamState(state): number for state, number in rows}

    async def count_adopted(self) -> int:
        """How many have names that nobody assigned."""
        rows = select(func.count()).select_from(streams).where(streams.c.is_assigned.is_(False))
        async with self._database.read() as connection:
            return await connection.scalar(rows) or 0

    async def enter(
        self,
        id: str,
        state: StreamState,
        at: datetime,
        reason: str | None,
        *,
        expected: Collection[StreamState],
        node: str | None = None,
    ) -> StreamRecord | None:
        """Change a stream's state if it is one of `expected`; None if it is not, and nothing has changed.

        A stream that was live has ended with that. `node` says which gateway it is live on.
        """
        which = [streams.c.id == id, streams.c.state.in_(expected)]
        records = await self._enter(which, StateChange(state, at, reason), node)
        return records[0] if records else None

    async def end_live(self, node: str, at: datetime, reason: str) -> Sequence[StreamRecord]:
        """End what is live on that gateway, and say what it was."""
        which = [streams.c.state == StreamState.LIVE, streams.c.node == node]
        return await self._enter(which, StateChange(StreamState.ENDED, at, reason), None)

    async def set_tags(self, id: str, tags: Sequence[str], at: datetime) -> StreamRecord | None:
        """Give a stream these tags and no others. None if there is no such stream, or it is deleted."""
        async with self._database.begin() as connection:
            records = await _update(connection, _is_there(id), {"updated_at": at})
            if not records:
                return None
            await connection.execute(delete(stream_tags).where(stream_tags.c.stream_id == id))
            await _insert_tags(connection, id, tags)
            return (await _with_tags(connection, records))[0]

    async def set_push_url(self, id: str, url: str | None, at: datetime) -> StreamRecord | None:
        """Where else a stream is sent. None if there is no such stream, or it is deleted."""
        async with self._database.begin() as connection:
            rows = await _update(connection, _is_there(id), {"push_url": url, "updated_at": at})
            records = await _with_tags(connection, rows)
        return records[0] if records else None

    async def forget(self, id: str) -> None:
        """Delete a stream with all that is known of it. Its name may be given again."""
        async with self._database.begin() as connection:
            await connection.execute(delete(streams).where(streams.c.id == id))

    async def changes(self, id: str) -> Sequence[StateChange]:
        """The last MAX_CHANGES states it has entered, oldest first."""
        change = state_changes.c
        rows = select(change.state, change.at, change.reason).where(change.stream_id == id)
        async with self._database.read() as connection:
            found = await connection.execute(rows.order_by(change.id))
        return [StateChange(StreamState(state), at, reason) for state, at, reason in found]

    async def tags(self, prefix: str, limit: int) -> Sequence[str]:
        """The tags in use that begin so, in the order of the alphabet."""
        if not _can_be_kept(prefix):
            return []
        tag = stream_tags.c.tag
        rows = (
            select(tag)
            .distinct()
            .join_from(stream_tags, streams)
            .where(tag.istartswith(prefix, autoescape=True), streams.c.state != StreamState.DELETED)
            .order_by(tag)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return (await connection.scalars(rows)).all()

    async def _one(self, column: Column[str], value: str) -> StreamRecord | None:
        if not _can_be_kept(value):
            return None
        async with self._database.read() as connection:
            rows = (await connection.execute(select(streams).where(column == value))).all()
            records = await _with_tags(connection, rows)
        return records[0] if records else None

    async def _enter(
        self, which: Sequence[ColumnElement[bool]], change: StateChange, node: str | None
    ) -> Sequence[StreamRecord]:
        async with self._database.begin() as connection:
            rows = await _update(connection, which, _entering(change, node))
            await _note(connection, [row.id for row in rows], change)
            return await _with_tags(connection, rows)


def _entering(change: StateChange, node: str | None) -> dict[str, Any]:
    """What a change of state does to the row."""
    values = {
        "state": change.state,
        "updated_at": change.at,
        "reason": change.reason,
        "node": None,
    }
    if change.state is StreamState.LIVE:
        return values | {"live_at": change.at, "reason": None, "node": node}
    # The condition is about the row as it was before.
    was_live = streams.c.state == StreamState.LIVE
    values["ended_at"] = case((was_live, literal(change.at, Moment)), else_=streams.c.ended_at)
    if change.state in {StreamState.LOCKED, StreamState.DELETED}:
        values[f"{change.state}_at"] = change.at
    return values


def _is_there(id: str) -> list[ColumnElement[bool]]:
    return [streams.c.id == id, streams.c.state != StreamState.DELETED]


async def _update(
    connection: AsyncConnection, which: Sequence[ColumnElement[bool]], values: dict[str, Any]
) -> Sequence[AnyRow]:
    """Change the rows, and return them as they are now."""
    statement = update(streams).where(*which).values(values).returning(*streams.c)
    return (await connection.execute(statement)).all()


async def _insert_tags(connection: AsyncConnection, id: str, tags: Sequence[str]) -> None:
    rows = [{"stream_id": id, "tag": tag, "place": n} for n, tag in enumerate(dict.fromkeys(tags))]
    if rows:
        await connection.execute(insert(stream_tags), rows)


async def _note(connection: AsyncConnection, ids: Sequence[str], change: StateChange) -> None:
    """Write down that streams have entered a state, and drop what is too old."""
    if not ids:
        return
    rows = [{"stream_id": id, "state": change.state, "at": change.at, "reason": change.reason} for id in ids]
    await connection.execute(insert(state_changes), rows)
    age = func.row_number().over(partition_by=state_changes.c.stream_id, order_by=state_changes.c.id.desc())
    aged = select(state_changes.c.id, age.label("age")).where(state_changes.c.stream_id.in_(ids)).subquery()
    too_old = select(aged.c.id).where(aged.c.age > MAX_CHANGES)
    await connection.execute(delete(state_changes).where(state_changes.c.id.in_(too_old)))


async def _with_tags(connection: AsyncConnection, rows: Sequence[AnyRow]) -> Sequence[StreamRecord]:
    """The records, with one statement for the tags of all."""
    if not rows:
        return []
    tags: dict[str, list[str]] = {row.id: [] for row in rows}
    found = await connection.execute(
        select(stream_tags.c.stream_id, stream_tags.c.tag)
        .where(stream_tags.c.stream_id.in_(tags))
        .order_by(stream_tags.c.place)
    )
    for id, tag in found:
        tags[id].append(tag)
    return [_record(row, tags[row.id]) for row in rows]


def _record(row: AnyRow, tags: Iterable[str]) -> StreamRecord:
    values = row._asdict()
    del values["node"]
    return StreamRecord(**values | {"state": StreamState(row.state), "tags": tuple(tags)})


def _row(record: StreamRecord) -> dict[str, Any]:
    values = asdict(record)
    del values["tags"]
    return values


def _conditions(query: StreamQuery) -> Iterator[ColumnElement[bool]]:
    """What is true of the rows that a query is of."""
    yield streams.c.state.in_(query.states)
    if not all(map(_can_be_kept, (query.text, *query.tags))):
        yield false()
        return
    for tag in set(query.tags):
        yield streams.c.id.in_(select(stream_tags.c.stream_id).where(stream_tags.c.tag == tag))
    if query.text:
        in_name = streams.c.name.icontains(query.text, autoescape=True)
        yield or_(in_name, streams.c.id == query.text.lower())


def _can_be_kept(text: str) -> bool:
    """PostgreSQL takes no NUL, and neither database half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
