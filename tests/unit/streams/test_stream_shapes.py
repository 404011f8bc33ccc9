from datetime import UTC, datetime, timedelta, timezone

from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.stream_shapes import describe, iso

AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


def test_times_are_in_utc_and_to_the_millisecond() -> None:
    assert iso(AT) == "2026-01-02T03:04:05.678Z"
    assert iso(AT.astimezone(timezone(timedelta(hours=5)))) == "2026-01-02T03:04:05.678Z"
    assert iso(AT.replace(microsecond=0)) == "2026-01-02T03:04:05.000Z"
    assert iso(None) is None


def test_events_hold_no_url() -> None:
    record = StreamRecord(
        "an-id",
        "a-name",
        StreamState.LIVE,
        ("b", "a"),
        True,
        AT,
        AT,
        live_at=AT,
        push_url="rtmp://h/a/secret",
    )
    assert describe(record) == {
        "id": "an-id",
        "name": "a-name",
        "state": "live",
        "tags": ["b", "a"],
        "is_assigned": True,
        "created_at": iso(AT),
        "updated_at": iso(AT),
        "live_at": iso(AT),
        "ended_at": None,
        "locked_at": None,
        "deleted_at": None,
        "reason": None,
    }
