"""What one sink has sent, over all its connections: counts that only grow, and the bit rate of late."""

from collections import deque
from typing import Any, Final

RATE_WINDOW: Final = 5.0
"""Seconds the bit rate is taken over: two or three groups of pictures, which key frames make uneven."""
_SAMPLE_INTERVAL: Final = 0.5
"""Seconds between samples, so that there are few of them."""
_SHORTEST: Final = 1.0
"""Seconds: what arrives at once at the beginning is no rate yet."""


class Traffic:
    """`frames` and `frames_dropped` count pictures, `bytes` what the server's side has acknowledged."""

    def __init__(self) -> None:
        self.frames = 0
        self.frames_dropped = 0
        """Left out because the server took too little. Those of a time without a connection do not count,
        nor do those before its first key frame."""
        self.bytes = 0
        self._samples: deque[tuple[float, int]] = deque()
        """Times, and how many bytes there were then. The last one is always the newest that is known."""

    def arrived(self, count: int, now: float) -> None:
        """The server's side has `count` more bytes; 0 counts for the rate as well."""
        self.bytes += count
        if len(self._samples) > 1 and now - self._samples[-2][0] < _SAMPLE_INTERVAL:
            self._samples.pop()
        self._samples.append((now, self.bytes))
        self._forget(now)

    def disconnected(self) -> None:
        """Nothing arrives from now on."""
        self._samples.clear()

    def bitrate(self, now: float) -> int:
        """Bits a second over the last `RATE_WINDOW` seconds."""
        self._forget(now)
        if not self._samples:
            return 0
        (since, before), (until, after) = self._samples[0], self._samples[-1]
        return round((after - before) * 8 / max(until - since, _SHORTEST))

    def describe(self, now: float) -> dict[str, Any]:
        """Plain data for the API."""
        return {
            "bytes": self.bytes,
            "frames": self.frames,
            "frames_dropped": self.frames_dropped,
            "bitrate": self.bitrate(now),
        }

    def _forget(self, now: float) -> None:
        while self._samples and now - self._samples[0][0] > RATE_WINDOW:
            self._samples.popleft()
