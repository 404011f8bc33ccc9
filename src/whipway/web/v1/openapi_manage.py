"""What `/openapi.json` says of keys, webhooks and the organisation; see `openapi_shapes`."""

from whipway.streams.access.keys import MAX_LIFETIME, MAX_NAME_CHARACTERS
from whipway.streams.store.tables import MAX_URL_CHARACTERS
from whipway.streams.webhooks.webhook_rules import MAX_PATTERNS
from whipway.web.bodies import JSON_TYPE
from whipway.web.callers import KEY_OR_COOKIE
from whipway.web.openapi_answers import NO_STORE, TEXT, nullable, object_of, problems
from whipway.web.openapi_inputs import Described
from whipway.web.problems import ProblemKind
from whipway.web.v1 import openapi_shapes
from whipway.web.v1.openapi_shapes import (
    CHANGE_PROBLEMS,
    COUNT,
    DOCUMENT_PROBLEMS,
    HOST,
    KEY,
    PRINTABLE,
    READ_PROBLEMS,
    WEBHOOK,
    items_of,
    json_answer,
    json_body,
    links_to,
    list_of,
    path_id,
)

_ADMIN = "For administrators."
_KEY_ID = path_id("key_id", "the key", "9a3f0c5d7e1b2468")
_WEBHOOK_ID = path_id("webhook_id", "the webhook", "0b1c2d3e4f5a69788796a5b4c3d2e1f0")
_NAME: Described = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAME_CHARACTERS,
    "pattern": f"^{PRINTABLE}+$",
}
_WEBHOOK_URL: Described = {
    "type": "string",
    "maxLength": MAX_URL_CHARACTERS,
    "pattern": rf"^https?://{HOST}([/?#][!-~]*)?$",
}
_PATTERNS: Described = list_of({"type": "string", "pattern": r"^(\*|(stream|sink)\.(\*|[a-z_]{1,32}))$"}) | {
    "minItems": 1,
    "maxItems": MAX_PATTERNS,
}

_EXAMPLE_KEY = {
    "id": "9a3f0c5d7e1b2468",
    "name": "Studio",
    "role": "user",
    "stream_id": None,
    "created_at": "2026-03-01T12:00:00.000Z",
    "expires_at": None,
    "revoked_at": None,
    "used_at": None,
}
_EXAMPLE_WEBHOOK = {
    "id": "0b1c2d3e4f5a69788796a5b4c3d2e1f0",
    "url": "https://hooks.example.com/whipway",
    "events": ["stream.*"],
    "created_at": "2026-03-01T12:00:00.000Z",
    "waiting": 0,
}
_EXAMPLE_ORGANISATION = {
    "id": "6f1c2b1e-8a7d-4f7e-9d55-0c6f0f1b7a11",
    "name": "Example Broadcasting",
    "hash": "Hx4Qa",
    "webhook": None,
    "created_at": "2026-03-01T12:00:00.000Z",
}
_SECRET_HEADERS = {"headers": {"Cache-Control": NO_STORE}}


def _with(schema: Described, **more: Described) -> Described:
    """The schema of an object with more members."""
    properties, required = schema["properties"] | more, [*schema["required"], *more]
    return {**schema, "properties": properties, "required": required}


_COUNTED_WEBHOOK = _with(WEBHOOK, waiting=COUNT | {"description": "Events that it has still to be told"})

LIST_KEYS: Described = {
    "operation_id": "listKeys",
    "summary": "All keys",
    "description": f"{_ADMIN} Those that are over are shown for 30 days more.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("The newest first", items_of(KEY), {"items": [_EXAMPLE_KEY]}),
        **problems(*READ_PROBLEMS),
    },
    "openapi_extra": {},
}

CREATE_KEY: Described = {
    "operation_id": "createKey",
    "summary": "Make a key",
    "description": f"{_ADMIN} Keys that publish one stream are made at that stream.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        201: json_answer(
            "The key, which is shown this once",
            _with(KEY, key=TEXT),
            {**_EXAMPLE_KEY, "key": "wk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        )
        | _SECRET_HEADERS
        | {"links": links_to("key_id", "$response.body#/id", "revokeKey")},
        **problems(*CHANGE_PROBLEMS, *DOCUMENT_PROBLEMS, ProblemKind.TOO_MANY_KEYS, Accept_Post=JSON_TYPE),
    },
    "openapi_extra": {
        "requestBody": json_body(
            "What it is for",
            {"name": "Studio", "role": "user", "expires_in": 86_400},
            required=("name", "role"),
            name=_NAME,
            role={"type": "string", "enum": ["admin", "user", "read-only", "player"]},
            expires_in={
                "description": "Seconds; without it, it does not expire",
                "type": "number",
                "minimum": 1,
                "maximum": int(MAX_LIFETIME.total_seconds()),
            },
        )
    },
}

