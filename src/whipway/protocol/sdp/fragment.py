"""An SDP fragment of trickle ICE, `application/trickle-ice-sdpfrag` (RFC 8840, 9), as PATCH carries it in
WHIP (RFC 9725, 4.3): further candidates of a peer, the word that there are no more, new credentials.

`parse_fragment` reads the body; lines are read by `grammar`. Which generation of candidates the credentials
name, and whether a mid is one of the session, is for the caller to say. Left out: lines of no use to a lite
agent (`a=ice-lite`, `a=ice-pacing`), candidates that stand before the first `m=` line, where no grammar puts
them, and a writer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.description import MAX_MEDIA_DESCRIPTIONS, Mid
from whipway.protocol.sdp.grammar import Candidate, Line, malformed, parse_at

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FragmentMedia:
    """One pseudo media description."""

    mid: Mid
    candidates: tuple[Candidate, ...]
    end_of_candidates: bool
    """There are no further candidates for this mid in this generation (RFC 8838, 13)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What one fragment says."""

    ice_ufrag: str | None
    """It names the generation the candidates belong to; one that is new restarts ICE (RFC 9725, 4.3.3)."""
    ice_pwd: str | None
    ice_options: tuple[str, ...]
    bundle: tuple[Mid, ...]
    """The first BUNDLE group; the candidates of its first mid serve all."""
    media: tuple[FragmentMedia, ...]
    """No two of one mid."""


def parse_fragment(text: str | bytes) -> Fragment:
    """Read a fragment; raises `ParseError(SDP_MALFORMED)`, its detail naming the line where there is one."""
    lines = grammar.split_lines(text)
    session, *sections = _split_sections(lines)
    if len(sections) > MAX_MEDIA_DESCRIPTIONS:
        raise malformed(f"{len(sections)} m= lines; up to {MAX_MEDIA_DESCRIPTIONS} are allowed")
    # RFC 8840, 8.1: at session level, a=end-of-candidates speaks for all media descriptions.
    is_last = _has(session, "end-of-candidates")
    media = tuple(_parse_media(section, is_last) for section in sections)
    if len({section.mid for section in media}) < len(media):
        raise malformed("two media descriptions with the same mid")
    return Fragment(
        ice_ufrag=_only(lines, "ice-ufrag", grammar.parse_ufrag),
        ice_pwd=_only(lines, "ice-pwd", grammar.parse_pwd),
        ice_options=next(iter(_every(lines, "ice-options", grammar.parse_ice_options)), ()),
        bundle=_bundle(session),
        media=media,
    )


def _split_sections(lines: Iterable[Line]) -> list[list[Line]]:
    """The session's lines, then those of each media description."""
    sections: list[list[Line]] = [[]]
    for line in lines:
        if line.type == "m":
            sections.append([])
        sections[-1].append(line)
    return sections


def _parse_media(lines: list[Line], is_last: bool) -> FragmentMedia:
    parse_at(lines[0].number, lines[0].value, grammar.parse_media)
    # RFC 8840, 4.4: the pseudo m= line says nothing by itself, a=mid ties it to the offer's.
    mid = _only(lines, "mid", grammar.parse_token)
    if mid is None:
        raise malformed(f"line {lines[0].number}: m= without a=mid")
    return FragmentMedia(
        Mid(mid),
        tuple(_every(lines, "candidate", grammar.parse_candidate)),
        is_last or _has(lines, "end-of-candidates"),
    )


def _bundle(session: Iterable[Line]) -> tuple[Mid, ...]:
    groups = _every(session, "group", grammar.parse_group)
    mids = next((tags for semantics, tags in groups if semantics == "BUNDLE"), ())
    return tuple(dict.fromkeys(Mid(mid) for mid in mids))


def _every(lines: Iterable[Line], name: str, parse: Callable[[str], T]) -> list[T]:
    """The values of all `a=name` lines."""
    found = ((line.number, *grammar.split_attribute(line.value)) for line in lines if line.type == "a")
    return [parse_at(number, value, parse) for number, found_name, value in found if found_name == name]


def _only(lines: Iterable[Line], name: str, parse: Callable[[str], str]) -> str | None:
    """The one value of `a=name`, which may be repeated: all media descriptions share one transport."""
    values = set(_every(lines, name, parse))
    if len(values) > 1:
        raise malformed(f"more than one {name}")
    return next(iter(values), None)


def _has(lines: Iterable[Line], name: str) -> bool:
    return any(line.type == "a" and grammar.split_attribute(line.value)[0] == name for line in lines)
