"""What requests of the bintu API bring: members of a JSON body, and a query.

Bodies come with whatever media type a client happens to send; members that are not known are left alone, as
the platform has many that mean nothing here (`transcodes`, `processing`).
"""

import json
from typing import Any

from fastapi import Request
from starlette.datastructures import QueryParams

from whipway.streams.records import PRESENT, StreamQuery, StreamState
from whipway.streams.store.tables import MAX_TAG_CHARACTERS
from whipway.streams.stream_tags import MAX_TAGS
from whipway.web.bintu.errors import BintuError, Fault
from whipway.web.bodies import DOCUMENT, read_text

DEFAULT_QUANTITY, MAX_QUANTITY = 50, 500
TYPES = ("live", "low-latency", "wowza")
"""Of streams, as clients name them: all are the same here."""
_LISTED = {state.value: state for state in StreamState if state is not StreamState.DELETED}


async def read_members(request: Request, **when_empty: Any) -> dict[str, Any]:
    """The members of a body; those of an empty one are `when_empty`. Raises BintuError and Problem."""
    text = await read_text(request, DOCUMENT)
    if not text.strip():
        return when_empty
    try:
        members = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        raise BintuError(Fault.BODY_REFUSED, detail="It is not JSON, or is nested too deep") from None
    if not isinstance(members, dict):
        raise BintuError(Fault.WRONG_TYPE, parameter="body", type="object")
    return members


def tags_of(members: dict[str, Any]) -> list[str]:
    """`tags`, which may be missing or null. How a tag may look is for the operations to say.

    Raises BintuError.
    """
    tags = members.get("tags")
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BintuError(Fault.WRONG_TYPE, parameter="tags", type="array of strings")
    return tags


def text_of(members: dict[str, Any], *names: str) -> str:
    """The first of these that is there. Raises BintuError."""
    value = next((members[name] for name in names if name in members), None)
    if value is None:
        raise BintuError(Fault.PARAMETER_REQUIRED, required_parameter=names[0])
    if not isinstance(value, str):
        raise BintuError(Fault.WRONG_TYPE, parameter=names[0], type="string")
    return value


def url_or_none(members: dict[str, Any], name: str) -> str | None:
    """A URL that is there, be it null or empty: none. Raises BintuError."""
    if name in members and members[name] is None:
        return None
    return text_of(members, name) or None


def check_type(members: dict[str, Any]) -> None:
    """Whether a stream of this type can be made. Raises BintuError."""
    kind = members.get("type")
    if not isinstance(kind, str | None):
        raise BintuError(Fault.WRONG_TYPE, parameter="type", type="string")
    if kind is not None and kind not in TYPES:
        raise BintuError(Fault.TYPE_NOT_AVAILABLE, stream_type=kind)


def parse_stream_filter(query: QueryParams) -> StreamQuery:
    """`quantity`, `state`, `tags[]` and, for paging, `offset`. Raises BintuError."""
    tags = [*query.getlist("tags[]"), *query.getlist("tags")]
    if len(tags) > MAX_TAGS or not all(map(_may_be_tag, tags)):
        detail = f"At most {MAX_TAGS} of up to {MAX_TAG_CHARACTERS} printable characters"
        raise BintuError(Fault.VALUE_REFUSED, parameter="tags", detail=detail)
    return StreamQuery(
        states=_states(query.get("state", "")),
        tags=tuple(dict.fromkeys(filter(None, tags))),
        limit=min(_number(query, "quantity", DEFAULT_QUANTITY), MAX_QUANTITY),
        offset=_number(query, "offset", 0),
    )


def _may_be_tag(text: str) -> bool:
    return len(text) <= MAX_TAG_CHARACTERS and text.isprintable()


def _states(word: str) -> frozenset[StreamState]:
    if word in ("", "all"):
        return PRESENT
    if word not in _LISTED:
        raise BintuError(Fault.VALUE_REFUSED, parameter="state", detail=f"One of {', '.join(_LISTED)}")
    return frozenset({_LISTED[word]})


def _number(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name, str(default))
    # isdecimal alone would let other scripts' digits and endless numbers through.
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise BintuError(Fault.WRONG_TYPE, parameter=name, type="integer")
    return int(text)
