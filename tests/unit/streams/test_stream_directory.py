"""What operations on streams do, on each kind of database; what publishers do is in `test_going_live`."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.peers.databases import databases, open_database
from tests.unit.streams.stream_stage import Stage, attempt

from whipway.streams.access.rights import NotAllowed
from whipway.streams.push_urls import PushUrlRefused
from whipway.streams.records import StreamQuery, StreamRecord, StreamState
from whipway.streams.store.stream_rows import NameTaken
from whipway.streams.stream_directory import StreamNotFound
from whipway.streams.stream_tags import TagRefused
from whipway.worker.messages import AddSink, RemoveSink, SinkAdded, SinkRemoved

pytestmark = pytest.mark.anyio

LIVE, ENDED, LOCKED = StreamState.LIVE, StreamState.ENDED, StreamState.LOCKED


@pytest.fixture(params=databases())
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with open_database(request.param) as database:
        stage = Stage(database)
        yield stage
        await stage.streams.close()


async def live_by_rtmp(stage: Stage) -> StreamRecord:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    stage.take_told()
    return await stage.streams.get(record.id)


async def test_a_stream_is_made_with_a_name_of_its_own(stage: Stage) -> None:
    record = await stage.streams.create(["b", "a", "b"])
    assert (record.name, record.state, record.tags) == ("abcde-1", StreamState.CREATED, ("b", "a"))
    assert record.is_assigned
    assert await stage.streams.get(record.id) == await stage.streams.find(record.name) == record
    assert await stage.streams.is_taken("abcde-1") and not await stage.streams.is_taken("abcde-2")
    assert stage.told == [("created", "abcde-1")]
    assert stage.publications.streams.brief("abcde-1") == {"id": record.id, "name": "abcde-1"}
    with pytest.raises(TagRefused):
        await stage.streams.create([""])


async def test_a_name_that_is_taken_is_not_given_again(stage: Stage) -> None:
    stage.store.fails["add"] = [NameTaken("abcde-1")]
    assert (await stage.streams.create()).name == "abcde-2"
    stage.store.fails["add"] = [NameTaken("x")] * 5
    with pytest.raises(RuntimeError):
        await stage.streams.create()


async def test_streams_are_listed_and_counted(stage: Stage) -> None:
    first, second = await stage.streams.create(["a"]), await stage.streams.create(["b"])
    await stage.streams.lock(first.id)
    assert [each.id for each in await stage.streams.list(StreamQuery(tags=["b"]))] == [second.id]
    assert await stage.streams.count(StreamQuery()) == 2
    counts = await stage.streams.counts()
    assert (counts[StreamState.CREATED], counts[LOCKED], counts[LIVE]) == (1, 1, 0)
    assert await stage.streams.tags("b") == ["b"]
    assert [change.state for change in await stage.streams.changes(first.id)] == ["created", "locked"]


async def test_what_is_not_there_is_not_found(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.delete(record.id)
    for id in (record.id, "unknown", "\0"):
        for operation in (
            stage.streams.get,
            stage.streams.changes,
            stage.streams.stop,
            stage.streams.lock,
            stage.streams.unlock,
            stage.streams.delete,
            lambda id: stage.streams.set_tags(id, []),
            lambda id: stage.streams.set_push_url(id, None),
        ):
            with pytest.raises(StreamNotFound):
                await operation(id)


async def test_stop_ends_an_rtmp_publisher(stage: Stage) -> None:
    record = await live_by_rtmp(stage)
    assert record.state is LIVE
    assert [each.kind for each in stage.streams.publications_of(record)] == ["rtmp"]
    stopped = await stage.streams.stop(record.id)
    assert (stopped.state, stopped.reason) == (ENDED, "stopped")
    assert stopped.ended_at is not None
    assert stage.origin.publishing == {} and stage.streams.publications_of(record) == []
    assert stage.told == [("ended", record.name)]


async def test_stop_ends_every_session_of_the_stream(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.go_live(record.name)
    await stage.create(f"{record.name}?x=1", "rtmp://elsewhere/live")
    await stage.go_live("another")
    assert (await stage.streams.stop(record.id)).state is ENDED
    assert [each.stream_name for each in stage.worker.sessions.values()] == ["another"]
    assert await stage.history(record.name) == [("created", None), ("live", None), ("ended", "stopped")]


async def test_stop_of_a_stream_that_is_not_live_changes_nothing(stage: Stage) -> None:
    record = await stage.streams.create()
    assert await stage.streams.stop(record.id) == record


async def test_who_comes_back_after_a_stop_is_live_again(stage: Stage) -> None:
    record = await live_by_rtmp(stage)
    await stage.streams.stop(record.id)
    stage.origin.go_live(record.name)
    await stage.settle()
    assert (await stage.streams.get(record.id)).state is LIVE


async def test_lock_ends_the_stream_and_keeps_it_so(stage: Stage) -> None:
    record = await live_by_rtmp(stage)
    locked = await stage.streams.lock(record.id)
    assert (locked.state, locked.reason) == (LOCKED, "locked")
    assert locked.locked_at is not None and locked.ended_at is not None
    assert stage.origin.publishing == {}
    assert stage.take_told() == [("ended", record.name), ("locked", record.name)]
    assert await stage.streams.lock(record.id) == locked
    assert stage.told == []
    assert await stage.history(record.name) == [
        ("created", None),
        ("live", None),
        ("ended", "locked"),
        ("locked", "locked"),
    ]


async def test_unlock_brings_back_what_was_before(stage: Stage) -> None:
    fresh, used = await stage.streams.create(), await live_by_rtmp(stage)
    ended_at = (await stage.streams.lock(used.id)).ended_at
    await stage.streams.lock(fresh.id)
    stage.take_told()
    assert (await stage.streams.unlock(fresh.id)).state is StreamState.CREATED
    unlocked = await stage.streams.unlock(used.id)
    assert (unlocked.state, unlocked.ended_at) == (ENDED, ended_at)
    assert stage.take_told() == [("unlocked", fresh.name), ("unlocked", used.name)]
    assert await stage.streams.unlock(used.id) == unlocked
    assert stage.told == []
    stage.origin.go_live(used.name)
    await stage.settle()
    assert (await stage.streams.get(used.id)).state is LIVE


async def test_delete_is_for_good(stage: Stage) -> None:
    record = await live_by_rtmp(stage)
    await stage.streams.delete(record.id)
    assert stage.origin.publishing == {}
    assert stage.take_told() == [("ended", record.name), ("deleted", record.name)]
    assert await stage.streams.find(record.name) is None
    assert await stage.streams.is_taken(record.name)
    assert await stage.streams.list(StreamQuery()) == []
    assert stage.publications.streams.brief(record.name) is None
    kept = await stage.record(record.name)
    assert kept is not None and (kept.state, kept.reason) == (StreamState.DELETED, "deleted")
    with pytest.raises(NotAllowed, match="deleted"):
        await stage.streams.admit(attempt(record.name))


async def test_a_locked_stream_can_be_deleted(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.lock(record.id)
    await stage.streams.delete(record.id)
    assert (await stage.history(record.name))[-1] == ("deleted", "deleted")


async def test_a_stream_that_nobody_had_created_is_forgotten(stage: Stage) -> None:
    stage.origin.go_live("cam")
    await stage.settle()
    record = await stage.streams.find("cam")
    assert record is not None and not record.is_assigned
    stage.take_told()
    await stage.streams.delete(record.id)
    assert await stage.record("cam") is None
    assert stage.origin.publishing == {}
    assert stage.told == [("ended", "cam"), ("deleted", "cam")]
    assert not await stage.streams.is_taken("cam")
    stage.origin.go_live("cam")
    await stage.settle()
    again = await stage.streams.find("cam")
    assert again is not None and again.id != record.id


async def test_tags_are_replaced(stage: Stage) -> None:
    record = await stage.streams.create(["a", "b"])
    changed = await stage.streams.set_tags(record.id, ["c", "c", "a"])
    assert changed.tags == (await stage.streams.get(record.id)).tags == ("c", "a")
    assert stage.told[-1] == ("changed", record.name)
    with pytest.raises(TagRefused):
        await stage.streams.set_tags(record.id, [""])


async def test_what_is_deleted_meanwhile_is_not_changed(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.store.held["set_tags"] = asyncio.Event()
    tagging = asyncio.create_task(stage.streams.set_tags(record.id, ["a"]))
    await stage.store.reached.wait()
    await stage.streams.delete(record.id)
    stage.store.held["set_tags"].set()
    with pytest.raises(StreamNotFound):
        await tagging


@pytest.mark.parametrize("kind", ["whip", "rtmp"])
async def test_a_push_url_takes_effect_at_once(stage: Stage, kind: str) -> None:
    record = await stage.streams.create()
    stage.worker.answers[AddSink] = SinkAdded("id-1", {"id": "2"})
    stage.worker.answers[RemoveSink] = SinkRemoved("id-1", {"id": "2"})
    if kind == "whip":
        await stage.go_live(record.name)
    else:
        stage.origin.go_live(record.name)
        stage.origin.publish(record.name, "another-app")
    await stage.settle()
    changed = await stage.streams.set_push_url(record.id, "rtmp://far/app/name?key=x")
    assert changed.push_url == "rtmp://far/app/name?key=x"
    assert stage.told[-1] == ("changed", record.name)
    asked = [message for message in stage.worker.asked if isinstance(message, AddSink)]
    if kind == "whip":
        assert [(each.stream_url, each.stream_name) for each in asked] == [("rtmp://far/app", "name?key=x")]
    else:
        assert stage.origin.pushes == {f"live/{record.name}": ("rtmp://far/app", "name?key=x")}
    assert (await stage.streams.set_push_url(record.id, None)).push_url is None
    assert stage.origin.pushes == {}
    assert [type(each) for each in stage.worker.asked[-1:]] == ([RemoveSink] if kind == "whip" else [])


async def test_a_push_url_takes_effect_whenever_the_stream_goes_live(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.set_push_url(record.id, "rtmp://far/app/name")
    stage.origin.publish(record.name)
    assert stage.origin.pushes == {}
    for _ in range(2):
        stage.origin.go_live(record.name)
        await stage.settle()
        assert stage.origin.pushes == {f"live/{record.name}": ("rtmp://far/app", "name")}
        stage.origin.leave(record.name)
        assert stage.origin.pushes == {}
    await stage.settle()


async def test_a_push_url_that_cannot_be_changes_nothing(stage: Stage) -> None:
    record = await stage.streams.create()
    for url in ("http://far/app/name", "rtmp://far/app", "rtmp://10.0.0.1/app/name"):
        with pytest.raises(PushUrlRefused):
            await stage.streams.set_push_url(record.id, url)
    assert await stage.streams.get(record.id) == record


async def test_a_restart_ends_what_was_live(stage: Stage) -> None:
    record, other = await live_by_rtmp(stage), await stage.streams.create()
    await stage.streams.start()
    ended = await stage.streams.get(record.id)
    assert (ended.state, ended.reason) == (ENDED, "restart")
    assert stage.told == [("created", other.name), ("ended", record.name)]
    await stage.streams.start()
    assert len(stage.told) == 2


async def test_closing_writes_how_everything_ended(stage: Stage) -> None:
    record = await live_by_rtmp(stage)
    stage.origin.leave(record.name)
    await stage.streams.close()
    assert (await stage.streams.get(record.id)).reason == "unpublished"
