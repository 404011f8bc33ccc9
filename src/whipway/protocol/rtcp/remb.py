"""Receiver estimated maximum bitrate: REMB (draft-alvestrand-rmcat-remb-03, 2.2) and what to put in it.

For senders that do not speak transport-wide congestion control (twcc.py): they send no faster than the last
REMB says. It is application layer feedback (RFC 4585, 6.4: packet type 206, format 15) with a name of its
own; such feedback of any other name is not read. Delay is not measured here, loss alone decides.

    |V=2|P| FMT=15  |    PT=206     |            length             |
    |                   SSRC of the packet's sender                 |
    |                   SSRC of the media, always 0                 |
    |       'R'            'E'              'M'             'B'     |
    |  Num SSRC     | BR Exp (6)|  BR Mantissa (18)                 |
    :                   SSRCs that the estimate is for              :
"""

from struct import Struct
from typing import NamedTuple

from whipway.failures import DropReason, ParseError

APPLICATION_LAYER = 15
"""The format (RFC 4585, 6.4)."""

INITIAL_BITRATE = 3_000_000
"""Bits per second. More than browsers start with, so that on a clean network the sender's limit decides."""
MIN_BITRATE = 150_000
"""Less than this carries no usable picture, and leaves too few packets to measure loss by."""
MAX_BITRATE = 50_000_000
"""More than any encoder in use sends live."""
LOW_LOSS = 0.02
"""Below it there is room. Radio links lose as much without any congestion."""
HIGH_LOSS = 0.10
"""Above it the sender is too fast. Both bounds are those of draft-ietf-rmcat-gcc-02, 6."""
GROWTH = 1.08
"""Per second: up tenfold within half a minute."""
MAX_GROWTH_TIME = 2.0
"""Seconds that one update may make up for. Silence is no sign of a better network."""
DECREASE_INTERVAL = 0.5
"""Seconds. A cut takes a round trip and the encoder's reaction to show; loss until then was answered."""

# feedback.PAYLOAD_FEEDBACK; that module knows this one.
_PAYLOAD_FEEDBACK = 206
_NAME = b"REMB"
_MANTISSA_BITS = 18
_HEADER = Struct("!BBHII4sI")
_BODY = Struct("!I4x4sI")
_SSRC_SIZE = 4


class BitrateEstimate(NamedTuple):
    """All of `ssrcs` together should send no more than `bitrate` bits per second."""

    sender_ssrc: int
    bitrate: int
    ssrcs: tuple[int, ...]

    def serialize(self) -> bytes:
        """20 octets and 4 for each SSRC (at most 255); the bitrate is rounded down to 18 significant bits."""
        exponent = max(0, self.bitrate.bit_length() - _MANTISSA_BITS)
        estimate = len(self.ssrcs) << 24 | exponent << _MANTISSA_BITS | self.bitrate >> exponent
        words = 4 + len(self.ssrcs)
        first = 0x80 | APPLICATION_LAYER
        header = _HEADER.pack(first, _PAYLOAD_FEEDBACK, words, self.sender_ssrc, 0, _NAME, estimate)
        return header + b"".join(ssrc.to_bytes(_SSRC_SIZE, "big") for ssrc in self.ssrcs)


def parse_estimate(body: bytes) -> BitrateEstimate | None:
    """Read the body of application layer feedback; None when it is not a REMB.

    ParseError(RTCP_MALFORMED) when it has fewer SSRCs than it says.
    """
    if len(body) < _BODY.size:
        return None
    sender_ssrc, name, estimate = _BODY.unpack_from(body)
    if name != _NAME:
        return None
    end = _BODY.size + (estimate >> 24) * _SSRC_SIZE
    if end > len(body):
        raise ParseError(DropReason.RTCP_MALFORMED, "estimate shorter than its count")
    starts = range(_BODY.size, end, _SSRC_SIZE)
    ssrcs = tuple(int.from_bytes(body[at : at + _SSRC_SIZE], "big") for at in starts)
    exponent = estimate >> _MANTISSA_BITS & 0x3F
    return BitrateEstimate(sender_ssrc, (estimate & 0x3FFFF) << exponent, ssrcs)


class LossBasedEstimator:
    """A bitrate that follows loss, by the rule of draft-ietf-rmcat-gcc-02, 6: grow, hold or cut.

    It never looks at the rate that is received. An estimate tied to that rate falls into a spiral: a quiet
    scene or a slow start needs few bits, the estimate follows it down, and then holds the sender there, who
    could never show that there was room. So the estimate starts above what is likely to be needed, and only
    loss, which a clean network does not have, takes it down.
    """

    def __init__(self) -> None:
        self._bitrate: float = INITIAL_BITRATE
        self._updated_at: float | None = None
        self._decreased_at: float | None = None

    def update(self, fraction_lost: float, now: float) -> int:
        """Take the share of packets (0 to 1) lost since the last call; return bits per second."""
        elapsed = 0.0 if self._updated_at is None else now - self._updated_at
        self._updated_at = now
        if fraction_lost < LOW_LOSS:
            self._bitrate = min(self._bitrate * GROWTH ** min(elapsed, MAX_GROWTH_TIME), MAX_BITRATE)
        elif fraction_lost > HIGH_LOSS and self._may_decrease(now):
            self._bitrate = max(self._bitrate * (1 - fraction_lost / 2), MIN_BITRATE)
            self._decreased_at = now
        return int(self._bitrate)

    def _may_decrease(self, now: float) -> bool:
        return self._decreased_at is None or now - self._decreased_at >= DECREASE_INTERVAL
