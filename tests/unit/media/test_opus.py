import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.media.opus import FILLER_SAMPLES, SILENCE, concealment_packet, opus_head, packet_duration

MS = 48


# RFC 6716, Table 2: the first config number of each row and its frame sizes in tenths of a millisecond.
TABLE_2 = [
    (0, "SILK NB", [100, 200, 400, 600]),
    (4, "SILK MB", [100, 200, 400, 600]),
    (8, "SILK WB", [100, 200, 400, 600]),
    (12, "Hybrid SWB", [100, 200]),
    (14, "Hybrid FB", [100, 200]),
    (16, "CELT NB", [25, 50, 100, 200]),
    (20, "CELT WB", [25, 50, 100, 200]),
    (24, "CELT SWB", [25, 50, 100, 200]),
    (28, "CELT FB", [25, 50, 100, 200]),
]


@pytest.mark.parametrize(("first", "_mode", "sizes"), TABLE_2)
def test_frame_sizes(first: int, _mode: str, sizes: list[int]):
    for config, size in enumerate(sizes, first):
        toc = config << 3
        assert packet_duration(bytes((toc,)) + bytes(10)) == size * MS // 10
        assert packet_duration(bytes((toc | 1,)) + bytes(10)) == 2 * size * MS // 10


CELT_20 = 31 << 3
LARGEST = 1275

WELL_FORMED = [
    ("code 0, one byte: discontinuous transmission", bytes((CELT_20,)), 960),
    ("code 0, largest frame", bytes((CELT_20,)) + bytes(LARGEST), 960),
    ("code 1, two empty frames", bytes((CELT_20 | 1,)), 1920),
    ("code 1, largest frames", bytes((CELT_20 | 1,)) + bytes(2 * LARGEST), 1920),
    ("code 2, short first frame", bytes((CELT_20 | 2, 3)) + bytes(3 + 7), 1920),
    ("code 2, first frame of 252 bytes", bytes((CELT_20 | 2, 252, 0)) + bytes(252), 1920),
    ("code 2, largest first frame", bytes((CELT_20 | 2, 255, 255)) + bytes(LARGEST), 1920),
    ("code 3, CBR, three frames", bytes((CELT_20 | 3, 3)) + bytes(9), 2880),
    ("code 3, 120 ms", bytes((CELT_20 | 3, 6)) + bytes(6), 5760),
    ("code 3, 48 frames of 2.5 ms", bytes((28 << 3 | 3, 48)), 5760),
    ("code 3, CBR, padding", bytes((CELT_20 | 3, 0x42, 5)) + bytes(4 + 5), 1920),
    ("code 3, CBR, long padding", bytes((CELT_20 | 3, 0x41, 255, 255, 1)) + bytes(4 + 254 + 254 + 1), 960),
    ("code 3, VBR", bytes((CELT_20 | 3, 0x83, 1, 2)) + bytes(1 + 2 + 9), 2880),
    ("code 3, VBR, padding", bytes((CELT_20 | 3, 0xC3, 7, 1, 2)) + bytes(1 + 2 + 9 + 7), 2880),
    ("code 3, VBR, one frame", bytes((CELT_20 | 3, 0x81)) + bytes(9), 960),
]


@pytest.mark.parametrize(
    ("payload", "samples"), [row[1:] for row in WELL_FORMED], ids=[r[0] for r in WELL_FORMED]
)
def test_well_formed_packets(payload: bytes, samples: int):
    assert packet_duration(payload) == samples


