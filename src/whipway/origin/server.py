"""The driver of the RTMP origin: TCP connections around `ServerConnection`, and the table of live streams.

A publisher's bytes go through its machine straight into every player's socket buffer, in one turn of the
event loop: no queue and no task per message. What a slow player has not taken yet is bounded by its `Gate`.
"""

import asyncio
import os
import socket
from typing import assert_never, cast

import structlog

from whipway.origin.live import HEADERS, PICTURES, LiveStream, Packet, PacketKind
from whipway.protocol.rtmp.server import (
    Closed,
    Event,
    MediaReceived,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ServerConnection,
    State,
)
from whipway.relay.gate import Gate, Verdict

MAX_CONNECTIONS = 2000
MAX_PLAYER_BACKLOG_BYTES = 4 * 1024 * 1024
"""Some seconds of a good picture; a player further behind had better start again at a key frame."""
PLAY_WAIT_TIMEOUT = 30.0
"""Seconds a player may wait for a stream that is not there."""
CLOSE_TIMEOUT = 5.0
"""Seconds a peer has to take what was written to it before its connection is cut."""
STOP_TIMEOUT = 2.0
"""The same when the server stops: whoever stops it is waiting."""
MAX_KEY_CHARACTERS = 1024
HOLDING = (State.PUBLISHING, State.PLAY_REQUESTED, State.PLAYING)
"""States of a connection that has a stream, or waits for one."""
KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Accepted connections inherit it: a publisher whose machine vanished blocks its name for 40 s."""

log = structlog.get_logger("origin")


class OriginServer:
    """The embedded RTMP server. `start` takes a listening socket, `stop` ends everything."""

    def __init__(self) -> None:
        self.streams: dict[str, LiveStream] = {}
        self.waiting: dict[str, set[Connection]] = {}
        """Players of names that nobody publishes yet."""
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a bound socket."""
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.end()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=STOP_TIMEOUT)
        for connection in connections:
            await connection.abort()
        if self._server is not None:
            await self._server.wait_closed()

    def publish(self, key: str) -> LiveStream | None:
        """Open a stream for a publisher, or None when the name is taken."""
        if key in self.streams:
            return None
        stream = self.streams[key] = LiveStream()
        for player in self.waiting.pop(key, set()):
            player.join(stream)
        log.info("publish started", stream=key)
        return stream

    def unpublish(self, key: str) -> None:
        """The publisher of a stream is gone."""
        self.streams.pop(key).end()
        log.info("publish ended", stream=key)

    def play(self, key: str, player: "Connection") -> None:
        """Give a player its stream, now or when it is published."""
        if key in self.streams:
            player.join(self.streams[key])
        else:
            self.waiting.setdefault(key, set()).add(player)

    def stop_waiting(self, key: str, player: "Connection") -> None:
        """Forget a player that waits for a stream."""
        players = self.waiting.get(key, set())
        players.discard(player)
        if not players:
            self.waiting.pop(key, None)


