"""Messages as bytes: one JSON object each, so that a worker may live in this process or in another one."""

import json
from dataclasses import fields
from typing import get_args

from whipway.worker.messages.events import WorkerEvent
from whipway.worker.messages.replies import Reply
from whipway.worker.messages.requests import Request

AnyMessage = Request | Reply | WorkerEvent

_TYPES: dict[str, type[AnyMessage]] = {kind.__name__: kind for kind in get_args(AnyMessage)}


def encode_message(message: AnyMessage) -> bytes:
    """Write a message as one JSON object. TypeError means that it held more than plain data: a bug."""
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    return json.dumps({"type": type(message).__name__, **values}).encode()


def decode_message(data: bytes) -> AnyMessage:
    """Read a message written by `encode_message`. KeyError and TypeError mean a bug: both ends are ours."""
    values = json.loads(data)
    kind = _TYPES[values.pop("type")]
    assert values.keys() == {field.name for field in fields(kind)}
    return kind(**values)
