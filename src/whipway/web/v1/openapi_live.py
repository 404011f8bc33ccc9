"""What `/openapi.json` says of streams while they are live, and of workers; see `openapi_shapes`."""

from whipway.web.callers import KEY_OR_COOKIE
from whipway.web.event_streams import EVENT_STREAM
from whipway.web.openapi_answers import NO_STORE, TEXT, Responses, object_of, problems
from whipway.web.openapi_inputs import Described
from whipway.web.openapi_snapshot import COUNTS
from whipway.web.problems import ProblemKind
from whipway.web.v1.openapi_shapes import (
    COUNT,
    READ_PROBLEMS,
    STREAM_ID,
    TIME,
    items_of,
    json_answer,
    list_of,
    or_null,
)

_LOOK = (*READ_PROBLEMS, ProblemKind.STREAM_UNKNOWN)
_AMOUNT: Described = {"type": "number", "minimum": 0}
_COUNT_OR_NULL: Described = {"type": ["integer", "null"], "minimum": 0}
_AMOUNT_OR_NULL: Described = {"type": ["number", "null"], "minimum": 0}


def _of_stream(operation_id: str, summary: str, responses: Responses, *parameters: Described) -> Described:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "dependencies": KEY_OR_COOKIE,
        "responses": responses,
        "openapi_extra": {"parameters": [STREAM_ID, *parameters]},
    }


LIVE = _of_stream(
    "followStream",
    "One stream, as it changes",
    {
        200: {
            "description": "Server-sent events: `status` at once, whenever something changes, and each"
            " second, with `stream`; with `session`, that is its `id` and `snapshot`, or null; and with"
            " `rtmp`, how its RTMP publisher sends, or null. `gone` when the stream is deleted.",
            "content": {EVENT_STREAM: {"schema": TEXT}},
        },
        **problems(*_LOOK, ProblemKind.TOO_MANY_STREAMS),
    },
)

FIGURES = _of_stream(
    "getStreamFigures",
    "How a stream came over the last ten minutes",
    {
        200: json_answer(
            "The oldest point first; there are none for the time when nobody published",
            object_of(
                interval=COUNT | {"description": "Seconds between two points"},
                points=list_of(
                    object_of(
                        at=TIME,
                        bitrate=COUNT | {"description": "In bit/s, of picture and sound"},
                        fps=_AMOUNT,
                        loss=_AMOUNT_OR_NULL
                        | {"description": "The part of the packets that never came; null: of RTMP"},
                        round_trip_ms=_AMOUNT_OR_NULL,
                        jitter_ms=_AMOUNT_OR_NULL,
                    )
                ),
            ),
            {
                "interval": 5,
                "points": [
                    {
                        "at": "2026-03-01T12:05:05.000Z",
                        "bitrate": 2_130_000,
                        "fps": 25.0,
                        "loss": 0.0012,
                        "round_trip_ms": 23.5,
                        "jitter_ms": 4.2,
                    }
                ],
            },
        ),
        **problems(*_LOOK),
    },
)

PREVIEW = _of_stream(
    "getStreamPreview",
    "What a stream shows",
    {
        200: {
            "description": "Its last key frame, small; every two seconds another one at the most",
            "headers": {"Cache-Control": NO_STORE},
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        204: {
            "description": "There is no picture: it is not live, or does not show anything yet",
            "headers": {"Cache-Control": NO_STORE},
        },
        **problems(*_LOOK),
    },
)

QR_CODE = _of_stream(
    "getStreamQrCode",
    "A URL of a stream as a QR code",
    {
        200: {
            "description": "The code, black on white",
            "headers": {"Cache-Control": NO_STORE},
            "content": {"image/svg+xml": {"schema": TEXT}},
        },
        **problems(ProblemKind.BAD_PARAMETER, *_LOOK, ProblemKind.URL_UNKNOWN),
    },
    {
        "name": "of",
        "in": "query",
        "description": "Which one: to publish by WHIP or by RTMP, or to play.",
        "schema": {"type": "string", "enum": ["whip", "rtmp", "play"], "default": "whip"},
        "example": "rtmp",
    },
)

_OF_WORKER = object_of(
    id=COUNT,
    state={
        "description": "starting: at the start, and after it was lost; draining: the server is stopping, and"
        " takes no new sessions",
        "type": "string",
        "enum": ["starting", "running", "draining"],
    },
    process_id=_COUNT_OR_NULL | {"description": "Null: there is no process now"},
    port=COUNT | {"description": "For media"},
    restarts=COUNT | {"description": "How often it was lost, and started anew"},
    lost_sessions=COUNT | {"description": "That ended because it was lost"},
    sessions=_COUNT_OR_NULL,
    bitrate_in=_COUNT_OR_NULL | {"description": "In bit/s, from publishers, over the last seconds"},
    bytes_in=_COUNT_OR_NULL | {"description": "From publishers"},
    bytes_out=_COUNT_OR_NULL | {"description": "That RTMP servers have acknowledged"},
    loop_lag_ms=_AMOUNT_OR_NULL | {"description": "The worst delay of the event loop lately"},
    cpu_percent=_AMOUNT_OR_NULL | {"description": "Of one core, lately"},
    drops=or_null(COUNTS),
)
_EXAMPLE_WORKER = {
    "id": 0,
    "state": "running",
    "process_id": 4711,
    "port": 8200,
    "restarts": 0,
    "lost_sessions": 0,
    "sessions": 1,
    "bitrate_in": 2_130_000,
    "bytes_in": 81_203_456,
    "bytes_out": 80_911_004,
    "loop_lag_ms": 1.4,
    "cpu_percent": 3.1,
    "drops": {"stun_unknown_user": 3},
}
WORKERS: Described = {
    "operation_id": "listWorkers",
    "summary": "The media workers of this server, and how they fare",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "As they are now. What only a worker itself knows is null while it cannot be asked; its counts"
            " begin anew when it was lost and started again",
            items_of(_OF_WORKER),
            {"items": [_EXAMPLE_WORKER]},
        ),
        **problems(*READ_PROBLEMS),
    },
    "openapi_extra": {},
}
