"""Bytes of a chunk stream give the same messages, and the same error, however they are cut into reads;
messages and what is held back are bounded; messages that are written out read back the same."""

from fuzz.script import Script, block
from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp.chunk import ChunkReader, serialize_message
from whipway.protocol.rtmp.messages import Message, MessageType, abort, set_chunk_size

MAX_MESSAGE_BYTES = 1024
MAX_WIRE_BYTES = 4096
"""Below the limits of what one read may begin and finish."""
MAX_HEADER_BYTES = 18
REASONS = (DropReason.RTMP_MALFORMED, DropReason.RTMP_TOO_LARGE)


def target(data: bytes) -> bool:
    """A block of sizes to cut the rest into."""
    script = Script(data)
    cuts = Script(script.block())
    wire = script.rest()[:MAX_WIRE_BYTES]
    whole, failure = _read([wire])
    pieces, rest = [], Script(wire)
    while rest:
        pieces.append(rest.take(cuts.number() + 1 if cuts else MAX_WIRE_BYTES))
    assert _read(pieces) == (whole, failure)
    if failure is None:
        assert _read([wire[at : at + 1] for at in range(len(wire))]) == (whole, None)
    for message in whole:
        assert len(message.payload) <= MAX_MESSAGE_BYTES
        for size in (1 + len(message.payload) // 3, 65_536):
            assert _read([serialize_message(message, 64, size)], size) == ([message], None)
    return failure is None and whole != []


def _read(reads: list[bytes], chunk_size: int | None = None) -> tuple[list[Message], DropReason | None]:
    reader = ChunkReader(MAX_MESSAGE_BYTES)
    messages: list[Message] = []
    try:
        if chunk_size is not None:
            reader.receive(serialize_message(set_chunk_size(chunk_size), 2, 128))
        for data in reads:
            messages += reader.receive(data)
            assert 0 <= reader._held_bytes <= 2 * MAX_MESSAGE_BYTES
            assert reader._held_bytes == sum(len(stream.partial) for stream in reader._streams.values())
            assert len(reader._header) <= MAX_HEADER_BYTES
    except ParseError as error:
        assert error.reason in REASONS
        # How much came before the error depends on the cuts: one read gives all of its messages or none.
        return [], error.reason
    return messages, None


def seeds() -> list[bytes]:
    video = Message(MessageType.VIDEO, 1, 40, bytes(range(256)) * 2)
    late = video._replace(timestamp=0x01020304)
    chunks = [serialize_message(message, id, 128) for message in (video, late) for id in (6, 70, 400)]
    larger = serialize_message(set_chunk_size(200), 2, 128) + serialize_message(video, 6, 200)
    begun = chunks[0][:140] + serialize_message(abort(6), 2, 128) + chunks[0]
    header = b"\x04\x00\x00\x05\x00\x00\x02\x08\x01\x00\x00\x00ab"
    deltas = header + b"\x44\x00\x00\x05\x00\x00\x01\x08a" + b"\x84\x00\x00\x07b" + b"\xc4c"
    interleaved = chunks[0][:140] + header + chunks[0][140:]
    wires = [*chunks, larger, begun, deltas, interleaved]
    return [block(b"\x00\x05\x60") + wire for wire in wires]
