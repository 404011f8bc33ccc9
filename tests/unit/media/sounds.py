"""Sound for the tests of the encoders: samples by their number, frames of them, and AAC decoded again."""

import math
from array import array
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from operator import mul
from random import Random

import av

from whipway.media.aac import audio_specific_config
from whipway.media.aac_encoder import AacFrame

RATE = 48_000

Sound = Callable[[int], float]
"""A sample by its number."""
SECONDS = 2


def tone(frequency: float, level: float = 0.4) -> Sound:
    return lambda index: level * math.sin(2 * math.pi * frequency * index / RATE)


def clicks(period: int = 9_000, level: float = 0.6) -> Sound:
    """Short tones out of noise: what encoders have short windows for."""
    chance = Random(1)
    noise = [chance.gauss(0, 0.001) for _ in range(RATE)]
    wave = tone(2500, level)
    return lambda index: noise[index % RATE] + math.exp(-(index % period) / 300) * wave(index)


@cache
def recorded(sound: Sound) -> array:
    return array("f", map(sound, range(SECONDS * RATE)))


def samples(sound: Sound, start: int, stop: int) -> array:
    """Of a sound that is played in a loop."""
    record = recorded(sound)
    first = start % len(record)
    piece = record[first : first + stop - start]
    while len(piece) < stop - start:
        piece += record[: stop - start - len(piece)]
    return piece


TONE = tone(440)
CLICKS = clicks()


_CHANCE = Random(2)
NOISE: Sound = [_CHANCE.uniform(-0.5, 0.5) for _ in range(SECONDS * RATE)].__getitem__


def frame_of(*planes: array) -> av.AudioFrame:
    """Planar samples, one row for each channel."""
    frame = av.AudioFrame(
        format="fltp", layout="stereo" if len(planes) == 2 else "mono", samples=len(planes[0])
    )
    frame.sample_rate = RATE
    frame.time_base = Fraction(1, RATE)
    for plane, row in zip(frame.planes, planes, strict=True):
        plane.update(row.tobytes())
    return frame


def decoded(frames: Iterable[AacFrame], channels: int) -> list[array]:
    """Each channel's samples."""
    decoder = av.AudioCodecContext.create("aac", "r")
    decoder.sample_rate = RATE
    decoder.layout = "stereo" if channels == 2 else "mono"
    decoder.extradata = audio_specific_config(RATE, channels)
    out = [array("f") for _ in range(channels)]
    for frame in frames:
        for sound in decoder.decode(av.Packet(frame.payload)):
            for channel, plane in zip(out, sound.planes, strict=True):
                channel.frombytes(bytes(plane)[: sound.samples * 4])
    return out


def loudness(row: array, start: int, stop: int) -> float:
    """Root mean square."""
    piece = row[start:stop]
    return math.sqrt(sum(map(mul, piece, piece)) / (stop - start))
