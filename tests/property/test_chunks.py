"""RTMP's chunk reader against writers: whatever is written, however it is cut on its way, is read back.

The project's own writer uses two kinds of header out of four and never interleaves. Other senders do all of
it, so there is a writer of another kind here, which takes any header that the rules allow.
"""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp.chunk import (
    DEFAULT_CHUNK_SIZE,
    MAX_CHUNK_STREAM_ID,
    ChunkReader,
    ChunkWriter,
    serialize_message,
)
from whipway.protocol.rtmp.messages import Message, MessageType, abort, set_chunk_size

ESCAPE = 0xFFFFFF
MASK = 0xFFFFFFFF
EDGES = [0, 1, 40, ESCAPE - 1, ESCAPE, ESCAPE + 1, MASK - 1, MASK]

TIMESTAMPS = st.sampled_from(EDGES) | st.integers(0, MASK)
CHUNK_SIZES = st.sampled_from([1, 2, 127, 128, 129, 4096, 65536]) | st.integers(1, 300)
CHUNK_STREAMS = st.sampled_from([2, 3, 6, 63, 64, 319, 320, MAX_CHUNK_STREAM_ID])
PAYLOADS = st.builds(lambda piece, times: piece * times, st.binary(max_size=12), st.sampled_from([1, 1, 30]))
MEDIA_TYPES = st.sampled_from([MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA, MessageType.COMMAND])
MESSAGES = st.builds(Message, MEDIA_TYPES, st.sampled_from([0, 1, MASK]), TIMESTAMPS, PAYLOADS)
CUTS = st.lists(st.integers(1, 40) | st.integers(1, 1000), max_size=60)


def read(wire: bytes, cuts: list[int]) -> list[Message]:
    """What a reader makes of the bytes in pieces of these sizes; what is left at last comes at once."""
    reader = ChunkReader()
    received: list[Message] = []
    position = 0
    for size in [*cuts, len(wire)]:
        received += reader.receive(wire[position : position + size])
        position = min(position + size, len(wire))
    assert reader.bytes_received == len(wire)
    return received


STEPS = st.lists(st.tuples(CHUNK_STREAMS, MESSAGES) | CHUNK_SIZES, max_size=12)


@settings(max_examples=150)
@given(STEPS, CUTS)
def test_what_our_writer_writes(steps: list[tuple[int, Message] | int], cuts: list[int]) -> None:
    writer = ChunkWriter()
    wire, expected = b"", []
    for step in steps:
        if isinstance(step, int):
            wire += writer.write(set_chunk_size(step), 2)
            assert writer.chunk_size == step
        else:
            wire += writer.write(step[1], step[0])
            expected.append(step[1])
    assert read(wire, cuts) == expected


@dataclass
class Previous:
    """What the headers of a chunk stream refer to."""

    message: Message
    delta: int
    extended: bytes


class Sender:
    """Writes chunks with any header that may stand there (RTMP 1.0, section 5.3.1.2)."""

    def __init__(self, chunk_size: int) -> None:
        self._chunk_size = chunk_size
        self._previous: dict[int, Previous] = {}

    def chunks(self, chunk_stream: int, message: Message, kind: int, repeats_time: bool) -> list[bytes]:
        """The chunks of one message, the first with a header of this kind if it may, else of one below.

        `repeats_time`: with the time, not the delta, in those that continue.
        """
        kind = min(kind, self._smallest(chunk_stream, message))
        header, extended = self._header(kind, chunk_stream, message)
        later = message.timestamp.to_bytes(4, "big") if extended and repeats_time else extended
        pieces = [
            message.payload[start : start + self._chunk_size]
            for start in range(0, len(message.payload), self._chunk_size)
        ] or [b""]
        continuation = basic_header(3, chunk_stream) + later
        return [header + pieces[0], *(continuation + piece for piece in pieces[1:])]

    def _smallest(self, chunk_stream: int, message: Message) -> int:
        """The kind of the smallest header that may stand before this message."""
        previous = self._previous.get(chunk_stream)
        if previous is None or previous.message.stream_id != message.stream_id:
            return 0
        before = previous.message
        if (before.type_id, len(before.payload)) != (message.type_id, len(message.payload)):
            return 1
        delta = (message.timestamp - before.timestamp) & MASK
        return 3 if delta == previous.delta else 2

    def _header(self, kind: int, chunk_stream: int, message: Message) -> tuple[bytes, bytes]:
        """The header of the first chunk, and its extended timestamp, if any."""
        previous = self._previous.get(chunk_stream)
        time = message.timestamp
        if kind and previous is not None:
            time = (message.timestamp - previous.message.timestamp) & MASK
        extended = time.to_bytes(4, "big") if time >= ESCAPE else b""
        self._previous[chunk_stream] = Previous(message, time, extended)
        fields = (
            min(time, ESCAPE).to_bytes(3, "big"),
            len(message.payload).to_bytes(3, "big") + bytes((message.type_id,)),
            message.stream_id.to_bytes(4, "little"),
        )
        return basic_header(kind, chunk_stream) + b"".join(fields[: 3 - kind]) + extended, extended


