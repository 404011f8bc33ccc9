"""The server machine against a hand-driven client, and against the real publisher in any fragmentation."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.chunk import ChunkReader, ChunkWriter, serialize_message
from whipway.protocol.rtmp.client import Failed, FailureReason, Publisher, Publishing
from whipway.protocol.rtmp.handshake import PACKET_BYTES
from whipway.protocol.rtmp.messages import BandwidthLimit, ControlEvent, Message, MessageType, Status
from whipway.protocol.rtmp.server import (
    HELD_MAX_BYTES,
    STEP_TIMEOUT,
    Closed,
    CloseReason,
    MediaReceived,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ServerConnection,
    State,
    serialize_for_players,
)

NOW = 100.0
VIDEO = Message(MessageType.VIDEO, 1, 40, b"\x17\x01video")
AUDIO = Message(MessageType.AUDIO, 1, 45, b"\xaf\x01audio")


class Client:
    """The other side: says what it is told to, reads what comes."""

    def __init__(self) -> None:
        self.server = ServerConnection(random=random.Random(1).randbytes, now=NOW)
        self.reader = ChunkReader()
        self.writer = ChunkWriter()

    def shake_hands(self) -> "Client":
        self.server.receive_data(b"\x03" + bytes(2 * PACKET_BYTES), NOW)
        assert len(b"".join(self.server.data_to_send())) == 1 + 2 * PACKET_BYTES
        return self

    def tell(self, *sent: Message, now: float = NOW) -> None:
        self.server.receive_data(b"".join(self.writer.write(message, 3) for message in sent), now)

    def call(self, name: str, transaction_id: float, *args: object) -> None:
        self.tell(messages.command(name, transaction_id, *args))

    def hear(self) -> list[Message]:
        return self.reader.receive(b"".join(self.server.data_to_send()))

    def connected(self, app: str = "live") -> "Client":
        self.shake_hands().call("connect", 1, {"app": app})
        self.hear()
        return self

    def requested(self, command: str = "publish", name: str = "NAME") -> "Client":
        self.connected().call(command, 5, None, name)
        self.server.events()
        return self

    def publishing(self) -> "Client":
        self.requested("publish").server.accept_publish()
        self.hear()
        return self

    def playing(self) -> "Client":
        self.requested("play").server.accept_play()
        self.hear()
        return self

    def closed(self) -> tuple[CloseReason, str]:
        (event,) = self.server.events()
        assert isinstance(event, Closed)
        assert self.server.state is State.CLOSED
        return event.reason, event.detail


def statuses(heard: list[Message]) -> list[tuple[str, str]]:
    commands = [messages.parse_command(m) for m in heard if m.type_id == MessageType.COMMAND]
    found = [messages.parse_status(command) for command in commands if command.name == "onStatus"]
    return [(status.level, status.code) for status in found]


# Connecting.


def test_the_answer_to_connect() -> None:
    client = Client().shake_hands()
    assert client.server.state is State.CONNECTING
    client.call("connect", 1, {"app": "live", "objectEncoding": 3})
    data = b"".join(client.server.data_to_send())
    window, bandwidth, result = client.reader.receive(data)
    assert window == messages.window_ack_size(2_500_000)
    assert bandwidth == messages.set_peer_bandwidth(2_500_000, BandwidthLimit.DYNAMIC)
    assert serialize_message(messages.set_chunk_size(65536), 2, 128) in data
    answer = messages.parse_command(result)
    assert (answer.name, answer.transaction_id) == ("_result", 1.0)
    code = "NetConnection.Connect.Success"
    assert messages.parse_status(answer) == Status("status", code, "Connection succeeded.")
    assert client.server.state is State.CONNECTED


@pytest.mark.parametrize("name", ["releaseStream", "FCPublish", "FCSubscribe", "getStreamLength", "_checkbw"])
def test_calls_that_only_want_an_answer(name: str) -> None:
    client = Client().connected()
    client.call(name, 2, None, "NAME")
    assert client.hear() == [messages.command("_result", 2, None, None)]
    client.call(name, 0, None, "NAME")
    assert client.hear() == []


def test_create_stream_is_always_1() -> None:
    client = Client().connected()
    for transaction_id in (4, 5):
        client.call("createStream", transaction_id, None)
        assert client.hear() == [messages.command("_result", transaction_id, None, 1)]


def test_unknown_calls_and_messages_are_ignored() -> None:
    client = Client().connected()
    client.call("pause", 9, None, True, 0)
    client.tell(Message(22, 1, 0, b"aggregate"), Message(MessageType.ACKNOWLEDGEMENT, 0, 0, bytes(4)))
    assert client.hear() == []
    assert client.server.events() == []


def test_commands_in_amf3_messages() -> None:
    client = Client().shake_hands()
    body = amf0.encode("connect", 1, {"app": "live"})
    client.tell(Message(MessageType.COMMAND_AMF3, 0, 0, b"\0" + body))
    assert client.server.state is State.CONNECTED


def test_nothing_goes_before_connect() -> None:
    client = Client().shake_hands()
    client.call("createStream", 1, None)
    assert client.closed() == (CloseReason.PROTOCOL, "'createStream' while CONNECTING")
    assert client.hear() == []


def test_connect_goes_once() -> None:
    client = Client().connected()
    client.call("connect", 1, {"app": "live"})
    assert client.closed()[0] is CloseReason.PROTOCOL


def test_connect_without_an_app() -> None:
    client = Client().shake_hands()
    client.call("connect", 1, None)
    assert client.closed()[0] is CloseReason.PROTOCOL


def test_nothing_is_heard_after_the_end() -> None:
    client = Client().shake_hands()
    call = messages.command("createStream", 1)
    client.tell(call, call)
    client.closed()
    client.tell(call)
    client.server.receive_eof()
    assert client.server.events() == []


# Names.


@pytest.mark.parametrize(
    ("app", "name", "expected"),
    [
        ("live", "NAME", ("live", "NAME", "")),
        ("live", "NAME?x=y&z=1", ("live", "NAME", "x=y&z=1")),
        ("live/", "/NAME", ("live", "NAME", "")),
        ("live?key=1", "NAME", ("live", "NAME", "key=1")),
        ("live/?key=1", "NAME?x=y", ("live", "NAME", "x=y&key=1")),
        ("live/sub", "a/b", ("live/sub", "a/b", "")),
        ("", "NAME?a?b", ("", "NAME", "a?b")),
    ],
)
def test_app_name_and_query(app: str, name: str, expected: tuple[str, str, str]) -> None:
    publisher, player = Client().connected(app), Client().connected(app)
    publisher.call("publish", 5, None, name, "live")
    player.call("play", 5, None, name, -2000)
    assert publisher.server.events() == [PublishRequested(*expected, stream_id=1)]
    assert player.server.events() == [PlayRequested(*expected, stream_id=1)]


@pytest.mark.parametrize("command", ["publish", "play"])
@pytest.mark.parametrize("args", [(None, ""), (None, "/?x=1"), (None, 5), (None,), ()])
def test_a_stream_without_a_name_is_refused(command: str, args: tuple[object, ...]) -> None:
    client = Client().connected()
    client.call(command, 5, *args)
    assert client.closed()[0] is CloseReason.REFUSED
    ((level, code),) = statuses(client.hear())
    assert level == "error"
    assert code in ("NetStream.Publish.BadName", "NetStream.Play.StreamNotFound")


@pytest.mark.parametrize("second", ["publish", "play"])
def test_one_stream_a_connection(second: str) -> None:
    client = Client().requested("publish")
    client.call(second, 6, None, "OTHER")
    assert client.closed() == (CloseReason.PROTOCOL, "more than one stream")


# Publishing.


def test_accept_publish() -> None:
    client = Client().requested("publish")
    assert client.server.state is State.PUBLISH_REQUESTED
    assert client.server.deadline() is None
    client.server.accept_publish()
    begin, status = client.hear()
    assert begin == messages.user_control(ControlEvent.STREAM_BEGIN, 1)
    assert statuses([status]) == [("status", "NetStream.Publish.Start")]
    assert status.stream_id == 1
    assert client.server.state is State.PUBLISHING
    assert client.server.deadline() is None


def test_refuse_publish() -> None:
    client = Client().requested("publish")
    client.server.refuse_publish()
    assert statuses(client.hear()) == [("error", "NetStream.Publish.BadName")]
    reason = "NetStream.Publish.BadName: The name is taken."
    assert client.closed() == (CloseReason.REFUSED, reason)


def test_refuse_publish_with_a_reason() -> None:
    client = Client().requested("publish")
    client.server.refuse_publish("NetStream.Publish.Denied", "wrong key")
    assert client.hear() == [
        messages.on_status("error", "NetStream.Publish.Denied", "wrong key", stream_id=1)
    ]


def test_media_of_a_publisher() -> None:
    client = Client().publishing()
    metadata = messages.data_message("@setDataFrame", "onMetaData", {"width": 640}, stream_id=1)
    client.tell(metadata, AUDIO, VIDEO)
    stripped = messages.data_message("onMetaData", {"width": 640}, stream_id=1)
    assert client.server.events() == [MediaReceived(message) for message in (stripped, AUDIO, VIDEO)]


def test_metadata_in_an_amf3_message() -> None:
    client = Client().publishing()
    body = amf0.encode("onMetaData", None)
    client.tell(Message(MessageType.DATA_AMF3, 1, 0, b"\0" + body))
    assert client.server.events() == [MediaReceived(Message(MessageType.DATA, 1, 0, body))]


def test_large_frames_of_a_publisher() -> None:
    client = Client().publishing()
    frame = Message(MessageType.VIDEO, 1, 0, bytes(3_000_000))
    client.tell(messages.set_chunk_size(65536), frame)
    assert client.server.events() == [MediaReceived(frame)]


def test_the_frame_limit_is_an_option() -> None:
    client = Client()
    client.server = ServerConnection(random=random.Random(1).randbytes, now=NOW, max_message_bytes=1000)
    client.publishing().tell(Message(MessageType.VIDEO, 1, 0, bytes(1001)))
    (ended, closed) = client.server.events()
    assert ended == PublishEnded()
    assert isinstance(closed, Closed) and closed.reason is CloseReason.PROTOCOL


def test_early_media_wait_for_the_decision() -> None:
    client = Client().connected()
    client.tell(messages.command("publish", 5, None, "NAME"), VIDEO)
    assert client.server.events() == [PublishRequested("live", "NAME", "", 1)]
    client.tell(AUDIO)
    assert client.server.events() == []
    client.server.accept_publish()
    assert client.server.events() == [MediaReceived(VIDEO), MediaReceived(AUDIO)]


def test_early_media_are_bounded() -> None:
    client = Client().requested("publish")
    frame = Message(MessageType.VIDEO, 1, 0, bytes(HELD_MAX_BYTES // 2))
    client.tell(messages.set_chunk_size(65536), frame)
    assert client.server.events() == []
    client.tell(frame)
    assert client.closed() == (CloseReason.PROTOCOL, "too much media before publish was accepted")


def test_many_empty_early_media_are_bounded_too() -> None:
    client = Client().requested("publish")
    client.tell(*[Message(MessageType.VIDEO, 1, 0, b"")] * (HELD_MAX_BYTES // 256 + 1))
    assert client.closed()[0] is CloseReason.PROTOCOL


@pytest.mark.parametrize("state", [Client.connected, Client.playing])
def test_media_of_others_are_ignored(state: Callable[[Client], Client]) -> None:
    client = state(Client())
    client.tell(VIDEO)
    assert client.server.events() == []


@pytest.mark.parametrize("command", ["deleteStream", "closeStream", "FCUnpublish"])
def test_the_end_of_a_publish(command: str) -> None:
    client = Client().publishing()
    client.call(command, 0, None, 1)
    assert client.server.events() == [PublishEnded()]
    assert statuses(client.hear()) == [("status", "NetStream.Unpublish.Success")]
    client.call("deleteStream", 0, None, 1)
    client.tell(VIDEO)
    assert client.server.events() == []
    client.server.receive_eof()
    assert client.closed()[0] is CloseReason.CLOSED_BY_PEER


def test_an_end_before_a_beginning_is_ignored() -> None:
    client = Client().connected()
    client.call("deleteStream", 0, None, 1)
    client.call("publish", 5, None, "NAME")
    assert client.server.events() == [PublishRequested("live", "NAME", "", 1)]


def test_a_publisher_that_vanishes() -> None:
    client = Client().publishing()
    client.server.receive_eof()
    reason = Closed(CloseReason.CLOSED_BY_PEER, "the peer closed the connection")
    assert client.server.events() == [PublishEnded(), reason]


def test_acknowledgements_and_pings() -> None:
    client = Client().publishing()
    client.tell(messages.window_ack_size(1), messages.user_control(ControlEvent.PING_REQUEST, 9))
    ping, acknowledgement = client.hear()
    assert ping == messages.user_control(ControlEvent.PING_RESPONSE, 9)
    assert acknowledgement.type_id == MessageType.ACKNOWLEDGEMENT


# Playing.


def test_accept_play() -> None:
    client = Client().requested("play")
    assert client.server.deadline() is None
    client.server.accept_play()
    heard = client.hear()
    assert heard[0] == messages.user_control(ControlEvent.STREAM_BEGIN, 1)
    assert statuses(heard) == [("status", "NetStream.Play.Reset"), ("status", "NetStream.Play.Start")]
    assert [amf0.decode(message.payload) for message in heard[3:]] == [
        ["|RtmpSampleAccess", True, True],
    ]
    assert {message.stream_id for message in heard[1:]} == {1}
    assert client.server.state is State.PLAYING


def test_refuse_play() -> None:
    client = Client().requested("play")
    client.server.refuse_play()
    assert statuses(client.hear()) == [("error", "NetStream.Play.StreamNotFound")]
    assert client.closed()[0] is CloseReason.REFUSED


def test_media_for_players_are_the_same_bytes() -> None:
    frame = Message(MessageType.VIDEO, 9, 0x1000000, bytes(200_000))
    data = serialize_for_players(frame)
    players = Client().playing(), Client().playing()
    for player in players:
        player.server.send_serialized(data)
        player.server.send_media(AUDIO)
        assert player.hear() == [frame._replace(stream_id=1), AUDIO]


def test_end_play() -> None:
    client = Client().playing()
    client.server.end_play(NOW + 3600)
    heard = client.hear()
    assert statuses(heard) == [
        ("status", "NetStream.Play.UnpublishNotify"),
        ("status", "NetStream.Play.Stop"),
    ]
    assert heard[1] == messages.user_control(ControlEvent.STREAM_EOF, 1)
    assert client.server.events() == []
    assert client.server.deadline() == NOW + 3600 + STEP_TIMEOUT
    client.server.handle_timeout(NOW + 3600 + STEP_TIMEOUT)
    assert client.closed() == (CloseReason.TIMEOUT, "no end of the connection in time")


@pytest.mark.parametrize("command", ["deleteStream", "closeStream"])
def test_a_player_that_leaves(command: str) -> None:
    client = Client().playing()
    client.call(command, 0, None, 1)
    assert client.server.events() == [PlayEnded()]
    assert client.hear() == []


def test_a_player_that_vanishes() -> None:
    client = Client().playing()
    client.server.receive_eof()
    ended, closed = client.server.events()
    assert ended == PlayEnded()
    assert isinstance(closed, Closed)


# Decisions.


def test_decisions_about_nothing_are_the_mistake_of_the_owner() -> None:
    server = Client().connected().server
    for decide in (server.accept_publish, server.refuse_publish, server.accept_play, server.refuse_play):
        with pytest.raises(RuntimeError, match="CONNECTED"):
            decide()
    for send in (lambda: server.send_media(VIDEO), lambda: server.end_play(NOW)):
        with pytest.raises(RuntimeError, match="CONNECTED"):
            send()


@pytest.mark.parametrize("gone", [ServerConnection.receive_eof, ServerConnection.close])
def test_late_decisions_do_nothing(gone: Callable[[ServerConnection], None]) -> None:
    client = Client().requested("publish")
    gone(client.server)
    client.server.events()
    server = client.server
    for decide in (server.accept_publish, server.refuse_publish, server.accept_play, server.refuse_play):
        decide()
    assert client.hear() == []
    assert server.events() == []


def test_a_request_taken_back() -> None:
    client = Client().requested("publish")
    client.tell(VIDEO, messages.command("deleteStream", 0, None, 1))
    client.server.accept_publish()
    assert client.server.events() == []
    assert client.server.state is State.ENDED


# Time and the end.


@pytest.mark.parametrize(
    ("step", "awaited"),
    [
        (lambda client: client, "handshake"),
        (Client.shake_hands, "connect"),
        (Client.connected, "publish or play"),
    ],
)
def test_each_step_has_its_time(step: Callable[[Client], Client], awaited: str) -> None:
    server = step(Client()).server
    assert server.deadline() == NOW + STEP_TIMEOUT
    server.handle_timeout(NOW + STEP_TIMEOUT - 0.01)
    assert server.events() == []
    server.handle_timeout(NOW + STEP_TIMEOUT)
    assert server.events() == [Closed(CloseReason.TIMEOUT, f"no {awaited} in time")]
    assert server.deadline() is None


@pytest.mark.parametrize("state", [Client.requested, Client.publishing, Client.playing])
def test_there_is_no_timeout_for_the_owner_and_for_media(state: Callable[[Client], Client]) -> None:
    server = state(Client()).server
    server.handle_timeout(NOW + 1e6)
    assert server.events() == []


def test_close_tells_a_player() -> None:
    client = Client().playing()
    client.server.close()
    assert ("status", "NetStream.Play.Stop") in statuses(client.hear())
    assert client.server.state is State.CLOSED
    client.server.close()
    assert client.hear() == []


def test_close_tells_a_publisher() -> None:
    client = Client().publishing()
    client.tell(VIDEO)
    client.server.close()
    assert statuses(client.hear()) == [("status", "NetConnection.Connect.Closed")]
    assert client.server.events() == []


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.COMMAND, 0, 0, b"\xff"),
        Message(MessageType.USER_CONTROL, 0, 0, b""),
        Message(MessageType.COMMAND, 0, 0, bytes(HELD_MAX_BYTES + 1)),
    ],
)
def test_broken_messages(message: Message) -> None:
    client = Client().connected()
    client.tell(messages.set_chunk_size(65536), message)
    assert client.closed()[0] is CloseReason.PROTOCOL


@pytest.mark.parametrize("state", [Client.shake_hands, Client.publishing])
def test_too_many_messages_at_once(state: Callable[[Client], Client]) -> None:
    client = state(Client())
    client.server.receive_data(serialize_message(VIDEO._replace(payload=b""), 4, 128) + b"\xc4" * 65536, NOW)
    *before, closed = client.server.events()
    assert closed == Closed(CloseReason.PROTOCOL, "rtmp_malformed: too many messages at once")
    assert not any(isinstance(event, MediaReceived) for event in before)


def test_strangers_cannot_send_large_messages() -> None:
    client = Client().shake_hands()
    client.tell(Message(MessageType.COMMAND, 0, 0, bytes(65537)))
    assert client.closed()[0] is CloseReason.PROTOCOL


@settings(max_examples=50)
@given(st.sampled_from([0, 3073]), st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_of_a_client_raise(handshake: int, parts: list[bytes]) -> None:
    server = ServerConnection(random=random.Random(1).randbytes, now=NOW)
    server.receive_data((b"\x03" + bytes(3072))[:handshake], NOW)
    for part in parts:
        server.receive_data(part, NOW)
    assert all(isinstance(event, Closed) for event in server.events())


def test_what_connect_says_can_be_asked() -> None:
    client = Client().shake_hands()
    assert client.server.connect_text("app") == ""
    client.call("connect", 1, {"app": "live", "whipwayPass": "abc", "fpad": False})
    assert client.server.connect_text(messages.PASS_PROPERTY) == "abc"
    assert client.server.connect_text("fpad") == ""
    assert client.server.connect_text("other") == ""


# Both ends.


class Wire:
    """Carries bytes between a publisher and a server in pieces of drawn sizes."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.publisher = Publisher(
            app="live",
            tc_url="rtmp://localhost/live",
            stream_name="NAME?x=y",
            random=random.Random(1).randbytes,
            now=NOW,
        )
        self.server = ServerConnection(random=random.Random(2).randbytes, now=NOW)
        self.seen: list[object] = []
        self.told: list[Publishing | Failed] = []

    def carry(self, data: list[bytes], receive: Callable[[bytes, float], None]) -> bool:
        whole = b"".join(data)
        while whole:
            size = self.sizes.pop() if self.sizes else len(whole)
            receive(whole[:size], NOW)
            whole = whole[size:]
            self.decide()
        return bool(data)

    def decide(self) -> None:
        for event in self.server.events():
            self.seen.append(event)
            if isinstance(event, PublishRequested):
                self.server.accept_publish()
        self.told += self.publisher.events()

    def run(self) -> None:
        moved = True
        while moved:
            moved = self.carry(self.publisher.data_to_send(), self.server.receive_data)
            moved |= self.carry(self.server.data_to_send(), self.publisher.receive_data)


