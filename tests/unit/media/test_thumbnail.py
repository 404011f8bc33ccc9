import io
from fractions import Fraction

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.peers import x264
from tests.peers.h264 import annexb_join

from whipway.media.parameter_sets import parse_sps
from whipway.media.thumbnail import MAX_INPUT_BYTES, MAX_NALS, ThumbnailError, make_jpeg

PPS = b"\x68\xce\x3c\x80"


@pytest.fixture(scope="module")
def keyframe() -> bytes:
    return made(320, 180)


def made(width: int, height: int) -> bytes:
    [picture] = x264.encode(1, width=width, height=height)
    return annexb_join(picture.nals)


def plain(luma: int, width: int = 640, height: int = 360) -> bytes:
    """One colour, in the range of video: 16 to 235."""
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = 0
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))


def read(jpeg: bytes) -> av.VideoFrame:
    assert jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
    with av.open(io.BytesIO(jpeg), format="jpeg_pipe") as file:
        [frame] = file.decode(video=0)
        return frame


def huge_picture(width_in_mbs: int, height_in_mbs: int) -> list[bytes]:
    """Baseline of level 6.2, type 2 of picture order count, one reference frame; a slice of anything."""
    size = ue(width_in_mbs - 1) + ue(height_in_mbs - 1)
    sps = b"\x67\x42\xc0\x3e" + bits(ue(0) + ue(0) + ue(2) + ue(1) + "0" + size + "1100")
    pps = b"\x68" + bits(ue(0) * 2 + "00" + ue(0) * 3 + "000" + ue(0) * 3 + "000")
    slice_header = ue(0) + ue(7) + ue(0) + "0000" + ue(0) + "00" + ue(0) * 2
    return [sps, pps, b"\x65" + bits(slice_header) + bytes(range(1, 200))]


def bits(digits: str) -> bytes:
    """With rbsp_trailing_bits (ITU-T H.264, 7.3.2.11)."""
    digits += "1"
    digits += "0" * (-len(digits) % 8)
    return int(digits, 2).to_bytes(len(digits) // 8, "big")


def ue(value: int) -> str:
    """An Exp-Golomb code (ITU-T H.264, 9.1)."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


@pytest.mark.parametrize(
    ("width", "height", "small"),
    [
        (320, 180, (320, 180)),
        (1280, 720, (320, 180)),
        (426, 240, (320, 180)),
        (90, 160, (320, 568)),
        (64, 64, (320, 320)),
        (64, 2048, (40, 1280)),
        (2048, 64, (320, 10)),
    ],
)
def test_the_shape_is_kept(width: int, height: int, small: tuple[int, int]) -> None:
    frame = read(make_jpeg(made(width, height)))
    assert (frame.width, frame.height) == small


def test_the_width_is_a_wish(keyframe: bytes) -> None:
    frame = read(make_jpeg(keyframe, width=100))
    assert (frame.width, frame.height) == (100, 56)


@pytest.mark.parametrize(("luma", "shown"), [(16, 0), (126, 128), (235, 255)])
def test_colours_have_the_range_of_a_jpeg(luma: int, shown: int) -> None:
    jpeg = make_jpeg(plain(luma))
    assert len(jpeg) < 1000
    assert abs(bytes(read(jpeg).planes[0])[0] - shown) <= 1


def test_the_picture_is_the_one_that_was_sent(keyframe: bytes) -> None:
    """Of the same size, so that only the compression is between them."""
    sent = next(x264.pictures(1, 320, 180))
    shown = read(make_jpeg(keyframe))
    ours, theirs = (bytes(frame.reformat(format="gray").planes[0]) for frame in (shown, sent))
    assert sum(abs(one - two) for one, two in zip(ours, theirs, strict=True)) / len(ours) < 12


def test_b_frames_are_not_waited_for() -> None:
    [first, *_] = x264.encode(8, options={"bframes": "3", "b-adapt": "0"})
    assert read(make_jpeg(annexb_join(first.nals))).width == 320


@pytest.mark.parametrize("data", [b"", b"\x00", b"picture", bytes(1000), annexb_join([PPS])])
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(ThumbnailError):
        make_jpeg(data)


def test_a_picture_without_its_parameter_sets_is_none(keyframe: bytes) -> None:
    with pytest.raises(ThumbnailError, match="cannot be decoded"):
        make_jpeg(keyframe[keyframe.index(b"\x00\x00\x01\x65") :])


def test_too_many_bytes_are_not_even_looked_at(keyframe: bytes) -> None:
    filled = keyframe + b"\x00" * (MAX_INPUT_BYTES - len(keyframe))
    assert make_jpeg(filled) == make_jpeg(keyframe)
    with pytest.raises(ThumbnailError, match="key frame is too large"):
        make_jpeg(filled + b"\x00")


@pytest.mark.parametrize(
    ("width_in_mbs", "height_in_mbs", "word"),
    [(513, 20, "picture is too large"), (20, 513, "picture is too large"), (1055, 1055, "cannot be decoded")],
)
def test_huge_pictures_are_refused(width_in_mbs: int, height_in_mbs: int, word: str) -> None:
    """A few bytes that announce up to 427 MB of picture."""
    nals = huge_picture(width_in_mbs, height_in_mbs)
    sps = parse_sps(nals[0])
    assert (sps.width, sps.height) == (16 * width_in_mbs, 16 * height_in_mbs)
    with pytest.raises(ThumbnailError, match=word):
        make_jpeg(annexb_join(nals))


def test_a_picture_is_decoded_once() -> None:
    """An access unit of few bytes that holds the largest of pictures many times."""
    sps, pps, slice_ = huge_picture(256, 144)
    assert read(make_jpeg(annexb_join([sps, pps, slice_]))).width == 320
    with pytest.raises(ThumbnailError, match="cannot be decoded"):
        make_jpeg(annexb_join([sps, pps, *[slice_] * 150]))


def test_slices_are_taken_as_real_encoders_make_them() -> None:
    [picture] = x264.encode(1, width=1920, height=1080, options={"slices": "68"})
    assert len(picture.nals) >= 68
    assert read(make_jpeg(annexb_join(picture.nals))).width == 320


def test_there_are_not_more_nal_units_than_in_any_picture(keyframe: bytes) -> None:
    filled = keyframe + annexb_join([PPS] * (MAX_NALS - keyframe.count(b"\x00\x00\x01")))
    assert read(make_jpeg(filled)).width == 320
    with pytest.raises(ThumbnailError, match="key frame is too large"):
        make_jpeg(filled + annexb_join([PPS]))


KEYFRAME = made(64, 48)


@settings(max_examples=60, deadline=None)
@example([(5, 255)], len(KEYFRAME))
@given(
    st.lists(st.tuples(st.integers(0, len(KEYFRAME) - 1), st.integers(0, 255)), max_size=10),
    st.integers(0, len(KEYFRAME)),
)
def test_whatever_comes_is_a_picture_or_an_error(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(KEYFRAME)
    for at, value in changes:
        data[at] = value
    try:
        assert make_jpeg(bytes(data[:length])).startswith(b"\xff\xd8")
    except ThumbnailError as error:
        assert str(error)
