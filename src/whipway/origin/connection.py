"""One TCP connection at the origin: a publisher, or a player.

What a slow player has not taken yet is bounded by its `Gate`; of a publisher that is asked about, the machine
holds 1 MiB. A publisher of too many messages is read more slowly (`pace`). What publishers are told when they
may not:

- `NetStream.Publish.Denied`: whoever was asked said no. OBS knows this code (`BadName` it passes over), logs
  the reason and gives up; FFmpeg gives up at any error.
- `NetStream.Publish.BadName`: the name is taken, or cannot be used, or there is no place for a publisher now.
  Sinks of this project try that again.
"""

import asyncio
import os
from collections.abc import Sequence
from itertools import count
from time import thread_time
from typing import assert_never

import structlog

from whipway.hosts import address_group, client_address
from whipway.origin.gate import Gate, Verdict
from whipway.origin.live import MAX_PLAYER_BACKLOG_BYTES, LiveStream, Packet, admit
from whipway.origin.names import is_usable, loggable_key
from whipway.origin.observer import Observer, Publishing
from whipway.origin.pace import MESSAGES_PER_SECOND_OF_WORK, Pace
from whipway.origin.places import Places
from whipway.origin.publishers import Doorkeeper, OwnRefusal, PublishClaim, Refusal
from whipway.origin.table import StreamTable
from whipway.protocol.rtmp.messages import PASS_PROPERTY, Message
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
from whipway.tcp import StreamDriver, Timer

PLAY_WAIT_TIMEOUT = 30.0
"""Seconds a player may wait for a stream that is not there."""
SILENCE_TIMEOUT = 30.0
"""Seconds a publisher from outside may send no media."""
PIECE_BYTES = 32 * 1024
"""Of what was read, given to the machine at once: a publisher of tiny messages is paused between them."""
SMALL_BYTES = 16 * 1024
"""Packets that come together and are no longer than this are written as one."""
HOLDING = (State.PUBLISH_REQUESTED, State.PUBLISHING, State.PLAY_REQUESTED, State.PLAYING)
"""States of a connection that has a stream, or waits for one."""
_DENIED = "NetStream.Publish.Denied"
_BAD_NAME = "NetStream.Publish.BadName"
_NOT_FOUND = "NetStream.Play.StreamNotFound"
_FAILED = "NetStream.Play.Failed"
_NO_PLACE = "There is no place for one more, or for one more from this address"

_numbers = count(1)

log = structlog.get_logger("origin")


