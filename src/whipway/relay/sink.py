"""One RTMP output of a session: its publisher machine, its state, what waits for it.

Tags that come while the RTMP server is still being asked are kept and go out in order once it accepts, so
the first picture is never lost to the hand-shake. The driver tells how many bytes TCP has not taken yet;
`Gate` decides with it what a slow server gets. The first failure is final.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from whipway.protocol.rtmp.client import Failed, Publisher, Publishing
from whipway.relay.gate import Gate, Verdict
from whipway.relay.muxer import Tag, TagKind

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Held for a server that has not accepted the stream yet; the publisher machine gives up in 10 s anyway."""

TAG_BYTES = 256
"""What a waiting tag costs besides its payload: tiny ones count too."""


class SinkState(StrEnum):
    """Where a sink stands; the value is the word of the API."""

    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SinkPublishing:
    """The server accepted the stream."""


@dataclass(frozen=True, slots=True)
class SinkFailed:
    """The sink is over. `reason` is one word, `detail` a sentence for a person."""

    reason: str
    detail: str


SinkEvent = SinkPublishing | SinkFailed


class Sink:
    """A stream machine (verbs of docs/architecture.md) around `Publisher`, fed with tags."""

    def __init__(self, publisher: Publisher, gate: Gate | None = None) -> None:
        self.state = SinkState.CONNECTING
        self.detail = ""
        self.frames_sent = 0
        self.bytes_sent = 0
        self._publisher = publisher
        self._gate = gate or Gate()
        self._waiting: list[Tag] = []
        self._waiting_bytes = 0
        self._events: list[SinkEvent] = []

    @property
    def frames_skipped(self) -> int:
        """Video messages left out because the server was too slow."""
        return self._gate.skipped

    def receive_data(self, data: bytes, now: float) -> None:
        """Feed bytes from the server."""
        self._publisher.receive_data(data, now)
        self._take_events()

    def receive_eof(self) -> None:
        """The server closed the connection."""
        self._publisher.receive_eof()
        self._take_events()

    def handle_timeout(self, now: float) -> None:
        """To be called when `deadline` has passed."""
        self._publisher.handle_timeout(now)
        self._take_events()

    def deadline(self) -> float | None:
        """When `handle_timeout` is wanted."""
        return self._publisher.deadline()

    def push(self, tags: list[Tag], backlog_bytes: int, now: float) -> None:
        """Take tags to send; `backlog_bytes` is what TCP still holds for this server."""
        if self.state is SinkState.CONNECTING:
            self._wait(tags)
        elif self.state is SinkState.PUBLISHING:
            for tag in tags:
                self._offer(tag, backlog_bytes, now)

    def data_to_send(self) -> list[bytes]:
        """Bytes for the server, in order."""
        data = self._publisher.data_to_send()
        self.bytes_sent += sum(map(len, data))
        return data

    def events(self) -> list[SinkEvent]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def fail(self, reason: str, detail: str) -> None:
        """The driver could not connect, or lost the connection, or this sink gave up."""
        if self.state in (SinkState.CONNECTING, SinkState.PUBLISHING):
            self.state = SinkState.FAILED
            self.detail = detail
            self._waiting.clear()
            self._events.append(SinkFailed(reason, detail))

    def close(self) -> None:
        """End the publish politely; what it writes is in `data_to_send`."""
        if self.state is not SinkState.FAILED:
            self.state = SinkState.CLOSED
        self._publisher.close()
        self._waiting.clear()

    def _take_events(self) -> None:
        for event in self._publisher.events():
            match event:
                case Publishing() if self.state is SinkState.CONNECTING:
                    self.state = SinkState.PUBLISHING
                    self._events.append(SinkPublishing())
                case Failed(reason, detail):
                    self.fail(reason.value, detail)
        # Not before: what came together with the good news may be the end already.
        if self.state is SinkState.PUBLISHING and self._waiting:
            self._send_waiting()

    def _wait(self, tags: list[Tag]) -> None:
        self._waiting += tags
        self._waiting_bytes += sum(len(tag.payload) + TAG_BYTES for tag in tags)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.fail("too_slow", "the RTMP server did not accept the stream in time")

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        for tag in waiting:
            self._send(tag)

    def _offer(self, tag: Tag, backlog_bytes: int, now: float) -> None:
        verdict = self._gate.admit(
            video=tag.kind is TagKind.VIDEO,
            keyframe=tag.keyframe,
            header=tag.header,
            backlog_bytes=backlog_bytes,
            now=now,
        )
        if verdict is Verdict.SEND:
            self._send(tag)
        elif verdict is Verdict.CUT:
            self.fail("too_slow", "the RTMP server did not take the stream fast enough")

    def _send(self, tag: Tag) -> None:
        match tag.kind:
            case TagKind.METADATA:
                assert tag.metadata is not None
                self._publisher.send_metadata(tag.metadata, tag.timestamp_ms)
            case TagKind.AUDIO:
                self._publisher.send_audio(tag.timestamp_ms, tag.payload)
            case TagKind.VIDEO:
                self._publisher.send_video(tag.timestamp_ms, tag.payload)
                self.frames_sent += not tag.header
            case _:
                assert_never(tag.kind)
