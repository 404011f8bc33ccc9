"""One track: order, times, losses, and what is handed on of them."""

import pytest
from tests.peers.whip_client import PPS, SPS, picture, sound
from tests.unit.session.cameras import GROUP, Camera, sets_of

from whipway.failures import DropReason
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtcp.packets import SenderReport, seconds_to_ntp
from whipway.protocol.rtp.nack import MAX_MISSING, MAX_WAIT, REORDER_WAIT
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.round_trip import INITIAL_ROUND_TRIP, RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.track import (
    MAX_OUTAGE,
    MIN_PAUSE,
    MIN_START_WAIT,
    OUTAGE_PACKETS,
    START_PACKETS,
    AudioTrack,
    Track,
    VideoTrack,
    make_track,
)

SSRC = 0xCAFE
IDR = bytes((0x65, 0x88, 1, 2, 3))
SLICE = bytes((0x41, 0x9A, 4, 5, 6))


def describe(
    kind: str, ssrcs: tuple[int, ...] = (SSRC,), sprop: tuple[bytes, ...] = (), *, nack: bool = False
) -> TrackDescription:
    return TrackDescription(
        mid=kind,
        kind=kind,
        payload_types=(111,) if kind == "audio" else (102,),
        clock_rate=48_000 if kind == "audio" else 90_000,
        ssrcs=ssrcs,
        rtx={},
        mid_extension_id=None,
        sprop_parameter_sets=sprop,
        stereo=False,
        nack=nack,
    )


def make_audio(**fields) -> Track:
    return make_track(describe("audio", **fields), Timeline(), RoundTrip())


def make_video(**fields) -> VideoTrack:
    track = make_track(describe("video", **fields), Timeline(), RoundTrip())
    assert isinstance(track, VideoTrack)
    return track


def packet(number: int, payload: bytes, timestamp: int = 0, *, marker: bool = False) -> Packet:
    return Packet(0, marker, number & 0xFFFF, timestamp & 0xFFFFFFFF, SSRC, payload)


def audio_packet(number: int, index: int | None = None) -> Packet:
    return packet(number, sound(number if index is None else index), number * 960)


def whole(number: int, *nals: bytes, timestamp: int = 0) -> list[Packet]:
    """An access unit with each NAL unit in a packet of its own."""
    last = len(nals) - 1
    return [packet(number + at, nal, timestamp, marker=at == last) for at, nal in enumerate(nals)]


def feed(track: Track, *packets: Packet, now: float = 0.0) -> list[AccessUnit | AudioFrame]:
    return [unit for each in packets for unit in track.receive(each, now)]


class TestAudio:
    def test_every_packet_is_a_frame(self):
        track = make_audio()
        [first] = track.receive(audio_packet(0xFFFF), 10.0)
        [second] = track.receive(audio_packet(0x10000), 10.03)
        assert first == AudioFrame(0xFFFF * 960, sound(0xFFFF), 0)
        assert second.time_us == 20_000
        assert (track.packets, track.units, track.bytes, track.heard_at) == (2, 2, 170, 10.03)

    def test_order_is_restored(self):
        track = make_audio()
        frames = feed(track, audio_packet(1), audio_packet(4), audio_packet(3))
        assert [frame.payload for frame in frames] == [sound(1)]
        assert track.deadline() == REORDER_WAIT
        assert [frame.payload for frame in feed(track, audio_packet(2))] == [sound(2), sound(3), sound(4)]
        assert track.deadline() is None
        assert track.all_drops() == {}

    def test_a_gap_shows_in_the_times_alone(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(3))
        assert list(track.handle_timeout(REORDER_WAIT - 0.01)) == []
        [frame] = track.handle_timeout(REORDER_WAIT)
        assert (frame.payload, frame.time_us) == (sound(3), 40_000)
        assert track.lost == 1

    def test_duplicates_and_latecomers_are_counted(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(3), audio_packet(3), audio_packet(1))
        assert track.all_drops() == {DropReason.RTP_DUPLICATE: 1, DropReason.RTP_LATE: 1}
        assert track.units == 1

    def test_what_is_not_opus_is_dropped(self):
        track = make_audio()
        frames = feed(track, audio_packet(1), packet(2, b""), packet(3, b"\x03"), audio_packet(4))
        assert [frame.payload for frame in frames] == [sound(1), sound(4)]
        assert track.all_drops() == {DropReason.RTP_EMPTY: 1, DropReason.OPUS_MALFORMED: 1}