class Connection(asyncio.Protocol):
    """One TCP connection: a publisher, or a player."""

    def __init__(self, origin: OriginServer) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        """Done when the connection is lost, for whatever reason."""
        self._machine = ServerConnection(random=os.urandom, now=self._loop.time())
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES)
        self._key = ""
        self._published: LiveStream | None = None
        self._played: LiveStream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass.
        if len(self._origin.connections) >= MAX_CONNECTIONS:
            self._transport.abort()
            return
        self._origin.connections.add(self)
        self._set_timer(self._machine.deadline())

    def data_received(self, data: bytes) -> None:
        self._machine.receive_data(data, self._loop.time())
        self._drain()

    def eof_received(self) -> bool:
        self._machine.receive_eof()
        self._drain()
        return False

    def pause_writing(self) -> None:
        # What a peer says may ask for answers: none are made while it does not take them.
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self._origin.connections.discard(self)
        self._set_timer(None)
        if self._cut is not None:
            self._cut.cancel()
        self.closed.set_result(None)

    def join(self, stream: LiveStream) -> None:
        """Start playing a stream."""
        self._played = stream
        self._set_timer(None)
        self._machine.accept_play()
        self._write()
        stream.join(self)

    def deliver(self, packet: Packet) -> None:
        """Take the next packet of the stream this connection plays."""
        if self._transport is None or self._transport.is_closing():
            return
        verdict = self._gate.admit(
            video=packet.kind in PICTURES,
            keyframe=packet.kind is PacketKind.KEYFRAME,
            header=packet.kind in HEADERS,
            backlog_bytes=self._transport.get_write_buffer_size(),
            now=self._loop.time(),
        )
        if verdict is Verdict.SEND:
            self._transport.write(packet.data)
        elif verdict is Verdict.CUT:
            log.warning("player cut off: too slow", stream=self._key, skipped=self._gate.skipped)
            self._transport.abort()

    def stream_ended(self) -> None:
        """The publisher of the stream this connection plays is gone."""
        self._played = None
        self._machine.end_play(self._loop.time())
        self.end()

    def end(self) -> None:
        """Close this connection once everything written is sent, or soon in any case."""
        self._release()
        self._machine.close()
        self._write()
        self._set_timer(None)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._cut = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    async def abort(self) -> None:
        """Close this connection at once, and wait until it is."""
        if self._transport is not None:
            self._transport.abort()
        await self.closed

    def _drain(self) -> None:
        while events := self._machine.events():  # Decisions made on the way lead to more of them.
            for event in events:
                self._handle(event)
        self._write()
        if self._machine.state not in HOLDING:  # A peer may give up what it asked for before it gets it.
            self._release()
        if self._played is None and not self._waits:
            self._set_timer(self._machine.deadline())

    def _handle(self, event: Event) -> None:
        match event:
            case MediaReceived(message):
                if self._published is not None:
                    self._published.publish(message)
            case PublishRequested(app, name):
                self._publish(f"{app}/{name}")
            case PlayRequested(app, name):
                self._play(f"{app}/{name}")
            case PublishEnded() | PlayEnded():
                pass  # `_drain` lets go of the stream, for these and other reasons.
            case Closed():
                self._log_close(event.reason, event.detail)
                self.end()
            case _:
                assert_never(event)

    def _publish(self, key: str) -> None:
        if not _is_usable(key):
            self._machine.refuse_publish("NetStream.Publish.BadName", "The name cannot be used.")
            return
        self._key = key
        self._published = self._origin.publish(key)
        if self._published is not None:
            self._machine.accept_publish()
        else:
            self._machine.refuse_publish("NetStream.Publish.BadName", "The stream is published already.")

    def _play(self, key: str) -> None:
        if not _is_usable(key):
            self._machine.refuse_play("NetStream.Play.StreamNotFound", "The name cannot be used.")
            return
        self._key = key
        self._origin.play(key, self)
        if self._waits:
            self._set_timer(self._loop.time() + PLAY_WAIT_TIMEOUT)

    @property
    def _waits(self) -> bool:
        return self in self._origin.waiting.get(self._key, ())

    def _release(self) -> None:
        """Let go of the stream that this connection publishes or plays."""
        if self._published is not None:
            self._published = None
            self._origin.unpublish(self._key)
        if self._played is not None:
            self._played.leave(self)
            self._played = None
        self._origin.stop_waiting(self._key, self)

    def _write(self) -> None:
        data = self._machine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(data))

    def _set_timer(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waits:
            self._origin.stop_waiting(self._key, self)
            self._machine.refuse_play("NetStream.Play.StreamNotFound", "Nobody publishes this stream.")
            self.end()
            return
        self._machine.handle_timeout(self._loop.time())
        self._drain()

    def _log_close(self, reason: object, detail: str) -> None:
        log.info("connection closed", stream=self._key, reason=str(reason), detail=detail)


def _is_usable(key: str) -> bool:
    """Names go into logs, on terminals too: nothing in them may be taken for a command there."""
    return len(key) <= MAX_KEY_CHARACTERS and key.isprintable()
