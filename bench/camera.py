"""A camera and its encoder (libx264 in PyAV), which make an IDR picture whenever they are told to.

The picture is small, 320 by 180, and its bitrate is that of 720p: what loss does depends on packets, and so
an hour of stream is encoded in a minute. Half of each picture is noise; without it no encoder would reach the
rate. The picture's number is painted over it, so that no two show the same.
"""

from collections.abc import Iterator
from fractions import Fraction
from random import Random

import av
from av.video.frame import PictureType
from tests.peers.h264 import annexb_split

WIDTH, HEIGHT = 320, 180
SCENE_PICTURES = 40
"""Raw pictures that are made once and shown again and again, each time with another number."""
DIGIT = 16
"""Width and height of one bit of the number, in samples: a macroblock."""
NUMBER_BITS = 16


class Camera:
    """`rate` in pictures a second, `bitrate` in bits a second. Nothing but `picture` makes a key frame."""

    def __init__(self, *, rate: int, bitrate: int, seed: int = 1) -> None:
        self._scene = list(_make_scene(Random(seed)))
        self._encoder = av.VideoCodecContext.create("libx264", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._encoder.framerate, self._encoder.time_base = Fraction(rate), Fraction(1, rate)
        self._encoder.bit_rate = bitrate
        self._encoder.thread_count = 1
        self._encoder.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "x264-params": f"{_PARAMETERS}:vbv-maxrate={bitrate // 1000}:vbv-bufsize={bitrate // 1000}",
        }

    def picture(self, index: int, keyframe: bool) -> list[bytes]:
        """The NAL units of the next picture; SPS and PPS go before each IDR."""
        frame, luma = self._scene[index % len(self._scene)]
        frame.planes[0].update(_paint(index, frame.planes[0].line_size) + luma)
        frame.pts = index
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        [packet] = self._encoder.encode(frame)
        assert packet.is_keyframe == keyframe
        return annexb_split(bytes(packet))


_PARAMETERS = "keyint=infinite:scenecut=0:bframes=0:repeat-headers=1:annexb=1"


def _paint(number: int, line_size: int) -> bytes:
    """The first rows of luma: a black or white square for each bit of the number."""
    bits = (b"\xeb" if number >> bit & 1 else b"\x10" for bit in range(NUMBER_BITS))
    row = b"".join(bit * DIGIT for bit in bits)
    return row.ljust(line_size, b"\x10") * DIGIT


def _make_scene(random: Random) -> Iterator[tuple[av.VideoFrame, bytes]]:
    """A ramp that moves, and below it a band of noise; with the luma behind the rows of the number."""
    for index in range(SCENE_PICTURES):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        planes = [_fill(plane.line_size, plane.height, index, random) for plane in frame.planes]
        for plane, samples in zip(frame.planes, planes, strict=True):
            plane.update(samples)
        yield frame, planes[0][DIGIT * frame.planes[0].line_size :]


def _fill(line_size: int, height: int, index: int, random: Random) -> bytes:
    still = height // 2
    row = bytes((x + index * 3) & 0x7F for x in range(line_size + 16))
    ramp = b"".join(row[y % 16 :][:line_size] for y in range(still))
    return ramp + bytes(value >> 1 for value in random.randbytes(line_size * (height - still)))
