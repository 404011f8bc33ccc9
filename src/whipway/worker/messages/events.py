"""What a media worker says on its own account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """Event: a session's state, or that of one of its sinks, is another one now; also which sinks it has.

    `state` as in the session's snapshot. `sinks`: of each what `BroadcastSink.standing` says.
    """

    session_id: str
    state: str
    sinks: list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Reply and event: the session is over and everything it held is released."""

    session_id: str
    reason: str
    detail: str
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """Event, several times a second: what a worker's process uses of one core, and the bits it receives."""

    cpu_load: float
    bitrate: float


Event = SessionChanged | SessionEnded
"""Of sessions."""
WorkerEvent = Event | LoadMeasured
