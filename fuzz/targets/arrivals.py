"""Transport-wide feedback says what came: each number with the time at which it came, and every packet since
the last feedback, in datagrams of a bounded size that read back the same."""

from enum import IntEnum

from fuzz.script import Script
from whipway.protocol.rtcp.packets import parse_compound
from whipway.protocol.rtcp.twcc import (
    MAX_DISTANCE,
    MAX_FEEDBACKS,
    MAX_LATE,
    TICKS_PER_REFERENCE,
    TICKS_PER_SECOND,
    ArrivalRecorder,
    TransportFeedback,
)

MAX_BYTES = 1200
MAX_STEPS = 400
TICKS_MODULUS = TICKS_PER_REFERENCE << 24


class Kind(IntEnum):
    """What may happen to a recorder."""

    RECEIVE = 0
    JUMP = 1
    WAIT = 2
    COMPOSE = 3
    RUN = 4


class Owner:
    """Drives a recorder, and knows what came."""

    def __init__(self, base: int) -> None:
        self._recorder = ArrivalRecorder()
        self._now = 1.0
        self._number = self._highest = base
        """The last one, and the highest since they are regular; not wrapped."""
        self._came: dict[int, set[int]] = {}
        """All ticks at which a number (16 bits) came."""
        self._since: dict[int, int] = {}
        """The numbers (16 bits) that came since the last feedback, in their order, not wrapped."""
        self._told: set[int] = set()
        self._is_regular = True
        """All numbers since the last feedback lie near those that it told of."""
        self._count = 0

    def step(self, script: Script) -> None:
        """Do one thing."""
        match Kind(script.choose(len(Kind))):
            case Kind.RECEIVE:
                self._receive(self._number + script.number() - 16)
            case Kind.JUMP:
                self._receive(self._number + script.number(2))
            case Kind.WAIT:
                self._now += script.number(2) / 16_384
            case Kind.RUN:
                for _ in range(script.number()):
                    self._now += 1 / 3000
                    self._receive(self._number + 1)
            case Kind.COMPOSE:
                self.compose()

    def compose(self) -> None:
        """Have feedback made, and judge it."""
        assert self._recorder.pending == bool(self._since)
        reports = self._recorder.compose(1, 2)
        assert len(reports) <= MAX_FEEDBACKS
        told = set()
        for report in reports:
            told |= self._judge(report)
        if self._is_regular and len(reports) < MAX_FEEDBACKS:
            assert self._since.keys() <= told | self._told
        self._told = self._told | told if self._is_regular else told
        if self._since and not self._is_regular:
            wrapped, number = self._since.popitem()
            last = reports[-1] if reports else None
            self._is_regular = last is not None and (
                wrapped == (last.base_sequence + len(last.arrivals) - 1) & 0xFFFF
            )
            self._highest = number
        self._since.clear()

    def _receive(self, number: int) -> None:
        ticks = round(self._now * TICKS_PER_SECOND)
        self._is_regular = self._is_regular and -MAX_LATE < number - self._highest < MAX_DISTANCE
        self._number = number
        self._highest = max(number, self._highest)
        self._recorder.received(number & 0xFFFF, self._now)
        self._came.setdefault(number & 0xFFFF, set()).add(ticks % TICKS_MODULUS)
        self._since.setdefault(number & 0xFFFF, number)

    def _judge(self, report: TransportFeedback) -> set[int]:
        """The numbers it says have come."""
        assert report.feedback_count == self._count & 0xFF
        self._count += 1
        data = report.serialize()
        assert len(data) <= MAX_BYTES
        assert parse_compound(data, feedback=True) == [report]
        assert len(report.arrivals) <= 2 * MAX_DISTANCE
        start = report.reference_time * TICKS_PER_REFERENCE
        told = set()
        for index, ticks in enumerate(report.arrivals):
            number = (report.base_sequence + index) & 0xFFFF
            if ticks is not None:
                told.add(number)
                assert (start + ticks) % TICKS_MODULUS in self._came[number]
            elif self._is_regular:
                assert number not in self._since
        return told


def target(data: bytes) -> bool:
    script = Script(data)
    owner = Owner(script.number(2))
    steps = 0
    while script and steps < MAX_STEPS:
        owner.step(script)
        steps += 1
    owner.compose()
    return True


def seeds() -> list[bytes]:
    next_one, late, lost = bytes((Kind.RECEIVE, 17)), bytes((Kind.RECEIVE, 10)), bytes((Kind.RECEIVE, 40))
    wait, compose = bytes((Kind.WAIT, 1, 0)), bytes((Kind.COMPOSE,))
    jump, run = bytes((Kind.JUMP, 0x40, 0)), bytes((Kind.RUN, 200))
    return [
        b"\xff\xf0" + (next_one + wait) * 5 + compose + next_one + lost + late + compose,
        b"\x00\x01" + run + compose + run + lost + run + compose + late + compose,
        b"\x80\x00" + run + jump + next_one * 3 + wait + compose + bytes((Kind.WAIT, 255, 255)) + run,
    ]
