"""Media units of one session to FLV tags, on RTMP's millisecond clock.

The stream begins with its first IDR picture, because onMetaData has to name width and height; what was heard
before is left out. A session with video whose camera stays dark starts with its audio after `VIDEO_WAIT_US`.
Audio that was negotiated but stays away becomes silence, `AUDIO_WAIT_US` behind the picture: players wait for
a track that the headers announce. A session without audio has none announced, or silence if that is wished.
Sound comes in every format that a sink wants (`relay.sound`), pictures in one.
Units whose bytes turn out to be wrong are dropped and counted.
Sequence headers go out once, and again only when their bytes change: a header repeated without a change makes
segmenters downstream begin a new discontinuity. `headers` is for a sink that comes later.

A video tag has the picture's decoding time, and in its body how much later it is shown (FLV, E.4.3.1); the
two are the same unless there are B-frames. The stream's zero is the first decoding time, so that none is
negative; sound stays with the pictures it is heard with, as both are counted from there.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.decode_times import DecodeTimes
from whipway.media.nal import NalType, nal_type
from whipway.media.opus import SAMPLE_RATE
from whipway.media.parameter_sets import ParameterSets
from whipway.media.picture_order import PictureOrder
from whipway.media.presentation_times import PresentationTimes
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtmp import amf0
from whipway.relay.sound import CHANNELS, AudioTranscoder, Sound, SoundBody
from whipway.relay.tags import OPUS, AudioFormat, Tag, TagKind

VIDEO_WAIT_US = 3_000_000
"""How long audio waits for the first picture of a session that has a video track."""
AUDIO_WAIT_US = 1_000_000
"""How long audio may be late before silence takes its place: longer than networks hold it up."""


class Muxer:
    """Makes the tags of one session, with sound in the formats of `set_formats`: at first in none.

    `make_transcoder` gets a bitrate in bits a second; it is called when the first sink wants AAC of that, and
    the stream has begun. `silent_audio` gives pictures without an audio track a silent one.
    """

    def __init__(
        self,
        *,
        has_video: bool,
        has_audio: bool,
        make_transcoder: Callable[[int], AudioTranscoder],
        silent_audio: bool = False,
        parameter_sets: Sequence[bytes] = (),
    ) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.needs_keyframe = True
        """No picture goes out before the next key frame: the moment to ask for one."""
        self._has_video = has_video
        self._has_sound = has_audio or (has_video and silent_audio)
        self._silence_behind_us = AUDIO_WAIT_US if has_audio else 0
        """How far silence stays behind the pictures."""
        self._sound = Sound(make_transcoder, self.drops)
        self._parameter_sets = ParameterSets()
        with suppress(ParseError):  # Hints from the offer: the ones in the stream count.
            self._parameter_sets.update(parameter_sets)
        self._picture_order = PictureOrder()
        self._presentation_times = PresentationTimes()
        self._decode_times = DecodeTimes()
        self._video_header: bytes | None = None
        """The sequence header that went out last."""
        self._published: dict[str, Any] = {}
        """The publisher's own metadata."""
        self._origin_us: int | None = None
        self._latest_us = 0
        """The latest time of any unit since the stream began."""
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

    def set_formats(self, formats: Collection[AudioFormat]) -> list[Tag]:
        """The formats that sinks want from now on. The headers of new ones, if the stream has begun."""
        if not self._has_sound:
            return []
        self._sound.set_formats(formats)
        if self._origin_us is None:
            return []
        # Where the silence of the other formats ends, if there is any.
        start_us = max(self._origin_us, self._latest_us - self._silence_behind_us)
        opened = self._sound.open(start_us)
        return [*map(self._metadata, opened), *self._audio_headers(opened, self._latest_ms)]

    def headers(self) -> list[Tag]:
        """All headers that are current, in each format; empty before the stream has begun."""
        if self._origin_us is None:
            return []
        timestamp = self._latest_ms
        tags = self._all_metadata() + self._audio_headers(self._sound.formats, timestamp)
        if self._video_header is not None:
            tags.append(Tag(TagKind.VIDEO, timestamp, self._video_header, header=True))
        return tags

    def set_metadata(self, values: Mapping[str, Any]) -> list[Tag]:
        """The publisher's own onMetaData, in place of what it said before: the metadata to send now, if any.

        What the stream itself says of its tracks wins. Raises as `amf0.encode` does for values without a form
        in AMF0; nothing has changed then.
        """
        published = {name: value for name, value in values.items() if name not in flv.TRACK_METADATA}
        amf0.encode(published)
        self._published = published
        return [] if self._origin_us is None else self._all_metadata()

    def make_data(self, handler: str, values: Mapping[str, Any]) -> list[Tag]:
        """A data message of the moment, such as a cue point; empty before the stream has begun.

        Raises as `amf0.encode` does.
        """
        if self._origin_us is None:
            return []
        return [Tag(TagKind.DATA, self._latest_ms, amf0.encode(handler, dict(values)))]

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
        return self._audio_tags(self._sound.flush())

    def _push_video(self, unit: AccessUnit) -> list[Tag]:
        changed = self._take_parameter_sets(unit)
        configuration = self._parameter_sets.configuration()
        if configuration is None or (self.needs_keyframe and not unit.keyframe):
            # Nobody can decode a picture without parameter sets, or start between key frames.
            raise ParseError(DropReason.H264_AWAITING_IDR)
        self.needs_keyframe = False
        renew = changed or self._video_header is None
        if renew:
            assert self._parameter_sets.sps is not None  # The configuration was made of it.
            self._presentation_times.configure(self._parameter_sets.sps)
            self._decode_times.configure(self._parameter_sets.sps)
        shown_us = self._shown_us(unit)
        decode_us = self._decode_times.place(shown_us, unit.keyframe)
        self._note_time(decode_us)
        # Behind sound, the first pictures may be due before zero. None may share a millisecond, RTMP's grain.
        timestamp = max(self._milliseconds(decode_us), self._last_video_ms + 1)
        self._last_video_ms = timestamp
        tags = self._fill(decode_us)
        if renew:
            self._video_header = flv.avc_sequence_header(configuration)
            header = Tag(TagKind.VIDEO, timestamp, self._video_header, header=True)
            tags += [*self._start(timestamp), header]
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
        begins = self._origin_us is None
        if begins and self._waits_for_video(frame.time_us):
            return []
        self._note_time(frame.time_us)
        tags = self._start(0) if begins else []
        try:
            tags += self._audio_tags(self._sound.push(frame))
            self._quiet_since_us = None
        except ParseError as error:
            self.drops[error.reason] += 1
        return tags

    def _fill(self, video_us: int) -> list[Tag]:
        """Silence for audio that stays away while the pictures go on."""
        if self._quiet_since_us is None:
            self._quiet_since_us = video_us
        # Audio that keeps coming is heard, however far behind the pictures its times are.
        until_us = video_us - self._silence_behind_us
        if until_us <= self._quiet_since_us:
            return []
        return self._audio_tags(self._sound.fill(until_us))

    def _waits_for_video(self, time_us: int) -> bool:
        if self._first_audio_us is None:
            self._first_audio_us = time_us
        return self._has_video and time_us - self._first_audio_us < VIDEO_WAIT_US

    def _start(self, timestamp_ms: int) -> list[Tag]:
        """Metadata, and the first time the audio headers behind it."""
        assert self._origin_us is not None  # The unit that starts it has a time.
        opened = self._sound.open(self._origin_us)
        return self._all_metadata() + self._audio_headers(opened, timestamp_ms)

    def _audio_headers(self, formats: Collection[AudioFormat], timestamp_ms: int) -> list[Tag]:
        return [
            Tag(TagKind.AUDIO, timestamp_ms, self._sound.header(audio), header=True, audio=audio)
            for audio in formats
        ]

    def _audio_tags(self, bodies: list[SoundBody]) -> list[Tag]:
        return [
            Tag(TagKind.AUDIO, timestamp, body, audio=audio)
            for audio, time_us, body in bodies
            # The encoder's priming frame, and sound from before the first picture, have no place.
            if (timestamp := self._milliseconds(time_us)) >= 0
        ]

    def _all_metadata(self) -> list[Tag]:
        """For each format wanted; a stream without sound has one for all sinks."""
        return list(map(self._metadata, self._sound.formats if self._has_sound else (None,)))

    def _metadata(self, audio: AudioFormat | None) -> Tag:
        sps = self._parameter_sets.sps
        values = flv.metadata(
            width=sps.width if sps else None,
            height=sps.height if sps else None,
            frame_rate=sps.frame_rate if sps else None,
            sample_rate=SAMPLE_RATE if audio else None,
            channels=CHANNELS,
            audio_codec=flv.AUDIO_CODEC_OPUS if audio == OPUS else flv.AUDIO_CODEC_AAC,
        )
        payload = amf0.encode("@setDataFrame", "onMetaData", amf0.EcmaArray(self._published | values))
        # Players of the FFmpeg family take metadata for a header at time 0 only, else for a stream of data.
        return Tag(TagKind.METADATA, 0, payload, header=True, audio=audio)

    @property
    def _latest_ms(self) -> int:
        return max(self._last_video_ms, self._milliseconds(self._latest_us))

    def _note_time(self, time_us: int) -> None:
        """The first time noted is the stream's zero."""
        if self._origin_us is None:
            self._origin_us = self._latest_us = time_us
        self._latest_us = max(self._latest_us, time_us)

    def _milliseconds(self, time_us: int) -> int:
        assert self._origin_us is not None
        # Rounded to nearest (and down at halves), also below zero.
        return (time_us - self._origin_us + 499) // 1000
