"""Which track a packet belongs to, one SSRC at a time, and the client's RTCP."""

from dataclasses import replace

import pytest
from tests.peers.whip_client import picture, sound

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.extended import DelayReport, LastReceiverReport
from whipway.protocol.rtcp.packets import Goodbye, ReceiverReport, SenderReport, seconds_to_ntp
from whipway.protocol.rtp.nack import REORDER_WAIT
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, serialize_packet
from whipway.protocol.rtp.retransmission import wrap_packet
from whipway.protocol.sdp.answer import TrackDescription
from whipway.session.receiver import SWITCH_INTERVAL, Receiver

AUDIO_PT, VIDEO_PT = 111, 102
RTX_PT, RTX_VIDEO = 103, 0xC
AUDIO, VIDEO = 0xA, 0xB
OURS = 0xFEED
MID_ID = 3
TRANSPORT_CC_ID = 5


def describe(
    kind: str, ssrcs: tuple[int, ...], *, mid: str | None = None, mid_id: int | None = MID_ID
) -> TrackDescription:
    return TrackDescription(
        mid=mid or kind,
        kind=kind,
        payload_types=(AUDIO_PT, 112) if kind == "audio" else (VIDEO_PT,),
        clock_rate=48_000 if kind == "audio" else 90_000,
        ssrcs=ssrcs,
        rtx={},
        mid_extension_id=mid_id,
        sprop_parameter_sets=(),
        stereo=False,
    )


def make_receiver(*, announced: bool = True, mid_id: int | None = MID_ID) -> Receiver:
    return Receiver(
        [
            describe("audio", (AUDIO,) if announced else (), mid_id=mid_id),
            describe("video", (VIDEO,) if announced else (), mid_id=mid_id),
        ],
        OURS,
    )


def audio(number: int, ssrc: int = AUDIO, *, mid: str = "", payload_type: int = AUDIO_PT) -> bytes:
    extension = bytes((MID_ID << 4 | len(mid) - 1,)) + mid.encode() if mid else b""
    profile = ONE_BYTE_PROFILE if mid else 0
    return serialize_packet(
        Packet(payload_type, False, number, number * 960, ssrc, sound(number), extension, profile)
    )


def video(number: int, ssrc: int = VIDEO) -> bytes:
    [*_, nal] = picture(number, keyframe=True, size=100)
    return serialize_packet(Packet(VIDEO_PT, True, number, number * 3000, ssrc, nal))


def refuses(receiver: Receiver, data: bytes, now: float = 0.0) -> DropReason:
    before = [(track.ssrc, track.packets) for track in receiver.tracks]
    with pytest.raises(ParseError) as caught:
        receiver.receive_rtp(data, now)
    assert [(track.ssrc, track.packets) for track in receiver.tracks] == before
    return caught.value.reason


