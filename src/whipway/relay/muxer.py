"""Media units of one session to FLV tags, on RTMP's millisecond clock.

The stream begins with its first IDR picture, because onMetaData has to name width and height; what was heard
before is left out. A session with video whose camera stays dark starts with its audio after `VIDEO_WAIT_US`.
Audio that was negotiated but stays away becomes silence, `AUDIO_WAIT_US` behind the picture: players wait for
a track that the headers announce.
Units whose bytes turn out to be wrong are dropped and counted.
Sequence headers go out once, and again only when their bytes change: a header repeated without a change makes
segmenters downstream begin a new discontinuity.

A video tag has the picture's decoding time, and in its body how much later it is shown (FLV, E.4.3.1); the
two are the same unless there are B-frames. The stream's zero is the first decoding time, so that none is
negative; sound stays with the pictures it is heard with, as both are counted from there.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple, Protocol

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.decode_times import DecodeTimes
from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import ParameterSets
from whipway.media.picture_order import PictureOrder
from whipway.media.presentation_times import PresentationTimes
from whipway.media.transcoder import AacFrame
from whipway.media.unit import AccessUnit, AudioFrame

VIDEO_WAIT_US = 3_000_000
"""How long audio waits for the first picture of a session that has a video track."""
AUDIO_WAIT_US = 1_000_000
"""How long audio may be late before silence takes its place: longer than networks hold it up."""
AUDIO_SAMPLE_RATE = 48_000
AUDIO_CHANNELS = 2


class TagKind(Enum):
    """Which RTMP message carries a tag."""

    METADATA = "metadata"
    AUDIO = "audio"
    VIDEO = "video"


class Tag(NamedTuple):
    """One thing for a sink to send."""

    kind: TagKind
    timestamp_ms: int
    """When to decode it."""
    payload: bytes
    """An FLV tag body; empty for metadata."""
    keyframe: bool = False
    header: bool = False
    """True for sequence headers and metadata, which a sink must never skip."""
    metadata: dict[str, Any] | None = None


class AudioTranscoder(Protocol):
    """What the muxer needs of `media.transcoder.Transcoder`."""

    @property
    def config(self) -> bytes: ...

    def transcode(self, frame: AudioFrame) -> list[AacFrame]: ...

    def fill(self, until_us: int, start_us: int) -> list[AacFrame]: ...

    def flush(self) -> list[AacFrame]: ...


class Muxer:
    """Makes the tags of one session. `make_transcoder` is called when the first audio is needed."""

    def __init__(
        self,
        *,
        has_video: bool,
        make_transcoder: Callable[[], AudioTranscoder] | None,
        parameter_sets: Sequence[bytes] = (),
    ) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.needs_keyframe = True
        """No picture goes out before the next key frame: the moment to ask for one."""
        self._has_video = has_video
        self._make_transcoder = make_transcoder
        self._transcoder: AudioTranscoder | None = None
        self._parameter_sets = ParameterSets()
        with suppress(ParseError):  # Hints from the offer: the ones in the stream count.
            self._parameter_sets.update(parameter_sets)
        self._picture_order = PictureOrder()
        self._presentation_times = PresentationTimes()
        self._decode_times = DecodeTimes()
        self._header_sent = False
        self._origin_us: int | None = None
        self._first_audio_us: int | None = None
        self._quiet_since_us: int | None = None
        """Time of the first picture since the last audio; None when there was none yet."""
        self._last_video_ms = -1

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the picture, once known."""
        sps = self._parameter_sets.sps
        return (sps.width, sps.height) if sps else None

    @property
    def reordered(self) -> bool:
        """True while pictures come in another order than they are shown in: there are B-frames."""
        return self._decode_times.reordered

    def push(self, unit: AccessUnit | AudioFrame) -> list[Tag]:
        """Turn one unit into the tags to send now, often one, sometimes none."""
        if isinstance(unit, AudioFrame):
            return self._push_audio(unit)
        try:
            return self._push_video(unit)
        except ParseError as error:
            self.drops[error.reason] += 1
            self.needs_keyframe = True  # What follows refers to the picture that is dropped here.
            return []

    def flush(self) -> list[Tag]:
        """The audio still inside the encoder, at the end of the session."""
        return self._audio_tags(self._transcoder.flush()) if self._transcoder else []

    def _push_video(self, unit: AccessUnit) -> list[Tag]:
        changed = self._take_parameter_sets(unit)
        configuration = self._parameter_sets.configuration()
        if configuration is None or (self.needs_keyframe and not unit.keyframe):
            # Nobody can decode a picture without parameter sets, or start between key frames.
            raise ParseError(DropReason.H264_AWAITING_IDR)
        self.needs_keyframe = False
        renew = changed or not self._header_sent
        if renew:
            assert self._parameter_sets.sps is not None  # The configuration was made of it.
            self._presentation_times.configure(self._parameter_sets.sps)
            self._decode_times.configure(self._parameter_sets.sps)
        shown_us = self._shown_us(unit)
        decode_us = self._decode_times.place(shown_us, unit.keyframe)
        if self._origin_us is None:
            self._origin_us = decode_us
        # Behind sound, the first pictures may be due before zero. None may share a millisecond, RTMP's grain.
        timestamp = max(self._milliseconds(decode_us), self._last_video_ms + 1)
        self._last_video_ms = timestamp
        tags = self._fill(decode_us)
        if renew:
            header = flv.avc_sequence_header(configuration)
            tags += [*self._start(timestamp), Tag(TagKind.VIDEO, timestamp, header, header=True)]
            self._header_sent = True
        # A picture that comes too late for its time is shown at once: never before it is decoded.
        composition = max(0, self._milliseconds(shown_us) - timestamp)
        body = flv.avc_frame(unit.nals, unit.keyframe, composition)
        tags.append(Tag(TagKind.VIDEO, timestamp, body, keyframe=unit.keyframe))
        return tags

    def _take_parameter_sets(self, unit: AccessUnit) -> bool:
        """Whether the decoder configuration changed. ParseError for a key frame whose sets cannot be read."""
        try:
            return self._parameter_sets.update(unit.nals)
        except ParseError as error:
            if unit.keyframe:
                raise
            # It goes on with the sets there are; those that nobody can read go no further.
            self.drops[error.reason] += 1
            unit.nals = [nal for nal in unit.nals if nal_type(nal) not in (NalType.SPS, NalType.PPS)]
            return False

    def _shown_us(self, unit: AccessUnit) -> int:
        """The time of showing: the unit's, unless it can be told that this is its decoding time."""
        assert self._parameter_sets.sps is not None  # There is a configuration.
        if self._parameter_sets.sps.max_num_reorder_frames == 0:
            return unit.time_us
        number = self._picture_order.number(unit.nals, self._parameter_sets)
        return self._presentation_times.place(unit.time_us, number, unit.keyframe)

    def _push_audio(self, frame: AudioFrame) -> list[Tag]:
        tags: list[Tag] = []
        if self._origin_us is None:
            if self._waits_for_video(frame.time_us):
                return []
            self._origin_us = frame.time_us
            tags = self._start(0)
        assert self._transcoder is not None  # Audio comes only where it was negotiated.
        try:
            tags += self._audio_tags(self._transcoder.transcode(frame))
            self._quiet_since_us = None
        except ParseError as error:
            self.drops[error.reason] += 1
        return tags

    def _fill(self, video_us: int) -> list[Tag]:
        """Silence for audio that stays away while the pictures go on."""
        if self._transcoder is None:
            return []
        assert self._origin_us is not None  # Headers went out already.
        if self._quiet_since_us is None:
            self._quiet_since_us = video_us
        # Audio that keeps coming is heard, however far behind the pictures its times are.
        until_us = video_us - AUDIO_WAIT_US
        if until_us <= self._quiet_since_us:
            return []
        try:
            return self._audio_tags(self._transcoder.fill(until_us, self._origin_us))
        except ParseError as error:
            self.drops[error.reason] += 1
            return []

    def _waits_for_video(self, time_us: int) -> bool:
        if self._first_audio_us is None:
            self._first_audio_us = time_us
        return self._has_video and time_us - self._first_audio_us < VIDEO_WAIT_US

    def _start(self, timestamp_ms: int) -> list[Tag]:
        """Metadata, and the first time the audio header behind it."""
        # Players of the FFmpeg family take metadata for a header at time 0 only, else for a stream of data.
        tags = [Tag(TagKind.METADATA, 0, b"", header=True, metadata=self._metadata())]
        if self._transcoder is None and self._make_transcoder is not None:
            self._transcoder = self._make_transcoder()
            body = flv.aac_sequence_header(self._transcoder.config)
            tags.append(Tag(TagKind.AUDIO, timestamp_ms, body, header=True))
        return tags

    def _audio_tags(self, frames: list[AacFrame]) -> list[Tag]:
        return [
            Tag(TagKind.AUDIO, timestamp, flv.aac_frame(frame.payload))
            for frame in frames
            # The encoder's priming frame, and sound from before the first picture, have no place.
            if (timestamp := self._milliseconds(frame.time_us)) >= 0
        ]

    def _metadata(self) -> dict[str, Any]:
        sps = self._parameter_sets.sps
        return flv.metadata(
            width=sps.width if sps else None,
            height=sps.height if sps else None,
            frame_rate=sps.frame_rate if sps else None,
            sample_rate=AUDIO_SAMPLE_RATE if self._make_transcoder else None,
            channels=AUDIO_CHANNELS,
        )

    def _milliseconds(self, time_us: int) -> int:
        assert self._origin_us is not None
        # Rounded to nearest (and down at halves), also below zero.
        return (time_us - self._origin_us + 499) // 1000
