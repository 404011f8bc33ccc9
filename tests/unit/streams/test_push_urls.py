"""Where streams are sent on to. That this follows the record is in `test_stream_directory`."""

from typing import Any

import pytest
import structlog
from tests.unit.streams.played_worker import EGRESS, resolve
from tests.unit.streams.stream_stage import HERE, Stage

from whipway.pool.failures import WorkerSilent
from whipway.streams import known_sessions
from whipway.streams.destinations import Destinations
from whipway.streams.push_urls import PushSound, PushTarget, PushUrlRefused, PushUrls, split_push_url
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    AddSink,
    RemoveSink,
    Reply,
    Request,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    UnknownSink,
)

pytestmark = pytest.mark.anyio

URL = "rtmp://far/app/name?key=x"
OTHER = "rtmp://far/app/other"


@pytest.fixture
def pushes(stage: Stage) -> PushUrls:
    stage.worker.answers = {
        AddSink: SinkAdded("id-1", {"id": "2"}),
        RemoveSink: SinkRemoved("id-1", {"id": "2"}),
    }
    sound = PushSound("opus", 64_000, "freeze")
    destinations = Destinations(EgressPolicy(own=[("127.0.0.1", 1935)], resolve=resolve))
    return PushUrls(stage.sessions, destinations, stage.further, stage.rules, lambda: sound, stage.origin)


def asked(stage: Stage) -> list[Any]:
    """What the worker was asked about sinks."""
    found = [
        each.stream_name if isinstance(each, AddSink) else each.sink_id
        for each in stage.worker.asked
        if isinstance(each, AddSink | RemoveSink)
    ]
    stage.worker.asked.clear()
    return found


@pytest.mark.parametrize(
    ("url", "stream_url", "stream_name"),
    [
        ("rtmp://far/app/name", "rtmp://far/app", "name"),
        (
            "rtmps://u:p%2F@far:444/app/instance/name?a=/b&c",
            "rtmps://u:p%2F@far:444/app/instance",
            "name?a=/b&c",
        ),
        ("rtmp://far/app/name/", "rtmp://far/app", "name"),
    ],
)
def test_a_push_url_has_two_parts(url: str, stream_url: str, stream_name: str) -> None:
    assert split_push_url(url) == PushTarget(stream_url, stream_name)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with rtmp"),
        ("http://far/app/name", "must begin with rtmp"),
        ("rtmp://far/app", "names no stream"),
        ("rtmp://far/app?key=/name", "names no stream"),
        ("rtmp://far", "names no application"),
        ("rtmp://far/app//", "names no stream"),
        ("rtmp://far/app/na me", "space"),
        ("rtmp://far/app/" + "x" * 1025, "longer than 1024"),
        ("rtmp://far/app/name?" + "x" * 1024, "longer than 1024"),
        ("rtmp://far/app/" + "x" * 2048, "longer than 2048"),
    ],
)
def test_what_is_no_push_url(url: str, message: str) -> None:
    with pytest.raises(PushUrlRefused, match=message):
        split_push_url(url)


async def test_nothing_is_sent_where_nothing_may_be_sent(pushes: PushUrls) -> None:
    await pushes.check(URL)
    with pytest.raises(PushUrlRefused, match="10.0.0.1"):
        await pushes.check("rtmp://10.0.0.1/app/name")
    with pytest.raises(PushUrlRefused):
        await pushes.check("rtmp://far/app")


async def test_a_session_gets_one_more_sink(stage: Stage, pushes: PushUrls) -> None:
    publication = await stage.create("cam")
    await pushes.apply(publication, URL)
    (added,) = [each for each in stage.worker.asked if isinstance(each, AddSink)]
    assert (added.stream_url, added.stream_name) == ("rtmp://far/app", "name?key=x")
    assert (added.audio, added.audio_bitrate, added.filler) == ("opus", 64_000, "freeze")
    asked(stage)
    await pushes.apply(publication, URL)
    assert asked(stage) == []
    await pushes.apply(publication, OTHER)
    assert asked(stage) == ["2", "other"]
    await pushes.apply(publication, None)
    assert asked(stage) == ["2"]
    await pushes.apply(publication, None)
    assert asked(stage) == []


