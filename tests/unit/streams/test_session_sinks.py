"""What the directory does about the sinks of its sessions."""

import asyncio
from typing import Any

import pytest
from tests.unit.streams.played_worker import Worker, create, follow

from whipway.streams import session_sinks
from whipway.streams.sessions import (
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    AddSink,
    DescribeSession,
    MetadataSent,
    RemoveSink,
    Reply,
    Request,
    SendMetadata,
    SessionDescribed,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    UnknownSink,
)

pytestmark = pytest.mark.anyio

FIRST = {"id": "1", "state": "connecting"}
SINK = {"id": "2", "state": "connecting"}
TARGET = {
    "stream_name": "two?key=x",
    "stream_url": "rtmp://u:p@other/app",
    "audio": "opus",
    "audio_bitrate": 1,
    "filler": "freeze",
}


@pytest.fixture
def worker() -> Worker:
    worker = Worker()
    worker.snapshot = {"state": "live", "sinks": [FIRST]}
    return worker


async def test_a_sink_is_added_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.answers[AddSink] = SinkAdded(session_id, SINK)
    assert await directory.sinks.add(session_id, **TARGET) == SINK
    assert worker.asked == [
        DescribeSession(session_id),
        AddSink(
            session_id, "two?key=x", "rtmp://u:p@other/app", "opus", 1, "freeze", "other:1935/app/two", False
        ),
    ]
    directory.sinks._takes_over = True
    await directory.sinks.add(session_id, **TARGET)
    assert worker.asked[-1].takes_over  # type: ignore[union-attr]


