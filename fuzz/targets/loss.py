"""Whatever is lost, late or doubled, repaired or not: pictures are handed on whole and in order, each right
after the one that it refers to, and once the network is well again so is the stream. What is told of arrivals
is true, and silence ends the session."""

from enum import IntEnum
from itertools import cycle

from tests.network.virtual import Network, Path, is_media
from tests.peers.whip_client import picture, sound

from fuzz.publisher import (
    assert_bounded,
    assert_told_truly,
    connect,
    read_publisher,
    settle,
    small_buffers,
)
from fuzz.script import Script
from whipway.session.events import EndReason
from whipway.session.session import SessionState

MAX_STEPS = 60
MIN_PICTURE_BYTES = 40
MAX_FORWARD = 450
"""Numbers left out at once. Those of a whole script come to less than half of all numbers: after more, SRTP
could not tell how often they came around (RFC 3711, 3.3.1)."""
PICTURE_INTERVAL = 1 / 30
RECOVERY = 4.0
"""Seconds for whatever was missing to be given up."""


class Kind(IntEnum):
    """What may happen on the way."""

    PICTURE = 0
    SOUND = 1
    WAIT = 2
    FATE = 3
    """From now on packets are lost by another pattern, and late by another time."""
    FORWARD = 4
    SERIES = 5
    """Many pictures, of one packet most of them."""


class Owner:
    """Drives a session over a bad network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._sent: list[list[bytes]] = []
        self._checked = 0
        """Pictures handed on that were looked at."""
        self._last = -1
        """Number of the one handed on last."""

    def step(self, script: Script) -> None:
        """Do one thing."""
        network = self.network
        match Kind(script.choose(len(Kind))):
            case Kind.PICTURE:
                self.show(keyframe=script.choose(4) == 0, size=MIN_PICTURE_BYTES + 20 * script.number())
            case Kind.SOUND:
                network.client.send("audio", sound(len(self._sent)), network.now)
                network.run(0.02)
            case Kind.WAIT:
                network.run(script.number() / 128)
            case Kind.FATE:
                pattern = script.number(2)
                bits = cycle([bool(pattern >> bit & 1) for bit in range(16)])
                network.up.drops = lambda data: is_media(data) and next(bits)
                network.up.jitter = script.number() / 2048
                network.up.duplication = script.choose(4) / 4
            case Kind.FORWARD:
                network.client.sources["video"].sequence += script.number(2) % MAX_FORWARD
            case Kind.SERIES:
                for _ in range(script.number() % 64):
                    self.show(keyframe=False, size=MIN_PICTURE_BYTES)
        self.check()

    def show(self, *, keyframe: bool, size: int) -> None:
        """Send the next picture, which refers to the one before it unless it is a key frame."""
        network = self.network
        nals = picture(len(self._sent), keyframe=keyframe, size=size)
        self._sent.append(nals)
        network.client.send_picture(nals, network.now)
        network.run(PICTURE_INTERVAL)

    def check(self) -> None:
        """Look at what was handed on since the last time."""
        settle(self.network)
        pictures = self.network.pictures
        for unit in pictures[self._checked :]:
            index = int.from_bytes(unit.nals[-1][2:6], "big")
            assert unit.nals == self._sent[index]
            assert index > self._last if unit.keyframe else index == self._last + 1
            self._last = index
        self._checked = len(pictures)
        assert_bounded(self.network)

    def recover(self) -> None:
        """Let the network be well again: everything that is sent from now on is handed on."""
        network = self.network
        network.up.drops, network.up.jitter, network.up.duplication = (lambda data: False), 0.0, 0.0
        network.client.check(network.now)
        network.run(RECOVERY)
        if network.session.ended is not None:
            # What was lost was all there was to hear.
            assert network.ended.reason is EndReason.SILENCE
            return
        begin = len(self._sent)
        for index in range(begin, begin + 4):
            self.show(keyframe=index == begin, size=2500)
        network.run(RECOVERY / 2)
        self.check()
        assert self._last == len(self._sent) - 1

    def fall_silent(self) -> None:
        """Send nothing any more."""
        network = self.network
        network.up.drops = lambda data: True
        network.run(6.0)
        assert network.session.ended is not None
        assert network.session.ended.reason is EndReason.SILENCE


def target(data: bytes) -> bool:
    script = Script(data)
    with small_buffers():
        owner = Owner(connect(read_publisher(script), Path()))
        # SRTP learns from the first packet where the numbers begin.
        owner.show(keyframe=True, size=MIN_PICTURE_BYTES)
        steps = 0
        while script and steps < MAX_STEPS and owner.network.session.state is SessionState.LIVE:
            owner.step(script)
            steps += 1
        is_live = owner.network.session.state is SessionState.LIVE
        if is_live:
            owner.recover()
            owner.fall_silent()
        assert_told_truly(owner.network)
    return is_live


def seeds() -> list[bytes]:
    keyframe, large, small = bytes((Kind.PICTURE, 0, 200)), bytes((Kind.PICTURE, 1, 200)), bytes((0, 1, 20))
    series, wait, audio = bytes((Kind.SERIES, 60)), bytes((Kind.WAIT, 60)), bytes((Kind.SOUND,))
    one_in_16, half = bytes((Kind.FATE, 0, 0x10, 60, 0)), bytes((Kind.FATE, 0x55, 0x0F, 200, 1))
    well, forward = bytes((Kind.FATE, 0, 0, 0, 0)), bytes((Kind.FORWARD, 0x09, 0))
    return [
        # No repair; RTX with transport-wide feedback; the same packets again with REMB; never answered.
        b"\x00" + keyframe + small + one_in_16 + large * 3 + wait * 5 + keyframe + small,
        b"\x35" + keyframe + one_in_16 + (large + small + audio) * 4 + half + large * 3 + well + keyframe,
        b"\x1a" + keyframe + half + series + well + wait + keyframe + small + forward + large * 2,
        b"\x47" + one_in_16 + keyframe + series + forward + small * 2 + keyframe + half + series,
    ]
