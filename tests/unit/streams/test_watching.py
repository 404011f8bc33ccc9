import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.streams.played_worker import Worker, create, follow

from whipway.streams import watching
from whipway.streams.sessions import SessionDirectory, SessionNotFound
from whipway.streams.watching import Snapshot, Watching
from whipway.worker.messages import DescribeSession

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing by itself, and no wait for what is told."""
    monkeypatch.setattr(watching, "LONGEST_INTERVAL", 60.0)
    monkeypatch.setattr(watching, "SHORTEST_INTERVAL", 0.0)


class Session:
    """Counts how often it is described."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 100
        self.watching = Watching(self.describe)

    async def describe(self, session_id: str) -> Snapshot:
        assert session_id == "one"
        self.count += 1
        return {"count": self.count}

    def watch(self) -> AsyncIterator[Snapshot]:
        return self.watching.watch("one", lambda snapshot: snapshot["count"] >= self.last)

    async def turns(self, count: int = 10) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


def later(watcher: AsyncIterator[Snapshot]) -> asyncio.Task[Snapshot]:
    return asyncio.ensure_future(anext(watcher))  # type: ignore[arg-type]


async def close(*watchers: AsyncIterator[Snapshot]) -> None:
    for watcher in watchers:
        await watcher.aclose()  # type: ignore[attr-defined]


async def test_a_watcher_is_told_at_once_and_at_each_change() -> None:
    session = Session()
    watcher = session.watch()
    assert await anext(watcher) == {"count": 1}
    following = later(watcher)
    await session.turns()
    assert not following.done()
    session.watching.tell("another")
    await session.turns()
    assert not following.done()
    session.watching.tell("one")
    assert await following == {"count": 2}
    await close(watcher)
    assert session.watching._watched == {}


async def test_a_change_while_the_session_is_described_is_told_too() -> None:
    class Changing(Session):
        async def describe(self, session_id: str) -> Snapshot:
            snapshot = await super().describe(session_id)
            if snapshot["count"] == 2:
                self.watching.tell("one")  # What changed now is not in this snapshot any more.
            return snapshot

    session = Changing()
    watcher = session.watch()
    await anext(watcher)
    session.watching.tell("one")
    assert await anext(watcher) == {"count": 2}
    async with asyncio.timeout(5.0):
        assert await anext(watcher) == {"count": 3}
    await close(watcher)


async def test_the_last_snapshot_is_the_end() -> None:
    session = Session()
    session.last = 2
    watcher = session.watch()
    assert await anext(watcher) == {"count": 1}
    session.watching.tell("one")
    assert [snapshot async for snapshot in watcher] == [{"count": 2}]
    assert session.watching._watched == {}


async def test_who_comes_after_the_end_gets_the_last_snapshot() -> None:
    session = Session()
    session.last = 1
    assert [snapshot async for snapshot in session.watch()] == [{"count": 1}]


async def test_many_watchers_share_one_question() -> None:
    session = Session()
    watchers = [session.watch() for _ in range(20)]
    for number, watcher in enumerate(watchers, 1):
        assert await anext(watcher) == {"count": number}
    following = [later(watcher) for watcher in watchers]
    await session.turns()
    session.watching.tell("one")
    assert await asyncio.gather(*following) == [{"count": 21}] * 20
    assert session.count == 21
    await close(*watchers)


async def test_who_comes_later_is_told_at_once_too() -> None:
    session = Session()
    first = session.watch()
    await anext(first)
    following = later(first)
    await session.turns()
    second = session.watch()
    assert await anext(second) == {"count": 2}
    following.cancel()
    await asyncio.wait([following])
    await close(second)


async def test_a_slow_watcher_misses_what_is_outdated() -> None:
    session = Session()
    fast, slow = session.watch(), session.watch()
    assert [await anext(fast), await anext(slow)] == [{"count": 1}, {"count": 2}]
    for number in range(3, 6):
        session.watching.tell("one")
        assert await anext(fast) == {"count": number}
    assert await anext(slow) == {"count": 5}
    await close(fast, slow)


async def test_a_watcher_that_leaves_leaves_its_place_to_the_next() -> None:
    session = Session()
    watchers = [session.watch() for _ in range(3)]
    for watcher in watchers:
        await anext(watcher)
    first, *others = [later(watcher) for watcher in watchers]
    await session.turns()
    first.cancel()  # As when the client's request is over. This one was the one to ask.
    await session.turns()
    session.watching.tell("one")
    assert await asyncio.gather(*others) == [{"count": 4}] * 2
    assert session.watching._watched["one"].watchers == 2
    await close(*watchers)
    assert session.watching._watched == {}


async def test_numbers_are_told_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LONGEST_INTERVAL", 0.02)
    session = Session()
    session.last = 4
    assert [snapshot["count"] async for snapshot in session.watch()] == [1, 2, 3, 4]


async def test_changes_without_end_are_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SHORTEST_INTERVAL", 0.03)
    session, loop = Session(), asyncio.get_running_loop()
    session.last = 4
    told: list[float] = []

    async def change() -> None:
        while True:
            session.watching.tell("one")
            await asyncio.sleep(0.001)

    changing = asyncio.create_task(change())
    async for _ in session.watch():
        told.append(loop.time())
    changing.cancel()
    await asyncio.wait([changing])
    assert all(later - earlier > 0.02 for earlier, later in zip(told, told[1:], strict=False))


async def test_an_error_is_the_watchers() -> None:
    async def fail(_: str) -> Snapshot:
        raise SessionNotFound("one")

    broken = Watching(fail)
    with pytest.raises(SessionNotFound):
        await anext(broken.watch("one", lambda snapshot: False))
    assert broken._watched == {}


# Watching by the directory


async def test_a_session_is_watched_to_its_end(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    watcher = directory.watch(session_id)
    assert await anext(watcher) == {"state": "live"}
    worker.snapshot = {"state": "live", "sinks": []}
    worker.change(session_id)
    worker.change("somebody else")
    await follow(directory, worker)
    assert await anext(watcher) == {"state": "live", "sinks": []}
    worker.lose(session_id)
    await follow(directory, worker)
    assert [snapshot async for snapshot in watcher] == [{"state": "ended"}]
    assert [snapshot async for snapshot in directory.watch(session_id)] == [{"state": "ended"}]
    assert directory._watching._watched == {}


async def test_who_is_deleted_while_it_is_watched(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    watcher = directory.watch(session_id)
    await anext(watcher)
    following = later(watcher)
    await asyncio.sleep(0)
    await directory.end(session_id, "deleted")
    assert await following == {"state": "ended"}
    assert [snapshot async for snapshot in watcher] == []


async def test_the_end_is_told_though_it_came_while_the_worker_was_asked(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(directory)
    ask: Callable[[Any], Any] = worker.request

    async def ask_slowly(message: Any) -> Any:
        reply = await ask(message)
        if isinstance(message, DescribeSession):
            worker.lose(session_id)
            await follow(directory, worker)
        return reply

    monkeypatch.setattr(worker, "request", ask_slowly)
    assert [snapshot async for snapshot in directory.watch(session_id)] == [
        {"state": "live"},
        {"state": "ended"},
    ]


async def test_nobody_watches_what_is_not_there(directory: SessionDirectory) -> None:
    with pytest.raises(SessionNotFound):
        directory.watch("unknown")
    assert directory._watching._watched == {}
