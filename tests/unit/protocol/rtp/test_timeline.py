"""The media timeline: starts at once, survives jumps, stalls and wraps, and heals skew and drift unseen."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.protocol.rtp.sources import MASK, NTP_EPOCH, Source, pair, playing, resume

from whipway.protocol.rtp.timeline import Timeline, TrackClock


def test_the_first_packet_is_zero_and_the_rtp_clock_rules() -> None:
    clock = TrackClock(Timeline(), 90_000)
    assert [clock.to_us(5000 + 3000 * i, 77.0 + 0.03 * i) for i in range(4)] == [0, 33_333, 66_666, 100_000]


def test_audio_ticks_are_exact_whatever_the_jitter() -> None:
    clock = TrackClock(Timeline(), 48_000)
    chance = random.Random(1)
    times = [clock.to_us(960 * i, 0.020 * i + chance.random() * 0.5) for i in range(500)]
    assert times == [20_000 * i for i in range(500)]


def test_the_second_track_is_placed_by_its_arrival() -> None:
    timeline = Timeline()
    audio, video = TrackClock(timeline, 48_000, leads=True), TrackClock(timeline, 90_000)
    assert audio.to_us(1, 10.0) == 0
    assert video.to_us(2, 10.25) == 250_000


def test_packets_of_a_frame_share_its_time_and_older_frames_come_before() -> None:
    clock = TrackClock(Timeline(), 90_000)
    order = [0, 9000, 9000, 3000, 6000, 18_000]
    times = [clock.to_us(t, 0.03 * i) for i, t in enumerate(order)]
    assert times == [0, 100_000, 100_000, 33_333, 66_666, 200_000]


def test_time_is_never_negative() -> None:
    clock = TrackClock(Timeline(), 90_000)
    assert [clock.to_us(t, 0.0) for t in (9000, 0)] == [0, 0]


def test_the_wrap_is_not_seen_even_with_reordering() -> None:
    clock = TrackClock(Timeline(), 90_000)
    assert [clock.to_us(t & MASK, 0.0) for t in (-9000, -4500, 4500, 0, 9000)] == [
        0,
        50_000,
        150_000,
        100_000,
        200_000,
    ]


def test_a_day_of_wraps_and_drift_is_exact_and_no_jump() -> None:
    # 26 hours: video wraps after 13.3, audio after 24.9; the clock runs 200 ppm fast.
    for rate in (48_000, 90_000):
        source = Source(Timeline(), rate, ppm=200.0)
        for second in range(0, 26 * 3600, 5):
            assert abs(source.send(float(second)) - second * 1_000_200) < 20
        assert source.clock.jumps == 0


REORDERED = {
    # The pictures of a group in the order of decoding, by how many pass a later one by.
    1: (1, 0),
    2: (3, 1, 0, 2),
    3: (7, 3, 1, 0, 2, 5, 4, 6),
    4: (4, 3, 2, 1, 0),
}


@pytest.mark.parametrize("depth", REORDERED)
@pytest.mark.parametrize("first", [0, 1_000_000, MASK - 9000, MASK - 90_000 * 5])
def test_reordered_pictures_have_exact_times(depth: int, first: int) -> None:
    """B-frames: the timestamps step back in decoding order, also around the wrap and during a slew."""
    group = REORDERED[depth]
    order = [number + place for number in range(0, 400, len(group)) for place in group]
    for slewed_us in (0, 100_000):
        audio, video = pair(ntp_error=slewed_us / 1e6)
        audio.send(0.0)
        # The first picture is at the second 1.
        video.first = first - 90_000
        seen = {}
        for index, number in enumerate(order):
            at = 1.0 + number / 30
            # As an encoder lets them go, which has to have seen the last one of the group.
            seen[number] = video.clock.to_us(video.timestamp(at), 1.05 + (max(group) + index) / 30)
            if index == 30 and slewed_us:
                audio.report(at)
                video.report(at)
        times = [seen[number] for number in sorted(seen)]
        steps = [later - earlier for earlier, later in pairwise(times)]
        if slewed_us:
            # 20 ms a second are 667 us a picture.
            assert all(abs(step - 33_333) <= 668 * (max(group) + 1) for step in steps)
        else:
            assert set(steps) <= {33_333, 33_334}
        assert abs(times[0] - 1_000_000) <= 12
        assert abs(times[-1] - (1_000_000 + max(order) * 1_000_000 // 30 + slewed_us)) <= 24
        assert video.clock.jumps == 0


def test_a_source_switch_is_placed_at_its_arrival() -> None:
    for jump in (-1_000_000_000, 500_000_000, 90_000 * 3, -90_000 * 3):
        clock = TrackClock(Timeline(), 90_000)
        before = [clock.to_us(3000 * i, i / 30) for i in range(30)]
        after = [clock.to_us((3000 * i + jump) & MASK, i / 30) for i in range(30, 60)]
        times = before + after
        assert clock.jumps == 1
        assert abs(after[0] - 1_000_000) <= 1
        assert all(33_332 <= later - earlier <= 33_334 for earlier, later in pairwise(times))


def test_a_switch_never_goes_back() -> None:
    clock = TrackClock(Timeline(), 90_000)
    clock.to_us(0, 0.0)
    # The last frame before the switch is half a second ahead of its arrival.
    assert clock.to_us(135_000, 1.0) == 1_500_000
    assert clock.to_us(1_000_000_000, 1.1) == 1_500_000
    assert clock.to_us(1_000_003_000, 1.13) == 1_533_333
    assert clock.jumps == 1


@pytest.mark.parametrize("pause", [0.0, 60.0])
def test_a_switch_keeps_to_the_drift_learnt_so_far(pause: float) -> None:
    source = Source(Timeline(), 90_000, ppm=200.0)
    for second in range(3600):
        source.send(float(second))
    source.first += 1_000_000_000
    assert abs(source.send(3600.0 + pause) - (3_600_720_000 + pause * 1e6)) < 2000
    assert source.clock.jumps == 1


def test_a_stall_of_the_network_is_not_a_jump() -> None:
    clock = TrackClock(Timeline(), 90_000)
    arrivals = [max(i / 30, 5.0) if i > 60 else i / 30 for i in range(300)]
    times = [clock.to_us(3000 * i, arrival) for i, arrival in enumerate(arrivals)]
    assert times == [i * 1_000_000 // 30 for i in range(300)]
    assert clock.jumps == 0


def test_each_stall_has_its_own_patience() -> None:
    clock = TrackClock(Timeline(), 90_000)
    for i in range(600):
        held_up = i in (60, 300)
        clock.to_us(3000 * i, i / 30 + (3.0 if held_up else 0.0))
    assert clock.jumps == 0


def test_a_pause_that_stopped_the_clock_is_made_good_after_a_while() -> None:
    clock = TrackClock(Timeline(), 90_000)
    times = [clock.to_us(3000 * i, i / 30 + (4.0 if i > 30 else 0.0)) for i in range(300)]
    assert clock.jumps == 1
    assert times[100] == 3_333_333
    assert abs(times[299] - (299 * 1_000_000 // 30 + 4_000_000)) < 20_000


def test_a_long_pause_is_made_good_at_once() -> None:
    clock = TrackClock(Timeline(), 90_000)
    clock.to_us(0, 0.0)
    assert abs(clock.to_us(3000, 60.0) - 60_000_000) < 100_000
    assert clock.jumps == 1


def test_a_first_packet_that_was_held_up_costs_one_jump_and_no_frame_goes_back() -> None:
    clock = TrackClock(Timeline(), 90_000)
    times = [clock.to_us(3000 * i, max(3.0, i / 30)) for i in range(300)]
    assert clock.jumps == 1
    assert times == sorted(times)
    assert len(set(times)) >= 299


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("paused", [0.3, 1.0, 4.0, 30.0])
def test_sound_that_was_muted_is_back_with_its_picture(paused: float, counted: bool) -> None:
    """Browsers stop the RTP clock of sound that is muted, and no other."""
    audio, video = playing()
    for number in range(round(paused * 50)):
        video.send(2 + number / 50)
    back = 2 + paused
    placed = resume(audio, paused, back, counted=counted)
    if paused < 1.0:
        for number in range(1, 6):
            audio.send(back + number / 50)
            video.send(back + number / 50)
    else:
        assert placed == pytest.approx(back * 1e6, abs=1000)
    assert video.send(back + 0.5) == pytest.approx((back + 0.5) * 1e6, abs=1000)
    assert audio.send(back + 1) == pytest.approx((back + 1) * 1e6, abs=1000)
    assert audio.clock.jumps == (not counted)


def test_where_both_were_muted_the_picture_tells_of_it() -> None:
    audio, video = playing()
    assert resume(audio, 1.0, 3.0, counted=False) == pytest.approx(2e6, abs=1000)
    assert resume(video, 1.0, 3.0, counted=True) == pytest.approx(3e6, abs=1000)
    assert audio.send(3.02) == pytest.approx(3.02e6, abs=2000)


def test_a_network_that_held_up_both_is_no_pause() -> None:
    audio, video = playing()
    for source in (audio, video):
        source.clock.resumes(source.timestamp(2.0), 2.05, 3.05)
    for number in range(100, 150):
        late = (150 - number) / 50
        assert audio.send(number / 50, late) == pytest.approx(number * 20_000, abs=1000)
        assert video.send(number / 50, late) == pytest.approx(number * 20_000, abs=1000)
    assert audio.clock.jumps == video.clock.jumps == 0


def test_sound_that_catches_up_was_no_pause() -> None:
    """A busy computer sends what it owes, all at once."""
    audio, video = playing()
    for number in range(100, 120):
        video.send(number / 50)
    audio.clock.resumes(audio.timestamp(2.0), 2.03, 2.43)
    for number in range(100, 140):
        late = max(0.0, 2.38 - number / 50)
        assert audio.send(number / 50, late) == pytest.approx(number * 20_000, abs=1000)
    assert audio.clock.jumps == 0


def test_pictures_that_are_held_up_were_not_paused() -> None:
    """Senders pace the packets of a key frame; what comes behind it is late, and sound is not."""
    audio, video = playing()
    for number in range(100, 120):
        audio.send(number / 50)
    video.clock.resumes(video.timestamp(2.02), 2.03, 2.43)
    assert video.send(2.02, 0.36) == pytest.approx(2.02e6, abs=1000)
    assert video.send(2.4) == pytest.approx(2.4e6, abs=1000)
    assert video.clock.jumps == 0


def test_where_the_picture_comes_back_much_later_it_still_tells() -> None:
    audio, video = playing()
    resume(audio, 1.0, 3.0, counted=False)
    for number in range(1500):
        audio.send(3.02 + number / 50)
    assert audio.clock.jumps == 0
    assert resume(video, 31.1, 33.1, counted=True) == pytest.approx(33.1e6, abs=1000)
    # But for the drift of half a minute that is taken for the clock's.
    assert audio.send(33.12) == pytest.approx(33.12e6, abs=35_000)
    assert audio.clock.jumps == 1


def test_a_network_that_catches_up_is_no_pause_for_a_picture_that_comes_later() -> None:
    audio, video = playing()
    audio.clock.resumes(audio.timestamp(2.0), 2.05, 3.05)
    for number in range(100, 400):
        late = max(0.0, (150 - number) / 50)
        assert audio.send(number / 50, late) == pytest.approx(number * 20_000, abs=1000)
    resume(video, 6.0, 8.0, counted=True)
    assert audio.send(8.02) == pytest.approx(8.02e6, abs=1000)
    assert audio.clock.jumps == 0


def test_nothing_was_muted_before_it_began() -> None:
    audio, video = pair()
    audio.clock.resumes(audio.timestamp(3.0), 1.0, 3.05)
    assert (video.send(3.0), audio.send(3.0), audio.clock.jumps) == (0, 0, 0)


def test_a_short_silence_is_no_pause() -> None:
    audio, video = playing()
    video.send(2.1)
    assert resume(audio, 0.15, 2.15, counted=False) == pytest.approx(2.0e6, abs=1000)


def test_a_late_start_of_video_is_healed_without_a_visible_step() -> None:
    audio, video = pair(delay=0.05 + 0.033)
    seen = []
    for i in range(300):
        captured = i / 30
        heard = audio.send(captured)
        seen.append(video.send(captured))
        assert abs(heard - i * 1_000_000 // 30) <= 21
        if i == 5:
            audio.report(captured)
            video.report(captured)
    assert seen[0] == 33_000
    assert video.clock.correction_us == -33_000
    # Two seconds later it is done.
    assert abs(seen[70] - 70 * 1_000_000 // 30) <= 40
    assert all(32_600 <= later - earlier <= 33_400 for earlier, later in pairwise(seen))


def test_a_track_that_nobody_sees_yet_takes_its_place_at_once() -> None:
    audio, video = pair(delay=0.35)
    for source in (audio, video):
        source.send(1.0)
        source.report(1.0)
    assert video.send(2.0) - audio.send(2.0) == pytest.approx(280_000, abs=1000)
    video.clock.settle()
    assert video.send(3.0) == pytest.approx(audio.send(3.0), abs=1000)


def test_the_order_of_the_reports_does_not_matter() -> None:
    audio, video = pair(delay=0.05 + 0.04)
    for i in range(150):
        audio.send(i / 30)
        video.send(i / 30)
        if i == 5:
            video.report(i / 30)
        if i == 10:
            audio.report(i / 30)
    assert abs(video.clock.correction_us + 40_000) <= 12
    assert audio.clock.correction_us == 0


def test_a_large_skew_is_slewed_quickly_for_ten_seconds_and_then_slowly() -> None:
    audio, video = pair(ntp_error=0.5)
    corrections = []
    for second in range(60):
        for tenth in range(10):
            audio.send(second + tenth / 10)
            video.send(second + tenth / 10)
        if second == 0:
            audio.report(0.9)
            video.report(0.9)
        corrections.append(video.clock.correction_us)
    steps = [later - earlier for earlier, later in pairwise(corrections)]
    assert all(abs(step - 20_000) <= 20 for step in steps[:9])
    assert all(abs(step - 5_000) <= 20 for step in steps[11:])
    assert video.clock.correction_us < 500_000


def test_without_reports_everything_stays_as_it_arrived() -> None:
    audio, video = pair(delay=0.25)
    for i in range(300):
        audio.send(i / 30)
        assert abs(video.send(i / 30) - (i * 1_000_000 // 30 + 200_000)) <= 1
    assert video.clock.correction_us == 0


def test_reports_of_one_track_alone_move_nothing() -> None:
    for reporting in (0, 1):
        sources = pair(delay=0.25)
        for i in range(300):
            for source in sources:
                source.send(i / 30)
            sources[reporting].report(i / 30)
        assert [source.clock.correction_us for source in sources] == [0, 0]


def test_a_session_without_audio_needs_no_reports() -> None:
    source = Source(Timeline(), 90_000)
    for i in range(100):
        assert abs(source.send(i / 30) - i * 1_000_000 // 30) <= 1
        source.report(i / 30)
    assert source.clock.ignored_reports == 0


def test_a_wrong_ntp_time_is_ignored_and_counted() -> None:
    audio, video = pair(ntp_error=60.0)
    for i in range(300):
        audio.send(i / 30)
        video.send(i / 30)
        if i % 30 == 29:
            audio.report(i / 30)
            video.report(i / 30)
    assert video.clock.correction_us == 0
    # Ten of its own, and nine times that audio reported anew.
    assert video.clock.ignored_reports == 19


def test_an_ntp_time_of_zero_and_a_report_before_the_first_packet_are_not_used() -> None:
    audio, video = pair(delay=0.25)
    audio.report(0.0)
    video.report(0.0)
    audio.send(0.0)
    video.send(0.0)
    video.report(0.0)
    audio.clock.sender_report(0.0, audio.timestamp(0.0), 0.1)
    video.send(1.0)
    assert video.clock.correction_us == 0
    assert (audio.clock.ignored_reports, video.clock.ignored_reports) == (0, 0)


def test_a_report_about_other_timestamps_is_ignored_and_counted() -> None:
    audio, video = pair()
    for source in (audio, video):
        source.send(0.0)
    video.clock.sender_report(NTP_EPOCH, (video.timestamp(0.0) + 90_000 * 3) & MASK, 0.05)
    assert video.clock.ignored_reports == 1
    # It does not disturb the extension of the timestamps either, however often.
    for step in (1, 2):
        stamp = (video.timestamp(0.0) + step * 0x7FFFFFFF) & MASK
        video.clock.sender_report(NTP_EPOCH, stamp, 0.05)
    assert abs(video.send(1 / 30) - 33_333) <= 1
    assert video.clock.jumps == 0


def test_a_jump_keeps_the_correction_and_forgets_the_reports() -> None:
    audio, video = pair(delay=0.05 + 0.04)
    for i in range(150):
        audio.send(i / 30)
        video.send(i / 30)
        if i == 5:
            audio.report(i / 30)
            video.report(i / 30)
    corrected = video.clock.correction_us
    assert abs(corrected + 40_000) <= 12
    video.first += 1_000_000_000
    audio.first += 1_000_000_000
    for i in range(150, 300):
        audio.send(i / 30)
        video.send(i / 30)
        if i == 200:
            video.report(i / 30)
    assert (audio.clock.jumps, video.clock.jumps) == (1, 1)
    assert video.clock.correction_us == corrected


def test_a_jump_during_a_slew_ends_it_until_new_reports() -> None:
    audio, video = pair(ntp_error=0.5)
    for i in range(300):
        if i == 150:
            video.first += 1_000_000_000
            corrected = video.clock.correction_us
        audio.send(i / 30)
        video.send(i / 30)
        if i in (5, 200):
            audio.report(i / 30)
        if i == 5:
            video.report(i / 30)
    assert video.clock.jumps == 1
    assert 90_000 < video.clock.correction_us == corrected < 100_000


def test_of_two_leaders_none_moves() -> None:
    timeline = Timeline()
    sources = [Source(timeline, 48_000, leads=True, ntp_error=error) for error in (0.0, 0.1)]
    for i in range(100):
        for source in sources:
            source.send(i / 50)
            source.report(i / 50)
    assert [source.clock.correction_us for source in sources] == [0, 0]


def drifting_hour(*, reports: bool, ppm: float = 200.0) -> list[int]:
    """Skew of video against audio in each second of an hour; audio fast by `ppm`, jitter 0..40 ms."""
    timeline = Timeline()
    audio = Source(timeline, 48_000, leads=True, ppm=ppm)
    video = Source(timeline, 90_000, delay=0.12)
    chance = random.Random(7)
    skews = []
    for second in range(3600):
        heard = audio.send(float(second), chance.random() * 0.04)
        seen = video.send(float(second), chance.random() * 0.04)
        if reports and second % 5 == 0:
            audio.report(float(second))
            video.report(float(second) + 0.3)
        skews.append(seen - heard)
    assert (audio.clock.jumps, video.clock.jumps) == (0, 0)
    assert (audio.clock.ignored_reports, video.clock.ignored_reports) == (0, 0)
    return skews


def test_an_hour_of_drift_is_followed() -> None:
    skews = drifting_hour(reports=True)
    assert max(abs(skew) for skew in skews[30:]) < 2000


def test_drift_may_add_up_to_more_than_a_skew_that_is_believed() -> None:
    skews = drifting_hour(reports=True, ppm=900.0)
    assert max(abs(skew) for skew in skews[30:]) < 7000


# Two days. One frame of each track every two seconds is enough to see how the clocks are followed.

DAYS = 48 * 3600
LIPS_US = 40_000
"""What nobody sees."""


def late(chance: random.Random, often: float) -> float:
    """Jitter, and sometimes a packet that had to be sent again."""
    return chance.random() * 0.04 + (0.3 if chance.random() < often else 0.0)


def long_run(
    audio: Source,
    video: Source,
    seconds: int,
    report: Callable[[float], object] = lambda at: None,
    *,
    every: int = 2,
) -> list[int]:
    """Skew of video against audio, frame by frame; `report` sends what reports there are."""
    chance = random.Random(5)
    skews = []
    for at in range(0, seconds, every):
        heard = audio.send(at, late(chance, 0.02) if at else 0.0)
        skews.append(video.send(at, late(chance, 0.1) if at else 0.0) - heard)
        report(at)
    assert (audio.clock.jumps, video.clock.jumps) == (0, 0)
    return skews


def drifting(audio_ppm: float, video_ppm: float, delay: float = 0.05) -> tuple[Source, Source]:
    timeline = Timeline()
    audio = Source(timeline, 48_000, leads=True, ppm=audio_ppm)
    return audio, Source(timeline, 90_000, ppm=video_ppm, delay=delay)


DRIFTS = [(100.0, -100.0), (100.0, 300.0)]


@pytest.mark.parametrize("drift", DRIFTS, ids=str)
def test_two_days_of_drift_with_reports(drift: tuple[float, float]) -> None:
    audio, video = drifting(*drift)

    def report(at: float) -> None:
        audio.report(at)
        video.report(at + 0.3)

    skews = long_run(audio, video, DAYS, report, every=8)
    assert max(map(abs, skews)) < 2000
    assert (audio.clock.ignored_reports, video.clock.ignored_reports) == (0, 0)


@pytest.mark.parametrize("drift", DRIFTS, ids=str)
def test_two_days_of_drift_without_reports(drift: tuple[float, float]) -> None:
    audio, video = drifting(*drift)
    skews = long_run(audio, video, DAYS)
    assert max(map(abs, skews)) < LIPS_US
    drifted_us = (drift[0] - drift[1]) * DAYS
    assert abs(video.clock.correction_us - drifted_us) < LIPS_US
    # The picture goes on evenly: 20 ms a second at most.
    assert all(abs(later - earlier) <= 2 * 20_200 for earlier, later in pairwise(skews))


def test_reports_that_stop_leave_their_skew_behind() -> None:
    """The encoder's 200 ms that the reports told of are kept when they come no more, and so is pace."""
    audio, video = drifting(100.0, -100.0, delay=0.25)

    def report(at: float) -> None:
        if at < 600:
            audio.report(at)
            video.report(at)

    skews = long_run(audio, video, 6 * 3600, report)
    assert skews[0] == 200_000
    assert max(map(abs, skews[30:])) < LIPS_US


