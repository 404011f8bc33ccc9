"""One channel for both, then both: compared with an encoder that has both from the beginning."""

import itertools
import math
from array import array
from operator import sub

import pytest
from tests.unit.media.sounds import (
    CLICKS,
    NOISE,
    RATE,
    TONE,
    Sound,
    decoded,
    frame_of,
    loudness,
    samples,
    tone,
)

from whipway.failures import DropReason, ParseError
from whipway.media import stereo_encoder
from whipway.media.aac_encoder import AacEncoder, AacFrame, strict
from whipway.media.stereo_encoder import StereoEncoder

BITRATE = 128_000
FRAME = 1024
PACKET = 960
OTHER = tone(700, 0.2)

Encoder = StereoEncoder | AacEncoder


def push(
    encoder: Encoder, left: Sound, right: Sound, start: int, stop: int, size: int = PACKET
) -> list[AacFrame]:
    frames: list[AacFrame] = []
    for at in range(start, stop, size):
        end = min(stop, at + size)
        frames += encoder.encode(frame_of(samples(left, at, end), samples(right, at, end)), at)
    return frames


def positions(frames: list[AacFrame]) -> list[int]:
    return [round(frame.time_us * RATE / 1_000_000) for frame in frames]


def assert_row(frames: list[AacFrame], stop: int) -> None:
    assert positions(frames) == [FRAME * number for number in range(math.ceil(stop / FRAME))]


def error(original: array, copy: array, start: int, stop: int) -> float:
    """The noise, root mean square; every other sample tells."""
    noise = array("f", map(sub, copy[start:stop:2], original[start:stop:2]))
    return loudness(noise, 0, len(noise))


def test_one_channel_stands_for_both():
    encoder = StereoEncoder(BITRATE)
    stop = 48 * PACKET
    frames = push(encoder, TONE, TONE, 0, stop) + encoder.flush()
    assert_row(frames, stop)
    left, right = decoded(frames, 2)
    assert left == right
    assert error(samples(TONE, 0, stop), left, 2048, stop) < 0.003
    assert encoder._both is None


def test_it_costs_what_one_channel_costs():
    both = AacEncoder(strict(BITRATE, 2))
    frames = push(StereoEncoder(BITRATE), NOISE, NOISE, 0, RATE)
    assert sum(len(frame.payload) for frame in frames) * 8 <= BITRATE * 1.05
    assert sum(len(frame.payload) for frame in push(both, NOISE, TONE, 0, RATE)) * 8 <= BITRATE * 1.5


@pytest.mark.parametrize("size", [120, 5760])
@pytest.mark.parametrize("sound", [TONE, CLICKS], ids=["tone", "clicks"])
def test_stereo_from_the_beginning_is_encoded_as_such(sound: Sound, size: int):
    encoder, both = StereoEncoder(BITRATE), AacEncoder(strict(BITRATE, 2))
    stop = 8 * 5760
    frames = push(encoder, sound, OTHER, 0, stop, size) + encoder.flush()
    assert frames == push(both, sound, OTHER, 0, stop, size) + both.flush()


@pytest.mark.parametrize("size", [120, 5760])
@pytest.mark.parametrize("seam", [5760, 23_040, 28_800])
@pytest.mark.parametrize("sound", [TONE, CLICKS, NOISE], ids=["tone", "clicks", "noise"])
def test_sound_that_becomes_stereo(sound: Sound, seam: int, size: int):
    encoder, both = StereoEncoder(BITRATE), AacEncoder(strict(BITRATE, 2))
    stop, joined = seam + 3 * 5760, seam
    frames = push(encoder, sound, sound, 0, seam, size)
    while encoder._single is not None:
        joined += size
        frames += push(encoder, sound, OTHER, joined - size, joined, size)
    frames += push(encoder, sound, OTHER, joined, stop, size) + encoder.flush()
    assert_row(frames, stop)
    # At once, or as soon as the two have windows that fit.
    assert joined - seam < 6 * FRAME
    reference = push(both, sound, sound, 0, seam, size) + push(both, sound, OTHER, seam, stop, size)
    reference += both.flush()
    originals = samples(sound, 0, stop), samples(sound, 0, seam) + samples(OTHER, seam, stop)
    for side, mine, other in zip(originals, decoded(frames, 2), decoded(reference, 2), strict=True):
        for at in range(2 * FRAME, stop - 2 * FRAME, FRAME):
            if side is originals[0] or not seam - 2 * FRAME < at < joined + FRAME:
                # No click: the noise of what sees the seam is what it would be without one.
                allowed = max(
                    error(side, other, at + offset, at + offset + FRAME) for offset in (-FRAME, 0, FRAME)
                )
                assert error(side, mine, at, at + FRAME) <= 2 * allowed + 0.003, at


