"""The publisher against a server whose every answer a test writes down."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.chunk import ChunkReader, ChunkWriter
from whipway.protocol.rtmp.client import (
    _FAILURES,
    STEP_TIMEOUT,
    Failed,
    FailureReason,
    Publisher,
    Publishing,
    State,
)
from whipway.protocol.rtmp.handshake import ServerHandshake
from whipway.protocol.rtmp.messages import BandwidthLimit, Command, ControlEvent, Message, MessageType

NAME = "NAME?passcode=abc&x=1"
NOW = 100.0


def publisher(
    app: str = "live",
    authenticator: Authenticator | None = None,
    connect_values: dict[str, amf0.Value] | None = None,
) -> Publisher:
    return Publisher(
        app=app,
        tc_url=f"rtmp://127.0.0.1:1935/{app}",
        stream_name=NAME,
        random=random.Random(1).randbytes,
        now=NOW,
        authenticator=authenticator,
        connect_values=connect_values,
    )


class Server:
    """The other side: reads what the publisher sends, answers what it is told to."""

    def __init__(self, machine: Publisher | None = None) -> None:
        self.publisher = machine or publisher()
        self.handshake = ServerHandshake(random.Random(2).randbytes)
        self.reader = ChunkReader()
        self.writer = ChunkWriter()
        self.now = NOW

    def shake_hands(self) -> "Server":
        self.handshake.receive(self._sent())
        self.publisher.receive_data(self.handshake.data_to_send(), self.now)
        return self

    def _sent(self) -> bytes:
        return b"".join(self.publisher.data_to_send())

    def hear(self) -> list[Message]:
        data = self._sent()
        if not self.handshake.done:
            data = self.handshake.receive(data)
        return self.reader.receive(data)

    def hear_commands(self) -> list[Command]:
        received = self.hear()
        return [messages.parse_command(m) for m in received if m.type_id == MessageType.COMMAND]

    def tell(self, *sent: Message) -> None:
        data = b"".join(self.writer.write(message, 3) for message in sent)
        self.publisher.receive_data(data, self.now)

    def connected(self) -> "Server":
        self.shake_hands().hear()
        self.tell(CONNECTED)
        return self

    def requested(self) -> "Server":
        self.connected().hear()
        self.tell(CREATED)
        return self

    def publishing(self) -> "Server":
        self.requested().hear()
        self.tell(STARTED)
        assert self.publisher.events() == [Publishing()]
        return self

    def failure(self) -> tuple[FailureReason, str]:
        (event,) = self.publisher.events()
        assert isinstance(event, Failed)
        assert self.publisher.state is State.FAILED
        assert self.publisher.deadline() is None
        return event.reason, event.detail


def error(name: str, transaction_id: float, code: str, description: str = "") -> Message:
    information = {"level": "error", "code": code, "description": description}
    return messages.command(name, transaction_id, None, information)


CONNECTED = messages.connect_success(Command("connect", 1, []))
CREATED = messages.command("_result", 4, None, 7)
STARTED = messages.on_status("status", "NetStream.Publish.Start", "", stream_id=7)


# Steps.


def test_connect_waits_for_the_handshake() -> None:
    server = Server()
    assert server.publisher.state is State.HANDSHAKING
    server.shake_hands()
    (connect,) = server.hear_commands()
    assert (connect.name, connect.transaction_id) == ("connect", 1.0)
    (values,) = connect.args
    assert isinstance(values, dict)
    assert list(values)[:4] == ["app", "type", "flashVer", "tcUrl"]
    assert values["app"] == "live"
    assert values["type"] == "nonprivate"
    assert values["flashVer"] == "FMLE/3.0 (compatible; Whipway)"
    assert values["tcUrl"] == "rtmp://127.0.0.1:1935/live"
    assert server.publisher.state is State.CONNECTING


def test_connect_fits_the_first_bytes_exactly() -> None:
    server = Server().shake_hands()
    data = b"".join(server.publisher.data_to_send())[1536:]
    assert data.startswith(b"\x03\0\0\0" + (len(data) - 12 - 1).to_bytes(3, "big") + b"\x14\0\0\0\0")
    assert data[12:].startswith(b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live")


def test_after_connect() -> None:
    server = Server().connected()
    heard = server.hear()
    assert heard[0] == messages.window_ack_size(2_500_000)
    commands = [messages.parse_command(message) for message in heard[1:]]
    assert commands == [
        Command("releaseStream", 2.0, [None, NAME]),
        Command("FCPublish", 3.0, [None, NAME]),
        Command("createStream", 4.0, [None]),
    ]
    assert server.publisher.state is State.CREATING_STREAM


def test_the_chunk_size_is_announced_after_connect() -> None:
    server = Server().connected()
    announcement = ChunkWriter().write(messages.set_chunk_size(65536), 2)
    assert b"".join(server.publisher.data_to_send()).startswith(announcement)


def test_publish_goes_to_the_created_stream() -> None:
    server = Server().requested()
    (publish,) = server.hear()
    assert publish == messages.command("publish", 5, None, NAME, "live", stream_id=7)
    assert server.publisher.state is State.REQUESTING


def test_publishing() -> None:
    server = Server().publishing()
    assert server.publisher.state is State.PUBLISHING
    assert server.publisher.deadline() is None
    server.tell(STARTED)
    assert server.publisher.events() == []


def test_all_answers_at_once_after_the_questions() -> None:
    server = Server().connected()
    server.tell(
        messages.set_peer_bandwidth(2_500_000, BandwidthLimit.DYNAMIC),
        messages.command("onBWDone", 0, None, 8192),
        messages.command("_result", 2),
        CREATED,
        Message(MessageType.COMMAND, 0, 0, amf0.encode("onFCPublish")),
        messages.data_message("onTextData", None, stream_id=0),
        messages.user_control(ControlEvent.STREAM_BEGIN, 7),
        STARTED,
    )
    assert server.publisher.events() == [Publishing()]


def test_errors_of_release_stream_and_fc_publish_do_not_matter() -> None:
    server = Server().connected()
    server.tell(error("_error", 2, "NetConnection.Call.Failed"), error("_error", 3, "x"), CREATED, STARTED)
    assert server.publisher.events() == [Publishing()]


def test_answers_to_nothing_are_ignored() -> None:
    server = Server().shake_hands()
    server.tell(CREATED, STARTED, messages.command("_result", 99))
    assert server.publisher.state is State.CONNECTING
    server.tell(CONNECTED, CONNECTED)
    assert [command.name for command in server.hear_commands()].count("createStream") == 1


def test_answers_in_amf3_messages() -> None:
    server = Server().shake_hands()
    server.tell(CONNECTED._replace(type_id=MessageType.COMMAND_AMF3, payload=b"\0" + CONNECTED.payload))
    assert server.publisher.state is State.CREATING_STREAM


# Failures.


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (
            error("_error", 1, "NetConnection.Connect.Rejected", "[ code=403 ]"),
            FailureReason.REFUSED,
            "NetConnection.Connect.Rejected: [ code=403 ]",
        ),
        (error("_result", 1, "NetConnection.Connect.InvalidApp"), FailureReason.REFUSED, "InvalidApp"),
        (messages.command("_error", 1), FailureReason.REFUSED, "refused"),
        (error("onStatus", 0, ""), FailureReason.REFUSED, "without a code"),
        (messages.command("close", 0), FailureReason.CLOSED_EARLY, "close"),
    ],
)
def test_refused_connects(answer: Message, reason: FailureReason, detail: str) -> None:
    server = Server().shake_hands()
    server.tell(answer)
    failed, text = server.failure()
    assert failed is reason
    assert detail in text


def test_refused_create_stream() -> None:
    server = Server().connected()
    server.tell(messages.command("_error", 4, None, {"code": "Some.Warning"}))
    assert server.failure() == (FailureReason.REFUSED, "Some.Warning")


@pytest.mark.parametrize(
    "answer", [(None,), (), (None, "1"), (None, -1), (None, 1 << 32), (None, float("nan"))]
)
def test_create_stream_without_a_stream_id(answer: tuple[object, ...]) -> None:
    server = Server().connected()
    server.tell(messages.command("_result", 4, *answer))
    assert server.failure()[0] is FailureReason.PROTOCOL


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error("onStatus", 0, "NetStream.Publish.BadName"), FailureReason.BAD_NAME),
        (error("onStatus", 0, "NetStream.Publish.Denied"), FailureReason.REFUSED),
        (error("onStatus", 0, "Some.Other"), FailureReason.REFUSED),
        (error("_error", 5, "NetStream.Publish.BadName"), FailureReason.BAD_NAME),
        (messages.on_status("status", "NetStream.Publish.BadName", "", stream_id=7), FailureReason.BAD_NAME),
    ],
)
def test_refused_publishes(answer: Message, reason: FailureReason) -> None:
    server = Server().requested()
    server.tell(answer)
    assert server.failure()[0] is reason


@pytest.mark.parametrize(
    ("news", "reason"),
    [
        (messages.command("close", 0), FailureReason.CLOSED_BY_PEER),
        (error("onStatus", 0, "Some.Error"), FailureReason.CLOSED_BY_PEER),
        (error("onStatus", 0, "NetStream.Publish.BadName"), FailureReason.BAD_NAME),
        (
            messages.on_status("status", "NetStream.Unpublish.Success", "", stream_id=7),
            FailureReason.CLOSED_BY_PEER,
        ),
        (
            messages.on_status("status", "NetConnection.Connect.Closed", "", stream_id=0),
            FailureReason.CLOSED_BY_PEER,
        ),
    ],
)
def test_ends_while_publishing(news: Message, reason: FailureReason) -> None:
    server = Server().publishing()
    server.tell(news)
    assert server.failure()[0] is reason


CODES: dict[str, FailureReason] = {
    "NetStream.Publish.BadName": FailureReason.BAD_NAME,
    "NetStream.Publish.Denied": FailureReason.REFUSED,
    "NetStream.Unpublish.Success": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.Closed": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.AppShutdown": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.Rejected": FailureReason.REFUSED,
    "NetConnection.Connect.InvalidApp": FailureReason.REFUSED,
}


def test_every_code_that_ends_it_is_known() -> None:
    assert CODES.keys() == _FAILURES.keys()


@pytest.mark.parametrize("step", [Server.requested, Server.publishing])
@pytest.mark.parametrize(("code", "reason"), CODES.items())
def test_some_codes_end_it_whatever_their_level(
    step: Callable[[Server], Server], code: str, reason: FailureReason
) -> None:
    server = step(Server())
    server.tell(messages.on_status("status", code, "Said.", stream_id=7))
    assert server.failure() == (reason, f"{code}: Said.")


def test_other_status_does_not_matter() -> None:
    server = Server().requested()
    server.tell(messages.on_status("status", "NetStream.Record.Start", "", stream_id=7))
    assert server.publisher.state is State.REQUESTING
    assert server.publisher.events() == []


STEPS: list[tuple[Callable[[Server], object], str]] = [
    (lambda server: server, "answer to the handshake"),
    (Server.shake_hands, "answer to connect"),
    (Server.connected, "answer to createStream"),
    (Server.requested, "answer to publish"),
]


@pytest.mark.parametrize(("step", "awaited"), STEPS)
def test_each_step_has_its_time(step: Callable[[Server], object], awaited: str) -> None:
    server = Server()
    server.now = NOW
    step(server)
    assert server.publisher.deadline() == NOW + STEP_TIMEOUT
    server.publisher.handle_timeout(NOW + STEP_TIMEOUT - 0.01)
    assert server.publisher.events() == []
    server.publisher.handle_timeout(NOW + STEP_TIMEOUT)
    assert server.failure() == (FailureReason.TIMEOUT, f"no {awaited} in time")


def test_an_answer_starts_the_time_of_the_next_step() -> None:
    server = Server().shake_hands()
    server.now = NOW + 5
    server.tell(CONNECTED)
    assert server.publisher.deadline() == NOW + 5 + STEP_TIMEOUT


def test_there_is_no_timeout_while_publishing() -> None:
    server = Server().publishing()
    server.publisher.handle_timeout(NOW + 1e6)
    assert server.publisher.events() == []


@pytest.mark.parametrize(("step", "awaited"), STEPS)
def test_eof_tells_what_did_not_come(step: Callable[[Server], object], awaited: str) -> None:
    server = Server()
    step(server)
    early = server.publisher.state is not State.HANDSHAKING
    server.publisher.receive_eof()
    text = f"the server closed the connection instead of an {awaited}"
    # A server that does not even speak RTMP does not say no to a stream.
    assert server.failure() == (
        FailureReason.CLOSED_EARLY if early else FailureReason.CLOSED_BY_PEER,
        text,
    )


def test_eof_while_publishing() -> None:
    server = Server().publishing()
    server.publisher.receive_eof()
    assert server.failure() == (FailureReason.CLOSED_BY_PEER, "the server closed the connection")
    server.publisher.receive_eof()
    assert server.publisher.events() == []


def test_nothing_is_heard_after_a_failure() -> None:
    server = Server().requested()
    server.tell(error("onStatus", 0, "NetStream.Publish.BadName"), STARTED)
    assert server.failure()[0] is FailureReason.BAD_NAME
    server.tell(STARTED)
    assert server.publisher.events() == []


@pytest.mark.parametrize("data", [b"\x06", b"\x03" + bytes(3072) + b"\xc3", b"\x03" + bytes(3072) + b"\x82"])
def test_broken_servers(data: bytes) -> None:
    server = Server()
    server.publisher.receive_data(data, NOW)
    assert server.failure()[0] is FailureReason.PROTOCOL


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.COMMAND, 0, 0, b"\xff"),
        Message(MessageType.COMMAND, 0, 0, b""),
        Message(MessageType.ACKNOWLEDGEMENT, 0, 0, b""),
        Message(MessageType.COMMAND, 0, 0, bytes(65537)),
    ],
)
def test_broken_messages(message: Message) -> None:
    server = Server().publishing()
    server.tell(message)
    assert server.failure()[0] is FailureReason.PROTOCOL


@pytest.mark.parametrize("state", [Server.shake_hands, Server.publishing])
def test_too_many_messages_at_once(state: Callable[[Server], Server]) -> None:
    server = state(Server())
    empty = Message(MessageType.AUDIO, 7, 0, b"")
    server.publisher.receive_data(server.writer.write(empty, 4) + b"\xc4" * 65536, NOW)
    assert server.failure() == (FailureReason.PROTOCOL, "rtmp_malformed: too many messages at once")


# User name and password.

NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
CHALLENGE = "[ authmod=adobe ] : ?reason=needauth&user=bob&salt=c2FsdA==&challenge=b3A=&opaque=b3A="
WRONG = "[ authmod=adobe ] : ?reason=authfailed&opaque=b3A="


def rejected(description: str) -> Message:
    return error("_error", 1, "NetConnection.Connect.Rejected", description)


def asked_app(server: Server) -> str:
    """The application of the connect that came; its tcUrl must end with the same."""
    server.shake_hands()
    (connect,) = server.hear_commands()
    assert isinstance(connect.args[0], dict)
    app, url = connect.args[0]["app"], connect.args[0]["tcUrl"]
    assert isinstance(app, str)
    assert url == f"rtmp://127.0.0.1:1935/{app}"
    return app


@pytest.mark.parametrize(("app", "sign"), [("live", "?"), ("live?key=x", "&")])
def test_each_challenge_wants_another_connection(app: str, sign: str) -> None:
    authenticator = Authenticator("bob", "secret", random.Random(3).randbytes)
    apps = []
    for description in (NEED_AUTH, CHALLENGE):
        server = Server(publisher(app, authenticator))
        apps.append(asked_app(server))
        server.tell(rejected(description))
        assert server.failure() == (
            FailureReason.CHALLENGED,
            "the server asks for a user name and password",
        )
    server = Server(publisher(app, authenticator))
    apps.append(asked_app(server))
    assert apps[:2] == [app, f"{app}{sign}authmod=adobe&user=bob"]
    assert apps[2].startswith(f"{apps[1]}&challenge=")
    server.tell(CONNECTED)
    assert server.publisher.state is State.CREATING_STREAM
    assert asked_app(Server(publisher(app, authenticator))) == app


@pytest.mark.parametrize("user", [None, "bob"])
def test_who_has_no_right_is_told_so_in_other_words_than_the_server_s(user: str | None) -> None:
    authenticator = Authenticator(user, "secret", random.Random(3).randbytes) if user else None
    server = Server(publisher(authenticator=authenticator)).shake_hands()
    server.tell(rejected(WRONG))
    reason, detail = server.failure()
    assert reason is FailureReason.UNAUTHORIZED
    assert detail.startswith("the server ")
    assert "opaque" not in detail


def test_other_rejections_are_no_matter_of_authentication() -> None:
    authenticator = Authenticator("bob", "secret", random.Random(3).randbytes)
    server = Server(publisher(authenticator=authenticator)).shake_hands()
    server.tell(rejected("no app live?authmod=adobe&user=bob here"))
    assert server.failure()[0] is FailureReason.REFUSED


def test_authentication_is_a_matter_of_connect_alone() -> None:
    server = Server().requested()
    server.tell(error("onStatus", 0, "NetStream.Publish.Denied", NEED_AUTH))
    assert server.failure()[0] is FailureReason.REFUSED


# What connect says, and what its answer says.


def test_the_owner_s_values_go_with_connect() -> None:
    server = Server(publisher(connect_values={"fourCcList": ["Opus"], messages.PASS_PROPERTY: "abc"}))
    server.shake_hands()
    (connect,) = server.hear_commands()
    values = connect.args[0]
    assert isinstance(values, dict)
    assert values["fourCcList"] == ["Opus"]
    assert messages.connect_text(connect, "whipwayPass") == "abc"


def test_what_the_server_takes_is_known_from_its_answer_on() -> None:
    server = Server().shake_hands()
    assert server.publisher.takes("Opus") is None
    server.tell(messages.command("_result", 1, {"fourCcList": ["Opus"]}, {"code": "x"}))
    assert server.publisher.takes("Opus") is True
    assert server.publisher.takes("hvc1") is False


# Media.


def test_media_before_publishing_is_the_mistake_of_the_caller() -> None:
    machine = Server().requested().publisher
    for send in (machine.send_audio, machine.send_video, machine.send_data):
        with pytest.raises(RuntimeError, match="REQUESTING"):
            send(0, b"x")


def test_data_goes_out_as_it_is() -> None:
    server = Server().publishing()
    server.publisher.send_data(0x1_0000_0028, b"\x02\0\x0aonCuePoint\x05")
    assert server.hear() == [Message(MessageType.DATA, 7, 40, b"\x02\0\x0aonCuePoint\x05")]


def test_media_bytes() -> None:
    server = Server().publishing()
    server.publisher.send_audio(1000, b"\xaf\x01abc")
    server.publisher.send_video(0x1_0000_0001, b"\x17\x01")
    assert server.publisher.data_to_send() == [
        bytes.fromhex("04 0003e8 000005 08 07000000 af01") + b"abc",
        bytes.fromhex("06 000001 000002 09 07000000 1701"),
    ]


def test_large_frames_travel_in_announced_chunks() -> None:
    server = Server().publishing()
    server.publisher.send_video(0, bytes(200_000))
    server.publisher.send_data(40, amf0.encode("onMetaData", {}))
    video, data = server.hear()
    assert video == Message(MessageType.VIDEO, 7, 0, bytes(200_000))
    assert data.timestamp == 40


def test_pings_and_acknowledgements() -> None:
    server = Server().publishing()
    server.tell(messages.user_control(ControlEvent.PING_REQUEST, 5), messages.acknowledgement(777))
    assert server.hear() == [messages.user_control(ControlEvent.PING_RESPONSE, 5)]
    assert server.publisher.acknowledged_bytes == 777


# The end.


def test_a_polite_end() -> None:
    server = Server().publishing()
    server.publisher.close()
    assert server.hear_commands() == [
        Command("FCUnpublish", 0.0, [None, NAME]),
        Command("deleteStream", 0.0, [None, 7.0]),
    ]
    assert server.publisher.state is State.CLOSED
    server.publisher.close()
    server.publisher.receive_eof()
    server.tell(STARTED)
    assert server.hear() == []
    assert server.publisher.events() == []


def test_close_before_there_is_a_stream_says_nothing() -> None:
    server = Server().connected()
    server.hear()
    server.publisher.close()
    assert server.hear() == []
    assert server.publisher.deadline() is None


def test_close_after_a_failure_says_nothing() -> None:
    server = Server().publishing()
    server.publisher.receive_eof()
    server.publisher.close()
    assert server.hear() == []
    assert server.publisher.events() == []
    assert server.publisher.state is State.CLOSED


@settings(max_examples=50)
@given(st.sampled_from([0, 3073]), st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_of_a_server_raise(handshake: int, parts: list[bytes]) -> None:
    machine = publisher()
    machine.receive_data((b"\x03" + bytes(3072))[:handshake], NOW)
    for part in parts:
        machine.receive_data(part, NOW)
    assert all(isinstance(event, Failed) for event in machine.events())