@pytest.mark.parametrize("goes_on", [0, 1])
def test_reports_of_which_one_track_sends_no_more(goes_on: int) -> None:
    """A report of an hour ago would be out by the drift of an hour."""
    sources = drifting(100.0, -100.0)

    def report(at: float) -> None:
        for index, source in enumerate(sources):
            if at < 60 or index == goes_on:
                source.report(at)

    assert max(map(abs, long_run(*sources, 6 * 3600, report))) < LIPS_US


def test_reports_that_begin_late_win() -> None:
    audio, video = drifting(0.0, 0.0, delay=0.25)

    def report(at: float) -> None:
        if at >= 600:
            audio.report(at)
            video.report(at)

    skews = long_run(audio, video, 1200, report)
    assert skews[:300] == [200_000] * 300
    assert abs(skews[-1]) < 100


def test_without_reports_the_network_does_not_move_the_picture() -> None:
    """Jitter, retransmissions, bursts behind key frames, a queue of 2 s: all of them only delay."""
    audio, video = pair()
    chance = random.Random(3)
    for index in range(30 * 300):
        at = index / 30
        queue = max(0.0, 2.0 - abs(at - 150.0))
        burst = max(0.0, 0.15 - (index % 60) * 0.01)
        audio.send(at, queue + late(chance, 0.01) if index else 0.0)
        video.send(at, queue + burst + late(chance, 0.05) if index else 0.0)
    assert video.clock.correction_us == 0


