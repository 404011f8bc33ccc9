"""Wire counters that wrap, extended to integers that do not (in the spirit of RFC 3550, A.1).

A sequence number has 16 bits and wraps every minute of video; a timestamp has 32 bits and wraps after 13.3
hours at 90 kHz. Each value is taken as the one nearest to the highest seen, so reordering around the wrap
costs nothing. Whether a jump is believed is not decided here: the reorder buffer, the statistics and the
timeline each know better what a jump means to them.
"""

MAX_JUMP = 2048
"""Sequence numbers. A packet farther than this from the expected number, either way, is believed only when
the next number follows it: then the sender has started anew. More than a burst of loss at any bit rate of
interest (2 s of 10 Mbit/s), and it bounds every walk over missing numbers."""


class Extender:
    """Extends a counter of `bits` bits: `Extender(16)` for sequence numbers, `Extender(32)` for timestamps.

    The first value stands for itself. A value from before the first may come out negative.
    """

    __slots__ = ("_half", "_highest", "_mask", "_modulus")

    def __init__(self, bits: int) -> None:
        self._modulus = 1 << bits
        self._mask = self._modulus - 1
        self._half = self._modulus >> 1
        self._highest = -1

    def extend(self, value: int) -> int:
        """Return the extended value nearest to the highest so far, which it may become."""
        highest = self._highest
        if highest < 0:
            self._highest = value
            return value
        ahead = (value - highest) & self._mask
        if ahead < self._half:
            self._highest = highest + ahead
            return highest + ahead
        return highest + ahead - self._modulus

    def nearest(self, value: int) -> int:
        """Return what `extend` would, and remember nothing: for values that no media packet carried."""
        ahead = (value - self._highest) & self._mask
        return self._highest + (ahead if ahead < self._half else ahead - self._modulus)
