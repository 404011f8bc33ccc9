"""The RTMP chunk stream: messages cut into chunks and put together again (RTMP 1.0, section 5.3).

    +-----------------+----------------------+--------------------+------------+
    | basic header    | message header       | extended timestamp | chunk data |
    | 1, 2 or 3 bytes | 11, 7, 3 or 0 bytes  | 0 or 4 bytes       |            |
    +-----------------+----------------------+--------------------+------------+

`ChunkReader` reads all of it. `ChunkWriter` and `serialize_message` write only type 0 headers with type 3
continuations: eleven bytes a message buy bytes that do not depend on what was sent before, so that a server
writes a message once for all its players. Left out: interleaving on the way out (chunks of 64 KiB leave
little to interleave).
"""

from typing import Final

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp.messages import Message, MessageType, parse_set_chunk_size, parse_uint32

DEFAULT_CHUNK_SIZE: Final = 128
"""Section 5.4.1, until a Set Chunk Size; each direction has its own."""
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""A key frame at 50 Mbit/s is below 2 MiB; the length field alone would allow 16 MiB."""
MAX_CHUNK_STREAMS: Final = 64
"""Encoders use four to eight."""
MAX_CHUNK_STREAM_ID: Final = 65599
MAX_MESSAGES_PER_READ: Final = 4096
"""Finished by one call. A message may be a single byte, so that one read of 256 KiB would hold the loop for
seconds. A publisher sends below 200 a second; 4096 take the loop some 50 ms."""
MAX_CHUNKS_PER_READ: Final = 8192
"""Begun by one call, since a chunk may carry a single byte. 256 KiB in chunks of 128 bytes are 2032."""

_HEADER_BYTES: Final = (11, 7, 3, 0)
"""Message header by fmt (section 5.3.1.2)."""
_ESCAPE: Final = 0xFFFFFF
"""The value of a timestamp field which says that the real one follows in 32 bits (section 5.3.1.3)."""
_MASK: Final = 0xFFFFFFFF


class _ChunkStream:
    """What the headers of one chunk stream leave for the next header, and its unfinished message."""

    __slots__ = ("delta", "extended", "length", "partial", "stream_id", "timestamp", "type_id")

    def __init__(self) -> None:
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.timestamp = 0
        self.delta = 0
        self.extended = b""
        self.partial = bytearray()
        """Not empty between two chunks exactly when a message is unfinished."""


class ChunkReader:
    """Turns received bytes into messages; obeys Set Chunk Size and Abort itself and returns neither.

    `max_message_bytes` may be changed between calls. What is held back is bounded by twice that.
    """

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.max_message_bytes = max_message_bytes
        self.bytes_received = 0
        """All bytes so far, for acknowledgements; not wrapped."""
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._current = _ChunkStream()
        self._chunk_left = 0
        """Bytes of the current chunk still to come; 0 when a header comes next."""
        self._header = b""
        """The beginning of a header, at most 17 bytes."""
        self._held_bytes = 0
        self._messages_left = 0
        """How many more messages the present call may finish."""

    def receive(self, data: bytes) -> list[Message]:
        """The messages finished by `data`, one read of at most some hundred KiB.

        Raises `ParseError` (RTMP_MALFORMED or RTMP_TOO_LARGE), after which the connection is of no use.
        """
        self.bytes_received += len(data)
        if self._header:
            data = self._header + data
            self._header = b""
        messages: list[Message] = []
        self._messages_left = MAX_MESSAGES_PER_READ
        chunks_left = MAX_CHUNKS_PER_READ
        pos = 0
        end = len(data)
        while pos < end:
            if not self._chunk_left:
                chunks_left -= 1
                if chunks_left < 0:
                    raise ParseError(DropReason.RTMP_MALFORMED, "too many chunks at once")
                start = pos
                pos = self._read_header(data, pos)
                if pos < 0:
                    self._header = data[start:]
                    break
            pos = self._read_chunk_data(data, pos, messages)
        return messages

    def _read_chunk_data(self, data: bytes, pos: int, messages: list[Message]) -> int:
        """Take what is here of the current chunk; return the position behind it."""
        stream = self._current
        size = min(self._chunk_left, len(data) - pos)
        self._chunk_left -= size
        if size == stream.length:
            self._finish(stream, data[pos : pos + size], messages)
            return pos + size
        self._held_bytes += size
        if self._held_bytes > 2 * self.max_message_bytes:
            raise ParseError(DropReason.RTMP_TOO_LARGE, "too many unfinished messages")
        stream.partial += memoryview(data)[pos : pos + size]
        if len(stream.partial) == stream.length:
            payload = bytes(stream.partial)
            self._discard_partial(stream)
            self._finish(stream, payload, messages)
        return pos + size

    def _finish(self, stream: _ChunkStream, payload: bytes, messages: list[Message]) -> None:
        self._messages_left -= 1
        if self._messages_left < 0:
            raise ParseError(DropReason.RTMP_MALFORMED, "too many messages at once")
        message = Message(stream.type_id, stream.stream_id, stream.timestamp, payload)
        if message.type_id == MessageType.SET_CHUNK_SIZE:
            self._chunk_size = parse_set_chunk_size(message)
        elif message.type_id == MessageType.ABORT:
            aborted = self._streams.get(parse_uint32(message))
            if aborted is not None:
                self._discard_partial(aborted)
        else:
            messages.append(message)

    def _discard_partial(self, stream: _ChunkStream) -> None:
        self._held_bytes -= len(stream.partial)
        stream.partial = bytearray()

    def _read_header(self, data: bytes, pos: int) -> int:
        """Read the header at `pos`; return the position behind it, or -1 when not all of it is here."""
        fmt = data[pos] >> 6
        chunk_stream_id = data[pos] & 0x3F
        pos += 1
        # Section 5.3.1.1: 0 and 1 announce one or two more bytes, the latter the low byte first.
        if chunk_stream_id < 2:
            behind = pos + 1 + chunk_stream_id
            if behind > len(data):
                return -1
            chunk_stream_id = 64 + int.from_bytes(data[pos:behind], "little")
            pos = behind
        stream = self._streams.get(chunk_stream_id) or self._open(chunk_stream_id, fmt)
        pos = self._continue(stream, data, pos) if fmt == 3 else self._begin(stream, fmt, data, pos)
        if pos >= 0:
            self._current = stream
            self._chunk_left = min(self._chunk_size, stream.length - len(stream.partial))
        return pos

    def _open(self, chunk_stream_id: int, fmt: int) -> _ChunkStream:
        # Section 5.3.1.2.1 wants type 0 here, but librtmp begins chunk stream 2 with type 1.
        if fmt > 1:
            raise ParseError(DropReason.RTMP_MALFORMED, f"chunk stream begins with type {fmt}")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise ParseError(DropReason.RTMP_TOO_LARGE, "too many chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream()
        return stream

    def _begin(self, stream: _ChunkStream, fmt: int, data: bytes, pos: int) -> int:
        """A header of type 0, 1 or 2: a new message."""
        if stream.partial:
            raise ParseError(DropReason.RTMP_MALFORMED, "message begins inside another")
        behind = pos + _HEADER_BYTES[fmt]
        time = int.from_bytes(data[pos : pos + 3], "big")
        if time == _ESCAPE:
            behind += 4
        if behind > len(data):
            return -1
        stream.extended = data[behind - 4 : behind] if time == _ESCAPE else b""
        if stream.extended:
            time = int.from_bytes(stream.extended, "big")
        if fmt < 2:
            self._set_length(stream, int.from_bytes(data[pos + 3 : pos + 6], "big"))
            stream.type_id = data[pos + 6]
        if fmt == 0:
            stream.stream_id = int.from_bytes(data[pos + 7 : pos + 11], "little")
            stream.timestamp = 0
        # Section 5.3.1.2.4: after a type 0 chunk the delta of a type 3 chunk is the timestamp of the former.
        stream.delta = time
        stream.timestamp = (stream.timestamp + time) & _MASK
        return behind

    def _set_length(self, stream: _ChunkStream, length: int) -> None:
        if length > self.max_message_bytes:
            raise ParseError(DropReason.RTMP_TOO_LARGE, f"message of {length} bytes")
        stream.length = length

    def _continue(self, stream: _ChunkStream, data: bytes, pos: int) -> int:
        """A header of type 3: the next chunk of a message, or a message with the header of the one before."""
        if not stream.partial:
            return self._repeat(stream, data, pos)
        # Section 5.3.1.3: an extended timestamp "is present in Type 3 chunks when the most recent Type 0, 1,
        # or 2 chunk … indicated the presence of" one. Some senders leave it out, so it must prove itself;
        # some repeat the time where the header had a delta.
        if not stream.extended:
            return pos
        here = data[pos : pos + 4]
        for expected in (stream.extended, stream.timestamp.to_bytes(4, "big")):
            if expected.startswith(here):
                return pos + 4 if len(here) == 4 else -1
        return pos

    def _repeat(self, stream: _ChunkStream, data: bytes, pos: int) -> int:
        if stream.extended:
            if pos + 4 > len(data):
                return -1
            stream.extended = data[pos : pos + 4]
            stream.delta = int.from_bytes(stream.extended, "big")
            pos += 4
        self._set_length(stream, stream.length)
        stream.timestamp = (stream.timestamp + stream.delta) & _MASK
        return pos


class ChunkWriter:
    """Serialises messages for one connection; obeys the Set Chunk Size messages it writes."""

    def __init__(self) -> None:
        self.chunk_size = DEFAULT_CHUNK_SIZE

    def write(self, message: Message, chunk_stream_id: int) -> bytes:
        """The chunks of `message`; see `serialize_message`."""
        data = serialize_message(message, chunk_stream_id, self.chunk_size)
        if message.type_id == MessageType.SET_CHUNK_SIZE:
            self.chunk_size = parse_set_chunk_size(message)
        return data


def serialize_message(message: Message, chunk_stream_id: int, chunk_size: int) -> bytes:
    """All chunks of `message` in one byte string that fits anywhere between two messages of a connection.

    `chunk_stream_id` is 2 to `MAX_CHUNK_STREAM_ID`, `chunk_size` what was announced to the peer. Raises
    OverflowError for fields out of range and payloads of 16 MiB and more.
    """
    payload = message.payload
    timestamp = message.timestamp
    extended = timestamp.to_bytes(4, "big") if timestamp >= _ESCAPE else b""
    header = b"".join((
        _basic_header(0, chunk_stream_id),
        min(timestamp, _ESCAPE).to_bytes(3, "big"),
        len(payload).to_bytes(3, "big"),
        bytes((message.type_id,)),
        message.stream_id.to_bytes(4, "little"),
        extended,
    ))  # fmt: skip
    if len(payload) <= chunk_size:
        return header + payload
    continuation = _basic_header(3, chunk_stream_id) + extended
    view = memoryview(payload)
    chunks = (view[start : start + chunk_size] for start in range(0, len(payload), chunk_size))
    return header + continuation.join(chunks)


def _basic_header(fmt: int, chunk_stream_id: int) -> bytes:
    """Section 5.3.1.1: ids to 63 in one byte, to 319 in two, to 65599 in three."""
    if chunk_stream_id < 64:
        return bytes((fmt << 6 | chunk_stream_id,))
    if chunk_stream_id < 320:
        return bytes((fmt << 6, chunk_stream_id - 64))
    return bytes((fmt << 6 | 1,)) + (chunk_stream_id - 64).to_bytes(2, "little")
