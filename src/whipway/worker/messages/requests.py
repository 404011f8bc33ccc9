"""What the gateway asks of a media worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
class YieldStream:
    """Ask a worker to let a stream go, because a session of another worker is to have it.

    As with CreateSession, one that is alive goes only with `takes_over`. Answered by StreamYielded, also
    where nobody has the stream, or StreamKept.
    """

    stream_key: str
    takes_over: bool


@dataclass(frozen=True, slots=True)
class StopWorker:
    """Ask a worker to end all of its sessions politely and to take no more. Answered by WorkerStopped."""


SessionRequest = (
    AddSink
    | RemoveSink
    | SendMetadata
    | SelectInput
    | SetQuality
    | RequestKeyframe
    | GetKeyframe
    | EndSession
    | UpdateIce
    | DescribeSession
)
"""To a session that there is."""
Request = CreateSession | SessionRequest | DescribeWorker | YieldStream | StopWorker
