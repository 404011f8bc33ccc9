"""One connection of a sink: its publisher machine, what waits for it, what has arrived.

It ends with the connection. While TCP takes what it gets, a tag becomes bytes at once; else it waits in the
queue, and so does what was held for the beginning, which is handed over in pieces.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from whipway.protocol.rtmp.client import Failed, Publisher
from whipway.relay.sinks.progress import Progress
from whipway.relay.sinks.standing import Failure
from whipway.relay.sinks.tag_queue import TagQueue, is_picture
from whipway.relay.sinks.traffic import Traffic
from whipway.relay.tags import Tag, TagKind

PIECE_BYTES: Final = 128 * 1024
"""Handed over at once from the queue: about what the kernel takes. The rest may still be dropped."""
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of answers (to pings) for a server that asks on and takes nothing: thousands, where ten are usual."""


class Attempt:
    """What a sink has as long as it is connected."""

    def __init__(self, publisher: Publisher, traffic: Traffic) -> None:
        self.publisher = publisher
        self.progress = Progress()
        self.queue = TagQueue(traffic)
        self.ready_since: float | None = None
        """When, after the server took the stream, there was first something to begin with; None: not yet."""
        self._traffic = traffic
        self._start_ms = 0
        """The stream's time here begins with it."""
        self._is_writable = True
        self._out: list[bytes] = []
        self._written_bytes = 0
        self._answer_bytes = 0

    @property
    def has_begun(self) -> bool:
        """Media go out as they come; before, they are held."""
        return self.progress.has_begun

    @property
    def is_flooded(self) -> bool:
        """The server asks more than it takes answers."""
        return self._answer_bytes > MAX_ANSWER_BYTES

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the server."""
        self.publisher.receive_data(data, now)
        count = self._collect()
        if not self._is_writable:
            self._answer_bytes += count

    def set_writable(self, writable: bool) -> None:
        """Whether the transport wants more."""
        self._is_writable = writable
        if writable:
            self._answer_bytes = 0

    def begin(self, tags: Sequence[Tag], now: float) -> bool:
        """Send the first media, from the headers on. False: without a picture, and a key frame is wanted."""
        self._start_ms = next(tag.timestamp_ms for tag in tags if not tag.header)
        self._collect()
        self.progress.begin(self._written_bytes)
        self.progress.sent(now)
        for tag in tags:
            if self._admits(tag):
                self.queue.push(tag)
        return not self.queue.awaits_keyframe

    def push(self, tag: Tag, now: float) -> bool:
        """Send the next. False: pictures had to be left out, and a key frame is wanted."""
        waits = bool(self.queue) or not self._is_writable
        # A filler shows that there is life. So does what waits already, and that is not to become more.
        if (waits and tag.filler) or not self._admits(tag):
            return True
        self.progress.sent(now)
        if waits:
            return self.queue.push(tag)
        self._send(tag)
        return True

    def data_to_send(self) -> list[bytes]:
        """Bytes for the transport; while it is writable, call again until there are none."""
        size = 0
        while self._is_writable and self.queue and size < PIECE_BYTES:
            tag = self.queue.pop()
            size += len(tag.payload)
            self._send(tag)
        self._collect()
        out, self._out = self._out, []
        return out

    def hang_up(self) -> Failure:
        """The server is gone, while it was asked: what that means to the publisher."""
        self.publisher.receive_eof()
        [failed] = [event for event in self.publisher.events() if isinstance(event, Failed)]
        return Failure(failed.reason.value, failed.detail)

    def close(self) -> list[bytes]:
        """End it politely; what is left to be written."""
        self.publisher.close()
        self._collect()
        return self._out

    def _admits(self, tag: Tag) -> bool:
        # Sound that belongs before the first picture may come after it. Not so the first picture of a stream
        # that began with sound: without this one, none would be taken before the next key frame.
        is_early = tag.timestamp_ms < self._start_ms and not (tag.header or is_picture(tag))
        return not is_early and self.queue.admits(tag)

    def _collect(self) -> int:
        """Take what the publisher has written; how much that is."""
        data = self.publisher.data_to_send()
        self._out += data
        count = sum(map(len, data))
        self._written_bytes += count
        return count

    def _send(self, tag: Tag) -> None:
        match tag.kind:
            case TagKind.VIDEO:
                self.publisher.send_video(tag.timestamp_ms, tag.payload)
                self._traffic.frames += not tag.header
            case TagKind.AUDIO:
                self.publisher.send_audio(tag.timestamp_ms, tag.payload)
            case TagKind.METADATA | TagKind.DATA:
                self.publisher.send_data(tag.timestamp_ms, tag.payload)
            case _:
                assert_never(tag.kind)
