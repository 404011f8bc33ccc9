import json
from dataclasses import FrozenInstanceError, dataclass
from typing import get_args

import pytest

from whipway.worker.messages import (
    AddSink,
    AnyMessage,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    GetKeyframe,
    IceNotUpdated,
    IceUpdated,
    InputSelected,
    KeyframePicture,
    KeyframeRequested,
    LoadMeasured,
    MetadataSent,
    QualitySet,
    RemoveSink,
    Reply,
    Request,
    RequestKeyframe,
    SelectInput,
    SendMetadata,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SetQuality,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StopWorker,
    StreamKept,
    StreamYielded,
    UnknownInput,
    UnknownLayer,
    UnknownSession,
    UnknownSink,
    UpdateIce,
    WorkerDescribed,
    WorkerEvent,
    WorkerStopped,
    YieldStream,
    decode_message,
    encode_message,
)

SNAPSHOT = {"state": "ended", "size": [320, 180], "detail": None, "tracks": [{"lost": 3, "rate": 0.5}]}
MESSAGES: list[AnyMessage] = [
    CreateSession(
        "id",
        "v=0\r\n",
        "näme?key=\u2713",
        "rtmp://host/live",
        "aac",
        128_000,
        "none",
        "host:1935/live/näme",
        True,
    ),
    AddSink(
        "id", "two", "rtmps://user:p%20w@host/live", "auto", 96_000, "freeze", "host:443/live/two", False
    ),
    RemoveSink("id", "2"),
    SendMetadata("id", "onCuePoint", {"name": "näme", "parameters": {"a": [1, 0.5, None, True, {}]}}),
    SelectInput("id", "2"),
    SetQuality("id", {"max_video_bitrate": None, "layer": "auto", "policy": "off"}),
    RequestKeyframe("id"),
    GetKeyframe("id", "2"),
    EndSession("id", "deleted"),
    UpdateIce("id", "a=end-of-candidates\r\n", ["tag", "*"]),
    DescribeSession("id"),
    DescribeWorker(),
    SessionCreated("id", "v=0\r\n", "tag", SNAPSHOT),
    SessionRefused("id", "malformed", "no"),
    IceUpdated("id", "tag", "a=ice-lite\r\n"),
    IceNotUpdated("id", "stale", "no"),
    SinkAdded("id", {"id": "2", "state": "connecting"}),
    SinkRefused("id", "full", "no"),
    SinkRemoved("id", {"id": "2", "state": "closed"}),
    UnknownSink("id", "2"),
    MetadataSent("id"),
    InputSelected("id"),
    UnknownInput("id", "2"),
    QualitySet("id"),
    UnknownLayer("id", "h"),
    KeyframeRequested("id"),
    KeyframePicture("id", "2", "AAAAAWc="),
    SessionChanged("id", "live", [{"id": "1", "state": "publishing"}]),
    SessionEnded("id", "silence", "nothing came", SNAPSHOT),
    SessionDescribed("id", SNAPSHOT),
    UnknownSession("id"),
    WorkerDescribed({"unknown_address": 3}, 1, {"bytes_sent": 7}, 0.001, 2.5, 0.25, 2_090_000.0),
    YieldStream("host:443/live/two", True),
    StreamYielded("host:443/live/two"),
    StreamKept("host:443/live/two", "it lives"),
    StopWorker(),
    WorkerStopped(),
    LoadMeasured(0.25, 2_090_000.0),
]


@dataclass
class NotPlain:
    value: int


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_after_the_crossing(message: AnyMessage) -> None:
    data = encode_message(message)
    assert isinstance(data, bytes)
    assert decode_message(data) == message
    assert json.loads(data)["type"] == type(message).__name__


def test_no_type_was_forgotten() -> None:
    types = {*get_args(Request), *get_args(Reply), *get_args(WorkerEvent)}
    assert types == {type(message) for message in MESSAGES}


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), NotPlain(1), len])
def test_only_plain_data_crosses(value: object) -> None:
    with pytest.raises(TypeError):
        encode_message(SessionDescribed("id", {"state": value}))


@pytest.mark.parametrize(
    "change", [{"type": "Nothing"}, {"more": 1}, {"type": "SessionCreated"}], ids=["type", "field", "missing"]
)
def test_what_is_no_message_is_a_bug(change: dict[str, object]) -> None:
    data = json.dumps(json.loads(encode_message(EndSession("id", "deleted"))) | change).encode()
    with pytest.raises((KeyError, AssertionError)):
        decode_message(data)


def test_messages_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        MESSAGES[0].session_id = "other"  # type: ignore[misc]
