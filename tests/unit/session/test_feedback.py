"""Reports, requests for packets and for key frames, congestion feedback: when, and in legal compounds."""

from dataclasses import replace

import pytest
from tests.peers.whip_client import PPS, SPS, sound

from whipway.protocol.rtcp.extended import ReferenceTimeReport
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtcp.packets import (
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SourceDescription,
    parse_compound,
    seconds_to_ntp,
)
from whipway.protocol.rtcp.remb import BitrateEstimate
from whipway.protocol.rtcp.transport import GenericNack
from whipway.protocol.rtcp.twcc import TransportFeedback
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.feedback import (
    ARRIVAL_INTERVAL,
    FIRST_REQUEST_INTERVAL,
    MAX_DATAGRAM_BYTES,
    MAX_KEYFRAME_AGE,
    MAX_NUMBERS,
    MAX_REQUEST_INTERVAL,
    REPORT_INTERVAL,
    START_INTERVAL,
    Feedback,
    KeyframeRequest,
)
from whipway.session.keyframes import MAX_SILENCE
from whipway.session.receiver import Receiver
from whipway.session.track import Track, VideoTrack

OURS, AUDIO, VIDEO = 0xFEED, 0xA, 0xB
NAME = SourceDescription(((OURS, "name"),))


def describe(kind: str, *ssrcs: int) -> TrackDescription:
    return TrackDescription(
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


def make_video(*ssrcs: int) -> VideoTrack:
    [track] = Receiver([describe("video", *ssrcs)], OURS).tracks
    assert isinstance(track, VideoTrack)
    return track


def make_request(track: VideoTrack) -> KeyframeRequest:
    return KeyframeRequest(track, RoundTrip())


def make(*descriptions: TrackDescription) -> tuple[Feedback, Receiver]:
    receiver = Receiver(descriptions, OURS)
    return Feedback("name", receiver), receiver


def compose(feedback: Feedback, now: float) -> list[RtcpPacket]:
    """What is sent at this moment, in one compound packet."""
    [compound] = feedback.compose(now)
    return parse_compound(compound, feedback=True)


def reference(now: float) -> ReferenceTimeReport:
    return ReferenceTimeReport(OURS, seconds_to_ntp(now))


def begin(track: Track, now: float = 0.0) -> None:
    """The first packet, of a picture that nothing can be done with."""
    track.receive(Packet(100, True, 0xFFFF, 1, VIDEO, b"\x41\x9a\x01"), now)


def go_on(track: Track, now: float) -> None:
    """Something comes, though nothing that is of use."""
    track.receive(Packet(100, True, 0xFFFF, 1, VIDEO, b""), now)


def send_keyframe(track: Track, number: int = 0, now: float = 0.0) -> None:
    for index, nal in enumerate((SPS, PPS, b"\x65\x88\x01")):
        track.receive(Packet(100, index == 2, number + index, number * 1000, VIDEO, nal), now)


def lose(track: Track, number: int, now: float) -> None:
    """A packet behind a gap, and the end of patience with the gap."""
    track.receive(Packet(100, True, number + 1, number * 1000, VIDEO, b"\x41\x9a\x01"), now)
    track.handle_timeout(now + 1.0)


class TestKeyframeRequest:
    def test_nobody_is_there_to_be_asked(self):
        request = make_request(make_video())
        assert request.due_at() is None
        assert not request.take(0.0)

    def test_who_sends_nothing_yet_is_asked_once(self):
        track = make_video(VIDEO)
        request = make_request(track)
        assert request.take(5.0)
        assert request.due_at() is None
        assert not request.take(60.0)
        begin(track, now=60.0)
        # What comes first is a key frame as a rule: no need to ask before it can be whole.
        assert request.due_at() == 60.0 + START_INTERVAL
        assert request.take(60.0 + START_INTERVAL)
        go_on(track, 61.0)
        assert request.due_at() == pytest.approx(60.0 + START_INTERVAL + 2 * FIRST_REQUEST_INTERVAL)

    def test_a_key_frame_that_comes_damaged_is_an_answer_too(self):
        track = make_video(VIDEO)
        request = make_request(track)
        begin(track, now=0.8)
        for now in (1.0, 1.5, 2.5):
            assert request.take(now)
            go_on(track, now)
        for number, payload in ((0, b"\x7c\x85\x88"), (3, b"\x7c\x45\x01")):
            track.receive(Packet(100, False, number, 1000, VIDEO, payload), 2.6)
        track.handle_timeout(2.9)
        assert (track.keyframes, track.needs_keyframe) == (0, True)
        # Asked for again as soon as for the first time.
        assert request.due_at() == 2.5 + FIRST_REQUEST_INTERVAL
        assert request.take(3.0)
        go_on(track, 3.0)
        assert request.due_at() == 3.0 + FIRST_REQUEST_INTERVAL

    def test_at_once_then_less_and_less_often(self):
        track = make_video(VIDEO)
        request = make_request(track)
        begin(track)
        asked = []
        now = 100.0
        while len(asked) < 7:
            go_on(track, now)
            if request.take(now):
                asked.append(now)
                assert not request.take(now)
                due = request.due_at()
                assert due is None or due <= now + MAX_SILENCE
            now += 0.25
        gaps = [later - earlier for earlier, later in zip(asked, asked[1:], strict=False)]
        assert gaps == [FIRST_REQUEST_INTERVAL, 1.0, 2.0, MAX_REQUEST_INTERVAL, MAX_REQUEST_INTERVAL, 4.0]
        assert request.count == 7
        assert request.habit.ignores_requests

    def test_a_key_frame_is_an_answer(self):
        track = make_video(VIDEO)
        request = make_request(track)
        assert request.take(0.0)
        send_keyframe(track)
        for now in (0.8, 1.6, 2.4):
            go_on(track, now)
            assert not request.take(now)
        assert request.due_at() == MAX_KEYFRAME_AGE

    def test_an_old_key_frame_is_no_answer_for_ever(self):
        track = make_video(VIDEO)
        request = make_request(track)
        send_keyframe(track, now=10.0)
        assert request.due_at() is None
        go_on(track, 12.0)
        assert not request.take(10.0 + MAX_KEYFRAME_AGE - 0.1)
        assert request.take(10.0 + MAX_KEYFRAME_AGE)
        assert request.due_at() == 10.0 + MAX_KEYFRAME_AGE + FIRST_REQUEST_INTERVAL

    def test_the_back_off_begins_anew_after_an_answer(self):
        track = make_video(VIDEO)
        request = make_request(track)
        for now in (0.0, 0.5, 1.5, 3.5):
            go_on(track, now - 0.5)
            assert request.take(now)
        # The answer and the next loss, and nobody looked in between.
        send_keyframe(track, now=3.6)
        lose(track, 3, now=3.6)
        assert request.due_at() == 4.0
        assert not request.take(3.9)
        assert request.take(4.0)
        assert request.due_at() == 4.5

    def test_who_pauses_is_asked_when_packets_come_again(self):
        track = make_video(VIDEO)
        request = make_request(track)
        send_keyframe(track, now=10.0)
        go_on(track, 12.0)
        assert request.take(12.5)
        assert request.due_at() == 13.0
        assert request.take(13.0)
        # 14.0 would be next, but nothing came since 12.0.
        assert request.due_at() is None
        assert not request.take(14.0)
        assert not request.take(70.0)
        go_on(track, 70.0)
        # A camera that is switched on again begins with a key frame as a rule.
        assert request.due_at() == 70.0 + START_INTERVAL
        assert request.take(70.0 + START_INTERVAL)


class TestReports:
    def test_a_report_every_second(self):
        feedback, receiver = make(describe("audio", AUDIO))
        assert feedback.deadline() == 0.0
        assert compose(feedback, 50.0) == [ReceiverReport(OURS), NAME, reference(50.0)]
        assert feedback.deadline() == 50.0 + REPORT_INTERVAL
        assert feedback.compose(50.9) == []
        receiver.tracks[0].receive(Packet(100, False, 5, 0, AUDIO, sound(5)), 50.95)
        assert compose(feedback, 51.0) == [
            ReceiverReport(OURS, (ReportBlock(AUDIO, 0, 0, 5, 0),)),
            NAME,
            reference(51.0),
        ]
        assert feedback.requests == {}

    def test_only_sources_that_were_heard_are_reported(self):
        feedback, _ = make(describe("audio", AUDIO), describe("video"))
        assert compose(feedback, 0.0)[0] == ReceiverReport(OURS)

    def test_the_loss_is_measured_as_often(self):
        feedback, receiver = make(describe("audio", AUDIO))
        for number in (1, 3):
            receiver.tracks[0].receive(Packet(100, False, number, 0, AUDIO, sound(5)), 0.0)
        feedback.compose(1.0)
        assert receiver.tracks[0].loss > 0

    def test_a_request_rides_on_a_report_or_goes_alone(self):
        feedback, receiver = make(describe("video", VIDEO))
        begin(receiver.tracks[0], now=9.8)
        request = PictureLossIndication(OURS, VIDEO)
        block = ReportBlock(VIDEO, 0, 0, 0xFFFF, 0)
        # RFC 3550, 6.1: a compound packet begins with a report and has a CNAME.
        assert compose(feedback, 10.0) == [ReceiverReport(OURS, (block,)), NAME, reference(10.0), request]
        assert compose(feedback, 10.5) == [ReceiverReport(OURS), NAME, request]
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL

    @pytest.mark.parametrize(("reported_at", "deadline"), [(10.0, 10.5), (10.4, 10.5)])
    def test_the_deadline_is_the_earliest(self, reported_at, deadline):
        feedback, receiver = make(describe("audio", AUDIO), describe("video", VIDEO))
        begin(receiver.tracks[1], now=9.8)
        assert feedback.deadline() <= 10.0
        feedback.compose(10.0)
        feedback.compose(reported_at)
        assert feedback.deadline() == deadline
        send_keyframe(receiver.tracks[1], now=10.4)
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL


class TestMissingPackets:
    def lose(self, receiver: Receiver, *numbers: int) -> None:
        for number in numbers:
            receiver.tracks[0].receive(Packet(100, False, number & 0xFFFF, 0, AUDIO, sound(5)), 0.0)

    def test_they_are_asked_for_at_once(self):
        feedback, receiver = make(replace(describe("audio", AUDIO), nack=True))
        feedback.compose(0.0)
        self.lose(receiver, 0xFFFE, 0x10002)
        assert feedback.deadline() == 0.0
        assert compose(feedback, 0.0) == [
            ReceiverReport(OURS),
            NAME,
            GenericNack(OURS, AUDIO, (0xFFFF, 0, 1)),
        ]
        again = feedback.deadline()
        assert 0.0 < again < REPORT_INTERVAL
        assert compose(feedback, again)[-1] == GenericNack(OURS, AUDIO, (0xFFFF, 0, 1))

    def test_they_are_asked_for_by_themselves_where_that_was_agreed(self):
        feedback, receiver = make(
            replace(describe("audio", AUDIO), nack=True, reduced_size=True), describe("video", VIDEO)
        )
        self.lose(receiver, 1, 3)
        nack, report = feedback.compose(0.0)
        assert parse_compound(nack, feedback=True) == [GenericNack(OURS, AUDIO, (2,))]
        assert isinstance(parse_compound(report, feedback=True)[0], ReceiverReport)
        again = feedback.deadline()
        assert again < REPORT_INTERVAL
        assert feedback.compose(again) == [nack]

    def test_many_go_in_packets_that_fit(self):
        feedback, receiver = make(replace(describe("audio", AUDIO), nack=True))
        feedback.compose(0.0)
        self.lose(receiver, *(number for number in range(2000) if number % 8 or number == 0))
        asked = []
        while feedback.deadline() <= 0.0:
            [*_, nack] = compose(feedback, 0.0)
            assert isinstance(nack, GenericNack)
            assert len(nack.lost) <= MAX_NUMBERS
            asked += nack.lost
        assert asked == list(range(8, 2000, 8))
        assert len(asked) > MAX_NUMBERS

    def test_nobody_repeats_them(self):
        feedback, receiver = make(describe("audio", AUDIO))
        feedback.compose(0.0)
        self.lose(receiver, 1, 3)
        assert feedback.deadline() == REPORT_INTERVAL


class TestArrivals:
    def make(self) -> tuple[Feedback, Receiver]:
        return make(replace(describe("video"), transport_cc_extension_id=5), describe("audio", AUDIO))

    def test_at_most_ten_times_a_second_and_only_if_something_came(self):
        feedback, receiver = self.make()
        feedback.compose(10.0)
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL
        receiver.arrivals.received(7, 10.0)
        assert feedback.deadline() <= 10.0
        [*_, arrivals] = compose(feedback, 10.0)
        assert isinstance(arrivals, TransportFeedback)
        assert (arrivals.base_sequence, arrivals.media_ssrc, len(arrivals.arrivals)) == (7, AUDIO, 1)
        receiver.arrivals.received(8, 10.01)
        assert feedback.deadline() == 10.0 + ARRIVAL_INTERVAL
        assert feedback.compose(10.05) == []
        [*_, arrivals] = compose(feedback, 10.0 + ARRIVAL_INTERVAL)
        assert isinstance(arrivals, TransportFeedback)
        assert arrivals.base_sequence == 8

    def test_before_any_source_is_known(self):
        feedback, receiver = make(replace(describe("video"), transport_cc_extension_id=5))
        receiver.arrivals.received(7, 10.0)
        [*_, arrivals] = compose(feedback, 10.0)
        assert isinstance(arrivals, TransportFeedback)
        assert arrivals.media_ssrc == 0

    def test_more_than_one_datagram_holds(self):
        feedback, receiver = self.make()
        for number in range(3000):
            # So far apart in time that each takes two octets.
            receiver.arrivals.received(number, 10.0 + 0.1 * number)
        compounds = feedback.compose(400.0)
        assert len(compounds) > 3
        assert all(len(compound) <= MAX_DATAGRAM_BYTES for compound in compounds)
        told = 0
        for compound in compounds:
            [report, name, *rest] = parse_compound(compound, feedback=True)
            assert isinstance(report, ReceiverReport)
            assert name == NAME
            told += sum(len(each.arrivals) for each in rest if isinstance(each, TransportFeedback))
        assert told == 3000


class TestEstimate:
    def test_once_a_second_to_those_who_want_it(self):
        feedback, receiver = make(replace(describe("video"), remb=True), describe("audio", AUDIO))
        assert not any(isinstance(packet, BitrateEstimate) for packet in compose(feedback, 0.0))
        send_keyframe(receiver.tracks[0])
        receiver.tracks[0].ssrc = VIDEO
        bitrates = []
        for now in range(1, 4):
            [estimate] = [each for each in compose(feedback, now) if isinstance(each, BitrateEstimate)]
            assert (estimate.sender_ssrc, estimate.ssrcs) == (OURS, (VIDEO,))
            bitrates.append(estimate.bitrate)
        assert bitrates == sorted(bitrates)
        assert bitrates[0] > 1_000_000


class TestCap:
    def make(self) -> tuple[Feedback, Receiver]:
        video = replace(describe("video", VIDEO), remb=True, transport_cc_extension_id=5)
        return make(video, replace(video, mid="other", ssrcs=(0xC,)), describe("audio", AUDIO))

    def estimates(self, packets: list[RtcpPacket]) -> list[BitrateEstimate]:
        return [packet for packet in packets if isinstance(packet, BitrateEstimate)]

    def test_it_is_told_at_once_and_with_each_report(self):
        feedback, _ = self.make()
        assert feedback.is_heard
        assert feedback.video_cap is None
        feedback.compose(10.0)
        feedback.compose(10.1)
        feedback.video_cap = 800_000
        assert feedback.video_cap == 800_000
        assert feedback.deadline() <= 10.2
        at_once = self.estimates(compose(feedback, 10.2))
        # The inputs off air, and then everything: senders that know no SSRCs keep to the last.
        assert [each.ssrcs for each in at_once] == [(0xC,), (VIDEO, 0xC, AUDIO)]
        assert feedback.deadline() > 10.2
        assert self.estimates(compose(feedback, 10.0 + REPORT_INTERVAL)) == at_once

    def test_they_stay_together_beside_much_else(self):
        feedback, receiver = self.make()
        for number in range(3000):
            receiver.arrivals.received(number, 10.0 + 0.1 * number)
        feedback.video_cap = 800_000
        first, *others = [parse_compound(each, feedback=True) for each in feedback.compose(400.0)]
        assert len(self.estimates(first)) == 2
        assert others
        assert not any(self.estimates(each) for each in others)

    def test_who_did_not_agree_is_told_nothing(self):
        feedback, _ = make(describe("video", VIDEO))
        feedback.compose(10.0)
        feedback.video_cap = 800_000
        assert not feedback.is_heard
        assert feedback.compose(10.1) == []
        assert not self.estimates(compose(feedback, 10.0 + REPORT_INTERVAL))


class TestMeasures:
    def test_rates_and_jitter_come_with_the_reports(self):
        feedback, receiver = make(describe("audio", AUDIO))
        [track] = receiver.tracks
        feedback.compose(10.0)
        assert feedback.jitters == {}
        for number in range(50):
            at = 10.0 + number * 0.02 + 0.004 * (number % 2)
            track.receive(Packet(100, False, number, number * 960, AUDIO, sound(5)), at)
        feedback.compose(11.0)
        assert feedback.rates.bitrate(track) == len(sound(5)) * 8 * 50
        assert 0.003 < feedback.jitters[track] < 0.004


class TestOffAir:
    """Two inputs that both send; the first one is on air."""

    def make(self) -> tuple[Feedback, Receiver, VideoTrack, VideoTrack]:
        feedback, receiver = make(describe("video", VIDEO), replace(describe("video", 0xC), mid="other"))
        one, other = receiver.inputs.tracks
        for track in (one, other):
            send_keyframe(track, now=10.0)
        assert receiver.inputs.on_air is one
        return feedback, receiver, one, other

    def asked(self, feedback: Feedback, now: float) -> list[int]:
        """Whom a key frame is asked of; then there is nothing left to say."""
        packets = [
            each for datagram in feedback.compose(now) for each in parse_compound(datagram, feedback=True)
        ]
        assert feedback.deadline() > now
        return [each.media_ssrc for each in packets if isinstance(each, PictureLossIndication)]

    def test_no_key_frame_is_asked_for_by_the_clock(self):
        feedback, _, one, other = self.make()
        for now in (12.0, 13.0):
            for track in (one, other):
                go_on(track, now)
            assert self.asked(feedback, now) == ([VIDEO] if now == 13.0 else [])

    def test_nor_because_of_damage_that_nobody_sees(self):
        feedback, _, one, other = self.make()
        self.asked(feedback, 10.0)
        lose(other, 4, 10.1)
        assert other.needs_keyframe
        assert feedback.deadline() == 10.0 + REPORT_INTERVAL
        assert self.asked(feedback, 10.2) == []
        lose(one, 4, 10.3)
        assert self.asked(feedback, 10.4) == [VIDEO]

    def test_who_is_wanted_is_asked_at_once(self):
        feedback, receiver, _, other = self.make()
        for now in (10.5, 11.0, 11.5):
            go_on(other, now)
            assert self.asked(feedback, now) == []
        receiver.inputs.select_input("other", 11.6)
        assert feedback.deadline() <= 11.6
        assert self.asked(feedback, 11.6) == [0xC]

    def test_who_is_wanted_need_not_wait_as_who_is_on_air(self):
        """A key frame that has just come is of no use to either."""
        feedback, receiver, one, other = self.make()
        assert self.asked(feedback, 10.0) == []
        one.want_keyframe()
        receiver.inputs.select_input("other", 10.1)
        for track in (one, other):
            go_on(track, 10.2)
        assert self.asked(feedback, 10.2) == [0xC]
        go_on(one, 11.0)
        assert VIDEO in self.asked(feedback, 11.0)

    def test_a_thumbnail_is_asked_for_while_somebody_looks(self):
        feedback, receiver, _, other = self.make()
        self.asked(feedback, 10.0)
        go_on(other, 15.0)
        assert self.asked(feedback, 15.5) == []
        receiver.inputs.want_thumbnail("other", 15.5)
        assert feedback.deadline() <= 15.6
        assert self.asked(feedback, 15.6) == [0xC]
        # No answer comes, and nobody looks any more.
        for now in (20.0, 20.5, 21.0, 22.0):
            go_on(other, now)
        assert self.asked(feedback, 22.0) == []

    def test_the_time_off_air_is_no_interval(self):
        feedback, receiver, one, other = self.make()
        for second in range(11, 30):
            for track in (one, other):
                go_on(track, second)
            assert feedback.deadline() <= second
            feedback.compose(second)
        assert feedback.requests[one].habit.age == pytest.approx(18.0)
        assert feedback.requests[other].habit.age == 0.0
        receiver.inputs.select_input("other", 29.0)
        send_keyframe(other, 10, 29.2)
        assert receiver.inputs.on_air is one  # The receiver would hand it the pictures.
        feedback.deadline()
        assert feedback.requests[other].habit.interval < 1.0
