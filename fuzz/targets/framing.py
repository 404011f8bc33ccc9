"""Bytes of a framed connection give the same datagrams, and the same error, however they are cut into reads;
what is held back is less than one frame; datagrams that are framed come back the same."""

from fuzz.script import Script, block
from whipway.failures import DropReason, ParseError
from whipway.protocol.framing import LENGTH_BYTES, MAX_FRAME_BYTES, Deframer, frame

MAX_WIRE_BYTES = 8192
"""Some frames of each size."""


def target(data: bytes) -> bool:
    """A block of sizes to cut the rest into."""
    script = Script(data)
    cuts = Script(script.block())
    wire = script.rest()[:MAX_WIRE_BYTES]
    whole, failed = _read([wire])
    pieces, rest = [], Script(wire)
    while rest:
        pieces.append(rest.take(cuts.number() + 1 if cuts else MAX_WIRE_BYTES))
    assert _read(pieces) == (whole, failed)
    assert _read([wire[at : at + 1] for at in range(len(wire))]) == (whole, failed)
    assert all(0 < len(datagram) <= MAX_FRAME_BYTES for datagram in whole)
    assert _read([b"".join(map(frame, whole))]) == (whole, False)
    return not failed and whole != []


def _read(reads: list[bytes]) -> tuple[list[bytes], bool]:
    deframer = Deframer()
    datagrams: list[bytes] = []
    try:
        for data in reads:
            datagrams += deframer.receive_data(data)
            assert not deframer.has_more and len(deframer._held) < LENGTH_BYTES + MAX_FRAME_BYTES
    except ParseError as error:
        assert error.reason is DropReason.TCP_FRAME_MALFORMED
        # How much came before the error depends on the cuts: one read gives all of its datagrams or none.
        return [], True
    return datagrams, False


def seeds() -> list[bytes]:
    datagrams = [b"\x80", bytes(range(250)), bytes(MAX_FRAME_BYTES), b"", b"last"]
    wire = b"".join(map(frame, datagrams))
    return [block(b"\x00\x00\x01\x60\xff") + wire, block(b"") + wire[:-1]]
