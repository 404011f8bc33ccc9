"""The chunk stream: the examples of the specification, each header form, hostile and careless peers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.chunk import (
    MAX_CHUNK_STREAM_ID,
    MAX_CHUNK_STREAMS,
    MAX_CHUNKS_PER_READ,
    MAX_MESSAGES_PER_READ,
    ChunkReader,
    ChunkWriter,
    serialize_message,
)
from whipway.protocol.rtmp.messages import Message, MessageType

AUDIO, VIDEO = MessageType.AUDIO, MessageType.VIDEO


def read(*parts: bytes, reader: ChunkReader | None = None) -> list[Message]:
    return (reader or ChunkReader()).receive(b"".join(parts))


def header(
    fmt: int, csid: int, time: int = 0, length: int = 0, type_id: int = 8, stream_id: int = 1
) -> bytes:
    """A header with a one-byte basic header and no extended timestamp."""
    fields = time.to_bytes(3, "big") + length.to_bytes(3, "big") + bytes((type_id,))
    return bytes((fmt << 6 | csid,)) + (fields + stream_id.to_bytes(4, "little"))[: (11, 7, 3, 0)[fmt]]


def refused(*parts: bytes, reader: ChunkReader | None = None) -> DropReason:
    with pytest.raises(ParseError) as error:
        read(*parts, reader=reader)
    return error.value.reason


# Examples of RTMP 1.0.


def test_example_1_audio_with_compressed_headers() -> None:
    """Section 5.3.2.1: four audio messages, 20 ms apart, by chunks of type 0, 2, 3 and 3."""
    body = [bytes((i,)) * 32 for i in range(4)]
    data = (
        bytes.fromhex("03 0003e8 000020 08 39300000") + body[0],
        bytes.fromhex("83 000014") + body[1],
        bytes.fromhex("c3") + body[2],
        bytes.fromhex("c3") + body[3],
    )
    assert [len(chunk) for chunk in data] == [44, 36, 33, 33]
    assert read(*data) == [Message(AUDIO, 12345, 1000 + 20 * i, body[i]) for i in range(4)]


def test_example_2_a_message_in_three_chunks() -> None:
    """Section 5.3.2.2: 307 bytes of video in chunks of 128."""
    body = bytes(range(256)) + bytes(51)
    data = bytes.fromhex("04 0003e8 000133 09 3a300000") + body[:128] + b"\xc4" + body[128:256] + b"\xc4"
    data += body[256:]
    message = Message(VIDEO, 12346, 1000, body)
    assert len(data) == 140 + 129 + 52
    assert serialize_message(message, 4, 128) == data
    assert read(data) == [message]


# Writing.


@pytest.mark.parametrize(
    ("csid", "basic"),
    [(2, "02"), (63, "3f"), (64, "0000"), (319, "00ff"), (320, "010001"), (65599, "01ffff")],
)
def test_basic_header_sizes(csid: int, basic: str) -> None:
    message = Message(AUDIO, 1, 0, b"x" * 129)
    data = serialize_message(message, csid, 128)
    assert data.startswith(bytes.fromhex(basic + "000000 000081 08 01000000"))
    continuation = bytearray.fromhex(basic)
    continuation[0] |= 0xC0
    assert data.endswith(continuation + b"x")
    assert read(data) == [message]


@pytest.mark.parametrize(
    ("timestamp", "field", "extended"),
    [
        (0xFFFFFE, "fffffe", ""),
        (0xFFFFFF, "ffffff", "00ffffff"),
        (0x1000000, "ffffff", "01000000"),
        (0xFFFFFFFF, "ffffff", "ffffffff"),
    ],
)
def test_extended_timestamps_stand_in_each_chunk(timestamp: int, field: str, extended: str) -> None:
    message = Message(VIDEO, 1, timestamp, b"abcde")
    data = serialize_message(message, 6, 3)
    first = bytes.fromhex("06" + field + "000005 09 01000000" + extended)
    assert data == first + b"abc" + b"\xc6" + bytes.fromhex(extended) + b"de"
    assert serialize_message(message, 6, 5) == first + b"abcde"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 256, 257, 70000])
def test_round_trip_of_sizes(size: int) -> None:
    message = Message(VIDEO, 1, 5, bytes(i & 0xFF for i in range(size)))
    assert read(serialize_message(message, 6, 128)) == [message]


def test_fields_out_of_range_are_the_mistake_of_the_caller() -> None:
    with pytest.raises(OverflowError):
        serialize_message(Message(VIDEO, 1, 1 << 32, b""), 6, 128)
    with pytest.raises(OverflowError):
        serialize_message(Message(VIDEO, 1, 0, bytes(1 << 24)), 6, 1 << 24)


def test_the_writer_obeys_what_it_announces() -> None:
    writer = ChunkWriter()
    message = Message(VIDEO, 1, 0, bytes(300))
    assert writer.write(message, 6) == serialize_message(message, 6, 128)
    announced = writer.write(messages.set_chunk_size(4096), 2)
    assert announced == bytes.fromhex("02 000000 000004 01 00000000 00001000")
    assert writer.chunk_size == 4096
    assert writer.write(message, 6) == serialize_message(message, 6, 4096)


# Reading.


def test_type_1_changes_length_and_type_and_adds_a_delta() -> None:
    data = header(0, 4, 10, 1, 8, 7) + b"a" + header(1, 4, 5, 2, 9) + b"bc"
    assert read(data) == [Message(8, 7, 10, b"a"), Message(9, 7, 15, b"bc")]


def test_type_3_after_type_0_repeats_its_time_as_a_delta() -> None:
    # Section 5.3.1.2.4; ffmpeg sends this for equal steps from the start.
    assert [m.timestamp for m in read(header(0, 4, 40, 1), b"a", b"\xc4b", b"\xc4c")] == [40, 80, 120]


def test_librtmp_may_begin_with_type_1() -> None:
    assert read(header(1, 2, 3, 6, 4), bytes(6)) == [Message(4, 0, 3, bytes(6))]


def test_timestamps_wrap() -> None:
    data = header(0, 4, 0xFFFFFF, 1) + b"\xff\xff\xff\xf0" + b"a" + header(2, 4, 0x20) + b"b"
    assert [m.timestamp for m in read(data)] == [0xFFFFFFF0, 0x10]


@pytest.mark.parametrize("fmt", [1, 2])
def test_deltas_across_the_wrap_of_24_bits(fmt: int) -> None:
    """4.66 hours: the field has no more room, but a delta needs none of it, and no chunk has the escape."""
    data = header(0, 4, 0xFFFFF0, 1) + b"a" + header(fmt, 4, 0x20, 200) + b"b" * 128 + b"\xc4" + b"b" * 72
    if fmt == 2:
        data = header(0, 4, 0xFFFFF0, 200) + b"a" * 128 + b"\xc4" + b"a" * 72 + data[13:]
    data += b"\xc4" + b"c" * 128 + b"\xc4" + b"c" * 72
    assert [m.timestamp for m in read(data)] == [0xFFFFF0, 0x1000010, 0x1000030]


@pytest.mark.parametrize("fmt", [1, 2])
def test_deltas_across_the_wrap_of_32_bits(fmt: int) -> None:
    """49.7 days."""
    data = header(0, 4, 0xFFFFFF, 1) + b"\xff\xff\xff\xf0a" + header(fmt, 4, 0x0F, 1) + b"b"
    data += b"\xc4c" + header(fmt, 4, 0x14, 1) + b"d"
    assert [m.timestamp for m in read(data)] == [0xFFFFFFF0, 0xFFFFFFFF, 0x0E, 0x22]


def test_a_delta_that_goes_back() -> None:
    # librtmp subtracts in 32 bits; the chunks of such a message repeat the delta or, by others, the time.
    for repeated in (b"\xff\xff\xff\xec", b"\x00\x00\x03\xd4", b""):
        data = header(0, 4, 1000, 1) + b"a" + header(1, 4, 0xFFFFFF, 200) + b"\xff\xff\xff\xec"
        data += b"b" * 128 + b"\xc4" + repeated + b"b" * 72 + header(1, 4, 20, 1) + b"c"
        assert [m.timestamp for m in read(data)] == [1000, 980, 1000]


@pytest.mark.parametrize("start", [0xFFFFFF - 60, (1 << 32) - 60])
def test_the_writer_goes_on_across_both_limits(start: int) -> None:
    writer, reader = ChunkWriter(), ChunkReader()
    times = [(start + 20 * index) & 0xFFFFFFFF for index in range(8)]
    sent = [Message(VIDEO, 1, time, bytes(400)) for time in times]
    for message in sent:
        data = writer.write(message, 6)
        # Type 0, then type 3 three times; 4 bytes more in each of them when the escape is there.
        assert len(data) == 12 + 400 + 3 + (16 if message.timestamp >= 0xFFFFFF else 0)
        assert reader.receive(data) == [message]


def test_extended_deltas() -> None:
    data = header(0, 4, 1000, 1) + b"a" + header(2, 4, 0xFFFFFF) + b"\x01\x00\x00\x00b"
    data += b"\xc4\x01\x00\x00\x00c"
    assert [m.timestamp for m in read(data)] == [1000, 1000 + (1 << 24), 1000 + (2 << 24)]


def test_messages_interleave_between_chunk_streams() -> None:
    data = header(0, 6, 0, 200, 9) + b"v" * 128 + header(0, 4, 0, 2) + b"aa" + b"\xc6" + b"v" * 72
    assert read(data) == [Message(8, 1, 0, b"aa"), Message(9, 1, 0, b"v" * 200)]


def test_empty_messages() -> None:
    assert read(header(0, 4), header(3, 4)) == [Message(8, 1, 0, b"")] * 2


EXTENDED = header(0, 6, 0xFFFFFF, 200, 9) + b"\x01\x02\x03\x04" + b"v" * 128
BIG = Message(9, 1, 0x01020304, b"v" * 200)


def test_continuation_with_the_extended_timestamp() -> None:
    assert read(EXTENDED, b"\xc6\x01\x02\x03\x04", b"v" * 72) == [BIG]


def test_continuation_without_the_extended_timestamp() -> None:
    assert read(EXTENDED, b"\xc6", b"v" * 72) == [BIG]


def test_continuation_with_the_time_instead_of_the_delta() -> None:
    data = header(0, 6, 1, 1, 9) + b"x" + header(1, 6, 0xFFFFFF, 200, 9) + b"\x01\x00\x00\x00" + b"v" * 128
    expected = [Message(9, 1, 1, b"x"), Message(9, 1, 0x01000001, b"v" * 200)]
    assert read(data, b"\xc6\x01\x00\x00\x01", b"v" * 72) == expected
    assert read(data, b"\xc6\x01\x00\x00\x00", b"v" * 72) == expected


def test_a_short_tail_that_cannot_be_an_extended_timestamp_is_not_waited_for() -> None:
    data = header(0, 6, 0xFFFFFF, 129, 9) + b"\x01\x02\x03\x04" + b"v" * 128 + b"\xc6v"
    assert read(data) == [Message(9, 1, 0x01020304, b"v" * 129)]


def test_a_short_tail_that_may_be_an_extended_timestamp_is() -> None:
    reader = ChunkReader()
    assert read(EXTENDED, b"\xc6\x01\x02", reader=reader) == []
    assert read(b"\x03\x04", b"v" * 72, reader=reader) == [BIG]


def test_set_chunk_size_is_obeyed_even_inside_a_message() -> None:
    data = header(0, 6, 0, 1000, 9) + b"v" * 128
    size = serialize_message(messages.set_chunk_size(4096), 2, 128)
    assert read(data, size, b"\xc6", b"v" * 872) == [Message(9, 1, 0, b"v" * 1000)]


def test_abort_discards_a_partial_message() -> None:
    reader = ChunkReader()
    abort = serialize_message(messages.abort(6), 2, 128)
    assert read(header(0, 6, 7, 200, 9), b"v" * 128, abort, reader=reader) == []
    assert read(header(0, 6, 9, 1, 9), b"w", reader=reader) == [Message(9, 1, 9, b"w")]


def test_abort_of_an_unknown_chunk_stream_is_ignored() -> None:
    assert read(serialize_message(messages.abort(77), 2, 128)) == []


def test_received_bytes_are_counted() -> None:
    reader = ChunkReader()
    read(header(0, 4, 0, 3), b"a", reader=reader)
    assert reader.bytes_received == 13
    read(b"bc", reader=reader)
    assert reader.bytes_received == 15


@pytest.mark.parametrize("fmt", [2, 3])
def test_a_chunk_stream_cannot_begin_compressed(fmt: int) -> None:
    assert refused(header(fmt, 4)) is DropReason.RTMP_MALFORMED


@pytest.mark.parametrize("fmt", [0, 1, 2])
def test_a_message_cannot_begin_inside_another(fmt: int) -> None:
    data = header(0, 6, 0, 200, 9) + b"v" * 128
    assert refused(data, header(fmt, 6, 0, 200, 9)) is DropReason.RTMP_MALFORMED


@pytest.mark.parametrize("size", [0, 0x80000000])
def test_impossible_chunk_sizes(size: int) -> None:
    data = header(0, 2, 0, 4, 1, 0) + size.to_bytes(4, "big")
    assert refused(data) is DropReason.RTMP_MALFORMED


def test_a_short_set_chunk_size() -> None:
    assert refused(header(0, 2, 0, 1, 1, 0), b"x") is DropReason.RTMP_MALFORMED


def test_message_size_is_bounded_by_its_header() -> None:
    reader = ChunkReader(max_message_bytes=100)
    assert read(header(0, 4, 0, 100), bytes(100), reader=reader) == [Message(8, 1, 0, bytes(100))]
    assert refused(header(0, 4, 0, 101), reader=reader) is DropReason.RTMP_TOO_LARGE


def test_a_lowered_bound_holds_for_repeated_headers() -> None:
    reader = ChunkReader()
    read(header(0, 4, 0, 100), bytes(100), reader=reader)
    reader.max_message_bytes = 99
    assert refused(header(3, 4), reader=reader) is DropReason.RTMP_TOO_LARGE


def test_the_number_of_chunk_streams_is_bounded() -> None:
    reader = ChunkReader()
    for csid in range(64, 64 + MAX_CHUNK_STREAMS):
        read(serialize_message(Message(8, 1, 0, b""), csid, 128), reader=reader)
    known = serialize_message(Message(8, 1, 0, b"x"), 64, 128)
    assert len(read(known, reader=reader)) == 1
    new = serialize_message(Message(8, 1, 0, b""), MAX_CHUNK_STREAM_ID, 128)
    assert refused(new, reader=reader) is DropReason.RTMP_TOO_LARGE


def test_the_sum_of_partial_messages_is_bounded() -> None:
    reader = ChunkReader(max_message_bytes=1000)
    begun = [header(0, csid, 0, 1000, 9) + bytes(128) for csid in range(3, 19)]
    read(*begun[:15], reader=reader)
    assert refused(begun[15], reader=reader) is DropReason.RTMP_TOO_LARGE


def test_finished_messages_leave_the_sum() -> None:
    reader = ChunkReader(max_message_bytes=200)
    message = Message(9, 1, 0, bytes(200))
    for _ in range(10):
        assert read(serialize_message(message, 6, 128), reader=reader) == [message]


EMPTY = header(0, 4), b"\xc4"
SMALLEST_CHUNKS = serialize_message(messages.set_chunk_size(1), 2, 128)


def too_much(*parts: bytes, reader: ChunkReader) -> str:
    with pytest.raises(ParseError) as error:
        read(*parts, reader=reader)
    assert error.value.reason is DropReason.RTMP_MALFORMED
    return error.value.detail


@pytest.mark.parametrize(
    ("first", "next_"),
    [
        EMPTY,
        (header(0, 4, 0, 1) + b"x", b"\xc4x"),
        (header(0, 2, 0, 4, MessageType.ABORT, 0) + bytes(4), b"\xc2" + bytes(4)),
        (header(0, 2, 0, 4, MessageType.SET_CHUNK_SIZE, 0) + b"\0\0\0\x80", b"\xc2\0\0\0\x80"),
    ],
    ids=["empty", "one byte", "abort", "set chunk size"],
)
def test_the_number_of_messages_in_one_read_is_bounded(first: bytes, next_: bytes) -> None:
    reader = ChunkReader()
    read(first, next_ * (MAX_MESSAGES_PER_READ - 2), reader=reader)
    read(next_ * (MAX_MESSAGES_PER_READ - 1), reader=reader)
    assert too_much(next_ * (MAX_MESSAGES_PER_READ + 1), reader=reader) == "too many messages at once"


def test_as_many_messages_as_one_read_may_have() -> None:
    first, next_ = EMPTY
    reader = ChunkReader()
    for beginning in (first, next_):
        received = read(beginning, next_ * (MAX_MESSAGES_PER_READ - 1), reader=reader)
        assert len(received) == MAX_MESSAGES_PER_READ


def test_the_number_of_chunks_in_one_read_is_bounded() -> None:
    reader = ChunkReader()
    read(SMALLEST_CHUNKS, header(0, 4, 0, 1 << 16), b"x", reader=reader)
    assert read(b"\xc4x" * MAX_CHUNKS_PER_READ, reader=reader) == []
    assert too_much(b"\xc4x" * MAX_CHUNKS_PER_READ, b"\xc4", reader=reader) == "too many chunks at once"


# In pieces.

TIMES = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
MESSAGES = st.builds(
    Message, st.sampled_from([8, 9, 18, 20]), st.integers(0, 3), TIMES, st.binary(max_size=400)
)
CSIDS = st.sampled_from([2, 3, 63, 64, 319, 320, MAX_CHUNK_STREAM_ID])


@settings(max_examples=50)
@given(
    st.lists(st.tuples(MESSAGES, CSIDS), max_size=8),
    st.integers(1, 300),
    st.lists(st.integers(1, 200), max_size=20),
)
def test_fragmentation_does_not_matter(
    sent: list[tuple[Message, int]], chunk_size: int, cuts: list[int]
) -> None:
    writer, reader = ChunkWriter(), ChunkReader()
    data = writer.write(messages.set_chunk_size(chunk_size), 2)
    data += b"".join(writer.write(*item) for item in sent)
    received: list[Message] = []
    for cut in cuts:
        received += reader.receive(data[:cut])
        data = data[cut:]
    received += reader.receive(data)
    assert received == [message for message, _ in sent]


def test_byte_by_byte() -> None:
    reader = ChunkReader()
    data = EXTENDED + b"\xc6\x01\x02\x03\x04" + b"v" * 72
    data += serialize_message(BIG, 320, 128)
    received = [message for byte in data for message in reader.receive(bytes((byte,)))]
    assert received == [BIG, BIG]


def test_repeated_extended_header_byte_by_byte() -> None:
    reader = ChunkReader()
    data = header(0, 6, 0xFFFFFF, 1, 9) + b"\x01\x00\x00\x00a" + b"\xc6\x01\x00\x00\x00b"
    received = [message for byte in data for message in reader.receive(bytes((byte,)))]
    assert [m.timestamp for m in received] == [0x1000000, 0x2000000]


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_parse_or_raise_a_parse_error(parts: list[bytes]) -> None:
    reader = ChunkReader(max_message_bytes=1000)
    try:
        for part in parts:
            reader.receive(part)
    except ParseError as error:
        assert error.reason in (DropReason.RTMP_MALFORMED, DropReason.RTMP_TOO_LARGE)
