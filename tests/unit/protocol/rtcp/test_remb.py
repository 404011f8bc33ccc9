"""REMB, and the bitrate that follows loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.remb import (
    DECREASE_INTERVAL,
    INITIAL_BITRATE,
    MAX_BITRATE,
    MAX_GROWTH_TIME,
    MIN_BITRATE,
    BitrateEstimate,
    LossBasedEstimator,
    parse_estimate,
)


@pytest.mark.parametrize(
    ("bitrate", "exponent_and_mantissa"),
    [
        (0, "000000"),
        (0x3FFFF, "03ffff"),
        (0x40000, "060000"),
        (3_000_000, "12dc6c"),
        (0x3FFFF << 63, "ffffff"),
    ],
)
def test_estimate_bytes(bitrate: int, exponent_and_mantissa: str) -> None:
    # 2.2: 6 bits of exponent, 18 of mantissa; 3 000 000 is 187 500 << 4.
    data = BitrateEstimate(0x11223344, bitrate, (0xCAFEBABE,)).serialize()
    assert data == bytes.fromhex(f"8fce0005 11223344 00000000 52454d42 01{exponent_and_mantissa} cafebabe")
    assert parse_estimate(data[4:]) == BitrateEstimate(0x11223344, bitrate, (0xCAFEBABE,))


@given(st.integers(0, 1 << 40), st.lists(st.integers(0, 0xFFFFFFFF), max_size=255))
def test_estimates_parse_back_to_18_significant_bits(bitrate: int, ssrcs: list[int]) -> None:
    data = BitrateEstimate(1, bitrate, tuple(ssrcs)).serialize()
    estimate = parse_estimate(data[4:])
    assert estimate is not None
    assert estimate.ssrcs == tuple(ssrcs)
    assert 0 <= bitrate - estimate.bitrate <= bitrate >> 17


@pytest.mark.parametrize("body", [b"", bytes(8), bytes(16), b"\0" * 8 + b"REMB"])
def test_other_feedback_is_left_alone(body: bytes) -> None:
    assert parse_estimate(body) is None


def test_an_estimate_with_fewer_sources_than_it_says() -> None:
    with pytest.raises(ParseError) as failure:
        parse_estimate(bytes.fromhex("00000001 00000000 52454d42 02000001 00000002"))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


def test_a_clean_network_lets_the_estimate_grow_to_its_ceiling() -> None:
    estimator = LossBasedEstimator()
    assert estimator.update(0.0, 100.0) == INITIAL_BITRATE
    assert estimator.update(0.019, 101.0) == pytest.approx(INITIAL_BITRATE * 1.08, abs=1)
    assert estimator.update(0.0, 101.5) == pytest.approx(INITIAL_BITRATE * 1.08**1.5, abs=1)
    assert [estimator.update(0.0, 102.0 + second) for second in range(60)][-1] == MAX_BITRATE


def test_silence_does_not_count_as_growth() -> None:
    estimator = LossBasedEstimator()
    estimator.update(0.0, 0.0)
    expected = INITIAL_BITRATE * 1.08**MAX_GROWTH_TIME
    assert estimator.update(0.0, 3600.0) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.10])
def test_some_loss_holds_the_estimate(loss: float) -> None:
    estimator = LossBasedEstimator()
    assert [estimator.update(loss, float(second)) for second in range(5)] == [INITIAL_BITRATE] * 5


def test_high_loss_cuts_the_estimate_by_half_of_it() -> None:
    estimator = LossBasedEstimator()
    assert estimator.update(0.2, 0.0) == INITIAL_BITRATE * 0.9
    assert estimator.update(0.5, DECREASE_INTERVAL * 0.99) == INITIAL_BITRATE * 0.9
    assert estimator.update(0.5, DECREASE_INTERVAL) == pytest.approx(INITIAL_BITRATE * 0.9 * 0.75, abs=1)


def test_the_estimate_has_a_floor_and_recovers() -> None:
    estimator = LossBasedEstimator()
    assert [estimator.update(1.0, float(second)) for second in range(10)][-1] == MIN_BITRATE
    assert estimator.update(0.0, 10.0) == pytest.approx(MIN_BITRATE * 1.08, abs=1)
