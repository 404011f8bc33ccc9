"""What `/openapi.json` says of the operations on streams; see `openapi_shapes`."""

from whipway.streams.records import StreamState
from whipway.streams.store.tables import MAX_NAME_CHARACTERS, MAX_TAG_CHARACTERS, MAX_URL_CHARACTERS
from whipway.streams.stream_tags import MAX_TAGS
from whipway.web.bodies import JSON_TYPE
from whipway.web.callers import KEY_OR_COOKIE
from whipway.web.openapi_answers import NO_STORE, TEXT, object_of, problems
from whipway.web.openapi_inputs import Described
from whipway.web.problems import ProblemKind
from whipway.web.v1.openapi_shapes import (
    CHANGE,
    CHANGE_PROBLEMS,
    COUNT,
    DOCUMENT_PROBLEMS,
    EXAMPLE_STREAM,
    HOST,
    ID,
    OF_STREAMS,
    PRINTABLE,
    READ_PROBLEMS,
    STREAM,
    STREAM_ID,
    THIS_STREAM,
    TIME,
    items_of,
    json_answer,
    json_body,
    links_to,
    list_of,
)
from whipway.web.v1.queries import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET

DEFAULT_TOKEN_SECONDS, MAX_TOKEN_SECONDS = 24 * 3600, 30 * 24 * 3600

_TAG: Described = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_TAG_CHARACTERS,
    "pattern": f"^{PRINTABLE}+$",
}
_TAGS: Described = list_of(_TAG) | {"maxItems": MAX_TAGS}
_PUSH_URL: Described = {
    "description": "`rtmp://HOST/APP/NAME`, perhaps with user and password; null: nowhere",
    "type": ["string", "null"],
    "maxLength": MAX_URL_CHARACTERS,
    "pattern": rf"^rtmps?://{HOST}/[A-Za-z0-9_-]{{1,64}}(/[A-Za-z0-9_-]{{1,256}}){{1,3}}$",
}


def _query(name: str, description: str, schema: Described, example: object) -> Described:
    return {"name": name, "in": "query", "description": description, "schema": schema, "example": example}


FILTERS = [
    _query(
        "state",
        "Streams in this state; may stand here several times. Without it: all but those that are deleted.",
        list_of({"type": "string", "enum": [*StreamState]}),
        ["live"],
    ),
    _query(
        "tag",
        "Streams with this tag; may stand here several times, for those that have all of them.",
        _TAGS,
        ["studio"],
    ),
    _query(
        "name",
        "Part of the name, whatever its case; or the whole id.",
        {"type": "string", "maxLength": MAX_NAME_CHARACTERS, "pattern": f"^{PRINTABLE}*$"},
        "Hx4Qa",
    ),
    _query(
        "limit",
        "Streams in one answer.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        25,
    ),
    _query(
        "offset",
        "Streams to leave out, the newest first.",
        {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
        0,
    ),
]

LIST: Described = {
    "operation_id": "listStreams",
    "summary": "Streams, the newest first",
    "description": "A key of the role player needs at least one tag, and is not told how streams are"
    " published.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "Those that were asked for, and how many there are",
            object_of(items=list_of(STREAM), total=COUNT, limit=COUNT, offset=COUNT),
            {"items": [EXAMPLE_STREAM], "total": 1, "limit": 50, "offset": 0},
        )
        | {"links": links_to("stream_id", "$response.body#/items/0/id", *OF_STREAMS)},
        **problems(ProblemKind.BAD_PARAMETER, *READ_PROBLEMS),
    },
    "openapi_extra": {"parameters": FILTERS},
}

CREATE: Described = {
    "operation_id": "createStream",
    "summary": "Create a stream",
    "description": "This server makes its name.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        201: json_answer("The stream", STREAM, EXAMPLE_STREAM)
        | {
            "headers": {"Location": {"description": "The stream's URL", "required": True, "schema": TEXT}},
            "links": links_to("stream_id", "$response.body#/id", *OF_STREAMS),
        },
        **problems(*CHANGE_PROBLEMS, *DOCUMENT_PROBLEMS, Accept_Post=JSON_TYPE),
    },
    "openapi_extra": {
        "requestBody": json_body(
            "What to note down of it", {"tags": ["studio"]}, is_optional=True, tags=_TAGS
        )
    },
}

GET: Described = {
    "operation_id": "getStream",
    "summary": "One stream",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("As it is now", STREAM, EXAMPLE_STREAM),
        **problems(*READ_PROBLEMS, ProblemKind.STREAM_UNKNOWN),
    },
    "openapi_extra": {"parameters": [STREAM_ID]},
}

