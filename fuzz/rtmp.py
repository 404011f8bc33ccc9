"""What the targets of both ends of RTMP have in common: the peer's bytes, well-formed or not."""

from typing import Protocol

from fuzz.script import Script, block
from whipway.protocol.rtmp.chunk import DEFAULT_CHUNK_SIZE, serialize_message
from whipway.protocol.rtmp.handshake import PACKET_BYTES
from whipway.protocol.rtmp.link import chunk_stream_of
from whipway.protocol.rtmp.messages import Message

MAX_ANSWER_RATIO = 24
"""Bytes sent per byte received: a header of one byte can repeat a ping of six and have eighteen back."""
MAX_ANSWER_BYTES = 8192
"""What is sent besides: the handshake, and the commands and statuses of one connection."""
READ_ANSWER_BYTES = 16
"""An acknowledgement for every read, if the peer wants it so."""
HANDSHAKE = b"\x03" + bytes(2 * PACKET_BYTES)
"""C0, C1 and C2, or S0, S1 and S2, in the simple form."""
RAW, MESSAGE = range(2)


def peer_bytes(script: Script) -> bytes:
    """One step of the peer: a block as it is, or a message of a type, a message stream, and a block."""
    if script.choose(2) == RAW:
        return script.block()
    message = Message(script.number(), script.number(), 0, script.block())
    return serialize_message(message, chunk_stream_of(message), DEFAULT_CHUNK_SIZE)


def raw(data: bytes) -> bytes:
    """What `peer_bytes` reads as `data`."""
    return bytes((RAW,)) + block(data)


def written(message: Message) -> bytes:
    """What `peer_bytes` reads as `message`."""
    return bytes((MESSAGE, message.type_id, message.stream_id)) + block(message.payload)


class Traffic:
    """Counts both directions of one connection."""

    def __init__(self) -> None:
        self._allowed = MAX_ANSWER_BYTES

    def receive(self, data: bytes) -> None:
        """Call it for each read."""
        self._allowed += MAX_ANSWER_RATIO * len(data) + READ_ANSWER_BYTES

    def send(self, data: list[bytes]) -> None:
        """Call it with what is sent for no reason but the peer's bytes."""
        self._allowed -= sum(map(len, data))
        assert self._allowed >= 0


class Owner(Protocol):
    """Drives one machine and checks it after every step."""

    def feed(self, data: bytes) -> None:
        """Hand it bytes of the peer."""

    def step(self, script: Script) -> None:
        """Do one thing."""


def drive(owner: Owner, data: bytes) -> None:
    """Whether the handshake is over already, and a list of steps."""
    script = Script(data)
    if script.choose(2):
        owner.feed(HANDSHAKE)
    while script:
        owner.step(script)


def sent(step: int, *messages: Message) -> bytes:
    """What `drive` reads as so many steps of a kind, in each of which the peer sends a message."""
    return b"".join(bytes((step,)) + written(message) for message in messages)
