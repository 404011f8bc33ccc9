from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.relay.slow_sink import Encoder, Moment, SlowSink

from whipway.relay.quality import (
    CALM_TIME,
    MEMORY_OF_GONE,
    RAISE,
    UPDATE_INTERVAL,
    Policy,
    QualityControl,
    SinkLoad,
)
from whipway.relay.sinks.tag_queue import MAX_QUEUE_MS

FLOOR = 150_000
CHROMIUM = {"hears_after": 0.1, "follows_in": 0.25}
SLOW = {"hears_after": 1.0, "follows_in": 0.05}


def control(policy: Policy = Policy.FOLLOW_SLOWEST) -> QualityControl:
    return QualityControl(policy, FLOOR)


def steady(bitrate: float) -> Callable[[float], float]:
    return lambda now: bitrate


def dip(now: float) -> float:
    """Enough, but for half a minute."""
    return 600_000 if 20 <= now < 50 else 2_500_000


def after(moments: list[Moment], begin: float, end: float = float("inf")) -> list[Moment]:
    return [moment for moment in moments if begin <= moment.at < end]


def dropped(moments: list[Moment]) -> int:
    return moments[-1].dropped - moments[0].dropped


def longest(moments: list[Moment]) -> int:
    return max(moment.queue_ms for moment in moments)


def used(moments: list[Moment]) -> float:
    """Bits a second that arrived."""
    first, last = moments[0], moments[-1]
    return (last.arrived_bytes - first.arrived_bytes) * 8 / (last.at - first.at)


class TestSlowServer:
    """A publisher that wants 2 Mbit/s, and a server that takes less, from the beginning on."""

    @pytest.mark.parametrize("hidden", [64_000, 200_000, 300_000])
    @pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "unseen"])
    @pytest.mark.parametrize("capacity", [600_000, 1_000_000])
    def test_browser(self, capacity: int, is_seen: bool, hidden: int) -> None:
        sink = SlowSink(
            control(), Encoder(**CHROMIUM), steady(capacity), hidden_bytes=hidden, is_seen=is_seen
        )
        sink.run(60)
        assert longest(after(sink.moments, 5)) < 2_000
        assert dropped(sink.moments) == 0
        assert used(after(sink.moments, 20)) > 0.7 * capacity
        assert {moment.limited_by for moment in after(sink.moments, 5)} == {"sink 1"}

    @pytest.mark.parametrize("hidden", [64_000, 300_000])
    def test_server_that_takes_next_to_nothing(self, hidden: int) -> None:
        encoder = Encoder(**CHROMIUM, keyframe_bytes=25_000)
        sink = SlowSink(control(), encoder, steady(300_000), hidden_bytes=hidden, audio_bitrate=64_000)
        sink.run(60)
        assert longest(after(sink.moments, 5)) < 2_000
        assert dropped(sink.moments) == 0
        assert used(after(sink.moments, 20)) > 0.7 * 300_000

    @pytest.mark.parametrize("capacity", [600_000, 1_000_000])
    @pytest.mark.parametrize("hidden", [64_000, 200_000])
    def test_encoder_that_takes_a_second_to_follow(self, hidden: int, capacity: int) -> None:
        sink = SlowSink(control(), Encoder(**SLOW), steady(capacity), hidden_bytes=hidden)
        sink.run(60)
        assert dropped(sink.moments) == 0
        assert longest(after(sink.moments, 10)) < 2_000
        assert used(after(sink.moments, 20)) > 0.7 * capacity

    def test_far_server(self) -> None:
        sink = SlowSink(control(), Encoder(**CHROMIUM), steady(600_000), round_trip=0.1)
        sink.run(60)
        assert longest(after(sink.moments, 5)) < 2_000
        assert used(after(sink.moments, 20)) > 0.7 * 600_000

    @pytest.mark.parametrize("capacity", [300_000, 600_000, 1_000_000])
    @pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "unseen"])
    def test_encoder_that_does_not_listen(self, is_seen: bool, capacity: int) -> None:
        sink = SlowSink(control(), Encoder(listens=False), steady(capacity), is_seen=is_seen)
        sink.run(60)
        late = after(sink.moments, 6)
        # Pictures go, as they would without a cap; the server gets what it takes; and the reason is told.
        assert dropped(late) > 0
        assert used(late) > 0.95 * capacity
        assert {moment.limited_by for moment in late} == {"sink 1"}
        assert max(moment.cap or 0 for moment in late) < capacity

    def test_fast_server_costs_nothing(self) -> None:
        sink = SlowSink(control(), Encoder(**CHROMIUM), steady(3_000_000))
        sink.run(60)
        assert {(moment.cap, moment.limited_by) for moment in sink.moments} == {(None, None)}


