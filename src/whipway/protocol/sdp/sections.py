"""The lines of a session description or fragment, by section and by name.

A section is the session's own lines or those of one media description (RFC 8866, 5). What the values mean is
read by `grammar`, what they amount to by `description` and `fragment`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from whipway.failures import ParseError
from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.grammar import Line, parse_at

T = TypeVar("T")


def split_sections(lines: Iterable[Line]) -> list[list[Line]]:
    """The session's lines, then those of each media description."""
    sections: list[list[Line]] = [[]]
    for line in lines:
        if line.type == "m":
            sections.append([])
        sections[-1].append(line)
    return sections


class Attributes:
    """The `a=` lines of one section by name, each with its line number for the error that may come of it."""

    __slots__ = ("_values",)

    def __init__(self, lines: Iterable[Line]) -> None:
        self._values: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for line in lines:
            if line.type == "a":
                name, value = grammar.split_attribute(line.value)
                self._values[name].append((line.number, value))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def every(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """All of that name. ParseError names the line."""
        return [parse_at(number, value, parse) for number, value in self._values.get(name, ())]

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The first of that name; RFC 8866 leaves open what a second one would mean, so it is not read."""
        return next((parse_at(number, value, parse) for number, value in self._values.get(name, ())), None)

    def readable(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """Those of that name that can be read, where a broken line is no reason to refuse the whole."""
        found: list[T] = []
        for _, value in self._values.get(name, ()):
            with suppress(ParseError):
                found.append(parse(value))
        return found


def first_bundle(session: Attributes) -> tuple[str, ...]:
    """The mids of the first BUNDLE group (RFC 9143, 5), each once; empty without one."""
    groups = session.every("group", grammar.parse_group)
    mids = next((tags for semantics, tags in groups if semantics == "BUNDLE"), ())
    return tuple(dict.fromkeys(mids))
