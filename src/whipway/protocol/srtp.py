"""SRTP and SRTCP (RFC 3711; AES-GCM: RFC 7714) of one session, done by libsrtp through pylibsrtp.

Two libsrtp sessions with wildcard SSRCs, one per direction, keyed with what the DTLS handshake exported.
libsrtp makes a stream (replay window, rollover counter) for every new SSRC, but only after its first packet
proved authentic, so strangers cannot grow the table; `MAX_STREAMS` bounds what the peer itself can do.
Packets are bytes in and bytes out; which track an SSRC belongs to is decided above.

RTP packets come by the thousand. They are opened by the function of libsrtp itself, as pylibsrtp binds it:
that saves a quarter of the time (`_Opener`).
"""

from collections.abc import Callable
from typing import Any

import pylibsrtp
from pylibsrtp import Error, Policy, Session

from whipway.failures import DropReason, ParseError

REPLAY_WINDOW_PACKETS = 4096
"""Retransmissions may come two seconds late: 3500 packets of 20 Mbit/s video. libsrtp's default is 128."""

MAX_STREAMS = 64
"""Distinct SSRCs of a peer: audio, video, RTX and senders of RTCP are under ten, with room for restarts."""

MAX_PACKET_BYTES = 1500
"""pylibsrtp's buffer; no datagram on an Ethernet path carries more than 1472."""

_INSIDES: Any = pylibsrtp
"""Where it keeps its binding, which it does not announce."""

_PROFILES: dict[str, int] = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class SrtpSession:
    """Protects what goes to the peer and opens what comes from it.

    `profile` is the name DTLS negotiated; keys are the master key followed by the master salt.
    """

    def __init__(self, profile: str, local_key: bytes, remote_key: bytes) -> None:
        self._outbound = Session(_policy(profile, local_key, Policy.SSRC_ANY_OUTBOUND))
        self._inbound = Session(_policy(profile, remote_key, Policy.SSRC_ANY_INBOUND))
        self._ssrcs: set[bytes] = set()
        self._open: Callable[[bytes], bytes] = _bind_opener(self._inbound)

    def unprotect_rtp(self, data: bytes) -> bytes:
        """The RTP packet in one datagram. Raises ParseError: SRTP_AUTHENTICATION, _REPLAY or _SSRC_LIMIT."""
        if len(data) > MAX_PACKET_BYTES or data[8:12] not in self._ssrcs:
            return self._unprotect(self._open, data, data[8:12])
        try:
            return self._open(data)
        except Error as error:
            raise _parse_error(str(error)) from None

    def unprotect_rtcp(self, data: bytes) -> bytes:
        """The compound RTCP packet in one datagram. Raises as `unprotect_rtp`."""
        return self._unprotect(self._inbound.unprotect_rtcp, data, data[4:8])

    def protect_rtp(self, packet: bytes) -> bytes:
        """The datagram for one RTP packet of at most 1356 bytes. A repeated sequence number is allowed."""
        protected: bytes = self._outbound.protect(packet)
        return protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        """The datagram for one compound RTCP packet of at most 1352 bytes."""
        protected: bytes = self._outbound.protect_rtcp(packet)
        return protected

    def _unprotect(self, operation: Callable[[bytes], bytes], data: bytes, ssrc: bytes) -> bytes:
        is_new = ssrc not in self._ssrcs
        if is_new and len(self._ssrcs) == MAX_STREAMS:
            raise ParseError(DropReason.SRTP_SSRC_LIMIT)
        if len(data) > MAX_PACKET_BYTES:
            raise ParseError(DropReason.SRTP_AUTHENTICATION, "too long")
        try:
            packet = operation(data)
        except Error as error:
            raise _parse_error(str(error)) from None
        if is_new:
            self._ssrcs.add(ssrc)
        return packet


class _Opener:
    """`unprotect` of one pylibsrtp session, for packets of at most `MAX_PACKET_BYTES`, and for RTP only.

    pylibsrtp's own makes a new C integer for each length, and checks what is checked here already.
    """

    __slots__ = ("_context", "_packet", "_room", "_session", "_size", "_unprotect")

    def __init__(self, session: Session) -> None:
        self._session = session  # It frees the context.
        self._context: Any = session._srtp[0]
        self._unprotect: Any = _INSIDES.lib.srtp_unprotect
        self._packet: Any = _INSIDES.ffi.new("unsigned char[]", MAX_PACKET_BYTES)
        self._room: Any = _INSIDES.ffi.buffer(self._packet)
        self._size: Any = _INSIDES.ffi.new("int *")

    def open(self, data: bytes) -> bytes:
        """Decrypt one datagram. Raises pylibsrtp's Error."""
        size, room = self._size, self._room
        size[0] = length = len(data)
        room[0:length] = data
        status = self._unprotect(self._context, self._packet, size)
        if status:
            raise Error(_INSIDES.ERRORS[status])
        packet: bytes = room[0 : size[0]]
        return packet


def _bind_opener(session: Session) -> Callable[[bytes], bytes]:
    """What opens the RTP packets of this session: a pylibsrtp with other insides has to do it itself."""
    try:
        opener = _Opener(session)
        opener.open(b"")
    except Error:  # As it should be: that is no packet.
        return opener.open
    except (AttributeError, TypeError):
        pass
    public: Callable[[bytes], bytes] = session.unprotect
    return public


def _policy(profile: str, key: bytes, ssrc_type: int) -> Policy:
    policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=_PROFILES[profile])
    policy.window_size = REPLAY_WINDOW_PACKETS
    # The very same packet may be sent again as a retransmission (RFC 3711 section 3.3.2 has receivers check
    # for replays, not senders). Without meaning for the inbound session.
    policy.allow_repeat_tx = True
    return policy


def _parse_error(text: str) -> ParseError:
    """libsrtp's status text as a drop reason: too short, unparsable or forged is all "not authentic"."""
    is_replay = text.startswith("replay check failed") or text == "packet index is too old to consider"
    return ParseError(DropReason.SRTP_REPLAY if is_replay else DropReason.SRTP_AUTHENTICATION, text)