async def test_a_sink_that_is_refused(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.answers[AddSink] = SinkRefused(session_id, "full", "no more")
    with pytest.raises(SinkNotAdded) as caught:
        await directory.sinks.add(session_id, **TARGET)
    assert (caught.value.kind, caught.value.detail, str(caught.value)) == ("full", "no more", "no more")


async def test_a_sink_is_removed_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.answers[RemoveSink] = SinkRemoved(session_id, SINK)
    assert await directory.sinks.remove(session_id, "2") == SINK
    assert worker.asked == [RemoveSink(session_id, "2")]
    worker.answers[RemoveSink] = UnknownSink(session_id, "2")
    with pytest.raises(SinkNotFound):
        await directory.sinks.remove(session_id, "2")


async def test_the_sinks_are_those_of_the_snapshot(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.snapshot = {"state": "live", "sinks": [SINK]}
    assert await directory.sinks.of(session_id) == [SINK]
    with pytest.raises(SessionNotFound):
        await directory.sinks.of("unknown")


async def test_metadata_is_sent_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.answers[SendMetadata] = MetadataSent(session_id)
    await directory.sinks.send_metadata(session_id, "onCuePoint", {"name": "goal"})
    assert worker.asked == [SendMetadata(session_id, "onCuePoint", {"name": "goal"})]


def check(directory: SessionDirectory, session_id: str, **more: Any) -> Any:
    asked: dict[str, Any] = {"stream_url": "rtmp://other/app", "audio": "opus", "audio_bitrate": 1}
    return directory.sinks.check(session_id, **asked | {"max_sinks": 16} | more)


def uses(directory: SessionDirectory, session_id: str) -> list[Any]:
    """Each of them, not yet awaited."""
    return [
        check(directory, session_id),
        directory.sinks.add(session_id, **TARGET),
        directory.sinks.remove(session_id, "1"),
        directory.sinks.send_metadata(session_id, "onMetaData", {}),
    ]


async def test_sinks_of_sessions_that_are_not_there(directory: SessionDirectory, worker: Worker) -> None:
    for use in uses(directory, "unknown"):
        with pytest.raises(SessionNotFound):
            await use
    over, lost = await create(directory), await create(directory)
    await directory.end(over, "deleted")
    worker.asked.clear()
    for use in uses(directory, over):
        with pytest.raises(SessionOver) as caught:
            await use
        assert caught.value.ended.reason == "deleted"
    # Nor of one whose end the directory has yet to hear of.
    worker.lose(lost)
    first, *more = uses(directory, lost)
    await follow(directory, worker)
    for use in (first, *more):
        with pytest.raises(SessionOver):
            await use
    assert worker.asked == []


async def test_a_session_that_ends_while_its_sink_is_added(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(directory)
    ask = worker.request

    async def ask_late(message: Request) -> Reply:
        if not isinstance(message, AddSink):
            return await ask(message)
        worker.lose(session_id, "nothing came")
        reply = await ask(message)
        await follow(directory, worker)
        return reply

    monkeypatch.setattr(worker, "request", ask_late)
    with pytest.raises(SessionOver) as caught:
        await directory.sinks.add(session_id, **TARGET)
    assert caught.value.ended.detail == "nothing came"


async def test_what_is_answered_amiss_is_a_bug(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    for kind in (AddSink, RemoveSink, SendMetadata):
        worker.answers[kind] = SessionDescribed(session_id, {})
    looking, *changes = uses(directory, session_id)
    await looking
    for use in changes:
        with pytest.raises(AssertionError):
            await use


# Room


@pytest.mark.parametrize(("sink_id", "outcome"), [("1", "full"), ("2", None)])
async def test_a_session_without_its_first_sink_has_no_stream_to_give(
    directory: SessionDirectory, worker: Worker, sink_id: str, outcome: str | None
) -> None:
    directory._takes_over = True
    session_id = await create(directory, "one")
    await create(directory, "two")
    worker.answers[RemoveSink] = SinkRemoved(session_id, SINK)
    await directory.sinks.remove(session_id, sink_id)
    # The next publisher of the stream would be one more, or take the place of the first.
    if outcome is None:
        await directory.check(stream_name="one", stream_url="rtmp://host/live")
    else:
        with pytest.raises(SessionNotCreated) as caught:
            await directory.check(stream_name="one", stream_url="rtmp://host/live")
        assert caught.value.kind == outcome


async def test_a_session_that_ends_while_its_first_sink_is_removed(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(directory)
    worker.answers[RemoveSink] = SinkRemoved(session_id, SINK)
    ask = worker.request

    async def ask_late(message: Request) -> Reply:
        reply = await ask(message)
        worker.lose(session_id)
        await follow(directory, worker)
        return reply

    monkeypatch.setattr(worker, "request", ask_late)
    assert await directory.sinks.remove(session_id, "1") == SINK
    assert directory.live_count == 0


async def test_a_sink_may_be_checked_before_it_is_added(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    await check(directory, session_id)
    await check(directory, session_id, max_sinks=2)
    with pytest.raises(SinkNotAdded) as caught:
        await check(directory, session_id, max_sinks=1)
    assert (caught.value.kind, caught.value.detail) == ("full", session_sinks.FULL)
    with pytest.raises(SessionNotCreated) as refused:
        await check(directory, session_id, stream_url="rtmp://127.0.0.1/live", max_sinks=1)
    assert refused.value.kind == "egress"
    assert not [each for each in worker.asked if isinstance(each, AddSink)]


async def test_sound_has_only_so_many_formats(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)  # With "auto", which may be two.

    async def add(sink_id: str, audio: str, bitrate: int) -> None:
        worker.answers[AddSink] = SinkAdded(session_id, {"id": sink_id, "state": "connecting"})
        await directory.sinks.add(session_id, **TARGET | {"audio": audio, "audio_bitrate": bitrate})
        worker.snapshot["sinks"] = [*worker.snapshot["sinks"], {"id": sink_id, "state": "connecting"}]

    await add("2", "aac", 1)
    await add("3", "aac", 2)
    await add("4", "opus", 3)
    for refused in (add("5", "aac", 3), check(directory, session_id, audio="aac", audio_bitrate=3)):
        with pytest.raises(SinkNotAdded) as caught:
            await refused
        assert caught.value.kind == "full" and "formats" in caught.value.detail
    await add("5", "aac", 2)
    worker.snapshot["sinks"] = [each for each in worker.snapshot["sinks"] if each["id"] != "2"]
    await add("6", "aac", 3)


async def test_sinks_that_come_at_once_see_each_others_sound(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(directory)
    present: list[Any] = [FIRST]
    worker.snapshot["sinks"] = present
    ask = worker.request

    async def ask_slowly(message: Request) -> Reply:
        await asyncio.sleep(0)
        if isinstance(message, AddSink):
            present.append({"id": f"{len(present) + 1}", "state": "connecting"})
            return SinkAdded(session_id, present[-1])
        return await ask(message)

    monkeypatch.setattr(worker, "request", ask_slowly)
    adding = [
        directory.sinks.add(session_id, **TARGET | {"audio": "aac", "audio_bitrate": rate})
        for rate in range(9)
    ]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    assert [type(each) for each in outcomes] == [dict] * 2 + [SinkNotAdded] * 7


async def test_all_ways_to_this_server_are_one(worker: Worker) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    egress = EgressPolicy(own=[("192.0.2.2", 1935)], resolve=resolve)
    directory = SessionDirectory(worker, lambda: "id", max_sessions=2, egress=egress)
    session_id = await create(directory, stream_url="rtmp://localhost/live")
    worker.answers[AddSink] = SinkAdded(session_id, SINK)
    for host in ("127.1", "192.0.2.2", "[::ffff:192.0.2.2]", "rtmp.example"):
        await directory.sinks.add(session_id, **TARGET | {"stream_url": f"rtmp://{host}/live"})
    keys = [each.stream_key for each in worker.asked if isinstance(each, AddSink)]
    assert keys == ["localhost:1935/live/two"] * 3 + ["rtmp.example:1935/live/two"]
