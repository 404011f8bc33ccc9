"""What both ends do alike, seen from a peer made of the chunk reader and writer."""

import random

import pytest

from whipway.failures import ParseError
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.chunk import ChunkReader, ChunkWriter
from whipway.protocol.rtmp.handshake import PACKET_BYTES, ClientHandshake, ServerHandshake
from whipway.protocol.rtmp.link import Link, chunk_stream_of
from whipway.protocol.rtmp.messages import BandwidthLimit, ControlEvent, Message, MessageType

AUDIO = Message(MessageType.AUDIO, 1, 0, b"audio")


def random_bytes(size: int) -> bytes:
    return random.Random(1).randbytes(size)


class Peer:
    """A link after its handshake, and the other side of it."""

    def __init__(self) -> None:
        self.link = Link(ServerHandshake(random_bytes), 1000)
        self.link.receive(b"\x03" + bytes(2 * PACKET_BYTES))
        self.link.data_to_send()
        self.writer = ChunkWriter()
        self.reader = ChunkReader()

    def tell(self, *sent: Message) -> list[Message]:
        return self.link.receive(b"".join(self.writer.write(message, 3) for message in sent))

    def hear(self) -> list[Message]:
        return self.reader.receive(b"".join(self.link.data_to_send()))


def test_the_handshake_comes_first() -> None:
    link = Link(ClientHandshake(random_bytes), 1000)
    assert len(b"".join(link.data_to_send())) == 1 + PACKET_BYTES
    assert link.receive(b"\x03" + bytes(PACKET_BYTES)) == []
    assert link.data_to_send() == [bytes(PACKET_BYTES)]
    assert not link.ready
    assert link.receive(bytes(PACKET_BYTES) + ChunkWriter().write(AUDIO, 4)) == [AUDIO]
    assert link.ready
    assert link.data_to_send() == []


def test_messages_for_the_owner_come_in_order() -> None:
    peer = Peer()
    call = messages.command("connect", 1)
    assert peer.tell(AUDIO, messages.window_ack_size(5000), call) == [AUDIO, call]
    assert peer.hear() == []


def test_pings_are_answered() -> None:
    peer = Peer()
    assert peer.tell(messages.user_control(ControlEvent.PING_REQUEST, 0xFEDCBA98)) == []
    assert peer.hear() == [messages.user_control(ControlEvent.PING_RESPONSE, 0xFEDCBA98)]


@pytest.mark.parametrize("event", [ControlEvent.STREAM_BEGIN, ControlEvent.PING_RESPONSE])
def test_other_user_control_is_swallowed(event: ControlEvent) -> None:
    peer = Peer()
    assert peer.tell(messages.user_control(event, 1)) == []
    assert peer.hear() == []


def test_bytes_are_acknowledged_each_window() -> None:
    peer = Peer()
    window = messages.window_ack_size(40)
    peer.tell(window)
    assert peer.hear() == [], "16 bytes are less than a window"
    peer.tell(AUDIO)
    assert peer.hear() == []
    peer.tell(AUDIO)
    assert peer.hear() == [messages.acknowledgement(16 + 2 * 17)]
    peer.tell(AUDIO, AUDIO)
    assert peer.hear() == []
    peer.tell(AUDIO)
    assert peer.hear() == [messages.acknowledgement(16 + 5 * 17)]


def test_a_peer_that_does_not_ask_gets_no_acknowledgement() -> None:
    peer = Peer()
    peer.tell(*[AUDIO] * 10)
    assert peer.hear() == []


def test_peer_bandwidth_is_answered_when_it_is_news() -> None:
    peer = Peer()
    peer.link.send_window_ack_size(5000)
    peer.hear()
    peer.tell(messages.set_peer_bandwidth(5000, BandwidthLimit.HARD))
    assert peer.hear() == []
    peer.tell(messages.set_peer_bandwidth(6000, BandwidthLimit.HARD))
    assert peer.hear() == [messages.window_ack_size(6000)]
    peer.tell(messages.set_peer_bandwidth(6000, BandwidthLimit.DYNAMIC))
    peer.tell(messages.set_peer_bandwidth(0, BandwidthLimit.DYNAMIC))
    assert peer.hear() == []


def test_acknowledgements_of_the_peer_are_recorded() -> None:
    peer = Peer()
    assert peer.link.peer_acknowledged_bytes == 0
    peer.tell(messages.acknowledgement(1234))
    assert peer.link.peer_acknowledged_bytes == 1234


def test_serialized_messages_keep_their_place() -> None:
    peer = Peer()
    peer.link.send(AUDIO)
    peer.link.send_serialized(b"bytes")
    assert peer.link.data_to_send()[1] == b"bytes"


def test_the_message_limit_can_be_moved() -> None:
    peer = Peer()
    large = Message(MessageType.VIDEO, 1, 0, bytes(1001))
    peer.link.set_max_message_bytes(1001)
    assert peer.tell(large) == [large]
    peer.link.set_max_message_bytes(1000)
    with pytest.raises(ParseError):
        peer.tell(large)


def test_a_broken_peer_raises() -> None:
    with pytest.raises(ParseError):
        Peer().tell(Message(MessageType.USER_CONTROL, 0, 0, b""))


@pytest.mark.parametrize(
    ("type_id", "chunk_stream_id"),
    [(MessageType.SET_CHUNK_SIZE, 2), (MessageType.USER_CONTROL, 2), (MessageType.COMMAND, 3)],
)
def test_chunk_streams_of_the_protocol(type_id: int, chunk_stream_id: int) -> None:
    assert chunk_stream_of(Message(type_id, 0, 0, b"")) == chunk_stream_id


def test_media_have_chunk_streams_of_their_own() -> None:
    types = (MessageType.COMMAND, MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA)
    assert len({chunk_stream_of(Message(type_id, 1, 0, b"")) for type_id in types}) == 4
