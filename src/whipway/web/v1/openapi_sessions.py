"""What `/openapi.json` says of the operations on sessions; see `openapi_shapes`.

What a session, its sinks, inputs and quality are made of is the same as for publishers (`openapi_snapshot`).
"""

from whipway.web.bodies import JSON_TYPE
from whipway.web.callers import KEY_OR_COOKIE
from whipway.web.event_streams import EVENT_STREAM
from whipway.web.openapi_answers import (
    BODY_PROBLEMS,
    NO_STORE,
    TEXT,
    Responses,
    nullable,
    object_of,
    problems,
)
from whipway.web.openapi_inputs import (
    AUDIO,
    AUDIO_BITRATE,
    FILLER,
    INPUT_BODY,
    LAST_EVENT_ID,
    METADATA_BODY,
    MID,
    QUALITY_BODY,
    SINK_ID,
    STREAM_NAME,
    STREAM_URL,
    Described,
)
from whipway.web.openapi_snapshot import INPUTS as INPUTS_SCHEMA
from whipway.web.openapi_snapshot import QUALITY as QUALITY_SCHEMA
from whipway.web.openapi_snapshot import SINK_STATUS, SNAPSHOT
from whipway.web.problems import ProblemKind
from whipway.web.status_stream import END as LAST_EVENT
from whipway.web.v1.openapi_shapes import (
    CHANGE_PROBLEMS,
    COUNT,
    DOCUMENT_PROBLEMS,
    EXAMPLE_ID,
    ID,
    READ_PROBLEMS,
    TIME,
    items_of,
    json_answer,
    json_body,
    links_to,
    list_of,
    or_null,
    path_id,
)
from whipway.web.v1.openapi_streams import FILTERS

PAGE = [each for each in FILTERS if each["name"] in ("limit", "offset")]
EXAMPLE_SESSION = "0f3a9c1b2d4e5f60"
SESSION_ID = path_id("session_id", "the session, which is no part of its WHIP URL", EXAMPLE_SESSION)
_LOOK = (*READ_PROBLEMS, ProblemKind.SESSION_UNKNOWN)
_CHANGE = (*CHANGE_PROBLEMS, ProblemKind.SESSION_UNKNOWN, ProblemKind.SESSION_OVER)
_OF_SESSIONS = (
    "getSession",
    "stopSession",
    "listSessionSinks",
    "addSessionSink",
    "sendSessionMetadata",
    "getSessionInputs",
    "selectSessionInput",
    "getSessionQuality",
    "setSessionQuality",
    "requestSessionKeyframe",
)
_THIS_SESSION = links_to("session_id", "$request.path.session_id", *_OF_SESSIONS)

_STREAM_BRIEF = or_null(object_of(id=ID, name=TEXT)) | {"description": "null: the name is no stream's here"}
_BRIEF = {
    "id": ID | {"description": "Names the session here; its WHIP URL does not follow from it"},
    "stream": _STREAM_BRIEF,
    "stream_name": TEXT | {"description": "Without arguments; cut where it may be a key"},
    "client": TEXT | {"description": "IP address; empty if nobody knows it"},
    "created_at": TIME,
    "state": SNAPSHOT["properties"]["state"],
    "reason": nullable("string") | {"description": "Why it ended, as a word"},
    "sinks": COUNT,
    "bitrate": COUNT | {"description": "In bit/s, of picture and sound, as they come"},
    "fps": {"type": "number", "minimum": 0},
    "light": QUALITY_SCHEMA["properties"]["light"]["properties"]["color"],
}
_EXAMPLE_BRIEF = {
    "id": EXAMPLE_SESSION,
    "stream": {"id": EXAMPLE_ID, "name": "Hx4Qa-7fGkPz3WnR"},
    "stream_name": "Hx4Qa-7fGkPz3WnR",
    "client": "192.0.2.7",
    "created_at": "2026-03-01T12:04:59.500Z",
    "state": "live",
    "reason": None,
    "sinks": 1,
    "bitrate": 2_130_000,
    "fps": 25.0,
    "light": "green",
}


def _of_session(
    operation_id: str, summary: str, responses: Responses, *parameters: Described, **more: Described
) -> Described:
    """An operation on one session; `parameters` are those beside its id, `more` what else is extra."""
    return {
        "operation_id": operation_id,
        "summary": summary,
        "dependencies": KEY_OR_COOKIE,
        "responses": responses,
        "openapi_extra": {"parameters": [SESSION_ID, *parameters], **more},
    }


LIST: Described = {
    "operation_id": "listSessions",
    "summary": "The WHIP sessions there are",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "Those that live, the newest first",
            object_of(items=list_of(object_of(**_BRIEF)), total=COUNT, limit=COUNT, offset=COUNT),
            {"items": [_EXAMPLE_BRIEF], "total": 1, "limit": 50, "offset": 0},
        )
        | {"links": links_to("session_id", "$response.body#/items/0/id", *_OF_SESSIONS)},
        **problems(ProblemKind.BAD_PARAMETER, *READ_PROBLEMS),
    },
    "openapi_extra": {"parameters": PAGE},
}
GET = _of_session(
    "getSession",
    "One session, with all that is known of it",
    {
        200: json_answer("As it is now, or was at last", object_of(**_BRIEF, snapshot=SNAPSHOT)),
        **problems(*_LOOK),
    },
)
END = _of_session(
    "stopSession",
    "End a session",
    {204: {"description": "It is over", "links": _THIS_SESSION}, **problems(*_CHANGE)},
)
EVENTS = _of_session(
    "followSession",
    "A session's snapshots, as they change",
    {
        200: {
            "description": "Server-sent events: `status` at once, whenever something changes, and each"
            f" second; at last `end`, which has the id `{LAST_EVENT}`",
            "content": {EVENT_STREAM: {"schema": TEXT}},
        },
        204: {"description": "All events of the session were sent already"},
        **problems(*_LOOK, ProblemKind.TOO_MANY_STREAMS),
    },
    LAST_EVENT_ID,
)

