"""The RTMP handshake, both ends (RTMP 1.0, section 5.2), in its simple and its digest form.

The simple form is an echo of 1536 bytes each way. Flash Player 9 brought a form with digests, published only
by use: each side hides an HMAC-SHA256 in its C1 or S1 and signs its last packet with a key made from the
digest of the other side. Players of H.264 (librtmp, ffmpeg) use it and check the answer, so the server can
too; the client keeps to the simple form, which every server takes, and reads any S1 and S2.

     0         4         8        12                772       776                1536
     | time    | version | scheme 0: offset, digest | scheme 1: offset, digest   |
                           4 offset bytes, then somewhere in the next 728 + 32 bytes the digest

Left out: RTMPE, the encrypted variant (C0 version 6).
"""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from whipway.failures import DropReason, ParseError

PACKET_BYTES: Final = 1536
"""C1, S1, C2 and S2 (section 5.2.3)."""

_VERSION: Final = b"\x03"
"""C0 and S0 (section 5.2.2)."""
_SIMPLE_HEADER: Final = bytes(8)
"""Time 0, and the zero field that says "no digest in here"."""
_SERVER_HEADER: Final = bytes((0, 0, 0, 0, 4, 5, 0, 1))
"""Time 0 and a server version. ffmpeg and librtmp look for a digest from 4.3 on."""

_DIGEST_BYTES: Final = 32
_SCHEMES: Final = (8, 772)
"""Where the four offset bytes stand, in scheme 0 and in scheme 1."""
_OFFSET_MODULUS: Final = 728

_KEY_TAIL: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_CLIENT_KEY: Final = b"Genuine Adobe Flash Player 001"
_SERVER_KEY: Final = b"Genuine Adobe Flash Media Server 001"
"""The two texts alone key the digests of C1 and S1; text and tail together the signatures of C2 and S2."""


class _Handshake(ABC):
    """What both ends do alike: hear the version and two packets of the peer, answer the first of them."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answered = False
        self._to_send = b""
        self.done = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; the return is what follows the handshake, empty until it is `done`.

        Raises `ParseError(RTMP_MALFORMED)` when the peer speaks another version.
        """
        self._received += data
        _check_version(self._received)
        if not self._answered and len(self._received) > PACKET_BYTES:
            self._answered = True
            self._to_send += self._answer(bytes(self._received[1 : 1 + PACKET_BYTES]))
        # What is in the second packet is not looked at: peers send an echo, a digest or noise.
        if len(self._received) < 1 + 2 * PACKET_BYTES:
            return b""
        self.done = True
        return bytes(self._received[1 + 2 * PACKET_BYTES :])

    def data_to_send(self) -> bytes:
        """Drain what is to be sent now."""
        data, self._to_send = self._to_send, b""
        return data

    @abstractmethod
    def _answer(self, packet: bytes) -> bytes:
        """What the peer's first packet is answered with."""


class ClientHandshake(_Handshake):
    """Sends C0 and C1 at once, C2 as soon as S1 is here, and is `done` after S2.

    Section 5.2.1: "The client MUST wait until S2 has been received before sending any other data."
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        super().__init__()
        self._to_send = _VERSION + _SIMPLE_HEADER + random(PACKET_BYTES - len(_SIMPLE_HEADER))

    def _answer(self, packet: bytes) -> bytes:
        return packet


class ServerHandshake(_Handshake):
    """Answers C0 and C1 with S0, S1 and S2 in the form the client speaks, and is `done` after C2."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        super().__init__()
        self._random = random

    def _answer(self, packet: bytes) -> bytes:
        return _VERSION + self._answer_in_kind(packet)

    def _answer_in_kind(self, c1: bytes) -> bytes:
        """S1 and S2."""
        # Section 5.2.3: the simple form has zeros here.
        for scheme in _SCHEMES if any(c1[4:8]) else ():
            digest = _digest(c1, scheme, _CLIENT_KEY)
            if c1.startswith(digest, _digest_at(c1, scheme)):
                return self._signed_s1(scheme) + self._signed_s2(digest)
        return _SIMPLE_HEADER + self._random(PACKET_BYTES - len(_SIMPLE_HEADER)) + c1

    def _signed_s1(self, scheme: int) -> bytes:
        s1 = _SERVER_HEADER + self._random(PACKET_BYTES - len(_SERVER_HEADER))
        start = _digest_at(s1, scheme)
        return s1[:start] + _digest(s1, scheme, _SERVER_KEY) + s1[start + _DIGEST_BYTES :]

    def _signed_s2(self, client_digest: bytes) -> bytes:
        body = self._random(PACKET_BYTES - _DIGEST_BYTES)
        return body + _hmac(_hmac(_SERVER_KEY + _KEY_TAIL, client_digest), body)


def _check_version(received: bytearray) -> None:
    if received and not received.startswith(_VERSION):
        raise ParseError(DropReason.RTMP_MALFORMED, f"handshake version {received[0]}")


def _digest_at(packet: bytes, scheme: int) -> int:
    return scheme + 4 + sum(packet[scheme : scheme + 4]) % _OFFSET_MODULUS


def _digest(packet: bytes, scheme: int, key: bytes) -> bytes:
    """The digest `packet` ought to hold: over all of it but the place of the digest itself."""
    start = _digest_at(packet, scheme)
    return _hmac(key, packet[:start] + packet[start + _DIGEST_BYTES :])


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, hashlib.sha256)
