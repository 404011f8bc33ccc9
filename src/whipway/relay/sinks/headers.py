"""The headers of a stream as they stand, for a connection that comes to it in the middle."""

from collections.abc import Collection
from typing import Final

from whipway.relay.tags import AudioFormat, Tag, TagKind

_ORDER: Final = (TagKind.METADATA, TagKind.AUDIO, TagKind.VIDEO)
"""Servers take the metadata first, to know what the tracks are."""


class Headers:
    """The newest of each kind, in each of the formats that one sink may want."""

    def __init__(self, formats: Collection[AudioFormat]) -> None:
        self._formats = formats
        self._tags: dict[tuple[TagKind, AudioFormat | None], Tag] = {}

    @property
    def has_video(self) -> bool:
        """Whether the stream is known to have pictures."""
        return (TagKind.VIDEO, None) in self._tags

    def keep(self, tag: Tag) -> None:
        """Take a header instead of the last one of its kind."""
        if tag.audio is None or tag.audio in self._formats:
            self._tags.pop((tag.kind, tag.audio), None)  # So that the newest stands last.
            self._tags[tag.kind, tag.audio] = tag

    def at(self, timestamp_ms: int, audio: AudioFormat) -> list[Tag]:
        """Those that a stream with this sound begins with at this time."""
        newest = {tag.kind: tag for tag in self._tags.values() if tag.audio in (None, audio)}
        # Players of the FFmpeg family take metadata for a header at time 0 only, else for a stream of data.
        return [
            newest[kind]._replace(timestamp_ms=0 if kind is TagKind.METADATA else timestamp_ms)
            for kind in _ORDER
            if kind in newest
        ]
