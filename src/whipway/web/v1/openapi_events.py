"""What `/openapi.json` says of the operation on events; see `openapi_shapes`."""

from whipway.web.callers import KEY_OR_COOKIE
from whipway.web.event_streams import EVENT_STREAM, PULSE
from whipway.web.openapi_answers import TEXT, problems
from whipway.web.openapi_inputs import Described
from whipway.web.problems import ProblemKind
from whipway.web.v1.openapi_shapes import READ_PROBLEMS

_LAST_EVENT_ID: Described = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was seen, as a browser's EventSource sends it.",
    "schema": {"type": "string"},
    "example": "5f0c9a31-17",
}

EVENTS: Described = {
    "operation_id": "followEvents",
    "summary": "Everything that changes, as it happens",
    "description": f"""\
Server-sent events. The first is `hello` with the server's `version`, and with `is_resumed`: whether all
events follow that came after the one in `Last-Event-ID`; if not, what was read before may be out of date.
Then:

- `stream.created`, `stream.live`, `stream.ended`, `stream.locked`, `stream.unlocked`, `stream.changed`,
  `stream.deleted`, with `stream`: the stream without its URLs;
- `session.created`, `session.connected`, `session.ended`, with `session` (its id) and `stream` (its id and
  name, or null);
- `sink.connecting`, `sink.publishing`, `sink.retrying`, `sink.failed`, `sink.closed`, `sink.removed`, with
  these and `sink`.

The data of each has `kind` and `at` as well. Every {PULSE:g} seconds there is a comment.
""",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: {
            "description": "Events, for as long as they are read",
            "content": {
                EVENT_STREAM: {
                    "schema": TEXT,
                    "example": "id: 5f0c9a31-17\nevent: hello\ndata: "
                    '{"version": "0.1.0", "is_resumed": false}\n\n',
                }
            },
        },
        **problems(*READ_PROBLEMS, ProblemKind.TOO_MANY_STREAMS),
    },
    "openapi_extra": {"parameters": [_LAST_EVENT_ID]},
}
