"""Through real Opus: what is judged is how its decoder tells one channel from two."""

import math
from array import array
from fractions import Fraction

import av
import pytest
from tests.unit.media.sounds import CLICKS, NOISE, RATE, TONE, Sound, frame_of, samples

from whipway.media.same_channels import MAX_DIFFERING, SameChannels

PACKET = 960
SPEECH: Sound = lambda index: (  # noqa: E731
    math.sin(2 * math.pi * 3 * index / RATE) ** 2
    * sum(
        math.sin(2 * math.pi * (130 * n + 8 * math.sin(index / 9000)) * index / RATE) / n
        for n in (1, 2, 5, 9)
    )
    / 6
    + 0.01 * NOISE(index)
)


def heard(
    left: Sound, right: Sound, bitrate: int, channels: int = 2, gain: float = 1
) -> list[tuple[bytes, bytes]]:
    """Both channels behind Opus, a second of them; the right one at this level."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.bit_rate = RATE, "flt", bitrate
    encoder.layout = "stereo" if channels == 2 else "mono"
    decoder = av.AudioCodecContext.create("opus", "r")
    decoder.sample_rate, decoder.layout = RATE, "stereo"
    out: list[tuple[bytes, bytes]] = []
    for start in range(0, RATE, PACKET):
        rows = [samples(sound, start, start + PACKET) for sound in (left, right)][:channels]
        rows[1:] = [array("f", (gain * sample for sample in row)) for row in rows[1:]]
        frame = frame_of(*rows)
        frame.pts, frame.time_base = start, Fraction(1, RATE)
        for packet in encoder.encode(frame):
            for sound in decoder.decode(packet):
                first, second = sound.planes
                out.append((bytes(first), bytes(second)))
    return out


def taken(packets: list[tuple[bytes, bytes]]) -> int:
    """How many packets are taken for one channel before the first that is not."""
    judge = SameChannels()
    return next((at for at, planes in enumerate(packets) if not judge.takes(*planes)), len(packets))


@pytest.mark.parametrize("bitrate", [32_000, 64_000, 128_000])
@pytest.mark.parametrize("sound", [TONE, CLICKS, SPEECH, NOISE], ids=["tone", "clicks", "speech", "noise"])
def test_one_channel_sent_as_two(sound: Sound, bitrate: int):
    packets = heard(sound, sound, bitrate)
    assert taken(packets) == len(packets)


def test_packets_of_one_channel():
    packets = heard(SPEECH, SPEECH, 32_000, channels=1)
    assert taken(packets) == len(packets)


def test_coders_do_make_differences():
    """What the judge has to bear with."""
    packets = heard(CLICKS, CLICKS, 64_000)
    assert any(left != right for left, right in packets)


@pytest.mark.parametrize("sound", [TONE, CLICKS, SPEECH, NOISE], ids=["tone", "clicks", "speech", "noise"])
def test_the_same_a_little_to_one_side(sound: Sound):
    """By a third of a decibel: too little to be told by level."""
    assert taken(heard(sound, sound, 64_000, gain=0.96)) <= 2 * MAX_DIFFERING


def test_two_sounds_are_told_at_once():
    assert taken(heard(TONE, NOISE, 64_000)) == 0


def floats(*values: float) -> bytes:
    return array("f", values * PACKET).tobytes()


@pytest.mark.parametrize(
    ("left", "right", "is_taken"),
    [
        (0.5, 0.5, True),
        (0.5, 0.48, True),
        # The difference is 20 dB below the sum, and a little more than that.
        (0.5, 0.41, True),
        (0.5, 0.408, False),
        (0.5, -0.5, False),
        # Quieter than -50 dB.
        (0.003, 0.0, True),
        (0.0033, 0.0, False),
        (math.nan, 0.5, True),
        (0.0, 0.0001, True),
        (math.inf, 0.5, True),
    ],
)
def test_what_is_loud_counts_at_once(left: float, right: float, is_taken: bool):
    assert SameChannels().takes(floats(left), floats(right)) is is_taken


def test_differences_are_borne_with_between_equal_packets():
    judge = SameChannels()
    equal, unequal = (floats(0.5), floats(0.5)), (floats(0.5), floats(0.49))
    for _ in range(100):
        assert judge.takes(*unequal)
        assert judge.takes(*equal)
    assert [judge.takes(*unequal) for _ in range(MAX_DIFFERING + 1)] == [True] * MAX_DIFFERING + [False]


@pytest.mark.parametrize(("right", "is_taken"), [(0.4961, True), (0.4959, False)])
def test_a_difference_that_is_not_heard_is_none(right: float, is_taken: bool):
    judge = SameChannels()
    # 48 dB below the sum, and a little more and less than that.
    taken = [judge.takes(floats(0.5), floats(right)) for _ in range(2 * MAX_DIFFERING)]
    assert all(taken) is is_taken