def test_stereo_behind_a_rest():
    encoder = StereoEncoder(BITRATE)
    frames = push(encoder, TONE, TONE, 0, 9600) + encoder.silence(200_000, 9600)
    frames += push(encoder, TONE, OTHER, 209_600, 240_000) + encoder.flush()
    assert_row(frames, 240_000)
    left, right = decoded(frames, 2)
    assert loudness(left, 20_000, 208_000) == loudness(right, 20_000, 208_000) == 0
    assert loudness(left, 212_000, 238_000) == pytest.approx(0.4 / math.sqrt(2), abs=0.01)
    assert loudness(right, 212_000, 238_000) == pytest.approx(0.2 / math.sqrt(2), abs=0.01)


def test_silence_first_and_silence_later():
    encoder = StereoEncoder(BITRATE)
    frames = encoder.silence(500, 0) + push(encoder, NOISE, TONE, 500, 20_500)
    frames += encoder.silence(100_000, 20_500) + push(encoder, TONE, TONE, 120_500, 140_000) + encoder.flush()
    assert_row(frames, 140_000)


def test_while_the_two_disagree_the_first_is_heard(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(stereo_encoder, "_fits", lambda one, other: False)
        encoder, frames, position = seam_without_agreement()
        overlap = stereo_encoder.MAX_OVERLAP_FRAMES
        while encoder._single is not None:
            frames += push(encoder, TONE, OTHER, position, position + 120, 120)
            position += 120
    # In the end it has to go.
    assert position == pytest.approx(29_760 + overlap * FRAME, abs=FRAME)
    frames += push(encoder, TONE, OTHER, position, position + 9600) + encoder.flush()
    assert_row(frames, position + 9600)
    left, right = decoded(frames, 2)
    assert left[:40_000] == right[:40_000]
    assert loudness(right, position, position + 8000) == pytest.approx(0.2 / math.sqrt(2), abs=0.02)


def seam_without_agreement() -> tuple[StereoEncoder, list[AacFrame], int]:
    encoder = StereoEncoder(BITRATE)
    frames = push(encoder, TONE, TONE, 0, 29_760, 120) + push(encoder, TONE, OTHER, 29_760, 29_880, 120)
    assert encoder._single is not None and encoder._both is not None
    return encoder, frames, 29_880


def test_the_end_comes_while_there_are_two(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stereo_encoder, "_fits", lambda one, other: False)
    encoder, frames, position = seam_without_agreement()
    assert_row(frames + encoder.flush(), position)


def test_silence_while_there_are_two(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stereo_encoder, "_fits", lambda one, other: False)
    encoder, frames, position = seam_without_agreement()
    frames += encoder.silence(50_000, position) + push(encoder, OTHER, TONE, position + 50_000, 100_000)
    assert encoder._single is None
    assert_row(frames + encoder.flush(), 100_000)


# Samples that are no numbers.

NOTHING: Sound = lambda index: math.nan  # noqa: E731


def refuse(encoder: StereoEncoder, left: Sound, right: Sound, position: int) -> None:
    with pytest.raises(ParseError) as refused:
        push(encoder, left, right, position, position + 4 * FRAME, FRAME)
    assert refused.value.reason is DropReason.OPUS_MALFORMED


@pytest.mark.parametrize("left", [NOTHING, TONE], ids=["both", "right"])
@pytest.mark.parametrize("start", [TONE, OTHER], ids=["mono", "stereo"])
def test_samples_that_are_not_numbers(left: Sound, start: Sound):
    encoder = StereoEncoder(BITRATE)
    frames = push(encoder, TONE, start, 0, 20 * FRAME)
    with pytest.raises(ParseError):
        # One channel that is no number is borne with as little as two.
        push(encoder, left, NOTHING, 20 * FRAME, 60 * FRAME)
    frames += push(encoder, TONE, OTHER, 100 * FRAME, 120 * FRAME) + encoder.flush()
    row = positions(frames)
    assert all(before < after for before, after in itertools.pairwise(row))
    assert 115 * FRAME <= row[-1] < 120 * FRAME


def test_they_come_while_there_are_two(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(stereo_encoder, "_fits", lambda one, other: False)
        encoder, _, position = seam_without_agreement()
        refuse(encoder, NOTHING, NOTHING, position)
    assert encoder._single is None
    # The other one has heard them, too.
    refuse(encoder, TONE, OTHER, 90 * FRAME)
    frames = push(encoder, TONE, OTHER, 100 * FRAME, 110 * FRAME, FRAME) + encoder.flush()
    assert positions(frames) == [FRAME * number for number in range(100, 110)]