class TestVideo:
    def test_an_access_unit_of_several_packets(self):
        track = make_video()
        [unit] = feed(track, *whole(0xFFFF, SPS, PPS, IDR, timestamp=7))
        assert unit == AccessUnit(7, [SPS, PPS, IDR], True, 0)
        [unit] = feed(track, *whole(0x10002, SLICE, timestamp=3007), now=0.04)
        assert unit == AccessUnit(3007, [SLICE], False, 33_333)
        assert (track.packets, track.units) == (4, 2)
        assert (track.keyframes, track.keyframes_begun) == (1, 1)

    def test_padding_is_dropped_and_leaves_no_gap(self):
        track = make_video()
        feed(track, *whole(1, SPS, PPS, IDR))
        units = feed(track, packet(4, b"", 3000), *whole(5, SLICE, timestamp=3000))
        assert [unit.nals for unit in units] == [[SLICE]]
        assert track.all_drops() == {DropReason.RTP_EMPTY: 1}

    def test_nothing_after_a_gap_until_the_next_idr(self):
        track = make_video()
        assert track.needs_keyframe
        feed(track, *whole(1, SPS, PPS, IDR))
        assert not track.needs_keyframe
        assert feed(track, *whole(5, SLICE, timestamp=3000)) == []
        assert not track.needs_keyframe
        assert list(track.handle_timeout(REORDER_WAIT)) == []
        assert track.needs_keyframe
        assert feed(track, *whole(6, SLICE, timestamp=6000)) == []
        [unit] = feed(track, *whole(7, SPS, PPS, IDR, timestamp=9000))
        assert unit.keyframe
        assert not track.needs_keyframe
        assert track.all_drops() == {DropReason.H264_AWAITING_IDR: 2}
        assert track.lost == 1

    def test_broken_payloads_are_counted(self):
        track = make_video()
        feed(
            track,
            *whole(1, SPS, PPS, IDR),
            packet(4, bytes((28, 0x05)), 3000),
            packet(5, bytes((30, 1)), 6000),
        )
        assert track.all_drops() == {DropReason.H264_MALFORMED: 1, DropReason.H264_UNSUPPORTED: 1}

    def test_half_a_picture_is_incomplete(self):
        track = make_video()
        feed(track, *whole(1, SPS, PPS, IDR))
        feed(track, packet(4, SLICE, 3000), *whole(6, SLICE, timestamp=6000))
        track.handle_timeout(REORDER_WAIT)
        assert track.all_drops() == {DropReason.H264_INCOMPLETE: 1, DropReason.H264_AWAITING_IDR: 1}

    @pytest.mark.parametrize("nals", [[IDR], [SPS, IDR], [PPS, IDR]])
    def test_it_does_not_begin_without_parameter_sets(self, nals):
        track = make_video()
        after = 1 + len(nals)
        assert feed(track, *whole(1, *nals), *whole(after, SLICE, timestamp=3000)) == []
        assert track.needs_keyframe
        assert track.keyframes == track.units == 0
        assert track.all_drops() == {DropReason.H264_AWAITING_IDR: 2}
        [unit] = feed(track, *whole(after + 1, SPS, PPS, IDR, timestamp=6000))
        assert unit.nals == [SPS, PPS, IDR]
        assert not track.needs_keyframe

    def test_parameter_sets_of_the_offer_are_enough(self):
        track = make_video(sprop=(SPS, PPS))
        [unit] = feed(track, *whole(1, IDR))
        assert unit.nals == [IDR]
        assert not track.needs_keyframe

    def test_parameter_sets_are_not_asked_for_again(self):
        track = make_video()
        feed(track, *whole(1, SPS, PPS, IDR))
        [unit] = feed(track, *whole(4, IDR, timestamp=3000))
        assert unit.keyframe

    def test_a_picture_has_the_time_of_its_first_packet(self):
        """An IDR picture is sent over tens of milliseconds, and audio comes in between."""
        timeline = Timeline()
        video, audio = (make_track(describe(kind), timeline, RoundTrip()) for kind in ("video", "audio"))
        sps, pps, idr = whole(1, SPS, PPS, IDR)
        feed(video, sps, pps, now=5.0)
        [frame] = feed(audio, audio_packet(1), now=5.02)
        [unit] = feed(video, idr, now=5.04)
        assert (unit.time_us, frame.time_us) == (0, 20_000)


