"""Samples to AAC-LC in FFmpeg's `aac`, by way of PyAV, which cuts them into the encoder's frames of 1024.

An encoder's packet names the samples that come out when it is decoded right behind its predecessor, so the
delay of the codec is in its times already; only the packet before the first sound, which primes decoders, is
left out. Silence costs nothing: once the encoder has nothing but zeros inside and repeats itself, it rests,
and each further 1024 zeros are the same frame again. When sound returns it goes on with what it knows, at the
very sample, as if it had been fed all the time.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

import av

from whipway.failures import DropReason, ParseError
from whipway.media.aac import SAMPLES_PER_FRAME, audio_specific_config
from whipway.media.opus import SAMPLE_RATE
from whipway.media.sound_row import to_us

SAMPLE_FORMAT: Final = "fltp"
LAYOUTS: Final = {1: av.AudioLayout("mono"), 2: av.AudioLayout("stereo")}
"""By number of channels."""
SAMPLE_BYTES: Final = 4
TIME_BASE: Final = Fraction(1, SAMPLE_RATE)

CHEAP: Final = {
    "aac_coder": "fast",
    # Heard nowhere, and a tenth of the price.
    "aac_tns": "0",
}
LAMBDA: Final = 120
"""FFmpeg's word for how fine it quantizes: with this one a frame gets its share of the bitrate."""
MARGIN: Final = 9 / 8
"""How much more than it aims at a frame may have. Only one that has still more is encoded again."""
FIRST_AIM: Final = 4 / 3
"""What frames aim at, in shares of the bitrate: many need less, so that all together come to the bitrate."""
MIN_AIM: Final = 1.0
MAX_AIM: Final = 2.0
STEERING: Final = 0.1
"""What a frame too large or too small changes of the aim of the next: it settles within some 20 frames."""
SILENT_BYTES: Final = 16
"""Frames of digital silence are no larger, and say nothing about sound."""
MAX_CUTOFF: Final = 20_000
"""Hz. Opus has nothing above."""
MAX_SINGLE_BITRATE: Final = 256_000
"""ISO/IEC 14496-3, 4.5.3.1 allows one channel 288 kbit/s at 48 kHz."""

REST_SAMPLES: Final = 8 * SAMPLES_PER_FRAME
"""So many zeros in a row until an encoder may rest. Three frames are inside of it, the others let its rate
control settle."""


class AacFrame(NamedTuple):
    """One raw AAC frame of 1024 samples."""

    time_us: int
    """Time of its first sample on the media timeline."""
    payload: bytes


class Setting(NamedTuple):
    """How an encoder is set. What is measured to be cheapest of what is transparent: see `bench/audio.py`."""

    bitrate: int
    channels: int
    options: Mapping[str, str]
    is_steered: bool
    """Whether the bitrate is an average, which frames are kept to by what those before have had."""


