"""Opus to AAC-LC, in FFmpeg by way of PyAV.

The decoder is FFmpeg's own `opus`: it takes mono and stereo, SILK and CELT packets in any order without
extradata, gives the encoder's sample format, so that nothing is resampled, and costs half of `libopus`. The
encoder is `aac` with its `fast` coder, which at 128 kbit/s is nearer to the original than `twoloop` and three
times as fast. PyAV cuts the sound into the encoder's frames of 1024 samples. Everything runs in the caller;
nothing here waits.

The AAC timeline is a row of samples whose positions are the times; `sound_row` says how it follows the given
ones. An encoder's packet names the samples that come out when it is decoded right behind its predecessor, so
the delay of the codec is in its times already; only the packet before the first sound, which primes decoders,
is left out.

Lost packets are not concealed, which FFmpeg's decoder cannot do: a hole of more than 40 ms becomes silence, a
smaller one closes up and counts towards the next.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av

from whipway.failures import DropReason, ParseError
from whipway.media.aac import audio_specific_config
from whipway.media.opus import SAMPLE_RATE
from whipway.media.sound_row import SoundRow, to_samples, to_us
from whipway.media.unit import AudioFrame

SAMPLE_FORMAT: Final = "fltp"
LAYOUTS: Final = {1: "mono", 2: "stereo"}

SILENCE_SAMPLES: Final = SAMPLE_RATE
"""Silence is fed in pieces of this size."""


@dataclass(frozen=True, slots=True)
class AacFrame:
    """One raw AAC frame of 1024 samples."""

    time_us: int
    """Time of its first sample on the media timeline."""
    payload: bytes


class AacEncoder:
    """Samples at positions to AAC frames; survives samples that are not numbers."""

    def __init__(self, bitrate: int, channels: int) -> None:
        self._bitrate = bitrate
        self._channels = channels
        self._open()

    def _open(self) -> None:
        encoder = av.AudioCodecContext.create("aac", "w")
        encoder.sample_rate = SAMPLE_RATE
        encoder.layout = LAYOUTS[self._channels]
        encoder.format = SAMPLE_FORMAT
        encoder.bit_rate = self._bitrate
        encoder.time_base = Fraction(1, SAMPLE_RATE)
        encoder.options = {"aac_coder": "fast"}
        encoder.open()
        config = audio_specific_config(SAMPLE_RATE, self._channels)
        # FFmpeg appends that there is no SBR, which the two bytes in front already mean.
        assert encoder.extradata is not None and encoder.extradata.startswith(config)
        self._encoder = encoder
        self._primed = False

    def encode(self, frame: av.AudioFrame | None, position: int = 0) -> list[AacFrame]:
        """Encodes samples whose first one stands at `position`; None: what is still inside comes out."""
        if frame is not None:
            frame.pts = position
            frame.time_base = Fraction(1, SAMPLE_RATE)
        try:
            packets = self._encoder.encode(frame)
        except av.FFmpegError as error:
            # The encoder refuses NaN and infinity, and has lost count of its frames when it does.
            self._open()
            raise ParseError(DropReason.OPUS_MALFORMED, str(error)) from None
        if packets and not self._primed:
            self._primed = True
            del packets[0]
        return [AacFrame(to_us(packet.pts or 0), bytes(packet)) for packet in packets]


class Transcoder:
    """One stream's Opus packets to AAC frames."""

    def __init__(self, *, bitrate: int, channels: int = 2) -> None:
        """`bitrate` in bits a second; `channels` of the AAC, 1 or 2, whatever the Opus packets have."""
        self.config = audio_specific_config(SAMPLE_RATE, channels)
        """The AudioSpecificConfig of the frames."""
        self._layout = LAYOUTS[channels]
        self._encoder = AacEncoder(bitrate, channels)
        decoder = av.AudioCodecContext.create("opus", "r")
        decoder.sample_rate = SAMPLE_RATE
        decoder.layout = self._layout
        self._decoder = decoder
        self._row = SoundRow()

    def transcode(self, frame: AudioFrame) -> list[AacFrame]:
        """The AAC frames that this packet completes; their times never decrease.

        ParseError(OPUS_MALFORMED) for a packet that is not Opus; the next one's time tells what is missing.
        """
        # An empty packet would tell FFmpeg that the stream is over.
        if not frame.payload:
            raise ParseError(DropReason.OPUS_MALFORMED, "no TOC byte")
        try:
            decoded = self._decoder.decode(av.Packet(frame.payload))
        except av.FFmpegError as error:
            raise ParseError(DropReason.OPUS_MALFORMED, str(error)) from None
        frames: list[AacFrame] = []
        for sound in decoded:
            frames += self._place(sound, to_samples(frame.time_us))
        return frames

    def fill(self, until_us: int, start_us: int) -> list[AacFrame]:
        """Silence from where the row ends up to `until_us`; a row without any sound yet begins at `start_us`.

        Packets that come later continue the row. More than 10 s are skipped, as between packets.
        ParseError(OPUS_MALFORMED) when samples from before, still inside, turn out to be no numbers.
        """
        return self._silence(self._row.missing_until(to_samples(until_us), to_samples(start_us)))

    def flush(self) -> list[AacFrame]:
        """The frames still in the encoder. The end: nothing may be transcoded afterwards."""
        return self._encoder.encode(None)

    def _place(self, sound: av.AudioFrame, given: int) -> list[AacFrame]:
        """Encodes the sound where the row wants it, behind silence for what is missing."""
        missing = self._row.admit(given)
        if missing is None:
            return []
        return self._silence(missing) + self._encode(sound)

    def _silence(self, samples: int) -> list[AacFrame]:
        """Encodes so many samples of silence."""
        frames: list[AacFrame] = []
        while samples > 0:
            size = min(samples, SILENCE_SAMPLES)
            silence = av.AudioFrame(format=SAMPLE_FORMAT, layout=self._layout, samples=size)
            silence.sample_rate = SAMPLE_RATE
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            frames += self._encode(silence)
            samples -= size
        return frames

    def _encode(self, sound: av.AudioFrame) -> list[AacFrame]:
        return self._encoder.encode(sound, self._row.advance(sound.samples))
