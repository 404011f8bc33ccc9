"""An FLV file tag by tag, as it came over RTMP (Adobe FLV 10.1, annex E)."""

import struct
from pathlib import Path
from typing import NamedTuple

AUDIO, VIDEO, SCRIPT = 8, 9, 18
FILE_HEADER_BYTES = 9
TAG_HEADER_BYTES = 11
KEYFRAME_AVC = 0x17


class FlvTag(NamedTuple):
    """One tag."""

    kind: int
    timestamp_ms: int
    body: bytes

    @property
    def is_header(self) -> bool:
        """A sequence header of AVC (PacketType 0 behind codec 7) or AAC (0 behind format 10)."""
        codec = self.body[0] & 0x0F == 7 if self.kind == VIDEO else self.body[0] >> 4 == 10
        return self.kind != SCRIPT and codec and self.body[1] == 0

    @property
    def is_picture(self) -> bool:
        """An AVC picture."""
        return self.kind == VIDEO and self.body[0] & 0x0F == 7 and self.body[1] == 1

    @property
    def is_keyframe(self) -> bool:
        return self.is_picture and self.body[0] == KEYFRAME_AVC


def read_flv(path: Path) -> list[FlvTag]:
    """Every complete tag of a recording, in order."""
    data = path.read_bytes()
    assert data[:3] == b"FLV", f"{path} is no recording: {data[:20]!r}"
    tags = []
    position = FILE_HEADER_BYTES + 4
    while position + TAG_HEADER_BYTES <= len(data):
        kind, size, low, high = struct.unpack_from(">B3s3sB", data, position)
        start, length = position + TAG_HEADER_BYTES, int.from_bytes(size, "big")
        if start + length > len(data):
            break
        timestamp = high << 24 | int.from_bytes(low, "big")
        tags.append(FlvTag(kind & 0x1F, timestamp, data[start : start + length]))
        position = start + length + 4
    return tags


def pictures(tags: list[FlvTag]) -> list[FlvTag]:
    return [tag for tag in tags if tag.is_picture]


def video_headers(tags: list[FlvTag]) -> list[bytes]:
    """The decoder configuration of each AVC sequence header."""
    return [tag.body for tag in tags if tag.kind == VIDEO and tag.is_header]
