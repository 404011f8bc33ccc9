"""What the client is asked to send: estimates, caps, inputs off air; and what is made of the answer."""

from typing import Any

import pytest
from tests.unit.session.cameras import Camera, describe

from whipway.protocol.rtcp.packets import parse_compound
from whipway.protocol.rtcp.remb import INITIAL_BITRATE, BitrateEstimate
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.bitrate_feedback import (
    CORRECTION_DELAY,
    CORRECTION_INTERVAL,
    MAX_RISE,
    MIN_TRIM,
    RESERVE,
    SOUND_DECAY,
    SOUND_HEADERS,
    UNLIMITED,
    USUAL_SOUND,
    VIDEO_SHARE,
    BitrateFeedback,
)
from whipway.session.rates import Rates
from whipway.session.receiver import Receiver
from whipway.session.track import Track
from whipway.session.video_input import OFF_AIR_BITRATE

OURS = 0xFEED
SMALL, LARGE = (48, 40), (96, 64)


def video(mid: str = "1", rid: str | None = None, **fields: Any) -> TrackDescription:
    return describe(mid, rid, **{"remb": True, "transport_cc_extension_id": 5, **fields})


def sound() -> TrackDescription:
    return describe("0", kind="audio", clock_rate=48_000, payload_types=(111,), transport_cc_extension_id=5)


class Wire:
    """One session's feedback. Tracks have the SSRCs 1, 2 …; what they send is set as bits a second."""

    def __init__(self, *descriptions: TrackDescription, known: bool = True) -> None:
        self.receiver = Receiver(descriptions, OURS)
        self.tracks = self.receiver.tracks
        self.inputs = self.receiver.inputs
        self.rates = Rates(self.tracks)
        self.feedback = BitrateFeedback(self.receiver, self.rates)
        self.now = 100.0
        self.bitrates: dict[Track, float] = dict.fromkeys(self.tracks, 0.0)
        if known:
            for ssrc, track in enumerate(self.tracks, 1):
                track.ssrc = ssrc

    def report(self) -> list[BitrateEstimate]:
        """Let a second pass; what goes out then."""
        self.now += 1.0
        for track, bitrate in self.bitrates.items():
            track.bytes += round(bitrate / 8)
        self.rates.sample(self.now)
        return read(self.feedback.report(self.now))

    def reports(self, count: int) -> list[int]:
        """The totals of so many seconds."""
        return [self.report()[-1].bitrate for _ in range(count)]

    def show(self, track: Track, size: tuple[int, int]) -> None:
        """A key frame of this size comes."""
        camera = Camera(size=size)
        camera.track = track  # type: ignore[assignment]
        self.inputs.take(camera.track, camera.send(self.now), self.now)

    def compose(self) -> list[BitrateEstimate]:
        return read(self.feedback.compose())


def read(data: bytes) -> list[BitrateEstimate]:
    packets = parse_compound(data, feedback=True) if data else []
    assert all(isinstance(packet, BitrateEstimate) for packet in packets)
    return packets  # type: ignore[return-value]


def about(bitrate: float) -> Any:
    """A REMB has 18 significant bits."""
    return pytest.approx(bitrate, rel=1e-4)


BESIDE = RESERVE + SOUND_HEADERS + USUAL_SOUND


class TestEstimate:
    def test_who_speaks_transport_wide_feedback_needs_none(self):
        wire = Wire(video())
        assert wire.feedback.is_heard
        assert not wire.feedback.is_due
        assert wire.report() == []

    def test_who_does_not_gets_one_by_loss(self):
        wire = Wire(video(transport_cc_extension_id=None))
        assert wire.report() == [BitrateEstimate(OURS, INITIAL_BITRATE, (1,))]
        assert wire.report()[0].bitrate > INITIAL_BITRATE
        for _ in range(8):
            wire.tracks[0].loss = 0.5
            estimates = wire.report()
        assert estimates[0].bitrate < INITIAL_BITRATE / 4

    def test_nobody_is_there_yet(self):
        wire = Wire(video(transport_cc_extension_id=None), known=False)
        assert wire.report() == []

    def test_who_did_not_agree_gets_nothing(self):
        wire = Wire(video(remb=False, transport_cc_extension_id=None), video("2", remb=False))
        wire.feedback.video_cap = 500_000
        assert not wire.feedback.is_heard
        assert not wire.feedback.is_due
        assert wire.report() == []

    def test_the_lower_of_cap_and_estimate(self):
        wire = Wire(video(transport_cc_extension_id=None), sound())
        wire.feedback.video_cap = 500_000
        # Without transport-wide feedback libwebrtc sets nothing aside.
        assert wire.report() == [BitrateEstimate(OURS, about(500_000 / VIDEO_SHARE), (1, 2))]
        wire.feedback.video_cap = 8_000_000
        assert INITIAL_BITRATE < wire.report()[0].bitrate < 8_000_000


