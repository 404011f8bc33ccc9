"""Rates are differences of what the tracks count anyway."""

import pytest
from tests.unit.session.cameras import VIDEO_PT, describe

from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.session.rates import BITRATE_WINDOW, FPS_WINDOW, MAX_SAMPLES, Rates
from whipway.session.track import VideoTrack


class Sender:
    """Sends key frames of 1000 octets and parameter sets of 2, five times a second."""

    def __init__(self) -> None:
        self.track = VideoTrack(describe(), Timeline(), RoundTrip())
        self.now = 100.0
        self._number = 0

    def send(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            for payload in (b"\x67\x42", b"\x68\xce", b"\x65" + bytes(995)):
                marker, timestamp = len(payload) > 2, round(self.now * 90_000)
                packet = Packet(VIDEO_PT, marker, self._number, timestamp, 7, payload)
                self.track.receive(packet, self.now)
                self._number += 1
            self.now += 0.2


def test_nothing_can_be_told_of_one_moment():
    sender = Sender()
    rates = Rates([sender.track])
    assert (rates.bitrate(sender.track), rates.fps(sender.track)) == (0, 0.0)
    sender.send(1)
    rates.sample(101.0)
    assert (rates.bitrate(sender.track), rates.fps(sender.track)) == (0, 0.0)


def test_what_there_is_of_a_window():
    sender = Sender()
    rates = Rates([sender.track])
    sender.send(1)
    rates.sample(101.0)
    sender.send(1)
    rates.sample(102.0)
    assert (rates.bitrate(sender.track), rates.fps(sender.track)) == (40_000, 5.0)


@pytest.mark.parametrize("late", [0.0, 0.01])
def test_each_has_its_window(late):
    sender = Sender()
    rates = Rates([sender.track])
    for second in range(10):
        rates.sample(100.0 + second + late * (second % 2))
        if second < 6:
            sender.send(1)
    # Three silent seconds, up to the sample at 9 s.
    assert rates.bitrate(sender.track, BITRATE_WINDOW) == 0
    assert rates.bitrate(sender.track, 4.0) == pytest.approx(10_000, rel=0.01)
    assert rates.fps(sender.track, FPS_WINDOW) == pytest.approx(5 * 2 / 5, abs=0.1)


def test_a_window_is_not_longer_than_what_is_remembered():
    sender = Sender()
    rates = Rates([sender.track])
    for second in range(20):
        rates.sample(100.0 + second)
    sender.send(1)
    rates.sample(120.0)
    assert rates.bitrate(sender.track, 1000.0) == round(40_000 / (MAX_SAMPLES - 1))


def test_each_track_has_its_own():
    one, other = Sender(), Sender()
    rates = Rates([one.track, other.track])
    rates.sample(100.0)
    other.send(1)
    rates.sample(101.0)
    assert (rates.bitrate(one.track), rates.bitrate(other.track)) == (0, 40_000)
