"""Whatever datagrams come: what is opened is exactly a packet that the peer protected, and each of them only
once; all else raises ParseError, and the number of SSRCs is bounded."""

from pylibsrtp import Error

from fuzz.script import Script, block, spoil
from whipway.failures import DropReason, ParseError
from whipway.protocol.srtp import MAX_STREAMS, SrtpSession

PROFILES = {
    "SRTP_AEAD_AES_128_GCM": 28,
    "SRTP_AEAD_AES_256_GCM": 44,
    "SRTP_AES128_CM_SHA1_80": 30,
}
"""Bytes of master key and salt."""
REASONS = (DropReason.SRTP_AUTHENTICATION, DropReason.SRTP_REPLAY, DropReason.SRTP_SSRC_LIMIT)
INTACT, SPOILED, RAW, KINDS = range(4)
MAX_PAYLOAD_BYTES = 1300


class Ends:
    """Both ends of one direction, and what passed between them."""

    def __init__(self, profile: str) -> None:
        near, far = bytes(range(PROFILES[profile])), bytes(range(100, 100 + PROFILES[profile]))
        self._peer = SrtpSession(profile, far, near)
        self._session = SrtpSession(profile, near, far)
        self._packets: dict[tuple[bool, bytes], bytes] = {}
        self._opened: set[tuple[bool, bytes]] = set()

    def protect(self, packet: bytes, is_rtcp: bool) -> bytes:
        """The datagram; libsrtp does not send everything, then it is the bare packet."""
        protect = self._peer.protect_rtcp if is_rtcp else self._peer.protect_rtp
        try:
            datagram = protect(packet[:MAX_PAYLOAD_BYTES])
        except Error:
            return packet
        self._packets[is_rtcp, datagram] = packet[:MAX_PAYLOAD_BYTES]
        return datagram

    def receive(self, datagram: bytes, is_rtcp: bool) -> bool:
        """Whether it was opened."""
        unprotect = self._session.unprotect_rtcp if is_rtcp else self._session.unprotect_rtp
        try:
            packet = unprotect(datagram)
        except ParseError as error:
            assert error.reason in REASONS
            return False
        assert self._packets.get((is_rtcp, datagram)) == packet
        assert (is_rtcp, datagram) not in self._opened
        self._opened.add((is_rtcp, datagram))
        assert len(self._session._ssrcs) <= MAX_STREAMS
        return True


def target(data: bytes) -> bool:
    """The profile, and a list of packets with what becomes of them."""
    script = Script(data)
    ends = Ends(list(PROFILES)[script.choose(len(PROFILES))])
    opened = 0
    while script:
        kind, is_rtcp, packet = script.choose(KINDS), script.choose(2) == 1, script.block()
        datagram = packet if kind == RAW else ends.protect(packet, is_rtcp)
        if kind == SPOILED:
            datagram = spoil(datagram, script)
        opened += ends.receive(datagram, is_rtcp)
    return opened > 0


def seeds() -> list[bytes]:
    rtp = [
        bytes((0x80, 102)) + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc + b"payload"
        for number in (65_534, 65_535, 65_536, 65_534, 1000)
        for ssrc in (b"ssrc", b"SSRC")
    ]
    rtcp = bytes((0x80, 201, 0, 1)) + b"ssrc"
    intact = b"".join(bytes((INTACT, 0)) + block(packet) for packet in rtp) + bytes((INTACT, 1)) + block(rtcp)
    spoiled = bytes((SPOILED, 0)) + block(rtp[0]) + bytes((0, 20, 1, 0, 0))
    again = bytes((SPOILED, 1)) + block(rtcp) + bytes(5)
    raw = bytes((RAW, 0)) + block(rtp[0])
    many = b"".join(
        bytes((INTACT, 0)) + block(rtp[0][:8] + number.to_bytes(4, "big") + b"x") for number in range(70)
    )
    return [bytes((profile,)) + intact + spoiled + again + raw for profile in range(3)] + [b"\0" + many]
