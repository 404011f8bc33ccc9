from typing import Any

import pytest

from whipway.streams import session_publications
from whipway.streams.destinations import Destinations
from whipway.streams.events import EventLog
from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.publications import Publications
from whipway.streams.records import StreamRecord, StreamState, utc_now
from whipway.streams.session_publications import (
    IsHere,
    SessionPublications,
    make_is_here,
    session_handle,
)
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import SessionChanged, SessionEnded

HANDLE = session_handle("id-1")


class Stage:
    def __init__(self) -> None:
        self.publications = Publications()
        self.told: list[tuple[str, dict[str, Any]]] = []
        events = EventLog()
        events.listen(lambda event: self.told.append((event.kind, dict(event.data))))
        is_here: IsHere = lambda stream_url: stream_url.startswith("rtmp://here/")  # noqa: E731
        further = FurtherSinks(self.publications, is_here)
        self.watcher = SessionPublications(self.publications, further, events, is_here)

    def create(self, id: str = "id-1", name: str = "cam?pass=hush", url: str = "rtmp://here/live") -> None:
        self.watcher.session_created(id, stream_name=name, stream_url=url, client="1.2.3.4")

    def change(self, state: str, *sinks: tuple[str, str], id: str = "id-1") -> None:
        self.watcher.session_changed(
            SessionChanged(id, state, [sink(number, standing) for number, standing in sinks])
        )

    def end(self, id: str = "id-1", **snapshot: Any) -> None:
        self.watcher.session_ended(SessionEnded(id, "silence", "nothing came", snapshot))

    def kinds(self) -> list[str]:
        kinds = [kind for kind, _ in self.told]
        self.told.clear()
        return kinds


def sink(number: str, state: str) -> dict[str, Any]:
    return {"id": number, "stream_name": "cam", "state": state, "reason": None, "detail": ""}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_handle_does_not_tell_the_id() -> None:
    # The first 64 bits of SHA-256("abc"), FIPS 180-2, appendix B.1.
    assert session_handle("abc") == "ba7816bf8f01cfea"


def test_a_session_is_a_publication(stage: Stage) -> None:
    stage.create(url="rtmp://here/live/team?a=1")
    (publication,) = stage.publications.all()
    assert (publication.kind, publication.name, publication.key) == ("whip", "team/cam", "live/team/cam")
    assert (publication.session_id, publication.client) == ("id-1", "1.2.3.4")
    assert publication.arguments == "pass=hush"
    assert publication.is_here and not publication.is_live
    assert stage.told == [("session.created", {"session": HANDLE, "stream": None})]


def test_it_may_go_elsewhere(stage: Stage) -> None:
    stage.create(url="rtmp://there/live")
    (publication,) = stage.publications.all()
    assert not publication.is_here


def test_events_name_the_stream_if_it_is_known(stage: Stage) -> None:
    now = utc_now()
    record = StreamRecord("an-id", "cam", StreamState.CREATED, (), True, now, now)
    stage.publications.streams.note(record)
    stage.create()
    stage.change("live", ("1", "connecting"))
    stage.end()
    assert [data["stream"] for _, data in stage.told] == [{"id": "an-id", "name": "cam"}] * 5


def test_it_is_live_when_some_sink_is(stage: Stage) -> None:
    stage.create()
    (publication,) = stage.publications.all()
    stage.change("live", ("1", "connecting"))
    stage.change("live", ("1", "retrying"), ("2", "connecting"))
    assert not publication.is_live
    stage.change("live", ("1", "retrying"), ("2", "publishing"))
    assert publication.is_live


def test_events_come_with_changes_alone(stage: Stage) -> None:
    stage.create()
    stage.change("connecting", ("1", "connecting"))
    assert stage.kinds() == ["session.created", "sink.connecting"]
    stage.change("live", ("1", "connecting"))
    stage.change("live", ("1", "connecting"))
    assert stage.kinds() == ["session.connected"]
    stage.change("live", ("1", "publishing"), ("2", "connecting"))
    assert stage.kinds() == ["sink.publishing", "sink.connecting"]
    stage.change("live", ("1", "retrying"), ("2", "failed"))
    stage.change("live", ("1", "retrying"), ("2", "failed"))
    assert stage.kinds() == ["sink.retrying", "sink.failed"]
    stage.change("live", ("1", "retrying"))
    assert stage.told == [("sink.removed", {"session": HANDLE, "stream": None, "sink": sink("2", "removed")})]


def test_its_end_is_that_of_its_sinks(stage: Stage) -> None:
    stage.create()
    stage.change("live", ("1", "publishing"), ("2", "connecting"))
    (publication,) = stage.publications.all()
    stage.kinds()
    stage.end(tracks=[{"bytes": 100}, {"bytes": 20}], sinks=[{"id": "1", "bytes": 50}, {"id": "2"}])
    assert publication.is_over
    assert (publication.reason, publication.bytes_in, publication.bytes_out) == ("silence", 120, 50)
    assert stage.told[-1] == (
        "session.ended",
        {"session": HANDLE, "stream": None, "reason": "silence", "detail": "nothing came"},
    )
    assert stage.kinds() == ["sink.removed", "sink.removed", "session.ended"]
    stage.end()
    stage.change("live")
    assert stage.told == []


