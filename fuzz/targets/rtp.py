"""Any bytes are an RTP packet or raise ParseError(RTP_MALFORMED); every header extension element can be
asked for, lies inside its block, and a packet that is written out reads back the same."""

from fuzz.script import Script
from whipway.failures import DropReason, ParseError
from whipway.protocol.rtp.packet import (
    ONE_BYTE_PROFILE,
    TWO_BYTE_PROFILE,
    Packet,
    header_extension,
    parse_packet,
    serialize_packet,
)


def target(data: bytes) -> bool:
    script = Script(data)
    padding = script.number()
    wire = script.rest()
    try:
        packet = parse_packet(wire)
    except ParseError as error:
        assert error.reason is DropReason.RTP_MALFORMED
        return False
    assert len(packet.payload) + len(packet.extension) + 12 <= len(wire)
    for id in (*range(16), 255):
        element = header_extension(packet, id)
        assert element is None or element in packet.extension
    _check_round_trip(packet, padding)
    return True


def _check_round_trip(packet: Packet, padding: int) -> None:
    # A profile of 0 stands for "no extension": nobody reads one of that profile.
    written = packet if packet.profile else packet._replace(extension=b"")
    assert parse_packet(serialize_packet(written, padding)) == written


def seeds() -> list[bytes]:
    plain = Packet(102, True, 65535, 0xFFFFFFFF, 0xDECAFBAD, b"\x65\x88payload")
    one_byte = plain._replace(profile=ONE_BYTE_PROFILE, extension=b"\x41\x30\x31\x00\x22\x01\x02\x03")
    two_byte = plain._replace(profile=TWO_BYTE_PROFILE, extension=b"\x04\x02ab\x00\x05\x00\x00")
    packets = [serialize_packet(packet, size) for packet in (plain, one_byte, two_byte) for size in (0, 4)]
    mixed = b"\x83" + packets[0][1:12] + bytes(12) + b"mixed"
    return [b"\0" + packet for packet in packets] + [b"\x08" + mixed]
