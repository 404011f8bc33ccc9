import itertools
import math
from array import array
from random import Random

import av
import pytest
from tests.unit.media.sounds import CLICKS, NOISE, RATE, TONE, Sound, decoded, frame_of, loudness, samples

from whipway.failures import DropReason, ParseError
from whipway.media.aac_encoder import (
    MARGIN,
    MAX_AIM,
    AacEncoder,
    AacFrame,
    Setting,
    make_frame,
    steady,
    strict,
)

FRAME = 1024
PACKET = 960
BITRATE = 128_000
STEREO, MONO, SINGLE = strict(BITRATE, 2), strict(64_000, 1), steady(BITRATE)
SETTINGS = pytest.mark.parametrize(
    "setting", [STEREO, MONO, SINGLE], ids=["stereo", "mono", "one channel for both"]
)


class Counting(AacEncoder):
    """Counts how often FFmpeg has something to do."""

    runs = 0

    def _run(self, sound: av.AudioFrame | None) -> list[AacFrame]:
        self.runs += 1
        return super()._run(sound)


def push(encoder: AacEncoder, sound: Sound, start: int, stop: int, size: int = PACKET) -> list[AacFrame]:
    """In pieces of this size; every channel has the same."""
    frames: list[AacFrame] = []
    for position in range(start, stop, size):
        row = samples(sound, position, min(stop, position + size))
        frames += encoder.encode(frame_of(*[row] * encoder._setting.channels), position)
    return frames


def hush(encoder: AacEncoder, start: int, stop: int, size: int = PACKET) -> list[AacFrame]:
    return [
        frame
        for position in range(start, stop, size)
        for frame in encoder.silence(min(size, stop - position), position)
    ]


def positions(frames: list[AacFrame]) -> list[int]:
    return [round(frame.time_us * RATE / 1_000_000) for frame in frames]


# Settings.


def bits_of(frames: list[AacFrame]) -> list[int]:
    return [8 * len(frame.payload) for frame in frames]


