"""RTMP messages: their types, and how the ones that are not media are built and read.

RTMP 1.0, sections 5.4 (protocol control), 6.2 and 7.1.7 (user control), 7.1.1 (commands), 7.1.2 (data).
Builders return a `Message`, parsers take one and raise `ParseError`. What messages mean for a connection is
decided in `link`, `client` and `server`; how they travel, in `chunk`.

Left out: shared objects and aggregates (sections 7.1.3 and 7.1.6), which no live encoder sends.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp import amf0


class MessageType(IntEnum):
    """Message type ids (sections 5.4 and 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20


class ControlEvent(IntEnum):
    """User control event types (section 7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7


class BandwidthLimit(IntEnum):
    """Limit types of Set Peer Bandwidth (section 5.4.5)."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


MAX_CHUNK_SIZE: Final = 0x7FFFFFFF
"""Section 5.4.1: 31 bits; the top bit must be zero."""
CONTROL_STREAM_ID: Final = 0
"""Section 5.4: protocol control messages have message stream id 0; so have commands to the connection."""

_SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")
"""What publishers put before metadata; players get the metadata without it."""
PASS_PROPERTY: Final = "whipwayPass"  # noqa: S105 - the name of a property
"""A property of connect by which a server knows its own sinks; the value is a secret of one run."""

_SERVER_VERSION: Final = "FMS/3,0,1,123"
_SERVER_CAPABILITIES: Final = 31
"""The answers of Flash Media Server 3; players enable features by them, and other servers say the same."""
_DETAIL_MAX_CHARS: Final = 200

# Enhanced RTMP v2, "Enhancing NetConnection connect Command".
_ANY_CODEC: Final = "*"
FOUR_CC_LIST: Final = "fourCcList"
_FOUR_CC_MAPS: Final[dict[str, frozenset[str]]] = {
    "audioFourCcInfoMap": frozenset({"ac-3", "ec-3", ".mp3", "opus", "flac", "mp4a"}),
    "videoFourCcInfoMap": frozenset({"vp08", "vp09", "av01", "avc1", "hvc1", "vvc1"}),
}
"""And the codecs that "*" in each of them stands for, in lower case."""
_NAMES: Final = frozenset({_ANY_CODEC}).union(*_FOUR_CC_MAPS.values())
_TAKING_FLAGS: Final = frozenset(float(flags) for flags in range(8) if flags & 0x05)
"""FourCcInfoMask with CanDecode (1) or CanForward (4); CanEncode (2) alone is of no use to a publisher."""


class Message(NamedTuple):
    """One RTMP message. For audio and video the payload is the body of an FLV tag."""

    type_id: int
    stream_id: int
    """Message stream id, 32 bits."""
    timestamp: int
    """Milliseconds, 32 bits, wraps."""
    payload: bytes


class Command(NamedTuple):
    """A remote call or its answer (section 7.1.1). The first argument is the command object, often None."""

    name: str
    transaction_id: float
    args: list[amf0.Value]


class ControlMessage(NamedTuple):
    """A user control message: `event` may be a number `ControlEvent` does not list."""

    event: int
    data: bytes


class Status(NamedTuple):
    """The information object of _result, _error and onStatus (section 7.2.2). Missing members are empty."""

    level: str
    code: str
    description: str

    def __str__(self) -> str:
        """For people: what the peer said, printable and of bounded length."""
        text = ": ".join(part for part in (self.code, self.description) if part)
        return "".join(c if c.isprintable() else " " for c in text[:_DETAIL_MAX_CHARS])


# Protocol control (section 5.4).


def _uint32(type_id: MessageType, value: int) -> Message:
    return Message(type_id, CONTROL_STREAM_ID, 0, value.to_bytes(4, "big"))


def set_chunk_size(size: int) -> Message:
    """Chunks after this message hold up to `size` bytes, 1 to `MAX_CHUNK_SIZE`."""
    return _uint32(MessageType.SET_CHUNK_SIZE, size)


def abort(chunk_stream_id: int) -> Message:
    """The unfinished message on this chunk stream will not be finished."""
    return _uint32(MessageType.ABORT, chunk_stream_id)


def acknowledgement(received_bytes: int) -> Message:
    """So many bytes received so far; the sum wraps at 32 bits."""
    return _uint32(MessageType.ACKNOWLEDGEMENT, received_bytes & 0xFFFFFFFF)


def window_ack_size(size: int) -> Message:
    """Please acknowledge every `size` bytes."""
    return _uint32(MessageType.WINDOW_ACK_SIZE, size)


def set_peer_bandwidth(window: int, limit: BandwidthLimit) -> Message:
    """Please have no more than `window` bytes unacknowledged."""
    payload = window.to_bytes(4, "big") + bytes((limit,))
    return Message(MessageType.SET_PEER_BANDWIDTH, CONTROL_STREAM_ID, 0, payload)


def parse_uint32(message: Message) -> int:
    """The first four bytes: all of types 1, 2, 3 and 5, and the window of type 6."""
    if len(message.payload) < 4:
        raise ParseError(DropReason.RTMP_MALFORMED, f"message type {message.type_id} too short")
    return int.from_bytes(message.payload[:4], "big")


def parse_set_chunk_size(message: Message) -> int:
    """Section 5.4.1: at least 1, and the top bit zero."""
    size = parse_uint32(message)
    if not 1 <= size <= MAX_CHUNK_SIZE:
        raise ParseError(DropReason.RTMP_MALFORMED, f"chunk size {size}")
    return size


# User control (sections 6.2 and 7.1.7).


def user_control(event: ControlEvent, *values: int) -> Message:
    """An event with its 32-bit values: a stream id, a stream id and a buffer length, or a time."""
    payload = event.to_bytes(2, "big") + b"".join(value.to_bytes(4, "big") for value in values)
    return Message(MessageType.USER_CONTROL, CONTROL_STREAM_ID, 0, payload)


def parse_user_control(message: Message) -> ControlMessage:
    """The event and the bytes behind it."""
    if len(message.payload) < 2:
        raise ParseError(DropReason.RTMP_MALFORMED, "user control too short")
    return ControlMessage(int.from_bytes(message.payload[:2], "big"), message.payload[2:])


# Commands (section 7.1.1).


def command(name: str, transaction_id: float, *args: object, stream_id: int = CONTROL_STREAM_ID) -> Message:
    """A command message; `args` begin with the command object or None."""
    return Message(MessageType.COMMAND, stream_id, 0, amf0.encode(name, transaction_id, *args))


def parse_command(message: Message) -> Command:
    """Read a command of type 20, or of type 17 with AMF0 values in it as all senders do."""
    values = amf0.decode(_amf0_body(message))
    match values:
        case [str(name), float(transaction_id), *args]:
            return Command(name, transaction_id, args)
        case [str(name), *args]:
            # ffmpeg as a server sends onFCPublish and nothing else.
            return Command(name, 0.0, args)
        case _:
            raise ParseError(DropReason.RTMP_MALFORMED, "command without a name")


def connect_app(connect: Command) -> str:
    """What a connect command names as its application (section 7.2.1.1). Raises `ParseError` without one."""
    match connect.args:
        case [{"app": str(app)}, *_]:
            return app
        case _:
            raise ParseError(DropReason.RTMP_MALFORMED, "connect without an app")


def connect_text(connect: Command, key: str) -> str:
    """A text property of a connect command; empty when there is none."""
    match connect.args:
        case [dict(properties), *_]:
            return _text(properties.get(key))
        case _:
            return ""


def connect_success(connect: Command) -> Message:
    """The answer to `connect`; object encoding 0 keeps the peer to AMF0.

    Enhanced RTMP v2: who passes everything on may name "*" instead of codecs.
    """
    properties = {"fmsVer": _SERVER_VERSION, "capabilities": _SERVER_CAPABILITIES}
    information = {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "Connection succeeded.",
        "objectEncoding": 0,
        FOUR_CC_LIST: [_ANY_CODEC],
    }
    return command("_result", connect.transaction_id, properties, information)


def taken_codecs(answer: Command) -> frozenset[str]:
    """The codecs of Enhanced RTMP that a server says it takes in its answer to connect, in lower case.

    "*" is among them when it takes any. Objects may come in any place; the specification names none.
    """
    taken: set[str] = set()
    for values in answer.args:
        if isinstance(values, dict):
            listed = values.get(FOUR_CC_LIST)
            if isinstance(listed, list):
                taken.update(item.lower() for item in listed if isinstance(item, str))
            for key, known in _FOUR_CC_MAPS.items():
                taken |= _taken_by_map(values.get(key), known)
    return frozenset(taken & _NAMES)


def takes_codec(taken: frozenset[str], four_cc: str) -> bool:
    """Whether `four_cc` is one of the `taken_codecs`. Case does not matter: the specification's varies."""
    return _ANY_CODEC in taken or four_cc.lower() in taken


def _taken_by_map(flags_of: amf0.Value, known: frozenset[str]) -> frozenset[str]:
    if not isinstance(flags_of, dict):
        return frozenset()
    taken = {
        name.lower()
        for name, flags in flags_of.items()
        if isinstance(flags, float) and flags in _TAKING_FLAGS
    }
    return known if _ANY_CODEC in taken else known & taken


def stream_name(request: Command) -> str:
    """What a publish or play command names (sections 7.2.2.1 and 7.2.2.6); empty when it names nothing."""
    match request.args:
        case [_, str(name), *_]:
            return name
        case _:
            return ""


def on_status(level: str, code: str, description: str, *, stream_id: int) -> Message:
    """Section 7.2.2: the server tells what became of a command on a stream. Transaction id 0: no answer."""
    information = {"level": level, "code": code, "description": description}
    return command("onStatus", 0, None, information, stream_id=stream_id)


def parse_status(values: Command) -> Status:
    """The last object among the arguments; empty when there is none."""
    information: Mapping[str, amf0.Value] = {}
    for arg in values.args:
        if isinstance(arg, dict):
            information = arg
    level, code, description = (information.get(key) for key in ("level", "code", "description"))
    return Status(_text(level), _text(code), _text(description))


def _text(value: amf0.Value) -> str:
    return value if isinstance(value, str) else ""


# Data (section 7.1.2).


def data_message(*values: object, stream_id: int, timestamp: int = 0) -> Message:
    """A data message: metadata and the like."""
    return Message(MessageType.DATA, stream_id, timestamp, amf0.encode(*values))


def published_data(message: Message) -> Message:
    """A publisher's data message (type 18 or 15) as players get it: type 18, "@setDataFrame" stripped."""
    body = _amf0_body(message).removeprefix(_SET_DATA_FRAME)
    return message._replace(type_id=MessageType.DATA, payload=body)


def _amf0_body(message: Message) -> bytes:
    """Types 15 and 17 begin with a zero byte for AMF0; some senders forget it, and begin with a string."""
    in_amf3 = message.type_id in (MessageType.DATA_AMF3, MessageType.COMMAND_AMF3)
    return message.payload.removeprefix(b"\x00") if in_amf3 else message.payload
