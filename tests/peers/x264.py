"""Real H.264 of every shape (libx264 in PyAV), and a decoder that tells of every error.

Where `tests.peers.h264` makes the plain stream of a WebRTC sender, this makes the others: B-frames, slices,
delimiters, intra refresh, whatever libx264 has an option for. Every picture differs from every other, with
moving shapes and noise, so that damage of any kind changes a digest or makes the decoder speak.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.logging
from tests.peers.h264 import annexb_join, annexb_split

CLOCK_RATE = 90_000
NAL_TYPE = 0x1F
IDR = 5


class EncodedPicture(NamedTuple):
    """One access unit, in decoding order."""

    nals: list[bytes]
    """NAL units without start codes."""
    pts: int
    """Presentation time in ticks of 90 kHz; the first picture shown has 0."""
    keyframe: bool
    """It is an IDR picture."""


@dataclass
class Decoded:
    """What a decoder made of a stream."""

    digests: list[str] = field(default_factory=list)
    """One per picture, in output order."""
    errors: list[str] = field(default_factory=list)
    """What the decoder raised, logged as a warning or worse, or marked as corrupt."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    pts: list[int | None] = field(default_factory=list)


def encode(
    count: int,
    *,
    width: int = 320,
    height: int = 180,
    rate: int = 30,
    options: dict[str, str] | None = None,
    group: int = 60,
) -> list[EncodedPicture]:
    """`count` pictures in decoding order, with an IDR picture every `group`.

    `options` are libx264's own (`x264 --fullhelp`), by their names with hyphens: `{"bframes": "2"}`. By
    default there are no B-frames, and SPS and PPS are in band before every IDR picture.
    """
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(rate), Fraction(1, rate)
    encoder.gop_size = group
    encoder.thread_count = 1
    chosen = {"repeat-headers": "1", "scenecut": "0", "annexb": "1", "bframes": "0", "threads": "1"}
    chosen |= {"sliced-threads": "0", "rc-lookahead": "0", "sync-lookahead": "0"}
    chosen |= options or {}
    encoder.options = {
        "preset": "veryfast",
        "x264-params": ":".join(f"{name}={value}" for name, value in chosen.items()),
    }
    packets = [packet for frame in pictures(count, width, height) for packet in encoder.encode(frame)]
    packets += encoder.encode(None)
    return [_picture(packet, CLOCK_RATE // rate) for packet in packets]


def decode(pictures: Iterable[list[bytes]]) -> Decoded:
    """Decodes access units, each a list of NAL units, as an Annex B byte stream."""
    return _decode(av.VideoCodecContext.create("h264", "r"), ((annexb_join(nals), None) for nals in pictures))


def decode_samples(configuration: bytes, samples: Iterable[tuple[bytes, int]]) -> Decoded:
    """Decodes what an FLV file carries: an avcC record, and samples with their presentation times."""
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.extradata = configuration
    return _decode(decoder, samples)


def pictures(count: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    """A plane of ramps that slides, a square that wanders over it, and a band of noise."""
    noise = random.Random(1)
    for index in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            row = bytes((x * x // 16 + index * 3) & 0x7F for x in range(plane.line_size + 16))
            rows = [row[y % 16 :][: plane.line_size] for y in range(plane.height)]
            left, top, side = index * 7 % (plane.width - 16), index * 5 % (plane.height - 16), 16
            for y in range(top, top + side):
                rows[y] = rows[y][:left] + bytes(side * (235,)) + rows[y][left + side :]
            band = index * 11 % (plane.height - 8)
            for y in range(band, band + 8):
                rows[y] = noise.randbytes(plane.line_size)
            plane.update(b"".join(rows))
        frame.pts = index
        yield frame


def _picture(packet: av.Packet, duration: int) -> EncodedPicture:
    nals = annexb_split(bytes(packet))
    assert packet.pts is not None
    return EncodedPicture(nals, packet.pts * duration, any(nal[0] & NAL_TYPE == IDR for nal in nals))


def _decode(decoder: Any, samples: Iterable[tuple[bytes, int | None]]) -> Decoded:
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode+crccheck+bitstream+buffer", "flags": "+output_corrupt"}
    decoded = Decoded()
    level = av.logging.get_level()
    av.logging.set_level(av.logging.DEBUG)
    try:
        with av.logging.Capture() as lines:
            for data, pts in [*samples, (None, None)]:
                _feed(decoder, data, pts, decoded)
    finally:
        av.logging.set_level(level)
    decoded.errors += [f"{name}: {text.strip()}" for severity, name, text in lines if _tells(severity, text)]
    return decoded


def _tells(severity: int, text: str) -> bool:
    # A missing reference picture is covered up so well that only a debugging line tells.
    return severity <= av.logging.WARNING or text.startswith("Frame num gap")


def _feed(decoder: Any, data: bytes | None, pts: int | None, decoded: Decoded) -> None:
    packet = None
    if data is not None:
        packet = av.Packet(data)
        packet.pts, packet.time_base = pts, Fraction(1, 1000)
    try:
        frames = decoder.decode(packet)
    except av.FFmpegError as error:
        decoded.errors.append(str(error))
        return
    for frame in frames:
        if frame.is_corrupt:
            decoded.errors.append("a corrupt frame")
        decoded.digests.append(_digest(frame))
        decoded.sizes.append((frame.width, frame.height))
        decoded.pts.append(frame.pts)


def _digest(frame: av.VideoFrame) -> str:
    """MD5 of the visible samples."""
    digest = hashlib.md5(usedforsecurity=False)
    for plane in frame.planes:
        data, stride = memoryview(plane), plane.line_size
        for y in range(plane.height):
            digest.update(data[y * stride : y * stride + plane.width])
    return digest.hexdigest()