@SETTINGS
@pytest.mark.parametrize("sound", [TONE, CLICKS, NOISE], ids=["tone", "clicks", "noise"])
def test_no_frame_has_more_than_it_may(setting: Setting, sound: Sound):
    bits = bits_of(push(AacEncoder(setting), sound, 0, RATE // 2))
    most = MAX_AIM * MARGIN if setting.is_steered else 1
    # A few bits are for what the encoder does not count.
    assert max(bits) <= setting.bitrate * FRAME / RATE * most * 1.03 + 16
    assert max(bits) > 0.3 * setting.bitrate * FRAME / RATE


@pytest.mark.parametrize("setting", [STEREO, MONO], ids=["stereo", "mono"])
@pytest.mark.parametrize("sound", [CLICKS, NOISE], ids=["clicks", "noise"])
def test_the_average_is_what_is_asked_for(setting: Setting, sound: Sound):
    encoder = AacEncoder(setting)
    push(encoder, sound, 0, RATE // 2)
    bits = bits_of(push(encoder, sound, RATE // 2, 2 * RATE))
    assert sum(bits) / len(bits) * RATE / FRAME == pytest.approx(setting.bitrate, rel=0.1)


def test_silence_does_not_save_up_for_a_burst():
    encoder = AacEncoder(STEREO)
    before = bits_of(push(encoder, NOISE, 0, RATE))
    hush(encoder, RATE, 3 * RATE)
    after = bits_of(push(encoder, NOISE, 3 * RATE, 4 * RATE))
    assert max(after) <= 1.3 * max(before[-20:])


@pytest.mark.parametrize("bitrate", [16_000, 64_000, 320_000])
def test_every_bitrate_makes_sound(bitrate: int):
    for setting in (strict(bitrate, 2), strict(bitrate, 1), steady(bitrate)):
        encoder = AacEncoder(setting)
        frames = push(encoder, TONE, 0, RATE // 4) + encoder.flush()
        rows = decoded(frames, setting.channels)
        assert len(rows) == setting.channels
        assert all(loudness(row, 4000, 10_000) == pytest.approx(0.4 / math.sqrt(2), abs=0.02) for row in rows)


@pytest.mark.parametrize(
    ("setting", "cutoff"),
    [
        # FFmpeg's own table.
        (strict(128_000, 2), 16_000),
        (steady(128_000), 16_000),
        (strict(64_000, 2), 9_500),
        (strict(32_000, 2), 3_200),
        (strict(192_000, 2), 18_000),
        (strict(320_000, 2), 20_000),
    ],
)
def test_the_cutoff_follows_the_bitrate_of_a_channel(setting: Setting, cutoff: int):
    assert setting.options["cutoff"] == str(cutoff)


def test_one_channel_has_no_more_than_the_format_allows():
    assert (steady(320_000).bitrate, steady(128_000).bitrate) == (256_000, 128_000)


# Rest.


class Restless(AacEncoder):
    """Is fed every zero."""

    def silence(self, size: int, position: int) -> list[AacFrame]:
        if not size:
            return []
        zeros = make_frame(self._layout, size)
        for plane in zeros.planes:
            plane.update(bytes(plane.buffer_size))
        return self.encode(zeros, position)


@SETTINGS
@pytest.mark.parametrize("quiet", [0, 500, 8_192, 9_300, 2 * RATE])
def test_a_rest_changes_nothing(setting: Setting, quiet: int):
    """Byte for byte what an encoder makes that is fed all the time."""
    out: list[list[AacFrame]] = []
    for encoder in (AacEncoder(setting), Restless(setting)):
        first, then = 30 * PACKET, 30 * PACKET + quiet
        frames = push(encoder, CLICKS, 0, first)
        frames += hush(encoder, first, then)
        frames += push(encoder, CLICKS, then, then + 30 * PACKET)
        out.append(frames + encoder.flush())
    assert out[0] == out[1]
    assert positions(out[0]) == [FRAME * number for number in range(math.ceil((60 * PACKET + quiet) / FRAME))]


@pytest.mark.parametrize("size", [120, 960, 1024, 5760, 48_000])
def test_silence_comes_in_pieces_of_any_size(size: int):
    out: list[list[AacFrame]] = []
    for encoder in (AacEncoder(STEREO), Restless(STEREO)):
        frames = hush(encoder, 7, 7 + 40_000, size) + push(encoder, TONE, 40_007, 60_007)
        out.append(frames + encoder.flush())
    assert out[0] == out[1]


def test_several_rests():
    chance = Random(3)
    pieces = [(chance.random() < 0.5, chance.randrange(1, 15_000)) for _ in range(30)]
    out: list[list[AacFrame]] = []
    for encoder in (AacEncoder(SINGLE), Restless(SINGLE)):
        frames: list[AacFrame] = []
        position = 0
        for is_quiet, size in pieces:
            feed = hush(encoder, position, position + size)
            frames += feed if is_quiet else push(encoder, CLICKS, position, position + size)
            position += size
        out.append(frames + encoder.flush())
    assert out[0] == out[1]


@SETTINGS
def test_an_encoder_that_rests_has_nothing_to_do(setting: Setting):
    encoder = Counting(setting)
    hush(encoder, 0, RATE)
    runs = encoder.runs
    frames = hush(encoder, RATE, 11 * RATE)
    assert encoder.runs == runs <= 20
    assert len(frames) == pytest.approx(10 * RATE / FRAME, abs=1)
    assert len({frame.payload for frame in frames}) == 1
    assert not any(map(any, decoded(frames, setting.channels)))


def test_the_end_comes_during_a_rest():
    encoder = AacEncoder(STEREO)
    frames = push(encoder, TONE, 0, 9600) + hush(encoder, 9600, 50_000) + encoder.flush()
    assert positions(frames) == [FRAME * number for number in range(math.ceil(50_000 / FRAME))]


@pytest.mark.parametrize("quiet", [3_000, 30_500])
def test_silence_that_goes_on_elsewhere(quiet: int):
    """A new beginning on the timeline: what is inside keeps its place."""
    out: list[list[AacFrame]] = []
    for encoder in (AacEncoder(STEREO), Restless(STEREO)):
        frames = push(encoder, TONE, 0, 9600) + hush(encoder, 9600, 9600 + quiet)
        frames += hush(encoder, 1_000_000, 1_030_000) + push(encoder, TONE, 1_030_000, 1_050_000)
        out.append(frames + encoder.flush())
    assert out[0] == out[1]
    assert all(a < b for a, b in itertools.pairwise(positions(out[0])))


# Samples that are none.


@SETTINGS
def test_samples_that_are_not_numbers(setting: Setting):
    encoder = AacEncoder(setting)
    nothing = [array("f", [math.nan] * FRAME)] * setting.channels

    def feed(position: int) -> list[AacFrame]:
        return push(encoder, TONE, position, position + 4 * FRAME, FRAME)

    assert positions(feed(0)) == [0, FRAME]
    with pytest.raises(ParseError) as error:
        for number in range(4):
            encoder.encode(frame_of(*nothing), 4 * FRAME + FRAME * number)
    assert error.value.reason is DropReason.OPUS_MALFORMED
    assert encoder.fed == 0
    assert positions(feed(480_000)) == [480_000, 480_000 + FRAME]
