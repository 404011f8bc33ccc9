"""The media units that travel from a session to its sinks.

One type per kind between receive and publish: a session makes them, the relay turns them into FLV tags.
Times are integer microseconds on the session's one media timeline (audio and video share its zero).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class AccessUnit:
    """One coded picture (ITU-T H.264, 3.1): its NAL units in order, no start codes or length prefixes."""

    timestamp: int
    """RTP timestamp of its packets, 32 bits, 90 kHz."""
    nals: list[bytes]
    keyframe: bool
    """True when it holds an IDR slice (nal_unit_type 5)."""
    time_us: int = 0
    """Presentation time on the media timeline; set by the track."""
    is_cut: bool = False
    """The first of another source: a key frame with its parameter sets. Nothing before it counts."""
    is_entry: bool = False
    """Pictures go on with it behind a mute, for want of a key frame: it is a recovery point."""


@dataclass(slots=True)
class AudioFrame:
    """One Opus packet (RFC 6716) as it came in one RTP packet."""

    timestamp: int
    """RTP timestamp, 32 bits, 48 kHz."""
    payload: bytes
    time_us: int = 0
    """Time of its first sample on the media timeline; set by the track."""
