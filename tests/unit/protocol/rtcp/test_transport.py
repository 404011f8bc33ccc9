"""Generic NACKs, and which module reads which format of transport-layer feedback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.transport import (
    GENERIC_NACK,
    MAX_NACK_NUMBERS,
    GenericNack,
    parse_transport_feedback,
)
from whipway.protocol.rtcp.twcc import TRANSPORT_WIDE, TransportFeedback

SSRCS = bytes.fromhex("11223344 cafebabe")


def nack(*lost: int) -> GenericNack:
    return GenericNack(0x11223344, 0xCAFEBABE, lost)


@pytest.mark.parametrize(
    ("lost", "pairs"),
    [
        ((5,), "0005 0000"),
        ((5, 6, 21), "0005 8001"),
        ((5, 22), "0005 0000 0016 0000"),
        ((65535, 0), "ffff 0001"),
        ((65530, 65535, 9, 10, 11), "fffa c010 000b 0000"),
        ((7, 3), "0007 0000 0003 0000"),
        ((7, 7), "0007 0000 0007 0000"),
    ],
)
def test_nack_bytes(lost: tuple[int, ...], pairs: str) -> None:
    # RFC 4585, 6.1 and 6.2.1: FMT 1, PT 205, length 2 and one for each pair.
    content = bytes.fromhex(pairs)
    assert nack(*lost).serialize() == bytes((0x81, 205, 0, 2 + len(content) // 4)) + SSRCS + content
    assert parse_transport_feedback(GENERIC_NACK, SSRCS + content) == [nack(*lost)]


@given(st.sets(st.integers(0, 65535), min_size=1, max_size=MAX_NACK_NUMBERS), st.integers(0, 65535))
def test_nacks_parse_back(numbers: set[int], start: int) -> None:
    # In the order of a receiver: from any number on, across the wrap.
    lost = sorted(numbers, key=lambda number: number - start & 0xFFFF)
    data = nack(*lost).serialize()
    assert len(data) <= 12 + 4 * MAX_NACK_NUMBERS < 1200
    assert parse_transport_feedback(GENERIC_NACK, data[4:]) == [nack(*lost)]


@pytest.mark.parametrize("count", [0, MAX_NACK_NUMBERS + 1])
def test_nacks_of_none_or_too_many_are_a_mistake_of_ours(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 256 packets"):
        nack(*range(count)).serialize()


@pytest.mark.parametrize("size", [0, 7, 8, 11, 8 + 4 * (MAX_NACK_NUMBERS + 1)])
def test_nacks_of_a_wrong_size(size: int) -> None:
    with pytest.raises(ParseError) as failure:
        parse_transport_feedback(GENERIC_NACK, bytes(size))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


def test_the_longest_nack_is_read() -> None:
    packets = parse_transport_feedback(GENERIC_NACK, SSRCS + b"\0\0\xff\xff" * MAX_NACK_NUMBERS)
    assert packets == [nack(*list(range(17)) * MAX_NACK_NUMBERS)]


def test_transport_wide_feedback_has_its_own_parser() -> None:
    feedback = TransportFeedback(1, 2, 3, 4, 5, (0,))
    assert parse_transport_feedback(TRANSPORT_WIDE, feedback.serialize()[4:]) == [feedback]


def test_other_formats_are_left_alone() -> None:
    assert parse_transport_feedback(3, bytes(20)) == []


@given(st.integers(0, 31), st.binary(max_size=60))
def test_any_body_parses_or_raises_parse_error(fmt: int, body: bytes) -> None:
    try:
        packets = parse_transport_feedback(fmt, body)
    except ParseError as failure:
        assert failure.reason is DropReason.RTCP_MALFORMED
    else:
        assert len(packets) == (fmt in (GENERIC_NACK, TRANSPORT_WIDE))
