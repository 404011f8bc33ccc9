"""Which packets are missing, when to ask for them, and how long they are worth waiting for.

The reorder buffer says which numbers it misses (`open`) and which came after all (`arrived`); whoever
composes RTCP takes those that are `due` for a generic NACK (RFC 4585, 6.2.1). A number is asked for as soon
as it is later than packets on this path come of themselves, and again whenever a round trip has passed
without it: requests and repairs can be lost as well.

Every repair measures the round trip. Which of several requests it answers is not known: one so soon after the
last request that it cannot be its answer is taken for the answer to the first one, so that an estimate that
is too short grows. A sender that has never answered is not waited for: only late packets can come of it.
"""

from itertools import islice, takewhile
from math import inf

from whipway.protocol.rtp.round_trip import RoundTrip

MAX_MISSING = 1024
"""Numbers kept to be asked for: what senders keep for a second at 10 Mbit/s. More than that is an outage,
which a key frame mends sooner."""
MAX_REQUESTS = 10
"""For one number."""
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
SPREAD = 0.1
"""Of a round trip, by which the requests for one number are further apart each time."""
TOO_SOON = 0.75
"""Of a round trip: what comes sooner after the last request answers an earlier one."""
MAX_GRACE = 0.05
"""Seconds for which a number is not asked for because it may only be late."""
MAX_DOUBTS = 3
"""Packets in a row that came soon after they were asked for, and were taken for late ones."""
GRACE_DECAY = 0.97
"""With each repair: a path that once mixed up its packets need not do so for ever."""
MAX_UNANSWERED = 32
"""Packets given up after two requests each, before the sender counts as one that repeats nothing."""
MAX_GIVEN_UP = 256
"""Numbers given up of which it is noticed if they come after all."""


class _Request:
    """One missing number: since when, how often it was asked for, first and last time."""

    __slots__ = ("first_at", "last_at", "since", "times")

    def __init__(self, since: float) -> None:
        self.since = since
        self.times = 0
        self.first_at = since
        self.last_at = since


