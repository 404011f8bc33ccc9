"""What reaches the sessions of a worker: datagrams, and time.

Datagrams come in batches. Each goes to its session (`routes` knows which) by plain calls, and every session
touched is drained once at the end of the batch. One timer serves all sessions, as long as there are any. A
bug in a session is the business of `fail`, and nothing that another session would notice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from whipway.failures import DropReason
from whipway.worker.broadcast import Broadcast
from whipway.worker.routes import FIRST_STUN_BYTE_MAX, Routes
from whipway.worker.sound_turns import SoundTurns
from whipway.worker.udp_reader import Batch

TICK_INTERVAL = 0.02
"""Seconds between two looks at the sessions' deadlines: one timer for all instead of one each."""
LATE = 1.0
"""Seconds. A process that stood still so long reads what came meanwhile before it finds clients silent."""
STRAY_SILENCE = 1.0
"""Seconds. Packets from an unknown address may be of a client that has not been heard for so long."""


class Rounds:
    """Serves `broadcasts`, by session id, which the caller fills and empties; `fail` takes one out."""

    def __init__(
        self,
        broadcasts: Mapping[str, Broadcast],
        routes: Routes,
        drops: Counter[DropReason],
        fail: Callable[[Broadcast], None],
    ) -> None:
        self._broadcasts = broadcasts
        self._routes = routes
        self._drops = drops
        self._fail = fail
        self._sound = SoundTurns(fail)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # of the timer
        self._has_skipped = False  # the last look
        self._strays = 0  # that were looked into

    @property
    def is_ticking(self) -> bool:
        """Whether there is anybody to look after."""
        return self._timer is not None

    def start(self) -> None:
        """Look after the sessions from now on, until there are none. Idempotent."""
        if self._timer is None:
            self._set_timer()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def take(self, batch: Batch, now: float) -> None:
        """Give datagrams to their sessions, and take what comes of them."""
        find = self._routes.find
        touched: dict[Broadcast, None] = {}
        for data, addr in batch:
            broadcast = find(data, addr)
            if broadcast is None:
                continue
            try:
                broadcast.session.receive_datagram(data, addr, now)
            except Exception:
                self._fail(broadcast)
            if data[0] <= FIRST_STUN_BYTE_MAX and broadcast.session_id in self._broadcasts:
                # At once, not after the batch: DTLS often comes right behind the check.
                self._routes.learn(broadcast, addr, now)
            touched[broadcast] = None
        for broadcast in touched:
            self._pump(broadcast)

    def _tick(self) -> None:
        now = self._loop.time()
        try:
            # Once: a machine that is always so late is to be told of silence, too.
            self._has_skipped = now - self._due > LATE and not self._has_skipped
            if not self._has_skipped:
                self._look_after_all(now)
        finally:  # A bug must not end the ticking.
            self._timer = None
            if self._broadcasts:
                self._set_timer()

    def _look_after_all(self, now: float) -> None:
        self._attribute_strays(now)
        for broadcast in list(self._broadcasts.values()):
            if broadcast.quiet_until > now:
                continue
            try:
                deadline = broadcast.deadline(now)
                if deadline is None or deadline > now:
                    broadcast.quiet_until = deadline or 0.0
                    continue
                broadcast.handle_timeout(now)
            except Exception:
                self._fail(broadcast)
            self._pump(broadcast)

    def _set_timer(self) -> None:
        self._due = self._loop.time() + TICK_INTERVAL
        self._timer = self._loop.call_at(self._due, self._tick)

    def _pump(self, broadcast: Broadcast) -> None:
        try:
            broadcast.pump()
        except Exception:
            self._fail(broadcast)
        if broadcast.has_sound:
            self._sound.add(broadcast)

    def _attribute_strays(self, now: float) -> None:
        """Tell the session that packets from an unknown address may be meant for, if it can only be one."""
        strays = self._drops[DropReason.UNKNOWN_ADDRESS]
        if strays == self._strays:
            return
        self._strays = strays
        sessions = [broadcast.session for broadcast in self._broadcasts.values()]
        silent = [each for each in sessions if (each.silent_for(now) or 0.0) >= STRAY_SILENCE]
        if len(silent) == 1:
            silent[0].note_stray(now)
