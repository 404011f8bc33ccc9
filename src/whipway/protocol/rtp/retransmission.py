"""RTP packets sent once more, in the retransmission payload format (RFC 4588, 4).

    | RTP header, and its extension if it has one        |
    | OSN (16 bits) | payload of the original packet ... |

A retransmission has a payload type, an SSRC and sequence numbers of its own; in front of the payload it
names the original sequence number (OSN). `restore_packet` undoes that, so that a packet that came late takes
the same way as one that came at once. Which payload type and SSRC it repairs was agreed in SDP and is for the
caller to know. `wrap_packet` is the sender's side. Left out: session-multiplexing, which BUNDLE has no use
for.
"""

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtp.packet import Packet

_OSN_BYTES = 2


def restore_packet(packet: Packet, payload_type: int, ssrc: int) -> Packet | None:
    """The original out of a retransmission, as `payload_type` of `ssrc`; ParseError(RTP_MALFORMED).

    None for a packet of padding only: senders probe for bandwidth with those, and they repeat nothing. The
    header extension is still that of the retransmission: a transport-wide number in it is not the original's.
    """
    payload = packet.payload
    if not payload:
        return None
    if len(payload) < _OSN_BYTES:
        raise ParseError(DropReason.RTP_MALFORMED, "retransmission shorter than its OSN")
    return Packet(
        payload_type,
        packet.marker,
        payload[0] << 8 | payload[1],
        packet.timestamp,
        ssrc,
        payload[_OSN_BYTES:],
        packet.extension,
        packet.profile,
    )


def wrap_packet(packet: Packet, payload_type: int, ssrc: int, sequence_number: int) -> Packet:
    """A retransmission of `packet`, as `payload_type` of `ssrc`; marker, timestamp and extension stay.

    `sequence_number` (16 bits) is one higher than that of the retransmission before it.
    """
    return packet._replace(
        payload_type=payload_type,
        ssrc=ssrc,
        sequence_number=sequence_number,
        payload=packet.sequence_number.to_bytes(_OSN_BYTES, "big") + packet.payload,
    )
