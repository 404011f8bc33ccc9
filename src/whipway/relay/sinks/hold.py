"""What a server gets first when it accepts: the headers, and a beginning that was kept for it.

The beginning is a key frame and everything since, as much as the limits allow: what comes while a server is
asked is not lost. Of several groups of pictures the oldest is forgotten first. Without a key frame it is the
sound of the last moments: all there is of a stream without pictures, and what remains of one whose camera is
dark.

A header that comes later than the beginning keeps its place in it: a publisher that changes the size of its
pictures while a server is asked loses none of them.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from whipway.relay.sinks.headers import Headers
from whipway.relay.sinks.tag_queue import MAX_QUEUE_BYTES, MAX_QUEUE_MS, cost
from whipway.relay.tags import AudioFormat, Tag, TagKind

PICTURE_WAIT: Final = 3.0
"""Seconds for which a server that could have sound waits for a key frame, before it gets the sound alone."""


class Hold:
    """Fed as long as nobody takes the stream. It stays within the limits of `TagQueue`."""

    def __init__(self, formats: Collection[AudioFormat]) -> None:
        self.bytes = 0
        self._headers = Headers(formats)
        """As they stand before the first of the tags."""
        self._tags: deque[Tag] = deque()

    @property
    def has_keyframe(self) -> bool:
        """Whether the beginning is a key frame; else there is no picture in it."""
        return bool(self._tags) and self._tags[0].keyframe

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to begin with."""
        return not self._tags

    @property
    def ms(self) -> int:
        """From the first tag to the last, in milliseconds of the stream."""
        # Sound may be due a little before the picture that came ahead of it.
        return max(0, self._tags[-1].timestamp_ms - self._tags[0].timestamp_ms) if self._tags else 0

    def keep_header(self, tag: Tag) -> None:
        """Take a header. To be done with all of them, whatever becomes of the media."""
        if self._tags:
            self._append(tag)
            self._keep_limits()
        else:
            self._headers.keep(tag)

    def push(self, tag: Tag) -> None:
        """Take what nobody takes now and is no header, in the sink's own format of sound."""
        if tag.keyframe and not self.has_keyframe:
            self.clear()  # Sound from before the first picture.
        if self._follows(tag):
            self._append(tag)
            self._keep_limits()

    def put_back(self, tags: Iterable[Tag]) -> None:
        """Take what waited at a connection that is gone. Its headers are known already."""
        for tag in tags:
            if not tag.header:
                self.push(tag)
            elif tag.kind is TagKind.VIDEO:
                self.clear()  # The pictures so far need the one before.

    def take(self, audio: AudioFormat, waited: float) -> list[Tag]:
        """Take everything out, headers first, if it is enough to begin with: nothing otherwise.

        `waited`: seconds for which the server could have had sound.
        """
        awaits_picture = self._headers.has_video and waited < PICTURE_WAIT
        if not self._tags or (awaits_picture and not self.has_keyframe):
            return []
        tags = self._headers.at(self._tags[0].timestamp_ms, audio)
        tags += [tag for tag in self._tags if tag.audio in (None, audio)]
        self.clear()
        return tags

    def drop_sound_but(self, audio: AudioFormat) -> None:
        """Forget sound in other formats than this one."""
        tags, self._tags, self.bytes = self._tags, deque(), 0
        for tag in tags:
            if tag.header or tag.audio in (None, audio):
                self._append(tag)
        self._settle()

    def clear(self) -> None:
        """Forget the beginning. Headers stay."""
        while self._tags:
            self._forget_first()

    def _follows(self, tag: Tag) -> bool:
        """Whether a tag has before it what it needs: pictures a key frame, data of the moment a moment."""
        match tag.kind:
            case TagKind.AUDIO:
                return True
            case TagKind.VIDEO:
                return tag.keyframe or self.has_keyframe
            case _:
                return bool(self._tags)

    def _append(self, tag: Tag) -> None:
        self._tags.append(tag)
        self.bytes += cost(tag)

    def _keep_limits(self) -> None:
        while self.ms > MAX_QUEUE_MS or self.bytes > MAX_QUEUE_BYTES:
            begins_with_picture = self.has_keyframe
            self._forget_first()
            # What follows a key frame is nothing without it, up to the next one.
            while begins_with_picture and self._tags and not self.has_keyframe:
                self._forget_first()
            self._settle()

    def _settle(self) -> None:
        """Nothing begins with a header in its place: it is one of those that go ahead."""
        while self._tags and self._tags[0].header:
            self._forget_first()

    def _forget_first(self) -> None:
        tag = self._tags.popleft()
        self.bytes -= cost(tag)
        if tag.header:
            self._headers.keep(tag)
