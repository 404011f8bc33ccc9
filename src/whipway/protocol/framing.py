"""Datagrams on a TCP connection, each behind its length (RFC 4571, section 2), as ICE uses it (RFC 6544).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------------------------------------------------------+
    |             LENGTH            |  STUN, DTLS, RTP or RTCP ...  |
    +---------------------------------------------------------------+

A wrong length cannot be found out and nothing marks the next frame, so the first error is the end of the
connection. Far shorter frames are taken than the length field allows: what ICE, DTLS and media send fits a
UDP datagram. Anything else that is spoken at this port (HTTP, TLS) reads as a length that is too great.
"""

from typing import Final

from whipway.failures import DropReason, ParseError

LENGTH_BYTES: Final = 2
MAX_FRAME_BYTES: Final = 2048
"""As much as the worker takes of a UDP datagram."""
MAX_FRAMES_PER_READ: Final = 4096
"""Begun by one call, since a frame may carry a single byte, or none. Real media reach 64 bytes a frame on
average even at their smallest, so that a read of 256 KiB stays below."""


class Deframer:
    """Turns received bytes into datagrams. What is held back is bounded by one frame."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial = b""
        """The beginning of a frame, perhaps not even its length."""

    def receive_data(self, data: bytes) -> list[bytes]:
        """The datagrams finished by `data`, one read of at most some hundred KiB.

        Raises `ParseError` (TCP_FRAME_MALFORMED), after which the connection is of no use.
        """
        if self._partial:
            data = self._partial + data
        datagrams: list[bytes] = []
        start = 0
        frames_left = MAX_FRAMES_PER_READ
        while len(data) - start >= LENGTH_BYTES:
            size = data[start] << 8 | data[start + 1]
            if size > MAX_FRAME_BYTES:
                raise ParseError(DropReason.TCP_FRAME_MALFORMED, f"a frame of {size} bytes")
            if not frames_left:
                raise ParseError(DropReason.TCP_FRAME_MALFORMED, "too many frames at once")
            end = start + LENGTH_BYTES + size
            if end > len(data):
                break
            # RFC 4571, section 2: "A length of 0 is legal and implies a null packet": nothing to hand on.
            if size:
                datagrams.append(data[start + LENGTH_BYTES : end])
            start = end
            frames_left -= 1
        self._partial = data[start:]
        return datagrams


def frame(datagram: bytes) -> bytes:
    """A datagram of at most 65535 bytes as it goes onto the connection."""
    return len(datagram).to_bytes(LENGTH_BYTES, "big") + datagram
