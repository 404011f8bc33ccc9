"""What `/openapi.json` says of the API's answers and of what all of its operations share.

Each module `openapi_…` beside this one holds the arguments that describe the operations of one router.
"""

from whipway.streams.records import Role, StreamState
from whipway.web.bodies import JSON_TYPE
from whipway.web.openapi_answers import BODY_PROBLEMS, TEXT, nullable, object_of
from whipway.web.openapi_inputs import Described
from whipway.web.problems import ProblemKind

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
PRINTABLE = r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]"
"""A character that `str.isprintable` lets through, whichever version of Unicode a client knows."""

_LABEL = "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
HOST = rf"{_LABEL}(\.{_LABEL}){{0,4}}(:[1-9][0-9]{{0,3}})?"
"""A host and perhaps a port, of the kind that everybody takes."""

READ_PROBLEMS = (
    ProblemKind.MALFORMED_REQUEST,
    ProblemKind.UNAUTHENTICATED,
    ProblemKind.FORBIDDEN,
    ProblemKind.DATABASE_UNREACHABLE,
)
"""Of every operation."""
CHANGE_PROBLEMS = (
    *READ_PROBLEMS,
    ProblemKind.CSRF_FAILED,
    ProblemKind.ORIGIN_NOT_ALLOWED,
    ProblemKind.WORKER_SILENT,
)
"""Of every operation that changes something."""
DOCUMENT_PROBLEMS = (*BODY_PROBLEMS, ProblemKind.MALFORMED_JSON, ProblemKind.BODY_REFUSED)
"""Of every one that takes a body."""

TIME: Described = {
    "description": "ISO 8601, in UTC, with milliseconds",
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
}
TIME_OR_NULL: Described = TIME | {"type": ["string", "null"]}
ID: Described = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
COUNT: Described = {"type": "integer", "minimum": 0}
STATE: Described = {"type": "string", "enum": [*StreamState]}
TAGS: Described = {"type": "array", "items": TEXT}


def or_null(schema: Described) -> Described:
    """A schema for what may be null as well."""
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Described) -> Described:
    """A schema for a list."""
    return {"type": "array", "items": schema}


def items_of(schema: Described) -> Described:
    """A schema for an answer that is a list in an object."""
    return object_of(items=list_of(schema))


def json_answer(description: str, schema: Described, example: object = None) -> Described:
    """An answer in JSON."""
    content: Described = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {JSON_TYPE: content}}


def json_body(
    description: str,
    example: object,
    *,
    required: tuple[str, ...] = (),
    is_optional: bool = False,
    **properties: Described,
) -> Described:
    """A body that is an object with these members. Optional: the request may come without."""
    schema: Described = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = [*required]
    return {
        "required": not is_optional,
        "description": description,
        "content": {JSON_TYPE: {"schema": schema, "example": example}},
    }


def path_id(name: str, what: str, example: str) -> Described:
    """A path parameter that is an id."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"The `id` of {what}.",
        "schema": ID,
        "example": example,
    }


def links_to(parameter: str, expression: str, *operations: str) -> Described:
    """Links to operations whose path parameter an answer, or its own request, tells."""
    return {name: {"operationId": name, "parameters": {parameter: expression}} for name in operations}


EXAMPLE_ID = "6f1c2b1e-8a7d-4f7e-9d55-0c6f0f1b7a11"
STREAM_ID = path_id("stream_id", "the stream", EXAMPLE_ID)
OF_STREAMS = ("getStream", "changeStream", "stopStream", "lockStream", "unlockStream", "deleteStream")
THIS_STREAM = links_to("stream_id", "$request.path.stream_id", *OF_STREAMS)

_RTMP_TARGET = object_of(url=TEXT, streamname=TEXT)
STREAM = object_of(
    id=ID | {"description": "Never changes"},
    name=TEXT | {"description": "What the stream is published and played by: who knows it may publish it"},
    state=STATE,
    tags=TAGS,
    is_assigned={
        "description": "Whether this server made the name; else somebody published under it unasked",
        "type": "boolean",
    },
    created_at=TIME,
    updated_at=TIME,
    live_at=TIME_OR_NULL | {"description": "When it last began to be live; so with the others"},
    ended_at=TIME_OR_NULL,
    locked_at=TIME_OR_NULL,
    deleted_at=TIME_OR_NULL,
    reason=nullable("string") | {"description": "Why it last ended, as a word"},
    push_url=nullable("string") | {"description": "Where it is sent on to; the name there is not shown"},
    ingest=object_of(whip=or_null(object_of(url=TEXT)), rtmp=or_null(_RTMP_TARGET)),
    playout=object_of(rtmp=list_of(_RTMP_TARGET), flv=nullable("string"), web=list_of(TEXT)),
    publisher=or_null(
        object_of(
            kind={"type": "string", "enum": ["whip", "rtmp"]},
            session=nullable("string") | {"description": "The `id` of the WHIP session"},
            since=TIME,
            client=TEXT | {"description": "IP address; empty if nobody knows it"},
        )
    ),
)
"""A stream as most operations answer with it."""
EXAMPLE_STREAM = {
    "id": EXAMPLE_ID,
    "name": "Hx4Qa-7fGkPz3WnR",
    "state": "live",
    "tags": ["studio"],
    "is_assigned": True,
    "created_at": "2026-03-01T12:00:00.000Z",
    "updated_at": "2026-03-01T12:05:00.250Z",
    "live_at": "2026-03-01T12:05:00.250Z",
    "ended_at": None,
    "locked_at": None,
    "deleted_at": None,
    "reason": None,
    "push_url": "rtmp://push.example.com:1935/app/****",
    "ingest": {
        "whip": {
            "url": "https://live.example.com/p/webrtc?stream_name=Hx4Qa-7fGkPz3WnR"
            "&stream_url=rtmp://live.example.com/live"
        },
        "rtmp": {"url": "rtmp://live.example.com:1935/live", "streamname": "Hx4Qa-7fGkPz3WnR"},
    },
    "playout": {
        "rtmp": [{"url": "rtmp://live.example.com:1935/live", "streamname": "Hx4Qa-7fGkPz3WnR"}],
        "flv": "https://live.example.com/live/Hx4Qa-7fGkPz3WnR.flv",
        "web": [],
    },
    "publisher": {
        "kind": "whip",
        "session": "0f3a9c1b2d4e5f60",
        "since": "2026-03-01T12:04:59.500Z",
        "client": "192.0.2.7",
    },
}
CHANGE = object_of(state=STATE, at=TIME, reason=nullable("string"))
ROLE: Described = {"type": "string", "enum": [*Role]}
KEY = object_of(
    id=ID,
    name=TEXT,
    role=ROLE,
    stream_id=nullable("string") | {"description": "Of a publisher's key: the only stream it is for"},
    created_at=TIME,
    expires_at=TIME_OR_NULL,
    revoked_at=TIME_OR_NULL,
    used_at=TIME_OR_NULL | {"description": "When it was last used, about"},
)
WEBHOOK = object_of(id=ID, url=TEXT, events=list_of(TEXT), created_at=TIME)
ORGANISATION = object_of(
    id=ID,
    name=TEXT,
    hash=TEXT | {"description": "What the names of its streams begin with"},
    webhook=nullable("string") | {"description": "For administrators; others read null"},
    created_at=TIME,
)