class TestSources:
    def test_the_offer_names_the_ssrc(self):
        assert make_video(ssrcs=(5, 6)).ssrc == 5
        assert make_video(ssrcs=()).ssrc is None

    def test_the_first_source_changes_nothing(self):
        track = make_audio(ssrcs=())
        track.begin(9, 0.0)
        assert track.ssrc == 9
        assert len(feed(track, audio_packet(1), audio_packet(2))) == 2
        assert track.lost == 0

    @pytest.mark.parametrize("start", [4, 20, 40_000])
    def test_another_source_has_its_own_numbers(self, start):
        track = make_audio()
        feed(track, audio_packet(5), audio_packet(7))
        track.handle_timeout(1.0)
        feed(track, audio_packet(5), audio_packet(9), audio_packet(9))
        track.begin(9, 3.0)
        frames = feed(track, audio_packet(start), audio_packet(start + 1), now=3.0)
        assert [frame.payload for frame in frames] == [sound(start), sound(start + 1)]
        assert track.deadline() is None
        assert track.lost == 1
        assert track.all_drops() == {DropReason.RTP_LATE: 1, DropReason.RTP_DUPLICATE: 1}
        reception = track.statistics.report(3.0)
        assert reception is not None
        assert (reception.highest_sequence, reception.cumulative_lost) == (start + 1, 0)

    def test_times_go_on_with_another_source(self):
        track = make_audio()
        [before] = feed(track, audio_packet(5), now=1.0)
        track.begin(9, 3.0)
        [after] = feed(track, packet(1, sound(1), 3_000_000_000), now=3.0)
        assert (before.time_us, after.time_us) == (0, 2_000_000)

    def test_video_of_another_source_begins_with_an_idr(self):
        track = make_video()
        feed(track, *whole(1, SPS, PPS, IDR))
        track.begin(9, 0.0)
        assert track.needs_keyframe
        assert feed(track, *whole(4, SLICE, timestamp=3000)) == []


class TestReports:
    def test_sender_reports_reach_clock_and_statistics(self):
        timeline = Timeline()
        audio, video = (make_track(describe(kind), timeline, RoundTrip()) for kind in ("audio", "video"))
        feed(audio, audio_packet(1))
        feed(video, *whole(1, *picture(1, keyframe=True, size=100)))
        ntp = seconds_to_ntp(3_900_000_000.0)
        audio.sender_report(SenderReport(SSRC, ntp, 960, 1, 1), 0.0)
        video.sender_report(SenderReport(SSRC, ntp, 9000, 1, 1), 0.0)
        feed(video, *whole(4, SLICE, timestamp=90_000), now=1.0)
        # The report says that video is 100 ms early: it began to move.
        assert video.clock.correction_us == -20_000
        assert audio.clock.correction_us == 0
        reception = audio.statistics.report(0.5)
        assert reception is not None
        assert reception.last_sender_report == ntp >> 16 & 0xFFFFFFFF
        assert reception.delay_since_last_sender_report == 32_768

    def test_loss_is_reported(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(2), audio_packet(4), audio_packet(5))
        reception = track.statistics.report(0.0)
        assert reception is not None
        assert (reception.cumulative_lost, reception.highest_sequence) == (1, 5)


def test_the_kind_decides():
    assert type(make_track(describe("audio"), Timeline(), RoundTrip())) is AudioTrack
    assert type(make_track(describe("video"), Timeline(), RoundTrip())) is VideoTrack


