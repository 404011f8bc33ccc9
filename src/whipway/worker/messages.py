"""What gateway and media worker say to each other: plain data, nothing else crosses the seam.

A request is answered by exactly one reply; events come from the worker on its own account. Every message
can be written as JSON and read back, so that a worker may live in this process or in another one without a
difference.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

FIRST_SINK = "1"
"""The id of the sink that a session is created with."""


@dataclass(frozen=True, slots=True)
class CreateSession:
    """Ask for a session: the offer is the request's body, names and URL were checked by the gateway.

    Of sessions with one `stream_key` there is never more than one: an acceptable offer ends one whose client
    seems to be gone, and with `takes_over` one that is alive as well. All of a stream's requests go to one
    worker.
    """

    session_id: str
    offer: str
    stream_name: str
    stream_url: str
    audio: str
    audio_bitrate: int
    filler: str
    stream_key: str
    takes_over: bool


@dataclass(frozen=True, slots=True)
class AddSink:
    """Ask a session to feed one more RTMP server. Answered by SinkAdded, SinkRefused or UnknownSession.

    The fields are those of CreateSession, which says the same of the first sink. `audio`: "aac", "opus" or
    "auto"; `audio_bitrate` in bits a second, of AAC; `filler`: "freeze" or "none".
    """

    session_id: str
    stream_name: str
    stream_url: str
    audio: str
    audio_bitrate: int
    filler: str
    stream_key: str
    takes_over: bool


@dataclass(frozen=True, slots=True)
class RemoveSink:
    """Ask a session to end one of its sinks. Answered by SinkRemoved, UnknownSink or UnknownSession."""

    session_id: str
    sink_id: str


@dataclass(frozen=True, slots=True)
class SendMetadata:
    """Ask a session to put an RTMP data message into all of its sinks.

    `handler` is "onMetaData" or "onCuePoint"; `payload` plain data of any depth that AMF0 allows. Answered by
    MetadataSent or UnknownSession.
    """

    session_id: str
    handler: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SelectInput:
    """Ask a session to put another of its inputs on air, as soon as a key frame of it is there.

    Answered by InputSelected, UnknownInput or UnknownSession.
    """

    session_id: str
    mid: str


@dataclass(frozen=True, slots=True)
class SetQuality:
    """Ask a session for another quality of its video; what is not in `values` stays as it is.

    "max_video_bitrate": bits a second, or None for no limit; "layer": a rid, or "auto"; "policy": a value of
    `relay.quality.Policy`. Answered by QualitySet, UnknownLayer or UnknownSession; all of it or nothing.
    """

    session_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RequestKeyframe:
    """Ask a session to have a key frame sent. Answered by KeyframeRequested or UnknownSession."""

    session_id: str


@dataclass(frozen=True, slots=True)
class GetKeyframe:
    """Ask for the last key frame of an input. Answered by KeyframePicture, UnknownInput or UnknownSession."""

    session_id: str
    mid: str


@dataclass(frozen=True, slots=True)
class EndSession:
    """Ask for the end of a session. Answered by SessionEnded, or UnknownSession."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpdateIce:
    """Ask a session to take trickled candidates, or to restart ICE (RFC 9725, section 4.3).

    Answered by IceUpdated, IceNotUpdated or UnknownSession. `fragment` is the request's body, `if_match`
    holds entity tags without their quotes, of which `*` matches any.
    """

    session_id: str
    fragment: str
    if_match: list[str]


@dataclass(frozen=True, slots=True)
class DescribeSession:
    """Ask for a session's snapshot."""

    session_id: str


@dataclass(frozen=True, slots=True)
class DescribeWorker:
    """Ask for what the worker knows beside its sessions."""


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """Reply: the session waits for its client; `answer` is SDP, `etag` the ICE session's entity tag."""

    session_id: str
    answer: str
    etag: str


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
class SessionDescribed:
    """Reply: what the session looks like now."""

    session_id: str
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerDescribed:
    """Reply: the worker's own figures since it began.

    `drops`: datagrams that were given to no session, by reason. `totals`: counts over all its sessions, also
    those that are over (`worker.totals`). `loop_lag`: seconds by which its event loop was late, the worst of
    the last ones. `cpu_seconds`: of its process; `cpu_load`: of one core, lately.
    """

    drops: Mapping[str, int]
    sessions: int
    totals: Mapping[str, Any]
    loop_lag: float
    cpu_seconds: float
    cpu_load: float


@dataclass(frozen=True, slots=True)
class UnknownSession:
    """Reply: the worker has no such session (any more)."""

    session_id: str


Request = (
    CreateSession
    | AddSink
    | RemoveSink
    | SendMetadata
    | SelectInput
    | SetQuality
    | RequestKeyframe
    | GetKeyframe
    | EndSession
    | UpdateIce
    | DescribeSession
    | DescribeWorker
)
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
    | UnknownSession
)
Event = SessionChanged | SessionEnded
AnyMessage = Request | Reply | Event

_TYPES: dict[str, type[AnyMessage]] = {kind.__name__: kind for kind in get_args(AnyMessage)}


def encode_message(message: AnyMessage) -> bytes:
    """Write a message as one JSON object. TypeError means that it held more than plain data: a bug."""
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    return json.dumps({"type": type(message).__name__, **values}).encode()


def decode_message(data: bytes) -> AnyMessage:
    """Read a message written by `encode_message`. KeyError and TypeError mean a bug: both ends are ours."""
    values = json.loads(data)
    kind = _TYPES[values.pop("type")]
    assert values.keys() == {field.name for field in fields(kind)}
    return kind(**values)
