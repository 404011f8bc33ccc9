"""The sinks of sessions, which come and go while a session goes on, and what is put into all of them.

The first sink of a session comes with it (`sessions`). What it takes to add one more is room, in the session
and for the format of its sound, and a destination that is allowed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from whipway.streams.destinations import Destinations
from whipway.streams.known_sessions import KnownSessions
from whipway.streams.refusals import SinkNotAdded, SinkNotFound
from whipway.streams.session_watcher import SessionWatcher
from whipway.worker.messages import (
    FIRST_SINK,
    AddSink,
    MetadataSent,
    RemoveSink,
    SendMetadata,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    UnknownSink,
)

FULL = "this session has as many sinks as it is set to take"


class SessionSinks:
    """Adds, shows and removes them. `takes_over`: as of the directory (`sessions`); `watcher` is told."""

    def __init__(
        self, known: KnownSessions, destinations: Destinations, watcher: SessionWatcher, *, takes_over: bool
    ) -> None:
        self._known = known
        self._destinations = destinations
        self._watcher = watcher
        self._takes_over = takes_over

    async def check(
        self, session_id: str, *, stream_url: str, audio: str, audio_bitrate: int, max_sinks: int
    ) -> None:
        """Refuse a sink that there is no room for or that may not go there, before others are asked.

        Raises SessionNotFound, SessionOver, SessionNotCreated ("egress") or SinkNotAdded ("full"). No room
        is kept.
        """
        await self._destinations.check(stream_url)
        session = self._known.find_live(session_id)
        sinks = await self.of(session_id)
        if len(sinks) >= max_sinks:
            raise SinkNotAdded("full", FULL)
        session.sounds.require_room(sinks, audio, audio_bitrate)

    async def add(
        self,
        session_id: str,
        *,
        stream_name: str,
        stream_url: str,
        audio: str,
        audio_bitrate: int,
        filler: str,
    ) -> Mapping[str, Any]:
        """Have a session feed one more RTMP server. Describes the sink.

        Where the stream may go is for `check` to say; the sink looks again in any case.
        Raises SessionNotFound, SessionOver or SinkNotAdded.
        """
        key, takes_over = self._destinations.key(stream_url, stream_name), self._takes_over
        session = self._known.find_live(session_id)
        # Of several at the same time each is to see what sound those before it want.
        async with session.updating:
            session.sounds.require_room(await self.of(session_id), audio, audio_bitrate)
            reply = await self._known.ask(
                AddSink(session_id, stream_name, stream_url, audio, audio_bitrate, filler, key, takes_over)
            )
            if isinstance(reply, SinkRefused):
                raise SinkNotAdded(reply.kind, reply.detail)
            assert isinstance(reply, SinkAdded)
            sink_id = reply.sink["id"]
            session.sounds.add(sink_id, audio, audio_bitrate)
        remove = partial(self.remove, session_id, sink_id)
        self._watcher.sink_added(
            session_id, sink_id, stream_name=stream_name, stream_url=stream_url, remove=remove
        )
        return reply.sink

    async def remove(self, session_id: str, sink_id: str) -> Mapping[str, Any]:
        """End one sink of a session. Describes it for the last time.

        Raises SessionNotFound, SessionOver or SinkNotFound.
        """
        session = self._known.find_live(session_id)
        reply = await self._known.ask(RemoveSink(session_id, sink_id))
        if isinstance(reply, UnknownSink):
            raise SinkNotFound(sink_id)
        assert isinstance(reply, SinkRemoved)
        if sink_id == FIRST_SINK:
            # The stream is free again: whoever publishes it next does not take this session's place.
            session.stream_key = None
        self._watcher.sink_removed(session_id, reply.sink)
        return reply.sink

    async def of(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """The sinks of a session, or how they were at its end. Raises SessionNotFound."""
        sinks: Sequence[Mapping[str, Any]] = (await self._known.describe(session_id))["sinks"]
        return sinks

    async def send_metadata(self, session_id: str, handler: str, payload: Mapping[str, Any]) -> None:
        """Put a data message into all sinks of a session. Raises SessionNotFound or SessionOver."""
        reply = await self._known.ask(SendMetadata(session_id, handler, payload))
        assert isinstance(reply, MetadataSent)