async def test_a_session_keeps_a_sink_that_somebody_removed_out(stage: Stage, pushes: PushUrls) -> None:
    publication = await stage.create("cam")
    await pushes.apply(publication, URL)
    stage.worker.answers[RemoveSink] = UnknownSink("id-1", "2")
    await pushes.apply(publication, OTHER)
    assert asked(stage) == ["name?key=x", "2", "other"]


async def test_a_sink_that_is_refused_costs_the_session_nothing(stage: Stage, pushes: PushUrls) -> None:
    publication = await stage.create("cam")
    stage.worker.answers[AddSink] = SinkRefused("id-1", "busy", "another one has it")
    with structlog.testing.capture_logs() as logs:
        await pushes.apply(publication, URL)
    assert [entry["detail"] for entry in logs] == ["another one has it"]
    assert "key=x" not in str(logs)
    # It may be tried again.
    stage.worker.answers[AddSink] = SinkAdded("id-1", {"id": "2"})
    asked(stage)
    await pushes.apply(publication, URL)
    assert asked(stage) == ["name?key=x"]


async def test_a_session_that_is_over_gets_nothing(stage: Stage, pushes: PushUrls) -> None:
    publication = await stage.create("cam")
    assert publication.session_id is not None
    await stage.sessions.end(publication.session_id, "deleted")
    await pushes.apply(publication, URL)
    assert asked(stage) == []


async def test_a_session_that_the_worker_lost_gets_nothing(
    stage: Stage, pushes: PushUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.0)
    with_sink, without = await stage.create("one"), await stage.create("two")
    await pushes.apply(with_sink, URL)
    stage.worker.sessions.clear()
    asked(stage)
    await pushes.apply(with_sink, None)
    await pushes.apply(without, URL)
    assert without.is_over and asked(stage) == []
    assert not pushes._urls and not pushes._sinks


