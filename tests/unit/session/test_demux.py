"""Every first byte, and the second byte where it decides."""

import pytest

from whipway.session.demux import DatagramKind, classify

STUN, DTLS, RTP, RTCP, UNKNOWN = (
    DatagramKind.STUN,
    DatagramKind.DTLS,
    DatagramKind.RTP,
    DatagramKind.RTCP,
    DatagramKind.UNKNOWN,
)


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 3, STUN),
        (4, 15, UNKNOWN),
        (16, 19, UNKNOWN),  # ZRTP
        (20, 63, DTLS),
        (64, 79, UNKNOWN),  # TURN channels
        (80, 127, UNKNOWN),
        (128, 191, RTP),
        (192, 255, UNKNOWN),
    ],
)
def test_first_byte(first, last, kind):
    """RFC 7983, section 7, figure 3."""
    for byte in range(first, last + 1):
        assert classify(bytes((byte, 0)) + bytes(18)) is kind


def test_rtcp_has_its_packet_types_where_rtp_has_marker_and_payload_type():
    kinds = [classify(bytes((0x80, second))) for second in range(256)]
    assert kinds == [RTP] * 192 + [RTCP] * 32 + [RTP] * 32


def test_the_second_byte_decides_nothing_else():
    assert classify(b"\x00\xc8") is STUN
    assert classify(b"\x16\xfe") is DTLS


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x16", b"\x80"])
def test_too_short_for_anything(data):
    assert classify(data) is UNKNOWN
