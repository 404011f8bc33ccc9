"""Extended reports (RFC 3611, packet type 207): round-trip times for one who sends no media.

Of the seven block types two are read and written: the receiver reference time report (4.4), by which a
receiver tells its clock, and DLRR (4.5), by which the sender of media answers how long ago it heard that. The
receiver then knows the round trip: now - `last_report` - `delay`. Other blocks are passed over.

    |V=2|P|reserved |    PT=207     |            length             |
    |                   SSRC of the packet's sender                 |
    |      BT       | type-specific |  block length in words, - 1   |   blocks, one after the other
"""

from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError

EXTENDED_REPORT = 207
"""Packet type."""
REFERENCE_TIME = 4
DELAY_SINCE_LAST_REPORT = 5
MAX_BLOCKS = 16
"""In one packet. RFC 3611 has seven types, and nobody sends more than two or three."""
MAX_DELAYS = 31
"""Receivers that one block answers: as many as a sender report can have blocks on."""

_HEADER = Struct("!BBHI")
_BLOCK = Struct("!BxH")
_TIME = Struct("!Q")
_DELAY = Struct("!III")
_SSRC_SIZE = 4
_WORD = 4


class ReferenceTimeReport(NamedTuple):
    """The clock of receiver `ssrc`: a 64-bit NTP timestamp (RFC 3611, 4.4)."""

    ssrc: int
    ntp_timestamp: int

    def serialize(self) -> bytes:
        """20 octets."""
        return _serialize(self.ssrc, REFERENCE_TIME, _TIME.pack(self.ntp_timestamp))


class LastReceiverReport(NamedTuple):
    """What a `DelayReport` answers to one receiver (RFC 3611, 4.5)."""

    ssrc: int
    """The receiver."""
    last_report: int
    """LRR: the middle 32 bits of the NTP timestamp it told last; 0 when it never did."""
    delay: int
    """DLRR: how long ago that came, in 1/65536 s."""


class DelayReport(NamedTuple):
    """How long ago the reference times of receivers were heard by `ssrc` (RFC 3611, 4.5)."""

    ssrc: int
    reports: tuple[LastReceiverReport, ...]

    def serialize(self) -> bytes:
        """12 octets and 12 for each report."""
        content = b"".join(_DELAY.pack(*report) for report in self.reports)
        return _serialize(self.ssrc, DELAY_SINCE_LAST_REPORT, content)


ExtendedReport = ReferenceTimeReport | DelayReport


def parse_extended_report(body: bytes) -> list[ExtendedReport]:
    """Read the body of a packet of type 207; one value for each block whose type is known, in order.

    ParseError(RTCP_MALFORMED) when a block does not end where it should, and for more than MAX_BLOCKS.
    """
    if len(body) < _SSRC_SIZE:
        raise _malformed("extended report without a sender")
    ssrc = int.from_bytes(body[:_SSRC_SIZE], "big")
    reports: list[ExtendedReport] = []
    at = _SSRC_SIZE
    blocks = 0
    while at < len(body):
        blocks += 1
        if blocks > MAX_BLOCKS:
            raise _malformed("too many extended report blocks")
        start = at + _BLOCK.size
        if start > len(body):
            raise _malformed("extended report block without a header")
        block_type, words = _BLOCK.unpack_from(body, at)
        at = start + words * _WORD
        if at > len(body):
            raise _malformed("extended report block longer than its packet")
        reports += _parse_block(ssrc, block_type, body[start:at])
    return reports


def _parse_block(ssrc: int, block_type: int, content: bytes) -> list[ExtendedReport]:
    if block_type == REFERENCE_TIME:
        if len(content) != _TIME.size:
            raise _malformed("reference time of a wrong length")
        return [ReferenceTimeReport(ssrc, *_TIME.unpack(content))]
    if block_type == DELAY_SINCE_LAST_REPORT:
        if len(content) % _DELAY.size or len(content) > MAX_DELAYS * _DELAY.size:
            raise _malformed("delay report of a wrong length")
        return [DelayReport(ssrc, tuple(map(LastReceiverReport._make, _DELAY.iter_unpack(content))))]
    # RFC 3611, 3: every block tells its length, so those of other types can be passed over.
    return []


def _serialize(ssrc: int, block_type: int, content: bytes) -> bytes:
    words = len(content) // _WORD
    return _HEADER.pack(0x80, EXTENDED_REPORT, words + 2, ssrc) + _BLOCK.pack(block_type, words) + content


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.RTCP_MALFORMED, detail)
