"""How long a packet takes to the sender of media and its answer back.

Sources: the DTLS handshake, packets that were asked for and came (`nack`), and extended reports where the
sender answers them (RFC 3611, 4.5). Whoever waits for an answer sizes its patience by it.
"""

INITIAL_ROUND_TRIP = 0.1
"""Seconds assumed before the first measurement: a path across a continent."""
MAX_ROUND_TRIP = 2.0
"""Seconds. A longer one is a stalled path or a nonsensical report."""
GAIN = 1 / 8
"""Of a new sample (RFC 6298, section 2: alpha)."""
QUICK_GAIN = 1 / 2
"""Of a sample of more than twice the estimate: then the path has become another one."""


class RoundTrip:
    """The smoothed round-trip time of one path; `seconds` is `INITIAL_ROUND_TRIP` while not measured."""

    __slots__ = ("is_measured", "least", "seconds")

    def __init__(self) -> None:
        self.seconds = INITIAL_ROUND_TRIP
        self.is_measured = False
        self.least = 0.0
        """The shortest ever measured; 0 before."""

    def add(self, sample: float) -> None:
        """Take one measurement in seconds; what cannot be true is left out."""
        if not 0.0 <= sample <= MAX_ROUND_TRIP:
            return
        if self.is_measured:
            gain = QUICK_GAIN if sample > 2 * self.seconds else GAIN
            self.seconds += gain * (sample - self.seconds)
            self.least = min(self.least, sample)
        else:
            self.seconds = self.least = sample
            self.is_measured = True
