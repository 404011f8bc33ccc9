"""What `/openapi.json` says of this server and its WHIP routes: every answer, and where to go from it.

The routes read queries and bodies themselves, so the framework knows nothing of them. Each constant here
holds the arguments that describe one operation to its route; `openapi_inputs` has what an operation takes.
"""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Security
from fastapi.security import HTTPBearer

from whipway.web.bodies import FRAGMENT, FRAGMENT_TYPE, OFFER, SDP_TYPE
from whipway.web.openapi_inputs import (
    AUDIO_BITRATE,
    EXAMPLE_FRAGMENT,
    EXAMPLE_OFFER,
    FRAGMENT_FORMAT,
    IF_MATCH,
    OFFER_FORMAT,
    SESSION_ID,
    SESSION_ID_PATTERN,
    STREAM_NAME,
    STREAM_URL,
    Described,
    body,
)
from whipway.web.problems import MEDIA_TYPE, ProblemKind

Responses = dict[int | str, Described]

ABOUT: Described = {
    "summary": "A WHIP server that broadcasts WebRTC over RTMP.",
    "description": """\
WHIP ([RFC 9725](https://www.rfc-editor.org/rfc/rfc9725)): `POST` an SDP offer to publish; the answer's
`Location` is the URL of the session, which `PATCH` changes and `DELETE` ends.

What holds for every path and is not repeated below:

- `OPTIONS` answers 200 to anybody, with `Allow` and `Accept-Post`, on sessions with `Accept-Patch`, on the
  endpoint with the ICE servers as `Link`. CORS preflights are answered as well.
- `HEAD` answers as `GET` does, without content.
- Any other method answers 405 with `Allow`.
- Errors are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); their `code` is for
  programs.
- What is not HTTP (RFC 9112), and a path with a control character, answers 400, with the code
  `malformed_request`.
- Where the origins are listed from which pages may publish, other pages' `POST`, `PATCH` and `DELETE` answer
  403, with the code `origin_not_allowed`.
""",
    "license_info": {"name": "MIT License", "identifier": "MIT"},
    "openapi_tags": [{"name": "WHIP", "description": "The WHIP endpoint, and the sessions below it"}],
}
"""Arguments of the application."""

BEARER = Security(
    HTTPBearer(
        scheme_name="bearer",
        auto_error=False,
        description="A token or a JSON Web Token, as this server is set up; a session's URL takes the one"
        " that the session was made with.",
    )
)
"""A dependency that refuses nobody: it is there to be described. `web.auth` decides."""

_TEXT = {"type": "string"}
_CHALLENGE = {"description": "How to authenticate (RFC 6750, section 3)", "schema": _TEXT}
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
_ETAG = {"description": "Entity tag of the ICE session, for If-Match", "required": True, "schema": _TEXT}
_LINK = {"description": "A STUN or TURN server, one header each (RFC 9725, section 4.6)", "schema": _TEXT}
_NO_STORE = {
    "description": "The answer is for this client alone",
    "required": True,
    "schema": {"type": "string", "const": "no-store"},
}


def _problems(*kinds: ProblemKind, **headers: str) -> Responses:
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


def described(operation: Described, *, needs_token: bool) -> Described:
    """An operation whose route takes a bearer token, or, on another server, can do without."""
    if needs_token:
        return operation
    # FastAPI puts this beside what the dependency says.
    return {**operation, "openapi_extra": {**operation["openapi_extra"], "security": [{}]}}


def _links(session_id: str, etag: str | None = None) -> Described:
    """Links to what there is to do with a session, by runtime expressions for its id and its entity tag."""
    parameters = {"session_id": session_id}
    links: Described = {
        name: {"operationId": name, "parameters": parameters}
        for name in ("checkSession", "getSessionStatus", "endSession")
    }
    if etag is not None:
        links["updateIce"] = {"operationId": "updateIce", "parameters": {**parameters, "If-Match": etag}}
    return links


