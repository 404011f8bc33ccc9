"""What `openapi` and its neighbours put answers together of: problems, links, headers. `openapi_snapshot` has
what the answers say of a session.
"""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus

from whipway.web.openapi_inputs import SESSION_ID_PATTERN, Described
from whipway.web.problems import MEDIA_TYPE, ProblemKind
from whipway.web.urls import RELATIONS

Responses = dict[int | str, Described]

SAME_SESSION = "$request.path.session_id"
_OF_SESSIONS = (
    "checkSession",
    "getSessionStatus",
    "endSession",
    "addSink",
    "listSinks",
    "sendMetadata",
    "getInputs",
    "selectInput",
    "getQuality",
    "setQuality",
    "requestKeyframe",
)
"""What there is to do with a session, whatever was done before."""
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
    "description": f"STUN and TURN servers, and with `rel` of {', '.join(RELATIONS.values())} what is below"
    " the session's URL; one header each. That of inputs is there where an offer may have several video"
    " tracks",
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
            "parameter": {
                "type": "string",
                "description": "The query parameter to mend, or the member of the body",
            },
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
    found: Described = {name: {"operationId": name, "parameters": parameters} for name in _OF_SESSIONS}
    if etag is not None:
        found["updateIce"] = {"operationId": "updateIce", "parameters": {**parameters, "If-Match": etag}}
    return found


def input_links(mid: str) -> Described:
    """The same for an input of the session that the request named."""
    parameters = {"session_id": SAME_SESSION, "mid": mid}
    return {"getThumbnail": {"operationId": "getThumbnail", "parameters": parameters}}


def sink_links(sink_id: str) -> Described:
    """The same for a sink of the session that the request named."""
    parameters = {"session_id": SAME_SESSION, "sink_id": sink_id}
    return {name: {"operationId": name, "parameters": parameters} for name in ("getSink", "removeSink")}


def object_of(**properties: Described) -> Described:
    """All of these are there; more may come with later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def nullable(type_: str) -> Described:
    return {"type": [type_, "null"]}


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
