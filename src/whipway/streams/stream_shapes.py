"""What a stream looks like in events: plain data without any URL, as those may hold keys."""

from datetime import UTC, datetime
from typing import Any

from whipway.streams.records import StreamRecord


def describe(record: StreamRecord) -> dict[str, Any]:
    """The record for whoever may see streams."""
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state.value,
        "tags": list(record.tags),
        "is_assigned": record.is_assigned,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "live_at": iso(record.live_at),
        "ended_at": iso(record.ended_at),
        "locked_at": iso(record.locked_at),
        "deleted_at": iso(record.deleted_at),
        "reason": record.reason,
    }


def iso(moment: datetime | None) -> str | None:
    """ISO 8601, UTC, to the millisecond: "2026-01-02T03:04:05.678Z"."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
