"""What `/openapi.json` says of the inputs of a session and their quality; see `openapi`."""

from whipway.web.bodies import JSON_TYPE
from whipway.web.openapi import BEARER
from whipway.web.openapi_answers import (
    BODY_PROBLEMS,
    CHANGE_PROBLEMS,
    NO_STORE,
    SAME_SESSION,
    SESSION_PROBLEMS,
    STATUS_PROBLEMS,
    input_links,
    links,
    problems,
)
from whipway.web.openapi_inputs import INPUT_BODY, MID, QUALITY_BODY, SESSION_ID, Described
from whipway.web.openapi_snapshot import INPUTS as INPUTS_SCHEMA
from whipway.web.openapi_snapshot import QUALITY as QUALITY_SCHEMA
from whipway.web.problems import ProblemKind

INPUTS: Described = {
    "operation_id": "getInputs",
    "summary": "The video tracks of a session, and which of them is on air",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "As they are now; of an ended session the last",
            "content": {JSON_TYPE: {"schema": INPUTS_SCHEMA}},
            "links": input_links("$response.body#/on_air"),
        },
        **problems(*STATUS_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}

SELECT_INPUT: Described = {
    "operation_id": "selectInput",
    "summary": "Put another input on air",
    "description": "It is asked for a key frame. The one before stays on air until that is there; to ask for"
    " the one on air takes a change back that is still to come.",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "It is on air, or wanted",
            "content": {JSON_TYPE: {"schema": INPUTS_SCHEMA}},
            "links": {**links(SAME_SESSION), **input_links("$request.body#/mid")},
        },
        **problems(
            *CHANGE_PROBLEMS,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_JSON,
            ProblemKind.INPUT_REFUSED,
            ProblemKind.INPUT_UNKNOWN,
            Accept=JSON_TYPE,
        ),
    },
    "openapi_extra": {"parameters": [SESSION_ID], "requestBody": INPUT_BODY},
}

THUMBNAIL: Described = {
    "operation_id": "getThumbnail",
    "summary": "What an input shows",
    "description": "Its last key frame, small; a new one is made every two seconds at the most. Whoever goes"
    " on asking keeps key frames coming, of an input that is off air as well.",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "The picture",
            "headers": {"Cache-Control": NO_STORE},
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        204: {"description": "There is no picture yet", "headers": {"Cache-Control": NO_STORE}},
        **problems(*SESSION_PROBLEMS, ProblemKind.INPUT_UNKNOWN),
    },
    "openapi_extra": {"parameters": [SESSION_ID, MID]},
}

QUALITY: Described = {
    "operation_id": "getQuality",
    "summary": "The quality of a session's video: what is asked for, and what comes",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "As it is now, or was",
            "content": {JSON_TYPE: {"schema": QUALITY_SCHEMA}},
        },
        **problems(*STATUS_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}

SET_QUALITY: Described = {
    "operation_id": "setQuality",
    "summary": "Ask for another quality",
    "description": "A limit is told to the client, which follows it within seconds.",
    "dependencies": [BEARER],
    "responses": {
        200: {
            "description": "It is asked for",
            "content": {JSON_TYPE: {"schema": QUALITY_SCHEMA}},
            "links": links(SAME_SESSION),
        },
        **problems(
            *CHANGE_PROBLEMS,
            *BODY_PROBLEMS,
            ProblemKind.MALFORMED_JSON,
            ProblemKind.QUALITY_REFUSED,
            ProblemKind.LAYER_UNKNOWN,
            Accept=JSON_TYPE,
        ),
    },
    "openapi_extra": {"parameters": [SESSION_ID], "requestBody": QUALITY_BODY},
}

REQUEST_KEYFRAME: Described = {
    "operation_id": "requestKeyframe",
    "summary": "Ask for a key frame",
    "dependencies": [BEARER],
    "responses": {
        204: {"description": "The client is asked for one", "links": links(SAME_SESSION)},
        **problems(*CHANGE_PROBLEMS),
    },
    "openapi_extra": {"parameters": [SESSION_ID]},
}
