import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert

from whipway.streams.records import PRESENT, StateChange, StreamQuery, StreamRecord, StreamState
from whipway.streams.store.database import Database
from whipway.streams.store.stream_rows import MAX_CHANGES, NameRefused, NameTaken, StreamStore, _row
from whipway.streams.store.tables import stream_tags, streams

pytestmark = pytest.mark.anyio

CREATED, LIVE, ENDED, LOCKED, DELETED = StreamState
START = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stream(n: int, *tags: str, name: str | None = None) -> StreamRecord:
    """One that was created in the n-th second."""
    return StreamRecord(f"id-{n}", name or f"Name-{n}", CREATED, tags, True, at(n), at(n))


@pytest.fixture
async def store(database: Database) -> AsyncIterator[StreamStore]:
    yield StreamStore(database)


async def add(store: StreamStore, *records: StreamRecord) -> None:
    for record in records:
        await store.add(record)


async def enter(store: StreamStore, n: int, *states: StreamState, since: float = 10) -> StreamRecord:
    """Have a stream go through these states, one a second, whatever it was before."""
    record = None
    for number, state in enumerate(states):
        moment = at(since + number)
        record = await store.enter(
            f"id-{n}", state, moment, f"to {state}", expected=list(StreamState), node="here"
        )
    assert record is not None
    return record


async def ids(store: StreamStore, query: StreamQuery) -> list[str]:
    return [record.id for record in await store.list(query)]


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_stream_comes_back_as_it_was(store: StreamStore) -> None:
    record = replace(
        stream(1, "b", "a", "ö"),
        state=LOCKED,
        is_assigned=False,
        live_at=at(2),
        ended_at=at(3),
        locked_at=at(4),
        deleted_at=at(5),
        reason="stopped",
        push_url="rtmp://host/app/key",
    )
    await add(store, record, stream(2))
    assert await store.get("id-1") == await store.find("Name-1") == record
    assert await store.get("id-2") == stream(2)
    assert await store.changes("id-1") == [StateChange(LOCKED, at(1), "stopped")]


async def test_nobody_of_that_id_or_name(store: StreamStore) -> None:
    await add(store, stream(1))
    assert await store.get("Name-1") is await store.find("id-1") is None
    assert await store.find("name-1") is None
    assert await store.changes("id-2") == []


async def test_a_name_is_given_once(store: StreamStore) -> None:
    await add(store, stream(1, "a"))
    await enter(store, 1, DELETED)
    with pytest.raises(NameTaken):
        await add(store, stream(2, "b", name="Name-1"))
    assert await store.get("id-2") is None
    assert await store.tags("", 10) == []


@pytest.mark.parametrize("name", ["x" * 513, "nul\0", "half\udc80"])
async def test_what_cannot_be_kept(store: StreamStore, name: str) -> None:
    with pytest.raises(NameRefused):
        await add(store, stream(1, name=name))
    await add(store, stream(1, "a", name="nul"))
    assert await store.find(name) is await store.get(name) is None
    assert await store.list(StreamQuery(text=name)) == await store.list(StreamQuery(tags=["a", name])) == []
    assert await store.count(StreamQuery(text=name)) == 0
    assert await store.tags(name, 10) == []


async def test_the_longest_name(store: StreamStore) -> None:
    await add(store, stream(1, name="ö" * 512))
    assert (await store.find("ö" * 512)) is not None


async def test_a_list_is_newest_first_in_pages(store: StreamStore) -> None:
    await add(store, *[stream(n) for n in (2, 4, 1, 3)])
    assert await ids(store, StreamQuery()) == ["id-4", "id-3", "id-2", "id-1"]
    assert await ids(store, StreamQuery(limit=2)) == ["id-4", "id-3"]
    assert await ids(store, StreamQuery(limit=2, offset=3)) == ["id-1"]
    assert await ids(store, StreamQuery(limit=0)) == []
    assert await store.count(StreamQuery(limit=2, offset=3)) == 4