def _object(**properties: Described) -> Described:
    """All of these are there; more may come with later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _nullable(type_: str) -> Described:
    return {"type": [type_, "null"]}


_COUNTS = {
    "type": "object",
    "description": "Packets that were dropped, by reason",
    "additionalProperties": {"type": "integer", "minimum": 0},
}
_LIST_OF_OBJECTS = {"type": "array", "items": {"type": "object"}}
_SNAPSHOT = _object(
    state={"type": "string", "enum": ["connecting", "live", "ended"]},
    reason=_nullable("string") | {"description": "Why it ended, as a word"},
    detail=_nullable("string") | {"description": "The same as a sentence"},
    stream_name=_TEXT,
    round_trip_ms=_nullable("number"),
    silent_for=_nullable("number") | {"description": "Seconds since anything came from the client"},
    size={"description": "Width and height", "type": ["array", "null"], "items": {"type": "integer"}},
    ice={"type": "object"},
    warnings={
        "description": "What a person could mend",
        "type": "array",
        "items": _object(code=_TEXT, detail=_TEXT),
    },
    tracks=_LIST_OF_OBJECTS,
    sinks=_LIST_OF_OBJECTS,
    drops=_COUNTS,
)

# OpenAPI has no expression for a part of a header; `#regex:` is an extension that test tools know.
_CREATED_LINKS = _links(f"$response.header.Location#regex:/({SESSION_ID_PATTERN})$", "$response.header.ETag")
_SAME_SESSION = "$request.path.session_id"
_STATUS_PROBLEMS = (
    ProblemKind.MALFORMED_REQUEST,
    ProblemKind.UNAUTHENTICATED,
    ProblemKind.FORBIDDEN,
    ProblemKind.SESSION_UNKNOWN,
)
_SESSION_PROBLEMS = (*_STATUS_PROBLEMS, ProblemKind.SESSION_OVER)
_CHANGE_PROBLEMS = (*_SESSION_PROBLEMS, ProblemKind.ORIGIN_NOT_ALLOWED, ProblemKind.TOO_MANY_REQUESTS)
_BODY_PROBLEMS = (
    ProblemKind.BODY_TOO_SLOW,
    ProblemKind.BODY_TOO_LARGE,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE,
)

PUBLISH: Described = {
    "operation_id": "publish",
    "summary": "Publish: send an SDP offer",
    "dependencies": [BEARER],
    "responses": {
        201: {
            "description": "The SDP answer",
            "headers": {
                "Location": {"description": "The session's URL", "required": True, "schema": _TEXT},
                "ETag": _ETAG,
                "Link": _LINK,
                "Cache-Control": _NO_STORE,
            },
            "content": {SDP_TYPE: {"schema": _TEXT}},
            "links": _CREATED_LINKS,
        },
        307: {
            "description": "Another server has room: send the offer there",
            "headers": {
                "Location": {"description": "Where to", "required": True, "schema": _TEXT},
                "Cache-Control": _NO_STORE,
            },
        },
        **_problems(
            ProblemKind.BAD_PARAMETER,
            ProblemKind.MALFORMED_REQUEST,
            ProblemKind.MALFORMED_SDP,
            ProblemKind.UNAUTHENTICATED,
            ProblemKind.FORBIDDEN,
            ProblemKind.EGRESS_REFUSED,
            ProblemKind.ORIGIN_NOT_ALLOWED,
            *_BODY_PROBLEMS,
            ProblemKind.STREAM_BUSY,
            ProblemKind.UNSUPPORTED_OFFER,
            ProblemKind.TOO_MANY_REQUESTS,
            ProblemKind.TOO_MANY_SESSIONS,
            ProblemKind.SERVER_FULL,
            ProblemKind.DRAINING,
            Accept_Post=SDP_TYPE,
        ),
    },
    "openapi_extra": {
        "parameters": [STREAM_NAME, STREAM_URL, AUDIO_BITRATE],
        "requestBody": body("The offer", OFFER_FORMAT, EXAMPLE_OFFER, *OFFER.media_types),
    },
}

ENDPOINT: Described = {
    "operation_id": "checkEndpoint",
    "summary": "See that there is a WHIP endpoint",
    "response_description": "Here it is",
}

SERVER_STATUS: Described = {
    "operation_id": "getServerStatus",
    "summary": "Version, defaults and figures of this server",
    "response_description": "As they are now",
    "responses": {
        200: {
            "content": {
                "application/json": {
                    "schema": _object(
                        server_version=_TEXT,
                        default_stream_url=_nullable("string"),
                        sessions={"type": "integer", "minimum": 0},
                        drops=_COUNTS,
                    ),
                    "example": {
                        "server_version": "0.1.0",
                        "default_stream_url": "rtmp://127.0.0.1:1935/live",
                        "sessions": 2,
                        "drops": {"stun_unknown_user": 3},
                    },
                }
            }
        }
    },
}

SESSION: Described = {
    "operation_id": "checkSession",
    "summary": "See that a session goes on",
    "response_description": "It does",
    "dependencies": [BEARER],
    "responses": _problems(*_SESSION_PROBLEMS),
    "openapi_extra": {"parameters": [SESSION_ID]},
}

UPDATE_ICE: Described = {
    "operation_id": "updateIce",
    "summary": "Trickle ICE candidates, or restart ICE",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "ICE restarts: the server's new credentials and candidates",
            "headers": {"ETag": _ETAG, "Link": _LINK, "Cache-Control": _NO_STORE},
            "content": {FRAGMENT_TYPE: {"schema": _TEXT}},
            "links": _links(_SAME_SESSION, "$response.header.ETag"),
        },
        204: {
            "description": "The candidates were taken",
            "links": _links(_SAME_SESSION, "$request.header.If-Match"),
        },
        **_problems(
            *_CHANGE_PROBLEMS,
            *_BODY_PROBLEMS,
            ProblemKind.PRECONDITION_REQUIRED,
            ProblemKind.MALFORMED_IF_MATCH,
            ProblemKind.MALFORMED_FRAGMENT,
            ProblemKind.PRECONDITION_FAILED,
            Accept_Patch=FRAGMENT_TYPE,
        ),
    },
    "openapi_extra": {
        "parameters": [SESSION_ID, IF_MATCH],
        "requestBody": body(
            "The SDP fragment (RFC 8840)", FRAGMENT_FORMAT, EXAMPLE_FRAGMENT, *FRAGMENT.media_types
        ),
    },
}

DELETE: Described = {
    "operation_id": "endSession",
    "summary": "Stop publishing",
    "dependencies": [BEARER],
    "responses": {
        200: {"description": "The session is over", "links": _links(_SAME_SESSION)},
        **_problems(*_CHANGE_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}

SESSION_STATUS: Described = {
    "operation_id": "getSessionStatus",
    "summary": "What a session is doing, and why it ended",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "A snapshot, or the last one",
            "content": {"application/json": {"schema": _SNAPSHOT}},
        },
        **_problems(*_STATUS_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}
