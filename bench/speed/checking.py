"""What came out of one stream, compared with what went in: pure, fed with RTMP messages and their arrivals.

Every picture carries its number (`marks`), so that each is known by itself: whole or damaged, in order,
missing, repeated. Sound is counted; its times must rise, and its bytes are the encoder's business.
"""

from dataclasses import dataclass, field
from typing import Final

from bench.speed.marks import MARK_BYTES, Mark, read_mark
from bench.speed.material import PICTURE_INTERVAL, Material
from whipway.media import flv
from whipway.protocol.rtmp.messages import Message, MessageType

_HEADS: Final = {
    True: bytes((flv.AVC_KEY_FRAME, 1, 0, 0, 0)),
    False: bytes((flv.AVC_INTER_FRAME, 1, 0, 0, 0)),
}
"""By whether it is a key frame: frame type and codec, packet type, and no composition time."""
FLV_HEAD_BYTES: Final = 5
INTERVAL_MS: Final = round(PICTURE_INTERVAL * 1000)
MAX_UNEVEN_MS: Final = 1
"""RTMP's grain: times are rounded to it."""


@dataclass(slots=True)
class Tally:
    """What came of one stream, or of all."""

    pictures: int = 0
    missing: int = 0
    """Not there when a later one came."""
    repeated: int = 0
    """Came again, or after a later one."""
    damaged: int = 0
    """Other bytes than were sent."""
    not_rising: int = 0
    """Pictures whose time is not after the one before."""
    uneven: int = 0
    """Neighbours whose times are not 40 ms apart."""
    sounds: int = 0
    sounds_not_rising: int = 0
    strangers: int = 0
    """Pictures of another stream."""
    formats: set[str] = field(default_factory=set)
    """Of sound: "aac", "opus"."""

    def add(self, other: "Tally") -> None:
        """Take the counts of another one in."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.formats |= other.formats


COUNTS: Final = (
    *("pictures", "missing", "repeated", "damaged", "not_rising", "uneven"),
    *("sounds", "sounds_not_rising", "strangers"),
)


class Checker:
    """One stream. `take` returns the mark of a whole picture that is where it belongs."""

    def __init__(self, material: Material) -> None:
        self.tally = Tally()
        self.stream: int | None = None
        self.first_at = 0.0
        """When the first picture arrived."""
        self._pictures = material.pictures
        # The same in all pictures of a kind: key frames have their parameter sets in front.
        self._mark_at = {each.is_keyframe: each.body_mark_at for each in material.pictures}
        self._last_number = -1
        self._last_time = -1
        self._last_sound = -1

    def take(self, message: Message, at: float) -> Mark | None:
        """One message of the stream, whose last byte arrived at that time."""
        if message.type_id == MessageType.VIDEO:
            if flv.read_video(message.payload[:2]).part is flv.Part.HEADER:
                return None
            return self._take_picture(message, at)
        if message.type_id == MessageType.AUDIO:
            self._take_sound(message)
        return None

    def _take_picture(self, message: Message, at: float) -> Mark | None:
        self.first_at = self.first_at or at
        mark = self._read(message.payload)
        tally = self.tally
        if mark is None:
            tally.damaged += 1
            return None
        if self.stream is None:
            self.stream = mark.stream
        if mark.stream != self.stream:
            tally.strangers += 1
            return None
        step = mark.number - self._last_number
        if step <= 0:
            tally.repeated += 1
            return None
        tally.pictures += 1
        tally.missing += step - 1
        self._check_time(message.timestamp, step)
        self._last_number = mark.number
        return mark

    def _check_time(self, timestamp: int, step: int) -> None:
        if self._last_number >= 0:
            elapsed = timestamp - self._last_time
            self.tally.not_rising += elapsed <= 0
            self.tally.uneven += abs(elapsed - step * INTERVAL_MS) > MAX_UNEVEN_MS
        self._last_time = timestamp

    def _read(self, payload: bytes) -> Mark | None:
        """The mark of a picture that is whole."""
        is_keyframe = payload.startswith(_HEADS[True])
        at = FLV_HEAD_BYTES + self._mark_at[is_keyframe]
        mark = read_mark(payload[at : at + MARK_BYTES])
        if mark.picture >= len(self._pictures):
            return None
        picture = self._pictures[mark.picture]
        before, behind = picture.body_mark_at, picture.body_mark_at + MARK_BYTES
        head, tail = picture.body[:before], picture.body[behind:]
        is_whole = (
            payload.startswith(_HEADS[picture.is_keyframe])
            and len(payload) == FLV_HEAD_BYTES + len(picture.body)
            and payload.startswith(head, FLV_HEAD_BYTES)
            and payload.endswith(tail)
        )
        return mark if is_whole else None

    def _take_sound(self, message: Message) -> None:
        payload = message.payload
        if flv.read_audio(payload[:8]).part is flv.Part.HEADER:
            return
        is_opus = payload[:1] and payload[0] >> 4 == flv.EX_AUDIO_FORMAT
        self.tally.formats.add("opus" if is_opus else "aac")
        self.tally.sounds += 1
        self.tally.sounds_not_rising += message.timestamp <= self._last_sound
        self._last_sound = message.timestamp
