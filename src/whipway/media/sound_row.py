"""Where sound goes on a timeline that is a row of samples without gaps.

Encoders and players want sample behind sample; what comes has times that jitter, and holes where packets were
lost or a sender was silent. A row says for each piece of sound how much silence goes in front of it: within
the tolerance it just continues. Up to 10 s off, it is mended: a hole is filled, sound that comes too early is
left out. Beyond that the sound begins anew: at its time if that is later, else, as times never decrease,
where the row ends; later times count from there.

The row holds no sound. Who has the sound fills the holes, and tells with `advance` what went in.
"""

from typing import Final

from whipway.media.opus import SAMPLE_RATE

TOLERANCE_SAMPLES: Final = SAMPLE_RATE * 40 // 1000
"""Nobody notices lips and sound this far apart (ITU-R BT.1359: sound may be 45 ms early)."""
MAX_REPAIR_SAMPLES: Final = SAMPLE_RATE * 10
"""A longer hole is a new beginning: no player waits for it, and it would be 500 frames at once."""


class SoundRow:
    """A row of samples at 48 kHz. Positions are samples since the zero of the media timeline."""

    __slots__ = ("_hole", "_shift", "position")

    def __init__(self, hole_samples: int = TOLERANCE_SAMPLES) -> None:
        """A hole of up to `hole_samples` closes up, and counts towards the next one."""
        self.position: int | None = None
        """Where the next sample goes; None as long as there was none."""
        self._hole = hole_samples
        self._shift = 0
        """What is added to given positions since one fell far behind."""

    def admit(self, given: int) -> int | None:
        """How many samples are missing in front of sound that is due at `given`; None: leave it out."""
        if self.position is None:
            self.position = given
        error = given + self._shift - self.position
        if error > MAX_REPAIR_SAMPLES:
            self.position += error
        elif error > self._hole:
            return error
        elif error < -MAX_REPAIR_SAMPLES:
            self._shift -= error
        elif error < -TOLERANCE_SAMPLES:
            return None
        return 0

    def missing_until(self, until: int, start: int) -> int:
        """How many samples are missing up to `until`; a row without any sound yet begins at `start`.

        More than 10 s are skipped, as between sounds.
        """
        if self.position is None:
            self.position = start
        missing = until - self.position
        if missing > MAX_REPAIR_SAMPLES:
            self.position = until
            return 0
        return max(0, missing)

    def advance(self, samples: int) -> int:
        """So many samples went in: the position of their first one."""
        assert self.position is not None  # Nothing goes in before `admit` or `missing_until` said where.
        position = self.position
        self.position += samples
        return position


def to_samples(time_us: int) -> int:
    """A time on the media timeline, as a position."""
    return time_us * SAMPLE_RATE // 1_000_000


def to_us(position: int) -> int:
    """The time of a position, rounded down."""
    return position * 1_000_000 // SAMPLE_RATE
