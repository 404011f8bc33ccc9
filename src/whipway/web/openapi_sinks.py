"""What `/openapi.json` says of the sinks of a session, and of metadata; see `openapi`."""

from whipway.web.bodies import JSON_TYPE
from whipway.web.openapi import BEARER
from whipway.web.openapi_answers import (
    BODY_PROBLEMS,
    CHANGE_PROBLEMS,
    SAME_SESSION,
    STATUS_PROBLEMS,
    TEXT,
    links,
    problems,
    sink_links,
)
from whipway.web.openapi_inputs import (
    AUDIO,
    AUDIO_BITRATE,
    FILLER,
    METADATA_BODY,
    SESSION_ID,
    SINK_ID,
    STREAM_NAME,
    STREAM_URL,
    Described,
)
from whipway.web.openapi_snapshot import SINK_STATUS
from whipway.web.problems import ProblemKind

ADD: Described = {
    "operation_id": "addSink",
    "summary": "Feed one more RTMP server",
    "description": "It starts with the next key frame, which the publisher is asked for.",
    "dependencies": [BEARER],
    "responses": {
        201: {
            "description": "The sink, which has just begun to connect",
            "headers": {"Location": {"description": "The sink's URL", "required": True, "schema": TEXT}},
            "content": {JSON_TYPE: {"schema": SINK_STATUS}},
            "links": {**links(SAME_SESSION), **sink_links("$response.body#/id")},
        },
        **problems(
            ProblemKind.BAD_PARAMETER,
            *CHANGE_PROBLEMS,
            ProblemKind.EGRESS_REFUSED,
            ProblemKind.STREAM_BUSY,
            ProblemKind.TOO_MANY_SINKS,
        ),
    },
    "openapi_extra": {"parameters": [SESSION_ID, STREAM_NAME, STREAM_URL, AUDIO, AUDIO_BITRATE, FILLER]},
}

LIST: Described = {
    "operation_id": "listSinks",
    "summary": "All sinks of a session, and how they are",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "That of the WHIP request and those added since; of an ended session the last",
            "content": {JSON_TYPE: {"schema": {"type": "array", "items": SINK_STATUS}}},
            "links": sink_links("$response.body#/0/id"),
        },
        **problems(*STATUS_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}

SINK: Described = {
    "operation_id": "getSink",
    "summary": "How one sink is",
    "dependencies": [BEARER],
    "responses": {
        200: {"description": "As it is now, or was", "content": {JSON_TYPE: {"schema": SINK_STATUS}}},
        **problems(*STATUS_PROBLEMS, ProblemKind.SINK_UNKNOWN),
    },
    "openapi_extra": {"parameters": [SESSION_ID, SINK_ID]},
}

REMOVE: Described = {
    "operation_id": "removeSink",
    "summary": "Feed one RTMP server less",
    "description": "The session goes on, with its last sink gone too.",
    "dependencies": [BEARER],
    "responses": {
        200: {"description": "The sink is over", "links": links(SAME_SESSION)},
        **problems(*CHANGE_PROBLEMS, ProblemKind.SINK_UNKNOWN),
    },
    "openapi_extra": {"parameters": [SESSION_ID, SINK_ID]},
}

SEND_METADATA: Described = {
    "operation_id": "sendMetadata",
    "summary": "Put an RTMP data message into the stream",
    "description": "Every sink gets it. `onMetaData` is added to what this server says of the stream itself,"
    " and kept for sinks that come later; `onCuePoint` is of the moment, and lost before the stream begins.",
    "dependencies": [BEARER],
    "responses": {
        204: {"description": "It is on its way", "links": links(SAME_SESSION)},
        **problems(
            *CHANGE_PROBLEMS,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_METADATA,
            ProblemKind.METADATA_REFUSED,
            Accept_Post=JSON_TYPE,
        ),
    },
    "openapi_extra": {"parameters": [SESSION_ID], "requestBody": METADATA_BODY},
}
