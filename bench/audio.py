"""What settings of FFmpeg's AAC encoder cost, and how near to the original they are: `python -m bench.audio`.

Sound is made up (speech, music, castanets, noise, a sweep, a wide mix, near silence), goes through Opus at
90 kbit/s as in reality, is decoded, and from there on is the original. Each setting encodes the same frames,
all of them in turn and several times over, so that whatever else the machine does falls on all alike. Printed
are CPU microseconds for 20 ms of sound (least and median of the rounds), the bitrate that came out, and two
measures of what the AAC decodes to:

SNR: segmental, the mean over blocks of 2048 samples of signal to noise, each kept within 0 and 60 dB. The
higher the better, but deaf: noise where it is masked counts as much as any other.

NMR: noise to mask ratio, made like PEAQ's (ITU-R BS.1387-1, 2.1 and 4.6): spectra of 2048 samples (Hann, half
overlapping), weighted as outer and middle ear do (full scale at 92 dB SPL), 80 Hz to 18 kHz; the noise is the
difference of the magnitudes, so that a filter's phase is none; both are added up to Bark bands, the original
and the ear's own noise spread by 27 dB a Bark downwards and 10 dB upwards (PEAQ's upward slope depends on
level), less 3 dB up to 12 Bark and a quarter of the band's number above. It leaves out the ear's smearing in
time and PEAQ's neural network, so that figures compare settings with each other and not with PEAQ's grades.
"mean" is of all bands and blocks, "p95" the 95th percentile of each block's worst band, "audible" the share
of blocks with a band over +1.5 dB (PEAQ's limit for a disturbed frame); each is measured for each source and
the table has the mean of these. Below 0 dB noise is under the mask.

The last rows are of a source whose channels are the same. Nothing is asserted.
"""

import argparse
import json
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import av

from bench.hearing import BLOCK, Quality, compare
from bench.sounds import RATE, Samples, Signal, same_sources, sources
from whipway.media import aac_encoder
from whipway.media.aac import audio_specific_config
from whipway.media.aac_pair import pair

PACKET = 960
OPUS_BITRATE = 90_000
BITRATE = 128_000
LAYOUTS = {1: "mono", 2: "stereo"}
COLUMNS = ("setting", "us min", "median", "ratio", "kbit/s", "SNR", "NMR mean", "p95", "audible", "worst on")


# Codecs


def frame_of(planes: Sequence[Samples], position: int) -> av.AudioFrame:
    """Planar samples."""
    frame = av.AudioFrame(format="fltp", layout=LAYOUTS[len(planes)], samples=len(planes[0]))
    frame.sample_rate = RATE
    frame.pts = position
    frame.time_base = Fraction(1, RATE)
    for plane, samples in zip(frame.planes, planes, strict=True):
        plane.update(samples.tobytes())
    return frame


def through_opus(signal: Signal) -> list[av.AudioFrame]:
    """What is left of a signal behind Opus: frames of 20 ms."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "stereo", "flt"
    encoder.bit_rate = OPUS_BITRATE
    decoder = av.AudioCodecContext.create("opus", "r")
    decoder.sample_rate, decoder.layout = RATE, "stereo"
    frames = []
    for position in range(0, len(signal[0]) - PACKET + 1, PACKET):
        sound = frame_of([side[position : position + PACKET] for side in signal], position)
        frames += [frame for packet in encoder.encode(sound) for frame in decoder.decode(packet)]
    return frames


def samples_of(frames: Iterable[av.AudioFrame], channels: int) -> list[Samples]:
    """Each channel in one piece."""
    out = [array("f") for _ in range(channels)]
    for frame in frames:
        for side, plane in zip(out, frame.planes, strict=True):
            side.frombytes(bytes(plane)[: 4 * frame.samples])
    return out


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    options: Mapping[str, str]
    bitrate: int = BITRATE
    channels: int = 2
    built: aac_encoder.Setting | None = None
    """One of the server's own, which steers its bitrate."""