FRAMES = st.lists(st.tuples(st.booleans(), st.integers(0, 0xFFFFFFFF), st.binary(max_size=300)), max_size=6)


@settings(max_examples=40)
@given(FRAMES, st.lists(st.integers(1, 400), max_size=60))
def test_publisher_and_server_end_to_end(frames: list[tuple[bool, int, bytes]], sizes: list[int]) -> None:
    wire = Wire(sizes)
    wire.run()
    assert wire.told == [Publishing()]
    wire.publisher.send_data(0, amf0.encode("@setDataFrame", "onMetaData", amf0.EcmaArray(width=640.0)))
    expected = [messages.data_message("onMetaData", amf0.EcmaArray(width=640.0), stream_id=1)]
    for is_audio, timestamp, payload in frames:
        send = wire.publisher.send_audio if is_audio else wire.publisher.send_video
        send(timestamp, payload * 500)
        type_id = MessageType.AUDIO if is_audio else MessageType.VIDEO
        expected.append(Message(type_id, 1, timestamp, payload * 500))
    wire.run()
    wire.publisher.close()
    wire.run()
    wire.server.receive_eof()
    wire.decide()
    requested, *media, ended, closed = wire.seen
    assert requested == PublishRequested("live", "NAME", "x=y", 1)
    assert media == [MediaReceived(message) for message in expected]
    assert ended == PublishEnded()
    assert isinstance(closed, Closed)
    assert wire.told == [Publishing()]


def test_weeks_of_stream_from_publisher_to_player() -> None:
    """Milliseconds grow without end; on the wire they pass 24 bits and begin anew behind 32."""
    limits = (0xFFFFFF, 1 << 32, (1 << 32) + 0xFFFFFF, 2 << 32)
    times = [limit + offset for limit in limits for offset in range(-40, 41, 20)]
    wire, player = Wire([]), Client().playing()
    wire.run()
    player.hear()
    for time in times:
        wire.publisher.send_audio(time, b"\xaf\x01a")
        wire.publisher.send_video(time, b"\x17\x01" + bytes(100_000))
        wire.publisher.send_data(time, amf0.encode("@setDataFrame", "onMetaData", {}))
    wire.run()
    received = [event.message for event in wire.seen if isinstance(event, MediaReceived)]
    assert [message.timestamp for message in received] == [time & 0xFFFFFFFF for time in times for _ in "avd"]
    for message in received:
        player.server.send_media(message)
    assert player.hear() == received
    assert wire.told == [Publishing()]


def test_publisher_hears_a_refusal() -> None:
    wire = Wire([])
    wire.server.accept_publish = wire.server.refuse_publish  # type: ignore[method-assign]
    wire.run()
    (failed,) = wire.told
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.BAD_NAME
