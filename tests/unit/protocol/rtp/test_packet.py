"""RTP packets and header extensions: vectors, every malformed shape, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtp.packet import (
    ONE_BYTE_PROFILE,
    TWO_BYTE_PROFILE,
    Packet,
    header_extension,
    parse_packet,
    serialize_packet,
)

HEADER = bytes.fromhex("80e0 3039 075bcd15 cafebabe")
WITH_EXTENSION = b"\x90" + HEADER[1:]
# RFC 8285, 4.2, the figure of three elements with padding in between: IDs 1, 2 and 3.
ONE_BYTE_BLOCK = bytes.fromhex("10aa 21bbcc 0000 33ddeeff99")
# RFC 8285, 4.3, the figure: IDs 1 (empty), 2 (one octet), padding, 3 (four octets).
TWO_BYTE_BLOCK = bytes.fromhex("0100 0201aa 00 0304bbccddee")


def extended(profile: int, block: bytes) -> Packet:
    return Packet(96, False, 1, 2, 3, b"payload", block, profile)


def test_fixed_header() -> None:
    packet = parse_packet(HEADER + b"\x65\x88")
    assert packet == Packet(96, True, 12345, 123456789, 0xCAFEBABE, b"\x65\x88")
    assert parse_packet(b"\x80\x60" + HEADER[2:]).marker is False


def test_csrc_identifiers_are_skipped() -> None:
    assert parse_packet(b"\x82" + HEADER[1:] + b"csr1csr2media").payload == b"media"


def test_padding_is_removed() -> None:
    assert parse_packet(b"\xa0" + HEADER[1:] + b"media\0\0\x03").payload == b"media"


def test_a_packet_of_padding_only_is_empty() -> None:
    assert parse_packet(b"\xa0" + HEADER[1:] + bytes(254) + b"\xff").payload == b""


@pytest.mark.parametrize(
    ("profile", "block", "values"),
    [
        ("bede0003", ONE_BYTE_BLOCK, [b"\xaa", b"\xbb\xcc", b"\xdd\xee\xff\x99"]),
        ("10000003", TWO_BYTE_BLOCK, [b"", b"\xaa", b"\xbb\xcc\xdd\xee"]),
        ("100a0003", TWO_BYTE_BLOCK, [b"", b"\xaa", b"\xbb\xcc\xdd\xee"]),
    ],
)
def test_extension_elements(profile: str, block: bytes, values: list[bytes]) -> None:
    packet = parse_packet(WITH_EXTENSION + bytes.fromhex(profile) + block + b"media")
    assert packet.payload == b"media"
    assert [header_extension(packet, id) for id in (1, 2, 3)] == values
    assert header_extension(packet, 4) is None


def test_extension_after_csrc_and_before_padding() -> None:
    data = b"\xb1" + HEADER[1:] + b"csrc" + bytes.fromhex("bede0001 10aa0000") + b"media\x01"
    packet = parse_packet(data)
    assert (packet.payload, header_extension(packet, 1)) == (b"media", b"\xaa")


def test_an_extension_of_another_profile_has_no_elements() -> None:
    packet = parse_packet(WITH_EXTENSION + bytes.fromhex("abcd0001 10aa0000") + b"media")
    assert (packet.payload, packet.profile, header_extension(packet, 1)) == (b"media", 0xABCD, None)


def test_no_extension_has_no_elements() -> None:
    assert header_extension(parse_packet(HEADER), 1) is None


@pytest.mark.parametrize(
    ("profile", "block"),
    [
        (ONE_BYTE_PROFILE, "f0aa 10bb"),  # ID 15 ends the block.
        (ONE_BYTE_PROFILE, "02aabbcc 10bb0000"),  # So does ID 0 with a length.
        (ONE_BYTE_PROFILE, "13aabb"),  # Breaks off inside the element asked for,
        (ONE_BYTE_PROFILE, "27aabb"),  # or inside another.
        (ONE_BYTE_PROFILE, ""),
        (TWO_BYTE_PROFILE, "0103aabb"),
        (TWO_BYTE_PROFILE, "0209aabb"),
        (TWO_BYTE_PROFILE, "00000001"),
        (TWO_BYTE_PROFILE, ""),
    ],
)
def test_broken_extension_blocks_lack_the_element(profile: int, block: str) -> None:
    assert header_extension(extended(profile, bytes.fromhex(block)), 1) is None


def test_elements_before_the_end_of_a_block_count() -> None:
    assert header_extension(extended(ONE_BYTE_PROFILE, bytes.fromhex("10aa f0bb")), 1) == b"\xaa"


def test_id_15_is_an_ordinary_id_in_the_two_byte_form() -> None:
    assert header_extension(extended(TWO_BYTE_PROFILE, bytes.fromhex("0f01aa00")), 15) == b"\xaa"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:-1],
        b"\x40" + HEADER[1:],
        b"\xc0" + HEADER[1:],
        b"\x81" + HEADER[1:] + b"csr",
        WITH_EXTENSION + b"\xbe\xde\x00",
        WITH_EXTENSION + b"\xbe\xde\x00\x02" + bytes(7),
        b"\xa0" + HEADER[1:] + b"media\0",
        b"\xa0" + HEADER[1:] + b"media\x07",
        b"\xa0" + HEADER[1:],
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(ParseError) as failure:
        parse_packet(data)
    assert failure.value.reason is DropReason.RTP_MALFORMED


PACKETS = st.builds(
    Packet,
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40),
    extension=st.just(b""),
    profile=st.just(0),
)


@given(PACKETS, st.integers(0, 255))
def test_serialized_packets_parse_to_themselves(packet: Packet, padding: int) -> None:
    assert parse_packet(serialize_packet(packet, padding)) == packet


@given(PACKETS, st.binary(max_size=20), st.integers(1, 0xFFFF))
def test_extensions_are_filled_up_to_words(packet: Packet, block: bytes, profile: int) -> None:
    parsed = parse_packet(serialize_packet(packet._replace(extension=block, profile=profile)))
    assert len(parsed.extension) % 4 == 0
    assert parsed.extension.startswith(block)
    assert parsed._replace(extension=b"", profile=0) == packet


@given(
    st.one_of(
        st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"\xb0\x60" + tail + b"\0\0\0\x04")
    )
)
def test_any_bytes_parse_or_raise_parse_error(data: bytes) -> None:
    try:
        packet = parse_packet(data)
    except ParseError as failure:
        assert failure.reason is DropReason.RTP_MALFORMED
    else:
        assert len(packet.payload) + len(packet.extension) <= len(data) - 12


@given(st.sampled_from([ONE_BYTE_PROFILE, TWO_BYTE_PROFILE]), st.binary(max_size=40), st.integers(0, 255))
def test_any_extension_block_gives_a_part_of_it_or_none(profile: int, block: bytes, id: int) -> None:
    value = header_extension(extended(profile, block), id)
    assert value is None or value in block
