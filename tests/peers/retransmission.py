"""How a sender answers NACK: a bounded history of what it sent, and what it sends of it again.

RFC 4585, 6.2.1 (generic NACK), RFC 4588 (RTX) and RFC 3611, 4.4 and 4.5 (reference times) are read and
written here by their text alone, so that the server's own reading is not checked against itself. The habits
are those of libwebrtc: 600 packets are kept, and one that was sent again less than a round trip ago is not
sent a third time, since the last copy is still on its way.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from whipway.protocol.rtp.packet import Packet

TRANSPORT_FEEDBACK = 205
GENERIC_NACK = 1
EXTENDED_REPORT = 207
REFERENCE_TIME = 4
DELAY_SINCE_REFERENCE = 5
HISTORY_PACKETS = 600


class Nack(NamedTuple):
    """What one datagram asked to have again of one source."""

    at: float
    ssrc: int
    numbers: tuple[int, ...]
    """Sequence numbers, 16 bits, as they were named."""


class ReferenceTime(NamedTuple):
    """A receiver's clock, to be told how long ago it was heard (RFC 3611, 4.4)."""

    at: float
    ssrc: int
    ntp: int
    """The middle 32 bits."""


@dataclass
class SentPacket:
    """A packet that may be asked for again."""

    packet: Packet
    datagram: bytes
    sent_at: float
    repeats: int = 0


@dataclass
class History:
    """The last packets of all sources. `capacity` counts packets."""

    capacity: int = HISTORY_PACKETS
    packets: OrderedDict[tuple[int, int], SentPacket] = field(default_factory=OrderedDict)
    """By SSRC and sequence number, the oldest first."""

    def add(self, packet: Packet, datagram: bytes, now: float) -> None:
        """Remember what was just sent."""
        self.packets[packet.ssrc, packet.sequence_number] = SentPacket(packet, datagram, now)
        if len(self.packets) > self.capacity:
            self.packets.popitem(last=False)

    def take(self, ssrc: int, number: int, now: float, *, round_trip: float) -> SentPacket | None:
        """The packet, if it is still there and no repetition of it is on its way."""
        sent = self.packets.get((ssrc, number))
        if sent is None or (sent.repeats and now - sent.sent_at < round_trip):
            return None
        sent.repeats += 1
        sent.sent_at = now
        return sent


def read_nacks(data: bytes, now: float) -> list[Nack]:
    """The NACKs of a compound packet, one for each source."""
    numbers: dict[int, list[int]] = {}
    for packet_type, fmt, body in _packets(data):
        if (packet_type, fmt) == (TRANSPORT_FEEDBACK, GENERIC_NACK):
            wanted = numbers.setdefault(int.from_bytes(body[4:8], "big"), [])
            for at in range(8, len(body), 4):
                wanted += _named(int.from_bytes(body[at : at + 2]), int.from_bytes(body[at + 2 : at + 4]))
    return [Nack(now, ssrc, tuple(wanted)) for ssrc, wanted in numbers.items()]


def read_reference_times(data: bytes, now: float) -> list[ReferenceTime]:
    """The receiver reference times of a compound packet."""
    times = []
    for packet_type, _, body in _packets(data):
        at = 4
        while packet_type == EXTENDED_REPORT and at < len(body):
            if body[at] == REFERENCE_TIME:
                ntp = int.from_bytes(body[at + 6 : at + 10], "big")
                times.append(ReferenceTime(now, int.from_bytes(body[:4], "big"), ntp))
            at += 4 + 4 * int.from_bytes(body[at + 2 : at + 4], "big")
    return times


def write_delays(ssrc: int, times: list[ReferenceTime], now: float) -> bytes:
    """An extended report that tells each receiver how long ago its clock was heard (DLRR)."""
    block = b"".join(
        time.ssrc.to_bytes(4, "big")
        + time.ntp.to_bytes(4, "big")
        + max(0, round((now - time.at) * 65536)).to_bytes(4, "big")
        for time in times
    )
    body = bytes((DELAY_SINCE_REFERENCE, 0)) + (len(block) // 4).to_bytes(2, "big") + block
    size = (4 + len(body)) // 4
    return bytes((0x80, EXTENDED_REPORT)) + size.to_bytes(2, "big") + ssrc.to_bytes(4, "big") + body


def _named(first: int, mask: int) -> Iterator[int]:
    """RFC 4585, 6.2.1: a packet id, and a bit for each of the 16 after it."""
    yield first
    for bit in range(16):
        if mask >> bit & 1:
            yield (first + bit + 1) & 0xFFFF


def _packets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Packet type, count or format, and body of each packet."""
    at = 0
    while at < len(data):
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at] & 0x1F, data[at + 4 : end]
        at = end