def encode(setting: Setting, frames: Sequence[av.AudioFrame]) -> list[bytes]:
    """AAC frames, the one that primes decoders left out."""
    if setting.built is not None:
        return _encode_as_built(setting.built, frames)
    encoder = av.AudioCodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, LAYOUTS[setting.channels], "fltp"
    encoder.bit_rate = setting.bitrate
    encoder.time_base = Fraction(1, RATE)
    encoder.options = dict(setting.options)
    position = 0
    packets: list[bytes] = []
    for frame in frames:
        frame.pts, frame.time_base = position, encoder.time_base
        position += frame.samples
        packets += map(bytes, encoder.encode(frame))
    return packets[1:]


def _encode_as_built(setting: aac_encoder.Setting, frames: Sequence[av.AudioFrame]) -> list[bytes]:
    encoder = aac_encoder.AacEncoder(setting)
    position = 0
    packets: list[bytes] = []
    for frame in frames:
        packets += [one.payload for one in encoder.encode(frame, position)]
        position += frame.samples
    return packets


def decode(payloads: Iterable[bytes], channels: int) -> list[Samples]:
    """What AAC sounds like."""
    decoder = av.AudioCodecContext.create("aac", "r")
    decoder.sample_rate, decoder.layout = RATE, LAYOUTS[channels]
    decoder.extradata = audio_specific_config(RATE, channels)
    return samples_of((frame for one in payloads for frame in decoder.decode(av.Packet(one))), channels)


# The table


FAST = {"aac_coder": "fast", "flags": "+bitexact"}
NO_TNS = FAST | {"aac_tns": "0"}
STRICT = {"bt": "0", "cutoff": "16000"}
"""No frame has more than the bitrate. By itself it is held on average, and most frames are encoded several
times over; 16 kHz is FFmpeg's cutoff for 128 kbit/s."""
STEADY = {"flags": "+bitexact+qscale", "cutoff": "16000"}
"""Each frame gets a share of the bitrate by its quality, 120 being all of it, and is encoded once."""
QUALITY = "global_quality"
SINGLE = NO_TNS | {"aac_pns": "0", "cutoff": "16000"}


def _built(name: str, setting: aac_encoder.Setting) -> Setting:
    return Setting(name, setting.options, setting.bitrate, setting.channels, setting)


