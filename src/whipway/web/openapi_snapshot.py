"""What `/openapi.json` says of a session's snapshot, and of the parts of it that are resources of their own:
sinks, inputs, quality.
"""

from whipway.web.control_bodies import POLICIES
from whipway.web.openapi_answers import TEXT, nullable, object_of
from whipway.web.openapi_inputs import Described
from whipway.web.publish_query import AUDIO_CHOICES, FILLER_CHOICES

COUNTS = {
    "type": "object",
    "description": "Packets that were dropped, by reason",
    "additionalProperties": {"type": "integer", "minimum": 0},
}
_COUNT: Described = {"type": "integer", "minimum": 0}
_AMOUNT: Described = {"type": "number", "minimum": 0}
_LIST_OF_OBJECTS = {"type": "array", "items": {"type": "object"}}
SINK_STATUS = object_of(
    id=TEXT | {"description": "The last part of the sink's URL"},
    stream_name=TEXT | {"description": "Without arguments; cut where it may be a key"},
    stream_url=TEXT | {"description": "Without user, password and arguments; cut as the name is"},
    state={
        "description": "publishing: the RTMP server is seen to take what is sent",
        "type": "string",
        "enum": ["connecting", "publishing", "retrying", "failed", "closed"],
    },
    reason=nullable("string") | {"description": "Why it does not publish, as a word"},
    detail=TEXT | {"description": "The same as a sentence"},
    attempt=_COUNT | {"description": "Which try this is, or was, since it last published for a while"},
    next_try_in=nullable("number") | {"description": "Seconds"},
    reconnects=_COUNT,
    audio=object_of(
        choice={"type": "string", "enum": [*AUDIO_CHOICES]},
        codec={"type": "string", "enum": ["aac", "opus"]},
        bitrate=nullable("integer") | {"description": "In bit/s, of AAC"},
    ),
    filler={
        "description": "What it gets while the publisher sends no picture",
        "type": "string",
        "enum": [*FILLER_CHOICES],
    },
    bytes=_COUNT | {"description": "What the RTMP server has acknowledged"},
    frames=_COUNT | {"description": "Pictures that were sent"},
    frames_dropped=_COUNT | {"description": "Pictures that the RTMP server was too slow for"},
    bitrate=_AMOUNT | {"description": "In bit/s, over the last seconds"},
    queue_ms=_AMOUNT | {"description": "How much waits for the RTMP server"},
    queue_bytes=_COUNT,
    since_progress=nullable("number") | {"description": "Seconds since it was last seen to take something"},
    publishing_for=nullable("number") | {"description": "Seconds"},
)
_MEDIA_STATE: Described = {
    "description": "muted: nothing has come for a while; waiting: nothing came yet",
    "type": "string",
    "enum": ["live", "muted", "waiting"],
}
_KIND_STATE: Described = {
    "description": "As of an input; none: it was not offered",
    "type": "string",
    "enum": ["live", "muted", "waiting", "none"],
}
_SIZE = {"description": "Width and height", "type": ["array", "null"], "items": {"type": "integer"}}
_PICTURES = {
    "on_air": {"type": "boolean"},
    "state": _MEDIA_STATE,
    "size": _SIZE,
    "bitrate": _COUNT | {"description": "In bit/s, as it comes"},
    "fps": _AMOUNT,
}
_ON_AIR = {
    "on_air": nullable("string") | {"description": "The mid of the input whose pictures are sent on"},
    "wanted": nullable("string") | {"description": "That of the one that will be, with its next key frame"},
    "layer": TEXT | {"description": "The rid that was asked for, or auto"},
    "layer_on_air": nullable("string") | {"description": "Of a simulcast, the rid that is sent on"},
}
_INPUTS = {
    "description": "The video tracks of the offer",
    "type": "array",
    "items": object_of(
        mid=nullable("string"),
        **_PICTURES,
        asked_bitrate=nullable("integer")
        | {"description": "In bit/s, what the client is asked to send at most; a page should see to it"},
        has_picture={"description": "Whether there is a thumbnail", "type": "boolean"},
        layers={
            "description": "Of a simulcast (RFC 8853); without one there are none",
            "type": "array",
            "items": object_of(rid=TEXT, **_PICTURES),
        },
    ),
}
INPUTS = object_of(**_ON_AIR, inputs=_INPUTS)
"""What `GET` of a session's inputs answers."""
QUALITY = object_of(
    asked=object_of(
        max_video_bitrate=nullable("integer"),
        layer=TEXT,
        policy={"type": "string", "enum": [*POLICIES]},
    ),
    cap=nullable("integer") | {"description": "The limit in force, in bit/s of video; null: there is none"},
    limited_by=nullable("string") | {"description": "Where the limit comes from: api, or `sink` and its id"},
    is_heard={"description": "Whether the client has agreed to take limits (REMB)", "type": "boolean"},
    measured=object_of(
        video_bitrate=_COUNT,
        audio_bitrate=_COUNT,
        fps=_AMOUNT,
        width=nullable("integer"),
        height=nullable("integer"),
        keyframe_interval=_AMOUNT | {"description": "Seconds"},
        loss=_AMOUNT | {"description": "The part of the packets that never came"},
        rtt_ms=nullable("number"),
        jitter_ms=_AMOUNT,
        repaired=_COUNT | {"description": "Packets that came when they were asked for again"},
        keyframe_requests=_COUNT,
        stream_time_ratio=nullable("number")
        | {"description": "Media time over real time, over some 15 seconds; 1 is as it should be"},
        max_frame_delay_ms=nullable("number")
        | {"description": "How much later than others pictures came, over some 15 seconds"},
        media_silence=nullable("number") | {"description": "Seconds since picture or sound came"},
    ),
    light=object_of(
        color={"type": "string", "enum": ["green", "yellow", "red"]},
        reasons={"description": "Sentences for a person", "type": "array", "items": TEXT},
    ),
)
SNAPSHOT = object_of(
    state={"type": "string", "enum": ["connecting", "live", "ended"]},
    reason=nullable("string") | {"description": "Why it ended, as a word"},
    detail=nullable("string") | {"description": "The same as a sentence"},
    stream_name=TEXT,
    round_trip_ms=nullable("number"),
    silent_for=nullable("number") | {"description": "Seconds since anything came from the client"},
    size=_SIZE,
    ice={"type": "object"},
    warnings={
        "description": "What a person could mend",
        "type": "array",
        "items": object_of(code=TEXT, detail=TEXT),
    },
    video=_KIND_STATE,
    audio=_KIND_STATE,
    input=object_of(**_ON_AIR),
    inputs=_INPUTS,
    quality=QUALITY,
    tracks=_LIST_OF_OBJECTS,
    sinks={"type": "array", "items": SINK_STATUS},
    drops=COUNTS,
)