async def test_streams_of_the_same_moment_have_an_order(store: StreamStore) -> None:
    await add(store, *[replace(stream(n), created_at=START) for n in (2, 4, 1, 3)])
    assert [await ids(store, StreamQuery(limit=1, offset=n)) for n in range(4)] == [
        ["id-4"],
        ["id-3"],
        ["id-2"],
        ["id-1"],
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (StreamQuery(), "4321"),
        (StreamQuery(states=list(StreamState)), "54321"),
        (StreamQuery(states=[LIVE, DELETED]), "52"),
        (StreamQuery(states=[]), ""),
        (StreamQuery(tags=["a"]), "31"),
        (StreamQuery(tags=["a", "b"]), "3"),
        (StreamQuery(tags=["a", "a"]), "31"),
        (StreamQuery(tags=["A"]), ""),
        (StreamQuery(tags=["a", "none"]), ""),
        (StreamQuery(text="NAME"), "4321"),
        (StreamQuery(text="e-3"), "3"),
        (StreamQuery(text="%"), ""),
        (StreamQuery(text="Name_1"), ""),
        (StreamQuery(text="ID-2"), "2"),
        (StreamQuery(text="id-"), ""),
        (StreamQuery(text="Name", tags=["a"], states=[CREATED]), "31"),
    ],
)
async def test_which_streams_are_listed(store: StreamStore, query: StreamQuery, found: str) -> None:
    tags = {1: ["a"], 2: ["c"], 3: ["b", "a"], 5: ["a"]}
    await add(store, *[stream(n, *tags.get(n, [])) for n in range(1, 6)])
    await enter(store, 2, LIVE)
    await enter(store, 5, DELETED)
    assert await ids(store, query) == [f"id-{n}" for n in found]
    assert await store.count(query) == len(found)


async def test_a_list_takes_as_many_statements_whatever_its_length(
    database: Database, store: StreamStore
) -> None:
    await add(store, stream(0, "a", "b"))
    with counted_statements(database) as of_one:
        assert await ids(store, StreamQuery(limit=1000)) == ["id-0"]
    many = [stream(n) for n in range(1, 1000)]
    async with database.begin() as connection:  # Quicker than one by one.
        await connection.execute(insert(streams), [_row(record) for record in many])
        tags = [{"stream_id": record.id, "tag": f"t-{record.id}", "place": 0} for record in many]
        await connection.execute(insert(stream_tags), tags)
    with counted_statements(database) as of_many:
        records = await store.list(StreamQuery(limit=1000))
    assert [record.tags for record in records] == [(f"t-id-{n}",) for n in range(999, 0, -1)] + [("a", "b")]
    assert len(of_many) == len(of_one) <= 3  # BEGIN is one of them on SQLite.


async def test_how_many_are_in_each_state(store: StreamStore) -> None:
    assert await store.counts() == dict.fromkeys(StreamState, 0)
    await add(store, *[stream(n) for n in range(4)])
    await enter(store, 1, LIVE)
    await enter(store, 2, DELETED)
    assert await store.counts() == {CREATED: 2, LIVE: 1, ENDED: 0, LOCKED: 0, DELETED: 1}


async def test_a_stream_goes_live_and_ends(store: StreamStore) -> None:
    await add(store, stream(1, "a"))
    live = await store.enter("id-1", LIVE, at(2), "ignored", expected=[CREATED], node="here")
    assert live == replace(stream(1, "a"), state=LIVE, live_at=at(2), updated_at=at(2))
    ended = await store.enter("id-1", ENDED, at(3), "unpublished", expected=[LIVE])
    assert ended == replace(live, state=ENDED, ended_at=at(3), updated_at=at(3), reason="unpublished")
    again = await store.enter("id-1", LIVE, at(4), None, expected=[ENDED], node="here")
    assert again == replace(ended, state=LIVE, live_at=at(4), updated_at=at(4), reason=None)
    assert await store.get("id-1") == again


@pytest.mark.parametrize("state", [LOCKED, DELETED])
async def test_what_was_live_has_ended_as_well(store: StreamStore, state: StreamState) -> None:
    await add(store, stream(1))
    record = await enter(store, 1, LIVE, state)
    assert (record.state, record.live_at, record.ended_at) == (state, at(10), at(11))
    assert {LOCKED: record.locked_at, DELETED: record.deleted_at}[state] == at(11)


async def test_names_that_nobody_assigned_are_counted(store: StreamStore) -> None:
    assert await store.count_adopted() == 0
    await add(store, stream(1), *(replace(stream(number), is_assigned=False) for number in (2, 3)))
    assert await store.count_adopted() == 2
    await store.forget("id-2")
    assert await store.count_adopted() == 1


async def test_what_was_not_live_does_not_end_again(store: StreamStore) -> None:
    await add(store, stream(1), stream(2))
    assert (await enter(store, 1, LOCKED)).ended_at is None
    unlocked = await enter(store, 2, LIVE, ENDED, LOCKED, ENDED)
    assert (unlocked.ended_at, unlocked.locked_at) == (at(11), at(12))


async def test_only_from_an_expected_state(store: StreamStore) -> None:
    await add(store, stream(1))
    assert await store.enter("id-1", ENDED, at(2), "x", expected=[LIVE, LOCKED]) is None
    assert await store.enter("id-2", LIVE, at(2), None, expected=[CREATED]) is None
    assert await store.enter("id-1", LIVE, at(2), None, expected=[]) is None
    assert await store.get("id-1") == stream(1)
    assert len(await store.changes("id-1")) == 1


