"""Sound that is made up for `bench.audio`: the same each time, and of kinds that codecs find hard."""

import math
from array import array
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeAlias

RATE = 48_000

Samples: TypeAlias = "array[float]"
Signal = tuple[Samples, Samples]
"""Left and right."""


def harmonics(phase: float, count: int, weight: Callable[[int], float]) -> float:
    """A tone of so many partials."""
    return sum(weight(number) * math.sin(number * phase) for number in range(1, count + 1))


def speech(size: int, chance: Random) -> Iterable[float]:
    """Vowels with a gliding pitch and formants, syllables, hisses between them, a little noise."""
    phase = low = 0.0
    for index in range(size):
        at = index / RATE
        pitch = 120 + 25 * math.sin(2 * math.pi * 0.7 * at) + 6 * math.sin(2 * math.pi * 5 * at)
        phase += 2 * math.pi * pitch / RATE
        first, second = 650 + 250 * math.sin(2 * math.pi * 1.3 * at), 2200.0
        syllable = max(0.0, math.sin(2 * math.pi * 3.1 * at)) ** 0.5
        voice = 0.0
        if syllable:
            voice = harmonics(
                phase,
                24,
                lambda number: (
                    (  # noqa: B023 - called at once
                        math.exp(-(((number * pitch - first) / 450) ** 2))  # noqa: B023
                        + 0.4 * math.exp(-(((number * pitch - second) / 550) ** 2))  # noqa: B023
                    )
                    / number
                ),
            )
        noise = chance.gauss(0, 1)
        low = 0.3 * low + 0.7 * noise
        hiss = 0.05 * (noise - low) if math.sin(2 * math.pi * 3.1 * at + 1.4) < -0.7 else 0.0
        yield 0.4 * syllable * voice + hiss + 0.0006 * noise


def chord(size: int, chance: Random, shift: float = 0.0) -> Iterable[float]:
    """Struck strings of a chord one after the other, and a drum."""
    notes = (220.0, 277.2, 329.6, 440.0, 554.4)
    for index in range(size):
        at = index / RATE
        sound = 0.0
        for number, note in enumerate(notes):
            since = (at + shift + 0.21 * number) % 0.9
            sound += 0.1 * math.exp(-4 * since) * harmonics(2 * math.pi * note * since, 8, lambda n: 1 / n)
        since = (at + shift) % 0.45
        yield sound + 0.2 * chance.gauss(0, 1) * math.exp(-60 * since)


def castanets(size: int, chance: Random, shift: float = 0.0) -> Iterable[float]:
    """Clicks out of near silence."""
    for index in range(size):
        since = (index / RATE + shift) % 0.13
        click = 0.6 * math.exp(-150 * since) * math.sin(2 * math.pi * 2500 * since)
        yield click * chance.gauss(1, 0.5) + 0.0005 * chance.gauss(0, 1)


def bursts(size: int, chance: Random, shift: float = 0.0) -> Iterable[float]:
    """White noise, on and off."""
    for index in range(size):
        yield 0.15 * chance.gauss(0, 1) * ((index / RATE + shift) % 0.3 < 0.2)


def sweep(size: int, chance: Random, shift: float = 0.0) -> Iterable[float]:
    """A sine from 50 Hz to 15 kHz."""
    phase = 0.0
    for index in range(size):
        phase += 2 * math.pi * 50 * 300 ** (index / size) / RATE
        yield 0.4 * math.sin(phase + shift)


def panned(left: float, right: float, sound: Samples) -> Signal:
    """One sound at one place."""
    return array("f", (left * one for one in sound)), array("f", (right * one for one in sound))


def mixed(*signals: Signal) -> Signal:
    """Several at once."""
    left, right = zip(*signals, strict=True)
    return tuple(array("f", map(sum, zip(*side, strict=True))) for side in (left, right))  # type: ignore[return-value]


def sources(seconds: float) -> dict[str, Signal]:
    """All of them, the same ones each time."""
    size = round(seconds * RATE)
    chance = Random(1)
    voice = array("f", speech(size, chance))
    strings, others = array("f", chord(size, chance)), array("f", chord(size, chance, 0.33))
    clicks, echoes = array("f", castanets(size, chance)), array("f", castanets(size, chance, 0.07))
    hum = array("f", (0.0003 * math.sin(2 * math.pi * 100 * n / RATE) for n in range(size)))
    noises = [array("f", bursts(size, chance, shift)) for shift in (0.0, 0.1)]
    return {
        "speech, a little left": mixed(panned(0.9, 0.7, voice), panned(0.05, 0.1, others)),
        "music": mixed(panned(0.9, 0.4, strings), panned(0.3, 0.8, others)),
        "castanets": mixed(panned(0.9, 0.3, clicks), panned(0.2, 0.9, echoes)),
        "noise": (noises[0], noises[1]),
        "sweep": (array("f", sweep(size, chance)), array("f", sweep(size, chance, 1.0))),
        "wide mix": mixed(
            panned(0.5, 0.5, voice),
            panned(0.6, 0.1, strings),
            panned(0.1, 0.6, others),
            panned(0.2, 0.3, clicks),
        ),
        "near silence": mixed(
            panned(1.0, 0.8, hum), (array("f", (0.0001 * x for x in noises[0])), array("f", bytes(4 * size)))
        ),
    }


def same_sources(seconds: float) -> dict[str, Signal]:
    """Sources of one channel, sent as two."""
    size = round(seconds * RATE)
    chance = Random(2)
    voice, strings = array("f", speech(size, chance)), array("f", chord(size, chance))
    return {"voice": (voice, voice), "strings": (strings, strings)}
