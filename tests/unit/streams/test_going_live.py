"""Records follow publishers, whatever happens at the same time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from tests.peers.databases import databases, open_database
from tests.peers.postgres import running_cluster
from tests.unit.streams.stream_stage import AWAY, WAIT, Stage, attempt

from whipway.streams import going_live, known_sessions
from whipway.streams.refusals import SessionNotFound
from whipway.streams.store.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture(params=databases())
async def stored(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """On each kind of database."""
    async with open_database(request.param) as database:
        stage = Stage(database)
        yield stage
        await stage.streams.close()


class Pauses:
    """Instead of pauses between tries, which last no time now."""

    def __init__(self, stage: Stage) -> None:
        self.seconds: list[float] = []
        stage.streams._going_live._sleep = self

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


# One after the other.


async def test_an_rtmp_publisher_makes_its_stream_live(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.take_told()
    stored.origin.publish(record.name)
    await stored.settle()
    assert await stored.state(record.name) == "created"
    stored.origin.go_live(record.name)
    await stored.settle()
    live = await stored.streams.get(record.id)
    assert live.state == "live" and live.live_at is not None and live.reason is None
    stored.origin.leave(record.name)
    await stored.settle()
    ended = await stored.streams.get(record.id)
    assert (ended.state, ended.reason) == ("ended", "unpublished") and ended.ended_at is not None
    assert stored.told == [("live", record.name), ("ended", record.name)]


async def test_a_session_makes_its_stream_live(stored: Stage) -> None:
    record = await stored.streams.create()
    publication = await stored.go_live(f"{record.name}?x=1")
    await stored.settle()
    assert await stored.state(record.name) == "live"
    assert publication.session_id is not None
    stored.worker.lose(publication.session_id)
    await stored.follow()
    await stored.settle()
    assert await stored.history(record.name) == [("created", None), ("live", None), ("ended", "silence")]


async def test_a_session_that_goes_elsewhere_makes_a_known_stream_live(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.go_live(record.name, "rtmp://elsewhere/live")
    await stage.settle()
    assert await stage.state(record.name) == "live"


async def test_the_origin_may_be_quicker_than_the_sink(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.create(record.name)
    stage.origin.go_live(record.name, is_own=True)
    await stage.settle()
    assert await stage.state(record.name) == "live"
    await stage.go_live("another")
    stage.origin.leave(record.name)
    await stage.settle()
    assert await stage.state(record.name) == "live"


async def test_who_shows_no_frame_changes_nothing(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.origin.publish(record.name)
    stage.origin.leave(record.name)
    await stage.settle()
    assert await stage.history(record.name) == [("created", None)]


async def test_times_are_those_of_what_happened(database: Database) -> None:
    stage = Stage(database)
    now = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)
    stage.streams._states._now = lambda: now
    record = await stage.streams.create()
    stage.hold("find")
    began = now = now + timedelta(seconds=10)
    stage.origin.go_live(record.name)
    await stage.reached()
    ended = now = now + timedelta(seconds=10)
    stage.origin.leave(record.name)
    now += timedelta(seconds=10)
    await stage.release("find")
    found = await stage.streams.get(record.id)
    assert (found.live_at, found.ended_at) == (whole(began), whole(ended))
    await stage.streams.close()


def whole(at: datetime) -> datetime:
    """As it is kept."""
    return at.replace(microsecond=678_000)


# At the same time.


async def test_an_end_does_not_overtake_what_came_before(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.hold("enter")
    stored.origin.go_live(record.name)
    await stored.reached()
    stored.origin.leave(record.name)
    await stored.release("enter")
    assert await stored.history(record.name) == [("created", None), ("live", None), ("ended", "unpublished")]


async def test_who_begins_while_another_ends_stays_live(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.origin.go_live(record.name)
    await stored.settle()
    stored.hold("enter")
    stored.origin.leave(record.name)
    await stored.reached()
    stored.origin.go_live(record.name)
    await stored.release("enter")
    assert (await stored.history(record.name))[-2:] == [("ended", "unpublished"), ("live", None)]
    assert await stored.state(record.name) == "live"


async def test_who_begins_before_the_end_is_looked_at_stays_live(stage: Stage) -> None:
    record = await stage.streams.create()
    for _ in range(3):
        stage.origin.go_live(record.name)
        stage.origin.leave(record.name)
    stage.origin.go_live(record.name)
    await stage.settle()
    assert [word for word, _ in await stage.history(record.name)] == [
        "created", "live", "ended", "live", "ended", "live", "ended", "live",
    ]  # fmt: skip


async def test_a_stream_is_live_until_the_last_of_several_is_over(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.origin.go_live(record.name)
    stored.origin.go_live(record.name, "another-app")
    publication = await stored.go_live(record.name, "rtmp://elsewhere/live")
    stored.origin.leave(record.name)
    await stored.settle()
    stored.origin.leave(record.name, "another-app")
    await stored.settle()
    assert await stored.state(record.name) == "live"
    assert publication.session_id is not None
    await stored.sessions.end(publication.session_id, "deleted")
    await stored.settle()
    assert await stored.history(record.name) == [("created", None), ("live", None), ("ended", "deleted")]


async def test_one_that_is_not_live_keeps_no_stream_live(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    stage.origin.publish(record.name, "another-app")
    stage.origin.leave(record.name)
    await stage.settle()
    assert await stage.state(record.name) == "ended"


async def test_a_session_that_takes_over_is_live_in_the_end(stage: Stage) -> None:
    record = await stage.streams.create()
    old = await stage.go_live(record.name)
    # The worker tells the end of the old one after it has made the new one.
    await stage.create(record.name)
    assert len(stage.publications.of(record.name)) == 2
    await stage.follow()
    assert old.reason == "replaced"
    stage.origin.go_live(record.name, is_own=True)
    await stage.settle()
    assert (await stage.history(record.name))[-2:] == [("ended", "replaced"), ("live", None)]


async def test_stop_while_a_stream_goes_live(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.hold("enter")
    stored.origin.go_live(record.name)
    await stored.reached()
    stopping = asyncio.create_task(stored.streams.stop(record.id))
    while stored.origin.publishing:
        await asyncio.sleep(0)
    assert not stopping.done()
    await stored.release("enter")
    assert (await stopping).state == "ended"
    assert await stored.history(record.name) == [("created", None), ("live", None), ("ended", "stopped")]


async def test_stop_leaves_who_came_after_it(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    stage.hold("enter")
    stopping = asyncio.create_task(stage.streams.stop(record.id))
    await stage.reached()
    stage.origin.go_live(record.name)
    await stage.release("enter")
    assert (await stopping).state == "live"
    assert len(stage.publications.of(record.name)) == 1


async def test_lock_while_a_stream_goes_live(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.hold("enter")
    stored.origin.go_live(record.name)
    await stored.reached()
    locking = asyncio.create_task(stored.streams.lock(record.id))
    await stored.release("enter")
    assert (await locking).state == "locked"
    assert [word for word, _ in await stored.history(record.name)] == ["created", "live", "ended", "locked"]
    assert stored.origin.publishing == {}


@pytest.mark.parametrize(("operation", "expected"), [("lock", "locked"), ("delete", "deleted")])
@pytest.mark.parametrize("kind", ["whip", "rtmp"])
async def test_who_was_let_in_before_is_stopped(
    stage: Stage, operation: str, expected: str, kind: str
) -> None:
    record = await stage.streams.create()
    await stage.streams.admit(attempt(record.name))
    await getattr(stage.streams, operation)(record.id)
    if kind == "whip":
        await stage.go_live(record.name)
    else:
        stage.origin.go_live(record.name)
    (publication,) = stage.publications.all()
    await stage.settle()
    assert publication.reason == expected
    assert stage.publications.all() == [] and not stage.worker.sessions and not stage.origin.publishing
    assert await stage.history(record.name) == [("created", None), (expected, expected)]


async def test_an_encoder_that_comes_back_during_the_lock_is_stopped_too(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    stage.hold("enter")
    locking = asyncio.create_task(stage.streams.lock(record.id))
    await stage.reached()
    stage.origin.leave(record.name)
    stage.origin.go_live(record.name)
    await stage.release("enter")
    assert (await locking).state == "locked"
    await stage.settle()
    assert stage.origin.publishing == {}
    assert await stage.state(record.name) == "locked"


async def test_who_goes_live_while_its_stream_is_forgotten_gets_no_new_record(stage: Stage) -> None:
    stage.origin.go_live("cam")
    await stage.settle()
    record = await stage.streams.find("cam")
    assert record is not None
    stage.hold("forget")
    deleting = asyncio.create_task(stage.streams.delete(record.id))
    await stage.reached()
    stage.origin.go_live("cam", "another-app")
    await stage.release("forget")
    await deleting
    await stage.settle()
    assert await stage.record("cam") is None and stage.publications.all() == []


async def test_lock_and_unlock_at_once(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    stage.take_told()
    await asyncio.gather(stage.streams.lock(record.id), stage.streams.unlock(record.id))
    await stage.settle()
    assert [what for what, _ in stage.told] == ["ended", "locked", "unlocked"]
    assert await stage.state(record.name) == "ended"
    assert stage.origin.publishing == {}


# Trouble.


async def test_a_database_that_is_away_is_tried_until_it_is_back(stage: Stage) -> None:
    record = await stage.streams.create()
    pauses = Pauses(stage)
    stage.store.fails = {"find": [AWAY] * 6 + [TimeoutError()], "enter": [AWAY, ConnectionError()]}
    with structlog.testing.capture_logs() as logs:
        stage.origin.go_live(record.name)
        stage.origin.leave(record.name)
        stage.origin.go_live(record.name)
        await stage.settle()
    assert pauses.seconds == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [word for word, _ in await stage.history(record.name)] == ["created", "live", "ended", "live"]
    assert len(stage.origin.publishing) == 1
    assert len(logs) == 9 and record.name not in str(logs)
    pauses.seconds.clear()
    stage.store.fails = {"find": [AWAY]}
    stage.origin.leave(record.name)
    await stage.settle()
    assert pauses.seconds == [0.5]


async def test_what_was_written_without_an_answer_is_written_and_told_once(stage: Stage) -> None:
    record = await stage.streams.create()
    Pauses(stage)
    stage.take_told()
    for change, word in ((stage.origin.go_live, "live"), (stage.origin.leave, "ended")):
        stage.store.after = {"enter": [AWAY]}
        change(record.name)
        await stage.settle()
        assert stage.take_told() == [(word, record.name)]
    assert await stage.history(record.name) == [("created", None), ("live", None), ("ended", "unpublished")]


async def test_a_database_that_never_answers_is_given_up_for_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_live, "TRY_TIMEOUT", 0.01)
    record = await stage.streams.create()

    async def answer(seconds: float) -> None:
        monkeypatch.setattr(going_live, "TRY_TIMEOUT", WAIT)
        stage.store.held.clear()

    stage.streams._going_live._sleep = answer
    stage.hold("find")
    stage.origin.go_live(record.name)
    await stage.settle()
    assert stage.store.calls.count("find") == 2
    assert await stage.state(record.name) == "live"


async def test_what_waits_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_live, "MAX_CHANGES", 5)
    record = await stage.streams.create()
    stage.hold("find")
    stage.origin.go_live(record.name)
    await stage.reached()
    for _ in range(10):
        stage.origin.leave(record.name)
        stage.origin.go_live(record.name)
    stage.origin.leave(record.name)
    (waiting,) = stage.streams._going_live._waiting.values()
    assert len(waiting) <= 5
    await stage.release("find")
    words = [word for word, _ in await stage.history(record.name)]
    assert words == ["created", "live", "ended", "live", "ended"]


async def test_many_who_are_live_at_once_are_not_left_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_live, "MAX_CHANGES", 2)
    record = await stage.streams.create()
    for number in range(4):
        stage.origin.go_live(record.name, f"app-{number}")
    await stage.settle()
    await stage.streams.set_push_url(record.id, "rtmp://far/app/name")
    assert await stage.state(record.name) == "live" and len(stage.origin.pushes) == 4


async def test_names_that_wait_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_live, "MAX_NAMES", 2)
    stage.hold("find")
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            stage.origin.go_live(f"cam-{number}")
    await stage.release("find")
    assert [await stage.state(f"cam-{number}") for number in range(3)] == ["live", "live", None]
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_bug_costs_one_change(stage: Stage) -> None:
    record = await stage.streams.create()
    stage.store.fails = {"find": [RuntimeError("a bug")]}
    with structlog.testing.capture_logs() as logs:
        stage.origin.go_live(record.name)
        await stage.settle()
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert await stage.state(record.name) == "created"
    stage.origin.leave(record.name)
    stage.origin.go_live(record.name)
    await stage.settle()
    assert await stage.state(record.name) == "live"


async def test_who_lost_its_record_meanwhile_is_stopped_where_only_known_ones_may_publish(
    database: Database,
) -> None:
    stage = Stage(database, require_known=True)
    stage.origin.go_live("unknown")
    (publication,) = stage.publications.all()
    await stage.settle()
    assert publication.reason == "deleted" and await stage.record("unknown") is None
    await stage.streams.close()


async def test_after_the_close_nothing_is_written(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.close()
    await stage.streams.close()
    stage.origin.go_live(record.name)
    await stage.settle()
    assert await stage.state(record.name) == "created"


async def test_another_gateway_takes_over_from_one_that_is_gone(stored: Stage) -> None:
    record = await stored.streams.create()
    stored.origin.go_live(record.name)
    await stored.settle()
    other = Stage(stored.store.store._database, node="other")
    other.origin.go_live(record.name)
    await other.settle()
    assert other.told == [("live", record.name)]
    # The first one starts again, and leaves alone what is not its own any more.
    await stored.streams.start()
    assert await stored.state(record.name) == "live"
    other.origin.leave(record.name)
    await other.settle()
    assert await stored.state(record.name) == "ended"
    await other.streams.close()


async def test_who_was_live_here_before_takes_over_again(stage: Stage, database: Database) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    stage.origin.leave(record.name)
    await stage.settle()
    other = Stage(database, node="other")
    other.origin.go_live(record.name)
    await other.settle()
    stage.origin.go_live(record.name)
    await stage.settle()
    await other.streams.start()
    assert await stage.state(record.name) == "live"
    await other.streams.close()


async def test_who_shows_no_frame_ends_nothing_elsewhere(stage: Stage, database: Database) -> None:
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    other = Stage(database, node="other")
    other.origin.publish(record.name)
    other.origin.leave(record.name)
    await other.settle()
    assert await stage.state(record.name) == "live"
    await other.streams.close()


async def test_a_restart_mends_what_could_not_be_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_live, "CLOSE_TIMEOUT", 0.01)
    stage = Stage(database)
    record = await stage.streams.create()
    stage.origin.go_live(record.name)
    await stage.settle()
    stage.store.fails = {"find": [AWAY] * 100}
    stage.origin.leave(record.name)
    await stage.streams.close()
    assert not stage.streams._going_live._tasks
    assert await stage.state(record.name) == "live"
    again = Stage(database)
    await again.streams.start()
    assert (await stage.history(record.name))[-1] == ("ended", "restart")
    assert again.told == [("ended", record.name)]


async def test_a_real_outage_of_postgresql() -> None:
    cluster = running_cluster()
    async with open_database("postgresql") as database:
        stage = Stage(database)
        pauses = Pauses(stage)
        record = await stage.streams.create()
        name = database._engine.url.database
        await cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await cluster.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608
        )
        await stage.streams.admit(attempt(record.name))
        stage.origin.go_live(record.name)
        while not pauses.seconds:
            await asyncio.sleep(0.001)
        stage.origin.leave(record.name)
        await cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await stage.settle()
        assert [word for word, _ in await stage.history(record.name)] == ["created", "live", "ended"]
        await stage.streams.close()


async def test_a_session_that_the_worker_lost_has_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.0)
    publication = await stage.go_live("cam")
    await stage.settle()
    stage.worker.sessions.clear()
    # Whoever looks at it notices, and only the first one does.
    assert publication.session_id is not None
    looks = (stage.sessions.describe(publication.session_id) for _ in range(2))
    assert [type(error) for error in await asyncio.gather(*looks, return_exceptions=True)] == [
        SessionNotFound
    ] * 2
    await stage.settle()
    assert publication.reason == "lost" and stage.publications.all() == []
    assert await stage.history("cam") == [("created", None), ("live", None), ("ended", "lost")]
    assert stage.kinds.count("session.ended") == 1


async def test_a_further_sink_goes_live_and_ends_by_itself(stage: Stage) -> None:
    record = await stage.streams.create()
    session = await stage.go_live("cam")
    second = await stage.add_sink(session, record.name)
    await stage.settle()
    assert await stage.state(record.name) == "created"
    stage.origin.go_live(record.name, is_own=True)
    await stage.settle()
    assert await stage.state(record.name) == "live"
    stopped = await stage.streams.stop(record.id)
    assert (stopped.state, stopped.reason) == ("ended", "stopped")
    assert second.is_over and not session.is_over and await stage.state("cam") == "live"


async def test_a_further_sink_under_a_name_that_nobody_created(stage: Stage) -> None:
    await stage.add_sink(await stage.go_live("cam"), "second")
    stage.origin.go_live("second", is_own=True)
    await stage.settle()
    record = await stage.record("second")
    assert record is not None and (record.state, record.is_assigned) == ("live", False)
    await stage.sessions.end("id-1", "deleted")
    await stage.settle()
    assert (await stage.state("second"), await stage.state("cam")) == ("ended", "ended")


async def test_a_further_sink_that_turns_out_to_be_locked_is_removed(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.lock(record.id)
    session = await stage.go_live("cam")
    second = await stage.add_sink(session, record.name)
    stage.origin.go_live(record.name, is_own=True)
    await stage.settle()
    assert second.reason == "locked" and not session.is_over
