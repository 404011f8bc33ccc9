"""The figures of a session, from packets that come as they should, and as they should not."""

from dataclasses import replace

import pytest
from tests.peers.whip_client import sound
from tests.unit.session.cameras import GROUP, Camera, describe

from whipway.protocol.rtp.packet import Packet
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.feedback import Feedback
from whipway.session.receiver import Receiver
from whipway.session.report import MIN_RATIO_TIME, SAMPLE_INTERVAL, WINDOW, QualityReport
from whipway.session.track import Track
from whipway.session.traffic_light import Color, traffic_light

FRAME = 0.1
AUDIO = replace(describe("0"), kind="audio", clock_rate=48_000)
SIZES = ((64, 48), (96, 64))


class Stage:
    """One session: a camera for each video track, and sound if there is some, ten times a second."""

    def __init__(self, *descriptions: TrackDescription) -> None:
        self.receiver = Receiver(descriptions, local_ssrc=1)
        self.feedback = Feedback("name", self.receiver)
        self.report = QualityReport(self.receiver, self.feedback)
        self.cameras = []
        for ssrc, (track, size) in enumerate(zip(self.receiver.inputs.tracks, SIZES, strict=False)):
            track.ssrc = 10 + ssrc
            camera = Camera(size=size)
            camera.track = track
            self.cameras.append(camera)
        self.sound: list[Track] = [
            track for track in self.receiver.tracks if track.description.kind == "audio"
        ]
        for track in self.sound:
            track.ssrc = 5
        self.number = 0
        self.now = self.began_at = 100.0

    def play(self, seconds: float, *, late: float = 0.0, speed: float = 1.0, mute: bool = False) -> None:
        """What is captured now comes `late` seconds later; media time passes at this speed."""
        for _ in range(round(seconds / FRAME)):
            self.step()
            if mute:
                continue
            captured = self.began_at + (self.now - self.began_at) * speed
            for camera in self.cameras:
                units = [
                    unit
                    for packet in camera.packets(captured)
                    for unit in camera.track.receive(packet, self.now + late)
                ]
                self.receiver.inputs.take(camera.track, units, self.now + late)  # type: ignore[arg-type]
            for track in self.sound:
                stamp = round(captured * 48_000) & 0xFFFFFFFF
                track.receive(Packet(102, False, self.number, stamp, 5, sound(5)), self.now + late)
                self.number += 1

    def step(self) -> None:
        """Let the time of one picture pass."""
        self.now += FRAME
        self.report.handle_timeout(self.now)
        if self.feedback.deadline() <= self.now:
            self.feedback.compose(self.now)

    def measured(self, key: str) -> object:
        return self.report.describe(self.now)[key]


def test_nothing_is_known_before_anything_came():
    stage = Stage(AUDIO, describe())
    assert stage.report.describe(100.0) == {
        "video_bitrate": 0,
        "audio_bitrate": 0,
        "fps": 0.0,
        "width": None,
        "height": None,
        "keyframe_interval": 0.0,
        "loss": 0.0,
        "rtt_ms": None,
        "jitter_ms": 0.0,
        "repaired": 0,
        "keyframe_requests": 0,
        "stream_time_ratio": None,
        "max_frame_delay_ms": None,
        "media_silence": None,
    }
    assert traffic_light(stage.report.describe(100.0)).color is Color.GREEN


def test_a_stream_as_it_should_be():
    stage = Stage(AUDIO, describe())
    stage.receiver.round_trip.add(0.05)
    stage.play(8.0)
    measured = stage.report.describe(stage.now)
    assert (measured["width"], measured["height"]) == SIZES[0]
    assert measured["fps"] == pytest.approx(1 / FRAME, abs=0.2)
    assert measured["keyframe_interval"] == pytest.approx(GROUP * FRAME, abs=0.01)
    assert measured["video_bitrate"] == stage.report.on_air_bitrate() > 1000
    assert measured["audio_bitrate"] == stage.report.audio_bitrate() == round(len(sound(5)) * 8 / FRAME)
    assert measured["rtt_ms"] == 50.0
    assert measured["stream_time_ratio"] == pytest.approx(1.0, abs=0.005)
    assert measured["max_frame_delay_ms"] == pytest.approx(0, abs=1)
    assert measured["jitter_ms"] == pytest.approx(0.0, abs=0.1)
    assert measured["media_silence"] == pytest.approx(0.0, abs=FRAME)
    assert measured["keyframe_requests"] == stage.feedback.requests[stage.cameras[0].track].count
    assert traffic_light(measured).color is Color.GREEN