class TestCap:
    @pytest.mark.parametrize("cap", [300_000, 800_000, 1_500_000])
    def test_there_is_room_for_what_goes_beside_it(self, cap):
        wire = Wire(video(), sound())
        wire.feedback.video_cap = cap
        assert wire.report() == [BitrateEstimate(OURS, about(cap / VIDEO_SHARE + BESIDE), (1, 2))]

    def test_without_sound(self):
        wire = Wire(video())
        wire.feedback.video_cap = 800_000
        assert wire.reports(1) == [about(800_000 / VIDEO_SHARE + RESERVE)]

    def test_the_loudest_sound_is_remembered_for_a_while(self):
        wire = Wire(video(), sound())
        wire.feedback.video_cap = 800_000
        wire.bitrates[wire.tracks[1]] = 128_000
        loud = 800_000 / VIDEO_SHARE + RESERVE + SOUND_HEADERS + 128_000
        assert wire.reports(3)[-1] == about(loud)
        wire.bitrates[wire.tracks[1]] = 8_000
        assert wire.reports(3)[-1] == about(loud - 128_000 * (1 - SOUND_DECAY**3))
        for _ in range(60):
            wire.rates.sample(wire.now)
            wire.feedback.report(wire.now)
        assert wire.compose()[-1].bitrate == about(800_000 / VIDEO_SHARE + BESIDE)

    def test_a_change_is_told_at_once_and_only_once(self):
        wire = Wire(video())
        wire.feedback.video_cap = 800_000
        assert wire.feedback.is_due
        assert [each.bitrate for each in wire.compose()] == [about(800_000 / VIDEO_SHARE + RESERVE)]
        assert not wire.feedback.is_due
        # A mute changes nothing, but with a cap there may be another layer.
        wire.inputs.changes += 1
        assert wire.feedback.is_due
        wire.compose()
        assert not wire.feedback.is_due

    def test_it_is_lifted_for_good(self):
        wire = Wire(video())
        wire.feedback.video_cap = 800_000
        wire.compose()
        wire.feedback.video_cap = None
        assert wire.feedback.is_due
        assert [each.bitrate for each in wire.compose()] == [about(UNLIMITED)]
        assert wire.reports(3) == [about(UNLIMITED)] * 3

    def test_before_anybody_sends(self):
        wire = Wire(video(), known=False)
        wire.feedback.video_cap = 800_000
        assert wire.report() == []
        assert not wire.feedback.is_due


class TestOffAir:
    def test_each_input_off_air_gets_little_and_the_last_word_is_for_all(self):
        wire = Wire(sound(), video("1"), video("2", "h"), video("2", "l"), video("3"))
        assert wire.report() == [
            BitrateEstimate(OURS, OFF_AIR_BITRATE, (3, 4)),
            BitrateEstimate(OURS, OFF_AIR_BITRATE, (5,)),
            BitrateEstimate(OURS, about(UNLIMITED), (1, 2, 3, 4, 5)),
        ]

    def test_who_is_wanted_may_send(self):
        wire = Wire(video("1"), video("2"), video("3"))
        wire.report()
        assert not wire.feedback.is_due
        wire.inputs.select_input("2", wire.now)
        assert wire.feedback.is_due
        assert [each.ssrcs for each in wire.compose()] == [(3,), (1, 2, 3)]
        wire.show(wire.tracks[1], SMALL)
        assert wire.inputs.on_air is wire.tracks[1]
        assert [each.ssrcs for each in wire.compose()] == [(1,), (3,), (1, 2, 3)]

    def test_an_input_that_was_never_heard(self):
        wire = Wire(video("1"), video("2"))
        wire.tracks[1].ssrc = None
        assert [each.ssrcs for each in wire.report()] == [(1,)]

    @pytest.mark.parametrize(("sent", "counted"), [(150_000, 150_000), (5_000_000, 800_000)])
    def test_what_it_sends_goes_beside_the_cap(self, sent, counted):
        wire = Wire(video("1"), video("2"))
        wire.feedback.video_cap = 800_000
        wire.bitrates[wire.tracks[1]] = sent
        assert wire.reports(3)[-1] == about((800_000 + counted) / VIDEO_SHARE + RESERVE)


