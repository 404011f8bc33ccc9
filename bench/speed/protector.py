"""SRTP for who sends the same packets again and again: no bytes object is made but the datagram.

libsrtp is called through pylibsrtp's own binding, on a buffer that the packet is written into and encrypted
in. What `whipway.protocol.srtp` does for the server is not measured here, so that it may not be used here.
"""

from struct import Struct
from typing import Any, Final

from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
MAX_DATAGRAM_BYTES: Final = 1500
HEADER_BYTES: Final = 20
"""The fixed header, and an extension with one element: the transport-wide sequence number."""
TRANSPORT_ID: Final = 3
_HEADER: Final = Struct("!BBHIIHHBHx")
_EXTENSION_FLAG: Final = 0x90
"""Version 2, with an extension (RFC 3550, 5.1)."""
_ONE_BYTE_PROFILE: Final = 0xBEDE
_TRANSPORT_ELEMENT: Final = TRANSPORT_ID << 4 | 1
_write_header: Final = _HEADER.pack_into


class Protector:
    """One sender's packets. `key` is the master key and the master salt."""

    def __init__(self, profile: str, key: bytes) -> None:
        policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=PROFILES[profile])
        self._session: Any = Session(policy)
        self._context = self._session._srtp[0]
        self._cdata = ffi.new("unsigned char[]", MAX_DATAGRAM_BYTES)
        self._buffer = ffi.buffer(self._cdata)
        self._length = ffi.new("int *")

    def protect(
        self, payload: bytes, kind: int, sequence: int, timestamp: int, ssrc: int, wide: int
    ) -> bytes:
        """The datagram of an RTP packet. `kind`: marker, payload type; `wide`: the transport-wide number."""
        buffer, length = self._buffer, self._length
        size = HEADER_BYTES + len(payload)
        buffer[HEADER_BYTES:size] = payload
        _write_header(
            buffer,
            0,
            _EXTENSION_FLAG,
            kind,
            sequence,
            timestamp,
            ssrc,
            _ONE_BYTE_PROFILE,
            1,
            _TRANSPORT_ELEMENT,
            wide,
        )
        length[0] = size
        status = lib.srtp_protect(self._context, self._cdata, length)
        if status:
            raise Error(f"srtp_protect: {status}")
        datagram: bytes = buffer[0 : length[0]]
        return datagram

    def protect_rtcp(self, packet: bytes) -> bytes:
        """The datagram of a compound RTCP packet."""
        datagram: bytes = self._session.protect_rtcp(packet)
        return datagram


def make_opener(profile: str, key: bytes) -> Session:
    """The other direction: pylibsrtp's session for what a sender with this key sends."""
    policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=PROFILES[profile])
    policy.window_size = 4096
    return Session(policy)
