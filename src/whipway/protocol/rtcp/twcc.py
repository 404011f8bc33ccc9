"""Transport-wide congestion control: which packets came when, told to their sender.

draft-holmer-rmcat-transport-wide-cc-extensions-01. The sender numbers the packets of all its tracks in one
header extension; here is the feedback on them (section 3.1: packet type 205, format 15), written and read,
and the record of arrivals it is made from. The sender estimates the bandwidth from it; nothing is estimated
here. Section numbers below are the draft's.

    |V=2|P| FMT=15  |    PT=205     |            length             |
    |                   SSRC of the packet's sender                 |
    |                   SSRC of the media                           |
    |     base sequence number      |      packet status count      |
    |       reference time (24), in 64 ms           | feedback count|
    :   chunks of 16 bits: the status of each packet from the base  :
    :   for each one received the time since the one before         :
"""

from operator import sub
from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError

TRANSPORT_WIDE = 15
"""The format."""
TICKS_PER_SECOND = 4000
"""Arrivals are told in ticks of 250 µs (3.1.5)."""
TICKS_PER_REFERENCE = 256
"""The reference time is told in units of 64 ms."""

MAX_STATUSES = 2048
"""Sequence numbers in one feedback packet. The field could say 65535, and a run of losses that long takes
16 octets only; nobody asks for more than a few hundred."""
MAX_DISTANCE = 1000
"""From one number to the next: a second or so of video. Farther ones begin a new stretch (see `_Stretch`)."""
MAX_LATE = 128
"""Numbers for which, at least, what was told of is known: a tenth of a second of fast video. A packet that
comes later than that counts as one that was never told of."""
MAX_SPAN = 1400
MAX_RECEIVED = 384
"""Sequence numbers, and packets received, in a feedback packet of ours: at worst 20 octets, 2 for each 7
numbers and 2 for each packet received, which is below 1200. The span must exceed MAX_DISTANCE."""
MAX_FEEDBACKS = 16
"""From one `compose`. An honest sender fills one or two; what goes beyond is forgotten."""

MAX_SMALL_DELTA = 0xFF
MAX_DELTA = 0x7FFF
"""In ticks, from one arrival to the next; 3.1.5: 8 bits, and a signed 16-bit number for a large delta."""

# transport.TRANSPORT_FEEDBACK; that module knows this one.
_PACKET_TYPE = 205
_HEADER = Struct("!BBHIIHHI")
_BODY = Struct("!IIHHI")
_CHUNK = Struct("!H")
_LARGE_DELTA = Struct("!h")

# 3.1.1: the status of a packet; 3 is reserved. Each is also the number of octets of the delta.
_LOST = 0
_SMALL = 1
_LARGE = 2
# 3.1.3 and 3.1.4: a run has 13 bits for its length, a vector has 14 bits for its symbols.
_MAX_RUN = 0x1FFF
_VECTOR_BITS = 14


class TransportFeedback(NamedTuple):
    """When the packets `base_sequence` and following came."""

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    """16 bits."""
    feedback_count: int
    """8 bits; rises with each feedback packet, so that lost ones are noticed."""
    reference_time: int
    """24 bits, in 64 ms of a clock that only the sender of the feedback knows. It wraps after 12 days."""
    arrivals: tuple[int | None, ...]
    """For each number from the base on: the arrival in ticks after the reference time, None for a packet that
    did not come. It may be negative, for a packet that overtook the first one."""

    def serialize(self) -> bytes:
        """20 octets, 2 for each chunk, 1 or 2 for each arrival, and padding.

        ValueError for no or more than MAX_STATUSES arrivals, or two that lie more than 8.19 s apart.
        """
        if not 0 < len(self.arrivals) <= MAX_STATUSES:
            raise ValueError(f"feedback is on 1 to {MAX_STATUSES} packets, not {len(self.arrivals)}")
        content = _encode_plain(self.arrivals)
        if content is None:
            symbols, deltas = _encode_deltas(self.arrivals)
            content = b"".join(_CHUNK.pack(chunk) for chunk in _encode_chunks(symbols)) + deltas
        padding = -len(content) % 4
        if padding:
            # RFC 3550, 6.4.1: the last octet of the padding counts it, and P tells that it is there.
            content += bytes(padding - 1) + bytes((padding,))
        return (
            _HEADER.pack(
                0x80 | (0x20 if padding else 0) | TRANSPORT_WIDE,
                _PACKET_TYPE,
                4 + len(content) // 4,
                self.sender_ssrc,
                self.media_ssrc,
                self.base_sequence & 0xFFFF,
                len(self.arrivals),
                (self.reference_time & 0xFFFFFF) << 8 | self.feedback_count & 0xFF,
            )
            + content
        )


def parse_feedback(body: bytes) -> TransportFeedback:
    """Read what follows the four octets of the header, without padding; it must have its deltas.

    ParseError(RTCP_MALFORMED).
    """
    if len(body) < _BODY.size:
        raise _malformed("no feedback header")
    sender_ssrc, media_ssrc, base, count, times = _BODY.unpack_from(body)
    if not 0 < count <= MAX_STATUSES:
        raise _malformed("feedback on no or too many packets")
    symbols, at = _decode_chunks(body, count)
    arrivals = _decode_deltas(body, at, symbols)
    return TransportFeedback(sender_ssrc, media_ssrc, base, times & 0xFF, times >> 8, arrivals)