class TestChangingServer:
    @pytest.mark.parametrize("hidden", [64_000, 200_000, 300_000])
    def test_down_and_up_again(self, hidden: int) -> None:
        sink = SlowSink(control(), Encoder(**CHROMIUM), dip, hidden_bytes=hidden)
        sink.run(120)
        assert {moment.cap for moment in after(sink.moments, 0, 20)} == {None}
        assert dropped(sink.moments) == 0
        assert longest(sink.moments) < 2_000
        assert used(after(sink.moments, 30, 50)) > 0.7 * 600_000
        # The cap goes up in small steps, and away in the end.
        assert after(sink.moments, 50)[0].limited_by == "sink 1"
        assert after(sink.moments, 60)[0].cap is not None
        assert sink.moments[-1].cap is None
        assert after(sink.moments, 119)[0].rate > 1_900_000

    def test_change_for_the_worse_while_there_is_a_cap(self) -> None:
        sink = SlowSink(control(), Encoder(**CHROMIUM), lambda now: 1_000_000 if now < 30 else 500_000)
        sink.run(60)
        assert dropped(sink.moments) == 0
        assert used(after(sink.moments, 15, 30)) > 0.7 * 1_000_000
        assert used(after(sink.moments, 40)) > 0.7 * 500_000

    def test_moment_without_progress(self) -> None:
        """The cap is back at what the server takes as soon as the queue is gone."""
        sink = SlowSink(control(), Encoder(**CHROMIUM), lambda now: 0 if 20 <= now < 21.5 else 6_000_000)
        sink.run(70)
        assert min(moment.cap or FLOOR for moment in after(sink.moments, 21, 23)) < 500_000
        assert min(moment.cap or 2_000_000 for moment in after(sink.moments, 26)) > 500_000
        assert sink.moments[-1].cap is None

    def test_publisher_that_sends_less_than_it_may(self) -> None:
        """That nothing waits proves little then, so the cap goes up more slowly."""
        caps = []
        for wanted in (2_000_000, 150_000):
            encoder = Encoder(**CHROMIUM, keyframe_bytes=10_000)
            sink = SlowSink(control(), encoder, lambda now: 600_000 if now < 20 else 3_000_000)
            sink.run(20)
            encoder.wanted = wanted
            sink.run(15)
            caps.append(sink.moments[-1].cap or 0)
        assert FLOOR < caps[1] < caps[0]


class Looks:
    """Loads of sinks, told as numbers."""

    def __init__(self, policy: Policy = Policy.FOLLOW_SLOWEST) -> None:
        self.control = control(policy)
        self.now = 0.0
        self.acknowledged = 0

    def look(self, *queues: int | None, seconds: float = UPDATE_INTERVAL, taken: int = 75_000) -> None:
        """Bytes that wait in the sinks "1", "2" …; None: it does not publish. `taken`: bytes a second."""
        for _ in range(round(seconds / UPDATE_INTERVAL)):
            self.now += UPDATE_INTERVAL
            self.acknowledged += round(taken * UPDATE_INTERVAL)
            loads = [
                SinkLoad(str(number), queue is not None, 0, queue or 0, self.acknowledged)
                for number, queue in enumerate(queues, 1)
            ]
            self.control.update(loads, 2_000_000, 100_000, self.now)

    def overload(self, *slow: str, count: int = 2) -> None:
        """A queue grows in the sinks of these ids for two seconds."""
        for step in range(8):
            queues = [50_000 * step if str(number + 1) in slow else 0 for number in range(count)]
            self.look(*queues)

    @property
    def state(self) -> tuple[int | None, str | None]:
        return self.control.cap, self.control.limited_by


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_key_frame_alone_does_not_cut(looks: Looks) -> None:
    looks.look(0, seconds=3)
    for _ in range(3):
        for queue in (100_000, 82_000, 64_000, 46_000, 28_000, 10_000, 0, 0, 0, 0):
            looks.look(queue)
    assert looks.state == (None, None)


def test_queue_that_stays_cuts(looks: Looks) -> None:
    looks.look(90_000, seconds=1.5)
    assert looks.state == (None, None)
    looks.look(90_000, seconds=1)
    assert looks.state == (FLOOR, "sink 1")


def test_cut_goes_by_the_length_of_the_queue() -> None:
    caps = []
    for queue in (250_000, 400_000):
        looks = Looks()
        looks.look(queue, seconds=2, taken=250_000)
        caps.append(looks.control.cap)
    # Of 2 Mbit/s, without the sound: 1 - 1/1.5, and the least there is.
    assert caps == [566_667, 400_000]


def test_next_cut_waits_for_the_encoder(looks: Looks) -> None:
    caps = []
    for step in range(12):
        looks.look(40_000 * step, taken=200_000)
        caps.append(looks.control.cap)
    first = next(cap for cap in caps if cap is not None)
    begin = caps.index(first)
    assert caps[begin : begin + 4] == [first] * 4
    assert caps[begin + 4] == 300_000


