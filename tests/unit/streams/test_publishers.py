"""How those who publish are made to stop."""

import asyncio

import pytest
import structlog
from tests.unit.streams.stream_stage import Stage

from whipway.streams import known_sessions, publishers
from whipway.streams.publishers import Publishers
from whipway.worker.messages import RemoveSink, UnknownSink

pytestmark = pytest.mark.anyio


async def test_all_of_them_are_stopped(stage: Stage) -> None:
    session = await stage.create("cam")
    stage.origin.publish("cam")
    stage.origin.publish("cam", "another-app")
    those = stage.publications.of("cam")
    await stage.publishers.stop(those, "stopped")
    assert stage.publications.all() == [] and not stage.worker.sessions and not stage.origin.publishing
    assert [each.reason for each in those] == ["stopped"] * 3
    assert session in those


async def test_the_first_reason_counts(stage: Stage) -> None:
    publication = await stage.create("cam")
    await asyncio.gather(
        stage.publishers.stop([publication], "locked"), stage.publishers.stop([publication], "deleted")
    )
    assert publication.reason == "locked"


async def test_who_is_over_is_left_alone(stage: Stage) -> None:
    stage.origin.publish("cam")
    (old,) = stage.publications.all()
    stage.origin.leave("cam")
    stage.origin.publish("cam")
    await stage.publishers.stop([old], "stopped")
    assert len(stage.publications.all()) == 1


async def test_whom_the_origin_does_not_know_is_over(stage: Stage) -> None:
    stage.origin.publish("cam")
    (publication,) = stage.publications.all()
    stage.origin.publishing.clear()
    await stage.publishers.stop([publication], "stopped")
    assert publication.reason == "stopped"


async def test_there_may_be_no_origin(stage: Stage) -> None:
    stage.origin.publish("cam")
    (publication,) = stage.publications.all()
    await Publishers(stage.publications, stage.sessions, None).stop([publication], "stopped")
    assert publication.is_over


async def test_a_session_that_the_worker_lost_is_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.0)
    publication = await stage.create("cam")
    stage.worker.sessions.clear()
    await stage.publishers.stop([publication], "stopped")
    assert publication.reason == "stopped" and stage.publications.all() == []


async def test_a_session_may_end_by_itself_meanwhile(stage: Stage) -> None:
    publication = await stage.create("cam")
    assert publication.session_id is not None
    stage.worker.lose(publication.session_id)
    stopping = asyncio.create_task(stage.publishers.stop([publication], "stopped"))
    await asyncio.sleep(0)
    assert not publication.is_over
    await stage.follow()
    await stopping
    assert publication.is_over


async def test_nobody_waits_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "STOP_TIMEOUT", 0.01)
    stage.origin.publish("cam")
    (publication,) = stage.publications.all()

    def stop_later(key: str) -> bool:
        return True

    monkeypatch.setattr(stage.origin, "stop", stop_later)
    with structlog.testing.capture_logs() as logs:
        await stage.publishers.stop([publication], "stopped")
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert not publication.is_over


async def test_of_a_session_a_further_sink_alone_is_stopped(stage: Stage) -> None:
    session = await stage.create("cam")
    second = await stage.add_sink(session, "second")
    await stage.publishers.stop([second], "locked")
    assert second.reason == "locked" and not session.is_over
    assert [each.sink_id for each in stage.worker.asked if isinstance(each, RemoveSink)] == ["2"]


async def test_a_further_sink_may_be_gone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.0)
    session = await stage.create("cam")
    second = await stage.add_sink(session, "second")
    stage.worker.answers[RemoveSink] = UnknownSink("id-1", "2")
    await stage.publishers.stop([second], "stopped")
    assert second.reason == "stopped" and not session.is_over
    third = await stage.add_sink(session, "third", "3")
    stage.worker.sessions.clear()
    await stage.publishers.stop([third], "stopped")
    assert (third.reason, session.reason) == ("stopped", "lost")


async def test_the_session_of_a_further_sink_may_end_meanwhile(stage: Stage) -> None:
    session = await stage.create("cam")
    second = await stage.add_sink(session, "second")
    stage.worker.lose("id-1")
    await asyncio.gather(stage.publishers.stop([second], "stopped"), stage.follow())
    assert (second.reason, session.reason) == ("stopped", "silence")
