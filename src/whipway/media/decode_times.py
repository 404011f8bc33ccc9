"""When to decode pictures of which only the time of showing is known.

RTP carries presentation times (RFC 6184, 5.1), RTMP wants decoding times, and with B-frames the two differ:
pictures come in decoding order, some before others that are shown earlier. An encoder with a reorder depth
of d (max_num_reorder_frames, ITU-T H.264, E.2.1) shows no picture before it has made d more. So the i-th
picture is decoded when the (i-d)-th one, counted in order of showing, is shown; the first d pictures, one
frame duration earlier each:

    comes      I0  P4  B2  b1  b3  P8  B6  b5          d = 2
    decoded    -2  -1   0   1   2   3   4   5          always the third highest of the times so far

Nothing is delayed: each picture gets its time as it comes. What an SPS says of the depth may be wrong or
missing; then the depth is learnt from the pictures, and the few that came too late for it are decoded as
soon as they can be. Picture order counts are not read: the times of showing say as much.
"""

from bisect import bisect_right, insort
from typing import Final

from whipway.media.parameter_sets import SequenceParameterSet

MAX_DEPTH: Final = 16
"""max_num_reorder_frames cannot be larger: MaxDpbFrames is 16 (A.3.1)."""
MAX_LEARNT_DEPTH: Final = 4
"""Encoders for live streams have 1 to 3. A time further back than that is a clock set back, no B-frame."""
GRAIN_US: Final = 1000
"""Two decoding times are never closer: RTMP counts in milliseconds."""
DEFAULT_FRAME_US: Final = 40_000
MAX_FRAME_US: Final = 1_000_000
"""What an SPS may call a frame's duration; it also bounds how far apart the two times can be."""
MAX_PAUSE_US: Final = 2_000_000
"""A source that was away for longer starts anew: decoding times do not wait for its first pictures."""


class DecodeTimes:
    """The decoding times of one stream. `configure` it before the first picture and with each new SPS.

    Times are microseconds on any one timeline. The results grow by at least a millisecond each. They are at
    most 19 s before the presentation time (MAX_PAUSE_US and 17 frames), and behind it only where the stream
    contradicts itself.
    """

    __slots__ = (
        "_certain",
        "_declared",
        "_frame_us",
        "_last_us",
        "_seen",
        "_seen_before",
        "_times",
    )

    def __init__(self) -> None:
        self._declared = 0
        self._certain = False
        """The stream cannot reorder, whatever its times say."""
        self._frame_us = DEFAULT_FRAME_US
        self._seen = 0
        """The depth that the pictures since the last key frame needed."""
        self._seen_before = 0
        """The same for the group of pictures before, so that a single wrong time is forgotten."""
        self._times: list[int] = []
        """The highest presentation times so far, in order, as many as the largest depth needs."""
        self._last_us: int | None = None

    @property
    def reordered(self) -> bool:
        """In this group of pictures or the one before, some came in another order than they are shown in."""
        return self._seen > 0 or self._seen_before > 0

    def configure(self, sps: SequenceParameterSet) -> None:
        """Take the depth and the frame duration from the SPS that the next picture begins with."""
        self._certain = sps.never_reorders
        # Without a word about it, most live encoders do not reorder; the others are found out.
        self._declared = 0 if self._certain else sps.max_num_reorder_frames or 0
        if sps.frame_rate is not None:
            self._frame_us = min(round(1_000_000 / sps.frame_rate), MAX_FRAME_US)

    def place(self, time_us: int, keyframe: bool) -> int:
        """The decoding time of the next picture in decoding order, which is shown at `time_us`."""
        if keyframe:
            self._seen_before, self._seen = self._seen, 0
        last_us = self._last_us
        if last_us is not None and time_us - last_us > MAX_PAUSE_US + (MAX_DEPTH + 1) * self._frame_us:
            self._times.clear()
        self._learn(time_us)
        insort(self._times, time_us)
        if len(self._times) > MAX_DEPTH + 1:
            del self._times[0]
        decode_us = self._due_us()
        self._last_us = decode_us if last_us is None else max(decode_us, last_us + GRAIN_US)
        return self._last_us

    def _learn(self, time_us: int) -> None:
        """E.2.1: the depth counts the frames that come before another one and are shown behind it."""
        later = len(self._times) - bisect_right(self._times, time_us)
        if later == 0 or self._certain:
            return
        if later > max(self._declared, MAX_LEARNT_DEPTH):
            self._times.clear()
            return
        self._seen = max(self._seen, later)

    def _due_us(self) -> int:
        depth = max(self._declared, self._seen, self._seen_before)
        missing = depth + 1 - len(self._times)
        if missing > 0:
            return self._times[0] - missing * self._frame_us
        return self._times[-1 - depth]