class Connection(StreamDriver[ServerConnection]):
    """A connection, which puts itself among `connections`."""

    def __init__(
        self,
        table: StreamTable,
        doorkeeper: Doorkeeper,
        places: Places,
        connections: "set[Connection]",
        observer: Observer,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(ServerConnection(random=os.urandom, now=loop.time()))
        self.closed = loop.create_future()
        """Done when the connection is lost, for whatever reason."""
        self.client = ""
        """The addresses it comes from: one of IPv4, or a network of IPv6."""
        self.is_own = False
        self.number = 0
        self.last_media = 0.0
        self._table = table
        self._doorkeeper = doorkeeper
        self._places = places
        self._connections = connections
        self._observer = observer
        self._pace = Pace()
        self._pause = Timer(self._end_pause)
        self._is_paused = False
        """Whether nothing is read, since too many messages came."""
        self._media_count = 0
        """Messages since they were counted last."""
        self._unread = b""
        """Came in the read that brought too many; at most one read."""
        self._is_full = False
        """Whether nothing is read, since the peer does not read either."""
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES)
        self._key = ""
        self._shown_key = ""
        """For logs: cut, until somebody has agreed to it."""
        self._asking: asyncio.Task[None] | None = None
        """For a publisher that is being asked about."""
        self._silent_at: float | None = None
        """When to look whether a publisher from outside still sends media."""
        self._wait_until: float | None = None
        """For a player of a stream that is not there yet."""
        self._wanted: PublishRequested | None = None
        """What a publisher asked for."""
        self._published: LiveStream | None = None
        self._publishing: Publishing | None = None
        self._has_frames = False
        """Whether the observer knows of its first frame."""
        self._played: LiveStream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)
        self.client = address_group(self._address())
        oldest = self._places.enter(self)
        if oldest is not None:
            assert isinstance(oldest, Connection)
            oldest.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._pause.set(None)
        self._release()
        self._places.leave(self)
        self._connections.discard(self)
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if self._is_paused:
                self._unread += data[start:]
                return
            self._take_piece(data if len(data) <= PIECE_BYTES else data[start : start + PIECE_BYTES])

    def pause_writing(self) -> None:
        self._is_full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        self._read_on()

    def join(self, stream: LiveStream) -> None:
        """Start playing a stream."""
        self._played = stream
        self._shown_key = self._key
        self._wait_until = None
        self.machine.accept_play()
        self.write()
        # What it gets at once is no sign of slowness.
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES + stream.group_bytes)
        stream.join(self)

    def deliver(self, packets: Sequence[Packet]) -> None:
        """Take the next packets of the stream this connection plays."""
        if self.transport is None or self.transport.is_closing():
            return
        now = self.loop.time()
        backlog = self.backlog_bytes
        parts = []
        size = 0
        for packet in packets:
            verdict = admit(self._gate, packet, backlog + size, now)
            if verdict is Verdict.SEND:
                parts.append(packet.data)
                size += len(packet.data)
            elif verdict is Verdict.CUT:
                log.warning("player cut off: too slow", stream=self._key, skipped=self._gate.skipped)
                self.abort()
                return
        if size:
            # Tiny parts cost more than their copies do; for big ones all players wait with the same bytes.
            self.transport.writelines([b"".join(parts)] if size <= SMALL_BYTES else parts)

    def stream_ended(self) -> None:
        """The publisher of the stream this connection plays is gone."""
        self._played = None
        self.machine.end_play(self.loop.time())
        self.end()

    def replaced(self) -> None:
        """Another publisher gets the name of this one."""
        self.end()

    def end(self) -> None:
        """Close this connection once everything written is sent, or soon in any case."""
        self._release()
        self.machine.close()
        self.write()
        self.close_soon()

    def handle_events(self) -> None:
        while events := self.machine.events():  # Decisions made on the way lead to more of them.
            # Nothing comes before media but the request, whose answer lets them in.
            if media := [event.message for event in events if isinstance(event, MediaReceived)]:
                self._take_media(media)
            for event in events:
                self._handle(event)
        if self.machine.state not in HOLDING:  # A peer may give up what it asked for before it gets it.
            self._release()

    def wanted_deadline(self) -> float | None:
        return self._wait_until or self._silent_at or super().wanted_deadline()

    def on_deadline(self) -> None:
        if self._wait_until is not None:
            self.machine.refuse_play(_NOT_FOUND, "Nobody publishes this stream.")
        elif self._silent_at is not None:
            self._check_silence()
        else:
            super().on_deadline()

    def _handle(self, event: Event) -> None:
        match event:
            case PublishRequested():
                self._judge_publisher(event)
            case PlayRequested(app, name):
                self._play(f"{app}/{name}")
            case MediaReceived() | PublishEnded() | PlayEnded():
                pass  # `handle_events` takes media, and lets go of the stream for these and other reasons.
            case Closed(reason, detail):
                log.info("connection closed", stream=self._shown_key, reason=str(reason), detail=detail)
                self.end()
            case _:
                assert_never(event)

    # Publishers

    def _judge_publisher(self, request: PublishRequested) -> None:
        key = f"{request.app}/{request.name}"
        if not is_usable(key):
            self.machine.refuse_publish(_BAD_NAME, "The name cannot be used.")
            return
        self._set_key(key)
        self._wanted = request
        self.number = next(_numbers)
        self.is_own = self._doorkeeper.knows(self.machine.connect_text(PASS_PROPERTY))
        if self.is_own:
            self._places.exempt(self)
            self._publish()
        elif not self._places.settle(self):
            self._refuse(OwnRefusal(_NO_PLACE))
        elif self._doorkeeper.is_open:
            self._publish()
        else:
            self._ask(PublishClaim(request.app, request.name, request.query, self._address()))

    def _ask(self, claim: PublishClaim) -> None:
        self._asking = self._doorkeeper.ask(claim, self._on_answer)
        if self._asking is None:
            self._refuse(OwnRefusal("Too many publishers come at the same time"))

    def _on_answer(self, refusal: Refusal | None) -> None:
        if self._asking is None:  # It has gone meanwhile.
            return
        self._asking = None
        if refusal is None:
            self._publish()
        else:
            self._refuse(refusal)
        self.drain()

    def _refuse(self, refusal: Refusal) -> None:
        log.warning(
            "publisher refused", stream=self._shown_key, client=self._address(), detail=refusal.detail
        )
        self.machine.refuse_publish(_DENIED if refusal.is_final else _BAD_NAME, refusal.detail)

    def _publish(self) -> None:
        now = self.loop.time()
        self._published = self._table.publish(self._key, self, now)
        if self._published is None:
            self.machine.refuse_publish(_BAD_NAME, "The stream is published already.")
            return
        self._shown_key = self._key
        self.last_media = now
        self._silent_at = None if self.is_own else now + SILENCE_TIMEOUT
        self.machine.accept_publish()
        assert self._wanted is not None
        app, name, query = self._wanted.app, self._wanted.name, self._wanted.query
        self._publishing = Publishing(
            app, name, query, client=self._address(), is_own=self.is_own, stream=self._published
        )
        self._observer.publish_began(self._publishing)

    def _take_media(self, messages: Sequence[Message]) -> None:
        assert self._published is not None
        self.last_media = self.loop.time()
        self._media_count += len(messages)
        self._published.publish(messages)
        if not self._has_frames and self._published.has_frames:
            assert self._publishing is not None
            self._has_frames = True
            self._observer.first_frame(self._publishing)

    def _take_piece(self, data: bytes) -> None:
        """Of a publisher or anybody: messages that are no media cost nothing but the time to read them."""
        # Of this thread alone: a machine that stands still is not the peer's doing.
        begin = thread_time()
        self.machine.receive_data(data, self.loop.time())
        took = thread_time() - begin
        self.drain()
        cost = max(self._media_count, int(took * MESSAGES_PER_SECOND_OF_WORK))
        self._media_count = 0
        now = self.loop.time()
        next_at = self._pace.take(cost, now)
        if next_at > now and self.is_open and not self.is_own:
            self._stop_reading(next_at)

    def _stop_reading(self, until: float) -> None:
        assert self.transport is not None
        self._is_paused = True
        self.transport.pause_reading()
        self._pause.set(until)

    def _end_pause(self) -> None:
        self._is_paused = False
        data, self._unread = self._unread, b""
        if self.is_open:
            self.data_received(data)
            self._read_on()

    def _read_on(self) -> None:
        if self.transport is not None and not (self._is_paused or self._is_full):
            self.transport.resume_reading()

    def _check_silence(self) -> None:
        """Looked at now and then, so that media set no timers."""
        silent_at = self.last_media + SILENCE_TIMEOUT
        if self.loop.time() < silent_at:
            self._silent_at = silent_at
        else:
            log.warning("publisher cut off: no media", stream=self._key)
            self.end()

    def _set_key(self, key: str) -> None:
        self._key = key
        self._shown_key = loggable_key(key)

    def _address(self) -> str:
        """The IP address of the peer; empty when the connection is lost already."""
        return client_address(self.transport.get_extra_info("peername") if self.transport else None)

    # Players

    def _play(self, key: str) -> None:
        if not is_usable(key):
            self.machine.refuse_play(_NOT_FOUND, "The name cannot be used.")
            return
        self._set_key(key)
        if not self._places.settle(self):
            self.machine.refuse_play(_FAILED, _NO_PLACE)
            return
        self._wait_until = self.loop.time() + PLAY_WAIT_TIMEOUT
        self._table.play(key, self)  # Joins at once if the stream is there.

    def _release(self) -> None:
        """Let go of the stream that this connection publishes or plays, or wants to."""
        self._silent_at = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        if self._published is not None:
            self._published = None
            self._table.unpublish(self._key)
            assert self._publishing is not None
            self._observer.publish_over(self._publishing)
        if self._played is not None:
            self._played.leave(self)
            self._played = None
        if self._wait_until is not None:
            self._wait_until = None
            self._table.stop_waiting(self._key, self)
