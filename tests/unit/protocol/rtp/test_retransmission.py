"""Retransmissions, unwrapped and wrapped; byte by byte after the format of RFC 4588, 4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, parse_packet, serialize_packet
from whipway.protocol.rtp.retransmission import restore_packet, wrap_packet

MEDIA, RTX = 102, 103
PRIMARY, REPAIR = 0xAAAA_0001, 0xBBBB_0002
HEADER = bytes.fromhex("80e7 0007 00012345 bbbb0002")
"""Marker, payload type 103, sequence number 7, the SSRC that repairs."""


def packets() -> st.SearchStrategy[Packet]:
    return st.builds(
        Packet,
        payload_type=st.just(MEDIA),
        marker=st.booleans(),
        sequence_number=st.integers(0, 0xFFFF),
        timestamp=st.integers(0, 0xFFFF_FFFF),
        ssrc=st.just(PRIMARY),
        payload=st.binary(max_size=20),
        extension=st.binary(max_size=3).map(lambda words: words * 4),
        profile=st.just(ONE_BYTE_PROFILE),
    )


def test_the_original_comes_out() -> None:
    packet = parse_packet(HEADER + bytes.fromhex("fffe") + b"\x65picture")
    assert restore_packet(packet, MEDIA, PRIMARY) == Packet(
        MEDIA, True, 0xFFFE, 0x12345, PRIMARY, b"\x65picture"
    )


def test_the_header_extension_is_kept() -> None:
    header = bytes([HEADER[0] | 0x10]) + HEADER[1:]
    packet = parse_packet(header + bytes.fromhex("bede 0001 40 31 00 00") + b"\x01\x02\x65")
    restored = restore_packet(packet, MEDIA, PRIMARY)
    assert restored is not None
    assert (restored.profile, restored.extension) == (0xBEDE, bytes.fromhex("40310000"))
    assert (restored.sequence_number, restored.payload) == (0x0102, b"\x65")


def test_an_original_may_have_been_empty() -> None:
    restored = restore_packet(parse_packet(HEADER + b"\x01\x02"), MEDIA, PRIMARY)
    assert restored == Packet(MEDIA, True, 0x0102, 0x12345, PRIMARY, b"")


def test_padding_repeats_nothing() -> None:
    header = bytes([HEADER[0] | 0x20]) + HEADER[1:]
    assert restore_packet(parse_packet(header + b"\x00\x00\x03"), MEDIA, PRIMARY) is None


def test_half_an_original_number_is_malformed() -> None:
    with pytest.raises(ParseError) as caught:
        restore_packet(parse_packet(HEADER + b"\x01"), MEDIA, PRIMARY)
    assert caught.value.reason is DropReason.RTP_MALFORMED


def test_a_retransmission_on_the_wire() -> None:
    original = Packet(MEDIA, True, 0xFFFE, 0x12345, PRIMARY, b"\x65picture")
    wrapped = wrap_packet(original, RTX, REPAIR, 7)
    assert serialize_packet(wrapped) == HEADER + bytes.fromhex("fffe") + b"\x65picture"


@given(packets(), st.integers(0, 0xFFFF))
def test_what_is_wrapped_is_restored(packet: Packet, number: int) -> None:
    received = parse_packet(serialize_packet(wrap_packet(packet, RTX, REPAIR, number)))
    assert (received.payload_type, received.ssrc, received.sequence_number) == (RTX, REPAIR, number)
    assert restore_packet(received, MEDIA, PRIMARY) == packet


@given(st.binary(max_size=40))
def test_any_bytes_restore_or_raise_parse_error(data: bytes) -> None:
    try:
        restored = restore_packet(parse_packet(HEADER + data), MEDIA, PRIMARY)
    except ParseError as error:
        assert error.reason is DropReason.RTP_MALFORMED
        assert len(data) == 1
    else:
        assert restored is None or restored.payload == data[2:]