class TestLayers:
    """Of one input: the sender serves the smaller ones first, whatever it may send."""

    def make(self) -> Wire:
        wire = Wire(video(rid="l"), video(rid="h"))
        wire.feedback.video_cap = 600_000
        wire.bitrates = dict(zip(wire.tracks, (150_000.0, 450_000.0), strict=True))
        return wire

    def test_until_their_sizes_are_known_all_count(self):
        wire = self.make()
        assert wire.inputs.on_air is wire.tracks[0]
        assert wire.reports(3)[-1] == about((600_000 + 450_000) / VIDEO_SHARE + RESERVE)

    def test_smaller_ones_go_beside_and_larger_ones_do_not(self):
        wire = self.make()
        wire.show(wire.tracks[0], SMALL)
        wire.show(wire.tracks[1], LARGE)
        assert wire.inputs.on_air is wire.tracks[0]
        assert wire.reports(3)[-1] == about(600_000 / VIDEO_SHARE + RESERVE)
        wire.inputs.select_layer("h")
        assert [each.bitrate for each in wire.compose()] == [
            about((600_000 + 150_000) / VIDEO_SHARE + RESERVE)
        ]


class TestTrim:
    CAP = 800_000

    def make(self, sent: float) -> Wire:
        wire = Wire(video())
        wire.feedback.video_cap = self.CAP
        wire.bitrates[wire.tracks[0]] = sent
        return wire

    def trim(self, wire: Wire) -> float:
        """What is asked for, by what the cap alone would ask for."""
        return (wire.compose()[-1].bitrate - RESERVE) * VIDEO_SHARE / self.CAP

    def test_who_sends_too_much_is_asked_for_less(self):
        wire = self.make(1.2 * self.CAP)
        wire.reports(round(CORRECTION_DELAY))
        assert self.trim(wire) == about(1.0)
        wire.reports(1)
        assert self.trim(wire) == about(1 / 1.2)
        # It follows.
        wire.bitrates[wire.tracks[0]] = self.CAP
        wire.reports(round(2 * CORRECTION_INTERVAL))
        assert 0.75 < self.trim(wire) < 0.85

    def test_by_half_at_most(self):
        wire = self.make(5 * self.CAP)
        wire.reports(20)
        assert self.trim(wire) == about(MIN_TRIM)

    @pytest.mark.parametrize("sent", [0.0, 0.1 * 800_000])
    def test_who_sends_little_may_send_more_again_by_and_by(self, sent):
        wire = self.make(1.2 * self.CAP)
        wire.reports(round(CORRECTION_DELAY) + 1)
        wire.bitrates[wire.tracks[0]] = sent
        wire.reports(round(CORRECTION_INTERVAL))
        assert self.trim(wire) == about(MAX_RISE / 1.2)
        wire.reports(30)
        assert self.trim(wire) == about(1.0)

    def test_a_new_cap_is_given_time(self):
        wire = self.make(1.2 * self.CAP)
        for cap in range(self.CAP, self.CAP + 20):
            wire.feedback.video_cap = cap
            wire.reports(3)
        assert self.trim(wire) == about(1.0)

    def test_no_cap_no_correction(self):
        wire = self.make(1.2 * self.CAP)
        wire.reports(1)
        wire.feedback.video_cap = None
        assert wire.reports(10) == [about(UNLIMITED)] * 10
        wire.feedback.video_cap = self.CAP
        assert self.trim(wire) == about(1.0)
