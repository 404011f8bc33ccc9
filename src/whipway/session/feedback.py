"""When to send which RTCP: receiver reports once a second, requests for key frames with back-off.

RFC 3550, 6.1: every compound packet begins with a report and carries our CNAME. RFC 4585, 3.5.2: feedback
may go at once; a lost request is repeated, less and less often, because some encoders ignore it for good.
"""

from collections.abc import Sequence
from math import inf

from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtcp.packets import ReceiverReport, ReportBlock, SourceDescription
from whipway.session.track import Track, VideoTrack

REPORT_INTERVAL = 1.0
"""RFC 3550, 6.2 would allow 5 s for a session this small; bandwidth estimators want a report a second."""
FIRST_REQUEST_INTERVAL = 0.5
"""A key frame asked for is on its way for a round trip and an encoder's delay; asking sooner doubles it."""
MAX_REQUEST_INTERVAL = 4.0
MAX_KEYFRAME_AGE = 2.5
"""Seconds after which a new key frame is asked for without any loss. Browsers send none of their own accord,
and whoever plays or cuts RTMP into segments waits for one; encoders set to the usual 2 s are never asked."""


class KeyframeRequest:
    """The back-off of one video track."""

    def __init__(self, track: VideoTrack) -> None:
        self.count = 0
        self._track = track
        self._asked_at = -inf
        self._interval = FIRST_REQUEST_INTERVAL
        self._keyframes = -1  # how many had come when it was asked last

    def due_at(self) -> float | None:
        """When the next request is due; None while nobody is there to be asked."""
        if self._track.ssrc is None:
            return None
        due = self._asked_at + (FIRST_REQUEST_INTERVAL if self._is_answered() else self._interval)
        if self._track.needs_keyframe:
            return due
        return max(due, self._track.keyframe_at + MAX_KEYFRAME_AGE)

    def take(self, now: float) -> bool:
        """Tell whether to ask now, and note it."""
        due = self.due_at()
        if due is None or now < due:
            return False
        if self._is_answered():
            self._interval = FIRST_REQUEST_INTERVAL
        else:
            self._interval = min(2 * self._interval, MAX_REQUEST_INTERVAL)
        self._keyframes = self._track.keyframes
        self._asked_at = now
        self.count += 1
        return True

    def _is_answered(self) -> bool:
        # A key frame that came since answered the last request, so this is not a repetition of it.
        return self._track.keyframes != self._keyframes


class Feedback:
    """Composes the RTCP of one session. `ssrc` (32 bits) and `cname` are ours."""

    def __init__(self, ssrc: int, cname: str, tracks: Sequence[Track]) -> None:
        self.requests = {track: KeyframeRequest(track) for track in tracks if isinstance(track, VideoTrack)}
        self._ssrc = ssrc
        self._tracks = tracks
        self._description = SourceDescription(((ssrc, cname),)).serialize()
        self._next_report = 0.0

    def deadline(self) -> float:
        """When `compose` has something to say."""
        due = [request.due_at() for request in self.requests.values()]
        return min([self._next_report, *(at for at in due if at is not None)])

    def compose(self, now: float) -> bytes | None:
        """The compound packet to send now, if any."""
        requests = b"".join(
            PictureLossIndication(self._ssrc, track.ssrc).serialize()
            for track, request in self.requests.items()
            if request.take(now) and track.ssrc is not None
        )
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            return self._report(now) + self._description + requests
        if requests:
            return ReceiverReport(self._ssrc).serialize() + self._description + requests
        return None

    def _report(self, now: float) -> bytes:
        blocks = []
        for track in self._tracks:
            if track.ssrc is not None and (reception := track.statistics.report(now)) is not None:
                blocks.append(ReportBlock(track.ssrc, *reception))
        return ReceiverReport(self._ssrc, tuple(blocks)).serialize()