CHANGE_STREAM: Described = {
    "operation_id": "changeStream",
    "summary": "Set a stream's tags, and where it is sent on to",
    "description": "What does not stand in the body stays as it is. A push URL takes effect at once.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("As it is now", STREAM, EXAMPLE_STREAM) | {"links": THIS_STREAM},
        **problems(
            *CHANGE_PROBLEMS,
            *DOCUMENT_PROBLEMS,
            ProblemKind.STREAM_UNKNOWN,
            Accept_Patch=JSON_TYPE,
        ),
    },
    "openapi_extra": {
        "parameters": [STREAM_ID],
        "requestBody": json_body(
            "What to change",
            {"tags": ["studio", "evening"], "push_url": None},
            tags=_TAGS,
            push_url=_PUSH_URL,
        ),
    },
}

DELETE: Described = {
    "operation_id": "deleteStream",
    "summary": "Delete a stream for good",
    "description": "It is stopped first. A name that this server made is never made again.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        204: {"description": "It is gone"},
        **problems(*CHANGE_PROBLEMS, ProblemKind.STREAM_UNKNOWN),
    },
    "openapi_extra": {"parameters": [STREAM_ID]},
}


def _action(operation_id: str, summary: str, description: str) -> Described:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "description": description,
        "dependencies": KEY_OR_COOKIE,
        "responses": {
            200: json_answer("As it is now", STREAM, EXAMPLE_STREAM) | {"links": THIS_STREAM},
            **problems(*CHANGE_PROBLEMS, ProblemKind.STREAM_UNKNOWN),
        },
        "openapi_extra": {"parameters": [STREAM_ID]},
    }


STOP = _action(
    "stopStream",
    "End whatever publishes a stream",
    "WHIP sessions and RTMP publishers; they may come back. For a stream that is not live it does nothing.",
)
LOCK = _action("lockStream", "Let nobody publish a stream", "It is stopped first.")
UNLOCK = _action("unlockStream", "Let a stream be published again", "It is ended then, or created.")

CHANGES: Described = {
    "operation_id": "listStreamChanges",
    "summary": "The states that a stream has been in",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "The last hundred, the oldest first",
            items_of(CHANGE),
            {"items": [{"state": "created", "at": "2026-03-01T12:00:00.000Z", "reason": None}]},
        ),
        **problems(*READ_PROBLEMS, ProblemKind.STREAM_UNKNOWN),
    },
    "openapi_extra": {"parameters": [STREAM_ID]},
}

MAKE_TOKEN: Described = {
    "operation_id": "createPublishToken",
    "summary": "Make a bearer token that may publish one stream, and nothing else",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        201: json_answer(
            "The token, which is shown this once; its id is that of a key",
            object_of(token=TEXT, id=ID, expires_at=TIME),
            {
                "token": "wk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "id": "9a3f0c5d7e1b2468",
                "expires_at": "2026-03-02T12:00:00.000Z",
            },
        )
        | {"headers": {"Cache-Control": NO_STORE}},
        **problems(
            *CHANGE_PROBLEMS,
            *DOCUMENT_PROBLEMS,
            ProblemKind.STREAM_UNKNOWN,
            ProblemKind.TOO_MANY_KEYS,
            Accept_Post=JSON_TYPE,
        ),
    },
    "openapi_extra": {
        "parameters": [STREAM_ID],
        "requestBody": json_body(
            "How long it is to be good",
            {"expires_in": 3600},
            is_optional=True,
            expires_in={
                "description": "Seconds",
                "type": "number",
                "minimum": 1,
                "maximum": MAX_TOKEN_SECONDS,
                "default": DEFAULT_TOKEN_SECONDS,
            },
        ),
    },
}

TAGS: Described = {
    "operation_id": "listTags",
    "summary": "The tags that streams have",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("By name; a hundred at most", items_of(TEXT), {"items": ["evening", "studio"]}),
        **problems(ProblemKind.BAD_PARAMETER, *READ_PROBLEMS),
    },
    "openapi_extra": {
        "parameters": [
            _query(
                "prefix",
                "What they begin with.",
                {"type": "string", "maxLength": MAX_TAG_CHARACTERS, "pattern": f"^{PRINTABLE}*$"},
                "stu",
            )
        ]
    },
}

SUMMARY: Described = {
    "operation_id": "getSummary",
    "summary": "How many there are of what",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "Now",
            object_of(
                streams=object_of(created=COUNT, live=COUNT, ended=COUNT, locked=COUNT),
                sessions=COUNT | {"description": "WHIP sessions of this server"},
                version=TEXT,
                uptime={"description": "Seconds", "type": "number", "minimum": 0},
            ),
            {
                "streams": {"created": 3, "live": 1, "ended": 12, "locked": 0},
                "sessions": 1,
                "version": "0.1.0",
                "uptime": 86400.5,
            },
        ),
        **problems(*READ_PROBLEMS),
    },
    "openapi_extra": {},
}
