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

import sys
from typing import Final

from whipway.failures import DropReason, ParseError

LENGTH_BYTES: Final = 2
MAX_FRAME_BYTES: Final = 2048
"""As much as the worker takes of a UDP datagram."""


class Deframer:
    """Turns received bytes into datagrams. What is held back is less than a frame, or what a limit left."""

    __slots__ = ("_held", "_start", "has_more")

    def __init__(self) -> None:
        self.has_more = False
        """Whether the limit of the last call left something to be cut by the next."""
        self._held = b""
        self._start = 0
        """Where in it the next frame begins, perhaps without even all of its length."""

    def receive_data(self, data: bytes = b"", max_frames: int = sys.maxsize) -> list[bytes]:
        """The datagrams finished by `data`, in so many frames at most: a frame may carry a byte, or none.

        Raises `ParseError` (TCP_FRAME_MALFORMED), after which the connection is of no use.
        """
        if data:
            self._held = self._held[self._start :] + data
            self._start = 0
        held, start = self._held, self._start
        datagrams: list[bytes] = []
        for _ in range(max_frames):
            body = start + LENGTH_BYTES
            if body > len(held):
                break
            size = held[start] << 8 | held[start + 1]
            if size > MAX_FRAME_BYTES:
                raise ParseError(DropReason.TCP_FRAME_MALFORMED, f"a frame of {size} bytes")
            end = body + size
            if end > len(held):
                break
            # RFC 4571, section 2: "A length of 0 is legal and implies a null packet": nothing to hand on.
            if size:
                datagrams.append(held[body:end])
            start = end
        else:
            self.has_more = start < len(held)
            if self.has_more:
                self._start = start
                return datagrams
        # Without the part that is done: it is some hundred KiB now and then.
        self._held, self._start, self.has_more = held[start:], 0, False
        return datagrams


def frame(datagram: bytes) -> bytes:
    """A datagram of at most 65535 bytes as it goes onto the connection."""
    return len(datagram).to_bytes(LENGTH_BYTES, "big") + datagram
