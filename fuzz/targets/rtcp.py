"""Any bytes are a compound RTCP packet or raise ParseError(RTCP_MALFORMED); the packets in it are bounded in
number, and each that is written out reads back the same."""

from contextlib import suppress
from math import inf
from time import process_time

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.feedback import FullIntraRequest, PictureLossIndication
from whipway.protocol.rtcp.packets import (
    MAX_PACKETS,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    UnknownPacket,
    ntp_to_seconds,
    parse_compound,
    seconds_to_ntp,
)
from whipway.protocol.rtcp.transport import MAX_NACK_NUMBERS, GenericNack

MAX_TEXT_BYTES = 255
MAX_SECONDS = 0.002
"""For a datagram as a receiver of media reads it. The dearest take a tenth of it."""


def target(data: bytes) -> bool:
    assert _cost(data) < MAX_SECONDS
    try:
        packets = parse_compound(data, feedback=True)
    except ParseError as error:
        assert error.reason is DropReason.RTCP_MALFORMED
        return False
    assert 0 < len(packets) <= MAX_PACKETS
    _check_round_trip([_in_order(packet) for packet in packets if _fits(packet)])
    for packet in packets:
        if isinstance(packet, SenderReport):
            # Half a microsecond, and the last of them rounds up to the next era's first.
            again = seconds_to_ntp(ntp_to_seconds(packet.ntp_timestamp))
            assert (again - packet.ntp_timestamp + 2**11) % 2**64 <= 2**12
    return True


def _cost(data: bytes) -> float:
    """Seconds; measured again where it seems much, because others use the machine as well."""
    seconds = inf
    for _ in range(5):
        begin = process_time()
        with suppress(ParseError):
            parse_compound(data)
        seconds = min(seconds, process_time() - begin)
        if seconds < MAX_SECONDS:
            break
    return seconds


def _check_round_trip(packets: list[RtcpPacket]) -> None:
    written = b""
    for packet in packets:
        assert not isinstance(packet, UnknownPacket)
        written += packet.serialize()
    if written:
        assert parse_compound(written, feedback=True) == packets


def _fits(packet: RtcpPacket) -> bool:
    """Whether it can be written: each byte of a text that was not UTF-8 became three, and few pairs of a NACK
    may name many packets."""
    match packet:
        case UnknownPacket():
            return False
        case SourceDescription(chunks):
            return all(len(cname.encode()) <= MAX_TEXT_BYTES for _, cname in chunks)
        case Goodbye(_, reason):
            return len(reason.encode()) <= MAX_TEXT_BYTES
        case GenericNack(_, _, lost):
            return len(set(lost)) <= MAX_NACK_NUMBERS
        case _:
            return True


def _in_order(packet: RtcpPacket) -> RtcpPacket:
    """A NACK may name a packet twice and in any order; written are its numbers in order."""
    if isinstance(packet, GenericNack):
        return packet._replace(lost=tuple(sorted(set(packet.lost))))
    return packet


def seeds() -> list[bytes]:
    block = ReportBlock(1, 12, -3, 70_000, 90, 5, 6)
    written = [
        SenderReport(1, 1 << 63, 90_000, 10, 12_000, (block,)).serialize(),
        ReceiverReport(2, (block, block)).serialize(),
        SourceDescription(((1, "a cname"), (2, ""))).serialize(),
        Goodbye((1, 2), "done").serialize(),
        PictureLossIndication(1, 2).serialize(),
        FullIntraRequest(1, 2, 3).serialize(),
    ]
    unknown = b"\x81\xcc\x00\x02" + bytes(8)
    nack = b"\x81\xcd\x00\x03" + bytes(8) + b"\x00\x07\x80\x01"
    remb = b"\x8f\xce\x00\x05" + bytes(8) + b"REMB\x01\x12\x34\x56ssrc"
    twcc = (
        b"\xaf\xcd\x00\x06" + bytes(8) + b"\x00\x01\x00\x03\x00\x00\x07\x01\x20\x03\x04\x08\x0c\x00\x00\x03"
    )
    runs = b"\x8f\xcd\x00\x05" + bytes(8) + b"\x00\x00\x08\x00" + bytes(4) + b"\x07\xff\x00\x01"
    extended = b"\x80\xcf\x00\x08ssrc\x04\x00\x00\x02" + bytes(8) + b"\x05\x00\x00\x03SSRC" + bytes(8)
    padded = b"\xa0\xc9\x00\x02" + bytes(7) + b"\x04"
    return [*written, b"".join(written), unknown, nack, remb, twcc, runs * 30, extended, padded]
