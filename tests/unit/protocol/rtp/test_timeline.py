"""The media timeline: starts at once, survives jumps, stalls and wraps, and heals skew and drift unseen."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtp.timeline import Timeline, TrackClock

NTP_EPOCH = 3_970_000_000.0
MASK = 0xFFFFFFFF


class Source:
    """A sender's track: its own timestamps, its own clock error, and a fixed delay to the receiver."""

    def __init__(
        self,
        timeline: Timeline,
        rate: int,
        *,
        leads: bool = False,
        first: int = 0xFFFF0000,
        delay: float = 0.05,
        ppm: float = 0.0,
        ntp_error: float = 0.0,
    ) -> None:
        self.clock = TrackClock(timeline, rate, leads=leads)
        self.rate = rate * (1 + ppm / 1e6)
        self.first = first
        self.delay = delay
        self.ntp_error = ntp_error

    def timestamp(self, captured: float) -> int:
        return (self.first + round(captured * self.rate)) & MASK

    def send(self, captured: float, jitter: float = 0.0) -> int:
        return self.clock.to_us(self.timestamp(captured), captured + self.delay + jitter)

    def report(self, at: float) -> None:
        ntp = NTP_EPOCH + at + self.ntp_error
        self.clock.sender_report(ntp, self.timestamp(at), at + self.delay)


def pair(**video: float) -> tuple[Source, Source]:
    timeline = Timeline()
    return Source(timeline, 48_000, leads=True), Source(timeline, 90_000, **video)  # type: ignore[arg-type]


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
    # 26 hours: video wraps after 13.3, audio after 24.9; both clocks run 200 ppm fast.
    audio, video = pair(ppm=200.0)
    for second in range(0, 26 * 3600, 5):
        heard = audio.send(float(second))
        seen = video.send(float(second))
        assert heard == second * 1_000_000
        assert abs(seen - second * 1_000_200) < 20
    assert (audio.clock.jumps, video.clock.jumps) == (0, 0)


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


def test_a_switch_keeps_to_the_drift_learnt_so_far() -> None:
    source = Source(Timeline(), 90_000, ppm=200.0)
    for second in range(3600):
        source.send(float(second))
    source.first += 1_000_000_000
    assert abs(source.send(3600.0) - 3_600_720_000) < 2000


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


def test_an_hour_of_drift_would_be_seen_without_reports() -> None:
    assert drifting_hour(reports=False)[-1] < -600_000


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