class TestBinding:
    def test_announced_ssrcs(self):
        receiver = make_receiver()
        assert len(receiver.receive_rtp(audio(1), 0.0)) == 1
        receiver.receive_rtp(video(1), 0.0)
        assert [track.packets for track in receiver.tracks] == [1, 1]

    @pytest.mark.parametrize("mid_id", [MID_ID, None])
    def test_by_payload_type(self, mid_id):
        receiver = make_receiver(announced=False, mid_id=mid_id)
        receiver.receive_rtp(video(1, ssrc=7), 0.0)
        receiver.receive_rtp(audio(1, ssrc=8, payload_type=112), 0.0)
        assert [track.ssrc for track in receiver.tracks] == [8, 7]

    def test_by_mid_before_payload_type(self):
        one, other = describe("audio", (), mid="one"), describe("audio", (), mid="other")
        receiver = Receiver([one, other], OURS)
        receiver.receive_rtp(audio(1, ssrc=7, mid="other"), 0.0)
        # Bound once, it needs no MID any more (RFC 9143, 14: until the receiver knows).
        receiver.receive_rtp(audio(2, ssrc=7), 0.0)
        assert [track.packets for track in receiver.tracks] == [0, 2]

    def test_an_unknown_mid_leaves_it_to_the_payload_type(self):
        receiver = make_receiver(announced=False)
        receiver.receive_rtp(audio(1, ssrc=7, mid="what"), 0.0)
        assert receiver.tracks[0].packets == 1

    def test_a_media_description_without_mid(self):
        description = describe("audio", ())
        receiver = Receiver([replace(description, mid=None)], OURS)
        receiver.receive_rtp(audio(1, ssrc=7, mid="audio"), 0.0)
        assert receiver.tracks[0].ssrc == 7

    def test_a_payload_type_that_the_named_track_does_not_have(self):
        receiver = make_receiver(announced=False)
        assert refuses(receiver, audio(1, ssrc=7, mid="video")) is DropReason.RTP_UNKNOWN_TRACK
        assert len(receiver.receive_rtp(audio(1, ssrc=7, mid="audio"), 0.0)) == 1

    def test_a_payload_type_that_was_not_accepted(self):
        receiver = make_receiver()
        assert refuses(receiver, audio(1, payload_type=50)) is DropReason.RTP_UNKNOWN_TRACK
        assert refuses(receiver, audio(1, ssrc=9, payload_type=50)) is DropReason.RTP_UNKNOWN_TRACK
        # The SSRC of audio with a payload type of video.
        assert refuses(receiver, audio(1, payload_type=VIDEO_PT)) is DropReason.RTP_UNKNOWN_TRACK

    def test_not_rtp(self):
        assert refuses(make_receiver(), b"\x80\x6f") is DropReason.RTP_MALFORMED


class TestSwitching:
    def test_an_announcement_that_was_wrong(self):
        receiver = make_receiver()
        assert len(receiver.receive_rtp(audio(1, ssrc=7), 0.0)) == 1
        assert receiver.tracks[0].ssrc == 7

    def test_a_second_ssrc_beside_the_first_is_not_used(self):
        receiver = make_receiver(announced=False)
        for number in range(1, 200):
            now = number * 0.02
            assert len(receiver.receive_rtp(audio(number, ssrc=7), now)) == 1
            assert refuses(receiver, audio(number, ssrc=8), now) is DropReason.RTP_UNKNOWN_TRACK
        assert receiver.tracks[0].lost == 0

    def test_the_second_takes_over_when_the_first_is_silent(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 10.0)
        refuses(receiver, audio(500, ssrc=7), 10.0 + SWITCH_INTERVAL - 0.01)
        assert len(receiver.receive_rtp(audio(501, ssrc=7), 10.0 + SWITCH_INTERVAL)) == 1
        # What is still on its way of the first comes too late.
        assert refuses(receiver, audio(2), 10.1 + SWITCH_INTERVAL) is DropReason.RTP_UNKNOWN_TRACK
        # It may come back.
        assert len(receiver.receive_rtp(audio(3), 12.0 + SWITCH_INTERVAL)) == 1

    def test_the_second_takes_over_when_the_first_said_goodbye(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 0.0)
        receiver.receive_rtp(video(1), 0.0)
        assert not receiver.receive_rtcp(Goodbye((AUDIO,)).serialize(), 0.0)
        assert len(receiver.receive_rtp(audio(500, ssrc=7), 0.0)) == 1
        # The goodbye was of the SSRC, not of the track.
        assert not receiver.receive_rtcp(Goodbye((VIDEO,)).serialize(), 0.0)
        assert receiver.receive_rtcp(Goodbye((7,)).serialize(), 0.0)


class TestGoodbyesThatWereNone:
    def test_a_track_that_goes_on_is_not_gone(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 0.0)
        receiver.receive_rtp(video(1), 0.0)
        assert not receiver.receive_rtcp(Goodbye((AUDIO,)).serialize(), 0.0)
        receiver.receive_rtp(video(2), 0.1)
        receiver.receive_rtp(audio(2), 5.0)
        assert not receiver.receive_rtcp(Goodbye((VIDEO,)).serialize(), 6.0)
        assert receiver.receive_rtcp(Goodbye((AUDIO,)).serialize(), 6.0)

    def test_another_ssrc_beside_it_is_not_followed_then(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 0.0)
        receiver.receive_rtp(video(1), 0.0)
        receiver.receive_rtcp(Goodbye((AUDIO,)).serialize(), 0.0)
        receiver.receive_rtp(audio(2), 0.0)
        assert refuses(receiver, audio(500, ssrc=7), 0.1) is DropReason.RTP_UNKNOWN_TRACK


