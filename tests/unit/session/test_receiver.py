"""Which track a packet belongs to, one SSRC at a time, and the client's RTCP."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers import x264
from tests.peers.h264 import packetize
from tests.peers.whip_client import picture, sound
from tests.unit.session.cameras import GROUP, PICTURES, pictures

from whipway.failures import DropReason, ParseError
from whipway.media.unit import AccessUnit
from whipway.protocol.rtcp.extended import DelayReport, LastReceiverReport
from whipway.protocol.rtcp.packets import Goodbye, ReceiverReport, SenderReport, seconds_to_ntp
from whipway.protocol.rtp.nack import REORDER_WAIT
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, serialize_packet
from whipway.protocol.rtp.retransmission import wrap_packet
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.receiver import SWITCH_INTERVAL, Receiver

AUDIO_PT, VIDEO_PT = 111, 102
RTX_PT, RTX_VIDEO = 103, 0xC
AUDIO, VIDEO = 0xA, 0xB
OURS = 0xFEED
MID_ID, RID_ID, REPAIRED_RID_ID = 3, 4, 6
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


class TestShortWay:
    """What would be taken for something else, if only a part of the header was looked at."""

    @staticmethod
    def receive(packet: Packet, padding: int = 0) -> Receiver:
        receiver = Receiver(
            [replace(describe("video", (VIDEO,)), transport_cc_extension_id=TRANSPORT_CC_ID)], 1
        )
        receiver.receive_rtp(serialize_packet(packet._replace(sequence_number=1)), 0.0)
        receiver.receive_rtp(serialize_packet(packet._replace(sequence_number=2), padding), 0.0)
        return receiver

    def test_padding(self):
        element = bytes((TRANSPORT_CC_ID << 4 | 1, 0, 9))
        for profile, extension in ((0, b""), (ONE_BYTE_PROFILE, element)):
            packet = Packet(VIDEO_PT, False, 0, 0, VIDEO, bytes(20), extension, profile)
            assert self.receive(packet, padding=200).tracks[0].bytes == 40

    def test_what_comes_as_it_should(self):
        element = bytes((TRANSPORT_CC_ID << 4 | 1, 0, 9))
        receiver = self.receive(Packet(VIDEO_PT, False, 0, 0, VIDEO, bytes(20), element, ONE_BYTE_PROFILE))
        [feedback] = receiver.arrivals.compose(OURS, VIDEO)
        assert (feedback.base_sequence, receiver.tracks[0].bytes) == (9, 40)

    def test_a_payload_that_looks_like_the_number(self):
        payload = bytes((TRANSPORT_CC_ID << 4 | 1, 0, 9)) + bytes(20)
        receiver = self.receive(Packet(VIDEO_PT, False, 0, 0, VIDEO, payload, b"", ONE_BYTE_PROFILE))
        assert not receiver.arrivals.pending


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


SMALL, LARGE = (64, 48), (96, 64)
FRAME = 0.04


class Sender:
    """Real pictures of one size on one SSRC; `names` are in the header extensions of its first packets."""

    def __init__(self, ssrc: int, names: dict[int, str], size: tuple[int, int] = SMALL) -> None:
        self.ssrc = ssrc
        self.names = names
        self.size = size
        self.index = 0
        self.sequence = 65_500
        self.rtx_sequence = 1

    def packets(self, now: float) -> Iterator[Packet]:
        """The packets of the next picture."""
        nals = pictures(*self.size)[self.index % PICTURES]
        self.index += 1
        payloads = packetize(nals, 400)
        for number, payload in enumerate(payloads):
            extension = b"".join(
                bytes((id << 4 | len(name) - 1,)) + name.encode() for id, name in self.names.items()
            )
            yield Packet(
                payload_type=VIDEO_PT,
                marker=number == len(payloads) - 1,
                sequence_number=self.sequence & 0xFFFF,
                timestamp=round(now * 90_000) & 0xFFFFFFFF,
                ssrc=self.ssrc,
                payload=payload,
                extension=extension,
                profile=ONE_BYTE_PROFILE if extension else 0,
            )
            self.sequence += 1

    def send(self, receiver: Receiver, now: float) -> list[AccessUnit]:
        """Send the next picture: what leaves the session."""
        return [
            unit
            for packet in self.packets(now)
            for unit in receiver.receive_rtp(serialize_packet(packet), now)
            if isinstance(unit, AccessUnit)
        ]


def repeat(packet: Packet, ssrc: int, names: dict[int, str]) -> bytes:
    """A packet as it is sent once more on the SSRC of retransmissions."""
    extension = b"".join(bytes((id << 4 | len(name) - 1,)) + name.encode() for id, name in names.items())
    again = wrap_packet(packet, RTX_PT, ssrc, 1)
    return serialize_packet(again._replace(extension=extension, profile=ONE_BYTE_PROFILE if names else 0))


def describe_input(mid: str, rid: str | None = None) -> TrackDescription:
    return replace(
        describe("video", (), mid=mid),
        rid=rid,
        rid_extension_id=RID_ID,
        repaired_rid_extension_id=REPAIRED_RID_ID,
        rtx={RTX_PT: VIDEO_PT},
        nack=True,
    )


def two_inputs() -> Receiver:
    """Sound, a camera ("1"), a screen ("2")."""
    return Receiver([describe("audio", (AUDIO,)), describe_input("1"), describe_input("2")], OURS)


def simulcast() -> Receiver:
    """A screen, and a camera in two layers."""
    return Receiver([describe_input("1"), describe_input("2", "h"), describe_input("2", "l")], OURS)


def ssrcs(receiver: Receiver) -> list[int | None]:
    return [track.ssrc for track in receiver.tracks]


class TestInputs:
    def test_only_what_is_on_air_leaves_and_all_sound(self):
        receiver = two_inputs()
        camera, screen = Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)
        for index in range(4):
            now = 1.0 + index * FRAME
            assert len(receiver.receive_rtp(audio(index + 1), now)) == 1
            assert len(camera.send(receiver, now)) == 1
            assert screen.send(receiver, now) == []
        assert [track.units for track in receiver.tracks] == [4, 4, 4]
        assert receiver.inputs.on_air is receiver.tracks[1]

    def test_a_switch_decodes(self):
        receiver = two_inputs()
        camera, screen = Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)
        aired: list[AccessUnit] = []
        for index in range(3 * GROUP):
            now = 1.0 + index * FRAME
            aired += camera.send(receiver, now) + screen.send(receiver, now)
            if index == GROUP:
                receiver.inputs.select_input("2", now)
        assert [unit.is_cut for unit in aired] == [False] * 9 + [True] + [False] * 3
        decoded = x264.decode(unit.nals for unit in aired)
        assert decoded.errors == []
        assert decoded.sizes == [SMALL] * 9 + [LARGE] * 4

    def test_announced_ssrcs_are_enough(self):
        receiver = Receiver(
            [replace(describe_input(str(ssrc)), ssrcs=(ssrc,), mid_extension_id=None) for ssrc in (1, 2)],
            OURS,
        )
        Sender(2, {}).send(receiver, 1.0)
        Sender(1, {}).send(receiver, 1.0)
        assert [track.units for track in receiver.tracks] == [1, 1]

    def test_the_name_is_known_by_the_first_packets_only(self):
        receiver = two_inputs()
        screen = Sender(2, {MID_ID: "2"})
        first = next(screen.packets(1.0))
        receiver.receive_rtp(serialize_packet(first), 1.0)
        screen.names = {}
        screen.send(receiver, 1.0)
        assert ssrcs(receiver) == [AUDIO, None, 2]

    def test_without_a_name_nothing_is_guessed(self):
        receiver = two_inputs()
        [*data] = map(serialize_packet, Sender(2, {}).packets(1.0))
        assert refuses(receiver, data[0]) is DropReason.RTP_UNKNOWN_TRACK

    def test_another_ssrc_of_one_while_the_other_is_on_air(self):
        receiver = two_inputs()
        camera, screen = Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)
        aired: list[AccessUnit] = []
        for index in range(5 * GROUP):
            now = 1.0 + index * FRAME
            aired += camera.send(receiver, now)
            if index == 6:
                assert not receiver.receive_rtcp(Goodbye((2,)).serialize(), now)
                screen = Sender(3, {MID_ID: "2"}, LARGE)
            aired += screen.send(receiver, now)
            if index == 2 * GROUP:
                receiver.inputs.select_input("2", now)
        assert ssrcs(receiver) == [AUDIO, 1, 3]
        assert receiver.inputs.on_air is receiver.tracks[2]
        # Its first IDR after the choice: it began with one at 6.
        assert [unit.is_cut for unit in aired].index(True) == 11
        assert x264.decode(unit.nals for unit in aired).errors == []

    def test_another_ssrc_of_what_is_on_air(self):
        receiver = two_inputs()
        camera, screen = Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)
        aired = camera.send(receiver, 1.0) + screen.send(receiver, 1.0)
        aired += Sender(5, {MID_ID: "1"}).send(receiver, 1.0 + SWITCH_INTERVAL)
        assert [unit.is_cut for unit in aired] == [False, False]
        assert ssrcs(receiver) == [AUDIO, 5, 2]

    def test_late_pictures_are_held_back_off_air(self):
        receiver = two_inputs()
        late = []
        for sender in (Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)):
            sender.send(receiver, 1.0)
            sender.sequence += 1  # A packet that is lost.
            sender.index = GROUP
            late += sender.send(receiver, 1.1)
        assert late == []
        due = receiver.deadline()
        assert due is not None
        [unit] = receiver.handle_timeout(due + 1.0)
        assert isinstance(unit, AccessUnit)
        assert unit.nals == pictures(*SMALL)[GROUP]


class TestLayersOfAnInput:
    def test_each_layer_is_a_track(self):
        receiver = simulcast()
        for ssrc, rid in ((7, "l"), (8, "h")):
            layer = Sender(ssrc, {MID_ID: "2", RID_ID: rid})
            layer.send(receiver, 1.0)
            # Heard, it is not named any more.
            layer.names = {}
            layer.send(receiver, 1.0 + FRAME)
        assert ssrcs(receiver) == [None, 8, 7]
        assert [track.units for track in receiver.tracks] == [0, 2, 2]

    @pytest.mark.parametrize(
        "names",
        [
            {MID_ID: "2"},
            {MID_ID: "2", RID_ID: "x"},
            {MID_ID: "2", RID_ID: "hh"},
            {MID_ID: "2", RID_ID: "H"},
            {MID_ID: "3", RID_ID: "h"},
            {RID_ID: "\0"},
            {},
        ],
    )
    def test_what_names_none_is_not_used(self, names):
        receiver = simulcast()
        [*data] = map(serialize_packet, Sender(2, names).packets(1.0))
        assert refuses(receiver, data[0]) is DropReason.RTP_UNKNOWN_TRACK
        assert ssrcs(receiver) == [None, None, None]

    def test_one_ssrc_at_a_time(self):
        receiver = simulcast()
        Sender(7, {MID_ID: "2", RID_ID: "l"}).send(receiver, 1.0)
        [*data] = map(serialize_packet, Sender(9, {MID_ID: "2", RID_ID: "l"}).packets(1.5))
        assert refuses(receiver, data[0], 1.5) is DropReason.RTP_UNKNOWN_TRACK
        receiver.receive_rtp(data[0], 1.0 + SWITCH_INTERVAL)
        assert ssrcs(receiver) == [None, None, 9]

    @given(st.binary(max_size=24), st.sampled_from((ONE_BYTE_PROFILE, 0x1000)))
    def test_any_names(self, block, profile):
        receiver = simulcast()
        for payload_type in (VIDEO_PT, RTX_PT):
            packet = Packet(payload_type, False, 1, 0, 9, b"\x65\x88\x80", block, profile)
            try:
                assert receiver.receive_rtp(serialize_packet(packet), 1.0) == []
            except ParseError as error:
                assert error.reason is DropReason.RTP_UNKNOWN_TRACK
        assert ssrcs(receiver).count(None) >= 2


class TestRepairsOfInputs:
    def lose(self, receiver: Receiver, sender: Sender) -> Packet:
        """Send a picture without its first packet, which is asked for."""
        sender.send(receiver, 1.0)
        lost, *rest = [*sender.packets(1.1), *sender.packets(1.2)]
        for packet in rest:
            receiver.receive_rtp(serialize_packet(packet), 1.2)
        asked = [number & 0xFFFF for track in receiver.tracks for number in track.missing.due(1.2, 10)]
        assert asked == [lost.sequence_number]
        return lost

    @pytest.mark.parametrize("names", [{MID_ID: "2", REPAIRED_RID_ID: "l"}, {REPAIRED_RID_ID: "l"}])
    def test_by_the_layer_that_is_repaired(self, names):
        receiver = simulcast()
        Sender(8, {MID_ID: "2", RID_ID: "h"}).send(receiver, 1.0)
        lost = self.lose(receiver, Sender(7, {MID_ID: "2", RID_ID: "l"}))
        receiver.receive_rtp(repeat(lost, 77, names), 1.3)
        assert [track.repaired for track in receiver.tracks] == [0, 0, 1]

    def test_named_once(self):
        receiver = simulcast()
        sender = Sender(7, {MID_ID: "2", RID_ID: "l"})
        lost = self.lose(receiver, sender)
        assert refuses(receiver, repeat(lost, 77, {}), 1.3) is DropReason.RTP_UNKNOWN_TRACK
        # What probes the path names it as well.
        probe = Packet(RTX_PT, False, 1, 0, 77, b"", bytes((REPAIRED_RID_ID << 4,)) + b"l", ONE_BYTE_PROFILE)
        assert refuses(receiver, serialize_packet(probe, padding=100), 1.3) is DropReason.RTP_EMPTY
        receiver.receive_rtp(repeat(lost, 77, {}), 1.3)
        assert [track.repaired for track in receiver.tracks] == [0, 0, 1]

    def test_another_source_has_other_repairs(self):
        receiver = simulcast()
        lost = self.lose(receiver, Sender(7, {MID_ID: "2", RID_ID: "l"}))
        receiver.receive_rtp(repeat(lost, 77, {REPAIRED_RID_ID: "l"}), 1.3)
        Sender(9, {MID_ID: "2", RID_ID: "l"}).send(receiver, 1.3 + SWITCH_INTERVAL)
        assert refuses(receiver, repeat(lost, 77, {}), 2.5) is DropReason.RTP_UNKNOWN_TRACK

    def test_one_source_of_repairs_at_a_time(self):
        receiver = simulcast()
        lost = self.lose(receiver, Sender(7, {MID_ID: "2", RID_ID: "l"}))
        for ssrc in (77, 78):
            receiver.receive_rtp(repeat(lost, ssrc, {REPAIRED_RID_ID: "l"}), 1.3)
        assert refuses(receiver, repeat(lost, 77, {}), 1.3) is DropReason.RTP_UNKNOWN_TRACK
        assert len(receiver.receive_rtp(repeat(lost, 78, {}), 1.3)) == 0

    def test_of_inputs_without_layers(self):
        receiver = two_inputs()
        lost = self.lose(receiver, Sender(2, {MID_ID: "2"}))
        receiver.inputs.select_input("2", 1.3)
        receiver.receive_rtp(repeat(lost, 77, {MID_ID: "2"}), 1.3)
        assert [track.repaired for track in receiver.tracks] == [0, 0, 1]

    def test_by_the_groups_of_the_offer(self):
        inputs = [
            replace(describe_input(mid), ssrcs=(ssrc, rtx), repair_ssrcs={rtx: ssrc})
            for mid, ssrc, rtx in (("1", 1, 11), ("2", 2, 22))
        ]
        receiver = Receiver(inputs, OURS)
        Sender(1, {}).send(receiver, 1.0)
        lost = self.lose(receiver, Sender(2, {}))
        receiver.receive_rtp(repeat(lost, 22, {}), 1.3)
        assert [track.repaired for track in receiver.tracks] == [0, 1]

    def test_a_followed_source_is_none_of_repairs(self):
        receiver = simulcast()
        Sender(8, {MID_ID: "2", RID_ID: "h"}).send(receiver, 1.0)
        sender = Sender(7, {MID_ID: "2", RID_ID: "l"})
        lost = self.lose(receiver, sender)
        receiver.receive_rtp(repeat(lost, 8, {REPAIRED_RID_ID: "l"}), 1.3)
        receiver.receive_rtcp(Goodbye((8,)).serialize(), 1.3)
        Sender(9, {MID_ID: "2", RID_ID: "h"}).send(receiver, 1.3)
        # It may still come back as a source of media.
        Sender(8, {MID_ID: "2", RID_ID: "h"}).send(receiver, 1.5 + SWITCH_INTERVAL)
        assert ssrcs(receiver) == [None, 8, 7]


class TestGoodbyesOfInputs:
    def test_of_one_while_the_others_send(self):
        receiver = two_inputs()
        receiver.receive_rtp(audio(1), 1.0)
        camera, screen = Sender(1, {MID_ID: "1"}), Sender(2, {MID_ID: "2"}, LARGE)
        camera.send(receiver, 1.0)
        screen.send(receiver, 1.0)
        assert not receiver.receive_rtcp(Goodbye((1,)).serialize(), 1.0)
        assert not receiver.receive_rtcp(Goodbye((AUDIO,)).serialize(), 1.0)
        # What is off air counts as well: it may go on air.
        assert screen.send(receiver, 1.1) == []
        assert receiver.receive_rtcp(Goodbye((2,)).serialize(), 1.2)

    def test_inputs_that_never_sent_are_not_waited_for(self):
        receiver = two_inputs()
        Sender(2, {MID_ID: "2"}).send(receiver, 1.0)
        assert receiver.receive_rtcp(Goodbye((2,)).serialize(), 1.0)


class TestMediaTime:
    def test_nothing_came(self):
        assert two_inputs().media_us(5.0) == 0
        assert Receiver([], OURS).media_us(5.0) == 0

    def test_it_goes_on_without_pictures(self):
        receiver = two_inputs()
        camera = Sender(1, {MID_ID: "1"})
        for index in range(10):
            [unit] = camera.send(receiver, 10.0 + index * FRAME)
            assert receiver.media_us(10.0 + index * FRAME) == pytest.approx(unit.time_us, abs=1)
        assert receiver.media_us(15.0) == pytest.approx(5_000_000, abs=1)

    def test_it_is_where_the_next_picture_comes(self):
        receiver = two_inputs()
        camera = Sender(1, {MID_ID: "1"})
        for index in range(60):
            camera.send(receiver, 10.0 + index * FRAME)
            receiver.receive_rtp(audio(2 * index), 10.0 + index * FRAME)
            receiver.receive_rtp(audio(2 * index + 1), 10.02 + index * FRAME)
        camera.index = 0
        expected = receiver.media_us(20.0)
        # The camera goes on counting where it stopped, which is not where the time is.
        [unit] = [
            unit
            for packet in camera.packets(12.4)
            for unit in receiver.receive_rtp(serialize_packet(packet), 20.0)
        ]
        assert unit.time_us == pytest.approx(expected, abs=50_000)

    def test_pictures_that_are_moved_by_reports(self):
        receiver = two_inputs()
        camera = Sender(1, {MID_ID: "1"})
        receiver.receive_rtp(audio(0), 10.0)
        camera.send(receiver, 10.0)
        ntp = seconds_to_ntp(3_900_000_000.0)
        # The picture was taken 100 ms before the sound that came with it.
        for ssrc, timestamp in ((AUDIO, 0), (1, 10 * 90_000 + 9000)):
            receiver.receive_rtcp(SenderReport(ssrc, ntp, timestamp, 1, 1).serialize(), 10.0)
        for index in range(1, 100):
            [unit] = camera.send(receiver, 10.0 + index * FRAME)
        assert receiver.tracks[1].clock.correction_us < -50_000
        assert receiver.media_us(10.0 + 99 * FRAME) == pytest.approx(unit.time_us, abs=1)

    def test_of_sound_alone(self):
        receiver = Receiver([describe("audio", (AUDIO,))], OURS)
        receiver.receive_rtp(audio(1), 10.0)
        assert receiver.media_us(11.0) == 1_000_000
        assert receiver.inputs.on_air is None


def test_the_silence_that_makes_a_mute():
    receiver = Receiver([describe_input("1")], OURS, video_silence=0.5)
    Sender(1, {}).send(receiver, 1.0)
    assert not receiver.inputs.is_muted(1.49)
    assert receiver.inputs.is_muted(1.5)
