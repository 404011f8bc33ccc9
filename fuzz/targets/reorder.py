"""Whatever numbers come, and whenever: packets are handed on once and in order, each gap is marked at its
place, what is asked for is what is missing, nothing waits for ever, and neither list outgrows its bound."""

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from unittest.mock import patch

from fuzz.script import Script
from whipway.protocol.rtp import nack
from whipway.protocol.rtp.nack import MAX_REQUESTS, MAX_WAIT, MissingPackets
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.reorder import ReorderBuffer
from whipway.protocol.rtp.round_trip import RoundTrip

CAPACITY = 24
MAX_MISSING = 32
MAX_STEPS = 300
FIRST = 70_000


class Kind(IntEnum):
    """What may happen to a track's buffer."""

    ARRIVE = 0
    """A number near the highest one."""
    RUN = 1
    """Some in a row."""
    JUMP = 2
    WAIT = 3
    ASK = 4
    FILL = 5
    """A number that is missing comes."""


def packet_of(number: int) -> Packet:
    """One that can be told from all others."""
    return Packet(102, False, number & 0xFFFF, 0, 1, b"%d" % number, b"", 0)


class Owner:
    """Drives a buffer as a track does, beside the simplest model of it: what came, and what was handed on."""

    def __init__(self, *, asks: bool, repeats_apart: bool) -> None:
        self._asks = asks
        self._missing = MissingPackets(RoundTrip(), asks=asks, repeats_apart=repeats_apart)
        self._buffer = ReorderBuffer(self._missing, CAPACITY)
        self._now = 1.0
        self._highest = FIRST
        self._last: int | None = None
        """The number handed on last."""
        self._came: set[int] = set()
        self._asked: Counter[int] = Counter()
        self._is_exact = True
        """Nothing was left out for want of room since the last time that nothing was missing."""

    def step(self, script: Script) -> None:
        """Do one thing, and look whether all is well."""
        match Kind(script.choose(len(Kind))):
            case Kind.ARRIVE:
                self._insert(self._highest + script.number() % 64 - 16)
            case Kind.RUN:
                for _ in range(script.number() % 64):
                    self._insert(self._highest + 1)
            case Kind.JUMP:
                self._insert(self._highest + script.number(2) - 0x8000)
            case Kind.WAIT:
                self._now += script.number() / 128
                self._take(self._buffer.expire(self._now), 0)
            case Kind.ASK:
                self._ask(1 + script.number())
            case Kind.FILL:
                gaps = self._gaps()
                if gaps:
                    self._insert(gaps[script.number() % len(gaps)])
        self._check()

    def _insert(self, number: int) -> None:
        resets = self._buffer.resets
        is_next = not len(self._buffer) and self._last is not None and number == self._last + 1
        opened = max(0, number - self._highest - 1)
        self._is_exact = self._is_exact and len(self._missing) + opened <= MAX_MISSING
        self._came.add(number)
        packet = packet_of(number)
        ready = self._buffer.insert(number, packet, self._now)
        assert not is_next or list(ready) == [packet]
        if self._missing.overflowed:
            ready = [*ready, *self._buffer.give_up()]
        self._take(ready, self._buffer.resets - resets)
        waiting = self._buffer._waiting
        self._highest = max(waiting) if waiting else self._last or FIRST
        self._check()

    def _take(self, ready: Sequence[Packet | None], resets: int) -> None:
        """Follow what is handed on. A reset is a gap behind which any number may come."""
        is_gap = False
        for packet in ready:
            if packet is None:
                is_gap = True
                continue
            number = int(packet.payload)
            assert number in self._came
            if self._last is not None:
                is_reset = is_gap and resets > 0 and not self._last + 1 < number <= self._last + CAPACITY
                assert is_reset or (number > self._last + 1 if is_gap else number == self._last + 1)
            self._last = number
            is_gap = False
        assert not is_gap

    def _gaps(self) -> list[int]:
        """What is missing: between what was handed on and what waits."""
        waiting = self._buffer._waiting
        if not waiting or self._last is None:
            return []
        return [number for number in range(self._last + 1, max(waiting)) if number not in waiting]

    def _ask(self, limit: int) -> None:
        numbers = self._missing.due(self._now, limit)
        assert len(numbers) <= limit and numbers == sorted(set(numbers))
        assert self._asks or not numbers
        assert set(numbers) <= set(self._gaps())
        self._asked.update(numbers)
        assert all(self._missing.was_asked(number) for number in numbers)
        self._missing.due(self._now, MAX_MISSING)
        assert self._missing.deadline() > self._now

    def _check(self) -> None:
        gaps = self._gaps()
        self._is_exact = self._is_exact or not gaps
        assert len(self._buffer) <= CAPACITY
        assert len(self._missing) <= min(MAX_MISSING, len(gaps))
        assert len(self._missing) == len(gaps) or not self._is_exact
        deadline = self._buffer.deadline()
        assert (deadline is None) == (len(self._buffer) == 0)
        assert deadline is None or deadline <= self._now + MAX_WAIT
        assert all(count <= MAX_REQUESTS for number, count in self._asked.items() if number in gaps)

    def finish(self) -> None:
        """Nothing more comes."""
        self._now += MAX_WAIT + 1.0
        self._take(self._buffer.expire(self._now), 0)
        assert not len(self._buffer) and not len(self._missing)
        assert self._missing.deadline() > self._now
        self._check()


def target(data: bytes) -> bool:
    script = Script(data)
    shape = script.number()
    owner = Owner(asks=bool(shape & 1), repeats_apart=bool(shape & 2))
    steps = 0
    with patch.object(nack, "MAX_MISSING", MAX_MISSING):
        while script and steps < MAX_STEPS:
            owner.step(script)
            steps += 1
        owner.finish()
    return True


def seeds() -> list[bytes]:
    run, late = bytes((Kind.RUN, 20)), bytes((Kind.ARRIVE, 13))
    lost, burst = bytes((Kind.ARRIVE, 18)), bytes((Kind.ARRIVE, 40))
    wait, ask, fill = bytes((Kind.WAIT, 20)), bytes((Kind.ASK, 50)), bytes((Kind.FILL, 0))
    jump = bytes((Kind.JUMP, 0x90, 0, Kind.JUMP, 0x80, 1))
    return [
        b"\x01" + run + lost + ask + wait + fill + run + burst + ask + wait + ask + fill * 9,
        b"\x03" + run + (lost + run) * 3 + late + wait * 3 + jump + run + late,
        b"\x00" + run + (burst + late + run) * 3 + wait * 9 + jump,
    ]
