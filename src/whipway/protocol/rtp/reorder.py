"""Puts the packets of one track back in order, and gives a missing one up in time.

There is no playout here, so nothing is delayed on purpose: a packet with the expected number goes straight
through. A packet ahead of a gap waits until the gap is filled, until the oldest of those waiting has waited
as long as a gap is worth (`MissingPackets.patience`), or until more than `capacity` are waiting; then the gap
is given up. What comes out is a sequence of packets in which `None` says "packets before the next one are
lost for good", so that whoever assembles frames learns of each gap at its very place.

A restart of the sender shows as two packets with consecutive numbers far from the expected one (RFC 3550,
A.1); one alone is held and not believed. `missing` is told which numbers are absent, and asks for them.
"""

from collections.abc import Sequence

from whipway.protocol.rtp.nack import MissingPackets
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.sequence import MAX_JUMP

CAPACITY_PACKETS = 4096
"""Two seconds of 20 Mbit/s video: what comes while the longest repair is under way."""


class ReorderBuffer:
    """In-order packets of one track; sequence numbers are extended ones (`Extender(16)`).

    The counts are for snapshots.
    """

    __slots__ = (
        "_candidate",
        "_capacity",
        "_highest",
        "_next",
        "_started",
        "_waiting",
        "duplicates",
        "late",
        "lost",
        "missing",
        "resets",
    )

    def __init__(self, missing: MissingPackets, capacity: int = CAPACITY_PACKETS) -> None:
        self.missing = missing
        self._capacity = capacity
        self._next = 0
        self._highest = 0  # of those that wait; without meaning while none does
        self._started = False
        # Each packet with its arrival. All of them are beyond the first gap and time does not run backwards,
        # so the first of the dictionary tells since when that gap is known.
        self._waiting: dict[int, tuple[float, Packet]] = {}
        self._candidate: tuple[int, Packet] | None = None
        self.duplicates = 0
        """Packets whose number was waiting already (RTP_DUPLICATE)."""
        self.late = 0
        """Packets behind what was handed on, and lone ones far from it (RTP_LATE)."""
        self.lost = 0
        """Numbers given up; those skipped by a reset are not known to have been sent."""
        self.resets = 0
        """Times that the sender started anew."""

    def __len__(self) -> int:
        """How many packets wait behind a gap."""
        return len(self._waiting)

    def start(self, sequence: int) -> Sequence[Packet | None]:
        """Let the track begin with this number: none before it is wanted. Output as of `insert`."""
        self._started = True
        self._next = sequence
        self.missing.forget(sequence)
        for before in [number for number in self._waiting if number < sequence]:
            del self._waiting[before]
            self.late += 1
        ready: list[Packet | None] = []
        self._release(ready)
        return ready

    def start_with_frame(self, sequence: int) -> Sequence[Packet | None]:
        """Let the track begin with the frame that this number, which waits, is of. Output as of `insert`."""
        timestamp = self._waiting[sequence][1].timestamp
        while (before := self._waiting.get(sequence - 1)) and before[1].timestamp == timestamp:
            sequence -= 1
        return self.start(sequence)

    def start_with_first(self) -> Sequence[Packet | None]:
        """Let the track begin with the lowest number that waits. Output as of `insert`."""
        return self.start(min(self._waiting)) if self._waiting else ()

    def insert(self, sequence: int, packet: Packet, now: float) -> Sequence[Packet | None]:
        """Take one packet and return those that are now in order; None among them marks a gap."""
        if self.passes(sequence):
            return (packet,)
        return self._insert_apart(sequence, packet, now)

    def passes(self, sequence: int) -> bool:
        """Whether this packet is the next one, and none waits: then it counts as inserted and handed on."""
        if sequence != self._next or self._waiting or not self._started:
            return False
        self._next = sequence + 1
        return True

    def expire(self, now: float) -> Sequence[Packet | None]:
        """Give up the gaps that are not worth waiting for any longer; call it at `deadline`.

        Output as of `insert`.
        """
        ready: list[Packet | None] = []
        patience = self.missing.patience()
        while self._waiting and self._oldest_arrival() + patience <= now:
            self._give_up(ready)
        return ready

    def give_up(self) -> Sequence[Packet | None]:
        """Give up every gap: nothing of them will come. Output as of `insert`."""
        ready: list[Packet | None] = []
        while self._waiting:
            self._give_up(ready)
        return ready

    def deadline(self) -> float | None:
        """When `expire` has something to do; None while nothing waits."""
        return self._oldest_arrival() + self.missing.patience() if self._waiting else None

    def _insert_apart(self, sequence: int, packet: Packet, now: float) -> Sequence[Packet | None]:
        if not self._started:
            self._started = True
            self._next = sequence + 1
            return (packet,)
        ahead = sequence - self._next
        if sequence - self._last() - 1 > MAX_JUMP or ahead < -MAX_JUMP:
            return self._insert_far(sequence, packet)
        if ahead < 0:
            self.late += 1
            self.missing.came_too_late(sequence, now, is_repeated=False)
            return ()
        if sequence in self._waiting:
            self.duplicates += 1
            return ()
        self._note(sequence, now)
        self._waiting[sequence] = (now, packet)
        ready: list[Packet | None] = []
        if ahead == 0:
            self._release(ready)
        elif len(self._waiting) > self._capacity:
            self._give_up(ready)
        return ready

    def _insert_far(self, sequence: int, packet: Packet) -> Sequence[Packet | None]:
        # RFC 3550, A.1: "Two sequential packets -- assume that the other side restarted without telling us".
        candidate = self._candidate
        if candidate is None or sequence != candidate[0] + 1:
            self.late += candidate is not None
            self._candidate = (sequence, packet)
            return ()
        ready = [*self.give_up(), None, candidate[1], packet]
        self._candidate = None
        self._next = sequence + 1
        self.resets += 1
        return ready

    def _last(self) -> int:
        """The highest number that came."""
        return self._highest if self._waiting else self._next - 1

    def _note(self, sequence: int, now: float) -> None:
        highest = self._last()
        if sequence < highest:
            self.missing.arrived(sequence, now)
            return
        self._highest = sequence
        if sequence > highest + 1:
            self.missing.open(highest + 1, sequence, now)

    def _give_up(self, ready: list[Packet | None]) -> None:
        # The walk is at most MAX_JUMP long and each number is passed once.
        first = self._next
        while self._next not in self._waiting:
            self._next += 1
        self.lost += self._next - first
        self.missing.give_up(self._next)
        ready.append(None)
        self._release(ready)

    def _release(self, ready: list[Packet | None]) -> None:
        waiting = self._waiting
        while self._next in waiting:
            ready.append(waiting.pop(self._next)[1])
            self._next += 1

    def _oldest_arrival(self) -> float:
        return next(iter(self._waiting.values()))[0]