REVOKE_KEY: Described = {
    "operation_id": "revokeKey",
    "summary": "Revoke a key",
    "description": f"{_ADMIN} Whoever signed in with it is signed out.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        204: {"description": "It opens nothing more"},
        **problems(*CHANGE_PROBLEMS, ProblemKind.KEY_UNKNOWN),
    },
    "openapi_extra": {"parameters": [_KEY_ID]},
}

LIST_WEBHOOKS: Described = {
    "operation_id": "listWebhooks",
    "summary": "All webhooks",
    "description": _ADMIN,
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("The oldest first", items_of(_COUNTED_WEBHOOK), {"items": [_EXAMPLE_WEBHOOK]}),
        **problems(*READ_PROBLEMS),
    },
    "openapi_extra": {},
}

CREATE_WEBHOOK: Described = {
    "operation_id": "createWebhook",
    "summary": "Have a URL told of events",
    "description": f"{_ADMIN} What it is told is signed as Standard Webhooks has it, with the secret of the"
    " answer.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        201: json_answer(
            "The webhook, with its secret, which is shown this once",
            _with(_COUNTED_WEBHOOK, secret=TEXT),
            {**_EXAMPLE_WEBHOOK, "secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        )
        | _SECRET_HEADERS
        | {"links": links_to("webhook_id", "$response.body#/id", "testWebhook", "deleteWebhook")},
        **problems(*CHANGE_PROBLEMS, *DOCUMENT_PROBLEMS, Accept_Post=JSON_TYPE),
    },
    "openapi_extra": {
        "requestBody": json_body(
            "The URL, and which events; * for any, which is what it gets without them",
            {"url": "https://hooks.example.com/whipway", "events": ["stream.*", "sink.failed"]},
            required=("url",),
            url=_WEBHOOK_URL,
            events=_PATTERNS,
        )
    },
}

DELETE_WEBHOOK: Described = {
    "operation_id": "deleteWebhook",
    "summary": "Tell a URL nothing more",
    "description": f"{_ADMIN} What it has still to be told is forgotten.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        204: {"description": "It is gone"},
        **problems(*CHANGE_PROBLEMS, ProblemKind.WEBHOOK_UNKNOWN),
    },
    "openapi_extra": {"parameters": [_WEBHOOK_ID]},
}

TEST_WEBHOOK: Described = {
    "operation_id": "testWebhook",
    "summary": "Send a webhook an event now, and see what it answers",
    "description": f"{_ADMIN} The event is of the kind `webhook.test`, and is sent once.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer(
            "What came of it; of status and error one is null",
            object_of(is_success={"type": "boolean"}, status=nullable("integer"), error=nullable("string")),
            {"is_success": True, "status": 204, "error": None},
        ),
        **problems(*CHANGE_PROBLEMS, ProblemKind.WEBHOOK_UNKNOWN),
    },
    "openapi_extra": {"parameters": [_WEBHOOK_ID]},
}

ORGANISATION: Described = {
    "operation_id": "getOrganisation",
    "summary": "Whose streams these are",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("The organisation", openapi_shapes.ORGANISATION, _EXAMPLE_ORGANISATION),
        **problems(*READ_PROBLEMS),
    },
    "openapi_extra": {},
}

CHANGE_ORGANISATION: Described = {
    "operation_id": "changeOrganisation",
    "summary": "Set the organisation's name and webhook",
    "description": f"{_ADMIN} The webhook is asked before each publish, and told of its course.",
    "dependencies": KEY_OR_COOKIE,
    "responses": {
        200: json_answer("As it is now", openapi_shapes.ORGANISATION, _EXAMPLE_ORGANISATION),
        **problems(*CHANGE_PROBLEMS, *DOCUMENT_PROBLEMS, Accept_Patch=JSON_TYPE),
    },
    "openapi_extra": {
        "requestBody": json_body(
            "What to change; what does not stand here stays as it is",
            {"name": "Example Broadcasting", "webhook": None},
            name=_NAME,
            webhook=_WEBHOOK_URL | {"type": ["string", "null"], "description": "null: none"},
        )
    },
}
