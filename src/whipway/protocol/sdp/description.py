"""A session description (RFC 8866) as WebRTC uses it: read an offer, write an answer.

`parse_description` turns a body into frozen values: what a peer says about its transport (RFC 8839, 8122,
8842), its streams (RFC 5576) and their layers (RFC 8853), and its codecs (RFC 8866, 6; RFC 4585; RFC 8285),
one media description after the other, session-level attributes already inherited. Lines that do not serve
WHIP are skipped, not kept, so `serialize` writes what an answer needs and no more. Judging an offer is the
business of `answer`; the lines themselves are read by `grammar` and `simulcast`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NewType, TypeVar

from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.grammar import (
    Candidate,
    Direction,
    ExtMap,
    Fingerprint,
    Line,
    Setup,
    SsrcGroup,
    malformed,
    parse_at,
)
from whipway.protocol.sdp.sections import Attributes, first_bundle, split_sections
from whipway.protocol.sdp.simulcast import Rid, Simulcast, parse_rid, parse_simulcast

T = TypeVar("T")

Mid = NewType("Mid", str)
PayloadType = NewType("PayloadType", int)
Ssrc = NewType("Ssrc", int)

MAX_MEDIA_DESCRIPTIONS = 32
MAX_FEEDBACK = 32
"""Different `a=rtcp-fb` values of one payload type; browsers have six. Those beyond are passed over: `*` is
repeated for every payload type, so that many would become a hundred times as many."""
MAX_SSRCS = 128
"""Of one media description, and as many groups. Browsers announce two, or two for each layer."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type: `a=rtpmap` with its `a=fmtp` and `a=rtcp-fb` lines."""

    payload_type: PayloadType
    name: str
    clock_rate: int
    channels: int = 1
    parameters: dict[str, str] = field(default_factory=dict)
    """Names in lower case, in the order they were written."""
    feedback: tuple[str, ...] = ()
    """For instance `"nack pli"`; entries for all payload types (`*`) are repeated in each, after its own."""

    def is_a(self, name: str, clock_rate: int, channels: int = 1) -> bool:
        """Encoding names are media subtypes, so their case does not matter (RFC 8866, 6.6)."""
        return (self.name.upper(), self.clock_rate, self.channels) == (name.upper(), clock_rate, channels)

    def attributes(self) -> Iterator[str]:
        """The attributes that describe it, without `a=`."""
        channels = f"/{self.channels}" if self.channels > 1 else ""
        yield f"rtpmap:{self.payload_type} {self.name}/{self.clock_rate}{channels}"
        if self.parameters:
            pairs = (f"{name}={value}" if value else name for name, value in self.parameters.items())
            yield f"fmtp:{self.payload_type} {';'.join(pairs)}"
        yield from (f"rtcp-fb:{self.payload_type} {value}" for value in self.feedback)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaDescription:
    """One `m=` section, session-level attributes included where it has none of its own."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: Mid | None = None
    direction: Direction = Direction.SENDRECV
    codecs: dict[PayloadType, Codec] = field(default_factory=dict)
    """In the order of `formats`, the first preferred; formats without `a=rtpmap` are left out."""
    extmap: dict[str, ExtMap] = field(default_factory=dict)
    """Header extensions by their URI (RFC 8285); the direction is the describer's own."""
    extmap_allow_mixed: bool = False
    ssrcs: tuple[Ssrc, ...] = ()
    ssrc_groups: tuple[SsrcGroup, ...] = ()
    rids: tuple[Rid, ...] = ()
    """As written; those that cannot be read are left out."""
    simulcast: Simulcast = Simulcast()
    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    ice_options: tuple[str, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False
    rtcp_mux: bool = False
    rtcp_mux_only: bool = False
    rtcp_rsize: bool = False
    bundle_only: bool = False

    @property
    def first_line(self) -> str:
        """Its `m=` line."""
        return f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"

    def lines(self) -> Iterator[str]:
        """Its lines, without line ends; streams and `extmap_allow_mixed` are an offerer's and not written."""
        yield self.first_line
        yield "c=IN IP4 0.0.0.0"
        yield from (f"a={attribute}" for attribute in self._attributes())

    def _attributes(self) -> Iterator[str]:
        values = {
            "mid": self.mid,
            "ice-ufrag": self.ice_ufrag,
            "ice-pwd": self.ice_pwd,
            "ice-options": " ".join(self.ice_options),
            "setup": self.setup,
        }
        flags = {
            self.direction: True,
            "bundle-only": self.bundle_only,
            "rtcp-mux": self.rtcp_mux,
            "rtcp-mux-only": self.rtcp_mux_only,
            "rtcp-rsize": self.rtcp_rsize,
        }
        yield from (f"{name}:{value}" for name, value in values.items() if value)
        yield from (f"fingerprint:{fingerprint.serialize()}" for fingerprint in self.fingerprints)
        yield from (name for name, present in flags.items() if present)
        yield from (f"extmap:{extension.serialize()}" for extension in self.extmap.values())
        for codec in self.codecs.values():
            yield from codec.attributes()
        yield from (f"rid:{rid.serialize()}" for rid in self.rids)
        if any(self.simulcast):
            yield f"simulcast:{self.simulcast.serialize()}"
        yield from (f"candidate:{candidate.serialize()}" for candidate in self.candidates)
        if self.end_of_candidates:
            yield "end-of-candidates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A whole session description."""

    session_id: int
    session_version: int = 0
    bundle: tuple[Mid, ...] = ()
    """The first BUNDLE group (RFC 9143); its first mid is the tagged one, whose transport all share."""
    ice_lite: bool = False
    media: tuple[MediaDescription, ...]

    def serialize(self) -> str:
        """The body, lines ended by CRLF; what `parse_description` reads back is the same description."""
        return "".join(f"{line}\r\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "v=0"
        yield f"o=- {self.session_id} {self.session_version} IN IP4 0.0.0.0"
        yield "s=-"
        yield "t=0 0"
        if self.bundle:
            yield f"a=group:BUNDLE {' '.join(self.bundle)}"
        if self.ice_lite:
            yield "a=ice-lite"
        for media in self.media:
            yield from media.lines()


def parse_description(text: str | bytes) -> Description:
    """Read an offer or answer; raises `ParseError(SDP_MALFORMED)`, its detail naming the line."""
    lines = grammar.split_lines(text)
    if not lines or lines[0][1:] != ("v", "0"):
        raise malformed("does not start with v=0")
    session, *sections = split_sections(lines)
    if not 1 <= len(sections) <= MAX_MEDIA_DESCRIPTIONS:
        raise malformed(f"{len(sections)} m= lines; 1 to {MAX_MEDIA_DESCRIPTIONS} are allowed")
    common = Attributes(session)
    shared = _parse_shared(common)
    session_id, session_version = _parse_origin(session)
    media = tuple(_parse_section(section, shared) for section in sections)
    _check_mids(media)
    return Description(
        session_id=session_id,
        session_version=session_version,
        bundle=tuple(map(Mid, first_bundle(common))),
        ice_lite="ice-lite" in common,
        media=media,
    )


def _parse_origin(session: Iterable[Line]) -> tuple[int, int]:
    for line in session:
        if line.type == "o":
            return parse_at(line.number, line.value, grammar.parse_origin)
    raise malformed("no o= line")


def _check_mids(media: Iterable[MediaDescription]) -> None:
    """RFC 5888, 4: the identification tag MUST be unique within an SDP session description."""
    mids = [section.mid for section in media if section.mid is not None]
    if len(mids) != len(set(mids)):
        raise malformed("two media descriptions with the same mid")


@dataclass(frozen=True, slots=True)
class _Shared:
    """Attributes that may stand at either level, as read from one of them."""

    direction: Direction | None
    extmap: dict[str, ExtMap]
    extmap_allow_mixed: bool
    ice_ufrag: str | None
    ice_pwd: str | None
    ice_options: tuple[str, ...]
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup | None


def _parse_shared(attributes: Attributes) -> _Shared:
    return _Shared(
        direction=next((direction for direction in Direction if direction in attributes), None),
        extmap=_extensions(attributes),
        extmap_allow_mixed="extmap-allow-mixed" in attributes,
        ice_ufrag=attributes.one("ice-ufrag", grammar.parse_ufrag),
        ice_pwd=attributes.one("ice-pwd", grammar.parse_pwd),
        ice_options=attributes.one("ice-options", grammar.parse_ice_options) or (),
        fingerprints=tuple(attributes.every("fingerprint", grammar.parse_fingerprint)),
        setup=attributes.one("setup", grammar.parse_setup),
    )


def _parse_section(lines: list[Line], session: _Shared) -> MediaDescription:
    attributes = Attributes(lines)
    own = _parse_shared(attributes)
    media = parse_at(lines[0].number, lines[0].value, grammar.parse_media)
    mid = attributes.one("mid", grammar.parse_token)
    return MediaDescription(
        kind=media.kind,
        port=media.port,
        protocol=media.protocol,
        formats=media.formats,
        mid=None if mid is None else Mid(mid),
        # RFC 8866, 6.7, RFC 8839, 5.4 and RFC 8122, 5: what stands at media level overrides the session's.
        direction=own.direction or session.direction or Direction.SENDRECV,
        extmap=session.extmap | own.extmap,
        extmap_allow_mixed=own.extmap_allow_mixed or session.extmap_allow_mixed,
        ice_ufrag=own.ice_ufrag or session.ice_ufrag,
        ice_pwd=own.ice_pwd or session.ice_pwd,
        ice_options=own.ice_options or session.ice_options,
        fingerprints=own.fingerprints or session.fingerprints,
        setup=own.setup or session.setup,
        codecs=_codecs(lines[0].number, media, attributes),
        ssrcs=_streams("SSRCs", map(Ssrc, attributes.every("ssrc", grammar.parse_ssrc))),
        ssrc_groups=_streams("groups of SSRCs", attributes.every("ssrc-group", grammar.parse_ssrc_group)),
        rids=tuple(attributes.readable("rid", parse_rid)),
        # RFC 8853, 5.1: there is at most one.
        simulcast=next(iter(attributes.readable("simulcast", parse_simulcast)), Simulcast()),
        candidates=tuple(attributes.every("candidate", grammar.parse_candidate)),
        end_of_candidates="end-of-candidates" in attributes,
        rtcp_mux="rtcp-mux" in attributes,
        rtcp_mux_only="rtcp-mux-only" in attributes,
        rtcp_rsize="rtcp-rsize" in attributes,
        bundle_only="bundle-only" in attributes,
    )


def _streams(what: str, named: Iterable[T]) -> tuple[T, ...]:
    """Each once."""
    different = tuple(dict.fromkeys(named))
    if len(different) > MAX_SSRCS:
        raise malformed(f"more than {MAX_SSRCS} {what}")
    return different


def _extensions(attributes: Attributes) -> dict[str, ExtMap]:
    return {extension.uri: extension for extension in attributes.every("extmap", grammar.parse_extmap)}


def _codecs(number: int, media: grammar.MediaLine, own: Attributes) -> dict[PayloadType, Codec]:
    if "RTP" not in media.protocol.split("/"):
        return {}
    maps = {rtpmap.payload_type: rtpmap for rtpmap in own.every("rtpmap", grammar.parse_rtpmap)}
    parameters = dict(own.every("fmtp", grammar.parse_fmtp))
    feedback = _feedback(own)
    common = feedback.get(None, {})
    payload_types = (parse_at(number, text, grammar.parse_payload_type) for text in media.formats)
    return {
        PayloadType(pt): Codec(
            PayloadType(pt),
            maps[pt].name,
            maps[pt].clock_rate,
            maps[pt].channels,
            parameters.get(pt, {}),
            tuple(feedback.get(pt, {}) | common)[:MAX_FEEDBACK],
        )
        for pt in payload_types
        if pt in maps
    }


def _feedback(own: Attributes) -> dict[int | None, dict[str, None]]:
    """The values of each payload type, each once and in the order written; None has those of `*`."""
    values: dict[int | None, dict[str, None]] = {}
    for entry in own.every("rtcp-fb", grammar.parse_rtcp_feedback):
        of_type = values.setdefault(entry.payload_type, {})
        if len(of_type) < MAX_FEEDBACK:
            of_type[entry.value] = None
    return values