SETTINGS = [
    Setting("fast (before)", FAST),
    Setting("twoloop", FAST | {"aac_coder": "twoloop"}),
    Setting("fast -is", FAST | {"aac_is": "0"}),
    Setting("fast -pns", FAST | {"aac_pns": "0"}),
    Setting("fast -ms", FAST | {"aac_ms": "0"}),
    Setting("fast -tns", NO_TNS),
    Setting("fast -tns -ms", NO_TNS | {"aac_ms": "0"}),
    Setting("fast -tns -ms -is -pns", NO_TNS | {"aac_ms": "0", "aac_is": "0", "aac_pns": "0"}),
    Setting("fast -tns, 20 kHz", NO_TNS | {"cutoff": "20000"}),
    Setting("fast -tns, 24 kHz", NO_TNS | {"cutoff": "24000"}),
    Setting("steady 120 -tns", NO_TNS | STEADY | {QUALITY: "120"}),
    Setting("steady 160 -tns", NO_TNS | STEADY | {QUALITY: "160"}),
    Setting("strict 128k -tns", NO_TNS | STRICT),
    Setting("strict 170k -tns", NO_TNS | STRICT, 170_000),
    Setting("strict 170k -tns -ms", NO_TNS | STRICT | {"aac_ms": "0"}, 170_000),
    _built("as built", aac_encoder.strict(BITRATE, 2)),
]
SAME_SETTINGS = [
    Setting("both channels, fast (before)", FAST),
    Setting("both channels, fast -tns -ms", NO_TNS | {"aac_ms": "0"}),
    _built("both channels, as built for stereo", aac_encoder.strict(BITRATE, 2)),
    Setting("one channel, 1/2 of the bitrate", SINGLE, BITRATE // 2, 1),
    Setting("one channel, 3/4", SINGLE, BITRATE * 3 // 4, 1),
    Setting("one channel, all of it", SINGLE, BITRATE, 1),
    Setting("one channel, steady, 3/4", SINGLE | STEADY | {QUALITY: "120"}, BITRATE * 3 // 4, 1),
    _built("one channel, as built", aac_encoder.steady(BITRATE)),
]


@dataclass
class Line:
    """One setting, over all sources."""

    setting: str
    us_min: float
    us_median: float
    ratio: float
    """Of the least, to that of the first setting."""
    kbit: float
    snr: float
    nmr_mean: float
    nmr_p95: float
    audible: float
    worst: str
    """The source with the highest p95."""
    sources: dict[str, Quality]


def measure(
    settings: Sequence[Setting], material: Mapping[str, list[av.AudioFrame]], rounds: int, hop: int
) -> list[Line]:
    """Time and judge."""
    heard = {channels: _channels(material, channels) for channels in {one.channels for one in settings}}
    times: dict[str, list[float]] = {one.name: [] for one in settings}
    for _ in range(rounds):
        for setting in settings:
            frames = heard[setting.channels]
            begun = time.process_time()
            for source in frames.values():
                encode(setting, source)
            count = sum(map(len, frames.values()))
            times[setting.name].append((time.process_time() - begun) / count * 1e6)
    base = min(times[settings[0].name])
    return [_judge(setting, times[setting.name], base, heard[setting.channels], hop) for setting in settings]


def _channels(material: Mapping[str, list[av.AudioFrame]], channels: int) -> dict[str, list[av.AudioFrame]]:
    """The same, or the left channel of it."""
    if channels == 2:
        return dict(material)
    return {
        name: [frame_of(samples_of([frame], 2)[:1], 0) for frame in frames]
        for name, frames in material.items()
    }


def _judge(
    setting: Setting,
    times: list[float],
    base: float,
    material: Mapping[str, list[av.AudioFrame]],
    hop: int,
) -> Line:
    found: dict[str, Quality] = {}
    size = count = 0
    for name, frames in material.items():
        payloads = encode(setting, frames)
        if setting.channels == 1:
            payloads = list(map(pair, payloads))
        size += sum(map(len, payloads))
        count += len(payloads)
        found[name] = compare(
            samples_of(frames, setting.channels), decode(payloads, 2)[: setting.channels], hop
        )
    worst = max(found, key=lambda name: found[name].nmr_p95)
    return Line(
        setting.name,
        round(min(times), 1),
        round(median(times), 1),
        round(min(times) / base, 3),
        round(size * 8 * RATE / 1024 / count / 1000, 1),
        round(mean(one.snr for one in found.values() if one.snr is not None), 1),
        round(mean(one.nmr_mean for one in found.values()), 1),
        round(mean(one.nmr_p95 for one in found.values()), 1),
        round(mean(one.audible for one in found.values()), 4),
        worst,
        found,
    )


def show(rows: Sequence[Line]) -> None:
    """One line each."""
    lines = [COLUMNS] + [
        (
            *(
                row.setting,
                f"{row.us_min:.1f}",
                f"{row.us_median:.1f}",
                f"{row.ratio:.2f}",
                f"{row.kbit:.0f}",
            ),
            *(f"{row.snr:.1f}", f"{row.nmr_mean:.1f}", f"{row.nmr_p95:.1f}", f"{row.audible:.1%}", row.worst),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What settings of the AAC encoder cost, and how they sound.")
    parser.add_argument("--quick", action="store_true", help="less sound, fewer rounds, fewer blocks")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args(arguments)
    seconds, rounds, hop = (1.0, 2, 4 * BLOCK) if options.quick else (2.5, 5, BLOCK // 2)
    found = []
    for settings, signals in (
        (SETTINGS, sources(seconds)),
        (SAME_SETTINGS, same_sources(seconds)),
    ):
        material = {name: through_opus(signal) for name, signal in signals.items()}
        rows = measure(settings, material, rounds, hop)
        show(rows)
        print()
        found += rows
    if options.json:
        text = json.dumps([asdict(row) | {"sources": _plain(row)} for row in found], indent=1)
        options.json.write_text(text + "\n")


def _plain(row: Line) -> dict[str, dict[str, float | None]]:
    return {name: quality._asdict() for name, quality in row.sources.items()}


if __name__ == "__main__":
    main()
