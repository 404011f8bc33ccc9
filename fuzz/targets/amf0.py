"""Any bytes are AMF0 values or raise ParseError(AMF0_MALFORMED); the values are bounded in number and depth,
and what is written out reads back the same."""

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp.amf0 import MAX_VALUES, EcmaArray, Value, decode, encode

MAX_NAME_BYTES = 0xFFFF


def target(data: bytes) -> bool:
    try:
        values = decode(data)
    except ParseError as error:
        assert error.reason is DropReason.AMF0_MALFORMED
        return False
    assert sum(map(_count, values)) <= MAX_VALUES
    # Each byte that is not UTF-8 became three, so a name may have grown beyond what can be written.
    if len(data) <= MAX_NAME_BYTES // 3:
        # By their text, since NaN is equal to nothing.
        assert repr(decode(encode(*values))) == repr(values)
    return True


def _count(value: Value) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1


def seeds() -> list[bytes]:
    connect = encode("connect", 1, {"app": "live", "tcUrl": "rtmp://host/live", "fpad": False, "x": None})
    metadata = encode("@setDataFrame", "onMetaData", EcmaArray(width=1280.0, encoder="Whipway"))
    nested = encode([1, "two", [True, {"deep": [None, {}]}]], "x" * 70_000)
    dated = b"\x06\x0d\x0b" + bytes(10) + b"\x0f\x00\x00\x00\x01x"
    typed = b"\x10\x00\x04Type\x00\x01a\x05\x00\x00\x09"
    return [connect, metadata, nested, dated + typed]
