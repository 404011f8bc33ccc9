"""AMF0: vectors by the sections of the format's specification, real metadata, round trips, hostile bytes."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.amf0 import MAX_DEPTH, MAX_VALUES, EcmaArray, Value

VECTORS: list[tuple[str, Value, bytes]] = [
    ("number", 3.5, bytes.fromhex("00 400c000000000000")),
    ("true", True, bytes.fromhex("01 01")),
    ("false", False, bytes.fromhex("01 00")),
    ("string", "live", b"\x02\x00\x04live"),
    ("string in UTF-8", "é", b"\x02\x00\x02\xc3\xa9"),
    ("empty string", "", b"\x02\x00\x00"),
    ("null", None, b"\x05"),
    ("object", {"app": "x"}, b"\x03\x00\x03app\x02\x00\x01x\x00\x00\x09"),
    ("empty object", {}, b"\x03\x00\x00\x09"),
    ("strict array", [1.0, None], b"\x0a\x00\x00\x00\x02" + bytes.fromhex("00 3ff0000000000000 05")),
    ("long string", "a" * 65536, b"\x0c\x00\x01\x00\x00" + b"a" * 65536),
    ("longest short string", "a" * 65535, b"\x02\xff\xff" + b"a" * 65535),
]

JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(("value", "data"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_vectors_both_ways(value: Value, data: bytes) -> None:
    assert amf0.encode(value) == data
    assert amf0.decode(data) == [value]


def test_decoded_types_are_exact() -> None:
    values = amf0.decode(amf0.encode(1, True, "1"))
    assert [type(value) for value in values] == [float, bool, str]


def test_integers_and_tuples_are_written_as_numbers_and_arrays() -> None:
    assert amf0.encode(7) == amf0.encode(7.0)
    assert amf0.encode((1, 2)) == amf0.encode([1.0, 2.0])


def test_ecma_array_is_written_with_its_count_and_read_as_a_dict() -> None:
    data = b"\x08\x00\x00\x00\x01\x00\x05width\x00" + struct.pack(">d", 640) + b"\x00\x00\x09"
    assert amf0.encode(EcmaArray(width=640)) == data
    assert amf0.decode(data) == [{"width": 640.0}]


def test_the_count_of_an_ecma_array_does_not_matter() -> None:
    assert amf0.decode(b"\x08\xff\xff\xff\xff\x00\x01a\x05\x00\x00\x09") == [{"a": None}]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x06", None),
        (b"\x0d", None),
        (b"\x0b" + struct.pack(">dh", 1000.0, -60), 1000.0),
        (b"\x0f\x00\x00\x00\x04<a/>", "<a/>"),
        (b"\x10\x00\x03Foo\x00\x01a\x01\x01\x00\x00\x09", {"a": True}),
        (b"\x01\x07", True),
        (b"\x02\x00\x01\xe9", "\N{REPLACEMENT CHARACTER}"),
        (b"\x03\x00\x00\x05\x00\x00\x09", {"": None}),
    ],
    ids=["undefined", "unsupported", "date", "xml", "typed object", "odd boolean", "Latin-1", "empty name"],
)
def test_forms_that_are_only_read(data: bytes, value: Value) -> None:
    assert amf0.decode(data) == [value]


def test_a_captured_command_of_ffmpeg() -> None:
    data = bytes.fromhex("0200086f6e4257446f6e6500000000000000000005 0040c0000000000000")
    assert amf0.decode(data) == ["onBWDone", 0.0, None, 8192.0]


def test_an_empty_body_has_no_values() -> None:
    assert amf0.decode(b"") == []
    assert amf0.encode() == b""


def test_a_lone_surrogate_is_replaced() -> None:
    assert amf0.decode(amf0.encode("a\ud800", {"\ud800": 1})) == ["a?", {"?": 1.0}]


def test_infinities_and_nan_survive() -> None:
    infinity, nan = amf0.decode(amf0.encode(math.inf, math.nan))
    assert infinity == math.inf
    assert isinstance(nan, float) and math.isnan(nan)


@settings(max_examples=40)
@given(st.lists(JSON_LIKE, max_size=3))
def test_round_trip(values: list[Value]) -> None:
    assert amf0.decode(amf0.encode(*values)) == values


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x40",
        b"\x01",
        b"\x02\x00",
        b"\x02\x00\x05live",
        b"\x0c\xff\xff\xff\xffx",
        b"\x03\x00\x01a",
        b"\x03\x00\x01a\x05",
        b"\x03\x00\x00",
        b"\x0a\x00\x00\x00\x02\x05",
        b"\x0a\xff\xff\xff\xff",
        b"\x0b" + bytes(8),
        b"\x04",
        b"\x07\x00\x00",
        b"\x09",
        b"\x0e",
        b"\x11\x06",
        b"\xff",
    ],
    ids=lambda data: data[:6].hex(),
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(ParseError) as error:
        amf0.decode(data)
    assert error.value.reason is DropReason.AMF0_MALFORMED


def nested(depth: int) -> Value:
    value: Value = None
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_both_ways() -> None:
    assert amf0.decode(amf0.encode(nested(MAX_DEPTH))) == [nested(MAX_DEPTH)]
    with pytest.raises(ValueError, match="too deep"):
        amf0.encode(nested(MAX_DEPTH + 1))
    with pytest.raises(ParseError):
        amf0.decode(b"\x0a\x00\x00\x00\x01" * (MAX_DEPTH + 1) + b"\x05")


def test_the_number_of_values_is_bounded() -> None:
    assert len(amf0.decode(b"\x05" * MAX_VALUES)) == MAX_VALUES
    with pytest.raises(ParseError):
        amf0.decode(b"\x05" * (MAX_VALUES + 1))


def test_what_has_no_form_is_the_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError):
        amf0.encode(b"bytes")
    with pytest.raises(ValueError, match="property name"):
        amf0.encode({"a" * 65536: 1})


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_a_parse_error(data: bytes) -> None:
    try:
        amf0.decode(data)
    except ParseError as error:
        assert error.reason is DropReason.AMF0_MALFORMED
