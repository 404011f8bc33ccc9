"""Which stream is whose, and how it changes hands: a stream goes out once, whatever session it belongs to.

A stream is known by its key, the same for two targets where players would find the same thing. Its first sink
gives a session the stream that the session is about: who takes that one ends the session. Who takes the
stream of an added sink takes that sink alone.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from whipway.worker.broadcast import Broadcast
from whipway.worker.messages import FIRST_SINK, AddSink, CreateSession, YieldStream
from whipway.worker.sinks import SinkSpec

log = structlog.get_logger("worker")


class Claim(NamedTuple):
    """A stream and who has it."""

    broadcast: Broadcast
    sink_id: str

    @property
    def is_sessions_own(self) -> bool:
        """Whether the session is about this stream."""
        return self.sink_id == FIRST_SINK

    def gives_way(self, now: float) -> bool:
        """Whether anybody may have the stream: its session seems to be gone, or the added sink gave up."""
        is_free = not self.is_sessions_own and self.broadcast.has_failed_sink(self.sink_id)
        return is_free or self.broadcast.session.is_silent(now)


class Claims:
    """A table from key to claim, with one entry for each sink that there is.

    `replace` ends a session whose stream another one takes; `fail` is told of a broadcast with a bug;
    `removed` of a sink that is no more, as it was at last.
    """

    def __init__(
        self,
        replace: Callable[[Broadcast], None],
        fail: Callable[[Broadcast], None],
        removed: Callable[[dict[str, Any]], None],
    ) -> None:
        self._by_key: dict[str, Claim] = {}
        self._replace = replace
        self._fail = fail
        self._removed = removed
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._by_key)

    def has(self, key: str, broadcast: Broadcast) -> bool:
        """Whether a stream is this broadcast's already."""
        claim = self._by_key.get(key)
        return claim is not None and claim.broadcast is broadcast

    def may_take(self, request: CreateSession | AddSink) -> bool:
        """Whether who asks may have the stream, if need be from another."""
        return self._is_free(request.stream_key, request.takes_over)

    def yield_stream(self, request: YieldStream) -> bool:
        """Have a stream ended that a session of another worker is to have. False: its session keeps it."""
        if not self._is_free(request.stream_key, request.takes_over):
            return False
        self._vacate(request.stream_key)
        return True

    def add_sink(self, request: CreateSession | AddSink, broadcast: Broadcast) -> dict[str, Any]:
        """Give a broadcast the sink that is asked for, and that sink the stream. Describes it."""
        sink = broadcast.add_sink(_make_spec(request))
        # Whoever had the stream ends it now: before anything is sent, as connecting waits for the next turn.
        self._vacate(request.stream_key)
        self._by_key[request.stream_key] = Claim(broadcast, sink["id"])
        return sink

    def remove_sink(self, broadcast: Broadcast, sink_id: str) -> dict[str, Any] | None:
        """End a sink, and its claim. Describes it for the last time; None: there is none of this id."""
        removed = broadcast.remove_sink(sink_id)
        if removed is None:
            return None
        key, sink = removed
        del self._by_key[key]
        self._removed(sink)
        return sink

    def forget(self, broadcast: Broadcast) -> None:
        """Take everything from a broadcast that is over."""
        for key in [key for key, claim in self._by_key.items() if claim.broadcast is broadcast]:
            del self._by_key[key]

    def _is_free(self, key: str, takes_over: bool) -> bool:
        holder = self._by_key.get(key)
        return takes_over or holder is None or holder.gives_way(self._loop.time())

    def _vacate(self, key: str) -> None:
        """Have whoever publishes the stream end it."""
        holder = self._by_key.get(key)
        if holder is None:
            return
        if holder.is_sessions_own:
            self._replace(holder.broadcast)
            return
        log.info("sink replaced", session=holder.broadcast.session_id[:8], sink=holder.sink_id)
        try:
            self.remove_sink(holder.broadcast, holder.sink_id)
        except Exception:
            self._fail(holder.broadcast)


def _make_spec(request: CreateSession | AddSink) -> SinkSpec:
    return SinkSpec(
        request.stream_name,
        request.stream_url,
        request.audio,
        request.audio_bitrate,
        request.filler,
        request.stream_key,
    )
