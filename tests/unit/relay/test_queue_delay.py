import pytest

from whipway.relay.queue_delay import MAX_DELAY, MEMORY, SURE_AFTER, QueueDelay, SinkLoad

LOOK = 0.25
OFFERED = 800_000.0
"""Bits a second: 25 kB from one look to the next."""


class Watch:
    """Looks at a server every quarter of a second."""

    def __init__(self) -> None:
        self.delay = QueueDelay()
        self.now = 100.0
        self.acknowledged = 1_000_000

    def look(self, *queue_bytes: int, taken: int = 25_000, queue_ms: int = 0) -> QueueDelay:
        """Once for each of these, with `taken` bytes acknowledged meanwhile."""
        for count in queue_bytes:
            self.now += LOOK
            self.acknowledged += taken
            self.delay.note(SinkLoad("1", True, queue_ms, count, self.acknowledged), OFFERED, self.now)
        return self.delay


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_first_look_goes_by_what_is_sent(watch: Watch) -> None:
    delay = watch.look(50_000)
    assert delay.delay == 0.5
    assert delay.rate == 0.0
    assert delay.growth == 0.0
    assert delay.least == 0.0
    assert delay.is_busy
    assert not delay.is_sure


def test_empty_queue(watch: Watch) -> None:
    delay = watch.look(0, 0, 0)
    assert delay.delay == 0.0
    assert not delay.is_busy
    assert not delay.is_sure
    assert delay.drained_since == 100.25


def test_what_is_next_to_nothing_does_not_wait(watch: Watch) -> None:
    assert not watch.look(11_000, taken=100).is_busy  # few bytes
    assert not watch.look(14_000).is_busy  # a short time


def test_rate_is_the_servers_once_something_waits_for_a_while(watch: Watch) -> None:
    watch.look(0, 0, 0)
    assert not watch.look(30_000, 60_000, taken=10_000).is_sure
    delay = watch.look(90_000, taken=10_000)
    assert delay.is_sure
    assert delay.rate == 320_000
    # By the rate up to then, which was over half a second.
    assert delay.delay == 90_000 * 8 / 320_000


def test_rate_is_that_since_the_queue_began(watch: Watch) -> None:
    watch.look(0, 0, 0)
    watch.look(50_000, taken=25_000)
    # In lumps: the mean is right only over a longer time.
    watch.look(50_000, 50_000, 50_000, taken=0)
    delay = watch.look(50_000, taken=50_000)
    assert delay.rate == 400_000


def test_rate_looks_back_only_so_far(watch: Watch) -> None:
    looks = round(MEMORY / LOOK)
    watch.look(*[90_000] * looks, taken=1_000)
    assert watch.look(*[90_000] * looks, taken=20_000).rate == 640_000


def test_queue_in_the_sink_itself_is_proof_enough(watch: Watch) -> None:
    watch.look(0, 0, 0)
    assert not watch.look(30_000, queue_ms=199).is_sure
    assert watch.look(30_000, queue_ms=200).is_sure
    assert LOOK < SURE_AFTER
    # But not one of a few bytes.
    assert not watch.look(500, queue_ms=200).is_sure


def test_server_that_takes_nothing(watch: Watch) -> None:
    delay = watch.look(50_000, 50_000, 50_000, 50_000, taken=0)
    assert delay.is_sure
    assert delay.rate == 0.0
    assert delay.delay == 50.0
    assert watch.look(5_000_000, taken=0).delay == MAX_DELAY


def test_growth_is_without_the_greatest_step(watch: Watch) -> None:
    watch.look(0, 0)
    # A key frame, and then as much goes as comes.
    assert watch.look(60_000).growth == 0.0
    assert watch.look(60_000).growth == 0.0
    assert watch.look(40_000).growth == pytest.approx(-0.2)
    growing = Watch()
    assert growing.look(0, 20_000, 40_000, 60_000, 80_000).growth == pytest.approx(0.6)


def test_growth_looks_back_a_second(watch: Watch) -> None:
    watch.look(0, 30_000, 60_000, 90_000)
    assert watch.look(90_000, 90_000, 90_000, 90_000).growth == pytest.approx(0.0)


def test_least_needs_something_to_look_back_on(watch: Watch) -> None:
    assert watch.look(*[50_000] * 7).least == 0.0
    assert watch.look(50_000).least == 0.5
    assert watch.look(30_000, 50_000).least == pytest.approx(0.3)
    assert watch.look(*[50_000] * 11).least == 0.5


def test_drained_as_long_as_it_is_empty_now_and_then(watch: Watch) -> None:
    watch.look(0)
    since = watch.now
    for _ in range(4):
        watch.look(*[40_000] * 10)
        assert watch.look(0).drained_since == since
    assert watch.look(*[40_000] * 10).drained_since == since
    assert watch.look(40_000).drained_since is None
    assert watch.look(0).drained_since == watch.now
