"""The grammar of SDP: lines (RFC 8866, 5) and the values of the attributes WebRTC puts into them.

Each `parse_x` takes what stands after `a=x:` and returns plain values. It raises `ParseError(SDP_MALFORMED)`
with a detail that never repeats the peer's text; `parse_at` adds the line number. Everything is bounded:
body, lines, numbers, lengths; text that is returned is printable ASCII, fit for an answer or a log.
Lenient where peers differ (LF for CRLF, runs of spaces, lower-case hex, blank lines), strict everywhere else.
What a whole description means is decided in `description`; attributes not named here are not looked at.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar

from whipway.failures import DropReason, ParseError

T = TypeVar("T")

MAX_BODY_BYTES = 65_536
"""Chromium with audio, video and twenty candidates offers about 8 KiB."""
MAX_LINES = 2_000
MAX_FORMATS = 128
"""In one m= line: payload types have seven bits (RFC 3550, 5.1)."""
MAX_TAGS = 64
"""In one group: twice what a description may have media descriptions."""
MAX_GROUP_SSRCS = 32
"""In one ssrc-group; real ones have two or three."""

# RFC 8866, 5: "an SDP parser MUST completely ignore or reject any session description that contains a type
# letter that it does not understand." These are all there are.
_TYPES = frozenset("vosiuepcbtrzkam")

# Spaces are matched possessively (" ++"): a value made of spaces must not cost quadratic time.
_WORD = r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}"
# RFC 8839, 5.4 allows letters, digits, "+" and "/"; "-", "=", "#" and "_" are seen in the field. Never ":",
# which separates the two halves of a STUN user name.
_ICE_CHAR = r"[A-Za-z0-9+/\-=#_]"

_LINE = re.compile(r"([a-z])=(.*)", re.DOTALL)
_ORIGIN = re.compile(r"[!-~]+ ++([0-9]{1,20}) ++([0-9]{1,20}) ++\S+ ++\S+ ++\S+")
_MEDIA = re.compile(
    rf"({_WORD}) ++([0-9]{{1,5}})(?:/[0-9]+)? ++({_WORD}(?:/{_WORD}){{0,7}})((?: ++{_WORD})+)"
)
_ONE_WORD = re.compile(_WORD)
_GROUP = re.compile(rf"({_WORD})((?: ++{_WORD})*)")
_RTPMAP = re.compile(rf"([0-9]{{1,3}}) ++({_WORD})/([0-9]{{1,7}})(?:/([0-9]{{1,3}}))?")
_FMTP = re.compile(r"([0-9]{1,3})(?: ++([ -~]*))?")
_RTCP_FB = re.compile(r"(\*|[0-9]{1,3}) ++([ -~]{1,64})")
_EXTMAP = re.compile(
    r"([0-9]{1,4})(?:/(sendrecv|sendonly|recvonly|inactive))? ++([!-~]{1,255})(?: .*)?", re.DOTALL
)
_SSRC = re.compile(r"([0-9]{1,10})(?: .*)?", re.DOTALL)
_SSRC_GROUP = re.compile(rf"({_WORD})((?: ++[0-9]{{1,10}})*)")
_CANDIDATE = re.compile(
    rf"({_ICE_CHAR}{{1,32}}) ++([0-9]{{1,3}}) ++({_WORD}) ++([0-9]{{1,10}})"
    rf" ++([!-~]{{1,253}}) ++([0-9]{{1,5}}) ++typ ++({_WORD})((?: .*)?)",
    re.DOTALL,
)
_FINGERPRINT = re.compile(rf"({_WORD}) ++([0-9A-Fa-f]{{2}}(?::[0-9A-Fa-f]{{2}}){{0,63}})")
_ICE_OPTIONS = re.compile(r"[ -~]*")
_UFRAG = re.compile(rf"{_ICE_CHAR}{{4,256}}")
_PWD = re.compile(rf"{_ICE_CHAR}{{22,256}}")

_TCP_TYPES = frozenset({"active", "passive", "so"})

_DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


class Direction(StrEnum):
    """RFC 8866, 6.7: which way media flows, seen from whoever wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


class Setup(StrEnum):
    """RFC 4145, 4 and RFC 8842, 5: who starts the DTLS handshake (the active side is the DTLS client)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


class Line(NamedTuple):
    """`<type>=<value>`; `number` counts from 1 and is for error details."""

    number: int
    type: str
    value: str


class MediaLine(NamedTuple):
    """`m=<kind> <port> <protocol> <formats>` (RFC 8866, 5.14)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]


class RtpMap(NamedTuple):
    """`a=rtpmap` (RFC 8866, 6.6); one channel where none is given."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int


class RtcpFeedback(NamedTuple):
    """`a=rtcp-fb` (RFC 4585, 4.2); no payload type stands for `*`, all of them."""

    payload_type: int | None
    value: str


class ExtMap(NamedTuple):
    """`a=extmap` (RFC 8285, 5) without the extension's own attributes."""

    id: int
    direction: Direction
    uri: str

    def serialize(self) -> str:
        """The value of an `a=extmap` line; without a direction it is sendrecv."""
        direction = "" if self.direction is Direction.SENDRECV else f"/{self.direction}"
        return f"{self.id}{direction} {self.uri}"