def test_a_minute_of_late_pictures_moves_them_by_20_ms_and_only_for_a_while() -> None:
    audio, video = pair()
    corrections = []
    for index in range(10 * 300):
        at = index / 10
        audio.send(at)
        video.send(at, 0.4 if 110.0 <= at < 170.0 else 0.0)
        corrections.append(video.clock.correction_us)
    assert max(corrections) == 20_000
    # One step back, and the rest is nothing to speak of.
    assert (min(corrections), corrections[-1]) == (0, 10_000)


def test_a_first_packet_that_was_held_up_is_mended_without_reports() -> None:
    audio, video = pair()
    skews = []
    for index in range(10 * 600):
        at = index / 10
        heard = audio.send(at, 0.1 if index == 0 else 0.0)
        skews.append(video.send(at) - heard)
    assert skews[0] == 0
    assert skews[100] == -100_000
    assert abs(skews[-1]) <= 15_000


def test_muted_audio_leaves_the_picture_alone() -> None:
    """Lags of different times are not compared: both clocks went away from ours in between."""
    audio, video = drifting(200.0, 200.0)
    for at in range(0, 4 * 3600, 2):
        if not 600 <= at < 3 * 3600:
            audio.send(at)
        video.send(at)
    assert video.clock.correction_us == 0


