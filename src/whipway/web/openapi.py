"""What `/openapi.json` says of this server and its WHIP routes: every answer, and where to go from it.

The routes read queries and bodies themselves, so the framework knows nothing of them. Each constant here
holds the arguments that describe one operation to its route; `openapi_inputs` has what an operation takes,
`openapi_answers` and `openapi_snapshot` what answers are made of, `openapi_sinks` and `openapi_controls` the
other operations.
"""

from fastapi import Security
from fastapi.security import HTTPBearer

from whipway.web.bodies import FRAGMENT, FRAGMENT_TYPE, OFFER, SDP_TYPE
from whipway.web.openapi_answers import (
    BODY_PROBLEMS,
    CHANGE_PROBLEMS,
    CREATED_LINK,
    CREATED_LINKS,
    ETAG,
    LINK,
    NO_STORE,
    SAME_SESSION,
    SESSION_PROBLEMS,
    STATUS_PROBLEMS,
    TEXT,
    links,
    nullable,
    object_of,
    problems,
)
from whipway.web.openapi_inputs import (
    AUDIO,
    AUDIO_BITRATE,
    EXAMPLE_FRAGMENT,
    EXAMPLE_OFFER,
    FILLER,
    FRAGMENT_FORMAT,
    IF_MATCH,
    LAST_EVENT_ID,
    OFFER_FORMAT,
    SESSION_ID,
    STREAM_NAME,
    STREAM_URL,
    Described,
    body,
)
from whipway.web.openapi_snapshot import COUNTS, SNAPSHOT
from whipway.web.problems import ProblemKind
from whipway.web.status_stream import END, EVENT_STREAM

ABOUT: Described = {
    "summary": "A WHIP server that broadcasts WebRTC over RTMP.",
    "description": """\
WHIP ([RFC 9725](https://www.rfc-editor.org/rfc/rfc9725)): `POST` an SDP offer to publish; the answer's
`Location` is the URL of the session, which `PATCH` changes and `DELETE` ends.

Below `/v1` is the API of streams. It takes a key as bearer token (`Authorization: Bearer wk_…`), or the
cookie of somebody who signed in; then what changes something needs `X-CSRF-Token` as well. Keys have roles:
`admin` may do everything, `user` what makes and changes streams, `read-only` what shows them, `player` list
them by tag, `publisher` publish one of them. Times are UTC.

What holds for every path and is not repeated below:

- `OPTIONS` answers 200 to anybody, with `Allow` and, unless a `POST` would be wrong or needs no body,
  `Accept-Post`, on sessions with `Accept-Patch`, on the endpoint with the ICE servers as `Link`. CORS
  preflights are answered as well.
- `HEAD` answers as `GET` does, without content.
- Any other method answers 405 with `Allow`.
- Errors are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); their `code` is for
  programs.
- What is not HTTP (RFC 9112), and a path with a control character, answers 400, with the code
  `malformed_request`.
- Where the origins are listed from which pages may publish, other pages' `POST`, `PUT`, `PATCH` and `DELETE`
  answer 403, with the code `origin_not_allowed`.
""",
    "license_info": {"name": "MIT License", "identifier": "MIT"},
    "openapi_tags": [
        {"name": "WHIP", "description": "The WHIP endpoint, and the sessions below it"},
        {"name": "Sinks", "description": "The RTMP servers that a session feeds"},
        {"name": "Control", "description": "The video of a session: which input, in which quality"},
        {"name": "Streams", "description": "Streams, whoever publishes them: create, find, watch, stop"},
        {"name": "Sessions", "description": "WHIP sessions, as those see them who are not their publishers"},
        {"name": "Events", "description": "Everything that changes"},
        {"name": "Organisation", "description": "Whose streams these are"},
        {"name": "Keys", "description": "Who may use the API, for what, and until when"},
        {"name": "Webhooks", "description": "URLs that are told of events"},
        {"name": "People", "description": "Signing in to the dashboard, and out"},
        {"name": "Server", "description": "What the server itself does"},
    ],
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


def described(operation: Described, *, needs_token: bool) -> Described:
    """An operation whose route takes a bearer token, or, on another server, can do without."""
    if needs_token:
        return operation
    # FastAPI puts this beside what the dependency says.
    return {**operation, "openapi_extra": {**operation["openapi_extra"], "security": [{}]}}


PUBLISH: Described = {
    "operation_id": "publish",
    "summary": "Publish: send an SDP offer",
    "dependencies": [BEARER],
    "responses": {
        201: {
            "description": "The SDP answer",
            "headers": {
                "Location": {"description": "The session's URL", "required": True, "schema": TEXT},
                "ETag": ETAG,
                "Link": CREATED_LINK,
                "Cache-Control": NO_STORE,
            },
            "content": {SDP_TYPE: {"schema": TEXT}},
            "links": CREATED_LINKS,
        },
        307: {
            "description": "Another server has room: send the offer there",
            "headers": {
                "Location": {"description": "Where to", "required": True, "schema": TEXT},
                "Cache-Control": NO_STORE,
            },
        },
        **problems(
            ProblemKind.BAD_PARAMETER,
            ProblemKind.MALFORMED_REQUEST,
            ProblemKind.MALFORMED_SDP,
            ProblemKind.UNAUTHENTICATED,
            ProblemKind.FORBIDDEN,
            ProblemKind.EGRESS_REFUSED,
            ProblemKind.ORIGIN_NOT_ALLOWED,
            *BODY_PROBLEMS,
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
        "parameters": [STREAM_NAME, STREAM_URL, AUDIO, AUDIO_BITRATE, FILLER],
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
                    "schema": object_of(
                        server_version=TEXT,
                        default_stream_url=nullable("string"),
                        sessions={"type": "integer", "minimum": 0},
                        drops=COUNTS,
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
    "responses": problems(*SESSION_PROBLEMS),
    "openapi_extra": {"parameters": [SESSION_ID]},
}

UPDATE_ICE: Described = {
    "operation_id": "updateIce",
    "summary": "Trickle ICE candidates, or restart ICE",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "ICE restarts: the server's new credentials and candidates",
            "headers": {"ETag": ETAG, "Link": LINK, "Cache-Control": NO_STORE},
            "content": {FRAGMENT_TYPE: {"schema": TEXT}},
            "links": links(SAME_SESSION, "$response.header.ETag"),
        },
        204: {
            "description": "The candidates were taken",
            "links": links(SAME_SESSION, "$request.header.If-Match"),
        },
        **problems(
            *CHANGE_PROBLEMS,
            *BODY_PROBLEMS,
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
        200: {"description": "The session is over", "links": links(SAME_SESSION)},
        **problems(*CHANGE_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}

SESSION_STATUS: Described = {
    "operation_id": "getSessionStatus",
    "summary": "What a session is doing, and why it ended",
    "description": f"""\
As JSON, or with `Accept: {EVENT_STREAM}` as server-sent events: `status` with a snapshot at once, whenever
something changes, and each second; at last `end` with the last one, which has the id `{END}`. Who comes back
with that as `Last-Event-ID` is told to stay away.
""",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "A snapshot, or the last one",
            "content": {"application/json": {"schema": SNAPSHOT}, EVENT_STREAM: {"schema": TEXT}},
        },
        204: {"description": "All events of the session were sent already"},
        **problems(*STATUS_PROBLEMS, ProblemKind.TOO_MANY_STREAMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID, LAST_EVENT_ID]},
}
