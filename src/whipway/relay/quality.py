"""How much video the sinks of a session can take: its automatic cap.

A server that takes too little makes a queue, and from a queue that is full pictures have to go. Before that,
the publisher is asked for less. Each sink has a cap of its own; the least of those that the policy follows is
in force, unless the API asked for even less.

Down at once, and by how long the queue is: what waits already takes as long as it takes, so a cut must come
early and make room. Up again as the queue goes, and from there in small steps. Far above what the publisher
ever sent, the cap ends. How the queue is judged is told in `queue_delay`.

Nothing here relies on the publisher's obedience: one that goes on as before is asked for the least there is,
and the truth about the reason stays in the status.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, assert_never

from whipway.relay.queue_delay import QueueDelay, SinkLoad

__all__ = ["UPDATE_INTERVAL", "Policy", "QualityControl", "SinkLoad"]

UPDATE_INTERVAL: Final = 0.25
"""Seconds between two looks at the sinks."""


class Policy(StrEnum):
    """Which sinks' queues count; the value is the word of the settings and of the API."""

    FOLLOW_SLOWEST = "follow-slowest"
    FOLLOW_PRIMARY = "follow-primary"
    """The first sink alone. Others drop pictures."""
    OFF = "off"


# On the way down.
GROWING_DELAY: Final = 0.4
"""Seconds of delay, which are too much while it grows ..."""
GROWTH: Final = 0.1
"""... by so many seconds in a second. Less may be the grain of the figures."""
LONG_DELAY: Final = 0.8
"""Seconds of delay, which are too much if it does not shrink ..."""
STANDING_DELAY: Final = 0.4
"""... and was never below this for `queue_delay.MEMORY`, in which a lone key frame would be gone."""
FULL_DELAY: Final = 1.5
"""Seconds of delay at which nothing should follow at all. Pictures are dropped at three seconds of queue, and
the encoder needs one of them to obey."""
LEAST_SHARE: Final = 0.25
MOST_SHARE: Final = 0.85
"""Of what the server takes: how much may be sent while there is a queue, however long or short it is."""
RESPONSE_TIME: Final = 1.0
"""Seconds from one change to the next, for the round trip and the encoder."""

# On the way up.
CALM_TIME: Final = 3.0
"""Seconds since the last cut, and of a queue that is empty again and again, before more is tried."""
RAISE: Final = 1.08
CAREFUL_RAISE: Final = 1.02
"""Per `RESPONSE_TIME`. Browsers raise their own estimates no faster. With care, because what is too much by a
little shows late."""
NEAR: Final = (0.9, 1.15)
"""Times what the server took at the last cut: here with care."""
USED_SHARE: Final = 0.5
"""Of the cap. If less is sent, an empty queue proves little: with care, too."""
FAR: Final = 1.5
"""Times what the publisher sent before the first cut, at which the cap ends ..."""
SURE_TIME: Final = 5.0
"""... after so many seconds with an empty queue."""

MEMORY_OF_GONE: Final = 10.0
"""Seconds for which the cap of a sink stays that does not publish: it may come back to the same server."""


