"""What a receiver reports about one source: loss, jitter, last sender report (RFC 3550, 6.4.1, A.3 and A.8).

`received` runs for every packet, in order of arrival and before reordering; `report` once an interval. A
report's fields are those of an RTCP report block after its SSRC, in wire order and wire units.
"""

from math import inf
from typing import NamedTuple

from whipway.protocol.rtp.sequence import MAX_JUMP

MAX_TRANSIT_CHANGE = 5.0
"""Seconds. Larger changes are a timestamp that wrapped or a source that was switched, not jitter."""


class Reception(NamedTuple):
    """The report on one source at one moment."""

    fraction_lost: int
    """Of the packets expected since the last report, in 1/256."""
    cumulative_lost: int
    """24 bits, signed: duplicates can make it negative."""
    highest_sequence: int
    """32 bits: cycles and sequence number."""
    jitter: int
    """In timestamp units."""
    last_sender_report: int
    """The middle 32 bits of its NTP timestamp; 0 when there was none."""
    delay_since_last_sender_report: int
    """In 1/65536 s."""


class ReceptionStatistics:
    """Statistics of one SSRC with a clock of `clock_rate` Hz; sequence numbers are extended ones."""

    __slots__ = (
        "_base",
        "_clock_rate",
        "_expected_prior",
        "_highest",
        "_jitter",
        "_max_change",
        "_received",
        "_received_prior",
        "_restart",
        "_sender_report",
        "_started",
        "_transit",
    )

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._max_change = MAX_TRANSIT_CHANGE * clock_rate
        self._started = False
        self._transit = inf
        self._jitter = 0.0
        self._sender_report: tuple[int, float] | None = None
        self._restart: int | None = None
        self._base = 0
        self._highest = 0
        self._received = 0
        self._received_prior = 0
        self._expected_prior = 0

    def received(self, sequence: int, timestamp: int, arrival: float) -> None:
        """Count a packet: its extended sequence number, its 32-bit timestamp, its arrival in seconds."""
        if sequence == self._highest + 1 and self._started:
            self._highest = sequence
        elif not self._accepts(sequence):
            return
        self._received += 1
        if sequence < self._highest:
            return  # Out of order: repeated, as likely as not, and its delay says nothing of the path.
        # RFC 3550, 6.4.1: "J(i) = J(i-1) + (|D(i-1,i)| - J(i-1))/16"
        transit = arrival * self._clock_rate - timestamp
        change = abs(transit - self._transit)
        self._transit = transit
        if change < self._max_change:
            self._jitter += (change - self._jitter) / 16

    def sender_report(self, ntp_timestamp: int, arrival: float) -> None:
        """Remember the source's last sender report: its 64-bit NTP timestamp and its arrival in seconds."""
        self._sender_report = ((ntp_timestamp >> 16) & 0xFFFFFFFF, arrival)

    def report(self, now: float) -> Reception | None:
        """Close the interval and report on it; None when nothing was received in it, which needs no block."""
        # RFC 3550, 6.4: report blocks are for sources heard since the last report.
        received = self._received - self._received_prior
        if received == 0:
            return None
        expected_in_all = self._highest - self._base + 1
        expected = expected_in_all - self._expected_prior
        self._expected_prior = expected_in_all
        self._received_prior = self._received
        # RFC 3550, A.3: a negative loss, as duplicates make it, is reported as no loss.
        fraction = ((expected - received) << 8) // expected if expected > received else 0
        lost = max(-0x800000, min(0x7FFFFF, expected_in_all - self._received))
        last, delay = self._since_sender_report(now)
        return Reception(fraction, lost, self._highest & 0xFFFFFFFF, int(self._jitter), last, delay)

    def _since_sender_report(self, now: float) -> tuple[int, int]:
        if self._sender_report is None:
            return 0, 0
        middle, arrival = self._sender_report
        return middle, min(int((now - arrival) * 65536), 0xFFFFFFFF)

    def _accepts(self, sequence: int) -> bool:
        if not self._started:
            self._started = True
            self._start(sequence)
            return True
        if abs(sequence - self._highest) <= MAX_JUMP:
            self._highest = max(self._highest, sequence)
            return True
        # RFC 3550, A.1: a jump is believed at its second packet, and the counts start anew.
        if sequence == self._restart:
            self._start(sequence)
            return True
        self._restart = sequence + 1
        return False

    def _start(self, sequence: int) -> None:
        self._base = sequence
        self._highest = sequence
        self._received = 0
        self._received_prior = 0
        self._expected_prior = 0
        self._restart = None
