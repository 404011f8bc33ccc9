"""What to do with one message for a receiver that may be too slow.

The receiver's backlog (bytes accepted for it and not yet taken by its TCP peer) decides. Over the limit
video is skipped up to the next key frame that finds the backlog drained; audio goes on up to twice the limit,
it is small and its gaps are heard. A receiver that stays slow for too long is cut off, and so is one that has
no room for a header, so that nothing grows without end.
"""

from enum import Enum

MAX_BACKLOG_BYTES = 8 * 1024 * 1024
"""About 30 s of a 2 Mbit/s stream: more has no use in live streaming."""
RESUME_BACKLOG_BYTES = 512 * 1024
"""Video starts again only when the receiver has really caught up, or it would stutter at the limit."""
SLOW_TIMEOUT = 10.0
"""Seconds a receiver may take to drain its backlog before it is cut off."""


class Verdict(Enum):
    """What the gate decided for one message."""

    SEND = "send"
    SKIP = "skip"
    CUT = "cut"


class Gate:
    """The state of one receiver. `skipped` counts the video messages it did not get."""

    def __init__(
        self, max_backlog_bytes: int = MAX_BACKLOG_BYTES, slow_timeout: float = SLOW_TIMEOUT
    ) -> None:
        self.skipped = 0
        self._max_backlog_bytes = max_backlog_bytes
        self._resume_backlog_bytes = min(RESUME_BACKLOG_BYTES, max_backlog_bytes)
        self._slow_timeout = slow_timeout
        self._slow_since: float | None = None
        """When the backlog went over the limit; None once it was drained."""
        self._awaits_keyframe = False

    def admit(
        self,
        *,
        video: bool,
        backlog_bytes: int,
        now: float,
        keyframe: bool = False,
        header: bool = False,
    ) -> Verdict:
        """Decide for the next message, given the receiver's backlog before it."""
        self._judge(backlog_bytes, now)
        if self._slow_since is not None and now - self._slow_since > self._slow_timeout:
            return Verdict.CUT
        full = backlog_bytes > 2 * self._max_backlog_bytes
        if header:
            # Nothing that follows can be decoded without it, so it cannot be left out.
            return Verdict.CUT if full else Verdict.SEND
        if not video:
            return Verdict.SKIP if full else Verdict.SEND
        if keyframe and self._slow_since is None:
            self._awaits_keyframe = False
        self.skipped += self._awaits_keyframe
        return Verdict.SKIP if self._awaits_keyframe else Verdict.SEND

    def _judge(self, backlog_bytes: int, now: float) -> None:
        if backlog_bytes <= self._resume_backlog_bytes:
            self._slow_since = None
        elif backlog_bytes > self._max_backlog_bytes and self._slow_since is None:
            self._slow_since = now
            self._awaits_keyframe = True
