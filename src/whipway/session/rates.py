"""How much comes of each track: bits and pictures a second, over the last few seconds.

Nothing is counted here: once a second the counters that the tracks have anyway are noted, and a rate is the
difference of two notes. So it costs nothing per packet, and is up to a second old.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from whipway.session.track import Track

BITRATE_WINDOW: Final = 2.0
"""Seconds: soon enough to see a limit take effect, long enough for a key frame not to show too much."""
FPS_WINDOW: Final = 5.0
"""Seconds: screens have pictures when something moves."""
MAX_SAMPLES: Final = 8
TOLERANCE: Final = 0.25
"""Seconds by which samples may be apart from their second: timers are late."""


class _Sample(NamedTuple):
    at: float
    bytes_: tuple[int, ...]
    """Of payload, in the order of the tracks."""
    units: tuple[int, ...]


_NOTHING: Final = _Sample(0.0, (), ())


class Rates:
    """Call `sample` about once a second."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        self._index = {track: index for index, track in enumerate(tracks)}
        self._samples: deque[_Sample] = deque(maxlen=MAX_SAMPLES)

    def sample(self, now: float) -> None:
        """Note what came so far."""
        bytes_ = tuple(track.bytes for track in self._tracks)
        units = tuple(track.units for track in self._tracks)
        self._samples.append(_Sample(now, bytes_, units))

    def bitrate(self, track: Track, window: float = BITRATE_WINDOW) -> int:
        """Bits of payload a second; 0 before it can be told."""
        index = self._index[track]
        first, last = self._span(window)
        elapsed = last.at - first.at
        return round((last.bytes_[index] - first.bytes_[index]) * 8 / elapsed) if elapsed > 0 else 0

    def fps(self, track: Track, window: float = FPS_WINDOW) -> float:
        """Pictures (or frames of sound) a second; 0 before it can be told."""
        index = self._index[track]
        first, last = self._span(window)
        elapsed = last.at - first.at
        return round((last.units[index] - first.units[index]) / elapsed, 1) if elapsed > 0 else 0.0

    def _span(self, window: float) -> tuple[_Sample, _Sample]:
        """The samples at both ends of the window, or of the part of it that there are samples of."""
        if not self._samples:
            return _NOTHING, _NOTHING
        first = last = self._samples[-1]
        for sample in reversed(self._samples):
            first = sample
            if sample.at <= last.at - window + TOLERANCE:
                break
        return first, last
