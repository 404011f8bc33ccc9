"""What a media worker answers: to each request one of these, or `events.SessionEnded`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whipway.worker.messages.events import SessionEnded


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """Reply: the session waits for its client; `answer` is SDP, `etag` the ICE session's entity tag.

    `snapshot`: how it looks now, which is all that is known of it should its worker be lost.
    """

    session_id: str
    answer: str
    etag: str
    snapshot: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """Reply: nothing was created or ended. `kind`: "malformed", "unsupported", "busy" or "draining"."""

    session_id: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class IceUpdated:
    """Reply: candidates were taken, and both fields are empty; or ICE restarts, with a new entity tag and a
    fragment with this side's new credentials and candidates."""

    session_id: str
    etag: str
    fragment: str


@dataclass(frozen=True, slots=True)
class IceNotUpdated:
    """Reply: nothing has changed. `kind`: "malformed", or "stale": no entity tag matched."""

    session_id: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class SinkAdded:
    """Reply: the sink is there; `sink` describes it, as in the session's snapshot."""

    session_id: str
    sink: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SinkRefused:
    """Reply: nothing has changed. `kind`: "busy": another publisher has the stream; "full": no more sinks."""

    session_id: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class SinkRemoved:
    """Reply: the sink is over; `sink` describes it for the last time."""

    session_id: str
    sink: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnknownSink:
    """Reply: the session has no such sink (any more)."""

    session_id: str
    sink_id: str


@dataclass(frozen=True, slots=True)
class MetadataSent:
    """Reply: the message is on its way to the sinks that there are."""

    session_id: str


@dataclass(frozen=True, slots=True)
class InputSelected:
    """Reply: the input is on air, or will be with its next key frame."""

    session_id: str


@dataclass(frozen=True, slots=True)
class UnknownInput:
    """Reply: the session has no such input."""

    session_id: str
    mid: str


@dataclass(frozen=True, slots=True)
class QualitySet:
    """Reply: the quality is asked for."""

    session_id: str


@dataclass(frozen=True, slots=True)
class UnknownLayer:
    """Reply: the input on air has no such layer. Nothing has changed."""

    session_id: str
    layer: str


@dataclass(frozen=True, slots=True)
class KeyframeRequested:
    """Reply: the client is asked for a key frame."""

    session_id: str


@dataclass(frozen=True, slots=True)
class KeyframePicture:
    """Reply: a key frame in H.264's byte stream format (Annex B), parameter sets first, in base64.

    "": there is none yet.
    """

    session_id: str
    mid: str
    picture: str


@dataclass(frozen=True, slots=True)
class SessionDescribed:
    """Reply: what the session looks like now."""

    session_id: str
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerDescribed:
    """Reply: the worker's own figures since it began.

    `drops`: datagrams that were given to no session, by reason. `totals`: counts over all its sessions, also
    those that are over (`worker.totals`). `loop_lag`: seconds by which its event loop was late, the worst of
    the last ones. `cpu_seconds`: of its process; `cpu_load`: of one core, lately; `bitrate`: bits a second
    received, lately.
    """

    drops: Mapping[str, int]
    sessions: int
    totals: Mapping[str, Any]
    loop_lag: float
    cpu_seconds: float
    cpu_load: float
    bitrate: float


@dataclass(frozen=True, slots=True)
class StreamYielded:
    """Reply: nobody of this worker has the stream any more."""

    stream_key: str


@dataclass(frozen=True, slots=True)
class StreamKept:
    """Reply: a living session has the stream, and keeps it."""

    stream_key: str
    detail: str


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    """Reply: every session has ended, each with an event of its own."""


@dataclass(frozen=True, slots=True)
class UnknownSession:
    """Reply: the worker has no such session (any more)."""

    session_id: str


Reply = (
    SessionCreated
    | SessionRefused
    | SinkAdded
    | SinkRefused
    | SinkRemoved
    | UnknownSink
    | MetadataSent
    | InputSelected
    | UnknownInput
    | QualitySet
    | UnknownLayer
    | KeyframeRequested
    | KeyframePicture
    | IceUpdated
    | IceNotUpdated
    | SessionEnded
    | SessionDescribed
    | WorkerDescribed
    | StreamYielded
    | StreamKept
    | WorkerStopped
    | UnknownSession
)