def test_cap_comes_back_with_the_queue_that_goes(looks: Looks) -> None:
    looks.overload("1", count=1)
    assert looks.control.cap == FLOOR
    caps = []
    for queue in range(300_000, 0, -10_000):
        looks.look(queue, taken=100_000)
        caps.append(looks.control.cap or 0)
    looks.look(0)
    assert caps == sorted(caps)
    # At last nearly all of 800 kbit/s, without the sound.
    assert looks.control.cap == pytest.approx(0.85 * 800_000 - 100_000, rel=0.05)


def test_nothing_more_before_it_was_calm(looks: Looks) -> None:
    looks.overload("1", count=1)
    looks.look(300_000, seconds=3)
    caps = []
    for _ in range(round((CALM_TIME + 1) / UPDATE_INTERVAL)):
        looks.look(0)
        caps.append(looks.control.cap)
    calm = round(CALM_TIME / UPDATE_INTERVAL)
    assert caps[calm - 1] == 410_000  # what came back at once, most of 600 kbit/s without the sound
    assert caps[calm] == round(410_000 * RAISE)


def test_cap_ends_far_above_what_was_sent(looks: Looks) -> None:
    looks.overload("1", count=1)
    highest = 0
    for _ in range(400):
        looks.look(0)
        highest = max(highest, looks.control.cap or 0)
    assert looks.state == (None, None)
    assert 2_800_000 < highest <= 3_000_000


def test_slowest_sink_counts(looks: Looks) -> None:
    looks.overload("2")
    assert looks.state == (FLOOR, "sink 2")


def test_primary_sink_alone_counts() -> None:
    looks = Looks(Policy.FOLLOW_PRIMARY)
    looks.overload("2")
    assert looks.state == (None, None)
    looks.overload("1")
    assert looks.state == (FLOOR, "sink 1")


def test_no_sink_counts() -> None:
    looks = Looks(Policy.OFF)
    looks.overload("1", "2")
    assert looks.state == (None, None)


def test_policy_may_be_changed(looks: Looks) -> None:
    looks.overload("2")
    looks.control.policy = Policy.FOLLOW_PRIMARY
    looks.look(0, 400_000)
    assert looks.state == (None, None)


def test_what_was_asked_for_counts_if_it_is_less(looks: Looks) -> None:
    looks.control.asked = 800_000
    assert looks.state == (800_000, "api")
    looks.overload("1")
    assert looks.state == (FLOOR, "sink 1")
    looks.control.asked = 100_000
    assert looks.state == (100_000, "api")
    looks.control.asked = FLOOR
    assert looks.state == (FLOOR, "api")
    looks.control.asked = None
    assert looks.state == (FLOOR, "sink 1")


def test_sink_that_is_gone_for_a_moment_keeps_its_cap(looks: Looks) -> None:
    looks.overload("1")
    looks.look(None, 0, seconds=MEMORY_OF_GONE)
    assert looks.state == (FLOOR, "sink 1")
    looks.look(0, 0)
    assert looks.state == (None, None)


def test_sink_that_is_back_goes_on_with_its_cap(looks: Looks) -> None:
    looks.overload("1")
    looks.look(None, 0, seconds=MEMORY_OF_GONE - UPDATE_INTERVAL)
    looks.look(0, 0)
    assert looks.control.limited_by == "sink 1"
    looks.look(None, 0, seconds=MEMORY_OF_GONE)
    assert looks.control.limited_by == "sink 1"
    looks.look(None, 0)
    assert looks.state == (None, None)


def test_sink_that_never_published_is_nobody(looks: Looks) -> None:
    looks.look(None, 0, seconds=MEMORY_OF_GONE)
    assert looks.state == (None, None)


def test_removed_sink_is_forgotten_at_once(looks: Looks) -> None:
    looks.overload("2")
    looks.look(0)
    assert looks.state == (None, None)


@settings(max_examples=50)
@given(
    loads=st.lists(
        st.tuples(st.booleans(), st.integers(0, MAX_QUEUE_MS), st.integers(0, 10**7), st.integers(0, 10**7)),
        max_size=60,
    ),
    video=st.integers(0, 10**8),
    audio=st.integers(0, 10**6),
)
def test_cap_is_never_below_the_floor(
    loads: list[tuple[bool, int, int, int]], video: int, audio: int
) -> None:
    quality = control()
    acknowledged = 0
    for number, (is_publishing, queue_ms, queue_bytes, taken) in enumerate(loads):
        acknowledged += taken
        load = SinkLoad("7", is_publishing, queue_ms, queue_bytes, acknowledged)
        quality.update([load], video, audio, number * UPDATE_INTERVAL)
        assert (quality.cap is None) == (quality.limited_by is None)
        assert quality.cap is None or quality.cap >= FLOOR
