"""The bodies of the API: JSON objects of a few members, each with a check of its own.

A member that is not known is refused: who writes `expires` should hear of it. A check takes what JSON has
and returns what is meant, or raises ValueError with the end of a sentence that the member's name begins.
JSON has one kind of number, so that 60.0 is an integer.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from whipway.web.problems import Problem, ProblemKind

Check = Callable[[Any], Any]
Choice = TypeVar("Choice", bound=StrEnum)


def parse_members(text: str, checks: Mapping[str, Check], required: Collection[str] = ()) -> dict[str, Any]:
    """The members that a body has, checked. "" is an object without any. Raises Problem (400, 422)."""
    document = _parse(text) if text else {}
    if not isinstance(document, dict):
        raise Problem(ProblemKind.BODY_REFUSED, "The body is an object")
    for name in required:
        if name not in document:
            raise refused(name, "is missing")
    return {name: _checked(checks, name, value) for name, value in document.items()}


def refused(member: str, reason: object) -> Problem:
    """A member is wrong; `reason` ends the sentence."""
    return Problem(ProblemKind.BODY_REFUSED, f"{member} {reason}", member)


def printable_text(max_characters: int) -> Check:
    """A check for text that is not empty, and that people and databases can read."""

    def check(value: Any) -> str:
        if isinstance(value, str) and 0 < len(value) <= max_characters and value.isprintable():
            return value
        raise ValueError(f"is text of 1 to {max_characters} characters that can be printed")

    return check


def nullable(check: Check) -> Check:
    """The same check for a member that may be null, and is None then."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check, max_items: int) -> Check:
    """A check for a list whose items all pass another one."""

    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > max_items:
            raise ValueError(f"is a list of {max_items} items at most")
        try:
            return [check(item) for item in value]
        except ValueError as error:
            raise ValueError(f"has an item that should be otherwise: it {error}") from None

    return check_all


def number_of_seconds(most: int) -> Check:
    """A check for a lifetime."""

    def check(value: Any) -> float:
        if isinstance(value, float) and math.isfinite(value) and 1 <= value <= most:
            return value
        raise ValueError(f"is a number of seconds, from 1 to {most}")

    return check


def one_of(choices: Collection[Choice]) -> Check:
    """A check for a word."""
    by_word = {choice.value: choice for choice in choices}

    def check(value: Any) -> Choice:
        if isinstance(value, str) and value in by_word:
            return by_word[value]
        raise ValueError(f"is one of {', '.join(by_word)}")

    return check


def _parse(text: str) -> Any:
    try:
        # Python takes its time over integers of thousands of digits, and refuses them in the end.
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        raise Problem(ProblemKind.MALFORMED_JSON, "The body is not JSON, or is nested too deep") from None


def _checked(checks: Mapping[str, Check], name: str, value: Any) -> Any:
    if name not in checks:
        raise Problem(ProblemKind.BODY_REFUSED, f"The body has no other members than {', '.join(checks)}")
    try:
        return checks[name](value)
    except ValueError as error:
        raise refused(name, error) from None
