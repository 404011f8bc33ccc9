"""How near a decoded sound is to the original, for `bench.audio`, whose docstring says what is measured."""

import cmath
import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from statistics import mean
from typing import NamedTuple

from bench.sounds import RATE, Samples

BLOCK = 2048
SKIPPED = 4 * BLOCK
"""Where a decoder begins is left out."""
FULL_SCALE_DB = 92.0
QUIET = 1e-9
"""Mean square of what is nothing: -90 dB."""


@lru_cache
def _twiddles(size: int) -> list[complex]:
    return [cmath.exp(-2j * math.pi * number / size) for number in range(size // 2)]


def fft(values: list[complex]) -> list[complex]:
    """The discrete Fourier transform of 2^n values."""
    size = len(values)
    if size == 1:
        return values
    even = fft(values[::2])
    odd = list(map(operator.mul, _twiddles(size), fft(values[1::2])))
    return [*map(operator.add, even, odd), *map(operator.sub, even, odd)]


def bark(frequency: float) -> float:
    """Zwicker's scale."""
    return 13 * math.atan(0.00076 * frequency) + 3.5 * math.atan((frequency / 7500) ** 2)


LOWEST, HIGHEST = round(80 * BLOCK / RATE), round(18_000 * BLOCK / RATE)
"""Lines of the spectrum that count."""
BANDS = int(bark(18_000)) + 1
BAND_OF = [int(bark(number * RATE / BLOCK)) for number in range(HIGHEST)]
WINDOW = [0.5 - 0.5 * math.cos(2 * math.pi * (number + 0.5) / BLOCK) for number in range(BLOCK)]
SPREAD = [
    [10 ** ((-10 * (to - of) if to > of else 27 * (to - of)) / 10) for of in range(BANDS)]
    for to in range(BANDS)
]
OFFSET = [10 ** (-(3.0 if band < 12 else 0.25 * band) / 10) for band in range(BANDS)]
FULL_SCALE = BLOCK * sum(value * value for value in WINDOW) / 4
"""Energy of a sine of full scale in half a spectrum."""


def _ear(number: int) -> float:
    """The factor for a line's energy, so that 1 is 0 dB SPL behind the middle ear."""
    kilohertz = number * RATE / BLOCK / 1000
    weight = -2.184 * kilohertz**-0.8 + 6.5 * math.exp(-0.6 * (kilohertz - 3.3) ** 2) - 0.001 * kilohertz**3.6
    return float(10 ** ((weight + FULL_SCALE_DB) / 10)) / FULL_SCALE


def _own_noise() -> list[float]:
    """The ear's, in each band."""
    noise = [0.0] * BANDS
    for number in range(LOWEST, HIGHEST):
        # By the middle of the band: it is a level for each band, whatever its width.
        noise[BAND_OF[number]] = 10 ** (0.1456 * (number * RATE / BLOCK / 1000) ** -0.8)
    return noise


EAR = [0.0] * LOWEST + [_ear(number) for number in range(LOWEST, HIGHEST)]
OWN_NOISE = _own_noise()


def noise_to_mask(original: Sequence[float], copy: Sequence[float]) -> list[float]:
    """The ratio in each band."""
    # One transform does for both: the spectra of real and imaginary part come apart again.
    spectrum = fft([w * complex(a, b) for w, a, b in zip(WINDOW, original, copy, strict=True)])
    signal, noise = [*OWN_NOISE], [0.0] * BANDS
    for number in range(LOWEST, HIGHEST):
        here, there = spectrum[number], spectrum[-number].conjugate()
        wanted, found = abs(here + there) / 2, abs(here - there) / 2
        signal[BAND_OF[number]] += EAR[number] * wanted * wanted
        noise[BAND_OF[number]] += EAR[number] * (wanted - found) ** 2
    return [
        noise[band] / (sum(map(operator.mul, SPREAD[band], signal)) * OFFSET[band]) for band in range(BANDS)
    ]


def segmental_snr(original: Sequence[float], noise: Sequence[float]) -> float | None:
    """Of one block; None where there is nothing to hear."""
    power: float = sum(map(operator.mul, original, original))
    if power < QUIET * BLOCK:
        return None
    return min(60.0, max(0.0, 10 * math.log10(power / (sum(map(operator.mul, noise, noise)) + 1e-20))))


class Quality(NamedTuple):
    """Of one source; dB, and a share."""

    snr: float | None
    nmr_mean: float
    nmr_p95: float
    audible: float


def compare(originals: Sequence[Samples], decoded: Sequence[Samples], hop: int) -> Quality:
    """How near the decoded sound is."""
    ratios: list[list[float]] = []
    snrs: list[float] = []
    for original, copy in zip(originals, decoded, strict=True):
        size = min(len(original), len(copy))
        for start in range(SKIPPED, size - BLOCK, hop):
            block = original[start : start + BLOCK]
            noise = list(map(operator.sub, copy[start : start + BLOCK], block))
            ratios.append(noise_to_mask(block, copy[start : start + BLOCK]))
            snr = segmental_snr(block, noise)
            snrs += [] if snr is None else [snr]
    worst = sorted(map(max, ratios))
    return Quality(
        mean(snrs) if snrs else None,
        decibel(mean(map(mean, ratios))),
        decibel(worst[int(0.95 * len(worst))]),
        sum(one > 10**0.15 for one in worst) / len(worst),
    )


def decibel(ratio: float) -> float:
    """Of energies."""
    return 10 * math.log10(ratio + 1e-12)
