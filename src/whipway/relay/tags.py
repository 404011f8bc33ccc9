"""What travels from a session's muxer to its sinks.

A tag is one RTMP message in the making. All sinks get the same pictures; sound comes in one format for each
that some sink wants, and a sink takes the tags that bear its own.
"""

from enum import Enum, StrEnum
from typing import NamedTuple


class TagKind(Enum):
    """Which RTMP message carries a tag."""

    METADATA = "metadata"
    AUDIO = "audio"
    VIDEO = "video"
    DATA = "data"
    """Of the moment, such as a cue point."""


class AudioCodec(StrEnum):
    """The codecs that sound can have on its way to an RTMP server; the value is the word of the API."""

    AAC = "aac"
    OPUS = "opus"


class AudioFormat(NamedTuple):
    """What a sink gets as sound; sinks with equal ones share one encoder."""

    codec: AudioCodec
    bitrate: int
    """Bits a second; 0 for Opus, which passes as it came."""


OPUS = AudioFormat(AudioCodec.OPUS, 0)


class Tag(NamedTuple):
    """One thing for a sink to send."""

    kind: TagKind
    timestamp_ms: int
    """When to decode it."""
    payload: bytes
    """The body of the RTMP message: of an FLV tag, or AMF0 values for metadata and data."""
    keyframe: bool = False
    header: bool = False
    """True for sequence headers and metadata, which a sink must never skip."""
    audio: AudioFormat | None = None
    """The sinks that it is for; None: all of them. Set for sound and metadata."""
    filler: bool = False
    """A picture that was shown before, in place of one that stays away: for the sinks that want such."""
