"""What the publishers send: four seconds of 720p25 at 2 Mbit/s, and two seconds of Opus at 90 kbit/s.

Encoded once (libx264 and libopus in PyAV) and kept in a file, since publishers and sink must have the same
bytes. Key frames are two seconds apart; there are no B-frames, as in what browsers send. The picture is a
texture that moves behind a band of noise, which an encoder cannot predict, so that it reaches its rate.
"""

import hashlib
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, Final

import av
from tests.peers.h264 import aggregate, annexb_split, fragment

from bench.speed.marks import MARK_AT, blank_nal

FOLDER: Final = Path(__file__).parents[2] / "build" / "bench"
WIDTH, HEIGHT = 1280, 720
PICTURE_RATE: Final = 25
PICTURE_INTERVAL: Final = 1 / PICTURE_RATE
GROUP: Final = 2 * PICTURE_RATE
"""Pictures from one key frame to the next."""
PICTURES: Final = 2 * GROUP
"""An even number of groups: neighbouring IDR pictures must differ in idr_pic_id, also at the seam."""
VIDEO_BITRATE: Final = 2_000_000
SOUNDS: Final = 100
SOUND_INTERVAL: Final = 0.02
SOUND_BITRATE: Final = 90_000
SAMPLE_RATE: Final = 48_000
SOUND_SAMPLES: Final = 960
MTU: Final = 1180
"""Bytes of RTP payload: with headers, tag and IP a datagram stays below 1280, as browsers have it."""
_X264: Final = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:repeat-headers=1:annexb=1"
_RECIPE: Final = 2
"""Grows with each change of how the material is made."""
_NAL_TYPE: Final = 0x1F
_IDR, _SEI, _SPS, _PPS, _AUD = 5, 6, 7, 8, 9
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit, its mark blank."""

    is_keyframe: bool
    payloads: tuple[bytes, ...]
    """Of its RTP packets; the mark is in the first."""
    mark_at: int
    """Where in the first payload."""
    body: bytes
    """NAL units behind their lengths, as FLV has them."""
    body_mark_at: int


@dataclass(frozen=True, slots=True)
class Material:
    """All there is to send, over and over again."""

    pictures: tuple[Picture, ...]
    sounds: tuple[bytes, ...]


def load_material(folder: Path = FOLDER) -> Material:
    """From the file, which is made first if there is none (some seconds)."""
    recipe = f"{_RECIPE} {av.__version__} {WIDTH} {HEIGHT} {VIDEO_BITRATE} {SOUND_BITRATE} {_X264}"
    path = folder / f"material-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{Random().getrandbits(32):x}")
        fresh.write_text(json.dumps(_encode()))
        fresh.replace(path)
    stored = json.loads(path.read_text())
    pictures = tuple(make_picture([bytes.fromhex(nal) for nal in nals]) for nals in stored["pictures"])
    return Material(pictures, tuple(bytes.fromhex(sound) for sound in stored["sounds"]))


def make_picture(nals: list[bytes]) -> Picture:
    """Put the mark in front of the slices, and cut it all into packets.

    Small NAL units go together in a STAP-A, as senders do.
    """
    sets = [nal for nal in nals if nal[0] & _NAL_TYPE in (_SPS, _PPS)]
    slices = [nal for nal in nals if nal[0] & _NAL_TYPE not in (_SPS, _PPS)]
    small = [*sets, blank_nal()]
    first = aggregate(small) if sets else small[0]
    payloads = [first]
    for nal in slices:
        payloads += [nal] if len(nal) <= MTU else fragment(nal, MTU)
    body = b"".join(len(nal).to_bytes(_LENGTH_BYTES, "big") + nal for nal in [*small, *slices])
    return Picture(
        is_keyframe=any(nal[0] & _NAL_TYPE == _IDR for nal in slices),
        payloads=tuple(payloads),
        mark_at=len(first) - len(blank_nal()) + MARK_AT,
        body=body,
        body_mark_at=sum(_LENGTH_BYTES + len(nal) for nal in sets) + _LENGTH_BYTES + MARK_AT,
    )


def _encode() -> dict[str, list[Any]]:
    pictures = [[nal.hex() for nal in nals] for nals in _encode_pictures()]
    return {"pictures": pictures, "sounds": [sound.hex() for sound in _encode_sounds()]}


def _encode_pictures() -> list[list[bytes]]:
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(PICTURE_RATE), Fraction(1, PICTURE_RATE)
    encoder.bit_rate = VIDEO_BITRATE
    encoder.thread_count = 1
    kilobits = VIDEO_BITRATE // 1000
    encoder.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "high",
        # Half a second of buffer keeps key frames to some 40 kB.
        "x264-params": f"{_X264}:vbv-maxrate={kilobits}:vbv-bufsize={kilobits // 2}",
    }
    packets = [packet for frame in _draw() for packet in encoder.encode(frame)]
    packets += encoder.encode(None)
    units = [annexb_split(bytes(packet)) for packet in packets]
    return [[nal for nal in unit if nal[0] & _NAL_TYPE not in (_SEI, _AUD)] for unit in units]


def _draw() -> Iterator[av.VideoFrame]:
    noise = Random(1)
    texture = [bytes(value & 0x7F | 0x20 for value in noise.randbytes(2 * WIDTH)) for _ in range(32)]
    for index in range(PICTURES):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane in frame.planes:
            left = index * 3
            band = plane.height // 2 + index % 50
            rows = [
                noise.randbytes(plane.line_size)
                if band <= y < band + 4
                else texture[y // 8 % 32][left : left + plane.line_size]
                for y in range(plane.height)
            ]
            plane.update(b"".join(rows))
        frame.pts = index
        yield frame


def _encode_sounds() -> list[bytes]:
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "stereo", "flt"
    encoder.bit_rate = SOUND_BITRATE
    encoder.options = {"vbr": "constrained"}
    packets = [bytes(packet) for number in range(SOUNDS + 2) for packet in encoder.encode(_play(number))]
    return packets[:SOUNDS]


def _play(number: int) -> av.AudioFrame:
    """A chord, whose notes beat, over a little noise; the two channels differ."""
    noise = Random(number)
    start = number * SOUND_SAMPLES
    frame = av.AudioFrame(format="flt", layout="stereo", samples=SOUND_SAMPLES)
    samples = array("f")
    for index in range(start, start + SOUND_SAMPLES):
        seconds = index / SAMPLE_RATE
        for tones in ((220.0, 277.2, 659.3, 2637.0), (220.7, 329.6, 880.0, 3520.0)):
            chord = sum(math.sin(2 * math.pi * tone * seconds) for tone in tones)
            samples.append(0.12 * chord + 0.04 * (noise.random() - 0.5))
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
    return frame
