"""Which track a packet belongs to, one SSRC at a time, and the client's RTCP."""

import pytest
from tests.peers.whip_client import picture, sound

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.packets import Goodbye, ReceiverReport, SenderReport, seconds_to_ntp
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, serialize_packet
from whipway.protocol.rtp.reorder import MAX_WAIT
from whipway.protocol.sdp.answer import TrackDescription
from whipway.session.receiver import SWITCH_INTERVAL, Receiver

AUDIO_PT, VIDEO_PT = 111, 102
AUDIO, VIDEO = 0xA, 0xB
MID_ID = 3


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
        ]
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
        receiver = Receiver([one, other])
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
        receiver = Receiver([TrackDescription(**{**_fields(description), "mid": None})])
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


def test_the_earliest_deadline_counts():
    receiver = make_receiver()
    assert receiver.deadline() is None
    for data, now in ((audio(1), 1.0), (video(1), 1.0), (video(3), 2.0), (audio(3), 3.0)):
        receiver.receive_rtp(data, now)
    assert receiver.deadline() == 2.0 + MAX_WAIT
    assert receiver.handle_timeout(2.0 + MAX_WAIT) == []
    assert receiver.deadline() == 3.0 + MAX_WAIT
    [frame] = receiver.handle_timeout(3.0 + MAX_WAIT)
    assert frame.payload == sound(3)
    assert receiver.deadline() is None


def _fields(description: TrackDescription) -> dict[str, object]:
    return {name: getattr(description, name) for name in TrackDescription.__slots__}