class MissingPackets:
    """The missing numbers of one SSRC, extended ones. `asks` tells whether NACK was agreed on.

    `repeats_apart`: what is repeated comes on an SSRC of its own (RFC 4588).

    The counts are for snapshots and for who estimates the loss of the network.
    """

    __slots__ = (
        "_asks",
        "_doubts",
        "_due_at",
        "_given_up",
        "_grace",
        "_missing",
        "_repeats_apart",
        "_round_trip",
        "_unanswered",
        "lost",
        "overflowed",
        "repaired",
        "requests",
    )

    def __init__(self, round_trip: RoundTrip, *, asks: bool, repeats_apart: bool = False) -> None:
        self._round_trip = round_trip
        self._asks = asks
        self._repeats_apart = repeats_apart
        self._missing: dict[int, _Request] = {}  # Numbers ascend.
        self._given_up: dict[int, _Request] = {}
        self._due_at = inf
        self._grace = 0.0
        self._unanswered = 0
        self._doubts = 0
        self.overflowed = False
        """More is missing than can be asked for: no use to wait for the rest."""
        self.lost = 0
        """Packets the network lost, whether repaired or not; those that were only late are not among them."""
        self.repaired = 0
        """Packets that came after they were asked for, and in time."""
        self.requests = 0
        """Numbers asked for, repetitions included."""

    def __len__(self) -> int:
        return len(self._missing)

    def open(self, first: int, end: int, now: float) -> None:
        """Numbers from `first` up to, not including, `end` did not come before the next one did."""
        self.lost += end - first
        room = MAX_MISSING - len(self._missing)
        self.overflowed = self.overflowed or end - first > room
        for sequence in range(first, min(end, first + room)):
            self._missing[sequence] = _Request(now)
        if self._asks:
            self._due_at = min(self._due_at, now + self._grace)

    def was_asked(self, sequence: int) -> bool:
        """Tell whether this number is missing and was asked for."""
        request = self._missing.get(sequence)
        return request is not None and request.times > 0

    def arrived(self, sequence: int, now: float) -> None:
        """Take the number of a missing packet that came on the SSRC itself: late, or sent once more."""
        request = self._take(sequence)
        if request is None:
            return
        if not self._was_only_late(request, now) or self._is_doubted(request):
            self._count_repair(request, now)
            return
        self.lost -= 1
        self._grace = min(MAX_GRACE, max(now - request.since, self._grace))

    def repeated(self, sequence: int, now: float) -> None:
        """Take the number of a missing packet that came on the SSRC of what is repeated."""
        request = self._take(sequence)
        if request is not None:
            self._count_repair(request, now)

    def came_too_late(self, sequence: int, now: float, *, is_repeated: bool) -> None:
        """Take the number of a packet that nobody waits for any more: it may show that the sender answers.

        `is_repeated`: it came on the SSRC of what is repeated.
        """
        request = self._given_up.pop(sequence, None)
        if request is not None and (is_repeated or not self._was_only_late(request, now)):
            self._unanswered = 0
            self._measure(request, now)

    def forget(self, end: int) -> None:
        """Numbers below `end` were never sent, or are not wanted."""
        for sequence in list(takewhile(lambda sequence: sequence < end, self._missing)):
            del self._missing[sequence]
            self.lost -= 1

    def give_up(self, end: int) -> None:
        """Numbers below `end` are not waited for any longer."""
        for sequence in list(takewhile(lambda sequence: sequence < end, self._missing)):
            request = self._missing.pop(sequence)
            self._unanswered += request.times > 1
            if request.times:
                self._given_up[sequence] = request
        for sequence in list(islice(self._given_up, max(0, len(self._given_up) - MAX_GIVEN_UP))):
            del self._given_up[sequence]
        self.overflowed = self.overflowed and bool(self._missing)

    def due(self, now: float, limit: int) -> list[int]:
        """The numbers to ask for now, lowest first, at most `limit`; they count as asked for."""
        if now < self._due_at:
            return []
        due: list[int] = []
        self._due_at = inf
        for sequence, request in self._missing.items():
            at = self._due(request)
            if at <= now and len(due) < limit:
                due.append(sequence)
                request.times += 1
                request.last_at = now
                if request.times == 1:
                    request.first_at = now
                at = self._due(request)
            self._due_at = min(self._due_at, at)
        self.requests += len(due)
        return due

    def deadline(self) -> float:
        """When `due` has something to say, or earlier; infinity while nothing is missing."""
        return self._due_at if self._missing else inf

    def patience(self) -> float:
        """How many seconds a gap is worth waiting for."""
        round_trip = self._round_trip.seconds
        if not self._asks:
            return REORDER_WAIT
        if self.repaired == 0 and self._unanswered >= MAX_UNANSWERED:
            return max(REORDER_WAIT, 1.5 * round_trip)
        return min(MAX_WAIT, max(MIN_WAIT, ROUND_TRIPS * round_trip))

    def _take(self, sequence: int) -> _Request | None:
        request = self._missing.pop(sequence, None)
        if not self._missing:
            self._due_at = inf
        return request

    def _due(self, request: _Request) -> float:
        if request.times == 0:
            return request.since + self._grace
        if request.times == MAX_REQUESTS:
            return inf
        round_trip = self._round_trip.seconds
        spread = 1.0 + SPREAD * (request.times - 1)
        return request.last_at + round_trip * spread + max(MIN_MARGIN, round_trip / 8)

    def _was_only_late(self, request: _Request, now: float) -> bool:
        """Tell a late packet from one sent once more."""
        too_soon = now - request.first_at < self._round_trip.least / 2
        return request.times == 0 or self._repeats_apart or too_soon

    def _is_doubted(self, request: _Request) -> bool:
        """Tell that packets come too soon after requests, time and again, to be repairs, and yet are.

        Requests wait longer than packets were late before; so late ones would come without being asked for.
        """
        if request.times == 0 or self._repeats_apart:
            self._doubts = 0
            return False
        self._doubts += 1
        return self._doubts > MAX_DOUBTS

    def _count_repair(self, request: _Request, now: float) -> None:
        self.repaired += 1
        self._grace *= GRACE_DECAY
        self._measure(request, now)

    def _measure(self, request: _Request, now: float) -> None:
        sample = now - request.last_at
        if request.times > 1 and sample < TOO_SOON * self._round_trip.seconds:
            sample = now - request.first_at
        self._round_trip.add(sample)