def test_a_sample_every_second():
    stage = Stage(describe())
    assert stage.report.deadline() < 0
    stage.report.handle_timeout(100.0)
    assert stage.report.deadline() == 100.0 + SAMPLE_INTERVAL
    stage.report.handle_timeout(100.5)
    assert stage.report.deadline() == 100.0 + SAMPLE_INTERVAL


def test_what_is_lost_and_repaired():
    stage = Stage(AUDIO, describe())
    stage.receiver.tracks[1].loss, stage.receiver.tracks[0].loss = 0.02, 0.0712345
    assert stage.measured("loss") == 0.0712
    for track in stage.receiver.tracks:
        track.missing.repaired = 4
    assert stage.measured("repaired") == 8


class TestStreamTimeRatio:
    def test_not_before_it_says_something(self):
        stage = Stage(describe())
        stage.play(MIN_RATIO_TIME)
        assert stage.measured("stream_time_ratio") is None
        stage.play(2 * SAMPLE_INTERVAL)
        assert stage.measured("stream_time_ratio") == pytest.approx(1.0, abs=0.005)

    def test_media_that_fall_behind(self):
        stage = Stage(describe())
        stage.play(10.0, speed=0.92)
        assert stage.measured("stream_time_ratio") == pytest.approx(0.92, abs=0.005)

    def test_a_silence_is_no_fault_of_the_stream(self):
        stage = Stage(describe())
        stage.play(5.0)
        stage.play(4.0, mute=True)
        assert stage.measured("stream_time_ratio") == pytest.approx(1.0, abs=0.005)
        stage.play(5.0)
        assert stage.measured("stream_time_ratio") == pytest.approx(1.0, abs=0.02)


class TestFrameDelay:
    def test_between_the_soonest_and_the_latest(self):
        stage = Stage(describe())
        stage.play(4.0)
        stage.play(0.3, late=0.6)
        stage.play(3.0)
        assert stage.measured("max_frame_delay_ms") == pytest.approx(600, abs=20)
        stage.play(WINDOW + 2.0)
        assert stage.measured("max_frame_delay_ms") == pytest.approx(0, abs=20)

    def test_only_of_what_is_on_air(self):
        stage = Stage(describe("1"), describe("2"))
        stage.play(2.0)
        stage.play(0.3, late=0.6)
        assert stage.receiver.inputs.on_air is stage.cameras[0].track
        stage.play(2.0)
        stage.receiver.inputs.select_input("2", stage.now)
        stage.play(2.0)
        assert stage.receiver.inputs.on_air is stage.cameras[1].track
        assert stage.measured("max_frame_delay_ms") == pytest.approx(0, abs=20)
        assert (stage.measured("width"), stage.measured("height")) == SIZES[1]


class TestSilence:
    def test_since_the_session_is_live(self):
        stage = Stage(AUDIO, describe())
        for _ in range(26):
            stage.step()
        assert stage.measured("media_silence") == 2.5
        assert traffic_light(stage.report.describe(stage.now)).color is Color.RED

    def test_one_of_picture_and_sound_is_enough(self):
        stage = Stage(AUDIO, describe())
        stage.cameras.clear()
        stage.play(4.0)
        assert stage.measured("media_silence") == pytest.approx(0.0, abs=0.11)
        stage.play(3.0, mute=True)
        assert stage.measured("media_silence") == pytest.approx(3.0, abs=0.11)


class TestJitter:
    def test_that_of_sound_counts_if_there_is_sound(self):
        stage = Stage(AUDIO, describe())
        stage.play(2.0)
        stage.feedback.jitters = {stage.receiver.tracks[0]: 0.0123, stage.receiver.tracks[1]: 0.05}
        assert stage.measured("jitter_ms") == 12.3

    def test_else_that_of_pictures(self):
        stage = Stage(describe())
        stage.play(2.0)
        stage.play(1.0, late=0.03)
        stage.play(1.2)
        assert 0.0 < stage.measured("jitter_ms") < 30.0  # type: ignore[operator]


def test_sound_alone():
    stage = Stage(AUDIO)
    stage.play(5.0)
    measured = stage.report.describe(stage.now)
    assert measured["video_bitrate"] == 0
    assert measured["audio_bitrate"] > 0
    assert measured["stream_time_ratio"] == pytest.approx(1.0, abs=0.005)
    assert measured["max_frame_delay_ms"] is None
    assert traffic_light(measured).color is Color.GREEN
