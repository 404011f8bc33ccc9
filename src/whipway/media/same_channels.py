"""Whether both channels of decoded Opus are one: a source that is mono, whatever its packets say.

The stereo flag of a packet (RFC 6716, 3.1) does not tell: browsers that are answered `stereo=1` send a single
microphone as stereo. What is decoded does. Where a coder was given the same twice, most packets come out with
equal channels to the last bit; in the others it spent its bits on each side by itself, and they differ by its
own noise. Where there is any difference in the source, however small, no packet comes out equal. So packets
that differ are borne with as long as equal ones come between them, if what differs is not loud; and those in
which it is not to be heard count as equal.
"""

from array import array
from operator import add, mul, sub
from typing import Final

MAX_DIFFERING: Final = 12
"""Packets, more than equal ones: of a mono source there are up to 9 when it clicks, of speech up to 4; of a
stereo source all. With 20 ms each a stereo that is hardly one is heard after a quarter of a second."""
FAINT: Final = 10**-4.8
"""Power of the difference to that of the sum: under -48 dB it is nothing."""
WIDE: Final = 0.01
"""Over -20 dB it is meant, ..."""
SIDE_POWER: Final = 1e-5
"""... unless it is too quiet to tell, as the noise between words: mean square, -50 dB of full scale."""
STEP: Final = 8
"""Every so many samples are looked at: levels need no more."""


class SameChannels:
    """Judges one stream, packet by packet."""

    __slots__ = ("_differing",)

    def __init__(self) -> None:
        self._differing = 0

    def takes(self, left: bytes, right: bytes) -> bool:
        """Whether the left channel may still stand for both, with these samples (32-bit floats)."""
        if left == right:
            self._differing = max(0, self._differing - 1)
            return True
        a, b = array("f", left)[::STEP], array("f", right)[::STEP]
        difference, total = list(map(sub, a, b)), list(map(add, a, b))
        side: float = sum(map(mul, difference, difference))
        both: float = sum(map(mul, total, total))
        # With samples that are no numbers all comparisons are false, and it differs.
        if side > WIDE * both and side > SIDE_POWER * len(a):
            return False
        self._differing = max(0, self._differing + (-1 if side <= FAINT * both else 1))
        return self._differing <= MAX_DIFFERING