SINKS = _of_session(
    "listSessionSinks",
    "All sinks of a session, and how they are",
    {
        200: json_answer("Now; of an ended session at last", items_of(SINK_STATUS))
        | {
            "links": {
                name: {
                    "operationId": name,
                    "parameters": {
                        "session_id": "$request.path.session_id",
                        "sink_id": "$response.body#/items/0/id",
                    },
                }
                for name in ("getSessionSink", "removeSessionSink")
            }
        },
        **problems(*_LOOK),
    },
)
ADD_SINK = _of_session(
    "addSessionSink",
    "Feed one more RTMP server",
    {
        201: json_answer("The sink, which has just begun to connect", SINK_STATUS)
        | {
            "headers": {"Location": {"description": "The sink's URL", "required": True, "schema": TEXT}},
            "links": _THIS_SESSION,
        },
        **problems(
            *_CHANGE,
            *DOCUMENT_PROBLEMS,
            ProblemKind.EGRESS_REFUSED,
            ProblemKind.STREAM_BUSY,
            ProblemKind.TOO_MANY_SINKS,
            Accept_Post=JSON_TYPE,
        ),
    },
    requestBody=json_body(
        "Where to, and in which form; what is left out is as the settings say",
        {"stream_url": "rtmp://rtmp.example.com/live", "stream_name": "one", "audio": "auto"},
        required=("stream_url", "stream_name"),
        **{
            each["name"]: each["schema"] | {"description": each["description"]}
            for each in (STREAM_URL, STREAM_NAME, AUDIO, AUDIO_BITRATE, FILLER)
        },
    ),
)
SINK = _of_session(
    "getSessionSink",
    "How one sink is",
    {
        200: json_answer("Now; of an ended session at last", SINK_STATUS),
        **problems(*_LOOK, ProblemKind.SINK_UNKNOWN),
    },
    SINK_ID,
)
REMOVE_SINK = _of_session(
    "removeSessionSink",
    "Feed one RTMP server less",
    {
        204: {"description": "The sink is over", "links": _THIS_SESSION},
        **problems(*_CHANGE, ProblemKind.SINK_UNKNOWN),
    },
    SINK_ID,
)
SEND_METADATA = _of_session(
    "sendSessionMetadata",
    "Put an RTMP data message into a session's stream",
    {
        204: {"description": "It is on its way", "links": _THIS_SESSION},
        **problems(
            *_CHANGE,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_METADATA,
            ProblemKind.METADATA_REFUSED,
            Accept_Post=JSON_TYPE,
        ),
    },
    requestBody=METADATA_BODY,
)

INPUTS = _of_session(
    "getSessionInputs",
    "The video tracks of a session, and which of them is on air",
    {200: json_answer("Now; of an ended session at last", INPUTS_SCHEMA), **problems(*_LOOK)},
)
SELECT_INPUT = _of_session(
    "selectSessionInput",
    "Put another input on air",
    {
        200: json_answer("It is on air, or wanted until its key frame comes", INPUTS_SCHEMA)
        | {"links": _THIS_SESSION},
        **problems(
            *_CHANGE,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_JSON,
            ProblemKind.INPUT_REFUSED,
            ProblemKind.INPUT_UNKNOWN,
            Accept=JSON_TYPE,
        ),
    },
    requestBody=INPUT_BODY,
)
THUMBNAIL = _of_session(
    "getSessionThumbnail",
    "What an input shows",
    {
        200: {
            "description": "Its last key frame, small; every two seconds another one at the most",
            "headers": {"Cache-Control": NO_STORE},
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        204: {"description": "There is no picture yet", "headers": {"Cache-Control": NO_STORE}},
        **problems(*_LOOK, ProblemKind.SESSION_OVER, ProblemKind.INPUT_UNKNOWN),
    },
    MID,
)

QUALITY = _of_session(
    "getSessionQuality",
    "The quality of a session's video: what is asked for, and what comes",
    {200: json_answer("Now; of an ended session at last", QUALITY_SCHEMA), **problems(*_LOOK)},
)
SET_QUALITY = _of_session(
    "setSessionQuality",
    "Ask for another quality",
    {
        200: json_answer("It is asked for", QUALITY_SCHEMA) | {"links": _THIS_SESSION},
        **problems(
            *_CHANGE,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_JSON,
            ProblemKind.QUALITY_REFUSED,
            ProblemKind.LAYER_UNKNOWN,
            Accept=JSON_TYPE,
        ),
    },
    requestBody=QUALITY_BODY,
)
REQUEST_KEYFRAME = _of_session(
    "requestSessionKeyframe",
    "Ask for a key frame",
    {204: {"description": "The client is asked for one", "links": _THIS_SESSION}, **problems(*_CHANGE)},
)
