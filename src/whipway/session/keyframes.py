"""How a sender goes about its key frames: how far apart they begin, and whether it sends one when asked.

Only the time in which packets come counts: a paused camera sends no key frame, and owes none. So time is
told by the last packet, and what a silence interrupts is not judged, nor is what is not on air. A key frame
counts as soon as something of it came: what the network does to the rest of it is not the encoder's doing.
"""

from collections import deque
from math import inf

from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.session.track import VideoTrack

MAX_SILENCE = 1.0
"""Seconds without a packet after which a sender is taken to pause. Screen content may come twice a second."""
ANSWER_TIME = 1.0
"""Seconds, beyond a round trip, from a request to the key frame: slow encoders and full queues included."""
JUDGED_REQUESTS = 4
"""The last ones, of which `UNANSWERED_REQUESTS` are too many: a request or two may get lost."""
UNANSWERED_REQUESTS = 3


class KeyframeHabit:
    """Watches one video track. `look` wants to be called after each batch of packets."""

    def __init__(self, track: VideoTrack, round_trip: RoundTrip) -> None:
        self.resumed_at = -inf
        """When packets began to come, at first or again."""
        self._track = track
        self._round_trip = round_trip
        self._heard_at = -inf
        self._begun = 0
        self._begun_at = -inf
        self._counts_from = -inf  # the end of the last silence, or of the last time that nobody saw it
        self._intervals: deque[float] = deque([0.0], maxlen=2)
        self._open: deque[float] = deque()  # when it was asked, for what may still be answered
        self._is_overdue = False
        self._answers: deque[bool] = deque(maxlen=JUDGED_REQUESTS)

    @property
    def interval(self) -> float:
        """The longer of the last two intervals in seconds: one good one is no reason to be content."""
        return max(self._intervals)

    @property
    def age(self) -> float:
        """Seconds for which packets came, and were seen, since the last key frame began."""
        seen_from = max(self._begun_at, self._counts_from)
        return self._heard_at - seen_from if self._heard_at > -inf else 0.0

    @property
    def ignores_requests(self) -> bool:
        """True if most of the last requests were not answered."""
        return self._answers.count(False) >= UNANSWERED_REQUESTS

    def asked(self, now: float) -> None:
        """Take note of a request."""
        self._open.append(now)

    def look(self, *, counts: bool = True) -> None:
        """Take note of what came. Without `counts` no interval does, as nobody asks for key frames then."""
        heard_at = self._track.heard_at
        if heard_at > self._heard_at + MAX_SILENCE:
            self.resumed_at = self._counts_from = heard_at
            self._settle()
        self._heard_at = heard_at
        if not counts:
            self._counts_from = heard_at
        while self._open and heard_at > self._open[0] + ANSWER_TIME + self._round_trip.seconds:
            self._open.popleft()
            self._answers.append(False)
            self._is_overdue = True
        if self._track.keyframes_begun != self._begun:
            self._keyframe_began()

    def _keyframe_began(self) -> None:
        self._begun = self._track.keyframes_begun
        self._intervals.append(self.age)
        self._begun_at = self._heard_at
        # Encoders send key frames of their own accord, too. One that comes in time for a repetition only may
        # be such a one, and says nothing.
        if self._open and not self._is_overdue:
            self._answers.append(True)
        self._settle()

    def _settle(self) -> None:
        """What is open now will not be judged."""
        self._open.clear()
        self._is_overdue = False
