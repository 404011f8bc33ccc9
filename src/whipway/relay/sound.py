"""The sound of one session in every format that some sink wants.

Sinks with equal formats share one encoding: one transcoder for each bitrate of AAC, and Opus as it came. What
nobody wants any more is let go with whatever is still inside; who wants it again gets a new one, which begins
with the next packet. Every encoding keeps a row of its own without gaps (`media.sound_row`), so that all of
them are heard at the same times.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, Protocol

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.opus import FILLER_SAMPLES, SILENCE, concealment_packet, opus_head, packet_duration
from whipway.media.sound_row import SoundRow, to_samples, to_us
from whipway.media.transcoder import AacFrame
from whipway.media.unit import AudioFrame
from whipway.relay.tags import AudioCodec, AudioFormat

CHANNELS: Final = 2
"""Opus in RTP is always announced as stereo (RFC 7587, section 4.1); its packets may be either."""

MAX_CONCEALED_PACKETS: Final = 20
"""In a row: the 400 ms between the packets of discontinuous transmission. What decoders make up for longer is
noise."""


class AudioTranscoder(Protocol):
    """What is needed of `media.transcoder.Transcoder`."""

    @property
    def config(self) -> bytes: ...

    def transcode(self, frame: AudioFrame) -> list[AacFrame]: ...

    def fill(self, until_us: int, start_us: int) -> list[AacFrame]: ...

    def flush(self) -> list[AacFrame]: ...


class SoundBody(NamedTuple):
    """The body of one FLV audio tag, and where it goes."""

    audio: AudioFormat
    time_us: int
    """On the media timeline; before the start of the stream, too."""
    body: bytes


class Encoding(Protocol):
    """Sound in one format: times and FLV bodies. ParseError for what cannot be encoded; the next one can."""

    header: bytes
    """The FLV body of the sequence header."""

    def push(self, frame: AudioFrame, samples: int) -> list[tuple[int, bytes]]: ...

    def fill(self, until_us: int) -> list[tuple[int, bytes]]: ...

    def flush(self) -> list[tuple[int, bytes]]: ...


class AacEncoding:
    """Through a transcoder. Silence for a row without any sound yet begins at `start_us`."""

    def __init__(self, transcoder: AudioTranscoder, start_us: int) -> None:
        self.header = flv.aac_sequence_header(transcoder.config)
        self._transcoder = transcoder
        self._start_us = start_us

    def push(self, frame: AudioFrame, samples: int) -> list[tuple[int, bytes]]:
        return _bodies(self._transcoder.transcode(frame))

    def fill(self, until_us: int) -> list[tuple[int, bytes]]:
        return _bodies(self._transcoder.fill(until_us, self._start_us))

    def flush(self) -> list[tuple[int, bytes]]:
        return _bodies(self._transcoder.flush())


class OpusEncoding:
    """Packets as they came, one behind the other; packets that ask for concealment where some are missing.

    Decoders make more of the loss of one packet than silence would be: a hole counts from half a packet on.
    """

    def __init__(self, start_us: int) -> None:
        self.header = flv.opus_sequence_header(opus_head(CHANNELS))
        self._start = to_samples(start_us)
        self._row = SoundRow(hole_samples=FILLER_SAMPLES // 2)
        self._previous = SILENCE

    def push(self, frame: AudioFrame, samples: int) -> list[tuple[int, bytes]]:
        missing = self._row.admit(to_samples(frame.time_us))
        if missing is None:
            return []
        # To the nearest packet: what is left over counts towards the next hole.
        count = (missing + FILLER_SAMPLES // 2) // FILLER_SAMPLES
        concealed = min(count, MAX_CONCEALED_PACKETS)
        bodies = self._append(concealment_packet(self._previous), FILLER_SAMPLES, concealed)
        bodies += self._append(SILENCE, FILLER_SAMPLES, count - concealed)
        return bodies + self._append(frame.payload, samples)

    def fill(self, until_us: int) -> list[tuple[int, bytes]]:
        missing = self._row.missing_until(to_samples(until_us), self._start)
        return self._append(SILENCE, FILLER_SAMPLES, missing // FILLER_SAMPLES)

    def flush(self) -> list[tuple[int, bytes]]:
        return []

    def _append(self, packet: bytes, samples: int, count: int = 1) -> list[tuple[int, bytes]]:
        if count:
            self._previous = packet
        body = flv.opus_frame(packet)
        return [(to_us(self._row.advance(samples)), body) for _ in range(count)]


class Sound:
    """The encodings there are. `drops` counts packets that one of them could not take."""

    def __init__(self, make_transcoder: Callable[[int], AudioTranscoder], drops: Counter[DropReason]) -> None:
        """`make_transcoder` gets a bitrate in bits a second."""
        self.formats: tuple[AudioFormat, ...] = ()
        """Those wanted, each once."""
        self.transcodes = False
        """Whether any encoding is AAC."""
        self._make_transcoder = make_transcoder
        self._drops = drops
        self._encodings: dict[AudioFormat, Encoding] = {}

    def set_formats(self, formats: Collection[AudioFormat]) -> None:
        """The formats wanted from now on: others are let go. The new ones begin with `open`."""
        self.formats = tuple(sorted(set(formats)))
        for audio in self._encodings.keys() - set(formats):
            del self._encodings[audio]
        self._note_encodings()

    def open(self, start_us: int) -> list[AudioFormat]:
        """Make the encodings that are wanted and not there yet; their silence begins at `start_us`."""
        opened = [audio for audio in self.formats if audio not in self._encodings]
        for audio in opened:
            self._encodings[audio] = self._make_encoding(audio, start_us)
        self._note_encodings()
        return opened

    def header(self, audio: AudioFormat) -> bytes:
        """The FLV body of an open encoding's sequence header."""
        return self._encodings[audio].header

    def push(self, frame: AudioFrame) -> list[SoundBody]:
        """One packet in every format. ParseError(OPUS_MALFORMED) if it is not Opus."""
        samples = packet_duration(frame.payload)
        return self._collect(lambda encoding: encoding.push(frame, samples))

    def fill(self, until_us: int) -> list[SoundBody]:
        """Silence in every format, from where its row ends."""
        return self._collect(lambda encoding: encoding.fill(until_us))

    def flush(self) -> list[SoundBody]:
        """What the encoders still hold, at the end of the session."""
        return self._collect(lambda encoding: encoding.flush())

    def _note_encodings(self) -> None:
        self.transcodes = any(audio.codec is AudioCodec.AAC for audio in self._encodings)

    def _make_encoding(self, audio: AudioFormat, start_us: int) -> Encoding:
        if audio.codec is AudioCodec.OPUS:
            return OpusEncoding(start_us)
        return AacEncoding(self._make_transcoder(audio.bitrate), start_us)

    def _collect(self, run: Callable[[Encoding], list[tuple[int, bytes]]]) -> list[SoundBody]:
        bodies: list[SoundBody] = []
        failure: ParseError | None = None
        for audio, encoding in self._encodings.items():
            try:
                bodies += [SoundBody(audio, time_us, body) for time_us, body in run(encoding)]
            except ParseError as error:
                failure = error
        if failure is not None:  # It was one packet, however many could not take it.
            self._drops[failure.reason] += 1
        return bodies


def _bodies(frames: list[AacFrame]) -> list[tuple[int, bytes]]:
    return [(frame.time_us, flv.aac_frame(frame.payload)) for frame in frames]
