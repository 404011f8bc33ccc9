"""Wrapping counters made endless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtp.sequence import Extender


def test_the_first_value_stands_for_itself() -> None:
    assert Extender(16).extend(65535) == 65535


def test_sequence_numbers_go_on_after_the_wrap() -> None:
    extender = Extender(16)
    assert [extender.extend(n) for n in (65534, 65535, 0, 1)] == [65534, 65535, 65536, 65537]


def test_reordering_around_the_wrap() -> None:
    extender = Extender(16)
    assert [extender.extend(n) for n in (65534, 0, 65535, 2, 1)] == [65534, 65536, 65535, 65538, 65537]


def test_a_value_from_before_the_first_may_be_negative() -> None:
    extender = Extender(16)
    assert [extender.extend(n) for n in (0, 65535, 1)] == [0, -1, 1]


@pytest.mark.parametrize(("value", "expected"), [(0x7FFF, 0x7FFF), (0x8000, -0x8000)])
def test_half_the_range_decides_the_direction(value: int, expected: int) -> None:
    extender = Extender(16)
    extender.extend(0)
    assert extender.nearest(value) == expected
    assert extender.extend(value) == expected


def test_timestamps_have_32_bits() -> None:
    extender = Extender(32)
    assert [extender.extend(n) for n in (0xFFFFFFFF, 2999, 0xFFFFFFF0)] == [
        0xFFFFFFFF,
        0x100000BB7,
        0xFFFFFFF0,
    ]


def test_nearest_remembers_nothing() -> None:
    extender = Extender(16)
    extender.extend(100)
    assert extender.nearest(30_000) == 30_000
    assert extender.extend(60_000) == 60_000 - 65_536


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-0x7FFF, 0x7FFF), max_size=200))
def test_steps_below_half_the_range_are_followed_exactly(first: int, steps: list[int]) -> None:
    extender = Extender(16)
    highest = extender.extend(first)
    for step in steps:
        true = highest + step
        assert extender.extend(true & 0xFFFF) == true
        highest = max(highest, true)
