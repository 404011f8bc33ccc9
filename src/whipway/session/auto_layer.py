"""Which layer of a simulcast is best at the moment, where nobody asked for a certain one.

The largest picture that comes, and whose bitrate fits under the cap; if none fits, the smallest one. A better
layer has to last before it is taken: each change costs a key frame, and bandwidth estimators probe up and
down. A layer that falls silent is left at once. Bitrates are measured here, over the last `WINDOW_LOOKS`
looks, so that a packet costs nothing.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from whipway.session.track import VideoTrack

LOOK_INTERVAL: Final = 0.5
"""Seconds from one look to the next."""
WINDOW_LOOKS: Final = 4
"""Looks over which a bitrate is measured. In two seconds a key frame does not stand out too far."""
MAX_SILENCE: Final = 1.0
"""Seconds without a packet after which a layer does not come any more. Screen content may come twice a
second."""
SETTLING_TIME: Final = 1.0
"""Seconds for which a layer is the best one before it is taken."""
CAP_TOLERANCE: Final = 1.3
"""Times the cap: encoders hit what they are told on the average only. The layer that there is may exceed it
by so much; another one has to fit, or the two would take turns."""


def is_coming(track: VideoTrack, now: float) -> bool:
    """Whether packets of the track come."""
    return now - track.heard_at < MAX_SILENCE


class AutoLayer:
    """Looks at the layers of one input: `measure` every `LOOK_INTERVAL` seconds, then `choose`."""

    def __init__(self, layers: Sequence[VideoTrack]) -> None:
        self._layers = layers
        self._samples: dict[VideoTrack, deque[tuple[float, int]]] = {
            layer: deque(maxlen=WINDOW_LOOKS + 1) for layer in layers
        }
        self._best: VideoTrack | None = None
        self._best_since = 0.0

    def measure(self, now: float) -> None:
        """Take a sample of what came of each layer."""
        for layer, samples in self._samples.items():
            if not is_coming(layer, now):
                samples.clear()  # The rate of a layer that comes again is not watered down by the silence.
            samples.append((now, layer.bytes))

    def choose(self, current: VideoTrack | None, cap: int | None, now: float) -> VideoTrack:
        """The layer to have. `current`: the one there is, if there is one; `cap` in bits a second."""
        coming = self._coming(now)
        if not coming:
            return current or self._layers[0]
        fitting = [each for each in coming if cap is None or self._fits(each, cap, current)]
        best = max(fitting, key=self._rank) if fitting else min(coming, key=self._rank)
        if best is not self._best:
            self._best, self._best_since = best, now
        if current in coming and now - self._best_since < SETTLING_TIME:
            return current
        return best

    def comes(self, now: float) -> bool:
        """Whether any layer does."""
        return bool(self._coming(now))

    def smallest(self, now: float) -> VideoTrack:
        """The layer with the smallest picture that comes; while none does, that of all."""
        return min(self._coming(now) or self._layers, key=self._rank)

    def largest(self, now: float) -> VideoTrack:
        """The layer with the largest picture that comes; while none does, that of all."""
        return max(self._coming(now) or self._layers, key=self._rank)

    def _coming(self, now: float) -> list[VideoTrack]:
        return [layer for layer in self._layers if is_coming(layer, now)]

    def _rank(self, layer: VideoTrack) -> tuple[int, float]:
        width, height = layer.size or (0, 0)
        return width * height, self._bitrate(layer)

    def _fits(self, layer: VideoTrack, cap: int, current: VideoTrack | None) -> bool:
        return self._bitrate(layer) <= (cap * CAP_TOLERANCE if layer is current else cap)

    def _bitrate(self, layer: VideoTrack) -> float:
        """Bits a second; 0 before the second look."""
        samples = self._samples[layer]
        if len(samples) < 2:
            return 0.0
        (begin, bytes_before), (end, bytes_now) = samples[0], samples[-1]
        return (bytes_now - bytes_before) * 8 / (end - begin) if end > begin else 0.0