@pytest.mark.parametrize("late_one", [0, 1])
@pytest.mark.parametrize("start", [10, 5 * 3600])
def test_a_track_that_starts_late_is_with_the_other_at_once(late_one: int, start: int) -> None:
    """After hours a timeline of the sender's clock is seconds away from ours."""
    sources = drifting(300.0, 300.0)
    for at in range(0, start, 5):
        sources[1 - late_one].send(at)
    heard, seen = (source.send(start) for source in sources)
    assert abs(seen - heard) <= 2000
    assert abs(heard - start * 1_000_300) <= 2000
    for source in sources:
        source.report(start)
    assert [source.clock.ignored_reports for source in sources] == [0, 0]


@pytest.mark.parametrize("muted", [0, 1])
def test_a_track_that_was_away_for_hours_is_with_the_other_at_once(muted: int) -> None:
    """Its clock went on, but so far from ours that it is taken for another."""
    sources = drifting(200.0, 250.0)
    for at in range(0, 6 * 3600, 4):
        for index, source in enumerate(sources):
            if index != muted or not 1800 <= at < 5 * 3600:
                source.send(at)
        if at == 5 * 3600:
            heard, seen = (source.send(at) for source in sources)
            # What it drifted apart in silence is not known, but this comes to some hundred ms only.
            assert abs(seen - heard) <= LIPS_US
    assert sources[muted].clock.jumps == 1
    assert abs(sources[1].send(at) - sources[0].send(at)) <= LIPS_US


