"""An H.264 sender in small: a real encoder (libx264 in PyAV), and RFC 6184 packetisation.

`encode` makes access units, `packetize` makes RTP payloads of one of them: NAL units that fit go in single
NAL unit packets, larger ones in FU-A, and with `aggregate=True` small neighbours in STAP-A. The last payload
of a unit is the one that gets the marker.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av

from whipway.media.parameter_sets import SequenceParameterSet

STAP_A = 24
FU_A = 28
HIGH_SPS = SequenceParameterSet(
    id=0,
    profile_idc=100,
    constraint_flags=0,
    level_idc=31,
    chroma_format_idc=1,
    bit_depth_luma=8,
    bit_depth_chroma=8,
    pic_order_cnt_type=0,
    width=640,
    height=480,
    frame_rate=50.0,
    max_num_reorder_frames=2,
    separate_colour_planes=False,
    frame_num_bits=4,
    pic_order_cnt_lsb_bits=6,
    frame_mbs_only=True,
)
"""What the project reads in the SPS of an encoder with B-frames."""


def annexb_split(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream (ITU-T H.264, annex B)."""
    nals = []
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        end = data.find(b"\x00\x00\x01", start + 3)
        # trailing_zero_8bits and the zero_byte of the next start code are not part of the NAL unit.
        nals.append(data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\x00"))
        start = end
    return nals


def annexb_join(nals: Iterable[bytes]) -> bytes:
    """A byte stream of NAL units, as decoders without extradata read it."""
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)


def packetize(nals: Sequence[bytes], mtu: int = 1200, *, aggregate: bool = False) -> list[bytes]:
    """RTP payloads of at most `mtu` bytes that carry the NAL units of one access unit."""
    payloads: list[bytes] = []
    together: list[bytes] = []
    for nal in nals:
        if aggregate and 3 + sum(len(one) + 2 for one in [*together, nal]) <= mtu:
            together.append(nal)
            continue
        payloads += _flush(together)
        together = []
        payloads += [nal] if len(nal) <= mtu else fragment(nal, mtu)
    return payloads + _flush(together)


def fragment(nal: bytes, mtu: int) -> list[bytes]:
    """FU-A payloads of one NAL unit (RFC 6184, section 5.8)."""
    body = nal[1:]
    pieces = [body[at : at + mtu - 2] for at in range(0, len(body), mtu - 2)]
    last = len(pieces) - 1
    indicator = nal[0] & 0xE0 | FU_A
    return [
        bytes((indicator, nal[0] & 0x1F | (index == 0) << 7 | (index == last) << 6)) + piece
        for index, piece in enumerate(pieces)
    ]


def aggregate(nals: Iterable[bytes]) -> bytes:
    """One STAP-A payload (RFC 6184, section 5.7.1)."""
    nals = list(nals)
    reference = max(nal[0] & 0x60 for nal in nals)
    return bytes((reference | STAP_A,)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _flush(nals: list[bytes]) -> list[bytes]:
    return [aggregate(nals)] if len(nals) > 1 else list(nals)


def encode(
    width: int = 320,
    height: int = 180,
    frames: int = 6,
    *,
    rate: int = 30,
    profile: str | None = None,
    pixel_format: str = "yuv420p",
    **options: str,
) -> list[list[bytes]]:
    """Access units of a moving picture, each a list of NAL units, in decoding order.

    `options` are libx264's (underscores for hyphens); by default there are no B-frames, and every third
    picture is an IDR with SPS and PPS.
    """
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format
    encoder.framerate, encoder.time_base = Fraction(rate), Fraction(1, rate)
    encoder.gop_size = 3
    encoder.thread_count = 1
    encoder.max_b_frames = 0
    chosen = {"preset": "ultrafast", "x264-params": "repeat-headers=1:scenecut=0:annexb=1"}
    if profile is not None:
        chosen["profile"] = profile
    for name, value in options.items():
        if name == "x264_params":
            value = chosen["x264-params"] + ":" + value
        chosen[name.replace("_", "-")] = value
    encoder.options = chosen
    packets = [
        packet for frame in _pictures(width, height, frames, pixel_format) for packet in encoder.encode(frame)
    ]
    packets += encoder.encode(None)
    return [annexb_split(bytes(packet)) for packet in packets]


def _pictures(width: int, height: int, count: int, pixel_format: str) -> Iterator[av.VideoFrame]:
    """A texture that moves, with enough detail that an IDR picture takes several packets."""
    for index in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            row = bytes((x * x // 8 + index * 5) & 0x7F for x in range(plane.line_size))
            plane.update(b"".join(row[y % 16 :] + row[: y % 16] for y in range(plane.height)))
        frame = frame.reformat(format=pixel_format)
        frame.pts = index
        yield frame
