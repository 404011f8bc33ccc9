"""How long an Opus packet lasts, and whether it is well formed (RFC 6716, section 3).

Reads the table-of-contents byte and the frame lengths and nothing of the frames themselves: whatever passes
here has the structure that section 3.4 demands, so that a decoder is only ever fed whole packets.
For Opus that is passed on there is also what does not come by RTP: the identification header of RFC 7845, and
packets to put into holes.

    0 1 2 3 4 5 6 7
   +-+-+-+-+-+-+-+-+
   | config  |s| c |      config: mode, bandwidth, frame size; s: stereo; c: how many frames
   +-+-+-+-+-+-+-+-+
"""

import struct
from typing import Final

from whipway.failures import DropReason, ParseError

SAMPLE_RATE: Final = 48_000

STEREO: Final = 0x04
"""Of the TOC byte."""

MAX_PACKET_SAMPLES: Final = 5_760
"""120 ms (RFC 6716, section 3.4, R5)."""

MAX_FRAME_BYTES: Final = 1_275
"""RFC 6716, section 3.4, R2."""

FRAME_SAMPLES: Final = (
    *(480, 960, 1920, 2880) * 3,  # SILK-only, narrowband to wideband: 10, 20, 40, 60 ms
    *(480, 960) * 2,  # Hybrid: 10, 20 ms
    *(120, 240, 480, 960) * 4,  # CELT-only: 2.5, 5, 10, 20 ms
)
"""Samples of one frame at 48 kHz by config number (RFC 6716, Table 2)."""

SILENCE: Final = b"\xfc\xff\xfe"
"""20 ms of digital silence in stereo: what libopus makes of zeros. The TOC byte says full-band CELT, 20 ms,
stereo, one frame; the frame has the silence flag of RFC 6716, section 4.3."""

FILLER_SAMPLES: Final = 960
"""Duration of `SILENCE` and of what `concealment_packet` makes: 20 ms, as senders' packets have."""


def opus_head(channels: int) -> bytes:
    """The identification header (RFC 7845, section 5.1) of one stream, mono or stereo: mapping family 0.

    The pre-skip is 0: what comes by RTP has no beginning that a decoder should leave out.
    """
    version, pre_skip, gain, family = 1, 0, 0, 0
    return struct.pack("<8sBBHIhB", b"OpusHead", version, channels, pre_skip, SAMPLE_RATE, gain, family)


def concealment_packet(previous: bytes) -> bytes:
    """20 ms that have a decoder conceal the loss of what came behind `previous`: a frame of no bytes.

    RFC 7845, section 4.1: a muxer should put such packets where some are missing, with the mode, bandwidth
    and channels of the packet before.
    """
    config = previous[0] >> 3
    if config < 12:  # SILK-only.
        config = config & ~3 | 1
    elif config < 16:  # Hybrid.
        config |= 1
    else:  # CELT-only.
        config |= 3
    return bytes((config << 3 | previous[0] & STEREO,))


def packet_duration(payload: bytes) -> int:
    """Samples at 48 kHz that the packet decodes to: 120 to 5760. ParseError(OPUS_MALFORMED).

    A packet of the TOC byte alone is well formed: a frame of no bytes, as sent in discontinuous transmission.
    """
    # RFC 6716, section 3.4, R1: "Packets are at least one byte."
    if not payload:
        raise _malformed("no TOC byte")
    toc = payload[0]
    samples = FRAME_SAMPLES[toc >> 3]
    code = toc & 0x03
    if code == 0:
        _check_frame(len(payload) - 1)
        return samples
    if code == 1:
        _check_equal_frames(len(payload) - 1, 2)
        return samples * 2
    if code == 2:
        _check_code_2(payload)
        return samples * 2
    return samples * _check_code_3(payload, MAX_PACKET_SAMPLES // samples)


def _malformed(detail: str) -> ParseError:
    return ParseError(DropReason.OPUS_MALFORMED, detail)


def _check_frame(size: int) -> None:
    if not 0 <= size <= MAX_FRAME_BYTES:
        raise _malformed("a frame of impossible size")


def _check_equal_frames(size: int, count: int) -> None:
    """R3 and R6: the bytes of `count` frames of one size divide evenly."""
    if size < 0 or size % count:
        raise _malformed("frames of one size do not divide the packet")
    _check_frame(size // count)


def _frame_length(payload: bytes, position: int) -> tuple[int, int]:
    """A frame length (section 3.2.1) and the position behind it."""
    if position >= len(payload):
        raise _malformed("a frame length is missing")
    first = payload[position]
    # "252...255: A second byte is needed. The total length is (second_byte*4)+first_byte."
    if first < 252:
        return first, position + 1
    if position + 1 >= len(payload):
        raise _malformed("a frame length is cut")
    return payload[position + 1] * 4 + first, position + 2


def _check_code_2(payload: bytes) -> None:
    """Two frames, the first with its length (section 3.2.4, R4)."""
    first, position = _frame_length(payload, 1)
    _check_frame(first)
    _check_frame(len(payload) - position - first)


def _check_code_3(payload: bytes, max_frames: int) -> int:
    """The frame count of a packet with a frame count byte (section 3.2.5, R5 to R7)."""
    if len(payload) < 2:
        raise _malformed("no frame count byte")
    count = payload[1] & 0x3F
    if not 0 < count <= max_frames:
        raise _malformed("no frames, or more than 120 ms")
    position, padding = _padding(payload) if payload[1] & 0x40 else (2, 0)
    if payload[1] & 0x80:
        for _ in range(count - 1):
            size, position = _frame_length(payload, position)
            _check_frame(size)
            padding += size
        _check_frame(len(payload) - position - padding)
    else:
        _check_equal_frames(len(payload) - position - padding, count)
    return count


def _padding(payload: bytes) -> tuple[int, int]:
    """Where the padding length ends, and how many bytes of padding it announces."""
    position = 2
    total = 0
    # A byte of 255 stands for 254 bytes of padding and says that another byte follows.
    while position < len(payload) and payload[position] == 255:
        total += 254
        position += 1
    if position == len(payload):
        raise _malformed("the padding length is cut")
    return position + 1, total + payload[position]