class TestRtcp:
    def test_sender_reports_go_to_their_track(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 0.0)
        ntp = seconds_to_ntp(3_900_000_000.0)
        reports = [SenderReport(ssrc, ntp, 960, 1, 1).serialize() for ssrc in (AUDIO, 99)]
        assert not receiver.receive_rtcp(b"".join(reports), 0.0)
        reception = receiver.tracks[0].statistics.report(1.0)
        assert reception is not None
        assert reception.delay_since_last_sender_report == 65_536

    def test_goodbye_of_every_track_that_sent(self):
        receiver = make_receiver()
        assert not receiver.receive_rtcp(Goodbye((AUDIO, VIDEO)).serialize(), 0.0)
        receiver.receive_rtp(audio(1), 0.0)
        assert receiver.receive_rtcp(ReceiverReport(1).serialize() + Goodbye((AUDIO,)).serialize(), 0.0)

    def test_goodbye_one_by_one(self):
        receiver = make_receiver()
        receiver.receive_rtp(audio(1), 0.0)
        receiver.receive_rtp(video(1), 0.0)
        assert not receiver.receive_rtcp(Goodbye((AUDIO, 99)).serialize(), 0.0)
        assert receiver.receive_rtcp(Goodbye((VIDEO,)).serialize(), 0.0)

    def test_not_rtcp(self):
        with pytest.raises(ParseError) as caught:
            make_receiver().receive_rtcp(b"\x80\xc8\x00\x09", 0.0)
        assert caught.value.reason is DropReason.RTCP_MALFORMED


class TestRoundTrip:
    def report(self, now: float, delay: float, ssrc: int = OURS, last: int | None = None) -> bytes:
        if last is None:
            last = seconds_to_ntp(now) >> 16 & 0xFFFFFFFF
        return DelayReport(VIDEO, (LastReceiverReport(ssrc, last, round(delay * 65536)),)).serialize()

    def test_time_since_our_report_less_the_time_it_lay_there(self):
        receiver = make_receiver()
        receiver.receive_rtcp(self.report(70_000.0, 0.05), 70_000.13)
        assert receiver.round_trip.seconds == pytest.approx(0.08, abs=0.0001)

    @pytest.mark.parametrize(
        "changes", [{"ssrc": 9}, {"last": 0}, {"delay": 5.0}], ids=["another's", "no report", "nonsense"]
    )
    def test_what_says_nothing_of_us(self, changes):
        receiver = make_receiver()
        receiver.receive_rtcp(self.report(100.0, **{"delay": 0.01, **changes}), 100.1)
        assert not receiver.round_trip.is_measured


class TestArrivals:
    def make(self) -> Receiver:
        plain = describe("audio", (AUDIO,))
        return Receiver(
            [plain, replace(describe("video", ()), transport_cc_extension_id=TRANSPORT_CC_ID)], OURS
        )

    def numbered(self, number: int, length: int = 2) -> bytes:
        extension = bytes((TRANSPORT_CC_ID << 4 | length - 1,)) + number.to_bytes(length, "big")
        packet = Packet(AUDIO_PT, False, 1, 960, AUDIO, sound(1), extension, ONE_BYTE_PROFILE)
        return serialize_packet(packet)

    def test_every_numbered_packet_is_noted_whatever_becomes_of_it(self):
        receiver = self.make()
        receiver.receive_rtp(self.numbered(0x1234), 1.0)
        receiver.receive_rtp(self.numbered(0x1235), 1.0)  # a duplicate
        unknown = self.numbered(0x1237)
        refuses(receiver, unknown[:1] + b"\x07" + unknown[2:], 1.0)
        [feedback] = receiver.arrivals.compose(OURS, AUDIO)
        assert feedback.base_sequence == 0x1234
        assert [arrival is not None for arrival in feedback.arrivals] == [True, True, False, True]

    def test_packets_without_a_number_are_not(self):
        receiver = self.make()
        receiver.receive_rtp(audio(1), 1.0)
        receiver.receive_rtp(audio(2, mid="audio"), 1.0)
        receiver.receive_rtp(self.numbered(1, length=3), 1.0)
        assert not receiver.arrivals.pending

    def test_nobody_wants_to_know(self):
        receiver = make_receiver()
        receiver.receive_rtp(self.numbered(1), 1.0)
        assert not receiver.arrivals.pending