class TestRepair:
    def test_a_restored_packet_fills_its_gap(self):
        track = make_audio(nack=True)
        feed(track, audio_packet(1), audio_packet(3))
        assert track.missing.due(0.0, 10) == [2]
        frames = track.receive_repair(audio_packet(2), 0.1)
        assert [frame.payload for frame in frames] == [sound(2), sound(3)]
        assert (track.repaired, track.lost, track.all_drops()) == (1, 0, {})
        # What the reports tell is what the network did.
        assert track.packets == 2

    def test_what_was_not_asked_for_is_of_no_use(self):
        track = make_audio(nack=True)
        assert list(track.receive_repair(audio_packet(1), 0.0)) == []
        feed(track, audio_packet(1), audio_packet(3))
        for number in (1, 2, 3, 4, 5000):
            assert list(track.receive_repair(audio_packet(number), 0.0)) == []
        assert track.all_drops() == {DropReason.RTP_DUPLICATE: 6}
        assert len(track.missing) == 1

    def test_the_same_packet_sent_again_is_a_repair_too(self):
        track = make_audio(nack=True)
        feed(track, audio_packet(1), audio_packet(3))
        track.missing.due(0.0, 10)
        assert len(feed(track, audio_packet(2), now=0.1)) == 2
        assert track.repaired == 1

    def test_repairs_go_on_with_another_source(self):
        track = make_audio(nack=True)
        feed(track, audio_packet(1), audio_packet(3))
        track.missing.due(0.0, 10)
        track.receive_repair(audio_packet(2), 0.1)
        track.begin(7, 0.2)
        assert (track.repaired, len(track.missing)) == (1, 0)
        feed(track, audio_packet(500), audio_packet(502))
        assert track.missing.due(1.0, 10) == [501]

    @pytest.mark.parametrize(
        ("pause", "lost", "waits"),
        [
            (MAX_OUTAGE + 0.1, OUTAGE_PACKETS + 1, False),
            (MAX_OUTAGE + 0.1, OUTAGE_PACKETS, True),
            (MAX_OUTAGE - 0.1, 200, True),
        ],
    )
    def test_nothing_is_waited_for_that_senders_do_not_keep(self, pause, lost, waits):
        track = make_audio(nack=True)
        feed(track, audio_packet(1))
        frames = feed(track, audio_packet(2 + lost), now=pause)
        assert (frames == []) == waits == bool(track.waiting)
        assert (track.deadline() is not None) == waits
        assert track.lost == (0 if waits else lost)


def fragments(number: int, count: int, timestamp: int = 0) -> list[Packet]:
    """A key frame in fragments behind its parameter sets, each in a packet of its own."""
    middle = [bytes((0x7C, 0x05)) + bytes((index + 1,)) for index in range(count - 2)]
    nals = [SPS, PPS, b"\x7c\x85\x88", *middle, b"\x7c\x45\x01"]
    return whole(number, *nals, timestamp=timestamp)


