"""The pool over workers that are only played: who is asked what, and who hears of what."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from whipway.pool import members, pool
from whipway.pool.failures import RequestFailed, WorkerGone, WorkerSilent
from whipway.pool.holdings import Held
from whipway.pool.members import Member
from whipway.pool.pool import FULL, NOT_READY, WorkerPool
from whipway.pool.standing import WORKER_LOST
from whipway.worker import worker
from whipway.worker.messages import (
    AddSink,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    Event,
    LoadMeasured,
    RemoveSink,
    Reply,
    Request,
    RequestKeyframe,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StreamKept,
    StreamYielded,
    UnknownSession,
    WorkerDescribed,
    YieldStream,
)

pytestmark = pytest.mark.anyio

DESCRIBED = WorkerDescribed({}, 0, {}, 0.0, 0.0, 0.0, 0.0)


class Played(Member):
    """Keeps ids, and says what it is told to say."""

    def __init__(self, number: int) -> None:
        super().__init__(number, 8200 + number)
        self.is_there = True
        self.asked: list[Request] = []
        self.sessions: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[type[Request], Reply | Exception | Callable[[], Reply]] = {}
        self.is_stopped = False

    @property
    def process_id(self) -> int:
        return 100 + self.number if self.is_there else 0

    async def start(self) -> None:
        self.is_there = True

    async def stop(self) -> None:
        for session_id in list(self.sessions):
            self.tell(SessionEnded(session_id, "shutdown", "", {}))
        self.is_stopped = True

    async def request(self, message: Request) -> Reply:
        self.asked.append(message)
        await asyncio.sleep(0)
        if not self.is_there:
            raise WorkerGone
        answer = self.answers.get(type(message))
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer() if callable(answer) else answer
        return self._carry_out(message)

    def _carry_out(self, message: Request) -> Reply:
        match message:
            case CreateSession(session_id):
                self.sessions[session_id] = [{"id": "1", "state": "connecting"}]
                return SessionCreated(session_id, "answer", "tag", self._snapshot(session_id))
            case DescribeWorker():
                return DESCRIBED
            case YieldStream(key):
                return StreamYielded(key)
        if message.session_id not in self.sessions:
            return UnknownSession(message.session_id)
        sinks = self.sessions[message.session_id]
        match message:
            case AddSink(session_id):
                sinks.append({"id": str(len(sinks) + 1), "state": "connecting"})
                return SinkAdded(session_id, sinks[-1])
            case RemoveSink(session_id, sink_id):
                return SinkRemoved(session_id, {"id": sink_id, "state": "closed"})
            case EndSession(session_id, reason):
                del self.sessions[session_id]
                return SessionEnded(session_id, reason, "", {"state": "ended"})
        return SessionDescribed(message.session_id, self._snapshot(message.session_id))

    def _snapshot(self, session_id: str) -> dict[str, Any]:
        return {"state": "live", "reason": None, "detail": None, "sinks": list(self.sessions[session_id])}

    def tell(self, event: Event | LoadMeasured) -> None:
        self._take(event)

    def die(self) -> None:
        self.is_there = False
        self.sessions.clear()
        self.take_loss(self, "it was killed")

    def come_back(self) -> None:
        self.is_there = True
        self.restarts += 1


class Crew:
    def __init__(self, count: int = 2, **more: Any) -> None:
        self.workers = [Played(number) for number in range(count)]
        self.pool = WorkerPool(self.workers, **more)

    async def create(self, name: str, *, key: str | None = None, takes_over: bool = False) -> Reply:
        return await self.pool.request(
            CreateSession(name, "o", name, "rtmp://x/live", "aac", 1, "none", key or name, takes_over)
        )

    async def add_sink(self, name: str, key: str, *, takes_over: bool = False) -> Reply:
        return await self.pool.request(AddSink(name, key, "rtmp://x/live", "aac", 1, "none", key, takes_over))

    def where(self, name: str) -> int | None:
        return next((worker.number for worker in self.workers if name in worker.sessions), None)

    async def events(self) -> list[Event]:
        """All there are; the pool is over by that."""
        await self.pool.stop()
        return [event async for event in self.pool.events()]


async def test_sessions_spread_over_the_workers() -> None:
    crew = Crew()
    for name in "abcd":
        assert isinstance(await crew.create(name), SessionCreated)
    assert [crew.where(name) for name in "abcd"] == [0, 1, 0, 1]


async def test_they_go_where_there_is_less_to_do() -> None:
    crew = Crew()
    crew.workers[0].tell(LoadMeasured(0.7, 0.0))
    for name in "abc":
        await crew.create(name)
    assert [crew.where(name) for name in "abc"] == [1, 1, 1]


async def test_requests_follow_their_session() -> None:
    crew = Crew()
    await crew.create("a")
    await crew.create("b")
    assert isinstance(await crew.pool.request(DescribeSession("b")), SessionDescribed)
    assert crew.workers[1].asked[-1] == DescribeSession("b")
    assert DescribeSession("b") not in crew.workers[0].asked
    assert await crew.pool.request(RequestKeyframe("z")) == UnknownSession("z")
    assert await crew.add_sink("z", "more") == UnknownSession("z")


async def test_one_that_is_full_gets_no_more_and_then_nobody() -> None:
    crew = Crew(max_load=0.9)
    crew.workers[0].tell(LoadMeasured(0.91, 0.0))
    assert crew.pool.refusal is None
    await crew.create("a")
    assert crew.where("a") == 1
    crew.workers[1].tell(LoadMeasured(0.95, 0.0))
    assert crew.pool.refusal == FULL
    assert await crew.create("b") == SessionRefused("b", "full", FULL)
    # Who takes the place of a session needs no room of its own.
    assert isinstance(await crew.create("again", key="a", takes_over=True), SessionCreated)


async def test_a_stream_stays_with_the_worker_that_has_it() -> None:
    crew = Crew()
    await crew.create("a", key="stream")
    await crew.create("b")
    await crew.create("c", key="stream", takes_over=True)
    assert crew.where("c") == 0
    await crew.pool.request(EndSession("c", "deleted"))
    crew.workers[0].tell(LoadMeasured(0.5, 0.0))
    await crew.create("d", key="stream")
    assert crew.where("d") == 1


async def test_a_refusal_of_the_worker_is_the_answer_and_leaves_nothing() -> None:
    crew = Crew(1)
    crew.workers[0].answers[CreateSession] = SessionRefused("a", "malformed", "no SDP")
    assert await crew.create("a") == SessionRefused("a", "malformed", "no SDP")
    assert await crew.pool.request(DescribeSession("a")) == UnknownSession("a")
    crew.workers[0].answers[CreateSession] = RequestFailed()
    with pytest.raises(RequestFailed):
        await crew.create("a")
    assert await crew.pool.request(DescribeSession("a")) == UnknownSession("a")


async def test_an_end_right_behind_the_beginning() -> None:
    crew = Crew(1)
    worker = crew.workers[0]

    def end_at_once() -> Reply:
        worker.tell(SessionEnded("a", "dtls_failed", "", {}))
        return SessionCreated("a", "answer", "tag", {"state": "ended"})

    worker.answers[CreateSession] = end_at_once
    assert isinstance(await crew.create("a"), SessionCreated)
    assert await crew.pool.request(DescribeSession("a")) == UnknownSession("a")
    assert [type(event) for event in await crew.events()] == [SessionEnded]


# Streams that change hands between workers


async def test_a_sink_for_a_stream_of_another_worker() -> None:
    crew = Crew()
    await crew.create("a", key="stream")
    await crew.create("b")
    crew.workers[0].answers[YieldStream] = StreamKept("stream", "it lives")
    assert await crew.add_sink("b", "stream") == SinkRefused("b", "busy", "it lives")
    assert len(crew.workers[1].sessions["b"]) == 1
    del crew.workers[0].answers[YieldStream]
    assert isinstance(await crew.add_sink("b", "stream", takes_over=True), SinkAdded)
    assert crew.workers[0].asked[-1] == YieldStream("stream", True)
    # From now on it is there that a new session may take it.
    await crew.create("c", key="stream", takes_over=True)
    assert crew.where("c") == 1


async def test_a_stream_of_its_own_worker_is_that_workers_matter() -> None:
    crew = Crew(1)
    await crew.create("a", key="stream")
    await crew.create("b")
    assert isinstance(await crew.add_sink("b", "stream"), SinkAdded)
    assert not [each for each in crew.workers[0].asked if isinstance(each, YieldStream)]


async def test_nobody_loses_a_stream_to_a_session_that_cannot_take_it() -> None:
    crew = Crew(max_sinks=1)
    await crew.create("a", key="stream")
    await crew.create("b")
    assert await crew.add_sink("b", "stream", takes_over=True) == SinkRefused("b", "full", worker.FULL)
    crew.workers[1].answers[DescribeSession] = UnknownSession("b")
    assert await crew.add_sink("b", "stream", takes_over=True) == UnknownSession("b")
    assert not [each for each in crew.workers[0].asked if isinstance(each, YieldStream)]


async def test_a_stream_is_free_once_its_sink_or_session_is_no_more() -> None:
    crew = Crew()
    await crew.create("a")
    await crew.create("b")
    added = await crew.add_sink("a", "stream")
    assert isinstance(added, SinkAdded)
    await crew.pool.request(RemoveSink("a", added.sink["id"]))
    await crew.add_sink("b", "stream")
    assert not [each for each in crew.workers[0].asked if isinstance(each, YieldStream)]
    crew.workers[1].tell(SessionEnded("b", "silence", "", {}))
    await crew.add_sink("a", "stream")
    assert not [each for each in crew.workers[1].asked if isinstance(each, YieldStream)]


async def test_the_holder_dies_while_it_is_asked() -> None:
    crew = Crew()
    await crew.create("a", key="stream")
    await crew.create("b")
    crew.workers[0].answers[YieldStream] = WorkerGone()
    assert isinstance(await crew.add_sink("b", "stream"), SinkAdded)


async def test_who_wants_the_same_stream_waits_for_its_turn() -> None:
    crew = Crew()
    replies = await asyncio.gather(*(crew.create(name, key="stream") for name in "abc"))
    assert all(isinstance(reply, SessionCreated) for reply in replies)
    assert {crew.where(name) for name in "abc"} == {0}
    assert not crew.pool._locks


# Workers that die


async def test_the_sessions_of_a_worker_that_died_are_over() -> None:
    crew = Crew()
    for name in "abc":
        await crew.create(name)
    crew.workers[0].die()
    standing = await crew.pool.describe()
    assert [(each.state, each.process_id, each.lost_sessions) for each in standing] == [
        ("starting", 0, 2),
        ("running", 101, 0),
    ]
    assert await crew.pool.request(DescribeSession("a")) == UnknownSession("a")
    assert isinstance(await crew.pool.request(DescribeSession("b")), SessionDescribed)
    await crew.create("d", key="a")
    assert crew.where("d") == 1
    crew.workers[0].come_back()
    assert (await crew.pool.describe())[0].restarts == 1
    ended = [event for event in await crew.events() if isinstance(event, SessionEnded)]
    lost, told = ended[:2], ended[2:]
    assert [(each.session_id, each.reason, each.detail) for each in lost] == [
        (name, WORKER_LOST, "worker lost: it was killed") for name in "ac"
    ]
    assert lost[0].snapshot == {
        "state": "ended",
        "reason": WORKER_LOST,
        "detail": "worker lost: it was killed",
        "sinks": [{"id": "1", "state": "closed"}],
    }
    assert {event.reason for event in told} == {"shutdown"}


async def test_how_a_lost_session_looked_at_last() -> None:
    crew = Crew(1)
    await crew.create("a")
    crew.workers[0].answers[DescribeSession] = SessionDescribed("a", {"state": "live", "size": [1280, 720]})
    await crew.pool.request(DescribeSession("a"))
    crew.workers[0].die()
    (event,) = await crew.events()
    assert isinstance(event, SessionEnded)
    assert (event.snapshot["state"], event.snapshot["size"]) == ("ended", [1280, 720])


async def test_a_session_that_is_being_created_goes_to_another_worker() -> None:
    crew = Crew()

    def die() -> Reply:
        crew.workers[0].die()
        raise WorkerGone

    crew.workers[0].answers[CreateSession] = die
    assert isinstance(await crew.create("a"), SessionCreated)
    assert crew.where("a") == 1
    assert [event.session_id for event in await crew.events()] == ["a"]


async def test_one_that_died_behind_its_answer_does_not_count() -> None:
    crew = Crew()

    def answer_and_die() -> Reply:
        crew.workers[0].die()
        crew.workers[0].come_back()
        return SessionCreated("a", "answer", "tag", {"state": "connecting"})

    crew.workers[0].answers[CreateSession] = answer_and_die
    assert isinstance(await crew.create("a"), SessionCreated)
    assert crew.where("a") == 1


async def test_while_none_is_there_nothing_is_created() -> None:
    crew = Crew(1)
    crew.workers[0].die()
    assert crew.pool.refusal == NOT_READY
    assert await crew.create("a") == SessionRefused("a", "full", NOT_READY)


async def test_one_that_dies_without_being_noticed_yet() -> None:
    crew = Crew(1)
    await crew.create("a")
    crew.workers[0].answers[DescribeSession] = WorkerGone()
    assert await crew.pool.request(DescribeSession("a")) == UnknownSession("a")
    crew.workers[0].answers[CreateSession] = WorkerGone()
    assert await crew.create("b") == SessionRefused("b", "full", NOT_READY)


# What they say


async def test_events_come_in_one_row_and_loads_are_the_pools_own() -> None:
    crew = Crew()
    await crew.create("a")
    await crew.create("b")
    crew.workers[1].tell(SessionChanged("b", "live", []))
    crew.workers[0].tell(LoadMeasured(0.5, 1e6))
    crew.workers[0].tell(SessionChanged("a", "live", []))
    assert (crew.workers[0].load.cpu, crew.workers[0].load.bitrate) == (0.5, 1e6)
    assert [event.session_id for event in await crew.events()][:2] == ["b", "a"]
    assert all(worker.is_stopped for worker in crew.workers)


async def test_a_session_that_was_made_too_late_is_nobodys() -> None:
    crew = Crew()
    crew.workers[0].answers[CreateSession] = WorkerGone()
    await crew.create("a")
    assert crew.where("a") == 1
    crew.workers[0].tell(SessionEnded("a", "setup_timeout", "", {}))
    crew.workers[0].tell(SessionChanged("z", "connecting", []))
    assert isinstance(await crew.pool.request(DescribeSession("a")), SessionDescribed)
    assert [event.reason for event in await crew.events() if isinstance(event, SessionEnded)] == ["shutdown"]


async def test_one_that_hangs_is_not_waited_for_twice() -> None:
    crew = Crew()
    await crew.create("a", key="stream")
    crew.workers[0].answers[CreateSession] = WorkerSilent()
    before = len(crew.workers[0].asked)
    assert await crew.create("b", key="stream") == SessionRefused("b", "full", NOT_READY)
    assert len(crew.workers[0].asked) == before + 1 and crew.where("b") is None


async def test_the_sessions_of_one_that_hangs_are_described_as_they_were() -> None:
    crew = Crew()
    await crew.create("a")
    crew.workers[0].answers[RequestKeyframe] = WorkerSilent()
    with pytest.raises(WorkerSilent):
        await crew.pool.request(RequestKeyframe("a"))
    crew.workers[0].answers[DescribeSession] = WorkerSilent()
    described = await crew.pool.request(DescribeSession("a"))
    assert isinstance(described, SessionDescribed) and described.snapshot["state"] == "live"
    # It goes on, and nobody has given its session up.
    crew.workers[0].answers.clear()
    assert isinstance(await crew.pool.request(RequestKeyframe("a")), SessionDescribed)


async def test_a_session_that_is_not_there_yet_is_not_described_as_it_was() -> None:
    crew = Crew(1)
    crew.pool._holdings.add_session("a", Held(crew.workers[0]))
    crew.workers[0].answers[DescribeSession] = WorkerSilent()
    with pytest.raises(WorkerSilent):
        await crew.pool.request(DescribeSession("a"))


async def test_one_that_is_quiet_is_not_asked_for_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(1)
    await crew.create("a")
    monkeypatch.setattr(members, "QUIET_TIME", -1.0)
    assert (await crew.pool.describe())[0].described is None
    assert isinstance(await crew.pool.request(DescribeSession("a")), SessionDescribed)
    assert [type(each) for each in crew.workers[0].asked] == [CreateSession]


async def test_one_that_did_not_end_its_sessions_is_spoken_for() -> None:
    crew = Crew(1)
    await crew.create("a")
    crew.workers[0].sessions.clear()
    (event,) = await crew.events()
    assert isinstance(event, SessionEnded)
    assert (event.session_id, event.reason) == ("a", WORKER_LOST)
    assert event.detail == "worker lost: its process did not end by itself"


async def test_figures_do_not_wait_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "DESCRIBE_TIMEOUT", 0.01)
    crew = Crew()

    async def hang(message: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(crew.workers[0], "request", hang)
    standing = await crew.pool.describe()
    assert [(each.state, each.described) for each in standing] == [("running", None), ("running", DESCRIBED)]


async def test_how_the_workers_stand() -> None:
    crew = Crew(3)
    crew.pool.begin()
    await crew.pool.start()
    crew.workers[1].answers[DescribeWorker] = RequestFailed()
    crew.workers[2].is_there = False
    crew.pool.drain()
    standing = await crew.pool.describe()
    assert [each.state for each in standing] == ["draining", "draining", "starting"]
    assert [each.described for each in standing] == [DESCRIBED, None, None]
    assert [each.port for each in standing] == [8200, 8201, 8202]
