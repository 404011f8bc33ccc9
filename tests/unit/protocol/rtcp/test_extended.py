"""Extended reports: reference times, delays, and blocks that are passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.extended import (
    MAX_BLOCKS,
    MAX_DELAYS,
    DelayReport,
    LastReceiverReport,
    ReferenceTimeReport,
    parse_extended_report,
)

TIME = ReferenceTimeReport(0x11223344, 0xB44DB705_20000000)
DELAY = DelayReport(0x11223344, (LastReceiverReport(0xCAFEBABE, 0xB7052000, 0x00054000),))


def test_reference_time_bytes() -> None:
    # RFC 3611, 4.4: block type 4, block length 2.
    data = TIME.serialize()
    assert data == bytes.fromhex("80cf0004 11223344 04000002 b44db705 20000000")
    assert parse_extended_report(data[4:]) == [TIME]


def test_delay_bytes() -> None:
    # RFC 3611, 4.5: block type 5, block length 3 for each receiver.
    data = DELAY.serialize()
    assert data == bytes.fromhex("80cf0005 11223344 05000003 cafebabe b7052000 00054000")
    assert parse_extended_report(data[4:]) == [DELAY]


def test_several_blocks_and_one_of_another_type() -> None:
    # A packet of both known blocks, and between them a statistics summary (4.6) cut down to one word.
    blocks = TIME.serialize()[8:] + bytes.fromhex("06e00001 00000000") + DELAY.serialize()[8:]
    assert parse_extended_report(bytes.fromhex("11223344") + blocks) == [TIME, DELAY]


def test_a_report_without_blocks_says_nothing() -> None:
    assert parse_extended_report(bytes.fromhex("11223344")) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "112233",
        "11223344 0400",
        "11223344 06000001",
        "11223344 04000002 b44db705",
        "11223344 04000001 b44db705",
        "11223344 04000003 b44db705 20000000 00000000",
        "11223344 05000002 cafebabe b7052000",
    ],
)
def test_malformed(body: str) -> None:
    with pytest.raises(ParseError) as failure:
        parse_extended_report(bytes.fromhex(body))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


def test_blocks_are_bounded() -> None:
    block = TIME.serialize()[8:]
    assert parse_extended_report(bytes.fromhex("11223344") + block * MAX_BLOCKS) == [TIME] * MAX_BLOCKS
    for content in (block, bytes.fromhex("09000000")):
        with pytest.raises(ParseError):
            parse_extended_report(bytes.fromhex("11223344") + content * (MAX_BLOCKS + 1))


def test_the_receivers_answered_are_bounded() -> None:
    most = DelayReport(1, (LastReceiverReport(2, 3, 4),) * MAX_DELAYS)
    assert parse_extended_report(most.serialize()[4:]) == [most]
    with pytest.raises(ParseError):
        parse_extended_report(DelayReport(1, (*most.reports, most.reports[0])).serialize()[4:])


WORD = st.integers(0, 0xFFFFFFFF)


@given(WORD, st.lists(st.builds(LastReceiverReport, WORD, WORD, WORD), max_size=20))
def test_delays_parse_back(ssrc: int, reports: list[LastReceiverReport]) -> None:
    report = DelayReport(ssrc, tuple(reports))
    assert parse_extended_report(report.serialize()[4:]) == [report]


@given(st.binary(max_size=60))
def test_any_body_parses_or_raises_parse_error(body: bytes) -> None:
    try:
        reports = parse_extended_report(body)
    except ParseError as failure:
        assert failure.reason is DropReason.RTCP_MALFORMED
    else:
        assert len(reports) <= len(body) // 4