class SsrcGroup(NamedTuple):
    """`a=ssrc-group` (RFC 5576, 4.2), for instance `FID <media> <retransmission>` (RFC 4588)."""

    semantics: str
    ssrcs: tuple[int, ...]


class Candidate(NamedTuple):
    """`a=candidate` (RFC 8839, 5.1) without related address; the address may be a name.

    Of the extensions it has one: `tcp_type` of a TCP candidate (RFC 6544, 4.5), `"active"`, `"passive"` or
    `"so"`; empty where it is of none of these, and for other transports.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str
    tcp_type: str = ""

    def serialize(self) -> str:
        """The value of an `a=candidate` line."""
        tcp_type = f" tcptype {self.tcp_type}" if self.tcp_type else ""
        return (
            f"{self.foundation} {self.component} {self.transport} {self.priority}"
            f" {self.address} {self.port} typ {self.type}{tcp_type}"
        )


class Fingerprint(NamedTuple):
    """`a=fingerprint` (RFC 8122, 5): a hash's name in lower case and the digest of the certificate's DER."""

    algorithm: str
    digest: bytes

    def serialize(self) -> str:
        """The value of an `a=fingerprint` line."""
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


def malformed(detail: str) -> ParseError:
    """The one error of this package's parsers."""
    return ParseError(DropReason.SDP_MALFORMED, detail)


def split_lines(data: bytes | str) -> list[Line]:
    """Cut a body into its lines, ended by CRLF or LF, the last one perhaps by nothing."""
    if len(data) > MAX_BODY_BYTES:
        raise malformed(f"more than {MAX_BODY_BYTES} bytes")
    # Only names and titles may leave ASCII, and those are not read.
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    rows = text.split("\n")
    if len(rows) > MAX_LINES:
        raise malformed(f"more than {MAX_LINES} lines")
    return [_split_line(number, row) for number, row in enumerate(rows, 1) if row not in ("", "\r")]


def _split_line(number: int, row: str) -> Line:
    match = _LINE.fullmatch(row.removesuffix("\r"))
    if match is None or match[1] not in _TYPES:
        raise malformed(f"line {number}: not an SDP line")
    return Line(number, match[1], match[2])


def split_attribute(value: str) -> tuple[str, str]:
    """`name:value` of an `a=` line; the value of a flag is empty."""
    name, _, rest = value.partition(":")
    return name.strip(" "), rest.strip(" ")


def parse_at(number: int, value: str, parse: Callable[[str], T]) -> T:
    """Run `parse`, naming the line in the error it may raise."""
    try:
        return parse(value)
    except ParseError as error:
        raise malformed(f"line {number}: {error.detail}") from None


def _match(pattern: re.Pattern[str], value: str, what: str) -> re.Match[str]:
    match = pattern.fullmatch(value.strip(" "))
    if match is None:
        raise malformed(f"not a valid {what}")
    return match


def _words(text: str, most: int, what: str) -> tuple[str, ...]:
    words = text.split()
    if len(words) > most:
        raise malformed(f"more than {most} {what}")
    return tuple(words)


def _integer(digits: str, low: int, high: int, what: str) -> int:
    value = int(digits)
    if not low <= value <= high:
        raise malformed(f"{what} out of range")
    return value


def _payload_type(digits: str) -> int:
    return _integer(digits, 0, 127, "payload type")


def _ssrc(digits: str) -> int:
    return _integer(digits, 0, 0xFFFF_FFFF, "SSRC")


def parse_origin(value: str) -> tuple[int, int]:
    """Session id and version of an `o=` line; RFC 3264, 5: both fit 64 bits."""
    match = _match(_ORIGIN, value, "o= line")
    return (
        _integer(match[1], 0, 2**64 - 1, "session id"),
        _integer(match[2], 0, 2**64 - 1, "session version"),
    )


def parse_media(value: str) -> MediaLine:
    """The `m=` line; a format that it repeats is returned once."""
    match = _match(_MEDIA, value, "m= line")
    formats = _words(match[4], MAX_FORMATS, "formats")
    port = _integer(match[2], 0, 65_535, "port")
    return MediaLine(match[1], port, match[3], tuple(dict.fromkeys(formats)))


def parse_payload_type(value: str) -> int:
    """One format of an `m=` line whose protocol is RTP."""
    if not (value.isascii() and value.isdigit() and len(value) <= 3):
        raise malformed("not a valid payload type")
    return _payload_type(value)


def parse_token(value: str) -> str:
    """A single token, such as `a=mid` (RFC 5888, 4)."""
    return _match(_ONE_WORD, value, "token")[0]


