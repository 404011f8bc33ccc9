"""Any payload has a duration of 2.5 to 120 ms or raises ParseError(OPUS_MALFORMED); frames that are said to
lie in it are not longer than it is."""

from whipway.failures import DropReason, ParseError
from whipway.media.opus import FRAME_SAMPLES, MAX_FRAME_BYTES, MAX_PACKET_SAMPLES, packet_duration


def target(data: bytes) -> bool:
    try:
        samples = packet_duration(data)
    except ParseError as error:
        assert error.reason is DropReason.OPUS_MALFORMED
        return False
    frames, rest = divmod(samples, FRAME_SAMPLES[data[0] >> 3])
    assert rest == 0 and 0 < samples <= MAX_PACKET_SAMPLES
    code = data[0] & 0x03
    assert frames == (data[1] & 0x3F if code == 3 else (1, 2, 2)[code])
    assert code == 3 or len(data) <= frames * MAX_FRAME_BYTES + 3
    return True


def seeds() -> list[bytes]:
    toc = 31 << 3 | 4
    frame = bytes(range(40))
    return [
        bytes((toc,)),
        bytes((toc,)) + frame,
        bytes((toc | 1,)) + frame + frame,
        bytes((toc | 2, 40)) + frame + frame,
        bytes((toc | 2, 252, 1)) + bytes(256) + frame,
        bytes((toc | 3, 3)) + frame * 3,
        bytes((toc | 3, 0x80 | 3, 40, 39)) + frame * 3,
        bytes((toc | 3, 0x40 | 2, 255, 3)) + frame * 2 + bytes(257),
        bytes((3, 0xC0 | 12, 2, *range(11))) + frame * 2,
    ]
