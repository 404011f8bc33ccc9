"""What a publisher may put into its stream: one RTMP data message, written as JSON (RFC 8259).

`{"handlerName": "onMetaData", "payload": {"title": "A day"}}`; members beside these two are left alone. The
payload is an object, and its depth is 1; that of what stands inside of an object or array is one more than
the object's or array's own. What has no form in AMF0 is refused: numbers beyond those of a double, text that
is no Unicode, and members without a name, which readers of AMF0 take for the object's end.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from whipway.web.problems import Problem, ProblemKind

HANDLERS = ("onMetaData", "onCuePoint")
MAX_DEPTH = 6
"""Of objects and arrays in the payload, itself included."""


@dataclass(frozen=True, slots=True)
class MetadataMessage:
    """The name that the RTMP message begins with, and the object behind it. All numbers are floats."""

    handler: str
    payload: dict[str, Any]


def parse_metadata(text: str) -> MetadataMessage:
    """Check a body. Raises Problem (400, 422) with the member that is wrong."""
    document = _parse_json(text)
    if not isinstance(document, dict):
        raise _refused("The body is an object with handlerName and payload")
    handler, payload = document.get("handlerName"), document.get("payload")
    if handler not in HANDLERS:
        raise _refused(f"handlerName is one of {', '.join(HANDLERS)}")
    if not isinstance(payload, dict):
        raise _refused("payload is an object")
    _check_value(payload, "payload", 0)
    return MetadataMessage(handler, payload)


def _parse_json(text: str) -> Any:
    try:
        # AMF0 has one kind of number. And Python takes its time over integers of thousands of digits.
        return json.loads(text, parse_int=float, parse_constant=_refuse_constant)
    except ValueError:
        raise Problem(ProblemKind.MALFORMED_METADATA, "The body is not JSON") from None
    except RecursionError:
        raise _too_deep("The body") from None


def _refuse_constant(name: str) -> NoReturn:
    """RFC 8259, section 6: "Numeric values that cannot be represented in the grammar […] (such as Infinity
    and NaN) are not permitted." """
    raise ValueError(name)


def _check_value(value: Any, where: str, depth: int) -> None:
    """`depth`: of what the value stands in. `where` names the member, for whoever wrote it."""
    match value:
        case dict() | list():
            if depth == MAX_DEPTH:
                raise _too_deep(where)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                _check_value(item, _check_name(where, name), depth + 1)
        case float():
            if not math.isfinite(value):
                raise _refused(f"{where} is a number too large")
        case str():
            _check_text(value, where)


def _check_name(where: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{where}[{name}]"
    if not name:
        raise _refused(f"{where} has a member without a name")
    _check_text(name, f"The name of a member of {where}")
    return f"{where}.{name}"


def _check_text(text: str, where: str) -> None:
    # RFC 8259, section 8.2: JSON can hold a half of a surrogate pair, which is no character.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(f"{where} is no Unicode text") from None


def _too_deep(where: str) -> Problem:
    return _refused(f"{where} is nested too deep: payload may have {MAX_DEPTH} levels")


def _refused(detail: str) -> Problem:
    return Problem(ProblemKind.METADATA_REFUSED, detail)
