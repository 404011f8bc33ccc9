import pytest

from whipway.web import rate_limits
from whipway.web.rate_limits import MIN_BURST, RateLimiter

NOW = 1000.0
CLIENT = "203.0.113.1"


def taken(limiter: RateLimiter, count: int, now: float = NOW, address: str = CLIENT) -> int:
    """How many of so many requests at once are taken."""
    return sum(limiter.wait(address, now) == 0 for _ in range(count))


@pytest.mark.parametrize(
    ("per_minute", "burst"), [(1, 1), (6, 6), (10, 10), (12, 10), (40, 10), (120, 30), (1200, 300)]
)
def test_what_is_taken_at_once(per_minute: int, burst: int) -> None:
    assert taken(RateLimiter(per_minute), 1000) == burst


def test_no_limit() -> None:
    limiter = RateLimiter(0)
    assert taken(limiter, 1000) == 1000
    assert not limiter._even_at


@pytest.mark.parametrize("per_minute", [1, 7, 60, 120, 6000])
def test_the_wait_is_what_it_takes(per_minute: int) -> None:
    limiter = RateLimiter(per_minute)
    taken(limiter, per_minute)
    wait = limiter.wait(CLIENT, NOW)
    assert wait == pytest.approx(60 / per_minute, rel=1e-3)
    assert limiter.wait(CLIENT, NOW + wait * 0.9) > 0
    assert limiter.wait(CLIENT, NOW + wait) == 0


def test_who_is_turned_away_loses_nothing_by_asking() -> None:
    patient, impatient = RateLimiter(60), RateLimiter(60)
    assert taken(patient, 15) == taken(impatient, 15) == 15
    taken(impatient, 100)
    assert patient.wait(CLIENT, NOW) == impatient.wait(CLIENT, NOW)


def test_in_the_long_run() -> None:
    limiter = RateLimiter(60)
    count = sum(limiter.wait(CLIENT, NOW + tenth / 10) == 0 for tenth in range(6000))
    assert 600 <= count <= 600 + 15


def test_after_a_rest_the_burst_is_there_again() -> None:
    limiter = RateLimiter(40)
    assert taken(limiter, 50) == MIN_BURST
    assert taken(limiter, 50, NOW + 3600) == MIN_BURST


@pytest.mark.parametrize(
    ("address", "other", "is_same"),
    [
        ("203.0.113.1", "203.0.113.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("::ffff:203.0.113.1", "::ffff:203.0.113.2", False),
        ("testclient", "testclient", True),
        ("testclient", "other", False),
    ],
)
def test_whom_an_address_stands_for(address: str, other: str, is_same: bool) -> None:
    limiter = RateLimiter(1)
    assert limiter.wait(address, NOW) == 0
    assert (limiter.wait(other, NOW) > 0) == is_same


# The table


def test_clients_that_are_even_are_forgotten() -> None:
    limiter = RateLimiter(60)
    for number in range(100):
        limiter.wait(f"198.51.100.{number}", NOW)
    assert len(limiter._even_at) == 100
    limiter.wait(CLIENT, NOW + 2)
    assert list(limiter._even_at) == [CLIENT]


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CLIENTS", 3)
    limiter = RateLimiter(1)
    for number in range(4):
        assert limiter.wait(f"198.51.100.{number}", NOW) == 0
    assert list(limiter._even_at) == [f"198.51.100.{number}" for number in (1, 2, 3)]


def test_who_goes_on_asking_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CLIENTS", 3)
    limiter = RateLimiter(1)
    for number in range(10):
        assert (limiter.wait(CLIENT, NOW) > 0) == (number > 0)
        limiter.wait(f"198.51.100.{number}", NOW)
