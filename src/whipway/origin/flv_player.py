"""A player that gets its stream as an FLV file without end, for HTTP (Adobe FLV 10.1, annex E.2 to E.4).

Message bodies are FLV tag bodies already, those of Enhanced RTMP as well: they pass unchanged. What waits
here are the messages themselves, which all players share; they become tags when somebody reads. How much may
wait is bounded by a `Gate`, as with players that come by RTMP. Timestamps are the publisher's own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from whipway.origin.gate import Gate, Verdict
from whipway.origin.live import (
    FRAMES,
    MAX_PLAYER_BACKLOG_BYTES,
    PACKET_OVERHEAD_BYTES,
    LiveStream,
    Packet,
    PacketKind,
    admit,
)
from whipway.protocol.rtmp.messages import Message

MAX_READ_BYTES = 64 * 1024
"""Of tags that are given away together; one tag may be longer."""
TAG_HEADER_BYTES = 11
FIRST_FRAME_TIMEOUT = 30.0
"""Seconds a reader waits for something to see or hear. Until then not a byte tells that it is still there."""

_VIDEO_FLAG, _AUDIO_FLAG = 0x01, 0x04
_VIDEO = frozenset({PacketKind.VIDEO_HEADER, PacketKind.KEYFRAME, PacketKind.VIDEO})
_AUDIO = frozenset({PacketKind.AUDIO_HEADER, PacketKind.AUDIO})
_VIDEO_KEY, _AUDIO_KEY = b"videocodecid", b"audiocodecid"
"""E.5: what onMetaData has where the stream has such a track, be it that none of it has come yet."""

log = structlog.get_logger("origin")


def flv_header(*, has_video: bool, has_audio: bool) -> bytes:
    """E.2: signature, version 1, flags, length of this header; E.3: PreviousTagSize0."""
    flags = has_video * _VIDEO_FLAG | has_audio * _AUDIO_FLAG
    return b"FLV\x01%c\x00\x00\x00\x09\x00\x00\x00\x00" % flags


def flv_tag(message: Message) -> bytes:
    """E.4.1, with the size of the tag behind it (E.3). RTMP's message types are FLV's tag types."""
    size = len(message.payload)
    time = message.timestamp
    # TagType, DataSize; Timestamp, its lower 24 bits, and TimestampExtended, the upper 8; StreamID, always 0.
    head = b"%c%b%b%c\x00\x00\x00" % (
        message.type_id,
        size.to_bytes(3, "big"),
        (time & 0xFFFFFF).to_bytes(3, "big"),
        time >> 24 & 0xFF,
    )
    return b"".join((head, message.payload, (size + TAG_HEADER_BYTES).to_bytes(4, "big")))


class FlvPlayer:
    """One reader of a live stream: `read` until it gives nothing, then or before `close`."""

    def __init__(
        self,
        key: str,
        stream: LiveStream,
        now: Callable[[], float],
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """`closed` is called at the first `close`."""
        self._key = key
        self._stream = stream
        self._now = now
        self._closed = closed
        self._is_closed = False
        # What it gets at once is no sign of slowness.
        self._gate = Gate(MAX_PLAYER_BACKLOG_BYTES + stream.group_bytes)
        self._queue: deque[Packet] = deque()
        self._queued_bytes = 0
        self._has_video = self._has_audio = False
        """What came so far, or is announced."""
        self._has_begun = False
        self._is_over = False
        self._readable = asyncio.Event()
        stream.join(self)

    async def read(self) -> bytes:
        """The next tags, before the first ones the header of the file. Nothing: the stream is over."""
        if not self._has_begun:
            await self._wait_for_first_frame()
        await self._readable.wait()
        data = self._take()
        if not self._queue and not self._is_over:
            self._readable.clear()
        return data

    def close(self) -> None:
        """Leave the stream and forget what waits. A `read` under way ends; may be called again."""
        self._leave()
        if not self._is_closed:
            self._is_closed = True
            self._closed()

    def deliver(self, packets: Sequence[Packet]) -> None:
        """Take the next packets of the stream."""
        now = self._now()
        for packet in packets:
            verdict = admit(self._gate, packet, self._queued_bytes, now)
            if verdict is Verdict.SEND:
                self._queue_up(packet)
            elif verdict is Verdict.CUT:
                log.warning("player cut off: too slow", stream=self._key, skipped=self._gate.skipped)
                self._leave()
                return

    def stream_ended(self) -> None:
        """The publisher of the stream is gone; what waits can still be read."""
        self._is_over = True
        self._readable.set()

    def _leave(self) -> None:
        self._stream.leave(self)
        self._queue.clear()
        self._has_begun = True  # Not even a header any more.
        self.stream_ended()

    async def _wait_for_first_frame(self) -> None:
        try:
            async with asyncio.timeout(FIRST_FRAME_TIMEOUT):
                await self._readable.wait()
        except TimeoutError:
            self._leave()

    def _queue_up(self, packet: Packet) -> None:
        self._queue.append(packet)
        self._queued_bytes += _cost(packet)
        if not self._has_begun:
            self._note_tracks(packet)
        # The file's header says which tracks there are. That is known when the first frame comes.
        if self._has_begun or packet.kind in FRAMES:
            self._readable.set()

    def _note_tracks(self, packet: Packet) -> None:
        says = packet.message.payload if packet.kind is PacketKind.METADATA else b""
        self._has_video |= packet.kind in _VIDEO or _VIDEO_KEY in says
        self._has_audio |= packet.kind in _AUDIO or _AUDIO_KEY in says

    def _take(self) -> bytes:
        parts = []
        size = 0
        if not self._has_begun:
            self._has_begun = True
            parts.append(flv_header(has_video=self._has_video, has_audio=self._has_audio))
        while self._queue and size < MAX_READ_BYTES:
            packet = self._queue.popleft()
            self._queued_bytes -= _cost(packet)
            parts.append(flv_tag(packet.message))
            size += len(parts[-1])
        return b"".join(parts)


def _cost(packet: Packet) -> int:
    return len(packet.message.payload) + PACKET_OVERHEAD_BYTES
