"""An SDP fragment of trickle ICE, `application/trickle-ice-sdpfrag` (RFC 8840, 9), as PATCH carries it in
WHIP (RFC 9725, 4.3): further candidates of a peer, the word that there are no more, new credentials.

`parse_fragment` reads the body; lines are read by `grammar`. Which generation of candidates the credentials
name, and whether a mid is one of the session, is for the caller to say. Left out: lines of no use to a lite
agent (`a=ice-lite`, `a=ice-pacing`), and candidates that stand before the first `m=` line, where no grammar
puts them. `serialize_fragment` writes the answer to a fragment that restarts ICE.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.description import MAX_MEDIA_DESCRIPTIONS, MediaDescription, Mid
from whipway.protocol.sdp.grammar import Candidate, Line, malformed, parse_at
from whipway.protocol.sdp.sections import Attributes, first_bundle, split_sections


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
    session, *sections = split_sections(lines)
    if len(sections) > MAX_MEDIA_DESCRIPTIONS:
        raise malformed(f"{len(sections)} m= lines; up to {MAX_MEDIA_DESCRIPTIONS} are allowed")
    if not any(line.type == "a" for line in lines):
        raise malformed("no attribute: the fragment says nothing")
    common, everywhere = Attributes(session), Attributes(lines)
    # RFC 8840, 8.1: at session level, a=end-of-candidates speaks for all media descriptions.
    is_last = "end-of-candidates" in common
    media = tuple(_parse_media(section, is_last) for section in sections)
    if len({section.mid for section in media}) < len(media):
        raise malformed("two media descriptions with the same mid")
    return Fragment(
        ice_ufrag=_only(everywhere, "ice-ufrag", grammar.parse_ufrag),
        ice_pwd=_only(everywhere, "ice-pwd", grammar.parse_pwd),
        ice_options=everywhere.one("ice-options", grammar.parse_ice_options) or (),
        bundle=tuple(map(Mid, first_bundle(common))),
        media=media,
    )


def serialize_fragment(tagged: MediaDescription, bundle: Sequence[Mid]) -> str:
    """A lite agent's fragment: what the description that stands for all says about their transport."""
    return "".join(f"{line}\r\n" for line in _lines(tagged, bundle))


def _lines(tagged: MediaDescription, bundle: Sequence[Mid]) -> Iterator[str]:
    # RFC 9725, 4.3.2: ice-options and ice-lite are those of the answer, in every fragment.
    yield f"a=ice-options:{' '.join(tagged.ice_options)}"
    yield "a=ice-lite"
    if bundle:
        yield f"a=group:BUNDLE {' '.join(bundle)}"
    yield tagged.first_line
    if tagged.mid is not None:
        yield f"a=mid:{tagged.mid}"
    yield f"a=ice-ufrag:{tagged.ice_ufrag}"
    yield f"a=ice-pwd:{tagged.ice_pwd}"
    yield from (f"a=candidate:{candidate.serialize()}" for candidate in tagged.candidates)
    if tagged.end_of_candidates:
        yield "a=end-of-candidates"


def _parse_media(lines: list[Line], is_last: bool) -> FragmentMedia:
    parse_at(lines[0].number, lines[0].value, grammar.parse_media)
    attributes = Attributes(lines)
    # RFC 8840, 4.4: the pseudo m= line says nothing by itself, a=mid ties it to the offer's.
    mid = _only(attributes, "mid", grammar.parse_token)
    if mid is None:
        raise malformed(f"line {lines[0].number}: m= without a=mid")
    return FragmentMedia(
        Mid(mid),
        tuple(attributes.every("candidate", grammar.parse_candidate)),
        is_last or "end-of-candidates" in attributes,
    )


def _only(attributes: Attributes, name: str, parse: Callable[[str], str]) -> str | None:
    """The one value of `a=name`, which may be repeated: all media descriptions share one transport."""
    values = set(attributes.every(name, parse))
    if len(values) > 1:
        raise malformed(f"more than one {name}")
    return next(iter(values), None)
