"""The driver of the RTMP origin: TCP connections around `ServerConnection`, and the table of live streams.

A publisher's bytes go through its machine straight into every player's socket buffer, in one turn of the
event loop: no queue and no task per message. What a slow player has not taken yet is bounded by its `Gate`.
"""

import asyncio
import os
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import assert_never

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
from whipway.tcp import TCP_BACKLOG, StreamDriver, keep_alive

MAX_CONNECTIONS = 2000
MAX_PLAYER_BACKLOG_BYTES = 4 * 1024 * 1024
"""Some seconds of a good picture; a player further behind had better start again at a key frame."""
PLAY_WAIT_TIMEOUT = 30.0
"""Seconds a player may wait for a stream that is not there."""
STOP_TIMEOUT = 2.0
"""Seconds the peers have to take what was written to them when the server stops: somebody is waiting."""
MAX_KEY_CHARACTERS = 1024
HOLDING = (State.PUBLISHING, State.PLAY_REQUESTED, State.PLAYING)
"""States of a connection that has a stream, or waits for one."""

log = structlog.get_logger("origin")


class OriginServer:
    """The embedded RTMP server. `start` takes a listening socket, `stop` ends everything.

    It knows no authentication. With `only_local_publishers` whoever publishes must be on this machine, as the
    sinks of WHIP sessions are; anybody may play.
    """

    def __init__(self, only_local_publishers: bool = False) -> None:
        self.only_local_publishers = only_local_publishers
        self.streams: dict[str, LiveStream] = {}
        self.waiting: dict[str, set[Connection]] = {}
        """Players of names that nobody publishes yet."""
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a bound socket."""
        # A publisher whose machine vanished blocks its name for no longer than this takes to notice.
        keep_alive(listener)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=TCP_BACKLOG)

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
            connection.abort()
            await connection.closed
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


class Connection(StreamDriver[ServerConnection]):
    """One TCP connection: a publisher, or a player."""

    def __init__(self, origin: OriginServer) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(ServerConnection(random=os.urandom, now=loop.time()))
        self.closed = loop.create_future()
        """Done when the connection is lost, for whatever reason."""
        self._origin = origin
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES)
        self._key = ""
        self._wait_until: float | None = None
        """For a player of a stream that is not there yet."""
        self._published: LiveStream | None = None
        self._played: LiveStream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._origin.connections) >= MAX_CONNECTIONS:
            self.abort()
        else:
            self._origin.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._release()
        self._origin.connections.discard(self)
        self.closed.set_result(None)

    def join(self, stream: LiveStream) -> None:
        """Start playing a stream."""
        self._played = stream
        self._wait_until = None
        self.machine.accept_play()
        self.write()
        # What it gets at once is no sign of slowness.
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES + stream.group_bytes)
        stream.join(self)

    def deliver(self, packet: Packet) -> None:
        """Take the next packet of the stream this connection plays."""
        if self.transport is None or self.transport.is_closing():
            return
        verdict = self._gate.admit(
            video=packet.kind in PICTURES,
            keyframe=packet.kind is PacketKind.KEYFRAME,
            header=packet.kind in HEADERS,
            backlog_bytes=self.backlog_bytes,
            now=self.loop.time(),
        )
        if verdict is Verdict.SEND:
            self.transport.write(packet.data)
        elif verdict is Verdict.CUT:
            log.warning("player cut off: too slow", stream=self._key, skipped=self._gate.skipped)
            self.abort()

    def stream_ended(self) -> None:
        """The publisher of the stream this connection plays is gone."""
        self._played = None
        self.machine.end_play(self.loop.time())
        self.end()

    def end(self) -> None:
        """Close this connection once everything written is sent, or soon in any case."""
        self._release()
        self.machine.close()
        self.write()
        self.close_soon()

    def handle_events(self) -> None:
        while events := self.machine.events():  # Decisions made on the way lead to more of them.
            for event in events:
                self._handle(event)
        if self.machine.state not in HOLDING:  # A peer may give up what it asked for before it gets it.
            self._release()

    def wanted_deadline(self) -> float | None:
        return self._wait_until or super().wanted_deadline()

    def on_deadline(self) -> None:
        if self._wait_until is None:
            super().on_deadline()
        else:
            self.machine.refuse_play("NetStream.Play.StreamNotFound", "Nobody publishes this stream.")

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
                pass  # `handle_events` lets go of the stream, for these and other reasons.
            case Closed():
                self._log_close(event.reason, event.detail)
                self.end()
            case _:
                assert_never(event)

    def _publish(self, key: str) -> None:
        if not _is_usable(key):
            self.machine.refuse_publish("NetStream.Publish.BadName", "The name cannot be used.")
            return
        if self._origin.only_local_publishers and not self._is_local():
            peer = str(self._address("peername"))
            log.warning("publisher refused: not on this machine", stream=key, peer=peer)
            self.machine.refuse_publish("NetStream.Publish.BadName", "Publish by WHIP.")
            return
        self._key = key
        self._published = self._origin.publish(key)
        if self._published is not None:
            self.machine.accept_publish()
        else:
            self.machine.refuse_publish("NetStream.Publish.BadName", "The stream is published already.")

    def _is_local(self) -> bool:
        """Whether the peer is on this machine. It is at the address that it reached, or on loopback."""
        peer = self._address("peername")
        return peer is not None and (peer.is_loopback or peer == self._address("sockname"))

    def _address(self, end: str) -> IPv4Address | IPv6Address | None:
        """The IP address of one end. None: the connection is lost already."""
        found = self.transport.get_extra_info(end) if self.transport else None
        address = ip_address(found[0]) if found else None
        # RFC 4291, section 2.5.5.2: how IPv4 comes to a socket for both versions.
        return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address

    def _play(self, key: str) -> None:
        if not _is_usable(key):
            self.machine.refuse_play("NetStream.Play.StreamNotFound", "The name cannot be used.")
            return
        self._key = key
        self._wait_until = self.loop.time() + PLAY_WAIT_TIMEOUT
        self._origin.play(key, self)  # Joins at once if the stream is there.

    def _release(self) -> None:
        """Let go of the stream that this connection publishes or plays."""
        if self._published is not None:
            self._published = None
            self._origin.unpublish(self._key)
        if self._played is not None:
            self._played.leave(self)
            self._played = None
        if self._wait_until is not None:
            self._wait_until = None
            self._origin.stop_waiting(self._key, self)

    def _log_close(self, reason: object, detail: str) -> None:
        log.info("connection closed", stream=self._key, reason=str(reason), detail=detail)


def _is_usable(key: str) -> bool:
    """Names go into logs, on terminals too: nothing in them may be taken for a command there."""
    return len(key) <= MAX_KEY_CHARACTERS and key.isprintable()
