"""Whether the media on one connection arrive.

Writing proves nothing: TCP takes bytes for a machine that is long gone. What counts is what the server's side
acknowledged, by TCP or by RTMP (RTMP 1.0, section 5.4.3), beyond all that was written before the first media.
"""

from typing import Final

STALL_TIMEOUT: Final = 10.0
"""Seconds without progress, with something under way, after which a connection is given up."""
_SYN_BYTES: Final = 1
"""Linux counts the first segment of a connection as an acknowledged byte."""


class Progress:
    """The watch over one connection."""

    def __init__(self) -> None:
        self.acknowledged_bytes = 0
        """By TCP."""
        self.last: float | None = None
        """When media were seen to arrive the last time."""
        self._written_before: int | None = None
        """Bytes before the first media; None: there were no media yet."""
        self._tcp = 0
        """What TCP's acknowledgements have to exceed to be progress."""
        self._rtmp = 0
        self._waiting_since: float | None = None
        """Since when something is under way and nothing arrives; None: nothing is."""

    @property
    def has_begun(self) -> bool:
        """Media were sent."""
        return self._written_before is not None

    def begin(self, written_bytes: int) -> None:
        """Media follow now; so many bytes went before."""
        self._written_before = written_bytes
        # The second counts where TLS has added bytes of its own.
        self._tcp = max(written_bytes + _SYN_BYTES, self.acknowledged_bytes)

    def sent(self, now: float) -> None:
        """Something goes on its way."""
        if self._waiting_since is None:
            self._waiting_since = now

    def note_tcp(self, acknowledged_bytes: int, unsent_bytes: int, now: float) -> bool:
        """How far TCP is; whether that is progress. `unsent_bytes`: all that is known to be under way."""
        self.acknowledged_bytes = max(self.acknowledged_bytes, acknowledged_bytes)
        progressed = self.has_begun and acknowledged_bytes > self._tcp
        if progressed:
            self._tcp = acknowledged_bytes
            self.last = self._waiting_since = now
        # Without progress, too: what had to wait may have been left out.
        if not unsent_bytes:
            self._waiting_since = None
        return progressed

    def note_rtmp(self, acknowledged_bytes: int, now: float) -> bool:
        """What the server says it has (modulo 2**32); whether that is progress."""
        if self._written_before is None or acknowledged_bytes == self._rtmp:
            return False
        self._rtmp = acknowledged_bytes
        if acknowledged_bytes <= self._written_before:
            return False
        self.last = now
        if self._waiting_since is not None:
            self._waiting_since = now
        return True

    def is_stalled(self, now: float) -> bool:
        """Whether something is under way for too long."""
        since = self._waiting_since
        return since is not None and now - since >= STALL_TIMEOUT
