"""AMF0, the value format inside RTMP commands and metadata (Action Message Format -- AMF 0, 2007).

`encode` writes Python values, `decode` reads a whole message body of values. Numbers are always floats on
the way in; undefined, unsupported and null are all None; dates are floats (milliseconds since 1970, their
time zone is reserved by section 2.13 and ignored); XML documents are strings.

Left out: references (section 2.9: no live encoder sends them, and they make a small body expand without
bound) and the switch to AMF3 (section 3.1: connections here never agree to AMF3). Both are malformed.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from whipway.failures import DropReason, ParseError

Value: TypeAlias = "None | bool | float | str | list[Value] | dict[str, Value]"

MAX_DEPTH: Final = 16
"""Containers in containers. Metadata of real encoders is two or three deep; more only costs stack."""
MAX_VALUES: Final = 4096
"""Values in one body, nested ones included. Thousands are already a cue point list nobody sends live."""

_NUMBER: Final = 0x00
_BOOLEAN: Final = 0x01
_STRING: Final = 0x02
_OBJECT: Final = 0x03
_NULL: Final = 0x05
_UNDEFINED: Final = 0x06
_ECMA_ARRAY: Final = 0x08
_OBJECT_END: Final = 0x09
_STRICT_ARRAY: Final = 0x0A
_DATE: Final = 0x0B
_LONG_STRING: Final = 0x0C
_UNSUPPORTED: Final = 0x0D
_XML_DOCUMENT: Final = 0x0F
_TYPED_OBJECT: Final = 0x10

_SHORT_STRING_MAX_BYTES: Final = 0xFFFF


class EcmaArray(dict[str, Value]):
    """A dict that `encode` writes as an ECMA array (section 2.10), the form players expect of onMetaData."""


def encode(*values: object) -> bytes:
    """The values one after another, as a message body has them.

    Takes None, bool, int, float, str, mappings with str keys, lists and tuples. A lone surrogate in a string
    becomes "?". Raises TypeError or ValueError for anything else, for property names over 65535 bytes and for
    nesting deeper than `MAX_DEPTH`: these are mistakes of the caller.
    """
    out = bytearray()
    for value in values:
        _write(out, value, 0)
    return bytes(out)


def decode(data: bytes) -> list[Value]:
    """All values of a message body. Raises `ParseError(AMF0_MALFORMED)` when any of it is malformed."""
    decoder = _Decoder(data)
    values = []
    while not decoder.at_end():
        values.append(decoder.value(0))
    return values


def _write(out: bytearray, value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("AMF0 values nested too deep")
    match value:
        case None:
            out.append(_NULL)
        case bool():
            out += bytes((_BOOLEAN, value))
        case int() | float():
            out += struct.pack(">Bd", _NUMBER, value)
        case str():
            _write_string(out, value)
        case list() | tuple():
            out += struct.pack(">BI", _STRICT_ARRAY, len(value))
            for item in value:
                _write(out, item, depth + 1)
        case Mapping():
            _write_mapping(out, value, depth)
        case _:
            raise TypeError(f"AMF0 has no form for {type(value).__name__}")


def _write_string(out: bytearray, value: str) -> None:
    text = value.encode(errors="replace")
    if len(text) > _SHORT_STRING_MAX_BYTES:
        out += struct.pack(">BI", _LONG_STRING, len(text))
    else:
        out += struct.pack(">BH", _STRING, len(text))
    out += text


def _write_mapping(out: bytearray, value: Mapping[str, object], depth: int) -> None:
    if isinstance(value, EcmaArray):
        out += struct.pack(">BI", _ECMA_ARRAY, len(value))
    else:
        out.append(_OBJECT)
    for key, item in value.items():
        name = key.encode(errors="replace")
        if len(name) > _SHORT_STRING_MAX_BYTES:
            raise ValueError("AMF0 property name over 65535 bytes")
        out += struct.pack(">H", len(name)) + name
        _write(out, item, depth + 1)
    out += bytes((0, 0, _OBJECT_END))


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.AMF0_MALFORMED, detail)


class _Decoder:
    """A cursor over one body. Readers get the depth of the value they read; only containers use it."""

    __slots__ = ("_count", "_data", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0
        self._count = 0

    def at_end(self) -> bool:
        return self._pos >= len(self._data)

    def value(self, depth: int) -> Value:
        self._count += 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            raise _malformed("too many values, or nested too deep")
        marker = self._data[self._take(1)]
        reader = _READERS.get(marker)
        if reader is None:
            raise _malformed(f"marker {marker:#04x}")
        return reader(self, depth)

    def _take(self, count: int) -> int:
        """Move `count` bytes on and return where they begin."""
        start = self._pos
        if count > len(self._data) - start:
            raise _malformed("truncated")
        self._pos = start + count
        return start

    def _uint(self, size: int) -> int:
        start = self._take(size)
        return int.from_bytes(self._data[start : start + size], "big")

    def _text(self, length_size: int) -> str:
        # Encoders do send Latin-1 titles as "UTF-8"; a wrong letter is no reason to lose a stream.
        length = self._uint(length_size)
        start = self._take(length)
        return self._data[start : start + length].decode(errors="replace")

    def number(self, _depth: int) -> float:
        number: float = struct.unpack_from(">d", self._data, self._take(8))[0]
        return number

    def boolean(self, _depth: int) -> bool:
        return self._uint(1) != 0

    def string(self, _depth: int) -> str:
        return self._text(2)

    def long_string(self, _depth: int) -> str:
        return self._text(4)

    def nothing(self, _depth: int) -> None:
        return None

    def date(self, depth: int) -> float:
        milliseconds = self.number(depth)
        self._take(2)
        return milliseconds

    def object(self, depth: int) -> dict[str, Value]:
        properties: dict[str, Value] = {}
        while True:
            name = self._text(2)
            if not name and self._data[self._pos : self._pos + 1] == b"\x09":
                self._pos += 1
                return properties
            properties[name] = self.value(depth + 1)

    def ecma_array(self, depth: int) -> dict[str, Value]:
        # Section 2.10: the count is followed by an object all the same; encoders send any count, mostly 0.
        self._take(4)
        return self.object(depth)

    def typed_object(self, depth: int) -> dict[str, Value]:
        self._text(2)
        return self.object(depth)

    def strict_array(self, depth: int) -> list[Value]:
        count = self._uint(4)
        if count > MAX_VALUES:
            raise _malformed(f"array of {count}")
        return [self.value(depth + 1) for _ in range(count)]


_READERS: Final[dict[int, Callable[[_Decoder, int], Value]]] = {
    _NUMBER: _Decoder.number,
    _BOOLEAN: _Decoder.boolean,
    _STRING: _Decoder.string,
    _OBJECT: _Decoder.object,
    _NULL: _Decoder.nothing,
    _UNDEFINED: _Decoder.nothing,
    _ECMA_ARRAY: _Decoder.ecma_array,
    _STRICT_ARRAY: _Decoder.strict_array,
    _DATE: _Decoder.date,
    _LONG_STRING: _Decoder.long_string,
    _UNSUPPORTED: _Decoder.nothing,
    _XML_DOCUMENT: _Decoder.long_string,
    _TYPED_OBJECT: _Decoder.typed_object,
}
