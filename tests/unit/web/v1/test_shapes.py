"""What answers are made of, of records alone."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Request

from whipway.config import Settings
from whipway.streams.publications import Publication, Publications
from whipway.streams.records import (
    KeyRecord,
    Organisation,
    Role,
    StateChange,
    StreamRecord,
    StreamState,
    Webhook,
    utc_now,
)
from whipway.streams.session_publications import session_handle
from whipway.web.stream_urls import StreamUrls
from whipway.web.v1 import shapes
from whipway.web.v1.shapes import (
    StreamShapes,
    WallClock,
    change_document,
    iso,
    key_document,
    organisation_document,
    webhook_document,
)

AT = datetime(2026, 3, 1, 12, 0, 0, 5000, UTC)
STREAM = StreamRecord(
    "id-1", "one", StreamState.LIVE, ("a",), True, AT, AT, AT, push_url="rtmp://me:pw@push.example/app/key"
)
REQUEST = Request({"type": "http", "scheme": "https", "headers": [(b"host", b"live.example")]})


def publication(kind: Any = "whip", *, began_at: float, live_since: float | None = None) -> Publication:
    """Of somebody at work, who began at that time."""
    publications = Publications(lambda: began_at)
    made = publications.begin(
        kind,
        app="live",
        stream_name="one",
        client="192.0.2.7",
        stream_url="rtmp://127.0.0.1/live",
        session_id="secret" if kind == "whip" else None,
        is_here=True,
    )
    made.live_since = live_since
    return made


class PlayedPublishers:
    def __init__(self, *publications: Publication) -> None:
        self.publications = publications

    def publications_of(self, _: StreamRecord) -> Sequence[Publication]:
        return self.publications


def shape(
    *publications: Publication,
    stream: StreamRecord = STREAM,
    origin: str | None = "rtmp://127.0.0.1/live",
    **more: Any,
) -> dict[str, Any]:
    urls = StreamUrls(Settings(), origin, 1935)
    return StreamShapes(urls, PlayedPublishers(*publications)).stream(stream, REQUEST, **more)


def test_times() -> None:
    assert iso(AT) == "2026-03-01T12:00:00.005Z"
    assert iso(None) is None


def test_a_stream() -> None:
    whip = "https://live.example/p/webrtc?stream_name=one&stream_url=rtmp://127.0.0.1/live"
    rtmp = {"url": "rtmp://127.0.0.1/live", "streamname": "one"}
    assert shape() == {
        "id": "id-1",
        "name": "one",
        "state": "live",
        "tags": ["a"],
        "is_assigned": True,
        "created_at": iso(AT),
        "updated_at": iso(AT),
        "live_at": iso(AT),
        "ended_at": None,
        "locked_at": None,
        "deleted_at": None,
        "reason": None,
        "push_url": "rtmp://push.example:1935/app/****",
        "ingest": {"whip": {"url": whip}, "rtmp": rtmp},
        "playout": {"rtmp": [rtmp], "flv": "https://live.example/live/one.flv", "web": []},
        "publisher": None,
    }


def test_a_stream_that_goes_nowhere() -> None:
    found = shape(stream=replace(STREAM, push_url=None), origin=None)
    assert found["push_url"] is None
    assert found["ingest"] == {"whip": None, "rtmp": None}
    assert found["playout"] == {"rtmp": [], "flv": None, "web": []}


def test_what_players_are_shown() -> None:
    found = shape(publication(began_at=time.monotonic()), is_shown_in_full=False)
    assert found["publisher"] is found["push_url"] is None
    assert found["ingest"] == {"whip": None, "rtmp": None}
    assert found["playout"]["rtmp"]


def test_who_publishes() -> None:
    now = time.monotonic()
    found = shape(publication(began_at=now - 60))["publisher"]
    began = datetime.fromisoformat(found.pop("since"))
    assert abs(began - (utc_now() - timedelta(seconds=60))) < timedelta(seconds=5)
    assert found == {"kind": "whip", "session": session_handle("secret"), "client": "192.0.2.7"}
    assert shape(publication("rtmp", began_at=now))["publisher"]["session"] is None


def test_of_several_the_one_whose_media_came_first() -> None:
    now = time.monotonic()
    early, late = publication(began_at=now), publication("rtmp", began_at=now + 5, live_since=now + 6)
    assert shape(early, late)["publisher"]["kind"] == "rtmp"
    live = publication(began_at=now, live_since=now + 7)
    assert shape(live, late)["publisher"]["kind"] == "rtmp"
    waiting = publication("rtmp", began_at=now + 5)
    assert shape(early, waiting)["publisher"]["kind"] == "whip"


def test_a_clock_says_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, at = WallClock(), time.monotonic()
    assert clock.at(at) == clock.at(at)
    before = clock.at(at)
    # Somebody sets the clock.
    monkeypatch.setattr(shapes, "utc_now", lambda: utc_now() + timedelta(hours=1))
    assert clock.at(at) - before > timedelta(minutes=59)


def test_state_changes() -> None:
    change = change_document(StateChange(StreamState.ENDED, AT, "restart"))
    assert change == {"state": "ended", "at": iso(AT), "reason": "restart"}


def test_keys() -> None:
    assert key_document(KeyRecord("k", "Ada", Role.READ_ONLY, AT, used_at=AT)) == {
        "id": "k",
        "name": "Ada",
        "role": "read-only",
        "stream_id": None,
        "created_at": iso(AT),
        "expires_at": None,
        "revoked_at": None,
        "used_at": iso(AT),
    }


def test_webhooks_without_their_secrets() -> None:
    assert webhook_document(Webhook("w", "https://hook.example/", "whsec_x", ("*",), AT)) == {
        "id": "w",
        "url": "https://hook.example/",
        "events": ["*"],
        "created_at": iso(AT),
    }


@pytest.mark.parametrize("with_webhook", [True, False])
def test_the_organisation(with_webhook: bool) -> None:
    organisation = Organisation("o", "Ours", "Hx4Qa", "https://hook.example/secret", AT)
    assert organisation_document(organisation, with_webhook=with_webhook) == {
        "id": "o",
        "name": "Ours",
        "hash": "Hx4Qa",
        "webhook": "https://hook.example/secret" if with_webhook else None,
        "created_at": iso(AT),
    }
