"""Stereo AAC at the price of mono for as long as both channels are the same.

One channel is encoded then, and written as a pair without a side (`aac_pair`), so that players notice nothing
and the stream's AudioSpecificConfig is stereo from beginning to end: an AAC configuration that changes in the
middle is something that many receivers cannot bear. The first sound that is really stereo brings an encoder
for both channels. It is fed what the other one heard last, and takes over at the first frame where the two
agree on their windows, so that decoders can join its frames to those before. There is no way back: a source
that was stereo once will be again.
"""

from collections import deque
from typing import Final, NamedTuple

import av

from whipway.failures import ParseError
from whipway.media.aac import SAMPLES_PER_FRAME
from whipway.media.aac_encoder import LAYOUTS, SAMPLE_BYTES, AacEncoder, AacFrame, make_frame, steady, strict
from whipway.media.aac_pair import pair, window
from whipway.media.same_channels import SameChannels

HISTORY_SAMPLES: Final = 4 * SAMPLES_PER_FRAME
"""What a second encoder hears before it may take over, so that its windows have a past. 32 KiB."""
MAX_OVERLAP_FRAMES: Final = 16
"""For so many frames the two may disagree; then a click is better than the cost of both."""


class Piece(NamedTuple):
    """Some samples that were encoded."""

    position: int
    samples: int
    sound: av.AudioFrame | None
    """None: silence."""

    def feed(self, encoder: AacEncoder, sound: av.AudioFrame | None) -> list[AacFrame]:
        """Have an encoder encode it, with this sound (of as many channels as the encoder has)."""
        if sound is None:
            return encoder.silence(self.samples, self.position)
        return encoder.encode(sound, self.position)


class StereoEncoder:
    """Used as an `AacEncoder` of two channels is."""

    def __init__(self, bitrate: int) -> None:
        self._bitrate = bitrate
        self._same = SameChannels()
        self._single: AacEncoder | None = AacEncoder(steady(bitrate))
        """Of the left channel for both; None once there is need of two."""
        self._both: AacEncoder | None = None
        self._overlap = 0
        """Frames since there are both encoders."""
        self._history: deque[Piece] = deque()
        """What the first one heard last."""
        self._history_samples = 0
        self._last: AacFrame | None = None
        """The frame that came from the first one last."""
        self._left: av.AudioFrame | None = None
        """Room for the left channel, used again and again."""

    def encode(self, sound: av.AudioFrame, position: int) -> list[AacFrame]:
        """Encode samples of two channels whose first one stands at `position`.

        ParseError(OPUS_MALFORMED) for samples that are no numbers; also for some from before.
        """
        return self._take(Piece(position, sound.samples, sound))

    def silence(self, samples: int, position: int) -> list[AacFrame]:
        """Encode zeros that stand at `position`. Raises as `encode` does."""
        return self._take(Piece(position, samples, None))

    def flush(self) -> list[AacFrame]:
        """The frames still inside. The end: nothing may be encoded afterwards."""
        if self._single is not None:
            return _paired(self._single.flush())
        assert self._both is not None  # One of them is always there.
        return self._both.flush()

    def _take(self, piece: Piece) -> list[AacFrame]:
        try:
            left = None
            if self._single is not None and piece.sound is not None:
                left = self._left_of(piece.sound)
            if self._single is None:
                assert self._both is not None  # One of them is always there.
                return piece.feed(self._both, piece.sound)
            frames = piece.feed(self._single, left)
            if self._both is not None:
                return self._join(frames, piece.feed(self._both, piece.sound))
        except ParseError:
            self._give_up()
            raise
        self._remember(piece, frames)
        return _paired(frames)

    def _left_of(self, sound: av.AudioFrame) -> av.AudioFrame:
        """The left channel, as it is to stand for both. If it may not, the second encoder begins."""
        size = sound.samples * SAMPLE_BYTES
        # Rows may be longer than what is in them.
        left, right = (bytes(plane)[:size] for plane in sound.planes)
        if self._both is None and not self._same.takes(left, right):
            self._begin_both()
        if self._left is None or self._left.samples != sound.samples:
            self._left = make_frame(LAYOUTS[1], sound.samples)
        self._left.planes[0].update(left)
        return self._left

    def _remember(self, piece: Piece, frames: list[AacFrame]) -> None:
        if frames:
            self._last = frames[-1]
        self._history.append(piece)
        self._history_samples += piece.samples
        # A frame more: the second encoder begins where a frame of the first one does.
        while self._history_samples - self._history[0].samples >= HISTORY_SAMPLES + SAMPLES_PER_FRAME:
            self._history_samples -= self._history.popleft().samples

    def _begin_both(self) -> None:
        """Make the second encoder and have it hear what the first one heard."""
        assert self._single is not None  # Else nothing is compared any more.
        self._both = AacEncoder(strict(self._bitrate, 2))
        skip = -(self._single.fed - self._history_samples) % SAMPLES_PER_FRAME
        frames: list[AacFrame] = []
        for piece in self._history:
            rest = _without(piece, skip)
            skip -= piece.samples - rest.samples
            if rest.samples:
                frames += rest.feed(self._both, rest.sound)
        self._history.clear()
        if self._last is None or (frames and _fits(self._last, frames[-1])):
            self._single = None

    def _join(self, first: list[AacFrame], second: list[AacFrame]) -> list[AacFrame]:
        """The frames of the first encoder up to one that the second one's can follow, then those."""
        frames: list[AacFrame] = []
        # They come in step, because both were fed the same, from the beginning of a frame on.
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            frames += _paired([one])
            self._overlap += 1
            if _fits(one, other) or self._overlap >= MAX_OVERLAP_FRAMES:
                self._single = None
                return frames + second[index + 1 :]
        return frames

    def _give_up(self) -> None:
        """An encoder has lost count: there is nothing to be joined any more."""
        if self._both is not None:
            self._single = None
        self._history.clear()
        self._history_samples = 0
        self._last = None


def _fits(one: AacFrame, other: AacFrame) -> bool:
    """Whether what follows the one may follow the other."""
    return one.time_us == other.time_us and window(one.payload) == window(other.payload)


def _paired(frames: list[AacFrame]) -> list[AacFrame]:
    return [AacFrame(frame.time_us, pair(frame.payload)) for frame in frames]


def _without(piece: Piece, samples: int) -> Piece:
    """The same without its first samples."""
    samples = min(samples, piece.samples)
    left = piece.samples - samples
    sound = piece.sound
    if sound is not None and samples and left:
        cut = make_frame(LAYOUTS[2], left)
        for plane, source in zip(cut.planes, sound.planes, strict=True):
            plane.update(bytes(source)[samples * SAMPLE_BYTES : piece.samples * SAMPLE_BYTES])
        sound = cut
    return Piece(piece.position + samples, left, sound)