class TestRetransmission:
    def make(self, *, announced: bool = True) -> Receiver:
        description = replace(
            describe("video", (VIDEO, RTX_VIDEO) if announced else ()),
            rtx={RTX_PT: VIDEO_PT},
            repair_ssrcs={RTX_VIDEO: VIDEO} if announced else {},
            nack=True,
        )
        return Receiver([description], OURS)

    def repair(self, number: int, ssrc: int = RTX_VIDEO) -> bytes:
        [*_, nal] = picture(number, keyframe=True, size=100)
        packet = Packet(VIDEO_PT, True, number, number * 3000, VIDEO, nal)
        return serialize_packet(wrap_packet(packet, RTX_PT, ssrc, 7))

    def lose(self, receiver: Receiver) -> None:
        # What else there may have been before the first one is waited for.
        receiver.receive_rtp(video(1), -1.0)
        receiver.handle_timeout(0.0)
        receiver.receive_rtp(video(3), 0.0)
        assert receiver.tracks[0].missing.due(0.0, 10) == [2]

    @pytest.mark.parametrize("announced", [True, False])
    def test_it_takes_the_place_of_the_lost_packet(self, announced):
        receiver = self.make(announced=announced)
        self.lose(receiver)
        receiver.receive_rtp(self.repair(2), 0.1)
        track = receiver.tracks[0]
        assert (track.repaired, track.lost, track.deadline(), track.ssrc) == (1, 0, None, VIDEO)

    def test_it_is_no_source_to_follow(self):
        receiver = self.make(announced=False)
        assert refuses(receiver, self.repair(1)) is DropReason.RTP_UNKNOWN_TRACK
        assert receiver.tracks[0].ssrc is None

    def test_of_a_source_that_is_not_followed(self):
        receiver = self.make()
        receiver.receive_rtp(video(1, ssrc=9), 0.0)
        receiver.receive_rtp(video(3, ssrc=9), 0.0)
        receiver.tracks[0].missing.due(0.0, 10)
        assert refuses(receiver, self.repair(2)) is DropReason.RTP_UNKNOWN_TRACK

    def test_padding_alone(self):
        receiver = self.make()
        receiver.receive_rtp(video(1), 0.0)
        probe = serialize_packet(Packet(RTX_PT, False, 1, 0, RTX_VIDEO, b""), padding=200)
        assert refuses(receiver, probe) is DropReason.RTP_EMPTY

    def test_no_room_for_its_number(self):
        receiver = self.make()
        receiver.receive_rtp(video(1), 0.0)
        cut = serialize_packet(Packet(RTX_PT, False, 1, 0, RTX_VIDEO, b"\0"))
        assert refuses(receiver, cut) is DropReason.RTP_MALFORMED


def test_the_earliest_deadline_counts():
    receiver = make_receiver()
    assert receiver.deadline() is None
    for data, now in ((audio(1), 1.0), (video(1), 1.0), (video(3), 2.0), (audio(3), 3.0)):
        receiver.receive_rtp(data, now)
    assert receiver.deadline() == 2.0 + REORDER_WAIT
    assert receiver.handle_timeout(2.0 + REORDER_WAIT) == []
    assert receiver.deadline() == 3.0 + REORDER_WAIT
    [frame] = receiver.handle_timeout(3.0 + REORDER_WAIT)
    assert frame.payload == sound(3)
    assert receiver.deadline() is None
