"""One RTP packet (RFC 3550, 5.1) as a value, with its header extension (RFC 8285) read only when asked for.

`parse_packet` runs for every media datagram after decryption, so it takes the fixed header in one unpack and
keeps the extension block as raw bytes; `header_extension` looks an element up in it, in the one-byte or the
two-byte form. CSRC identifiers are skipped: they name the sources that a mixer mixed, and nothing here
listens to a mixer. `serialize_packet` writes the same value back.
"""

from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError

HEADER_BYTES = 12
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
"""The low four bits of this profile are "appbits", free for the application (RFC 8285, 4.3)."""

_FIXED_HEADER = Struct("!BBHII")
_unpack_fixed_header = _FIXED_HEADER.unpack_from
_EXTENSION_HEADER = Struct("!HH")
_unpack_extension_header = _EXTENSION_HEADER.unpack_from

PLAIN = 0x80
"""The first byte of a packet that has nothing between its fixed header and its payload, and no padding."""
EXTENDED = 0x90
"""The same, but for a header extension."""
START_BYTES = 19
unpack_start = Struct("!BBHIIHHBH").unpack_from
"""The fixed header (marker and payload type together), profile and words of a header extension, and the first
element of its one-byte form, if that has two bytes: for packets whose first byte says that they are there."""


class Packet(NamedTuple):
    """An RTP packet without its padding and CSRC list."""

    payload_type: int
    """0..127."""
    marker: bool
    sequence_number: int
    """16 bits, as on the wire."""
    timestamp: int
    """32 bits, in units of the track's clock rate."""
    ssrc: int
    payload: bytes
    """Without header extension and padding. Empty for packets of padding only, which probe for bandwidth."""
    extension: bytes = b""
    """The block after the extension header, whole 32-bit words; `header_extension` reads it."""
    profile: int = 0
    """The extension's 16 bits "defined by profile"; 0 when the packet has no extension."""


def parse_packet(data: bytes) -> Packet:
    """Read one RTP packet from a whole (decrypted) datagram; ParseError(RTP_MALFORMED) if it is none."""
    size = len(data)
    if size < HEADER_BYTES:
        raise ParseError(DropReason.RTP_MALFORMED, "shorter than its fixed header")
    first, second, sequence_number, timestamp, ssrc = _unpack_fixed_header(data)
    if first & 0xC0 != 0x80:
        raise ParseError(DropReason.RTP_MALFORMED, "version is not 2")
    start = HEADER_BYTES + ((first & 0x0F) << 2)
    extension = b""
    profile = 0
    if first & 0x10:
        if size < start + 4:
            raise ParseError(DropReason.RTP_MALFORMED, "extension header does not fit")
        profile, words = _unpack_extension_header(data, start)
        extension_start = start + 4
        start = extension_start + (words << 2)
        extension = data[extension_start:start]
    end = size
    if first & 0x20:
        # RFC 3550, 5.1: "The last octet of the padding contains a count of how many padding octets should be
        # ignored, including itself", so it is never 0.
        padding = data[size - 1]
        if padding == 0:
            raise ParseError(DropReason.RTP_MALFORMED, "padding of no octets")
        end -= padding
    if start > end:
        raise ParseError(DropReason.RTP_MALFORMED, "header, extension and padding exceed the packet")
    return Packet(
        second & 0x7F, second > 0x7F, sequence_number, timestamp, ssrc, data[start:end], extension, profile
    )


def header_extension(packet: Packet, id: int) -> bytes | None:
    """Return the data of extension element `id` (as negotiated by extmap), None if the packet has none.

    A block that breaks off inside an element counts as not having that element: the payload is not touched
    by it.
    """
    if packet.profile == ONE_BYTE_PROFILE:
        return _one_byte_element(packet.extension, id)
    if packet.profile & 0xFFF0 == TWO_BYTE_PROFILE:
        return _two_byte_element(packet.extension, id)
    return None


def _one_byte_element(block: bytes, wanted: int) -> bytes | None:
    at = 0
    size = len(block)
    while at < size:
        head = block[at]
        at += 1
        if head == 0:
            continue
        id = head >> 4
        # RFC 8285, 4.2: at an ID of 15, and at an ID of 0 with a length other than 0, "processing of the
        # entire extension MUST terminate".
        if id in (0, 15):
            return None
        end = at + (head & 0x0F) + 1
        if id == wanted:
            return block[at:end] if end <= size else None
        at = end
    return None


def _two_byte_element(block: bytes, wanted: int) -> bytes | None:
    at = 0
    last = len(block) - 1
    while at < last:
        id = block[at]
        # RFC 8285, 4.3: an ID of 0 is padding, one octet without a length.
        if id == 0:
            at += 1
            continue
        end = at + 2 + block[at + 1]
        if id == wanted:
            return block[at + 2 : end] if end <= last + 1 else None
        at = end
    return None


def serialize_packet(packet: Packet, padding: int = 0) -> bytes:
    """Write a packet; `padding` octets (0..255, the count included) follow the payload.

    The extension is written when `profile` is not 0, filled up to whole words with zero octets, which
    RFC 8285 reads as padding.
    """
    extension = b""
    if packet.profile:
        block = packet.extension + bytes(-len(packet.extension) % 4)
        extension = _EXTENSION_HEADER.pack(packet.profile, len(block) >> 2) + block
    first = 0x80 | (0x20 if padding else 0) | (0x10 if packet.profile else 0)
    second = packet.payload_type | (0x80 if packet.marker else 0)
    header = _FIXED_HEADER.pack(first, second, packet.sequence_number, packet.timestamp, packet.ssrc)
    tail = bytes(padding - 1) + bytes((padding,)) if padding else b""
    return header + extension + packet.payload + tail