def basic_header(kind: int, chunk_stream: int) -> bytes:
    if chunk_stream < 64:
        return bytes((kind << 6 | chunk_stream,))
    if chunk_stream < 320:
        return bytes((kind << 6, chunk_stream - 64))
    return bytes((kind << 6 | 1,)) + (chunk_stream - 64).to_bytes(2, "little")


# Times that are alike, so that small headers are allowed.
REGULAR = st.builds(
    Message,
    st.sampled_from([MessageType.AUDIO, MessageType.VIDEO]),
    st.just(1),
    st.integers(0, 9).map(lambda step: step * 40) | TIMESTAMPS,
    st.sampled_from([b"", b"\x17\x01", bytes(range(200)), bytes(700)]),
)
SENT = st.lists(
    st.tuples(st.sampled_from([2, 4, 70, 400]), MESSAGES | REGULAR, st.integers(0, 3), st.booleans()),
    max_size=12,
)


@settings(max_examples=250)
@given(CHUNK_SIZES, SENT, st.lists(st.integers(0, 3), max_size=40), CUTS)
def test_what_others_write(
    chunk_size: int, sent: list[tuple[int, Message, int, bool]], turns: list[int], cuts: list[int]
) -> None:
    sender = Sender(chunk_size)
    waiting: dict[int, deque[tuple[bytes, Message | None]]] = {}
    for chunk_stream, message, choice, repeats_time in sent:
        *begun, last = sender.chunks(chunk_stream, message, choice, repeats_time)
        waiting.setdefault(chunk_stream, deque()).extend(
            [*((chunk, None) for chunk in begun), (last, message)]
        )
    wire, expected = serialize_message(set_chunk_size(chunk_size), 2, DEFAULT_CHUNK_SIZE), []
    while waiting:
        # Chunk streams take turns; when the turns are used up, one after another.
        chunk_stream = sorted(waiting)[(turns.pop() if turns else 0) % len(waiting)]
        chunk, finished = waiting[chunk_stream].popleft()
        wire += chunk
        if finished is not None:
            expected.append(finished)
        if not waiting[chunk_stream]:
            del waiting[chunk_stream]
    assert read(wire, cuts) == expected


def test_the_other_writer_uses_every_header() -> None:
    sender = Sender(128)
    late = Message(MessageType.VIDEO, 1, ESCAPE, b"abc")
    times = (ESCAPE, ESCAPE + 40, ESCAPE + 80, 2 * ESCAPE + 80, 3 * ESCAPE + 80)
    wire = [sender.chunks(4, late._replace(timestamp=time), 3, False)[0] for time in times]
    assert [chunk[0] >> 6 for chunk in wire] == [0, 2, 3, 2, 3]
    assert wire[4] == b"\xc4" + ESCAPE.to_bytes(4, "big") + b"abc"
    assert [sender.chunks(4, late, kind, False)[0][0] >> 6 for kind in (0, 1)] == [0, 1]
    assert sender.chunks(4, late._replace(payload=b"abcd"), 3, False)[0][0] >> 6 == 1


@settings(max_examples=60)
@given(st.integers(1, 2), st.lists(MESSAGES, min_size=1, max_size=4), CUTS)
def test_what_is_aborted_is_forgotten(chunks: int, messages: list[Message], cuts: list[int]) -> None:
    lost = Sender(DEFAULT_CHUNK_SIZE).chunks(6, Message(MessageType.VIDEO, 1, 0, bytes(300)), 0, False)
    wire = b"".join(lost[:chunks]) + serialize_message(abort(6), 2, DEFAULT_CHUNK_SIZE)
    wire += b"".join(serialize_message(message, 6, DEFAULT_CHUNK_SIZE) for message in messages)
    assert read(wire, cuts) == messages


@settings(max_examples=100)
@given(
    st.lists(
        st.binary(max_size=80) | st.sampled_from(EDGES).map(lambda edge: edge.to_bytes(4, "big")), max_size=8
    )
)
def test_any_bytes_are_read_or_refused(reads: list[bytes]) -> None:
    reader = ChunkReader(max_message_bytes=500)
    try:
        received = [message for data in reads for message in reader.receive(data)]
    except ParseError as error:
        assert error.reason in (DropReason.RTMP_MALFORMED, DropReason.RTMP_TOO_LARGE)
        return
    assert all(len(message.payload) <= 500 for message in received)


@pytest.mark.parametrize("size", [1, 128, 65536])
def test_one_byte_at_a_time(size: int) -> None:
    message = Message(MessageType.VIDEO, 1, MASK, bytes(range(250)))
    wire = serialize_message(set_chunk_size(size), 2, DEFAULT_CHUNK_SIZE) + serialize_message(
        message, 400, size
    )
    assert read(wire, [1] * len(wire)) == [message]