def strict(bitrate: int, channels: int) -> Setting:
    """So many bits a second on average, for any sound.

    FFmpeg's own ways to hold a bitrate encode most frames several times over, and after silence spend ten
    times as much as they should. Here it has a limit for each frame, and we have the average.
    """
    options = {
        "flags": "+bitexact",
        "bt": "0",
        "global_quality": str(round(LAMBDA / MARGIN)),
        "cutoff": str(_cutoff(bitrate // channels)),
    }
    return Setting(bitrate, channels, CHEAP | options, is_steered=True)


def steady(bitrate: int) -> Setting:
    """One channel for both, see `aac_pair`: each frame has a little less than its share, and is encoded once.

    All of the bitrate of two: a joint stereo encoder too would give it all to what they have in common.
    """
    options = {"flags": "+bitexact+qscale", "global_quality": str(LAMBDA), "aac_pns": "0"}
    cutoff = {"cutoff": str(_cutoff(bitrate // 2))}
    return Setting(min(bitrate, MAX_SINGLE_BITRATE), 1, CHEAP | options | cutoff, is_steered=False)


def _cutoff(bitrate: int) -> int:
    """The highest frequency in Hz at so many bits a second for a channel, as FFmpeg would choose it."""
    return min(
        max(bitrate // 5, bitrate * 15 // 32 - 5500), 3000 + bitrate // 4, 12_000 + bitrate // 16, MAX_CUTOFF
    )


class AacEncoder:
    """Samples at positions to AAC frames; survives samples that are not numbers."""

    def __init__(self, setting: Setting) -> None:
        self.fed = 0
        """Samples since it is open: its frames begin at multiples of 1024."""
        self._setting = setting
        self._layout = LAYOUTS[setting.channels]
        self._config = audio_specific_config(SAMPLE_RATE, setting.channels)
        self._zero_frames: dict[int, av.AudioFrame] = {}
        self._open()

    def _open(self) -> None:
        encoder = av.AudioCodecContext.create("aac", "w")
        encoder.sample_rate = SAMPLE_RATE
        encoder.layout = self._layout
        encoder.format = SAMPLE_FORMAT
        self._aim = FIRST_AIM
        encoder.bit_rate = self._frame_limit if self._setting.is_steered else self._setting.bitrate
        encoder.time_base = TIME_BASE
        encoder.options = dict(self._setting.options)
        encoder.open()
        # FFmpeg appends that there is no SBR, which the two bytes in front already mean.
        assert encoder.extradata is not None and encoder.extradata.startswith(self._config)
        self._encoder = encoder
        self._primed = False
        self.fed = 0
        self._zeros = 0  # in a row, the last ones
        self._rests = False
        self._owed = 0  # zeros that it was not fed yet while it rests; less than a frame
        self._skipped = 0  # samples that it was not fed, and that its times therefore lack
        self._end = 0  # the position behind what was fed or skipped
        self._next = 0  # the position of the frame that comes next
        self._last = b""

    def encode(self, sound: av.AudioFrame, position: int) -> list[AacFrame]:
        """Encode samples whose first one stands at `position`.

        ParseError(OPUS_MALFORMED) for samples that are no numbers; also for some from before.
        """
        frames = self._pay()
        self._zeros = 0
        return frames + self._feed(sound, position)

    def silence(self, samples: int, position: int) -> list[AacFrame]:
        """Encode zeros that stand at `position`, or rest. Raises as `encode` does."""
        frames: list[AacFrame] = []
        if position != self._end:
            frames += self._pay()
            self._zeros = 0
        while samples and not self._rests:
            size = min(samples, SAMPLES_PER_FRAME - self.fed % SAMPLES_PER_FRAME)
            frames += self._feed(self._zero_frame(size), position)
            position += size
            samples -= size
            self._zeros += size
            # Between two frames: so what is owed comes out in step with what is fed.
            self._rests = self._zeros >= REST_SAMPLES and not self.fed % SAMPLES_PER_FRAME
        self._owed += samples
        self.fed += samples
        self._end = position + samples
        while self._owed >= SAMPLES_PER_FRAME:
            self._owed -= SAMPLES_PER_FRAME
            self._skipped += SAMPLES_PER_FRAME
            frames.append(AacFrame(to_us(self._next), self._last))
            self._next += SAMPLES_PER_FRAME
        return frames

    def flush(self) -> list[AacFrame]:
        """The frames still inside. The end: nothing may be encoded afterwards."""
        return self._pay() + self._run(None)

    def _pay(self) -> list[AacFrame]:
        """End a rest: feed the zeros that are owed, so that the encoder is where it would be without."""
        self._rests = False
        owed, self._owed = self._owed, 0
        if not owed:
            return []
        self.fed -= owed
        return self._feed(self._zero_frame(owed), self._end - owed)

    def _feed(self, sound: av.AudioFrame, position: int) -> list[AacFrame]:
        self.fed += sound.samples
        self._end = position + sound.samples
        sound.pts = position - self._skipped
        sound.time_base = TIME_BASE
        return self._run(sound)

    def _run(self, sound: av.AudioFrame | None) -> list[AacFrame]:
        try:
            packets = self._encoder.encode(sound)
        except av.FFmpegError as error:
            # The encoder refuses NaN and infinity, and has lost count of its frames when it does.
            self._open()
            raise ParseError(DropReason.OPUS_MALFORMED, str(error)) from None
        frames: list[AacFrame] = []
        for packet in packets:
            if self._primed:
                self._last = bytes(packet)
                self._next = (packet.pts or 0) + self._skipped
                frames.append(AacFrame(to_us(self._next), self._last))
                self._next += SAMPLES_PER_FRAME
                self._steer(len(self._last))
            self._primed = True
        return frames

    def _steer(self, size: int) -> None:
        if not self._setting.is_steered or size <= SILENT_BYTES:
            return
        share = size * 8 * SAMPLE_RATE / (self._setting.bitrate * SAMPLES_PER_FRAME)
        self._aim = min(MAX_AIM, max(MIN_AIM, self._aim + STEERING * (1 - share)))
        # It is read again for every frame.
        self._encoder.bit_rate = self._frame_limit

    @property
    def _frame_limit(self) -> int:
        """The most that a frame may have, in bits a second."""
        return int(self._setting.bitrate * self._aim * MARGIN)

    def _zero_frame(self, samples: int) -> av.AudioFrame:
        frame = self._zero_frames.get(samples)
        if frame is None:
            frame = make_frame(self._layout, samples)
            if samples == SAMPLES_PER_FRAME:
                self._zero_frames[samples] = frame
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
        return frame


def make_frame(layout: av.AudioLayout, samples: int) -> av.AudioFrame:
    """Room for so many samples of each channel, with anything in it."""
    frame = av.AudioFrame(format=SAMPLE_FORMAT, layout=layout, samples=samples)
    frame.sample_rate = SAMPLE_RATE
    return frame
