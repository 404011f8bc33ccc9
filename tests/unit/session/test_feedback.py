"""Reports once a second, requests for key frames with back-off, each compound packet legal."""

import pytest
from tests.peers.whip_client import PPS, SPS, sound

from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtcp.packets import ReceiverReport, ReportBlock, SourceDescription, parse_compound
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.answer import TrackDescription
from whipway.session.feedback import (
    FIRST_REQUEST_INTERVAL,
    MAX_KEYFRAME_AGE,
    MAX_REQUEST_INTERVAL,
    REPORT_INTERVAL,
    Feedback,
    KeyframeRequest,
)
from whipway.session.track import Track, VideoTrack, make_track

OURS, AUDIO, VIDEO = 0xFEED, 0xA, 0xB


def make_track_of(kind: str, *ssrcs: int) -> Track:
    description = TrackDescription(
        mid=kind,
        kind=kind,
        payload_types=(100,),
        clock_rate=48_000 if kind == "audio" else 90_000,
        ssrcs=ssrcs,
        rtx={},
        mid_extension_id=None,
        sprop_parameter_sets=(),
        stereo=False,
    )
    return make_track(description, Timeline())


def make_video(*ssrcs: int) -> VideoTrack:
    track = make_track_of("video", *ssrcs)
    assert isinstance(track, VideoTrack)
    return track


def send_keyframe(track: Track, number: int = 0, now: float = 0.0) -> None:
    for index, nal in enumerate((SPS, PPS, b"\x65\x88\x01")):
        track.receive(Packet(100, index == 2, number + index, number * 1000, VIDEO, nal), now)


def lose(track: Track, number: int) -> None:
    """A packet behind a gap, and the end of patience with the gap."""
    track.receive(Packet(100, True, number + 1, number * 1000, VIDEO, b"\x41\x9a\x01"), 0.0)
    track.handle_timeout(1.0)


class TestKeyframeRequest:
    def test_nobody_is_there_to_be_asked(self):
        request = KeyframeRequest(make_video())
        assert request.due_at() is None
        assert not request.take(0.0)

    def test_at_once_then_less_and_less_often(self):
        request = KeyframeRequest(make_video(VIDEO))
        asked = []
        now = 100.0
        while len(asked) < 7:
            if request.take(now):
                asked.append(now)
                assert not request.take(now)
                due = request.due_at()
                assert due is not None
            now = due
        gaps = [later - earlier for earlier, later in zip(asked, asked[1:], strict=False)]
        assert gaps == [FIRST_REQUEST_INTERVAL, 1.0, 2.0, MAX_REQUEST_INTERVAL, MAX_REQUEST_INTERVAL, 4.0]
        assert request.count == 7

    def test_a_key_frame_is_an_answer(self):
        track = make_video(VIDEO)
        request = KeyframeRequest(track)
        assert request.take(0.0)
        send_keyframe(track)
        assert request.due_at() == MAX_KEYFRAME_AGE
        assert not request.take(2.4)

    def test_an_old_key_frame_is_no_answer_for_ever(self):
        track = make_video(VIDEO)
        request = KeyframeRequest(track)
        send_keyframe(track, now=10.0)
        assert not request.take(10.0 + MAX_KEYFRAME_AGE - 0.1)
        assert request.take(10.0 + MAX_KEYFRAME_AGE)
        assert request.due_at() == 10.0 + MAX_KEYFRAME_AGE + FIRST_REQUEST_INTERVAL

    def test_the_back_off_begins_anew_after_an_answer(self):
        track = make_video(VIDEO)
        request = KeyframeRequest(track)
        for now in (0.0, 0.5, 1.5, 3.5):
            assert request.take(now)
        assert request.due_at() == 7.5
        # The answer and the next loss, and nobody looked in between.
        send_keyframe(track)
        lose(track, 3)
        assert request.due_at() == 4.0
        assert not request.take(3.9)
        assert request.take(4.0)
        assert request.due_at() == 4.5


class TestFeedback:
    def test_a_report_every_second(self):
        audio = make_track_of("audio", AUDIO)
        feedback = Feedback(OURS, "name", [audio])
        assert feedback.deadline() == 0.0
        packet = feedback.compose(50.0)
        assert packet is not None
        assert parse_compound(packet) == [ReceiverReport(OURS), SourceDescription(((OURS, "name"),))]
        assert feedback.deadline() == 50.0 + REPORT_INTERVAL
        assert feedback.compose(50.9) is None
        audio.receive(Packet(100, False, 5, 0, AUDIO, sound(5)), 50.95)
        packet = feedback.compose(51.0)
        assert packet is not None
        [report, _] = parse_compound(packet)
        assert report == ReceiverReport(OURS, (ReportBlock(AUDIO, 0, 0, 5, 0),))
        assert feedback.requests == {}

    def test_only_sources_that_were_heard_are_reported(self):
        unheard, unknown = make_track_of("audio", AUDIO), make_track_of("video")
        packet = Feedback(OURS, "name", [unheard, unknown]).compose(0.0)
        assert packet is not None
        assert parse_compound(packet)[0] == ReceiverReport(OURS)

    def test_a_request_rides_on_a_report_or_goes_alone(self):
        feedback = Feedback(OURS, "name", [make_video(VIDEO)])
        request, name = PictureLossIndication(OURS, VIDEO), SourceDescription(((OURS, "name"),))
        for now in (10.0, 10.5):
            packet = feedback.compose(now)
            assert packet is not None
            # RFC 3550, 6.1: a compound packet begins with a report and has a CNAME.
            assert parse_compound(packet) == [ReceiverReport(OURS), name, request]
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL

    @pytest.mark.parametrize(("reported_at", "deadline"), [(10.0, 10.5), (10.4, 10.5)])
    def test_the_deadline_is_the_earliest(self, reported_at, deadline):
        video = make_video(VIDEO)
        feedback = Feedback(OURS, "name", [make_track_of("audio", AUDIO), video])
        assert feedback.deadline() <= 10.0
        feedback.compose(10.0)
        feedback.compose(reported_at)
        assert feedback.deadline() == deadline
        send_keyframe(video, now=10.4)
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL
