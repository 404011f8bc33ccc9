"""Which names are published at the origin, by whom, and who waits for one.

A name has one publisher. A publisher from outside whose media stay away gives way to the next one; where
newer ones win, it gives way at once. A sink of this server never does: its WHIP session is alive even when it
is muted, and sessions settle among themselves whose the stream is.

When the publisher changes, the stream ends and another one begins: neither headers nor timestamps go on, so
players are told the end and come again. No I/O here.
"""

from typing import Protocol

import structlog

from whipway.origin.live import LiveStream

log = structlog.get_logger("origin")


class Publisher(Protocol):
    """What the table needs of a publisher."""

    is_own: bool
    """Whether it is a sink of this server."""
    number: int
    """Grows with each that asks for a name."""
    last_media: float
    """When media came from it, or it got its name."""

    def replaced(self) -> None:
        """The name is wanted for another, or for nobody: call `unpublish`, and go."""
        ...


class WaitingPlayer(Protocol):
    """What the table needs of a player whose stream is not there yet."""

    def join(self, stream: LiveStream) -> None:
        """The stream is there."""
        ...


class StreamTable:
    """The names. Keys are APP/NAME."""

    def __init__(self, takeover_after: float = 2.0, takes_over: bool = False) -> None:
        """`takeover_after`: seconds without media; `takes_over`: newer publishers win at once."""
        self.streams: dict[str, LiveStream] = {}
        self.waiting: dict[str, set[WaitingPlayer]] = {}
        """Players of names that nobody publishes yet."""
        self._publishers: dict[str, Publisher] = {}
        self._takeover_after = takeover_after
        self._takes_over = takes_over

    def publish(self, key: str, publisher: Publisher, now: float) -> LiveStream | None:
        """Open a stream for a publisher, or None when the name is taken."""
        holder = self._publishers.get(key)
        if holder is not None:
            if not self._gives_way(holder, publisher, now):
                return None
            log.info("publisher replaced", stream=key, silent_for=round(now - holder.last_media, 1))
            holder.replaced()
        self._publishers[key] = publisher
        stream = self.streams[key] = LiveStream()
        for player in self.waiting.pop(key, ()):
            player.join(stream)
        log.info("publish started", stream=key)
        return stream

    def unpublish(self, key: str) -> None:
        """The publisher of a stream is gone."""
        del self._publishers[key]
        self.streams.pop(key).end()
        log.info("publish ended", stream=key)

    def evict(self, key: str) -> bool:
        """Send a publisher from outside away. False: there is none."""
        holder = self._publishers.get(key)
        if holder is None or holder.is_own:
            return False
        log.info("publisher stopped", stream=key)
        holder.replaced()
        return True

    def play(self, key: str, player: WaitingPlayer) -> None:
        """Give a player its stream, now or when it is published."""
        if key in self.streams:
            player.join(self.streams[key])
        else:
            self.waiting.setdefault(key, set()).add(player)

    def stop_waiting(self, key: str, player: WaitingPlayer) -> None:
        """Forget a player that waits for a stream."""
        players = self.waiting.get(key, set())
        players.discard(player)
        if not players:
            self.waiting.pop(key, None)

    def _gives_way(self, holder: Publisher, newcomer: Publisher, now: float) -> bool:
        if holder.is_own:
            return False
        # The one that asked later is the newer one, whichever was answered first.
        is_newer = newcomer.number > holder.number
        return (self._takes_over and is_newer) or now - holder.last_media >= self._takeover_after
