"""A small JPEG of a key frame, for people who choose between pictures; in FFmpeg by way of PyAV.

The key frame is an H.264 byte stream (ITU-T H.264, Annex B) with its parameter sets in front, as it came from
a publisher: nothing of it is believed. Sizes and work are bounded before memory is taken, the decoder runs
in the caller's thread alone, and whatever it does not like is a `ThumbnailError`. This takes tens of
milliseconds for a large picture, and a second for the worst, so it is to be called in a thread. How the
picture is to be turned is left out.
"""

from fractions import Fraction
from typing import Final

import av

START_CODE_PREFIX: Final = b"\x00\x00\x01"
MAX_INPUT_BYTES: Final = 4 * 1024 * 1024
"""A key frame of the best quality at 2160p has half of it."""
MAX_SIDE: Final = 8192
"""Luma samples."""
MAX_PIXELS: Final = 36_864 * 256
"""MaxFS of level 5.2 (A.3.1), more than 2160p has: the decoder takes no memory for more."""
MAX_NALS: Final = 1024
"""Of one key frame: encoders that cut it into slices of one packet each make some hundreds."""
MAX_SAMPLES: Final = 2**30
"""Luma samples that the decoder may have to go through. Slices may overlap, and an access unit may hold a
picture many times: a flat one of the largest size has 6 kB, and takes 20 ms. So each NAL unit counts as a
whole picture. That leaves 129 of them for 2160p."""
MAX_TALLNESS: Final = 4
"""A picture that is taller than this many times its width gets a narrower thumbnail."""
QUALITY: Final = 5
"""FFmpeg's scale for JPEG, from 2 (best) to 31: 320 x 180 samples have some 10 kB."""


class ThumbnailError(Exception):
    """There is no picture in these bytes, or none of a size that is taken. The message is for people."""


def make_jpeg(keyframe: bytes, width: int = 320) -> bytes:
    """A JPEG of `width` samples; the height is even, and as the shape of the picture wants it.

    ThumbnailError for what cannot be decoded, more than 4 MiB, a side of more than 8192 samples, or more NAL
    units than a picture of this size should have.
    """
    if len(keyframe) > MAX_INPUT_BYTES or keyframe.count(START_CODE_PREFIX) > MAX_NALS:
        raise ThumbnailError("the key frame is too large")
    try:
        picture = _decode(keyframe)
        return _encode(picture, *_fit(picture.width, picture.height, width))
    except av.FFmpegError as error:
        raise ThumbnailError(f"the key frame cannot be decoded: {error.strerror}") from None


def _decode(keyframe: bytes) -> av.VideoFrame:
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    nals = max(1, keyframe.count(START_CODE_PREFIX))
    decoder.options = {"max_pixels": str(min(MAX_PIXELS, MAX_SAMPLES // nals))}
    # An empty packet would be the end of the stream, which is what follows.
    picture: av.VideoFrame
    for picture in [*(decoder.decode(av.Packet(keyframe)) if keyframe else ()), *decoder.decode(None)]:
        if max(picture.width, picture.height) > MAX_SIDE:
            raise ThumbnailError("the picture is too large")
        return picture
    raise ThumbnailError("there is no picture in the key frame")


def _fit(width: int, height: int, wanted: int) -> tuple[int, int]:
    """The size of the thumbnail: even numbers, of which none is 0."""
    scale = min(Fraction(wanted, width), Fraction(wanted * MAX_TALLNESS, height))
    return _even(width * scale), _even(height * scale)


def _even(length: Fraction) -> int:
    return max(2, round(length / 2) * 2)


def _encode(picture: av.VideoFrame, width: int, height: int) -> bytes:
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = QUALITY
    small = picture.reformat(width=width, height=height, format="yuvj420p")
    small.pts = 0
    small.time_base = encoder.time_base
    return b"".join(map(bytes, [*encoder.encode(small), *encoder.encode(None)]))
