import asyncio
from typing import Any

import pytest
import structlog
from tests.unit.streams.played_worker import EGRESS, Worker, create, follow, resolve

from whipway.streams import destinations, known_sessions
from whipway.streams.sessions import (
    Access,
    IceRefused,
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
)
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    CreateSession,
    EndSession,
    IceUpdated,
    Reply,
    Request,
    SessionCreated,
    SessionRefused,
    UpdateIce,
    WorkerDescribed,
)

pytestmark = pytest.mark.anyio


async def test_a_session_is_made_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    assert await create(directory, "one?key=x") == "id-1"
    assert worker.sessions["id-1"] == CreateSession(
        "id-1",
        "offer",
        "one?key=x",
        "rtmp://host/live",
        "auto",
        64_000,
        "none",
        "host:1935/live/one",
        takes_over=False,
    )
    assert directory.live_count == 1


async def test_the_log_holds_neither_arguments_nor_whole_ids(
    directory: SessionDirectory, worker: Worker
) -> None:
    directory._new_session_id = lambda: "0123456789abcdef"
    with structlog.testing.capture_logs() as logs:
        await directory.end(await create(directory, "one?key=secret"), "deleted")
    assert [entry["event"] for entry in logs] == ["session created", "session ended"]
    assert [entry["stream"] for entry in logs] == ["one", "one"]
    assert "secret" not in str(logs) and "89abcdef" not in str(logs)


async def test_the_log_holds_no_name_that_may_be_a_key(directory: SessionDirectory, worker: Worker) -> None:
    with structlog.testing.capture_logs() as logs:
        worker.lose(await create(directory, "/live_12345_abcdefghijkl"))
        await follow(directory, worker)
    assert [entry["event"] for entry in logs] == ["session created", "session ended"]
    assert [entry["stream"] for entry in logs] == ["live_123…", "live_123…"]


async def test_a_refusal_leaves_nothing(directory: SessionDirectory, worker: Worker) -> None:
    worker.refuses = SessionRefused("id-1", "unsupported", "no H.264")
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory)
    assert (caught.value.kind, caught.value.detail) == ("unsupported", "no H.264")
    assert directory.live_count == 0
    with pytest.raises(SessionNotFound):
        await directory.describe("id-1")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_an_error_leaves_nothing(
    directory: SessionDirectory, worker: Worker, error: BaseException
) -> None:
    worker.breaks = error
    with pytest.raises(type(error)):
        await create(directory)
    assert directory.live_count == 0


async def test_a_full_server_refuses_until_a_session_ends(
    directory: SessionDirectory, worker: Worker
) -> None:
    first, second = await create(directory), await create(directory)
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory)
    assert caught.value.kind == "full"
    assert set(worker.sessions) == {first, second}
    await directory.end(first, "deleted")
    await create(directory)
    worker.lose(second)
    await follow(directory, worker)
    await create(directory)


