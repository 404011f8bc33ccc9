"""Messages: byte vectors by section of RTMP 1.0, and what careless peers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.messages import (
    BandwidthLimit,
    Command,
    ControlEvent,
    ControlMessage,
    Message,
    MessageType,
    Status,
)


def as_command(*values: object, type_id: int = MessageType.COMMAND) -> Message:
    return Message(type_id, 0, 0, amf0.encode(*values))


@pytest.mark.parametrize(
    ("message", "type_id", "payload"),
    [
        (messages.set_chunk_size(65536), 1, "00010000"),
        (messages.abort(6), 2, "00000006"),
        (messages.acknowledgement(0x1_0000_0002), 3, "00000002"),
        (messages.user_control(ControlEvent.STREAM_BEGIN, 1), 4, "0000 00000001"),
        (messages.user_control(ControlEvent.SET_BUFFER_LENGTH, 1, 3000), 4, "0003 00000001 00000bb8"),
        (messages.user_control(ControlEvent.PING_RESPONSE, 0xFFFFFFFF), 4, "0007 ffffffff"),
        (messages.window_ack_size(2_500_000), 5, "002625a0"),
        (messages.set_peer_bandwidth(2_500_000, BandwidthLimit.DYNAMIC), 6, "002625a0 02"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_control_messages(message: Message, type_id: int, payload: str) -> None:
    assert message == Message(type_id, 0, 0, bytes.fromhex(payload))


def test_parse_uint32_reads_the_first_four_bytes() -> None:
    assert messages.parse_uint32(messages.set_peer_bandwidth(7, BandwidthLimit.HARD)) == 7
    assert messages.parse_set_chunk_size(messages.set_chunk_size(messages.MAX_CHUNK_SIZE)) == 0x7FFFFFFF


@pytest.mark.parametrize(
    ("parse", "payload"),
    [
        (messages.parse_uint32, b"abc"),
        (messages.parse_set_chunk_size, bytes(4)),
        (messages.parse_set_chunk_size, b"\x80\0\0\0"),
        (messages.parse_user_control, b"a"),
        (messages.parse_command, b""),
        (messages.parse_command, amf0.encode(1.0, "connect")),
        (messages.parse_command, amf0.encode(None)),
    ],
)
def test_malformed(parse: object, payload: bytes) -> None:
    assert callable(parse)
    with pytest.raises(ParseError) as error:
        parse(Message(1, 0, 0, payload))
    assert error.value.reason is DropReason.RTMP_MALFORMED


def test_user_control_keeps_unknown_events() -> None:
    message = Message(MessageType.USER_CONTROL, 0, 0, b"\x00\x1fabcd")
    assert messages.parse_user_control(message) == ControlMessage(31, b"abcd")


def test_a_command_both_ways() -> None:
    message = messages.command("publish", 5, None, "NAME?passcode=abc&x=1", "live", stream_id=1)
    assert message.payload == (
        b"\x02\x00\x07publish\x00\x40\x14\x00\x00\x00\x00\x00\x00\x05"
        b"\x02\x00\x15NAME?passcode=abc&x=1\x02\x00\x04live"
    )
    assert (message.type_id, message.stream_id, message.timestamp) == (20, 1, 0)
    expected = Command("publish", 5.0, [None, "NAME?passcode=abc&x=1", "live"])
    assert messages.parse_command(message) == expected


def test_amf3_commands_hold_amf0_behind_a_zero_byte() -> None:
    message = Message(MessageType.COMMAND_AMF3, 0, 0, b"\x00" + amf0.encode("connect", 1, {"app": "x"}))
    assert messages.parse_command(message) == Command("connect", 1.0, [{"app": "x"}])


def test_a_command_may_lack_its_transaction_id() -> None:
    assert messages.parse_command(as_command("onFCPublish")) == Command("onFCPublish", 0.0, [])
    assert messages.parse_command(as_command("a", True, "b")) == Command("a", 0.0, [True, "b"])


def test_connect_app() -> None:
    assert messages.connect_app(Command("connect", 1, [{"app": "live", "tcUrl": "x"}, None])) == "live"


@pytest.mark.parametrize("args", [[], [None], [{}], [{"app": 1.0}]])
def test_connect_without_an_app(args: list[amf0.Value]) -> None:
    with pytest.raises(ParseError):
        messages.connect_app(Command("connect", 1, args))


def test_connect_text() -> None:
    connect = Command("connect", 1, [{"app": "live", "fpad": False}])
    assert messages.connect_text(connect, "app") == "live"
    assert messages.connect_text(connect, "fpad") == ""
    assert messages.connect_text(connect, "tcUrl") == ""
    assert messages.connect_text(Command("connect", 1, [None]), "app") == ""
    assert messages.connect_text(Command("connect", 1, []), "app") == ""


@pytest.mark.parametrize(
    ("args", "takes", "refuses"),
    [
        ([], "", "Opus avc1"),
        ([None, "fourCcList"], "", "Opus"),
        ([{"fourCcList": ["av01", "Opus"]}, {"code": "x"}], "av01 Opus opus", "hvc1 mp4a"),
        ([None, {"fourCcList": ["Hvc1", 1.0, None, ["Opus"]]}], "hvc1", "Opus"),
        ([{"fourCcList": ["*"]}], "Opus hvc1 some", ""),
        ([{"fourCcList": "*"}], "", "Opus"),
        ([{"fourCcList": {"0": "*"}}], "", "Opus"),
        ([{"audioFourCcInfoMap": {"Opus": 1.0, "mp4a": 4.0, "fLaC": 7.0}}], "Opus mp4a fLaC", "hvc1 ac-3"),
        ([{"audioFourCcInfoMap": {"Opus": 2.0, "mp4a": 0.0, "fLaC": -1.0}}], "", "Opus mp4a fLaC"),
        ([{"audioFourCcInfoMap": {"Opus": "1", "mp4a": True, "ac-3": None}}], "", "Opus mp4a ac-3"),
        ([{"audioFourCcInfoMap": {"Opus": float("nan"), "mp4a": float("inf")}}], "", "Opus mp4a"),
        ([{"audioFourCcInfoMap": {"*": 4.0}}], "Opus mp4a", "hvc1 avc1 some"),
        ([{"videoFourCcInfoMap": {"*": 4.0}}], "hvc1 avc1", "Opus some"),
        ([{"videoFourCcInfoMap": ["*"]}], "", "hvc1"),
        ([{"videoFourCcInfoMap": {"avc1": 4.0}}, {"audioFourCcInfoMap": {"Opus": 5.0}}], "avc1 Opus", "hvc1"),
    ],
)
def test_codecs_that_a_server_takes(args: list[amf0.Value], takes: str, refuses: str) -> None:
    taken = messages.taken_codecs(Command("_result", 1, args))
    assert [name for name in takes.split() if not messages.takes_codec(taken, name)] == []
    assert [name for name in refuses.split() if messages.takes_codec(taken, name)] == []


def test_no_more_codecs_are_kept_than_there_are() -> None:
    names: list[amf0.Value] = [str(number) for number in range(1000)]
    assert messages.taken_codecs(Command("_result", 1, [{"fourCcList": [*names, "Opus"]}])) == {"opus"}


def test_connect_success() -> None:
    answer = messages.parse_command(messages.connect_success(Command("connect", 1.0, [])))
    assert (answer.name, answer.transaction_id) == ("_result", 1.0)
    assert answer.args[0] == {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}
    status = Status("status", "NetConnection.Connect.Success", "Connection succeeded.")
    assert messages.parse_status(answer) == status
    # Enhanced RTMP: all of it is passed on.
    assert isinstance(answer.args[1], dict)
    assert answer.args[1]["fourCcList"] == ["*"]
    assert messages.takes_codec(messages.taken_codecs(answer), "Opus")


@pytest.mark.parametrize(
    ("args", "name"),
    [([None, "x", "live"], "x"), ([None, "x"], "x"), ([None], ""), ([None, 1.0], ""), ([], "")],
)
def test_stream_name(args: list[amf0.Value], name: str) -> None:
    assert messages.stream_name(Command("play", 0, args)) == name


def test_on_status_both_ways() -> None:
    message = messages.on_status("error", "NetStream.Publish.BadName", "taken", stream_id=1)
    assert message.stream_id == 1
    command = messages.parse_command(message)
    assert command[:2] == ("onStatus", 0.0)
    assert messages.parse_status(command) == Status("error", "NetStream.Publish.BadName", "taken")


def test_status_of_odd_answers() -> None:
    assert messages.parse_status(Command("onStatus", 0, [])) == Status("", "", "")
    odd: list[amf0.Value] = [{"level": 1.0, "code": None, "description": ["x"]}]
    assert messages.parse_status(Command("onStatus", 0, odd)) == Status("", "", "")


def test_data_that_begins_with_a_number_is_left_alone() -> None:
    message = messages.data_message(1.0, stream_id=1)
    assert messages.published_data(message) == message


def test_status_text_is_printable_and_bounded() -> None:
    assert str(Status("error", "A.B", "no\nno")) == "A.B: no no"
    assert str(Status("error", "A.B", "")) == "A.B"
    assert len(str(Status("error", "A.B", "x" * 10000))) == 200


def test_data_message() -> None:
    message = messages.data_message("onMetaData", None, stream_id=1, timestamp=9)
    assert message == Message(18, 1, 9, b"\x02\x00\x0aonMetaData\x05")


@pytest.mark.parametrize("prefix", [b"\x02\x00\x0d@setDataFrame", b""])
@pytest.mark.parametrize(("type_id", "lead"), [(18, b""), (15, b"\x00"), (15, b"")])
def test_published_data(prefix: bytes, type_id: int, lead: bytes) -> None:
    body = amf0.encode("onMetaData", {"width": 640})
    message = Message(type_id, 5, 40, lead + prefix + body)
    assert messages.published_data(message) == Message(18, 5, 40, body)


@given(st.integers(0, 32), st.binary(max_size=100))
def test_any_bytes_parse_or_raise_a_parse_error(type_id: int, payload: bytes) -> None:
    message = Message(type_id, 0, 0, payload)
    messages.published_data(message)
    for parse in (messages.parse_set_chunk_size, messages.parse_user_control, messages.parse_command):
        try:
            parse(message)
        except ParseError as error:
            assert error.reason in (DropReason.RTMP_MALFORMED, DropReason.AMF0_MALFORMED)