MALFORMED = [
    ("R1: empty", b""),
    ("R2: code 0, frame too long", bytes((CELT_20,)) + bytes(LARGEST + 1)),
    ("R2: code 1, frames too long", bytes((CELT_20 | 1,)) + bytes(2 * LARGEST + 2)),
    ("R2: code 2, second frame too long", bytes((CELT_20 | 2, 0)) + bytes(LARGEST + 1)),
    ("R3: code 1, odd size", bytes((CELT_20 | 1,)) + bytes(3)),
    ("R4: code 2, no length", bytes((CELT_20 | 2,))),
    ("R4: code 2, cut length", bytes((CELT_20 | 2, 252))),
    ("R4: code 2, first frame beyond the end", bytes((CELT_20 | 2, 9)) + bytes(8)),
    ("R5: code 3, no frames", bytes((CELT_20 | 3, 0)) + bytes(8)),
    ("R5: code 3, 140 ms", bytes((CELT_20 | 3, 7)) + bytes(7)),
    ("R6: code 3, no frame count", bytes((CELT_20 | 3,))),
    ("R6: code 3, uneven", bytes((CELT_20 | 3, 3)) + bytes(8)),
    ("R6: code 3, no padding length", bytes((CELT_20 | 3, 0x41))),
    ("R6: code 3, padding length cut", bytes((CELT_20 | 3, 0x41, 255))),
    ("R6: code 3, padding beyond the end", bytes((CELT_20 | 3, 0x41, 9)) + bytes(8)),
    ("R7: code 3, VBR, lengths cut", bytes((CELT_20 | 3, 0x83, 1))),
    ("R7: code 3, VBR, frames beyond the end", bytes((CELT_20 | 3, 0x83, 4, 4)) + bytes(7)),
]


@pytest.mark.parametrize("payload", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed_packets(payload: bytes):
    with pytest.raises(ParseError) as error:
        packet_duration(payload)
    assert error.value.reason == DropReason.OPUS_MALFORMED


def duration_by_libopus(decoder: av.AudioCodecContext, payload: bytes) -> int | None:
    try:
        return sum(frame.samples for frame in decoder.decode(av.Packet(payload)))
    except av.FFmpegError:
        return None


@pytest.fixture(scope="module")
def libopus() -> av.AudioCodecContext:
    decoder = av.AudioCodecContext.create("libopus", "r")
    decoder.sample_rate = 48000
    decoder.layout = "stereo"
    return decoder


def decoded(codec: str, payloads: list[bytes]) -> list[tuple[int, bytes]]:
    """Samples of each packet, and what they are."""
    decoder = av.AudioCodecContext.create(codec, "r")
    decoder.sample_rate = 48000
    decoder.layout = "stereo"
    packets = [decoder.decode(av.Packet(payload)) for payload in payloads]
    return [(frame.samples, bytes(frame.planes[0])) for frames in packets for frame in frames]


@pytest.mark.parametrize("codec", ["opus", "libopus"])
def test_silence(codec: str):
    assert packet_duration(SILENCE) == FILLER_SAMPLES
    for samples, sound in decoded(codec, [SILENCE] * 3):
        assert samples == FILLER_SAMPLES
        assert not any(sound)


def test_silence_is_what_libopus_makes_of_zeros():
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate = 48000
    encoder.layout = "stereo"
    encoder.format = "flt"
    frame = av.AudioFrame(format="flt", layout="stereo", samples=FILLER_SAMPLES)
    frame.sample_rate = 48000
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    assert [bytes(packet) for packet in encoder.encode(frame)] == [SILENCE]
    # The identification header beside it; a pre-skip is for those who have the beginning.
    head = bytes(encoder.extradata or b"")
    assert opus_head(2) == head[:10] + b"\x00\x00" + head[12:]


def test_identification_header():
    # RFC 7845, section 5.1.
    assert opus_head(1) == b"OpusHead" + bytes.fromhex("01 01 0000 80bb0000 0000 00")


@pytest.mark.parametrize(
    ("config", "expected"),
    [(0, 1), (3, 1), (4, 5), (11, 9), (12, 13), (15, 15), (16, 19), (23, 23), (28, 31)],
)
@pytest.mark.parametrize("stereo", [0, 4])
def test_concealment_has_the_mode_of_the_packet_before(config: int, expected: int, stereo: int):
    for code in range(4):
        packet = concealment_packet(bytes((config << 3 | stereo | code, 1)))
        assert packet == bytes((expected << 3 | stereo,))
        assert packet_duration(packet) == FILLER_SAMPLES


CODE_3 = st.tuples(st.integers(0, 31), st.integers(0, 255), st.binary(max_size=40)).map(
    lambda parts: bytes((parts[0] << 3 | 3, parts[1])) + parts[2]
)


@settings(max_examples=200, deadline=None)
@given(payload=st.one_of(st.binary(min_size=1, max_size=40), CODE_3))
def test_libopus_agrees_on_any_bytes(libopus: av.AudioCodecContext, payload: bytes):
    try:
        duration = packet_duration(payload)
    except ParseError:
        duration = None
    assert duration == duration_by_libopus(libopus, payload)
