"""What `openapi` and `openapi_sinks` put answers together of: problems, links, headers, snapshots."""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus

from whipway.web.openapi_inputs import SESSION_ID_PATTERN, Described
from whipway.web.problems import MEDIA_TYPE, ProblemKind
from whipway.web.publish_query import AUDIO_CHOICES

Responses = dict[int | str, Described]

SAME_SESSION = "$request.path.session_id"
TEXT = {"type": "string"}
_CHALLENGE = {"description": "How to authenticate (RFC 6750, section 3)", "schema": TEXT}
_RETRY_AFTER = {
    "description": "Seconds to wait",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_NOT_FOUND = HTTPStatus.NOT_FOUND.name.lower()
_HEADERS: Mapping[int, Described] = {
    401: {"WWW-Authenticate": _CHALLENGE | {"required": True}},
    403: {"WWW-Authenticate": _CHALLENGE},  # Only where another token helps.
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}
ETAG = {"description": "Entity tag of the ICE session, for If-Match", "required": True, "schema": TEXT}
LINK = {"description": "A STUN or TURN server, one header each (RFC 9725, section 4.6)", "schema": TEXT}
CREATED_LINK = {
    "description": "STUN and TURN servers, and with `rel` of `urn:whipway:status`, `urn:whipway:sinks` and"
    " `urn:whipway:metadata` what is below the session's URL; one header each",
    "required": True,
    "schema": TEXT,
}
NO_STORE = {
    "description": "The answer is for this client alone",
    "required": True,
    "schema": {"type": "string", "const": "no-store"},
}


def problems(*kinds: ProblemKind, **headers: str) -> Responses:
    """Answers with problem documents (RFC 9457), by status; `headers` are those of 415."""
    by_status: defaultdict[int, list[ProblemKind]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    answers: Responses = {status: _problem(same) for status, same in sorted(by_status.items())}
    for name, value in headers.items():
        schema = {"type": "string", "const": value}
        header = {"description": "What is taken", "required": True, "schema": schema}
        answers[415].setdefault("headers", {})[name.replace("_", "-")] = header
    return answers


def _problem(kinds: list[ProblemKind]) -> Described:
    status = kinds[0].status
    codes = [kind.name.lower() for kind in kinds]
    if status is HTTPStatus.NOT_FOUND:
        codes.append(_NOT_FOUND)  # For what is no session's URL at all.
    schema = {
        "title": "Problem",
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "const": int(status)},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": codes},
            "parameter": {"type": "string", "description": "The query parameter to mend"},
        },
        "required": ["type", "title", "status", "detail", "code"],
    }
    answer: Described = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if headers := _HEADERS.get(status):
        answer["headers"] = dict(headers)
    return answer


def links(session_id: str, etag: str | None = None) -> Described:
    """Links to what there is to do with a session, by runtime expressions for its id and its entity tag."""
    parameters = {"session_id": session_id}
    names = ("checkSession", "getSessionStatus", "endSession", "addSink", "listSinks", "sendMetadata")
    found: Described = {name: {"operationId": name, "parameters": parameters} for name in names}
    if etag is not None:
        found["updateIce"] = {"operationId": "updateIce", "parameters": {**parameters, "If-Match": etag}}
    return found


def sink_links(sink_id: str) -> Described:
    """The same for a sink of the session that the request named."""
    parameters = {"session_id": SAME_SESSION, "sink_id": sink_id}
    return {name: {"operationId": name, "parameters": parameters} for name in ("getSink", "removeSink")}


def object_of(**properties: Described) -> Described:
    """All of these are there; more may come with later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def nullable(type_: str) -> Described:
    return {"type": [type_, "null"]}


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
    bytes=_COUNT | {"description": "What the RTMP server has acknowledged"},
    frames=_COUNT | {"description": "Pictures that were sent"},
    frames_dropped=_COUNT | {"description": "Pictures that the RTMP server was too slow for"},
    bitrate=_AMOUNT | {"description": "In bit/s, over the last seconds"},
    queue_ms=_AMOUNT | {"description": "How much waits for the RTMP server"},
    queue_bytes=_COUNT,
    since_progress=nullable("number") | {"description": "Seconds since it was last seen to take something"},
    publishing_for=nullable("number") | {"description": "Seconds"},
)
SNAPSHOT = object_of(
    state={"type": "string", "enum": ["connecting", "live", "ended"]},
    reason=nullable("string") | {"description": "Why it ended, as a word"},
    detail=nullable("string") | {"description": "The same as a sentence"},
    stream_name=TEXT,
    round_trip_ms=nullable("number"),
    silent_for=nullable("number") | {"description": "Seconds since anything came from the client"},
    size={"description": "Width and height", "type": ["array", "null"], "items": {"type": "integer"}},
    ice={"type": "object"},
    warnings={
        "description": "What a person could mend",
        "type": "array",
        "items": object_of(code=TEXT, detail=TEXT),
    },
    tracks=_LIST_OF_OBJECTS,
    sinks={"type": "array", "items": SINK_STATUS},
    drops=COUNTS,
)

# OpenAPI has no expression for a part of a header; `#regex:` is an extension that test tools know.
CREATED_LINKS = links(f"$response.header.Location#regex:/({SESSION_ID_PATTERN})$", "$response.header.ETag")
STATUS_PROBLEMS = (
    ProblemKind.MALFORMED_REQUEST,
    ProblemKind.UNAUTHENTICATED,
    ProblemKind.FORBIDDEN,
    ProblemKind.SESSION_UNKNOWN,
)
SESSION_PROBLEMS = (*STATUS_PROBLEMS, ProblemKind.SESSION_OVER)
CHANGE_PROBLEMS = (*SESSION_PROBLEMS, ProblemKind.ORIGIN_NOT_ALLOWED, ProblemKind.TOO_MANY_REQUESTS)
BODY_PROBLEMS = (
    ProblemKind.BODY_TOO_SLOW,
    ProblemKind.BODY_TOO_LARGE,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE,
)