def _encode_plain(arrivals: tuple[int | None, ...]) -> bytes | None:
    """Chunk and deltas of packets that all came, in order and one soon after the other; None for others."""
    if None in arrivals:
        return None
    deltas = [arrivals[0], *map(sub, arrivals[1:], arrivals)]
    if min(deltas) < 0 or max(deltas) > MAX_SMALL_DELTA:
        return None
    return _CHUNK.pack(_SMALL << 13 | len(deltas)) + bytes(deltas)


def _encode_deltas(arrivals: tuple[int | None, ...]) -> tuple[list[int], bytes]:
    symbols: list[int] = []
    deltas = bytearray()
    # 3.1: "The first recv delta in this packet is relative to the reference time."
    previous = 0
    for arrival in arrivals:
        if arrival is None:
            symbols.append(_LOST)
            continue
        delta = arrival - previous
        previous = arrival
        if 0 <= delta <= MAX_SMALL_DELTA:
            symbols.append(_SMALL)
            deltas.append(delta)
        elif _fits(delta):
            symbols.append(_LARGE)
            deltas += _LARGE_DELTA.pack(delta)
        else:
            raise ValueError(f"{delta} ticks between two arrivals do not fit 16 bits")
    return symbols, bytes(deltas)


def _encode_chunks(symbols: list[int]) -> list[int]:
    """A run where it covers as much as a vector would, else a vector of 14 one-bit or 7 two-bit symbols."""
    chunks: list[int] = []
    at = 0
    while at < len(symbols):
        window = symbols[at : at + _VECTOR_BITS]
        bits = 2 if _LARGE in window else 1
        size = _VECTOR_BITS // bits
        run = _run_length(symbols, at)
        if run >= min(size, len(window)):
            chunks.append(symbols[at] << 13 | run)
            at += run
        else:
            vector = 0
            for index, symbol in enumerate(window[:size], 1):
                vector |= symbol << _VECTOR_BITS - index * bits
            chunks.append(0x8000 | (bits - 1) << 14 | vector)
            at += size
    return chunks


def _run_length(symbols: list[int], at: int) -> int:
    end = at + 1
    while end < len(symbols) and symbols[end] == symbols[at]:
        end += 1
    # MAX_STATUSES keeps it within 13 bits.
    return end - at


def _decode_chunks(body: bytes, count: int) -> tuple[list[int], int]:
    """Return `count` symbols and where the deltas begin."""
    symbols: list[int] = []
    at = _BODY.size
    while len(symbols) < count:
        if at + _CHUNK.size > len(body):
            raise _malformed("fewer packet chunks than packets")
        chunk = _CHUNK.unpack_from(body, at)[0]
        at += _CHUNK.size
        if chunk & 0x8000:
            bits = 2 if chunk & 0x4000 else 1
            shifts = range(_VECTOR_BITS - bits, -1, -bits)
            symbols += [chunk >> shift & (1 << bits) - 1 for shift in shifts]
        else:
            symbols += [chunk >> 13] * min(chunk & _MAX_RUN, count - len(symbols))
    # A vector may have more symbols than are left to tell.
    return symbols[:count], at


def _decode_deltas(body: bytes, at: int, symbols: list[int]) -> tuple[int | None, ...]:
    # Zeros without a P bit may follow, as in the figure of 3.1.
    if at + sum(symbols) > len(body):
        raise _malformed("fewer deltas than packets received")
    arrivals: list[int | None] = []
    arrival = 0
    for symbol in symbols:
        if symbol == _SMALL:
            arrival += body[at]
        elif symbol == _LARGE:
            arrival += _LARGE_DELTA.unpack_from(body, at)[0]
        elif symbol != _LOST:
            raise _malformed("reserved packet status")
        arrivals.append(arrival if symbol else None)
        at += symbol
    return tuple(arrivals)


_Report = tuple[int, int, tuple[int | None, ...]]
"""Base number, extended; reference time, not wrapped; arrivals."""