def test_no_event_holds_the_id_or_a_secret(stage: Stage) -> None:
    stage.create("a-long-session-id")
    stage.change("live", ("1", "publishing"), id="a-long-session-id")
    stage.end("a-long-session-id")
    assert "a-long-session-id" not in str(stage.told) and "hush" not in str(stage.told)


def test_an_end_that_was_told_first_stays_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.end()
    stage.create()
    assert stage.publications.all() == [] and stage.told == []
    stage.create("id-2")
    assert len(stage.publications.all()) == 1


def test_ends_of_sessions_that_nobody_made_are_not_kept_for_ever(stage: Stage) -> None:
    for number in range(session_publications.MAX_EARLY_ENDS + 1):
        stage.end(f"id-{number}")
    stage.create("id-0")
    stage.create("id-1")
    assert len(stage.publications.all()) == 1


@pytest.mark.parametrize(
    ("stream_url", "expected"),
    [
        ("rtmp://127.0.0.1:1935/live", True),
        ("rtmp://localhost/other?x=1", True),
        ("rtmp://[::1]/live", True),
        ("rtmp://8.8.8.8/live", True),
        ("rtmp://127.0.0.1:1936/live", False),
        ("rtmp://8.8.4.4/live", False),
        ("rtmp://host/live", False),
    ],
)
def test_where_here_is(stream_url: str, expected: bool) -> None:
    key = Destinations(EgressPolicy(own=[("8.8.8.8", 1935), ("127.0.0.1", 1935)])).key
    assert make_is_here(key, "rtmp://127.0.0.1:1935/live")(stream_url) is expected
    assert not make_is_here(key, None)(stream_url)


# Further sinks


async def remove() -> None:
    """Is not called here."""


def add(stage: Stage, number: str = "2", name: str = "second", url: str = "rtmp://here/live") -> None:
    stage.watcher.sink_added("id-1", number, stream_name=name, stream_url=url, remove=remove)


def test_a_further_sink_is_a_publication(stage: Stage) -> None:
    stage.create()
    stage.change("live", ("1", "publishing"))
    add(stage)
    first, second = stage.publications.all()
    assert (second.name, second.session_id, second.remove) == ("second", "id-1", remove)
    stage.change("live", ("1", "publishing"), ("2", "connecting"))
    assert not second.is_live
    stage.change("live", ("1", "publishing"), ("2", "publishing"))
    assert second.is_live
    stage.change("live", ("1", "publishing"), ("2", "retrying"))
    assert second.is_live
    stage.change("live", ("1", "publishing"))
    assert second.reason == "unpublished" and first.is_live


def test_a_further_sink_that_is_taken_away_is_over_at_once(stage: Stage) -> None:
    stage.create()
    add(stage)
    _, second = stage.publications.all()
    stage.watcher.sink_removed("id-1", {"id": "2", "bytes": 7})
    assert (second.reason, second.bytes_out) == ("unpublished", 7)
    stage.watcher.sink_removed("id-1", {"id": "1"})
    stage.watcher.sink_removed("unknown", {"id": "2"})
    assert len(stage.publications.all()) == 1


def test_a_further_sink_that_gives_up_is_over(stage: Stage) -> None:
    stage.create()
    add(stage)
    _, second = stage.publications.all()
    stage.change("live", ("1", "publishing"), ("2", "failed"))
    stage.change("live", ("1", "publishing"))
    assert second.reason == "sink_failed" and len(stage.publications.all()) == 1


def test_a_further_sink_ends_with_its_session(stage: Stage) -> None:
    stage.create()
    add(stage)
    add(stage, "3", "third")
    _, second, third = stage.publications.all()
    stage.change("live", ("1", "publishing"), ("2", "publishing"))
    stage.end(tracks=[{"bytes": 100}], sinks=[{"id": "1", "bytes": 50}, {"id": "2", "bytes": 20}])
    assert (second.reason, second.bytes_in, second.bytes_out) == ("silence", 100, 20)
    assert (third.reason, third.bytes_in, third.bytes_out) == ("silence", 100, 0)
    assert stage.publications.all() == []


def test_events_may_be_quicker_than_whoever_tells_of_a_sink(stage: Stage) -> None:
    stage.create()
    stage.change("live", ("1", "publishing"), ("2", "publishing"), ("3", "publishing"))
    add(stage)
    _, second = stage.publications.all()
    assert second.is_live
    stage.change("live", ("1", "publishing"), ("2", "publishing"))
    add(stage, "3", "third")
    stage.end()
    add(stage, "4", "fourth")
    assert stage.publications.all() == []