class TestBeginning:
    def test_it_may_come_late(self):
        track = make_video(nack=True)
        packets = fragments(500, 6)
        assert feed(track, *packets[2:], now=1.0) == []
        assert track.deadline() == 1.0 + MIN_START_WAIT + 2 * INITIAL_ROUND_TRIP
        assert len(track.missing) == START_PACKETS
        # The second: there is one before it.
        assert feed(track, packets[1], now=1.01) == []
        [unit] = feed(track, packets[0], now=1.02)
        assert unit.keyframe
        assert (track.deadline(), track.lost, track.missing.lost, len(track.missing)) == (None, 0, 0, 0)

    def test_the_sets_may_come_the_other_way_round(self):
        track = make_video(nack=True)
        [unit] = feed(track, *whole(1, PPS, SPS, IDR))
        assert unit.nals == [PPS, SPS, IDR]
        assert (track.deadline(), track.lost, track.all_drops()) == (None, 0, {})

    def test_what_waited_may_be_given_up_sooner(self):
        round_trip = RoundTrip()
        round_trip.add(1.0)
        track = make_track(describe("video", nack=True), Timeline(), round_trip)
        packets = fragments(500, 6)
        end = 1.0 + MAX_WAIT
        feed(track, packets[2], now=1.0)
        feed(track, packets[2], now=end - MIN_PAUSE / 2)
        track.handle_timeout(end)
        assert track.waiting == 0
        last = packets[3]
        assert track.receive_next(last.payload, 0, last.sequence_number, last.timestamp, False, end) is None
        feed(track, last, now=end)
        assert track.deadline() is None

    def test_all_that_was_before_it_comes(self):
        track = make_video(nack=True)
        units = feed(track, packet(START_PACKETS + 8, PPS, 9))
        for number in range(8, START_PACKETS + 8):
            units += feed(track, packet(number, SLICE, 1))
        assert track.deadline() is None
        # From here on a gap is a gap.
        feed(track, packet(START_PACKETS + 9, IDR[:3], 9), packet(START_PACKETS + 11, SLICE, 9, marker=True))
        due = track.deadline()
        assert due is not None
        track.handle_timeout(due)
        assert (track.lost, track.needs_keyframe) == (1, True)

    def test_what_may_never_have_been_sent_is_no_loss(self):
        track = make_video(nack=True)
        feed(track, *fragments(500, 6)[2:], now=1.0)
        track.measure_loss()
        assert track.loss == 0.0

    def test_it_may_be_asked_for(self):
        track = make_video(nack=True)
        packets = fragments(2, 6)
        feed(track, *packets[3:], now=1.0)
        asked = track.missing.due(1.0, 100)
        assert [number & 0xFFFF for number in asked[-3:]] == [2, 3, 4]
        # Across the wrap: what was sent before the sender began to count.
        assert asked[0] == 5 - START_PACKETS
        for lost in packets[2::-1]:
            units = track.receive_repair(lost, 1.1)
        assert [unit.keyframe for unit in units] == [True]
        assert track.deadline() is None

    def test_there_is_none(self):
        track = make_video(nack=True)
        feed(track, *fragments(500, 6)[3:], now=1.0)
        due = track.deadline()
        assert due is not None
        assert list(track.handle_timeout(due - 0.01)) == []
        assert list(track.handle_timeout(due)) == []
        assert (track.deadline(), track.missing.lost, track.lost) == (None, 0, 0)
        [unit] = feed(track, *fragments(508, 4, timestamp=3000), now=due)
        assert unit.keyframe

    @pytest.mark.parametrize(
        "packets",
        [whole(7, SPS, PPS, IDR), whole(7, SLICE), [packet(7, b"")]],
        ids=["parameter sets", "in the middle of a group", "padding"],
    )
    def test_it_came_first_or_there_is_no_use_in_it(self, packets):
        track = make_video(nack=True)
        feed(track, *packets)
        assert track.deadline() is None
        assert len(track.missing) == 0

    def test_nobody_repeats_it(self):
        track = make_video()
        feed(track, *fragments(500, 6)[2:])
        assert track.deadline() is None

    def test_sound_has_none(self):
        track = make_audio(nack=True)
        assert len(feed(track, audio_packet(5))) == 1


def test_a_key_frame_is_wanted_until_it_comes():
    track = make_video(sprop=(SPS, PPS))
    feed(track, *whole(0, IDR))
    assert not track.needs_keyframe
    track.want_keyframe()
    assert track.needs_keyframe
    assert len(feed(track, *whole(1, SLICE, timestamp=1))) == 1
    assert track.needs_keyframe
    feed(track, *whole(2, IDR, timestamp=2))
    assert not track.needs_keyframe


def test_more_is_missing_than_can_be_asked_for():
    track = make_audio(nack=True)
    feed(track, audio_packet(1))
    [frame] = feed(track, audio_packet(MAX_MISSING + 3))
    assert frame.payload == sound(MAX_MISSING + 3)
    assert track.lost == MAX_MISSING + 1


class TestLoss:
    def test_part_of_what_was_sent_before_any_repair(self):
        track = make_audio(nack=True)
        number = 0
        for _ in range(40):
            feed(track, *(audio_packet(number + at) for at in range(9)))
            number += 10
            track.measure_loss()
        assert track.loss == pytest.approx(0.1, abs=0.01)

    def test_it_falls_while_nothing_is_sent(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(3))
        track.measure_loss()
        assert track.loss > 0.05
        for _ in range(20):
            track.measure_loss()
        assert 0.0 <= track.loss < 0.001

    def test_it_falls_when_packets_come_again(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(11))
        track.measure_loss()
        for number in range(12, 40):
            feed(track, audio_packet(number))
            track.measure_loss()
        assert track.loss < 0.01

    def test_another_source_does_not_make_it_negative(self):
        track = make_audio()
        feed(track, audio_packet(1), audio_packet(100))
        track.measure_loss()
        track.begin(7, 1.0)
        feed(track, audio_packet(500), audio_packet(501))
        track.measure_loss()
        assert 0.0 < track.loss < 0.25


