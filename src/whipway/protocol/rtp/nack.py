"""Which packets are missing, when to ask for them, and how long they are worth waiting for.

The reorder buffer says which numbers it misses (`open`) and which came after all (`arrived`); whoever
composes RTCP takes those that are `due` for a generic NACK (RFC 4585, 6.2.1). A number is asked for at once,
and again whenever a round trip has passed without it: requests and repairs can be lost as well.

A sender that has never answered is not waited for: then only packets that overtook each other can come.
"""

from itertools import takewhile
from math import inf

from whipway.protocol.rtp.round_trip import RoundTrip

MAX_MISSING = 512
"""Numbers kept to be asked for. More than that is an outage, which a key frame mends sooner."""
ROUND_TRIPS = 12.0
"""How many round trips a gap is waited for. At 20 % loss one request in three fails, itself or its answer;
what is missing in the end costs everything up to the next key frame."""
MIN_WAIT = 0.4
"""Seconds. Senders pace what they repeat; near by, that takes longer than the network."""
MAX_WAIT = 1.5
"""Seconds. Players of RTMP hold a second or two; senders keep what they sent for about a second."""
REORDER_WAIT = 0.2
"""Seconds for packets that are only late, where nothing is repeated."""
MIN_MARGIN = 0.01
"""Seconds added to the round trip before asking again: senders leave out what they repeated a round trip
ago, by their own measurement."""
MAX_UNANSWERED = 32
"""Packets given up after two requests each, before the sender counts as one that repeats nothing."""


class MissingPackets:
    """The missing numbers of one SSRC, extended ones. `asks` tells whether NACK was agreed on.

    The counts are for snapshots and for who estimates the loss of the network.
    """

    __slots__ = ("_asks", "_due_at", "_missing", "_round_trip", "_unanswered", "lost", "repaired", "requests")

    def __init__(self, round_trip: RoundTrip, *, asks: bool) -> None:
        self._round_trip = round_trip
        self._asks = asks
        # How often each number was asked for, and when it was last, or since when it is missing; ascending.
        self._missing: dict[int, tuple[int, float]] = {}
        self._due_at = inf
        self._unanswered = 0
        self.lost = 0
        """Packets the network lost, whether repaired or not; those that were only late are not among them."""
        self.repaired = 0
        """Packets that came after they were asked for."""
        self.requests = 0
        """Numbers asked for, repetitions included."""

    def open(self, first: int, end: int, now: float) -> None:
        """Numbers from `first` up to, not including, `end` did not come before the next one did."""
        self.lost += end - first
        room = MAX_MISSING - len(self._missing)
        for sequence in range(first, min(end, first + room)):
            self._missing[sequence] = (0, now)
        if self._asks:
            self._due_at = min(self._due_at, now)

    def __len__(self) -> int:
        return len(self._missing)

    def was_asked(self, sequence: int) -> bool:
        """Tell whether this number is missing and was asked for."""
        return self._missing.get(sequence, (0, 0.0))[0] > 0

    def arrived(self, sequence: int, now: float) -> None:
        """Take the number of a packet that had been missing."""
        times, at = self._missing.pop(sequence, (0, now))
        took = now - at
        # What comes much sooner than any answer could was on its way already.
        if times == 0 or (self._round_trip.is_measured and took < self._round_trip.seconds / 4):
            self.lost -= 1
            return
        self.repaired += 1
        if times == 1:  # Else it may be the answer to either request.
            self._round_trip.add(took)

    def give_up(self, end: int) -> None:
        """Numbers below `end` are not waited for any longer."""
        for sequence in list(takewhile(lambda sequence: sequence < end, self._missing)):
            self._unanswered += self._missing.pop(sequence)[0] > 1

    def due(self, now: float, limit: int) -> list[int]:
        """The numbers to ask for now, lowest first, at most `limit`; they count as asked for."""
        if now < self._due_at:
            return []
        interval = self._interval()
        due: list[int] = []
        for sequence, (times, at) in self._missing.items():
            if times == 0 or at + interval <= now:
                due.append(sequence)
                if len(due) == limit:
                    break
        for sequence in due:
            self._missing[sequence] = (self._missing[sequence][0] + 1, now)
        self.requests += len(due)
        self._due_at = min(
            (at + interval if times else at for times, at in self._missing.values()), default=inf
        )
        return due

    def deadline(self) -> float:
        """When `due` has something to say, or earlier; infinity while nothing is missing."""
        return self._due_at if self._missing else inf

    def patience(self) -> float:
        """How many seconds a gap is worth waiting for."""
        if not self._asks or (self.repaired == 0 and self._unanswered >= MAX_UNANSWERED):
            return REORDER_WAIT
        return min(MAX_WAIT, max(MIN_WAIT, ROUND_TRIPS * self._round_trip.seconds))

    def _interval(self) -> float:
        round_trip = self._round_trip.seconds
        return round_trip + max(MIN_MARGIN, round_trip / 8)
