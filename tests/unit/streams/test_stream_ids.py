from dataclasses import replace
from datetime import UTC, datetime

import pytest

from whipway.streams import stream_ids
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.stream_ids import StreamIds

AT = datetime(2026, 1, 2, tzinfo=UTC)


def record(name: str) -> StreamRecord:
    return StreamRecord(f"id of {name}", name, StreamState.CREATED, (), True, AT, AT)


def test_a_stream_is_known_until_it_is_gone() -> None:
    ids = StreamIds()
    assert ids.brief("a") is None
    ids.note(record("a"))
    assert ids.brief("a") == {"id": "id of a", "name": "a"}
    ids.note(replace(record("a"), state=StreamState.DELETED))
    assert ids.brief("a") is None
    ids.note(record("a"))
    ids.forget("a")
    ids.forget("a")
    assert ids.brief("a") is None


def test_what_nobody_asks_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_ids, "MAX_KEPT", 3)
    ids = StreamIds()
    for name in "abc":
        ids.note(record(name))
    assert ids.brief("a")
    ids.note(record("b"))
    ids.note(record("d"))
    assert [name for name in "abcd" if ids.brief(name)] == ["a", "b", "d"]