class TestPictures:
    def test_the_interval_of_key_frames(self):
        track = make_video(sprop=(SPS, PPS))
        assert track.keyframe_interval == 0.0
        for number, at in enumerate((10.0, 12.5, 20.0)):
            feed(track, *whole(number, IDR, timestamp=number), now=at)
        assert track.keyframe_interval == 7.5

    def test_the_profile_is_that_of_the_last_parameter_set(self):
        track = make_video()
        assert track.profile_idc is None
        feed(track, *whole(0, SPS, PPS, IDR))
        assert track.profile_idc == 0x42
        feed(track, *whole(3, b"\x67\x64\x00\x1f", PPS, IDR, timestamp=1))
        assert track.profile_idc == 0x64
        feed(track, *whole(6, b"\x67", PPS, IDR, timestamp=2))
        assert track.profile_idc is None


def test_the_last_report_is_noted():
    track = make_audio()
    assert track.reported_at == float("-inf")
    track.sender_report(SenderReport(SSRC, seconds_to_ntp(1.0), 0, 0, 0), 7.0)
    assert track.reported_at == 7.0


class TestMemory:
    def test_the_last_key_frame_and_its_size(self):
        camera = Camera(size=(96, 64), sets="offered")
        assert (camera.track.last_keyframe, camera.track.size) == (None, None)
        [unit] = camera.send(1.0)
        assert camera.track.size == (96, 64)
        kept = camera.track.last_keyframe
        assert kept is not None
        # As it came it lacks its parameter sets.
        assert kept.nals == camera.track.complete(unit).nals == [*sets_of(96, 64), *unit.nals]
        for index in range(1, GROUP):
            camera.send(1.0 + index * 0.04)
            assert camera.track.last_keyframe is kept
        camera.send(2.0)
        assert camera.track.last_keyframe is not kept

    def test_the_newest_time(self):
        track = make_video()
        assert track.latest_us == 0
        feed(track, *whole(1, SPS, PPS, IDR), *whole(4, SLICE, timestamp=9000), now=1.0)
        assert track.latest_us == 100_000
        # A picture that is shown before it (B-frame).
        feed(track, *whole(5, SLICE, timestamp=6000), now=1.0)
        assert track.latest_us == 100_000

    def test_how_late_pictures_are_complete(self):
        track = make_video(sprop=(SPS, PPS))
        assert track.take_delays() is None
        feed(track, *whole(1, IDR), now=1.0)
        assert track.take_delays() == (0, 0)
        assert track.take_delays() is None
        for number, late in enumerate((0.03, 0.01, 0.2, 0.05), start=1):
            feed(track, *whole(number + 1, SLICE, timestamp=number * 90_000), now=1.0 + number + late)
        assert track.take_delays() == (10_000, 200_000)


class TestPauses:
    def test_the_longest_is_noted(self):
        track = make_audio()
        feed(track, audio_packet(1), now=1.0)
        track.pause = 0.0
        for number, now in ((2, 1.0 + MIN_PAUSE), (3, 1.5), (4, 1.6), (5, 2.0)):
            feed(track, audio_packet(number), now=now)
        assert track.pause == pytest.approx(0.4)

    def test_one_that_the_source_did_not_count(self):
        """Sound that was muted goes on counting where it stopped; the picture meanwhile tells."""
        timeline = Timeline()
        audio, video = (make_track(describe(kind), timeline, RoundTrip()) for kind in ("audio", "video"))
        feed(video, *whole(1, SPS, PPS, IDR), now=1.0)
        [before] = feed(audio, audio_packet(1), now=1.0)
        for number in range(4, 40):
            feed(video, *whole(number, SLICE, timestamp=(number - 3) * 3000), now=1.0 + (number - 3) / 30)
        [after] = feed(audio, audio_packet(2), now=2.2)
        assert (before.time_us, after.time_us) == (0, 1_200_000)
