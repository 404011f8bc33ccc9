"""Media units of one session to FLV tags, on RTMP's millisecond clock.

The stream begins with its first IDR picture, because onMetaData has to name width and height; what was heard
before is left out. A session with video whose camera stays dark starts with its audio after `VIDEO_WAIT_US`.
Audio that was negotiated but stays away becomes silence, `AUDIO_WAIT_US` behind the picture: players wait for
a track that the headers announce. A session without audio has none announced, or silence if that is wished.
Sound comes in every format that a sink wants (`relay.sound`), pictures in one.
Units whose bytes turn out to be wrong are dropped and counted. Where pictures stay away, `freeze` repeats the
last key frame for sinks that want such filler.
Sequence headers go out once, and again only when their bytes change: a header repeated without a change makes
segmenters downstream begin a new discontinuity. `headers` is for a sink that comes later.

A video tag has the picture's decoding time, and in its body how much later it is shown (FLV, E.4.3.1); the
two are the same unless there are B-frames. The stream's zero is the first decoding time, so that none is
negative; sound stays with the pictures it is heard with, as both are counted from there.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.opus import SAMPLE_RATE
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtmp import amf0
from whipway.relay.pictures import Pictures
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
        self._has_video = has_video
        self._has_sound = has_audio or (has_video and silent_audio)
        self._silence_behind_us = AUDIO_WAIT_US if has_audio else 0
        """How far silence stays behind the pictures."""
        self._sound = Sound(make_transcoder, self.drops)
        self._pictures = Pictures(self.drops, parameter_sets)
        self._published: dict[str, Any] = {}
        """The publisher's own metadata."""
        self._origin_us: int | None = None
        self._latest_us = 0
        """The latest time of any unit since the stream began."""
        self._first_audio_us: int | None = None
        self._quiet_since_us: int | None = None
        """Time of the first picture since the last audio; None when there was none yet."""
        self._last_video_ms = -1
        self._last_shown_ms = -1
        """When the last picture so far is shown; with B-frames that may be long after it is decoded."""
        self._keyframe: Tag | None = None
        """The last one, as long as the header that went out last is its own."""
        self._keyframe_offset_ms = 0
        """How much later than decoded it is shown: that stands in its body."""

    @property
    def needs_keyframe(self) -> bool:
        """No picture goes out before the next key frame: the moment to ask for one."""
        return self._pictures.needs_keyframe

    @property
    def transcodes(self) -> bool:
        """Whether sound that is pushed now goes through an encoder, which takes its time."""
        return self._sound.transcodes

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the picture, once known."""
        sps = self._pictures.sps
        return (sps.width, sps.height) if sps else None

    @property
    def reordered(self) -> bool:
        """True while pictures come in another order than they are shown in: there are B-frames."""
        return self._pictures.reordered

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
        if (header := self._pictures.header) is not None:
            tags.append(Tag(TagKind.VIDEO, timestamp, header, header=True))
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
            return []

    def flush(self) -> list[Tag]:
        """The audio still inside the encoder, at the end of the session."""
        return self._audio_tags(self._sound.flush())

    def freeze(self, time_us: int) -> list[Tag]:
        """For pictures that stay away: the last key frame once more, at this time on the media timeline.

        It is marked as filler; the silence under it, if there is no sound either, is for all sinks. The next
        picture has to be a key frame, as what it refers to is not the last one shown any more. Empty where
        there is none to repeat: before the first, and behind a new header without a key frame.
        """
        if self._keyframe is None:
            return []
        # Of two IDR pictures in a row, idr_pic_id should differ (ITU-T H.264, 7.4.3): it parts them where
        # nothing else does. In FLV each has a tag of its own, and decoders do not look at it.
        self._pictures.pause()
        self._end_source()
        decode_us = time_us - 1000 * self._keyframe_offset_ms
        timestamp = self._next_ms(decode_us)
        self._last_shown_ms = timestamp + self._keyframe_offset_ms
        self._end_source()
        return [*self._fill(decode_us), self._keyframe._replace(timestamp_ms=timestamp, filler=True)]

    def _push_video(self, unit: AccessUnit) -> list[Tag]:
        if unit.is_cut:
            self._end_source()
        decode_us, shown_us, header = self._pictures.place(unit)
        timestamp = self._next_ms(decode_us)
        tags = self._fill(decode_us)
        if header is not None:
            tags += [*self._start(timestamp), Tag(TagKind.VIDEO, timestamp, header, header=True)]
        # A picture that comes too late for its time is shown at once: never before it is decoded.
        offset_ms = max(0, self._milliseconds(shown_us) - timestamp)
        self._last_shown_ms = max(self._last_shown_ms, timestamp + offset_ms)
        body = flv.avc_frame(unit.nals, unit.keyframe, offset_ms)
        tag = Tag(TagKind.VIDEO, timestamp, body, keyframe=unit.keyframe)
        if unit.keyframe or header is not None:
            self._keyframe = tag if unit.keyframe else None
            self._keyframe_offset_ms = offset_ms
        return [*tags, tag]

    def _end_source(self) -> None:
        """What comes next begins anew: it is decoded behind all that is shown before it."""
        self._last_video_ms = self._last_shown_ms

    def _next_ms(self, decode_us: int) -> int:
        """The timestamp of the next picture."""
        self._note_time(decode_us)
        # Behind sound, the first pictures may be due before zero. None may share a millisecond, RTMP's grain.
        self._last_video_ms = max(self._milliseconds(decode_us), self._last_video_ms + 1)
        return self._last_video_ms

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
        sps = self._pictures.sps
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