# Reports that are wrong.


def wrong_ntp(source: Source, at: float, error: float) -> None:
    source.clock.sender_report(NTP_EPOCH + at + error, source.timestamp(at), at + source.delay)


def wrong_rtp(source: Source, at: float, ticks: int) -> None:
    stamp = (source.timestamp(at) + ticks) & MASK
    source.clock.sender_report(NTP_EPOCH + at, stamp, at + source.delay)


def sometimes(chance: random.Random, wrong: float) -> float:
    return wrong if chance.random() < 0.1 else 0.0


NONSENSE: dict[str, Callable[[random.Random, Source, float], None]] = {
    "NTP zero": lambda chance, source, at: source.clock.sender_report(0.0, source.timestamp(at), at),
    "NTP jumps": lambda chance, source, at: wrong_ntp(source, at, chance.uniform(-1.5, 1.5)),
    "NTP jumps far": lambda chance, source, at: wrong_ntp(source, at, chance.uniform(-1e9, 1e9)),
    "NTP jumps sometimes": lambda chance, source, at: wrong_ntp(
        source, at, sometimes(chance, chance.uniform(-1.5, 1.5))
    ),
    "NTP stands still": lambda chance, source, at: wrong_ntp(source, at, -at),
    "NTP goes backwards": lambda chance, source, at: wrong_ntp(source, at, -2.0 * at),
    "NTP stands still, video": lambda chance, source, at: wrong_ntp(
        source, at, -at if source.rate > 60_000 else 0.0
    ),
    "NTP stands still, audio": lambda chance, source, at: wrong_ntp(
        source, at, -at if source.rate < 60_000 else 0.0
    ),
    "RTP timestamps of nowhere": lambda chance, source, at: wrong_rtp(source, at, chance.randrange(MASK)),
    "RTP timestamps nearby": lambda chance, source, at: wrong_rtp(
        source, at, chance.randrange(-72000, 72000)
    ),
    "RTP timestamp stands still": lambda chance, source, at: source.clock.sender_report(
        NTP_EPOCH + at, source.first, at
    ),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_wrong_reports_do_no_harm(nonsense: str) -> None:
    sources = pair()
    chance = random.Random(9)

    def report(at: float) -> None:
        for source in sources:
            NONSENSE[nonsense](chance, source, at)

    assert max(map(abs, long_run(*sources, 3600, report, every=1))) < LIPS_US


def test_an_ntp_clock_of_its_own_pace_is_believed_for_two_seconds() -> None:
    """One per cent too fast: no report contradicts the one before it, but lips are never so wrong."""
    audio, video = pair()

    def report(at: float) -> None:
        audio.report(at)
        wrong_ntp(video, at, 0.01 * at)

    skews = long_run(audio, video, 3600, report)
    assert 1_000_000 < max(map(abs, skews)) <= 2_000_000


def test_reports_of_the_other_track_do_no_harm() -> None:
    audio, video = pair()
    audio.first, video.first = 1_000_000_000, 3_000_000_000

    def report(at: float) -> None:
        audio.clock.sender_report(NTP_EPOCH + at, video.timestamp(at), at)
        video.clock.sender_report(NTP_EPOCH + at, audio.timestamp(at), at)

    assert max(map(abs, long_run(audio, video, 600, report))) == 0
    ignored = audio.clock.ignored_reports + video.clock.ignored_reports
    assert ignored == 2 * 300


def test_a_skew_of_more_than_a_second_is_followed_to_the_end() -> None:
    audio, video = pair(ntp_error=1.8)

    def report(at: float) -> None:
        audio.report(at)
        video.report(at)

    assert abs(long_run(audio, video, 900, report)[-1] - 1_800_000) < 100
    assert video.clock.ignored_reports == 0


def test_a_wallclock_that_is_set_is_believed_the_second_time() -> None:
    """Also when NTP's seconds begin anew in 2036."""
    for step in (3600.0, -0.7, -NTP_EPOCH):
        audio, video = pair(delay=0.25)
        for at in range(100):
            audio.send(at)
            skew = video.send(at) - at * 1_000_000
            if at > 1:
                for source in (audio, video):
                    wrong_ntp(source, at, step if at > 20 else 0.0)
        assert abs(skew) < 100
        assert (audio.clock.ignored_reports, video.clock.ignored_reports) == (1, 1)


STEPS = st.tuples(
    st.integers(0, 20 * 90_000),
    st.floats(0, 20),
    st.one_of(st.none(), st.tuples(st.booleans(), st.floats(-3, 3))),
)


@given(st.lists(STEPS, max_size=60))
def test_times_never_go_back_for_timestamps_that_do_not(
    steps: list[tuple[int, float, tuple[bool, float] | None]],
) -> None:
    timeline = Timeline()
    audio = TrackClock(timeline, 48_000, leads=True)
    video = TrackClock(timeline, 90_000)
    timestamp, arrival, last = 0xFFFF0000, 0.0, 0
    audio.to_us(0, 0.0)
    for ticks, wait, report in steps:
        timestamp += ticks
        arrival += wait
        now = video.to_us(timestamp & MASK, arrival)
        assert now >= last
        last = now
        if report is not None:
            audio.to_us(int(arrival * 48_000) & MASK, arrival)
            clock, stamp = (audio, int(arrival * 48_000)) if report[0] else (video, timestamp)
            clock.sender_report(NTP_EPOCH + arrival + report[1], stamp & MASK, arrival)
    assert audio.correction_us == 0


@given(st.lists(st.tuples(st.integers(0, MASK), st.floats(0, 3)), max_size=60))
def test_any_timestamps_give_times_that_are_not_negative(packets: list[tuple[int, float]]) -> None:
    clock = TrackClock(Timeline(), 90_000)
    arrival = 0.0
    for timestamp, wait in packets:
        arrival += wait
        assert clock.to_us(timestamp, arrival) >= 0
        clock.sender_report(float(timestamp), timestamp, arrival)