async def test_of_several_at_once_one_changes_the_state(store: StreamStore) -> None:
    await add(store, stream(1))
    changed = await asyncio.gather(
        *[store.enter("id-1", LIVE, at(n), None, expected=[CREATED]) for n in range(8)]
    )
    assert len([record for record in changed if record]) == 1
    assert [change.state for change in await store.changes("id-1")] == [CREATED, LIVE]


async def test_the_changes_of_a_stream(store: StreamStore) -> None:
    await add(store, stream(1), stream(2))
    await enter(store, 1, LIVE, LOCKED)
    assert await store.changes("id-1") == [
        StateChange(CREATED, at(1), None),
        StateChange(LIVE, at(10), "to live"),
        StateChange(LOCKED, at(11), "to locked"),
    ]


async def test_the_last_changes_are_kept(store: StreamStore) -> None:
    await add(store, stream(1), stream(2))
    await enter(store, 1, *[LIVE, ENDED] * (MAX_CHANGES // 2 + 1))
    changes = await store.changes("id-1")
    assert [change.at for change in changes] == [at(12 + n) for n in range(MAX_CHANGES)]
    assert len(await store.changes("id-2")) == 1


async def test_tags_are_replaced(store: StreamStore) -> None:
    await add(store, stream(1, "a", "b"), stream(2, "z"))
    assert await store.set_tags("id-1", ["c", "b", "c"], at(5)) == replace(
        stream(1, "c", "b"), updated_at=at(5)
    )
    assert await store.set_tags("id-1", [], at(6)) == replace(stream(1), updated_at=at(6))
    assert await store.get("id-2") == stream(2, "z")


async def test_the_push_url_is_replaced(store: StreamStore) -> None:
    await add(store, stream(1, "a"))
    pushed = replace(stream(1, "a"), updated_at=at(5), push_url="rtmp://host/app/key")
    assert await store.set_push_url("id-1", "rtmp://host/app/key", at(5)) == pushed
    assert await store.set_push_url("id-1", None, at(6)) == replace(stream(1, "a"), updated_at=at(6))


async def test_what_is_not_there_is_not_changed(store: StreamStore) -> None:
    await add(store, stream(1, "a"))
    record = await enter(store, 1, DELETED)
    for id in ("id-1", "id-2"):
        assert await store.set_tags(id, ["b"], at(5)) is None
        assert await store.set_push_url(id, "rtmp://host/app/key", at(5)) is None
    assert await store.get("id-1") == record


async def test_a_forgotten_stream_leaves_nothing(store: StreamStore) -> None:
    await add(store, stream(1, "a"), stream(2, "b"))
    await store.forget("id-1")
    assert await store.get("id-1") is None
    assert await store.changes("id-1") == []
    assert await store.tags("", 10) == ["b"]
    await add(store, stream(1))


async def test_after_a_restart_what_was_live_here_has_ended(store: StreamStore) -> None:
    await add(store, *[stream(n, str(n)) for n in range(5)])
    live = [await enter(store, n, LIVE) for n in (1, 2)]
    await enter(store, 3, LIVE, ENDED)
    there = await store.enter("id-4", LIVE, at(10), None, expected=[CREATED], node="there")
    ended = await store.end_live("here", at(20), "restart")
    assert sorted(ended, key=lambda record: record.id) == [
        replace(record, state=ENDED, ended_at=at(20), updated_at=at(20), reason="restart") for record in live
    ]
    assert (await store.changes("id-1"))[-1] == StateChange(ENDED, at(20), "restart")
    assert await store.get("id-4") == there
    assert await store.end_live("here", at(21), "restart") == []


@pytest.mark.parametrize(
    ("prefix", "limit", "found"),
    [
        ("", 10, ["a%", "ab", "abc", "b"]),
        ("a", 10, ["a%", "ab", "abc"]),
        ("AB", 10, ["ab", "abc"]),
        ("a%", 10, ["a%"]),
        ("", 2, ["a%", "ab"]),
        ("c", 10, []),
    ],
)
async def test_tags_in_use(store: StreamStore, prefix: str, limit: int, found: Sequence[str]) -> None:
    await add(store, stream(1, "ab", "b"), stream(2, "abc", "b", "a%"), stream(3, "abx"))
    await enter(store, 3, DELETED)
    assert await store.tags(prefix, limit) == found


def test_lists_show_what_is_not_deleted() -> None:
    assert StreamQuery().states == PRESENT == {CREATED, LIVE, ENDED, LOCKED}
