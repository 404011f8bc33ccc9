"""The correction that brings a track to its leader, so slowly that nobody sees it (see `timeline`)."""

MAX_SKEW_US = 2_000_000
"""Nobody's lips and sound arrive this far apart: the report is wrong."""

DEAD_BAND_US = 15_000
"""What lags differ by without meaning anything."""
MAX_STEP_US = 10_000
"""Each window: 500 ppm, more than clocks drift. A window of nothing but late packets does no more harm."""

SLEW_PPM = 5_000
"""5 ms a second: not visible."""
QUICK_SLEW_PPM = 20_000
QUICK_SLEW_US = 10_000_000
"""At first 20 ms a second, for 10 s of slewing, so that the skew of the start is soon gone."""


class Slew:
    """A correction that creeps to its target as the media goes on; what the target is, and who said so."""

    __slots__ = ("_distance_us", "_is_reported", "_quick_us", "_target_us", "apart_us", "correction_us")

    def __init__(self) -> None:
        self.correction_us = 0
        self.apart_us = 0
        """How much further than the leader the track lags behind its arrival, when last compared."""
        self._target_us = 0
        self._distance_us = 0
        """How much later than by arrival the track shall play, against the leader. Only reports change it."""
        self._is_reported = False
        """The target is a report's, and the distance does not know of it yet."""
        self._quick_us = QUICK_SLEW_US

    def follow_reports(self, skew_us: int) -> bool:
        """Aim at what two reports say; False if it is too far away to be true."""
        self.hold()
        if abs(skew_us - self.apart_us) > MAX_SKEW_US:
            return False
        self._target_us = skew_us
        self._is_reported = True
        return True

    def follow_arrival(self, apart_us: int) -> None:
        """Keep the distance from the leader, the lags of the two now being so far apart.

        Reports win: while they come, they say what the distance is.
        """
        self.apart_us = apart_us
        error_us = apart_us + self._distance_us - self._target_us
        if self._is_reported:
            self._is_reported = False
            self._distance_us -= error_us
        elif abs(error_us) > DEAD_BAND_US:
            self._target_us += max(-MAX_STEP_US, min(MAX_STEP_US, error_us))

    def hold(self) -> None:
        """Stay with the correction made so far, if it was reports that wanted more."""
        if self._is_reported:
            self._is_reported = False
            self._target_us = self.correction_us

    def settle(self) -> None:
        """Be where it leads to, at once: for what nobody sees yet."""
        self.correction_us = self._target_us

    def advance(self, media_us: int) -> None:
        """Move as much as may be in `media_us` microseconds of media."""
        left = self._target_us - self.correction_us
        if left == 0:
            return
        ppm = QUICK_SLEW_PPM if self._quick_us > 0 else SLEW_PPM
        self._quick_us -= media_us
        step = media_us * ppm // 1_000_000
        self.correction_us += max(-step, min(step, left))
