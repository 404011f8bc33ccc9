"""Opus to AAC-LC, in FFmpeg by way of PyAV.

The decoder is FFmpeg's own `opus`: it takes mono and stereo, SILK and CELT packets in any order without
extradata, gives the encoder's sample format, so that nothing is resampled, and costs half of `libopus`. The
encoder, by far the dearer part, is in `aac_encoder`; `stereo_encoder` halves its price where sound is mono.
Everything runs in the caller; nothing here waits.

The AAC timeline is a row of samples whose positions are the times; `sound_row` says how it follows the given
ones. Digital silence, sent or put into holes, costs neither decoder nor encoder anything after a moment.

Lost packets are not concealed, which FFmpeg's decoder cannot do: a hole of more than 40 ms becomes silence, a
smaller one closes up and counts towards the next.
"""

from typing import Final, Protocol

import av

from whipway.failures import DropReason, ParseError
from whipway.media.aac import audio_specific_config
from whipway.media.aac_encoder import LAYOUTS, SAMPLE_BYTES, AacEncoder, AacFrame, strict
from whipway.media.opus import MAX_PACKET_SAMPLES, SAMPLE_RATE
from whipway.media.sound_row import SoundRow, to_samples
from whipway.media.stereo_encoder import StereoEncoder
from whipway.media.unit import AudioFrame

__all__ = ["AacFrame", "Transcoder"]

ZEROS: Final = bytes(MAX_PACKET_SAMPLES * SAMPLE_BYTES)
QUIET_PACKETS: Final = 5
"""So many equal packets decoded to nothing leave a decoder in a state that further ones do not change: what
fades in it has faded, and the levels it remembers are those of silence."""


class _Encoder(Protocol):
    def encode(self, sound: av.AudioFrame, position: int) -> list[AacFrame]: ...

    def silence(self, samples: int, position: int) -> list[AacFrame]: ...

    def flush(self) -> list[AacFrame]: ...


class Transcoder:
    """One stream's Opus packets to AAC frames."""

    def __init__(self, *, bitrate: int, channels: int = 2) -> None:
        """`bitrate` in bits a second; `channels` of the AAC, 1 or 2, whatever the Opus packets have."""
        self.config = audio_specific_config(SAMPLE_RATE, channels)
        """The AudioSpecificConfig of the frames."""
        self._encoder: _Encoder = StereoEncoder(bitrate) if channels == 2 else AacEncoder(strict(bitrate, 1))
        decoder = av.AudioCodecContext.create("opus", "r")
        decoder.sample_rate = SAMPLE_RATE
        decoder.layout = LAYOUTS[channels]
        self._decoder = decoder
        self._row = SoundRow()
        self._quiet = b""
        """The last packet, if it decoded to nothing, ..."""
        self._quiet_samples = 0
        self._quiet_count = 0
        """... and how many like it came in a row."""

    def transcode(self, frame: AudioFrame) -> list[AacFrame]:
        """The AAC frames that this packet completes; their times never decrease.

        ParseError(OPUS_MALFORMED) for a packet that is not Opus; the next one's time tells what is missing.
        """
        payload = frame.payload
        # An empty packet would tell FFmpeg that the stream is over.
        if not payload:
            raise ParseError(DropReason.OPUS_MALFORMED, "no TOC byte")
        given = to_samples(frame.time_us)
        if self._quiet_count >= QUIET_PACKETS and payload == self._quiet:
            return self._place(None, self._quiet_samples, given)
        try:
            decoded = self._decoder.decode(av.Packet(payload))
        except av.FFmpegError as error:
            self._quiet_count = 0
            raise ParseError(DropReason.OPUS_MALFORMED, str(error)) from None
        frames: list[AacFrame] = []
        for sound in decoded:
            quiet = _is_quiet(sound)
            self._note_quiet(payload, sound.samples if quiet else 0)
            frames += self._place(None if quiet else sound, sound.samples, given)
        return frames

    def fill(self, until_us: int, start_us: int) -> list[AacFrame]:
        """Silence from where the row ends up to `until_us`; a row without any sound yet begins at `start_us`.

        Packets that come later continue the row. More than 10 s are skipped, as between packets.
        ParseError(OPUS_MALFORMED) when samples from before, still inside, turn out to be no numbers.
        """
        return self._silence(self._row.missing_until(to_samples(until_us), to_samples(start_us)))

    def flush(self) -> list[AacFrame]:
        """The frames still in the encoder. The end: nothing may be transcoded afterwards."""
        return self._encoder.flush()

    def _note_quiet(self, payload: bytes, samples: int) -> None:
        """What a packet decoded to: so many zeros, or (0) sound."""
        if not samples:
            self._quiet_count = 0
            return
        self._quiet_count = self._quiet_count + 1 if payload == self._quiet else 1
        self._quiet, self._quiet_samples = payload, samples

    def _place(self, sound: av.AudioFrame | None, samples: int, given: int) -> list[AacFrame]:
        """Encode sound (None: silence) where the row wants it, behind silence for what is missing."""
        missing = self._row.admit(given)
        if missing is None:
            return []
        if sound is None:
            return self._silence(missing + samples)
        return self._silence(missing) + self._encoder.encode(sound, self._row.advance(samples))

    def _silence(self, samples: int) -> list[AacFrame]:
        return self._encoder.silence(samples, self._row.advance(samples)) if samples else []


def _is_quiet(sound: av.AudioFrame) -> bool:
    """Digital silence."""
    size = sound.samples * SAMPLE_BYTES
    return all(bytes(plane)[:size] == ZEROS[:size] for plane in sound.planes)