async def test_end_tells_how_it_ended(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    ended = await directory.end(session_id, "deleted")
    assert (ended.session_id, ended.reason) == (session_id, "deleted")
    assert directory.live_count == 0
    with pytest.raises(SessionOver) as caught:
        await directory.end(session_id, "deleted")
    assert caught.value.ended == ended


async def test_whether_a_session_lives_is_told_without_asking(
    directory: SessionDirectory, worker: Worker
) -> None:
    session_id = await create(directory)
    worker.breaks = AssertionError("the worker was asked")
    directory.require_live(session_id)
    with pytest.raises(SessionNotFound):
        directory.require_live("unknown")
    worker.lose(session_id)
    await follow(directory, worker)
    with pytest.raises(SessionOver) as caught:
        directory.require_live(session_id)
    assert caught.value.ended.reason == "silence"


async def test_a_session_that_ended_by_itself_says_why(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.lose(session_id, "nothing came")
    await follow(directory, worker)
    assert directory.live_count == 0
    with pytest.raises(SessionOver) as caught:
        await directory.end(session_id, "deleted")
    assert caught.value.ended.detail == "nothing came"


async def test_unknown_ids_are_not_found(directory: SessionDirectory) -> None:
    with pytest.raises(SessionNotFound):
        await directory.end("id-9", "deleted")
    with pytest.raises(SessionNotFound):
        await directory.describe("id-9")


@pytest.mark.parametrize("order", ["event first", "question first"])
async def test_who_asks_while_the_end_is_on_its_way_is_told_of_it(
    directory: SessionDirectory, worker: Worker, order: str
) -> None:
    described, ended = await create(directory), await create(directory)
    questions = [
        asyncio.create_task(directory.describe(described)),
        asyncio.create_task(directory.describe(described)),
        asyncio.create_task(directory.end(ended, "deleted")),
    ]
    worker.lose(described)
    worker.lose(ended, "nothing came")
    if order == "question first":
        await asyncio.sleep(0)
        assert directory.live_count == 2
    await follow(directory, worker)
    assert await questions[0] == await questions[1] == {"state": "ended"}
    with pytest.raises(SessionOver) as caught:
        await questions[2]
    assert caught.value.ended.detail == "nothing came"
    assert directory.live_count == 0


async def test_an_end_told_twice_is_told_the_same(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    worker.lose(session_id)
    worker.lose(session_id)
    await follow(directory, worker)
    assert await directory.describe(session_id) == {"state": "ended"}
    assert directory.live_count == 0


async def test_the_end_may_come_while_the_worker_is_asked(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(directory)
    ask = worker.request

    async def ask_slowly(message: Request) -> Reply:
        reply = await ask(message)
        await follow(directory, worker)
        return reply

    monkeypatch.setattr(worker, "request", ask_slowly)
    worker.lose(session_id)
    assert await directory.describe(session_id) == {"state": "ended"}


async def test_two_who_miss_a_lost_session_are_both_told(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    session_id = await create(directory)
    worker.sessions.clear()
    ask = worker.request
    asked = asyncio.Event()

    async def ask_late(message: Request) -> Reply:
        await asked.wait()
        return await ask(message)

    first = asyncio.create_task(directory.describe(session_id))
    await asyncio.sleep(0)
    monkeypatch.setattr(worker, "request", ask_late)
    second = asyncio.create_task(directory.describe(session_id))
    with pytest.raises(SessionNotFound):
        await first
    asked.set()
    with pytest.raises(SessionNotFound):
        await second


async def test_a_session_the_worker_has_lost_is_not_found(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    described, ended = await create(directory), await create(directory)
    worker.sessions.clear()
    with pytest.raises(SessionNotFound):
        await directory.describe(described)
    with pytest.raises(SessionNotFound):
        await directory.end(ended, "deleted")
    assert directory.live_count == 0


async def test_describe_asks_the_worker_and_remembers_the_last_words(
    directory: SessionDirectory, worker: Worker
) -> None:
    session_id = await create(directory)
    assert await directory.describe(session_id) == {"state": "live"}
    await directory.end(session_id, "deleted")
    assert await directory.describe(session_id) == {"state": "ended"}


async def test_the_memory_is_bounded_and_forgets_the_oldest(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "MAX_REMEMBERED", 3)
    ids = []
    for _ in range(4):
        ids.append(await create(directory))
        await directory.end(ids[-1], "deleted")
    with pytest.raises(SessionNotFound):
        await directory.describe(ids[0])
    for session_id in ids[1:]:
        assert await directory.describe(session_id) == {"state": "ended"}


async def test_a_worker_that_answers_amiss_is_a_bug(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)

    async def answer(message: Request) -> Reply:
        assert isinstance(message, EndSession)
        return SessionCreated(message.session_id, "what?", "")

    worker.request = answer  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        await directory.end(session_id, "deleted")


async def test_the_worker_is_asked_for_what_it_dropped(directory: SessionDirectory) -> None:
    (standing,) = await directory.describe_workers()
    assert (standing.state, standing.described.drops) == ("running", {"unknown_address": 3})
    directory.drain()
    assert [each.state for each in await directory.describe_workers()] == ["draining"]


async def test_an_end_told_after_it_was_given_up_is_not_remembered(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    session_id = await create(directory)
    worker.sessions.clear()
    with pytest.raises(SessionNotFound):
        await directory.describe(session_id)
    worker.lose(session_id)
    await follow(directory, worker)
    # Nobody knows any more who may ask for it.
    assert directory.access(session_id) is None
    with pytest.raises(SessionNotFound):
        await directory.describe(session_id)


# ICE of a session that is there


async def test_ice_is_updated_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)
    updated = await directory.update_ice(session_id, "candidates", ("old", "tag-1"))
    assert updated == IceUpdated(session_id, "tag-2", "fragment")
    assert worker.updates == [UpdateIce(session_id, "candidates", ["old", "tag-1"])]


async def test_ice_that_is_not_updated(directory: SessionDirectory) -> None:
    session_id = await create(directory)
    with pytest.raises(IceRefused) as caught:
        await directory.update_ice(session_id, "candidates", ["old"])
    assert (caught.value.kind, caught.value.detail) == ("stale", "no tag is the current one")


async def test_ice_of_sessions_that_are_not_there(directory: SessionDirectory, worker: Worker) -> None:
    with pytest.raises(SessionNotFound):
        await directory.update_ice("id-9", "candidates", ["tag-1"])
    session_id = await create(directory)
    await directory.end(session_id, "deleted")
    with pytest.raises(SessionOver):
        await directory.update_ice(session_id, "candidates", ["tag-1"])
    assert worker.updates == []


async def test_updates_of_one_session_wait_for_each_other(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await create(directory), await create(directory)
    ask, begun, gate = worker.request, [], asyncio.Event()

    async def ask_slowly(message: Request) -> Reply:
        assert isinstance(message, UpdateIce)
        begun.append(message.fragment)
        await gate.wait()
        return await ask(message)

    monkeypatch.setattr(worker, "request", ask_slowly)
    updates = [
        asyncio.create_task(directory.update_ice(session_id, fragment, ["tag-1"]))
        for session_id, fragment in ((one, "first"), (one, "second"), (other, "third"), (one, "fourth"))
    ]
    while len(begun) < 2:
        await asyncio.sleep(0)
    assert begun == ["first", "third"]
    gate.set()
    await asyncio.gather(*updates)
    assert [update.fragment for update in worker.updates if update.session_id == one] == [
        "first",
        "second",
        "fourth",
    ]


async def test_who_waits_to_update_a_session_that_ends_is_told_so(
    directory: SessionDirectory, worker: Worker
) -> None:
    session_id = await create(directory)
    async with directory._known.find_live(session_id).updating:
        update = asyncio.create_task(directory.update_ice(session_id, "candidates", ["tag-1"]))
        await asyncio.sleep(0)
        worker.lose(session_id, "nothing came")
        await follow(directory, worker)
    with pytest.raises(SessionOver) as caught:
        await update
    assert caught.value.ended.detail == "nothing came"


async def test_a_session_that_is_being_made_is_not_there_yet(
    directory: SessionDirectory, worker: Worker
) -> None:
    asked: list[str] = []
    made = worker._create

    def look(message: CreateSession) -> Reply:
        asked.extend(each.session_id for each in directory.list_living())
        with pytest.raises(SessionNotFound):
            directory.require_live(message.session_id)
        assert directory.live_count == 1
        return made(message)

    worker._create = look  # type: ignore[method-assign]
    session_id = await create(directory)
    assert asked == [] and [each.session_id for each in directory.list_living()] == [session_id]


async def test_while_every_worker_is_full_only_a_streams_own_session_gets_in(
    directory: SessionDirectory, worker: Worker
) -> None:
    await create(directory, "mine")
    worker.refusal = "every media worker is full"
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory, "other")
    assert (caught.value.kind, str(caught.value)) == ("full", "every media worker is full")
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory, "mine")
    assert caught.value.kind == "busy"


async def test_an_update_that_is_answered_amiss_is_a_bug(directory: SessionDirectory, worker: Worker) -> None:
    session_id = await create(directory)

    async def answer(message: Request) -> Reply:
        return WorkerDescribed({}, 0, {}, 0.0, 0.0, 0.0, 0.0)

    worker.request = answer  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        await directory.update_ice(session_id, "candidates", ["tag-1"])


# Who may touch a session


async def test_access_is_known_for_as_long_as_the_session_is(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "MAX_REMEMBERED", 2)
    assert directory.access("id-1") is None
    first = await create(directory, "one?key=x", credential=b"digest")
    second = await create(directory, "two", stream_url="rtmps://host/live")
    expected = Access("one?key=x", "rtmp://host/live", b"digest")
    assert directory.access(first) == expected
    assert directory.access(second) == Access("two", "rtmps://host/live", None)
    await directory.end(first, "deleted")
    worker.lose(second)
    worker.lose(second)
    await follow(directory, worker)
    assert directory.access(first) == expected
    assert directory.access(second) == Access("two", "rtmps://host/live", None)
    await directory.end(await create(directory), "deleted")
    assert directory.access(first) is None and directory.access(second) is not None


async def test_a_refused_session_has_no_access(directory: SessionDirectory, worker: Worker) -> None:
    worker.refuses = SessionRefused("id-1", "unsupported", "no H.264")
    with pytest.raises(SessionNotCreated):
        await create(directory, credential=b"digest")
    assert directory.access("id-1") is None


# Where streams may go


async def refusal(directory: SessionDirectory, name: str | None = None, **more: Any) -> SessionNotCreated:
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory, name, **more)
    return caught.value


async def check(directory: SessionDirectory, name: str = "new", **more: Any) -> str | None:
    """The kind of refusal, None when there is none."""
    try:
        await directory.check(stream_name=name, **{"stream_url": "rtmp://host/live"} | more)
    except SessionNotCreated as refused:
        return refused.kind
    return None


async def test_a_url_that_is_not_allowed_is_refused(directory: SessionDirectory, worker: Worker) -> None:
    with pytest.raises(SessionNotCreated, match=r"egress\.allow") as caught:
        await directory.check(stream_name="one", stream_url="rtmp://127.0.0.1/live", client="192.0.2.1")
    assert caught.value.kind == "egress"
    assert directory.live_count == 0 and worker.sessions == {}


@pytest.mark.parametrize("error", [OSError("no such host"), TimeoutError()])
async def test_a_name_that_does_not_resolve_is_the_sinks_business(
    directory: SessionDirectory, error: OSError
) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise error

    directory._destinations._egress = EgressPolicy(resolve=fail)
    assert await check(directory) is None


async def test_a_slow_name_is_not_waited_for(
    directory: SessionDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destinations, "EGRESS_TIMEOUT", 0.01)

    async def hang(host: str, port: int) -> list[str]:
        return await asyncio.Future()

    directory._destinations._egress = EgressPolicy(resolve=hang)
    assert await check(directory) is None


async def test_a_check_keeps_no_room(directory: SessionDirectory) -> None:
    assert [await check(directory) for _ in range(4)] == [None] * 4
    assert directory.live_count == 0
    await create(directory, "one")
    await create(directory, "two")
    assert await check(directory) == "full"
    # These would take the place of others, or be refused by the worker.
    assert await check(directory, "one?x") is None


async def test_a_full_server_looks_nothing_up(directory: SessionDirectory) -> None:
    await create(directory)
    await create(directory)
    directory._destinations._egress = EgressPolicy(["198.51.100.1"])
    assert await check(directory) == "full"


async def test_what_has_changed_while_a_name_was_looked_up_counts(directory: SessionDirectory) -> None:
    looked_up = asyncio.Event()

    async def wait(host: str, port: int) -> list[str]:
        await looked_up.wait()
        return await resolve(host, port)

    directory._destinations._egress = EgressPolicy(resolve=wait)
    checking = asyncio.create_task(check(directory))
    await asyncio.sleep(0)
    await create(directory)
    await create(directory)
    looked_up.set()
    assert await checking == "full"


async def test_making_a_session_asks_no_dns(directory: SessionDirectory) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    directory._destinations._egress = EgressPolicy(resolve=fail)
    await create(directory)


# Stopping


async def test_a_draining_server_takes_no_new_sessions(directory: SessionDirectory, worker: Worker) -> None:
    first = await create(directory, "one")
    directory._takes_over = True
    directory.drain()
    assert (await refusal(directory)).kind == "draining"
    assert (await refusal(directory, "one")).kind == "draining"
    assert set(worker.sessions) == {first}
    await directory.update_ice(first, "candidates", ["tag-1"])
    assert await directory.describe(first) == {"state": "live"}
    await directory.end(first, "deleted")


async def test_draining_may_begin_while_a_name_is_looked_up(directory: SessionDirectory) -> None:
    async def drain(host: str, port: int) -> list[str]:
        directory.drain()
        return await resolve(host, port)

    directory._destinations._egress = EgressPolicy(resolve=drain)
    assert await check(directory) == "draining"
    assert await check(directory, stream_url="rtmp://127.0.0.1/live") == "draining"


# Sessions of one address


@pytest.fixture
def by_address(directory: SessionDirectory) -> SessionDirectory:
    """A directory that takes two sessions of each address."""
    directory._sessions_per_address = 2
    directory._max_sessions = 100
    return directory


async def test_an_address_may_have_so_many_sessions(by_address: SessionDirectory) -> None:
    for client in ("192.0.2.1", "192.0.2.2"):
        await create(by_address, client=client)
        await create(by_address, client=client)
        assert (await refusal(by_address, client=client)).kind == "crowded"
        assert await check(by_address, client=client) == "crowded"
    assert by_address.live_count == 4


@pytest.mark.parametrize("way", ["deleted", "silent", "refused", "broken", "lost"])
async def test_each_way_to_end_makes_room(
    by_address: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    await create(by_address, client="192.0.2.1")
    for _ in range(3):
        if way == "refused":
            worker.refuses = SessionRefused("id", "unsupported", "no H.264")
            assert (await refusal(by_address, client="192.0.2.1")).kind == "unsupported"
            worker.refuses = None
        elif way == "broken":
            worker.breaks = RuntimeError("a bug")
            with pytest.raises(RuntimeError):
                await create(by_address, client="192.0.2.1")
            worker.breaks = None
        else:
            session_id = await create(by_address, client="192.0.2.1")
            assert (await refusal(by_address, client="192.0.2.1")).kind == "crowded"
            if way == "deleted":
                await by_address.end(session_id, "deleted")
            elif way == "silent":
                worker.lose(session_id)
                await follow(by_address, worker)
            else:
                del worker.sessions[session_id]
                with pytest.raises(SessionNotFound):
                    await by_address.describe(session_id)
    assert by_address.live_count == 1


async def test_who_takes_its_own_stream_over_needs_no_more_room(
    by_address: SessionDirectory, worker: Worker
) -> None:
    by_address._takes_over = True
    await create(by_address, "one", client="192.0.2.1")
    await create(by_address, "two", client="192.0.2.1")
    for _ in range(3):
        await create(by_address, "two?again", client="192.0.2.1")
        assert (await refusal(by_address, "three", client="192.0.2.1")).kind == "crowded"
    await follow(by_address, worker)
    assert by_address.live_count == 2


async def test_no_limit_and_no_address_limit_nothing(by_address: SessionDirectory) -> None:
    for _ in range(3):
        await create(by_address, client="")
    by_address._sessions_per_address = 0
    for _ in range(3):
        await create(by_address, client="192.0.2.1")


# Two publishers of one stream


@pytest.fixture
def takes_over(directory: SessionDirectory) -> SessionDirectory:
    """A directory that gives a stream to the next who wants it; full with two sessions."""
    directory._takes_over = True
    return directory


async def test_the_way_of_treating_a_second_publisher_is_told_to_the_worker(worker: Worker) -> None:
    directory = SessionDirectory(worker, lambda: "id", max_sessions=2, takes_over=True, egress=EGRESS)
    await create(directory)
    assert worker.sessions["id"].takes_over


async def test_who_is_refused_leaves_the_first_alone(directory: SessionDirectory, worker: Worker) -> None:
    first = await create(directory, "one")
    with pytest.raises(SessionNotCreated) as caught:
        await create(directory, "one?other=arguments")
    assert caught.value.kind == "busy"
    assert set(worker.sessions) == {first} and directory.live_count == 1


async def test_who_is_replaced_is_told_so(takes_over: SessionDirectory, worker: Worker) -> None:
    first, second = await create(takes_over, "one"), await create(takes_over, "one")
    await follow(takes_over, worker)
    assert set(worker.sessions) == {second} and takes_over.live_count == 1
    with pytest.raises(SessionOver) as caught:
        await takes_over.end(first, "deleted")
    assert caught.value.ended.reason == "replaced"


async def test_a_full_server_still_changes_publishers(takes_over: SessionDirectory, worker: Worker) -> None:
    await create(takes_over, "one")
    await create(takes_over, "two")
    third = await create(takes_over, "two")
    with pytest.raises(SessionNotCreated) as caught:
        await create(takes_over, "three")
    assert caught.value.kind == "full"
    await follow(takes_over, worker)
    assert third in worker.sessions and takes_over.live_count == len(worker.sessions) == 2


@pytest.mark.parametrize("way", [False, True], ids=["refuse", "takeover"])
async def test_of_many_at_once_one_has_the_stream(
    directory: SessionDirectory, worker: Worker, monkeypatch: pytest.MonkeyPatch, way: bool
) -> None:
    directory._takes_over = way
    ask = worker.request

    async def ask_slowly(message: Request) -> Reply:
        await asyncio.sleep(0)
        reply = await ask(message)
        await asyncio.sleep(0)
        return reply

    monkeypatch.setattr(worker, "request", ask_slowly)
    await create(directory, "other")
    outcomes = await asyncio.gather(*(create(directory, "one") for _ in range(5)), return_exceptions=True)
    await follow(directory, worker)
    winners = [outcome for outcome in outcomes if isinstance(outcome, str)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, SessionNotCreated)]
    assert len(winners) == (5 if way else 1) and len(losers) == (0 if way else 4)
    assert {loser.kind for loser in losers} <= {"busy"}
    [holder] = [each.session_id for each in worker.sessions.values() if each.stream_name == "one"]
    assert holder in winners and directory.live_count == 2
