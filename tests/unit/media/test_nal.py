import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.h264 import annexb_join, annexb_split

from whipway.failures import DropReason, ParseError
from whipway.media.nal import (
    MAX_SEI_BYTES,
    BitReader,
    NalType,
    has_recovery_point,
    nal_type,
    remove_emulation_prevention,
    to_avcc,
    to_byte_stream,
)


def reader(bits: str) -> BitReader:
    bits = bits.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return BitReader(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def test_nal_type_is_the_low_five_bits():
    assert nal_type(b"\x67\x42") == NalType.SPS
    assert nal_type(b"\x25") == NalType.IDR


def test_to_avcc_puts_the_length_in_four_bytes_in_front_of_each():
    assert to_avcc([b"\x67\x01", b"\x65" + bytes(299)]) == (
        b"\x00\x00\x00\x02\x67\x01" + b"\x00\x00\x01\x2c\x65" + bytes(299)
    )
    assert to_avcc([]) == b""


def test_to_byte_stream_puts_a_start_code_in_front_of_each():
    nals = [b"\x67\x01", b"\x65" + bytes(2) + b"\x03\x01"]
    assert to_byte_stream(nals) == annexb_join(nals)
    assert annexb_split(to_byte_stream(nals)) == nals
    assert to_byte_stream([]) == b""


@pytest.mark.parametrize(
    ("coded", "plain"),
    [
        (b"\x67\x00\x00\x03\x01", b"\x67\x00\x00\x01"),
        (b"\x67\x00\x00\x03\x00\x00\x03", b"\x67\x00\x00\x00\x00"),
        (b"\x67\x00\x00\x03\x03", b"\x67\x00\x00\x03"),
        (b"\x67\x00\x03\x00\x03", b"\x67\x00\x03\x00\x03"),
    ],
)
def test_emulation_prevention_bytes_go(coded: bytes, plain: bytes):
    assert remove_emulation_prevention(coded) == plain


def emulate(rbsp: bytes) -> bytes:
    """The encoder's side of 7.3.1, byte by byte."""
    out = bytearray()
    for byte in rbsp:
        if byte <= 3 and out[-2:] == b"\x00\x00":
            out.append(3)
        out.append(byte)
    return bytes(out)


@given(st.lists(st.sampled_from([0, 0, 1, 3, 255]), max_size=60).map(bytes))
def test_emulation_prevention_is_undone_exactly(rbsp: bytes):
    assert remove_emulation_prevention(emulate(b"\x67" + rbsp)) == b"\x67" + rbsp


def test_bits_are_read_from_the_first_to_the_last():
    bits = reader("1 010 11110000 1010101010101010")
    assert bits.flag()
    assert bits.u(3) == 2
    assert bits.u(0) == 0
    assert bits.u(8) == 0xF0
    assert bits.u(16) == 0xAAAA
    assert not bits.flag()


# ITU-T H.264, Table 9-2 and Table 9-3.
@pytest.mark.parametrize(
    ("code", "unsigned", "signed"),
    [("1", 0, 0), ("010", 1, 1), ("011", 2, -1), ("00100", 3, 2), ("00101", 4, -2), ("0001000", 7, 4)],
)
def test_exp_golomb_codes(code: str, unsigned: int, signed: int):
    assert reader(code).ue() == unsigned
    assert reader(code).se() == signed


def test_the_longest_exp_golomb_code():
    assert reader("0" * 31 + "1" + "1" * 31).ue() == 2**32 - 2


@pytest.mark.parametrize("bits", ["0" * 32 + "1" + "0" * 32, "0000 0000", "0000 0001"])
def test_an_exp_golomb_code_that_does_not_end(bits: str):
    with pytest.raises(ParseError) as error:
        reader(bits).ue()
    assert error.value.reason == DropReason.H264_MALFORMED


def test_reading_past_the_end():
    bits = reader("00000001")
    assert bits.u(7) == 0
    with pytest.raises(ParseError) as error:
        bits.u(2)
    assert error.value.reason == DropReason.H264_MALFORMED
    assert bits.flag()


USER_DATA = b"\x05\x11" + bytes(range(1, 18))
RECOVERY = b"\x06\x01\xc4"
LONG = b"\x05\xff\x01" + bytes(256)


@pytest.mark.parametrize(
    ("nal", "found"),
    [
        (b"\x06" + RECOVERY + b"\x80", True),
        (b"\x66" + USER_DATA + RECOVERY + b"\x80", True),
        (b"\x06" + LONG.replace(bytes(256), b"\x07" * 256) + RECOVERY + b"\x80", True),
        # Emulation prevention bytes do not count for the size.
        (b"\x06\x05\x04\x00\x00\x03\x00\x00" + RECOVERY + b"\x80", True),
        (b"\x06" + USER_DATA + b"\x80", False),
        # 6 as a size, in a payload, and as a type of more than one byte.
        (b"\x06\x05\x06\x06\x06\x06\x06\x06\x06\x80", False),
        (b"\x06\xff\x06\x01\xc4\x80", False),
        (b"\x41" + RECOVERY + b"\x80", False),
        (b"\x06", False),
        (b"\x06\x80", False),
        (b"\x06\x05\x80", False),
        (b"\x06\xff\xff\xff\xff", False),
        (b"\x06\x05\xff\xff\xff", False),
        (b"\x06" + b"\x05\x01\x05" * MAX_SEI_BYTES + RECOVERY + b"\x80", False),
    ],
)
def test_recovery_points(nal: bytes, found: bool):
    assert has_recovery_point(nal) == found


@given(st.binary(max_size=40) | st.lists(st.sampled_from([0, 3, 5, 6, 255])).map(bytes))
def test_searching_any_bytes_ends(body: bytes):
    has_recovery_point(b"\x06" + body)


def test_annexb_of_the_peer():
    nals = [b"\x67\x42", b"\x68\xce\x00\x00\x03\x01", b"\x65\x88"]
    assert annexb_split(annexb_join(nals)) == nals
    assert annexb_split(b"\x00\x00\x01\x09\xf0\x00\x00\x01\x65\x88") == [b"\x09\xf0", b"\x65\x88"]
