"""What both ends of an RTMP connection do alike: handshake, chunks, and the messages of the protocol itself.

A `Link` answers pings, acknowledges received bytes (RTMP 1.0, sections 5.4.3 to 5.4.5, 7.1.7) and hands the
rest to the client or server machine that owns it. Bytes of a broken peer raise `ParseError` here; the owner
ends the connection then. Left out: holding back output until the peer acknowledges: TCP does that.

An answer is about as long as what asked for it: a driver that stops reading while its peer does not read
needs no other bound on the output; one that reads on needs its own.
"""

from typing import Final

from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.chunk import ChunkReader, ChunkWriter
from whipway.protocol.rtmp.handshake import ClientHandshake, ServerHandshake
from whipway.protocol.rtmp.messages import ControlEvent, Message, MessageType

OUT_CHUNK_SIZE: Final = 65536
"""What both ends announce. Small chunks cost time at both ends; some servers refuse more than this."""
WINDOW_BYTES: Final = 2_500_000
"""How often the peer shall acknowledge: the figure of Flash Media Server, known to all clients."""
COMMAND_MAX_BYTES: Final = 64 * 1024
"""Message limit while nothing but commands is expected."""

CONTROL_CHUNK_STREAM: Final = 2
"""Section 5.4: protocol control messages "are sent in chunk stream ID 2"."""
COMMAND_CHUNK_STREAM: Final = 3
_CHUNK_STREAMS: Final[dict[int, int]] = {
    MessageType.COMMAND: COMMAND_CHUNK_STREAM,
    MessageType.AUDIO: 4,
    MessageType.DATA: 5,
    MessageType.VIDEO: 6,
}
"""The usual numbers. Types not listed are control messages."""

_PING_BYTES: Final = 4


class Link:
    """One end of a connection below commands and media."""

    def __init__(self, handshake: ClientHandshake | ServerHandshake, max_message_bytes: int) -> None:
        self._handshake = handshake
        self._reader = ChunkReader(max_message_bytes)
        self._writer = ChunkWriter()
        self._out: list[bytes] = []
        self._peer_window = 0
        """Acknowledge when so many bytes came since the last time; 0: never, the peer did not ask."""
        self._bytes_acknowledged = 0
        self._own_window = 0
        self.peer_acknowledged_bytes = 0
        """What the peer says it received, modulo 2**32."""
        self._take_handshake_output()

    @property
    def ready(self) -> bool:
        """The handshake is done: messages may be sent."""
        return self._handshake.done

    def set_max_message_bytes(self, size: int) -> None:
        """The limit for messages that begin from now on."""
        self._reader.max_message_bytes = size

    def receive(self, data: bytes) -> list[Message]:
        """Commands, data and media in `data`, in order. Raises `ParseError`."""
        if not self._handshake.done:
            data = self._handshake.receive(data)
            self._take_handshake_output()
        received = [message for message in self._reader.receive(data) if not self._handle(message)]
        self._acknowledge()
        return received

    def send(self, message: Message) -> None:
        """Serialise and queue one message."""
        self._out.append(self._writer.write(message, chunk_stream_of(message)))

    def send_serialized(self, data: bytes) -> None:
        """Queue whole messages, serialised with the chunk size this end has announced."""
        self._out.append(data)

    def send_window_ack_size(self, size: int) -> None:
        """Ask the peer for acknowledgements."""
        self._own_window = size
        self.send(messages.window_ack_size(size))

    def data_to_send(self) -> list[bytes]:
        """Drain what is to be written."""
        out, self._out = self._out, []
        return out

    def _take_handshake_output(self) -> None:
        data = self._handshake.data_to_send()
        if data:
            self._out.append(data)

    def _handle(self, message: Message) -> bool:
        """True when the message was for the link."""
        match message.type_id:
            case MessageType.WINDOW_ACK_SIZE:
                self._peer_window = messages.parse_uint32(message)
            case MessageType.SET_PEER_BANDWIDTH:
                self._limit_bandwidth(messages.parse_uint32(message))
            case MessageType.ACKNOWLEDGEMENT:
                self.peer_acknowledged_bytes = messages.parse_uint32(message)
            case MessageType.USER_CONTROL:
                self._answer_ping(messages.parse_user_control(message))
            case _:
                return False
        return True

    def _limit_bandwidth(self, window: int) -> None:
        # Section 5.4.5: "The peer receiving this message SHOULD respond with a Window Acknowledgement Size
        # message if the window size is different from the last one sent".
        if window not in (0, self._own_window):
            self.send_window_ack_size(window)

    def _answer_ping(self, control: messages.ControlMessage) -> None:
        if control.event == ControlEvent.PING_REQUEST:
            time = int.from_bytes(control.data[:_PING_BYTES], "big")
            self.send(messages.user_control(ControlEvent.PING_RESPONSE, time))

    def _acknowledge(self) -> None:
        received = self._reader.bytes_received
        if 0 < self._peer_window <= received - self._bytes_acknowledged:
            self._bytes_acknowledged = received
            self.send(messages.acknowledgement(received))


def chunk_stream_of(message: Message) -> int:
    """The chunk stream a message travels on, by its type."""
    return _CHUNK_STREAMS.get(message.type_id, CONTROL_CHUNK_STREAM)