async def test_a_session_may_end_while_it_gets_its_sink(
    stage: Stage, pushes: PushUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = await stage.create("cam")
    ask = stage.worker.request

    async def end_meanwhile(message: Request) -> Reply:
        reply = await ask(message)
        if isinstance(message, AddSink):
            stage.publications.over(publication, "silence")
            pushes.forget(publication)
        return reply

    monkeypatch.setattr(stage.worker, "request", end_meanwhile)
    await pushes.apply(publication, URL)
    assert not pushes._urls and not pushes._sinks


async def test_nothing_is_kept_of_what_is_over(stage: Stage, pushes: PushUrls) -> None:
    publication = await stage.create("cam")
    await pushes.apply(publication, URL)
    pushes.forget(publication)
    assert not pushes._urls and not pushes._sinks
    pushes.forget(publication)


async def test_the_origin_sends_on_what_comes_by_rtmp(stage: Stage, pushes: PushUrls) -> None:
    stage.origin.publish("cam")
    (publication,) = stage.publications.all()
    await pushes.apply(publication, URL)
    assert stage.origin.pushes == {"live/cam": ("rtmp://far/app", "name?key=x")}
    await pushes.apply(publication, None)
    assert stage.origin.pushes == {}
    await pushes.apply(publication, OTHER)
    pushes.forget(publication)
    assert stage.origin.pushes == {}


async def test_an_origin_that_cannot_do_that(stage: Stage) -> None:
    pushes = PushUrls(stage.sessions, Destinations(EGRESS), stage.further, stage.rules)
    stage.origin.publish("cam")
    (publication,) = stage.publications.all()
    with structlog.testing.capture_logs() as logs:
        await pushes.apply(publication, URL)
    assert [entry["log_level"] for entry in logs] == ["warning"]
    await pushes.apply(publication, None)
    pushes.forget(publication)


# To this server itself, under another name


def here(name: str) -> str:
    return f"{HERE}/{name}"


async def test_a_session_may_be_sent_here_under_another_name(stage: Stage, pushes: PushUrls) -> None:
    session = await stage.create("cam")
    await pushes.apply(session, here("second"))
    (second,) = stage.publications.of("second")
    assert second.session_id == session.session_id and stage.asked_hook == ["second"]
    await pushes.apply(session, None)
    assert second.is_over and not session.is_over


async def test_an_rtmp_publisher_may_be_sent_here_under_another_name(stage: Stage, pushes: PushUrls) -> None:
    stage.origin.publish("cam")
    (source,) = stage.publications.all()
    await pushes.apply(source, here("second?key=x"))
    (second,) = stage.publications.of("second")
    assert (second.kind, second.arguments, second.is_live) == ("rtmp", "key=x", False)
    stage.origin.go_live("second", is_own=True)
    assert second.is_live and not source.is_live
    await stage.publishers.stop([second], "stopped")
    assert second.reason == "stopped" and not source.is_over and stage.origin.pushes == {}
    # It stays away until there is another URL, or another publisher.
    await pushes.apply(source, here("second?key=x"))
    assert stage.origin.pushes == {}
    await pushes.apply(source, here("third"))
    assert len(stage.publications.of("third")) == 1
    pushes.forget(source)
    assert stage.publications.of("third") == [] and stage.origin.pushes == {}


async def test_a_further_sink_is_sent_on_by_the_origin(stage: Stage, pushes: PushUrls) -> None:
    second = await stage.add_sink(await stage.create("cam"), "second")
    asked(stage)
    await pushes.apply(second, URL)
    assert stage.origin.pushes == {"live/second": ("rtmp://far/app", "name?key=x")}
    assert asked(stage) == []
    await pushes.apply(second, None)
    assert stage.origin.pushes == {} and asked(stage) == []


@pytest.mark.parametrize("by_rtmp", [False, True])
async def test_nothing_is_sent_in_circles_or_in_anybodys_place(
    stage: Stage, pushes: PushUrls, by_rtmp: bool
) -> None:
    stage.origin.publish("taken")
    if by_rtmp:
        stage.origin.publish("cam")
    else:
        await stage.create("cam")
    (source,) = stage.publications.of("cam")
    with structlog.testing.capture_logs() as logs:
        await pushes.apply(source, here("cam?around"))
        await pushes.apply(source, here("taken"))
    assert len(logs) == 2 and "taken" not in str(logs)
    assert stage.origin.pushes == {} and asked(stage) == []


async def test_what_its_own_rules_refuse_is_not_published_by_a_push(stage: Stage, pushes: PushUrls) -> None:
    record = await stage.streams.create()
    url = here(record.name)
    await pushes.check(url)
    session = await stage.create("cam")
    stage.hook_refuses = True
    await pushes.apply(session, url)
    stage.hook_refuses = False
    await stage.streams.lock(record.id)
    with pytest.raises(PushUrlRefused, match="is locked"):
        await pushes.check(url)
    await pushes.apply(session, url)
    assert asked(stage) == [] and stage.publications.of(record.name) == []


async def test_a_publisher_may_leave_while_the_rules_are_asked(stage: Stage, pushes: PushUrls) -> None:
    stage.origin.publish("cam")
    (source,) = stage.publications.all()
    stage.on_hook = lambda: stage.origin.leave("cam")
    await pushes.apply(source, here("second"))
    assert stage.origin.pushes == {} and stage.publications.all() == []


async def test_a_worker_that_does_not_answer(
    stage: Stage, pushes: PushUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_sink, without = await stage.create("one"), await stage.create("two")
    await pushes.apply(with_sink, URL)
    monkeypatch.setattr(stage.worker, "breaks", WorkerSilent())
    with structlog.testing.capture_logs() as logs:
        await pushes.apply(with_sink, None)
        await pushes.apply(without, URL)
    assert [entry["detail"] for entry in logs] == ["its worker does not answer"]
    monkeypatch.undo()
    # It may be tried again.
    asked(stage)
    await pushes.apply(without, URL)
    assert asked(stage) == ["name?key=x"]
