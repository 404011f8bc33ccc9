"""RTCP packets as values, and compound packets taken apart (RFC 3550, 6; reduced-size ones by RFC 5506).

One class per packet type, each with a writer; `parse_compound` reads a whole (decrypted) datagram and knows
each type by a table: a short one for who only receives media, a longer one for who sends some. Types that the
table lacks and feedback formats that are not known come out as `UnknownPacket`: they are legal. APP and items
of a source description other than CNAME are not read; feedback and extended reports have their own modules.
An NTP timestamp is a 64-bit fixed-point number of seconds since 1900, 32 bits on each side of the point.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.extended import EXTENDED_REPORT, ExtendedReport, parse_extended_report
from whipway.protocol.rtcp.feedback import PAYLOAD_FEEDBACK, PayloadFeedback, parse_payload_feedback
from whipway.protocol.rtcp.transport import (
    TRANSPORT_FEEDBACK,
    TransportLayerFeedback,
    parse_transport_feedback,
)

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
CNAME_ITEM = 1
MAX_COUNT = 31
"""Report blocks, chunks or sources in one packet: the count has five bits."""
MAX_PACKETS = 32
"""In one datagram. A real one has two to five, or one for each source of a simulcast."""

_HEADER = Struct("!BBH")
_SENDER_INFO = Struct("!IQIII")
_REPORT_BLOCK = Struct("!IIIIII")


def ntp_to_seconds(ntp_timestamp: int) -> float:
    """Seconds since 1900 of a 64-bit NTP timestamp, exact to half a microsecond."""
    return ntp_timestamp / (1 << 32)


def seconds_to_ntp(seconds: float) -> int:
    """The 64-bit NTP timestamp of seconds since 1900; it wraps in 2036."""
    return int(seconds * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


class ReportBlock(NamedTuple):
    """What a receiver reports of one source (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """In 1/256."""
    cumulative_lost: int
    """24 bits, signed."""
    highest_sequence: int
    """32 bits, extended."""
    jitter: int
    """In timestamp units."""
    last_sender_report: int = 0
    """LSR, the middle 32 bits of an NTP timestamp."""
    delay_since_last_sender_report: int = 0
    """DLSR, in 1/65536 s."""

    def serialize(self) -> bytes:
        """24 octets."""
        loss = self.fraction_lost << 24 | self.cumulative_lost & 0xFFFFFF
        return _REPORT_BLOCK.pack(self.ssrc, loss, *self[3:])


class SenderReport(NamedTuple):
    """RFC 3550, 6.4.1."""

    ssrc: int
    ntp_timestamp: int
    """64 bits; 0 when the sender knows no time."""
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """28 octets and 24 for each report block."""
        blocks = b"".join(report.serialize() for report in self.reports)
        info = _SENDER_INFO.pack(*self[:5])
        return _serialize(len(self.reports), SENDER_REPORT, info + blocks)


class ReceiverReport(NamedTuple):
    """RFC 3550, 6.4.2."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """8 octets and 24 for each report block."""
        blocks = b"".join(report.serialize() for report in self.reports)
        return _serialize(len(self.reports), RECEIVER_REPORT, self.ssrc.to_bytes(4, "big") + blocks)


class SourceDescription(NamedTuple):
    """RFC 3550, 6.5, the CNAMEs alone."""

    chunks: tuple[tuple[int, str], ...]
    """SSRC and CNAME of each chunk; "" for a chunk without one."""

    def serialize(self) -> bytes:
        """One chunk for each source; a CNAME has at most 255 octets in UTF-8."""
        body = bytearray()
        for ssrc, cname in self.chunks:
            text = cname.encode()
            body += ssrc.to_bytes(4, "big") + bytes((CNAME_ITEM, len(text))) + text
            body += bytes(4 - len(body) % 4)
        return _serialize(len(self.chunks), SOURCE_DESCRIPTION, bytes(body))


class Goodbye(NamedTuple):
    """RFC 3550, 6.6."""

    sources: tuple[int, ...]
    reason: str = ""

    def serialize(self) -> bytes:
        """4 octets, 4 for each source, and the reason (at most 255 octets in UTF-8) if there is one."""
        body = b"".join(ssrc.to_bytes(4, "big") for ssrc in self.sources)
        if self.reason:
            text = self.reason.encode()
            body += bytes((len(text),)) + text
            body += bytes(-len(body) % 4)
        return _serialize(len(self.sources), GOODBYE, body)


class UnknownPacket(NamedTuple):
    """A packet of a type, or feedback of a format, that is not read here."""

    packet_type: int
    fmt: int
    """The five bits of the header that hold a count, a subtype or a feedback format (FMT)."""
    body: bytes
    """After the four octets of the header, without padding."""


RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | TransportLayerFeedback
    | PayloadFeedback
    | ExtendedReport
    | UnknownPacket
)


def parse_compound(data: bytes, *, feedback: bool = False) -> list[RtcpPacket]:
    """Read all packets of one datagram, in order; ParseError(RTCP_MALFORMED) if any of them is wrong.

    With `feedback` also what only a sender of media has use for: reports on what it sends, feedback, names.
    RFC 5506 lets a datagram begin with any packet type, so none is asked to come first.
    """
    parsers = _SENDER_PARSERS if feedback else _RECEIVER_PARSERS
    packets: list[RtcpPacket] = []
    at = 0
    while at < len(data) or at == 0:
        body, end = _parse_body(data, at)
        count = data[at] & 0x1F
        packet_type = data[at + 1]
        parser = parsers.get(packet_type)
        known = parser(count, body) if parser else ()
        packets += known or [UnknownPacket(packet_type, count, body)]
        if len(packets) > MAX_PACKETS:
            raise _malformed("too many packets")
        at = end
    return packets


def _parse_body(data: bytes, at: int) -> tuple[bytes, int]:
    """Return what follows the header at `at`, without padding, and where the next packet begins."""
    start = at + _HEADER.size
    if start > len(data) or data[at] & 0xC0 != 0x80:
        raise _malformed("no header of version 2")
    end = start + _HEADER.unpack_from(data, at)[2] * 4
    if end > len(data):
        raise _malformed("packet longer than the datagram")
    # RFC 3550, 6.4.1: the last octet of the padding counts it, "including itself".
    padding = data[end - 1] if data[at] & 0x20 else 0
    if data[at] & 0x20 and not 0 < padding <= end - start:
        raise _malformed("padding exceeds the packet")
    return data[start : end - padding], end


def _parse_sender_info(_: int, body: bytes) -> list[RtcpPacket]:
    """A sender report without its report blocks."""
    if len(body) < _SENDER_INFO.size:
        raise _malformed("sender report without sender information")
    return [SenderReport(*_SENDER_INFO.unpack_from(body))]


def _parse_sender_report(count: int, body: bytes) -> list[RtcpPacket]:
    reports = _parse_reports(count, body, _SENDER_INFO.size)
    ssrc, ntp_timestamp, rtp_timestamp, packet_count, octet_count = _SENDER_INFO.unpack_from(body)
    return [SenderReport(ssrc, ntp_timestamp, rtp_timestamp, packet_count, octet_count, reports)]


def _parse_receiver_report(count: int, body: bytes) -> list[RtcpPacket]:
    reports = _parse_reports(count, body, 4)
    return [ReceiverReport(int.from_bytes(body[:4], "big"), reports)]


def _parse_reports(count: int, body: bytes, start: int) -> tuple[ReportBlock, ...]:
    # What follows the report blocks is a "profile-specific extension" (RFC 3550, 6.4.3), which no profile
    # in use here defines.
    end = start + count * _REPORT_BLOCK.size
    if end > len(body):
        raise _malformed("report shorter than its count")
    return tuple(_parse_report_block(body, at) for at in range(start, end, _REPORT_BLOCK.size))


def _parse_report_block(body: bytes, at: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last, delay = _REPORT_BLOCK.unpack_from(body, at)
    lost = loss & 0xFFFFFF
    return ReportBlock(ssrc, loss >> 24, lost - ((lost & 0x800000) << 1), highest, jitter, last, delay)


def _parse_source_description(count: int, body: bytes) -> list[RtcpPacket]:
    chunks: list[tuple[int, str]] = []
    at = 0
    for _ in range(count):
        if at + 4 > len(body):
            raise _malformed("source description shorter than its count")
        cname, end = _parse_items(body, at + 4)
        chunks.append((int.from_bytes(body[at : at + 4], "big"), cname))
        at = end
    return [SourceDescription(tuple(chunks))]


def _parse_items(body: bytes, at: int) -> tuple[str, int]:
    """Return the CNAME of the chunk whose items begin at `at`, and where the next chunk begins."""
    cname = ""
    # RFC 3550, 6.5: null octets end the list, up to the next 32-bit boundary. A last chunk that ends
    # without them is understood as well.
    while at < len(body) and body[at] != 0:
        end = at + 2 + body[at + 1] if at + 1 < len(body) else len(body) + 1
        if end > len(body):
            raise _malformed("source description item exceeds its packet")
        if body[at] == CNAME_ITEM:
            cname = body[at + 2 : end].decode(errors="replace")
        at = end
    return cname, (at | 3) + 1


def _parse_goodbye(count: int, body: bytes) -> list[RtcpPacket]:
    end = count * 4
    if end > len(body):
        raise _malformed("goodbye shorter than its count")
    sources = tuple(int.from_bytes(body[at : at + 4], "big") for at in range(0, end, 4))
    length = body[end] if end < len(body) else 0
    reason = body[end + 1 : end + 1 + length]
    if len(reason) < length:
        raise _malformed("goodbye reason exceeds its packet")
    return [Goodbye(sources, reason.decode(errors="replace"))]


def _parse_extended_report(_: int, body: bytes) -> Sequence[RtcpPacket]:
    return parse_extended_report(body)


_Parsers = dict[int, Callable[[int, bytes], Sequence[RtcpPacket]]]
"""By packet type. None of them returns nothing but for formats or blocks that it does not know."""

# Much can be said in few octets: 24 of transport-wide feedback tell of 2048 packets. So nothing is read here
# that is of no use to who sends no media.
_RECEIVER_PARSERS: _Parsers = {
    SENDER_REPORT: _parse_sender_info,
    GOODBYE: _parse_goodbye,
    EXTENDED_REPORT: _parse_extended_report,
}
_SENDER_PARSERS: _Parsers = _RECEIVER_PARSERS | {
    SENDER_REPORT: _parse_sender_report,
    RECEIVER_REPORT: _parse_receiver_report,
    SOURCE_DESCRIPTION: _parse_source_description,
    TRANSPORT_FEEDBACK: parse_transport_feedback,
    PAYLOAD_FEEDBACK: parse_payload_feedback,
}


def _serialize(count: int, packet_type: int, body: bytes) -> bytes:
    if count > MAX_COUNT:
        raise ValueError(f"{count} entries do not fit one RTCP packet (at most {MAX_COUNT})")
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.RTCP_MALFORMED, detail)
