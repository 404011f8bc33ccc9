"""Any RTP packet is a retransmission, one that repeats nothing, or raises ParseError(RTP_MALFORMED); what is
restored keeps all but number, source and type, and is wrapped into the same packet again."""

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtp.packet import Packet, parse_packet, serialize_packet
from whipway.protocol.rtp.retransmission import restore_packet, wrap_packet

PAYLOAD_TYPE, SSRC = 102, 0xDECAFBAD


def target(data: bytes) -> bool:
    try:
        packet = parse_packet(data)
        original = restore_packet(packet, PAYLOAD_TYPE, SSRC)
    except ParseError as error:
        assert error.reason is DropReason.RTP_MALFORMED
        return False
    if original is None:
        assert not packet.payload
        return True
    assert (original.payload_type, original.ssrc) == (PAYLOAD_TYPE, SSRC)
    assert original.sequence_number.to_bytes(2, "big") + original.payload == packet.payload
    assert wrap_packet(original, packet.payload_type, packet.ssrc, packet.sequence_number) == packet
    return True


def seeds() -> list[bytes]:
    packet = Packet(103, True, 7, 90_000, 1, b"\x12\x34\x65\x88payload", b"", 0)
    payloads = (packet.payload, b"\x12\x34", b"")
    return [serialize_packet(packet._replace(payload=payload)) for payload in payloads]
