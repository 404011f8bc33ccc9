import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
import structlog

from whipway.streams import sessions
from whipway.streams.sessions import (
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    stream_key,
)
from whipway.worker.messages import (
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    Event,
    Reply,
    Request,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    UnknownSession,
    WorkerDescribed,
)

pytestmark = pytest.mark.anyio


class Worker:
    """The far end of a link: keeps ids and says what it is told to say."""

    def __init__(self) -> None:
        self.sessions: dict[str, CreateSession] = {}
        self.refuses: SessionRefused | None = None
        self.breaks: BaseException | None = None
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def request(self, message: Request) -> Reply:
        if self.breaks is not None:
            raise self.breaks
        if isinstance(message, CreateSession):
            return self._create(message)
        if isinstance(message, DescribeWorker):
            return WorkerDescribed({"unknown_address": 3})
        if message.session_id not in self.sessions:
            return UnknownSession(message.session_id)
        if isinstance(message, DescribeSession):
            return SessionDescribed(message.session_id, {"state": "live"})
        del self.sessions[message.session_id]
        return SessionEnded(message.session_id, message.reason, "", {"state": "ended"})

    def _create(self, message: CreateSession) -> Reply:
        if self.refuses is not None:
            return self.refuses
        for other in [each for each in self.sessions.values() if each.stream_key == message.stream_key]:
            if not message.takes_over:
                return SessionRefused(message.session_id, "busy", "it is alive")
            del self.sessions[other.session_id]
            self._events.put_nowait(SessionEnded(other.session_id, "replaced", "", {"state": "ended"}))
        self.sessions[message.session_id] = message
        return SessionCreated(message.session_id, "answer")

    def lose(self, session_id: str, detail: str = "nothing came") -> None:
        """Let a session end by itself."""
        self.sessions.pop(session_id, None)
        self._events.put_nowait(SessionEnded(session_id, "silence", detail, {"state": "ended"}))

    def stop(self) -> None:
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def directory(worker: Worker) -> SessionDirectory:
    numbers = count(1)
    return SessionDirectory(worker, lambda: f"id-{next(numbers)}", max_sessions=2)


names = count(1)


async def create(directory: SessionDirectory, name: str | None = None) -> str:
    """The id of a new session, by default one of a stream of its own."""
    created = await directory.create(
        offer="offer",
        stream_name=name or f"stream-{next(names)}",
        stream_url="rtmp://host/live",
        audio_bitrate=64_000,
    )
    assert created.answer == "answer"
    return created.session_id


async def follow(directory: SessionDirectory, worker: Worker) -> None:
    """Take all the events there are."""
    worker.stop()
    await directory.follow_events()


async def test_a_session_is_made_by_the_worker(directory: SessionDirectory, worker: Worker) -> None:
    assert await create(directory, "one?key=x") == "id-1"
    assert worker.sessions["id-1"] == CreateSession(
        "id-1", "offer", "one?key=x", "rtmp://host/live", 64_000, "host:1935/live/one", takes_over=False
    )
    assert directory.live_count == 1


async def test_the_log_holds_neither_arguments_nor_whole_ids(
    directory: SessionDirectory, worker: Worker
) -> None:
    directory._new_session_id = lambda: "0123456789abcdef"
    with structlog.testing.capture_logs() as logs:
        await directory.end(await create(directory, "one?key=secret"), "deleted")
    assert [entry["event"] for entry in logs] == ["session created", "session ended"]
    assert "secret" not in str(logs) and "89abcdef" not in str(logs)


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
    monkeypatch.setattr(sessions, "EVENT_TIMEOUT", 0.01)
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
    monkeypatch.setattr(sessions, "EVENT_TIMEOUT", 0.01)
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
    monkeypatch.setattr(sessions, "MAX_REMEMBERED", 3)
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
        return SessionCreated(message.session_id, "what?")

    worker.request = answer  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        await directory.end(session_id, "deleted")


async def test_the_worker_is_asked_for_what_it_dropped(directory: SessionDirectory) -> None:
    assert await directory.worker_drops() == {"unknown_address": 3}


# Two publishers of one stream


@pytest.fixture
def takes_over(directory: SessionDirectory) -> SessionDirectory:
    """A directory that gives a stream to the next who wants it; full with two sessions."""
    directory._takes_over = True
    return directory


async def test_the_way_of_treating_a_second_publisher_is_told_to_the_worker(worker: Worker) -> None:
    directory = SessionDirectory(worker, lambda: "id", max_sessions=2, takes_over=True)
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


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtmp://host/live", "one"),
        ("rtmp://HOST/live", "one"),
        ("rtmp://host:1935/live/", "one"),
        ("rtmp://host/live?token=x", "one"),
        ("rtmp://host/live", "one?passcode=abc"),
        ("rtmp://host/live", "/one/"),
    ],
)
def test_one_stream(url: str, name: str) -> None:
    assert stream_key(url, name) == "host:1935/live/one"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]", "[0:0::1]", "x.localhost"]
)
def test_this_machine_has_many_names(host: str) -> None:
    assert stream_key(f"rtmp://{host}:1936/live", "one") == "localhost:1936/live/one"


def test_other_streams() -> None:
    targets = [
        ("rtmp://host/live", "one"),
        ("rtmp://host/live", "One"),
        ("rtmp://host/live", "two"),
        ("rtmp://host/Live", "one"),
        ("rtmp://host:1936/live", "one"),
        ("rtmps://host/live", "one"),
        ("rtmp://other/live", "one"),
        ("rtmp://[::1]/live", "one"),
        ("rtmp://[::2]/live", "one"),
        ("rtmp://128.0.0.1/live", "one"),
        ("rtmp://localhost.example/live", "one"),
    ]
    assert len({stream_key(*target) for target in targets}) == len(targets)
