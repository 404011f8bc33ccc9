"""What waits for a server that takes less than there is.

Tags wait here and not in TCP's buffers, because here pictures can still be left out. Over the limits they go
up to the newest key frame; when that is too old as well, all of them go, and pictures come back with the next
key frame. Sound stays in order, it is small and its gaps are heard, and so do headers: nothing that follows
can be decoded without them.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from whipway.relay.sinks.traffic import Traffic
from whipway.relay.tags import Tag, TagKind

MAX_QUEUE_MS: Final = 3_000
"""How old a picture may become here: more behind is no live stream any more."""
MAX_QUEUE_BYTES = 8 * 1024 * 1024
"""Three seconds of 22 Mbit/s."""
MAX_SOUND_MS: Final = 15_000
"""A server that does not even take the sound is to be left. Longer than a stall may last, so that one that
takes nothing at all is called that.
"""
TAG_BYTES: Final = 256
"""What a waiting tag costs besides its payload: tiny ones count too."""


def is_picture(tag: Tag) -> bool:
    """Whether it is a frame of video, and no header."""
    return tag.kind is TagKind.VIDEO and not tag.header


def cost(tag: Tag) -> int:
    """Bytes of memory."""
    return len(tag.payload) + TAG_BYTES


class TagQueue:
    """The queue of one connection. Every tag has to be admitted, also one that need not wait."""

    def __init__(self, traffic: Traffic) -> None:
        self.bytes = 0
        self.awaits_keyframe = True
        """Pictures before the next key frame cannot be decoded."""
        self._traffic = traffic
        self._tags: deque[Tag] = deque()
        # When those in the queue are due, oldest first. A header's time says nothing about delay.
        self._pictures: deque[int] = deque()
        self._others: deque[int] = deque()
        self._newest_ms = 0
        self._has_begun = False
        """A key frame was admitted. Only after that is a picture missed."""

    def __len__(self) -> int:
        return len(self._tags)

    @property
    def ms(self) -> int:
        """From the oldest to the newest tag, in milliseconds of the stream."""
        oldest = [times[0] for times in (self._pictures, self._others) if times]
        return self._newest_ms - min(oldest) if oldest else 0

    @property
    def is_overfull(self) -> bool:
        """There are no more pictures to be left out, and still too much waits."""
        late = bool(self._others) and self._newest_ms - self._others[0] > MAX_SOUND_MS
        return late or self.bytes > MAX_QUEUE_BYTES

    def admits(self, tag: Tag) -> bool:
        """False for a picture that cannot be decoded, because the one before it was left out."""
        if not self.awaits_keyframe or not is_picture(tag):
            return True
        if tag.keyframe:
            self.awaits_keyframe = False
            self._has_begun = True
        self._traffic.frames_dropped += self._has_begun and not tag.keyframe
        return tag.keyframe

    def push(self, tag: Tag) -> bool:
        """Take one that was admitted. False: pictures had to go, and they need a key frame to come back."""
        self._append(tag)
        if not self._pictures or not self._is_full:
            return True
        newest = max((i for i, waiting in enumerate(self._tags) if waiting.keyframe), default=len(self))
        self._drop_pictures(newest)
        if self._is_full:
            self._drop_pictures(len(self))
        self.awaits_keyframe = not self._pictures
        return not self.awaits_keyframe

    def pop(self) -> Tag:
        """Take out the oldest."""
        tag = self._tags.popleft()
        self.bytes -= cost(tag)
        if not tag.header:
            (self._pictures if tag.kind is TagKind.VIDEO else self._others).popleft()
        return tag

    def drain(self) -> Iterator[Tag]:
        """Take out all, from the oldest on."""
        while self._tags:
            yield self.pop()

    @property
    def _is_full(self) -> bool:
        late = bool(self._pictures) and self._newest_ms - self._pictures[0] > MAX_QUEUE_MS
        return late or self.bytes > MAX_QUEUE_BYTES

    def _append(self, tag: Tag) -> None:
        self._tags.append(tag)
        self.bytes += cost(tag)
        if not tag.header:
            (self._pictures if tag.kind is TagKind.VIDEO else self._others).append(tag.timestamp_ms)
            self._newest_ms = max(self._newest_ms, tag.timestamp_ms)

    def _drop_pictures(self, before: int) -> None:
        tags = self._tags
        self._tags, self._pictures, self._others, self.bytes = deque(), deque(), deque(), 0
        for index, tag in enumerate(tags):
            if index >= before or not is_picture(tag):
                self._append(tag)
            else:
                self._traffic.frames_dropped += 1