def parse_group(value: str) -> tuple[str, tuple[str, ...]]:
    """`a=group` (RFC 5888, 5): semantics and identification tags."""
    match = _match(_GROUP, value, "group")
    return match[1], _words(match[2], MAX_TAGS, "tags in a group")


def parse_rtpmap(value: str) -> RtpMap:
    """See `RtpMap`."""
    match = _match(_RTPMAP, value, "rtpmap")
    # RFC 8866, 6.6 and 9: both are of the kind `integer`, which is at least 1.
    clock_rate = _integer(match[3], 1, 9_999_999, "clock rate")
    channels = _integer(match[4] or "1", 1, 999, "channels")
    return RtpMap(_payload_type(match[1]), match[2], clock_rate, channels)


def parse_fmtp(value: str) -> tuple[int, dict[str, str]]:
    """Payload type and parameters of `a=fmtp` (RFC 8866, 6.15), names in lower case, flags with no value."""
    match = _match(_FMTP, value, "fmtp")
    return _payload_type(match[1]), parse_parameters(match[2] or "")


def parse_parameters(text: str) -> dict[str, str]:
    """`name=value;name=value`, as most media types write their parameters; a value may hold further `=`."""
    parts = (part.partition("=") for part in text.split(";"))
    return {name.strip(" ").lower(): value.strip(" ") for name, _, value in parts if name.strip(" ")}


def parse_rtcp_feedback(value: str) -> RtcpFeedback:
    """See `RtcpFeedback`."""
    match = _match(_RTCP_FB, value, "rtcp-fb")
    payload_type = None if match[1] == "*" else _payload_type(match[1])
    return RtcpFeedback(payload_type, " ".join(match[2].split()))


def parse_extmap(value: str) -> ExtMap:
    """See `ExtMap`."""
    match = _match(_EXTMAP, value, "extmap")
    # RFC 8285, 5: 4096-4351 stand for ids still to be chosen, above all the ids that fit a packet.
    return ExtMap(_integer(match[1], 1, 4351, "extmap id"), Direction(match[2] or "sendrecv"), match[3])


def parse_ssrc(value: str) -> int:
    """The SSRC of an `a=ssrc` line (RFC 5576, 4.1); its source attribute is not used."""
    return _ssrc(_match(_SSRC, value, "ssrc")[1])


def parse_ssrc_group(value: str) -> SsrcGroup:
    """See `SsrcGroup`."""
    match = _match(_SSRC_GROUP, value, "ssrc-group")
    ssrcs = _words(match[2], MAX_GROUP_SSRCS, "SSRCs in a group")
    return SsrcGroup(match[1], tuple(map(_ssrc, ssrcs)))


def parse_candidate(value: str) -> Candidate:
    """See `Candidate`; whether transport, address and type are of use is for the caller to say."""
    match = _match(_CANDIDATE, value, "candidate")
    component = _integer(match[2], 1, 256, "component")
    priority = _integer(match[4], 0, 0xFFFF_FFFF, "priority")
    port = _integer(match[6], 0, 65_535, "port")
    transport = match[3].lower()
    tcp_type = _tcp_type(match[8]) if transport == "tcp" else ""
    return Candidate(match[1], component, transport, priority, match[5], port, match[7], tcp_type)


def _tcp_type(extensions: str) -> str:
    """Related address and extensions are all names with values (RFC 8839, 5.1)."""
    words = extensions.split()
    value = dict(zip(words[::2], words[1::2], strict=False)).get("tcptype", "")
    return value if value in _TCP_TYPES else ""


def parse_fingerprint(value: str) -> Fingerprint:
    """See `Fingerprint`; the digest of a known hash has that hash's length."""
    match = _match(_FINGERPRINT, value, "fingerprint")
    algorithm, digest = match[1].lower(), bytes.fromhex(match[2].replace(":", ""))
    if len(digest) != _DIGEST_BYTES.get(algorithm, len(digest)):
        raise malformed("fingerprint of the wrong length")
    return Fingerprint(algorithm, digest)


def parse_setup(value: str) -> Setup:
    """See `Setup`."""
    try:
        return Setup(value)
    except ValueError:
        raise malformed("not a valid setup") from None


def parse_ufrag(value: str) -> str:
    """`a=ice-ufrag` (RFC 8839, 5.4): 4 to 256 characters."""
    return _match(_UFRAG, value, "ice-ufrag")[0]


def parse_pwd(value: str) -> str:
    """`a=ice-pwd` (RFC 8839, 5.4): 22 to 256 characters."""
    return _match(_PWD, value, "ice-pwd")[0]


def parse_ice_options(value: str) -> tuple[str, ...]:
    """`a=ice-options`: separated by spaces in RFC 8839, 5.6, by commas in libdatachannel."""
    return tuple(_match(_ICE_OPTIONS, value, "ice-options")[0].replace(",", " ").split())
