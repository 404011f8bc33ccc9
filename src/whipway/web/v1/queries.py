"""The queries of the API: lists, and how much of them is wanted.

Unlike WHIP's, these are written by programs and forms that encode them: a plus sign is a space. A parameter
that nobody knows is left alone; one that may stand there once and does so twice is refused.
"""

from collections.abc import Sequence

from starlette.datastructures import QueryParams

from whipway.streams.records import PRESENT, StreamQuery, StreamState
from whipway.streams.store.tables import MAX_NAME_CHARACTERS, MAX_TAG_CHARACTERS
from whipway.streams.stream_tags import MAX_TAGS
from whipway.web.problems import Problem, ProblemKind

DEFAULT_LIMIT, MAX_LIMIT = 50, 500
MAX_OFFSET = 2**31 - 1
"""What every database takes."""


def parse_stream_query(query: QueryParams) -> StreamQuery:
    """Which streams a list is to have. Raises Problem naming the parameter."""
    return StreamQuery(
        states=frozenset(map(_state, query.getlist("state"))) or PRESENT,
        tags=_tags(query.getlist("tag")),
        text=parse_text(query, "name", MAX_NAME_CHARACTERS),
        **parse_page(query),
    )


def parse_page(query: QueryParams) -> dict[str, int]:
    """Which part of a list is wanted: "limit" and "offset". Raises Problem naming the parameter."""
    return {
        "limit": _number(query, "limit", DEFAULT_LIMIT, range(1, MAX_LIMIT + 1)),
        "offset": _number(query, "offset", 0, range(MAX_OFFSET + 1)),
    }


def parse_text(query: QueryParams, parameter: str, max_characters: int) -> str:
    """Text to look for; "" where there is none. Raises Problem naming the parameter."""
    text = _one(query, parameter, "")
    if len(text) <= max_characters and text.isprintable():
        return text
    raise _bad(parameter, f"has at most {max_characters} characters, all of which can be printed")


def _state(word: str) -> StreamState:
    try:
        return StreamState(word)
    except ValueError:
        raise _bad("state", f"is one of {', '.join(StreamState)}") from None


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise _bad("tag", f"may stand there {MAX_TAGS} times")
    if not all(0 < len(tag) <= MAX_TAG_CHARACTERS and tag.isprintable() for tag in tags):
        raise _bad("tag", f"has 1 to {MAX_TAG_CHARACTERS} characters, all of which can be printed")
    return tuple(dict.fromkeys(tags))


def _number(query: QueryParams, parameter: str, default: int, allowed: range) -> int:
    text = _one(query, parameter, str(default))
    # isdecimal alone would let other scripts' digits and endless numbers through.
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) in allowed:
        return int(text)
    raise _bad(parameter, f"is a number from {allowed.start} to {allowed.stop - 1}")


def _one(query: QueryParams, parameter: str, default: str) -> str:
    found = query.getlist(parameter)
    if len(found) > 1:
        raise _bad(parameter, "is given twice")
    return found[0] if found else default


def _bad(parameter: str, reason: str) -> Problem:
    return Problem(ProblemKind.BAD_PARAMETER, f"{parameter} {reason}", parameter)
