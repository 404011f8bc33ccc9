"""The quality of a session as it is: what comes, how much of it is lost, how late it is.

Nothing here is counted per packet. Once a second the newest media time and the lateness of the pictures on
air are noted; bitrates and rates of pictures are those that `feedback` measures for itself. What these
figures mean is for `traffic_light` to say.
"""

from collections import deque
from math import inf
from typing import Any, Final, NamedTuple

from whipway.session.feedback import Feedback
from whipway.session.receiver import Receiver
from whipway.session.track import Track, VideoTrack

SAMPLE_INTERVAL: Final = 1.0
WINDOW: Final = 15.0
"""Seconds that the stream-time ratio and the delay look back."""
MIN_RATIO_TIME: Final = 3.0
"""Seconds, before which the ratio says more of the start than of the stream."""


class _Sample(NamedTuple):
    track: Track
    """What was on air; in a session without pictures the sound."""
    at: float
    """When its last packet came."""
    media_us: int
    """The newest media time of it."""
    delays: tuple[int, int] | None
    """Least and most lateness in µs of the pictures since the sample before; None: there were none."""


class QualityReport:
    """What is measured of one session. Call `handle_timeout` while it is live."""

    def __init__(self, receiver: Receiver, feedback: Feedback) -> None:
        self._receiver = receiver
        self._inputs = receiver.inputs
        self._feedback = feedback
        self._samples: deque[_Sample] = deque()
        self._began_at: float | None = None
        self._due = -inf

    def handle_timeout(self, now: float) -> None:
        """Take a sample if it is time."""
        if now < self._due:
            return
        self._due = now + SAMPLE_INTERVAL
        if self._began_at is None:
            self._began_at = now
        # What came of other tracks is no news once they are on air.
        delays = {track: track.take_delays() for track in self._inputs.tracks}
        track: Track | None = self._inputs.on_air or next(iter(self._sound()), None)
        if self._samples and self._samples[0].track is not track:
            self._samples.clear()
        if track is not None and track.units:
            delay = delays[track] if isinstance(track, VideoTrack) else None
            self._samples.append(_Sample(track, track.heard_at, track.latest_us, delay))
        while self._samples and self._samples[-1].at - self._samples[0].at > WINDOW:
            self._samples.popleft()

    def deadline(self) -> float:
        """When `handle_timeout` is wanted."""
        return self._due

    def bitrate(self, track: Track) -> int:
        """Bits of payload a second that come of a track, over two seconds."""
        return self._feedback.rates.bitrate(track)

    def fps(self, track: Track) -> float:
        """Pictures a second that come of a track, over five seconds."""
        return self._feedback.rates.fps(track)

    def on_air_bitrate(self) -> int:
        """Bits of payload a second of the video on air."""
        on_air = self._inputs.on_air
        return 0 if on_air is None else self.bitrate(on_air)

    def audio_bitrate(self) -> int:
        """Bits of payload a second of sound."""
        return sum(self.bitrate(track) for track in self._sound())

    def describe(self, now: float) -> dict[str, Any]:
        """The figures as plain data; None for what is not known."""
        on_air = self._inputs.on_air
        size = on_air.size if on_air is not None else None
        requests = self._feedback.requests.values()
        round_trip = self._receiver.round_trip
        return {
            "video_bitrate": self.on_air_bitrate(),
            "audio_bitrate": self.audio_bitrate(),
            "fps": 0.0 if on_air is None else self.fps(on_air),
            "width": size[0] if size else None,
            "height": size[1] if size else None,
            "keyframe_interval": 0.0 if on_air is None else round(on_air.keyframe_interval, 2),
            "loss": round(max((track.loss for track in self._on_air()), default=0.0), 4),
            "rtt_ms": round(round_trip.seconds * 1000, 1) if round_trip.is_measured else None,
            "jitter_ms": round(self._jitter() * 1000, 1),
            "repaired": sum(track.repaired for track in self._receiver.tracks),
            "keyframe_requests": sum(request.count for request in requests),
            "stream_time_ratio": self._stream_time_ratio(),
            "max_frame_delay_ms": self._max_frame_delay_ms(),
            "media_silence": self._silence(now),
        }

    def _sound(self) -> list[Track]:
        return [track for track in self._receiver.tracks if track.description.kind == "audio"]

    def _on_air(self) -> list[Track]:
        on_air = self._inputs.on_air
        return self._sound() if on_air is None else [on_air, *self._sound()]

    def _jitter(self) -> float:
        """Seconds. The packets of a picture share one timestamp but not one moment; those of sound do not."""
        jitters = self._feedback.jitters
        return next((jitters[track] for track in (*self._sound(), *self._on_air()) if track in jitters), 0.0)

    def _stream_time_ratio(self) -> float | None:
        """How far the media time went while packets came, by the time that took."""
        if not self._samples:
            return None
        first, last = self._samples[0], self._samples[-1]
        elapsed = last.at - first.at
        if elapsed < MIN_RATIO_TIME:
            return None
        return round((last.media_us - first.media_us) / 1_000_000 / elapsed, 3)

    def _max_frame_delay_ms(self) -> int | None:
        """Between the picture that came the soonest after it was taken and the one that came the latest."""
        delays = [sample.delays for sample in self._samples if sample.delays is not None]
        if not delays:
            return None
        return round((max(most for _, most in delays) - min(least for least, _ in delays)) / 1000)

    def _silence(self, now: float) -> float | None:
        """Seconds in which no media came at all; None before it began."""
        if self._began_at is None:
            return None
        heard_at = max((track.heard_at for track in self._receiver.tracks), default=-inf)
        return round(max(0.0, now - max(heard_at, self._began_at)), 1)
