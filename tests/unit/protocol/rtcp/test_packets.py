"""RTCP packets: bytes written and read, compound packets, and every malformed shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.extended import DelayReport, LastReceiverReport, ReferenceTimeReport
from whipway.protocol.rtcp.feedback import FullIntraRequest, PictureLossIndication
from whipway.protocol.rtcp.packets import (
    MAX_PACKETS,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    UnknownPacket,
    ntp_to_seconds,
    parse_compound,
    seconds_to_ntp,
)
from whipway.protocol.rtcp.remb import BitrateEstimate
from whipway.protocol.rtcp.transport import GenericNack
from whipway.protocol.rtcp.twcc import TransportFeedback


def parse(data: bytes) -> list[RtcpPacket]:
    """All there is to read."""
    return parse_compound(data, feedback=True)


# RFC 3550, 6.4.1, figure 2: the sender report n and the report block that answers it.
NTP = 0xB44DB705_20000000
BLOCK = ReportBlock(0xCAFEBABE, 64, -2, 0x0001_3039, 450, 0xB7052000, 0x00054000)
BLOCK_BYTES = bytes.fromhex("cafebabe 40fffffe 00013039 000001c2 b7052000 00054000")


def test_ntp_as_in_figure_2_of_rfc_3550() -> None:
    assert ntp_to_seconds(NTP) == 3024992005.125
    assert seconds_to_ntp(3024992005.125) == NTP


def test_ntp_wraps_in_2036() -> None:
    assert seconds_to_ntp(2**32 + 0.5) == 0x80000000


def test_receiver_report_bytes() -> None:
    data = ReceiverReport(0x11223344, (BLOCK,)).serialize()
    assert data == bytes.fromhex("81c90007 11223344") + BLOCK_BYTES
    assert parse(data) == [ReceiverReport(0x11223344, (BLOCK,))]


def test_an_empty_receiver_report() -> None:
    assert ReceiverReport(1).serialize() == bytes.fromhex("80c90001 00000001")


def test_sender_report_bytes() -> None:
    report = SenderReport(0x11223344, NTP, 0x01020304, 1000, 1_000_000, (BLOCK,))
    data = report.serialize()
    head = bytes.fromhex("81c8000c 11223344 b44db705 20000000 01020304 000003e8 000f4240")
    assert data == head + BLOCK_BYTES
    assert parse(data) == [report]


@pytest.mark.parametrize("lost", [0, 1, -1, 0x7FFFFF, -0x800000])
def test_cumulative_loss_is_signed(lost: int) -> None:
    report = ReceiverReport(1, (BLOCK._replace(cumulative_lost=lost),))
    assert parse(report.serialize()) == [report]


def test_profile_specific_extensions_are_passed_over() -> None:
    assert parse(bytes.fromhex("80c90002 00000001 deadbeef")) == [ReceiverReport(1)]


@pytest.mark.parametrize(
    ("cname", "data"),
    [
        ("a", "81ca0002 00000001 010161 00"),
        ("ab", "81ca0003 00000001 01026162 00000000"),
        ("", "81ca0002 00000001 0100 0000"),
    ],
)
def test_source_description_bytes(cname: str, data: str) -> None:
    # RFC 3550, 6.5: at least one null octet, up to the boundary.
    description = SourceDescription(((1, cname),))
    assert description.serialize() == bytes.fromhex(data)
    assert parse(description.serialize()) == [description]


def test_source_description_of_several_chunks_and_items() -> None:
    # A NAME item before the CNAME; a chunk without items; one that lacks its null octets at the very end.
    data = "83ca0007 00000001 020178 010161 0000 00000002 00000000 00000003 01026162"
    assert parse(bytes.fromhex(data)) == [SourceDescription(((1, "a"), (2, ""), (3, "ab")))]


def test_a_cname_that_is_not_utf_8_is_replaced() -> None:
    assert parse(bytes.fromhex("81ca0002 00000001 0101ff00")) == [
        SourceDescription(((1, "\N{REPLACEMENT CHARACTER}"),))
    ]


@pytest.mark.parametrize(
    ("goodbye", "data"),
    [
        (Goodbye((1, 2)), "82cb0002 00000001 00000002"),
        (Goodbye((1,), "bye"), "81cb0002 00000001 03627965"),
        (Goodbye((1,), "done"), "81cb0003 00000001 04646f6e 65000000"),
        (Goodbye(()), "80cb0000"),
    ],
)
def test_goodbye_bytes(goodbye: Goodbye, data: str) -> None:
    assert goodbye.serialize() == bytes.fromhex(data)
    assert parse(goodbye.serialize()) == [goodbye]


def test_a_compound_packet_is_read_in_order() -> None:
    packets: list[RtcpPacket] = [
        SenderReport(1, NTP, 2, 3, 4),
        SourceDescription(((1, "cname"),)),
        PictureLossIndication(1, 2),
        FullIntraRequest(1, 2, 3),
        BitrateEstimate(1, 3_000_000, (2,)),
        GenericNack(1, 2, (65535, 0)),
        TransportFeedback(1, 2, 3, 4, 5, (6, None, 7)),
        ReferenceTimeReport(1, NTP),
        DelayReport(1, (LastReceiverReport(2, 3, 4),)),
        Goodbye((1,)),
    ]
    data = b"".join(packet.serialize() for packet in packets if not isinstance(packet, UnknownPacket))
    assert parse(data) == packets


def test_reduced_size_packets_are_accepted() -> None:
    assert parse(PictureLossIndication(1, 2).serialize()) == [PictureLossIndication(1, 2)]


def test_unknown_types_and_formats_are_kept() -> None:
    data = bytes.fromhex("83cd0001 00000001 8fce0002 00000001 52454d42 80cf0001 00000001 80cc0000")
    assert parse(data) == [
        UnknownPacket(205, 3, b"\0\0\0\x01"),
        UnknownPacket(206, 15, b"\0\0\0\x01REMB"),
        UnknownPacket(207, 0, b"\0\0\0\x01"),
        UnknownPacket(204, 0, b""),
    ]


def test_what_is_of_use_to_senders_only_is_not_read() -> None:
    packets: list[RtcpPacket] = [
        ReceiverReport(1, (BLOCK,)),
        SourceDescription(((1, "name"),)),
        PictureLossIndication(1, 2),
        GenericNack(1, 2, (3,)),
        TransportFeedback(1, 2, 3, 4, 5, (None,) * 2000),
    ]
    data = b"".join(packet.serialize() for packet in packets if not isinstance(packet, UnknownPacket))
    read = parse_compound(data)
    assert {type(packet) for packet in read} == {UnknownPacket}
    assert [packet[0] for packet in read] == [201, 202, 206, 205, 205]


def test_report_blocks_of_a_sender_are_not_read() -> None:
    report = SenderReport(1, NTP, 2, 3, 4, (BLOCK,))
    assert parse_compound(report.serialize()) == [report._replace(reports=())]
    with pytest.raises(ParseError):
        parse_compound(bytes.fromhex("80c80005") + bytes(20))


def test_padding_is_removed() -> None:
    data = bytes.fromhex("a0cd0002 deadbeef 00000004")
    assert parse(data) == [UnknownPacket(205, 0, b"\xde\xad\xbe\xef")]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80c900",
        "40c90001 00000001",
        "80c90001 000000",
        "80c90001 00000001 00",
        "80c90000",
        "81c90001 00000001",
        "80c80005 00000001 0000000000000000 00000000 00000000",
        "81ca0000",
        "82ca0002 00000001 01016100",
        "81ca0002 00000001 01036161",
        "81ca0002 00000001 01016101",
        "81cb0000",
        "81cb0002 00000001 04627965",
        "81ce0001 00000001",
        "84ce0002 00000001 00000000",
        "81cd0001 00000001",
        "8fcd0001 00000001",
        "80cf0000",
        "80cf0002 00000001 04000002",
        "8fce0004 00000001 00000000 52454d42 01000000",
        "a0cd0001 00000000",
        "a0cd0001 00000005",
        "a0cd0000",
    ],
)
def test_malformed(data: str) -> None:
    with pytest.raises(ParseError) as failure:
        parse(bytes.fromhex(data))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


def test_the_number_of_packets_is_bounded() -> None:
    goodbye = Goodbye(()).serialize()
    assert len(parse(goodbye * MAX_PACKETS)) == MAX_PACKETS
    with pytest.raises(ParseError):
        parse(goodbye * (MAX_PACKETS + 1))


def test_the_values_of_all_packets_are_bounded() -> None:
    # One packet of extended reports becomes as many values as it has blocks.
    report = bytes.fromhex("80cf0031 00000001") + ReferenceTimeReport(1, NTP).serialize()[8:] * 16
    assert len(parse(report * 2)) == MAX_PACKETS
    with pytest.raises(ParseError):
        parse(report * 3)


def test_more_entries_than_the_count_can_say_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="at most 31"):
        Goodbye(tuple(range(32))).serialize()


@st.composite
def almost_rtcp(draw: st.DrawFn) -> bytes:
    """One or two packets with true lengths and anything inside."""
    data = b""
    for _ in range(draw(st.integers(1, 2))):
        first = 0x80 | draw(st.integers(0, 0x3F))
        words = draw(st.integers(0, 8))
        body = draw(st.binary(min_size=words * 4, max_size=words * 4))
        data += bytes((first, draw(st.integers(200, 207)), 0, words)) + body
    return data


@given(st.one_of(st.binary(max_size=80), almost_rtcp()))
def test_any_bytes_parse_or_raise_parse_error(data: bytes) -> None:
    try:
        packets = parse(data)
    except ParseError as failure:
        assert failure.reason is DropReason.RTCP_MALFORMED
    else:
        assert 1 <= len(packets) <= MAX_PACKETS