class ArrivalRecorder:
    """The receiver's part: notes arrivals, and makes feedback of them when asked, 4 to 20 times a second."""

    def __init__(self) -> None:
        self._arrivals: dict[int, float] = {}
        self._stretch = _Stretch()
        self._stray = _Stretch()
        self._count = 0

    @property
    def pending(self) -> bool:
        """Whether a packet came since the last `compose`."""
        return bool(self._arrivals)

    def received(self, sequence: int, arrival: float) -> None:
        """Note a packet: its 16-bit number, and when it came, in monotonic seconds.

        Called for every packet, so all thinking is left to `compose`. Having 65536 keys at most bounds it.
        """
        self._arrivals.setdefault(sequence, arrival)

    def compose(self, sender_ssrc: int, media_ssrc: int) -> list[TransportFeedback]:
        """Return the feedback on what came since the last call: none, one, or a few that go in this order."""
        arrivals, self._arrivals = self._arrivals, {}
        reports: list[_Report] = []
        ticks, converted = 0, 0.0
        for sequence, arrival in arrivals.items():
            if arrival != converted:  # Packets come in batches.
                ticks, converted = round(arrival * TICKS_PER_SECOND), arrival
            if not self._stretch.add(sequence, ticks) and self._is_confirmed(sequence, ticks):
                reports += self._stretch.take(MAX_FEEDBACKS - len(reports))
                self._stretch, self._stray = self._stray, _Stretch()
        reports += self._stretch.take(MAX_FEEDBACKS - len(reports))
        return [self._number(sender_ssrc, media_ssrc, report) for report in reports]

    def _is_confirmed(self, sequence: int, ticks: int) -> bool:
        """Take a number far from the others; True when it is the second one near such a place.

        So a single odd number disturbs nothing, and a sender that goes on elsewhere is followed at once. The
        numbers between are not told: either they were never sent, or nothing came for so long that the sender
        knows by the silence.
        """
        if not self._stray.is_empty() and self._stray.add(sequence, ticks):
            return True
        self._stray = _Stretch()
        self._stray.add(sequence, ticks)
        return False

    def _number(self, sender_ssrc: int, media_ssrc: int, report: _Report) -> TransportFeedback:
        base, reference, arrivals = report
        count, self._count = self._count, self._count + 1 & 0xFF
        return TransportFeedback(
            sender_ssrc, media_ssrc, base & 0xFFFF, count, reference & 0xFFFFFF, arrivals
        )


class _Stretch:
    """Numbers without a gap or step back of more than MAX_DISTANCE, extended so that they do not wrap.

    Each report begins where the last one ended, so that losses between the two are told. One that comes late
    makes the next report begin at it. What was reported is known for a while, for two reasons: a report that
    begins earlier tells it again instead of calling it lost, and a duplicate keeps its first arrival.
    """

    def __init__(self) -> None:
        self._known: dict[int, int] = {}  # ticks of arrival by number
        self._begin = 0  # of the next report
        self._highest = 0

    def is_empty(self) -> bool:
        return not self._known

    def add(self, sequence: int, ticks: int) -> bool:
        """False for a number that is too far away to belong here. An empty stretch begins at any."""
        following = self._highest + 1
        if sequence == following & 0xFFFF and self._known:  # As nearly always.
            self._highest = following
            self._known[following] = ticks
            return True
        if not self._known:
            self._begin = self._highest = sequence
        number = self._highest + ((sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000)
        if abs(number - self._highest) > MAX_DISTANCE:
            return False
        if number not in self._known:
            self._known[number] = ticks
            self._begin = min(self._begin, number)
            self._highest = max(self._highest, number)
        return True

    def take(self, limit: int) -> list[_Report]:
        """Report what came since the last call; what does not fit `limit` reports is forgotten."""
        known = self._known
        numbers = self._unreported()
        reports: list[_Report] = []
        while numbers and len(reports) < limit:
            taken = self._count_fitting(numbers)
            reports.append(self._report(numbers[:taken]))
            numbers = numbers[taken:]
        self._begin = self._highest + 1
        if len(known) > 2 * MAX_LATE:
            oldest = self._highest - MAX_LATE
            self._known = {number: ticks for number, ticks in known.items() if number >= oldest}
        return reports

    def _unreported(self) -> list[int]:
        """The numbers that came, from `_begin` on, ascending."""
        known = self._known
        span = range(self._begin, self._highest + 1)
        # Far apart from each other, they are fewer than what lies between them.
        if len(span) <= len(known):
            return [number for number in span if number in known]
        return sorted(number for number in known if number >= self._begin)

    def _count_fitting(self, numbers: list[int]) -> int:
        """How many of the numbers, which ascend, go in one report that begins at `_begin`."""
        ticks = [self._known[number] for number in numbers[:MAX_RECEIVED]]
        if numbers[len(ticks) - 1] - self._begin < MAX_SPAN and max(ticks) - min(ticks) <= MAX_DELTA:
            return len(ticks)
        previous = ticks[0]
        for index, each in enumerate(ticks):
            if numbers[index] - self._begin >= MAX_SPAN or not _fits(each - previous):
                return index
            previous = each
        return len(ticks)

    def _report(self, numbers: list[int]) -> _Report:
        known, base = self._known, self._begin
        self._begin = end = numbers[-1] + 1
        reference = known[numbers[0]] // TICKS_PER_REFERENCE
        start = reference * TICKS_PER_REFERENCE
        if len(numbers) == end - base:
            return base, reference, tuple([known[number] - start for number in numbers])
        statuses: list[int | None] = [None] * (end - base)
        for number in numbers:
            statuses[number - base] = known[number] - start
        return base, reference, tuple(statuses)


def _fits(delta: int) -> bool:
    return -MAX_DELTA - 1 <= delta <= MAX_DELTA


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.RTCP_MALFORMED, detail)