class SinkCap:
    """What one sink can take."""

    def __init__(self, floor: int) -> None:
        self.value: float | None = None
        """Bits of video a second, `floor` at least; None: whatever there is."""
        self._floor = floor
        self._delay = QueueDelay()
        self._gone_since: float | None = None
        self._before = 0.0
        """Bits of video a second that were sent before the first cut."""
        self._server_takes = 0.0
        """Bits a second, sound and all: measured while there was a queue."""
        self._is_draining = False
        """There was a cut, and the queue was not empty since."""
        self._cut_at = 0.0
        self._changed_at = 0.0

    def is_forgotten(self, now: float) -> bool:
        """Whether the sink is gone for so long that what was known of it counts no more."""
        return self._gone_since is not None and now - self._gone_since >= MEMORY_OF_GONE

    def pause(self, now: float) -> None:
        """The sink does not publish. Its cap stays as it is; what was measured ends with the connection."""
        if self._gone_since is None:
            self._gone_since = now
            self._delay = QueueDelay()

    def update(self, load: SinkLoad, video_bitrate: int, audio_bitrate: int, now: float) -> None:
        """Look at the sink."""
        self._gone_since = None
        self._delay.note(load, video_bitrate + audio_bitrate, now)
        if self.value is not None and now - self._changed_at < RESPONSE_TIME:
            return
        if self._is_too_slow():
            self._cut(video_bitrate, audio_bitrate, now)
        elif self.value is not None:
            self._recover(self.value, video_bitrate, audio_bitrate, now)

    def _is_too_slow(self) -> bool:
        """Whether the queue needs a cut."""
        delay = self._delay
        if not delay.is_sure:
            return False
        if delay.delay > GROWING_DELAY and delay.growth > GROWTH:
            return True
        return delay.delay > LONG_DELAY and delay.least > STANDING_DELAY and delay.growth > -GROWTH

    def _cut(self, video_bitrate: int, audio_bitrate: int, now: float) -> None:
        self._server_takes = self._delay.rate
        target = self._share_for_video(audio_bitrate)
        if self.value is None:
            self._before = max(video_bitrate, target)
            self.value = target
        self.value = min(self.value, target)
        self._is_draining = True
        self._cut_at = self._changed_at = now

    def _recover(self, value: float, video_bitrate: int, audio_bitrate: int, now: float) -> None:
        if self._is_draining:
            self._drain(value, audio_bitrate, now)
        elif now - self._cut_at >= CALM_TIME and self._calm_for(now) >= CALM_TIME:
            self._raise(value, video_bitrate, audio_bitrate, now)

    def _drain(self, value: float, audio_bitrate: int, now: float) -> None:
        """Give back, as the queue goes, what was cut for its sake."""
        self._is_draining = self._delay.is_busy
        rate = self._delay.rate
        # What went last is the least that the server takes, though the queue was too short to measure more.
        self._server_takes = rate if self._is_draining else max(self._server_takes, rate)
        target = self._share_for_video(audio_bitrate)
        if target > value and (self._delay.growth < 0 or not self._is_draining):
            self.value = target
            self._changed_at = now

    def _raise(self, value: float, video_bitrate: int, audio_bitrate: int, now: float) -> None:
        edge = max(self._server_takes - audio_bitrate, self._floor)
        is_near = NEAR[0] * edge <= value <= NEAR[1] * edge
        is_careful = is_near or video_bitrate < USED_SHARE * value
        self.value = value * (CAREFUL_RAISE if is_careful else RAISE)
        self._changed_at = now
        if self.value > FAR * self._before and self._calm_for(now) >= SURE_TIME:
            self.value = None

    def _share_for_video(self, audio_bitrate: int) -> float:
        """What may be sent beside the sound, so that a queue of this length goes."""
        share = 1 - self._delay.delay / FULL_DELAY
        share = min(max(share, LEAST_SHARE), MOST_SHARE)
        return max(share * self._server_takes - audio_bitrate, self._floor)

    def _calm_for(self, now: float) -> float:
        since = self._delay.drained_since
        return 0.0 if since is None else now - since


class QualityControl:
    """The cap of one session. Wants an update every `UPDATE_INTERVAL`."""

    def __init__(self, policy: Policy, min_bitrate: int) -> None:
        """`min_bitrate`: bits of video a second, below which no sink brings it."""
        self.policy = policy
        """May be changed at any time, and counts from the next update on."""
        self.asked: int | None = None
        """Bits of video a second that the API wants at most; None: it wants nothing. May be changed, too."""
        self._min_bitrate = min_bitrate
        self._caps: dict[str, SinkCap] = {}

    @property
    def cap(self) -> int | None:
        """Bits of video a second that are in force; None: as many as there are."""
        sink = self._slowest()
        caps = [cap for cap in (self.asked, None if sink is None else sink[0]) if cap is not None]
        return min(caps, default=None)

    @property
    def limited_by(self) -> str | None:
        """Whose cap that is: "api" or, say, "sink 2"."""
        sink = self._slowest()
        if sink is not None and (self.asked is None or sink[0] < self.asked):
            return f"sink {sink[1]}"
        return None if self.asked is None else "api"

    def update(self, loads: Sequence[SinkLoad], video_bitrate: int, audio_bitrate: int, now: float) -> None:
        """Look at all sinks there are, the primary one first.

        The bitrates are in bits a second, of what each sink gets, over the last two seconds or so.
        """
        followed = self._followed(loads)
        known = {load.sink_id: self._caps.get(load.sink_id) for load in followed}
        self._caps = {
            sink_id: cap for sink_id, cap in known.items() if cap is not None and not cap.is_forgotten(now)
        }
        for load in followed:
            if load.is_publishing:
                cap = self._caps.setdefault(load.sink_id, SinkCap(self._min_bitrate))
                cap.update(load, video_bitrate, audio_bitrate, now)
            elif load.sink_id in self._caps:
                self._caps[load.sink_id].pause(now)

    def _followed(self, loads: Sequence[SinkLoad]) -> Sequence[SinkLoad]:
        match self.policy:
            case Policy.FOLLOW_SLOWEST:
                return loads
            case Policy.FOLLOW_PRIMARY:
                return loads[:1]
            case Policy.OFF:
                return ()
            case _:
                assert_never(self.policy)

    def _slowest(self) -> tuple[int, str] | None:
        """The least automatic cap, and the sink's id."""
        caps = [(round(cap.value), sink_id) for sink_id, cap in self._caps.items() if cap.value is not None]
        return min(caps, default=None)
