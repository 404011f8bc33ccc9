"""When sound is transcoded: behind the packets.

Encoding a packet of sound costs as much as some twenty packets of video. If it were done where the packet
comes in, the sound of all sessions in a batch would stand between a picture's last packet and its way out,
and between two looks at the socket. So a broadcast keeps what is to be transcoded, and all of them wait here,
in one row for the whole worker. The loop works it off in short turns, between which it reads what has come;
each session has one packet at a time, in order.

Nothing is left out. When sound comes faster than that, because this process stood still or the machine cannot
keep up, a session transcodes its oldest packet for each that comes (`Broadcast`): then packets wait for sound
again, as nothing else would keep the two together.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from whipway.worker.broadcast import Broadcast

TURN_SECONDS: Final = 0.001
"""Then others have theirs. One packet more may go over it."""


class SoundTurns:
    """The row of one worker. `fail` is told of a broadcast in which there is a bug."""

    def __init__(self, fail: Callable[[Broadcast], None]) -> None:
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._row: dict[Broadcast, None] = {}
        """Each once, in the order in which they came."""
        self._is_due = False

    def add(self, broadcast: Broadcast) -> None:
        """Relay the sound that waits there, soon."""
        self._row[broadcast] = None
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        # The loop's own clock stands still during a turn.
        end = monotonic() + TURN_SECONDS
        try:
            while self._row and monotonic() < end:
                self._relay_next()
        finally:  # A bug must not end the turns.
            self._is_due = bool(self._row)
            if self._is_due:
                self._loop.call_soon(self._turn)

    def _relay_next(self) -> None:
        broadcast = next(iter(self._row))
        del self._row[broadcast]
        try:
            broadcast.relay_sound()
        except Exception:
            self._fail(broadcast)
        if broadcast.has_sound:
            self._row[broadcast] = None
