"""PLI and FIR, and which module reads the third format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.feedback import (
    FULL_INTRA_REQUEST,
    PICTURE_LOSS_INDICATION,
    FullIntraRequest,
    PictureLossIndication,
    parse_payload_feedback,
)
from whipway.protocol.rtcp.remb import APPLICATION_LAYER, BitrateEstimate

PLI = PictureLossIndication(0x11223344, 0xCAFEBABE)
FIR = FullIntraRequest(0x11223344, 0xCAFEBABE, 7)


def test_pli_bytes() -> None:
    # RFC 4585, 6.1 and 6.3.1: FMT 1, PT 206, length 2, no control information.
    assert PLI.serialize() == bytes.fromhex("81ce0002 11223344 cafebabe")


def test_fir_bytes() -> None:
    # RFC 5104, 4.3.1: FMT 4, length 2 + 2 * 1, media source 0, then SSRC, sequence number and reserved bits.
    assert FIR.serialize() == bytes.fromhex("84ce0004 11223344 00000000 cafebabe 07000000")


def test_the_fir_sequence_number_wraps_at_8_bits() -> None:
    assert FIR._replace(sequence=256 + 7).serialize() == FIR.serialize()


def test_bodies_parse_back() -> None:
    assert parse_payload_feedback(PICTURE_LOSS_INDICATION, PLI.serialize()[4:]) == [PLI]
    assert parse_payload_feedback(FULL_INTRA_REQUEST, FIR.serialize()[4:]) == [FIR]


def test_a_fir_may_have_several_entries() -> None:
    body = bytes.fromhex("11223344 00000000 00000001 05000000 00000002 06000000")
    assert parse_payload_feedback(FULL_INTRA_REQUEST, body) == [
        FullIntraRequest(0x11223344, 1, 5),
        FullIntraRequest(0x11223344, 2, 6),
    ]


def test_bitrate_estimates_have_their_own_parser() -> None:
    estimate = BitrateEstimate(0x11223344, 3_000_000, (0xCAFEBABE,))
    assert parse_payload_feedback(APPLICATION_LAYER, estimate.serialize()[4:]) == [estimate]


def test_other_formats_are_left_alone() -> None:
    assert parse_payload_feedback(APPLICATION_LAYER, bytes(16)) == []
    assert parse_payload_feedback(2, bytes(16)) == []


@pytest.mark.parametrize(("fmt", "size"), [(1, 0), (1, 7), (4, 8), (4, 15)])
def test_bodies_that_are_too_short(fmt: int, size: int) -> None:
    with pytest.raises(ParseError) as failure:
        parse_payload_feedback(fmt, bytes(size))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


@given(st.integers(0, 31), st.binary(max_size=60))
def test_any_body_parses_or_raises_parse_error(fmt: int, body: bytes) -> None:
    try:
        packets = parse_payload_feedback(fmt, body)
    except ParseError as failure:
        assert failure.reason is DropReason.RTCP_MALFORMED
    else:
        assert len(packets) <= len(body) // 8
