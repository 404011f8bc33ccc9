import itertools
import math
import operator
from array import array
from collections.abc import Callable, Iterable
from fractions import Fraction
from random import Random

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.media.sounds import frame_of

from whipway.failures import DropReason, ParseError
from whipway.media import transcoder as transcoder_module
from whipway.media.opus import SILENCE, STEREO
from whipway.media.stereo_encoder import StereoEncoder
from whipway.media.transcoder import AacFrame, Transcoder
from whipway.media.unit import AudioFrame

RATE = 48_000
PACKET = 960
PACKET_US = 20_000
FRAME_US = 1024 * 1_000_000 / RATE
START_US = 5_000_000

Sound = Callable[[int], float]
"""A sample by its number."""


def tone(frequency: float, level: float = 0.4) -> Sound:
    return lambda index: level * math.sin(2 * math.pi * frequency * index / RATE)


def burst(start: int, frequency: float = 1000.0, length: int = 480) -> Sound:
    """Silence with one short tone."""
    wave = tone(frequency, 0.6)
    return lambda index: wave(index) if start <= index < start + length else 0.0


def sound_frame(samples: array, channels: int, position: int = 0) -> av.AudioFrame:
    """Planar samples, the same in each channel."""
    layout = "stereo" if channels == 2 else "mono"
    frame = av.AudioFrame(format="fltp", layout=layout, samples=len(samples))
    frame.sample_rate = RATE
    frame.pts = position
    frame.time_base = Fraction(1, RATE)
    for plane in frame.planes:
        plane.update(samples.tobytes())
    return frame


def opus(sound: Sound, packets: int, channels: int = 2, bitrate: int = 96_000, **options: str) -> list[bytes]:
    """Opus packets of 20 ms, as a browser sends them."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate = RATE
    encoder.layout = "stereo" if channels == 2 else "mono"
    encoder.format = "flt"
    encoder.bit_rate = bitrate
    encoder.options = options
    payloads: list[bytes] = []
    for number in range(packets):
        samples = array("f", (sound(number * PACKET + index) for index in range(PACKET)))
        frame = sound_frame(samples, channels, number * PACKET)
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads[:packets]


def frames(payloads: Iterable[bytes], start_us: int = START_US) -> list[AudioFrame]:
    return [
        AudioFrame(number * PACKET, payload, start_us + number * PACKET_US)
        for number, payload in enumerate(payloads)
    ]


def run(transcoder: Transcoder, audio: Iterable[AudioFrame]) -> list[AacFrame]:
    out = [aac for frame in audio for aac in transcoder.transcode(frame)]
    return out + transcoder.flush()


def decode(
    codec: str, payloads: Iterable[bytes], channels: int, extradata: bytes | None = None
) -> list[array]:
    """Each channel's samples."""
    decoder = av.AudioCodecContext.create(codec, "r")
    decoder.sample_rate = RATE
    decoder.layout = "stereo" if channels == 2 else "mono"
    decoder.extradata = extradata
    out = [array("f") for _ in range(channels)]
    for payload in payloads:
        for frame in decoder.decode(av.Packet(payload)):
            assert (frame.format.name, frame.sample_rate, len(frame.planes)) == ("fltp", RATE, channels)
            for channel, plane in zip(out, frame.planes, strict=True):
                channel.frombytes(bytes(plane)[: frame.samples * 4])
    return out


def decode_aac(transcoder: Transcoder, aac: list[AacFrame], channels: int = 2) -> list[array]:
    return decode("aac", [frame.payload for frame in aac], channels, transcoder.config)


def level(samples: array, start: int, stop: int) -> float:
    """Root mean square."""
    return math.sqrt(sum(sample * sample for sample in samples[start:stop]) / (stop - start))


def lag(reference: array, delayed: array, start: int, length: int, reach: int) -> int:
    """By how many samples `delayed` is behind `reference` around the given place."""

    def likeness(shift: int) -> float:
        window = delayed[start + shift : start + shift + length]
        return sum(map(operator.mul, reference[start : start + length], window))

    return max(range(-reach, reach + 1), key=likeness)


@pytest.fixture(scope="module")
def music() -> list[bytes]:
    return opus(tone(440), 25)


@pytest.mark.parametrize(("channels", "config"), [(1, b"\x11\x88"), (2, b"\x11\x90")])
def test_the_config(channels: int, config: bytes):
    assert Transcoder(bitrate=64_000, channels=channels).config == config


@pytest.mark.parametrize(
    ("channels", "packets"),
    [
        (2, {"channels": 2}),
        (2, {"channels": 1}),
        (1, {"channels": 1}),
        (1, {"channels": 2}),
        (2, {"channels": 1, "bitrate": 12_000, "application": "voip"}),
        (2, {"channels": 2, "bitrate": 28_000, "application": "voip"}),
    ],
    ids=["stereo", "mono to stereo", "mono", "stereo to mono", "SILK", "hybrid"],
)
def test_sound_comes_out_at_the_time_it_went_in(channels: int, packets: dict[str, object]):
    start = 9 * PACKET + 100
    payloads = opus(burst(start), 18, **packets)
    transcoder = Transcoder(bitrate=128_000, channels=channels)
    aac = run(transcoder, frames(payloads))
    assert aac[0].time_us == START_US
    heard = decode_aac(transcoder, aac, channels)
    # What the Opus packets alone sound like, on the same timeline.
    reference = decode("opus", payloads, channels)
    for expected, actual in zip(reference, heard, strict=True):
        assert level(expected, start + 300, start + 800) > 0.2
        # 1 ms is 48 samples, but so is a period of the tone: the search stays below, and the edges tell.
        assert abs(lag(expected, actual, start - 500, 2000, 40)) <= 2
        for place in (start - 1100, start, start + 500, start + 1600):
            wanted = level(expected, place, place + 500)
            assert level(actual, place, place + 500) == pytest.approx(wanted, abs=0.03)


def test_times_are_a_row_of_1024_samples(music: list[bytes]):
    aac = run(Transcoder(bitrate=128_000), frames(music))
    assert len(aac) == math.ceil(len(music) * PACKET / 1024)
    for number, frame in enumerate(aac):
        assert frame.time_us == int(START_US + number * FRAME_US)


def test_mono_and_stereo_silk_and_celt_in_one_stream(music: list[bytes]):
    voice = opus(tone(440), 10, channels=1, bitrate=12_000, application="voip")
    mono = opus(tone(440), 10, channels=1)
    transcoder = Transcoder(bitrate=128_000)
    aac = run(transcoder, frames(music[:10] + voice + mono + music[10:20]))
    assert len(aac) == math.ceil(40 * PACKET / 1024)
    for channel in decode_aac(transcoder, aac):
        for packet in (5, 15, 25, 35):
            # A tone of 0.4 at its peaks.
            assert level(channel, packet * PACKET, (packet + 3) * PACKET) == pytest.approx(0.28, abs=0.03)


def test_jitter_changes_nothing(music: list[bytes]):
    steady, jittery = frames(music), frames(music)
    for number, frame in enumerate(jittery[1:]):
        frame.time_us += (-39_000, 0, 39_000)[number % 3]
    assert run(Transcoder(bitrate=128_000), jittery) == run(Transcoder(bitrate=128_000), steady)


def shifted(music: list[bytes], by_us: int) -> list[AudioFrame]:
    """25 packets; from the tenth on their times are off by so much."""
    audio = frames(music)
    for frame in audio[10:]:
        frame.time_us += by_us
    return audio


def assert_row(aac: list[AacFrame]) -> None:
    steps = {after.time_us - before.time_us for before, after in itertools.pairwise(aac)}
    assert steps <= {int(FRAME_US), math.ceil(FRAME_US)}


@pytest.mark.parametrize("gap_us", [41_000, 500_000, 2_500_000])
def test_a_hole_is_filled_with_silence(music: list[bytes], gap_us: int):
    transcoder = Transcoder(bitrate=128_000)
    aac = run(transcoder, shifted(music, gap_us))
    assert_row(aac)
    gap = gap_us * RATE // 1_000_000
    assert len(aac) == math.ceil((25 * PACKET + gap) / 1024)
    edge = 10 * PACKET
    for channel in decode_aac(transcoder, aac):
        assert level(channel, edge - 1000, edge - 200) > 0.25
        assert level(channel, edge + 300, edge + gap - 300) < 0.02
        assert level(channel, edge + gap + 200, edge + gap + 1000) > 0.25


def test_a_hole_of_exactly_40_ms_is_within_the_tolerance(music: list[bytes]):
    aac = run(Transcoder(bitrate=128_000), shifted(music, 40_000))
    assert len(aac) == math.ceil(25 * PACKET / 1024)


def test_a_hole_of_10_s_is_still_filled(music: list[bytes]):
    aac = run(Transcoder(bitrate=128_000), shifted(music, 10_000_000))
    assert_row(aac)
    assert len(aac) == math.ceil((25 * PACKET + 10 * RATE) / 1024)


def test_a_longer_hole_is_a_new_beginning(music: list[bytes]):
    aac = run(Transcoder(bitrate=128_000), shifted(music, 10_001_000))
    assert len(aac) == math.ceil(25 * PACKET / 1024)
    seam_us = START_US + 10 * PACKET_US
    before = [frame for frame in aac if frame.time_us < seam_us]
    after = aac[len(before) :]
    assert_row(before)
    assert_row(after)
    # The frame across the seam began before it; the next one has its place on the new timeline.
    assert seam_us + 10_001_000 <= after[0].time_us < seam_us + 10_001_000 + FRAME_US


def test_sound_that_comes_too_early_is_left_out(music: list[bytes]):
    aac = run(Transcoder(bitrate=128_000), shifted(music, -200_000))
    assert_row(aac)
    # Packets are left out until one is at most 40 ms early.
    assert len(aac) == math.ceil((25 - 8) * PACKET / 1024)


def test_sound_that_falls_far_behind_goes_on_where_the_row_ends(music: list[bytes]):
    steady = run(Transcoder(bitrate=128_000), frames(music))
    assert run(Transcoder(bitrate=128_000), shifted(music, -3_600_000_000)) == steady
    # Later times count from there.
    audio = shifted(music, -3_600_000_000)
    for frame in audio[20:]:
        frame.time_us += 500_000
    assert len(run(Transcoder(bitrate=128_000), audio)) == math.ceil((25 * PACKET + RATE // 2) / 1024)
    # Up to 10 s it is waited for.
    assert len(run(Transcoder(bitrate=128_000), shifted(music, -10_000_000))) == math.ceil(10 * PACKET / 1024)


def test_a_slow_sender_clock_is_followed(music: list[bytes]):
    audio = frames(music * 4)
    for number, frame in enumerate(audio):
        # 5 % slow: 100 packets last 2.1 s.
        frame.time_us = START_US + number * 21_000
    aac = run(Transcoder(bitrate=128_000), audio)
    assert_row(aac)
    assert abs(aac[-1].time_us + FRAME_US - (START_US + 100 * 21_000)) < 40_000 + FRAME_US


@settings(max_examples=15, deadline=None)
@given(st.lists(st.one_of(st.integers(-200_000, 200_000), st.integers(-(10**8), 10**8)), max_size=10))
def test_times_never_decrease(music: list[bytes], jumps: list[int]):
    audio = frames(music[:10])
    for frame, jump in zip(audio, jumps, strict=False):
        frame.time_us += jump
    times = [frame.time_us for frame in run(Transcoder(bitrate=64_000, channels=1), audio)]
    assert times == sorted(times)


# What a stream goes through. Times as the clock of the packets gives them; the row must follow.


def packets_of(duration_ms: float, channels: int, count: int = 8) -> list[bytes]:
    """Opus packets of this duration."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate = RATE
    encoder.layout = "stereo" if channels == 2 else "mono"
    encoder.format = "flt"
    encoder.options = {"frame_duration": str(duration_ms)}
    samples = array("f", map(tone(440), range(int(duration_ms * 48) * (count + 2))))
    return [bytes(packet) for packet in encoder.encode(sound_frame(samples, channels))][:count]


DURATIONS_MS = (2.5, 5, 10, 20, 40, 60, 120)


@pytest.fixture(scope="module")
def mixture() -> list[tuple[int, bytes]]:
    """Packets of every duration, in us, mono and stereo, shuffled."""
    kinds = [
        (int(duration * 1000), payload)
        for duration in DURATIONS_MS
        for channels in (1, 2)
        for payload in packets_of(duration, channels)
    ]
    Random(1).shuffle(kinds)
    return kinds


Packets = list[tuple[int, int, bytes]]
"""Time, duration in us, payload."""


def in_a_row(kinds: Iterable[tuple[int, bytes]], start_us: int = START_US) -> Packets:
    packets: Packets = []
    for duration_us, payload in kinds:
        packets.append((start_us, duration_us, payload))
        start_us += duration_us
    return packets


def follow(transcoder: Transcoder, packets: Packets) -> list[AacFrame]:
    """Transcodes; after each packet the row ends within 40 ms of where that packet does."""
    out: list[AacFrame] = []
    start = packets[0][0] * RATE // 1_000_000
    fed = 0
    for time_us, duration_us, payload in packets:
        aac = transcoder.transcode(AudioFrame(0, payload, time_us))
        out += aac
        assert transcoder._row.position is not None
        row_end_us = transcoder._row.position * 1_000_000 / RATE
        assert abs(row_end_us - (time_us + duration_us)) <= 40_000 + 1
        fed = transcoder._row.position - start
        # No more than two frames wait inside the encoder.
        assert fed - 3 * 1024 <= len(out) * 1024 <= fed
    out += transcoder.flush()
    # Multiples of 1024 samples, to the last one.
    begun = packets[0][0] * RATE // 1_000_000
    assert [frame.time_us for frame in out] == [
        (begun + 1024 * number) * 1_000_000 // RATE for number in range(len(out))
    ]
    assert len(out) == math.ceil(fed / 1024)
    return out


def test_packets_of_every_duration_and_number_of_channels(mixture: list[tuple[int, bytes]]):
    follow(Transcoder(bitrate=128_000), in_a_row(mixture))


@pytest.mark.parametrize("burst", [1, 2, 5, 40])
def test_lost_packets(mixture: list[tuple[int, bytes]], burst: int):
    chance = Random(burst)
    packets = in_a_row(mixture)
    lost: set[int] = set()
    while len(lost) < len(packets) // 4:
        first = chance.randrange(1, len(packets))
        lost.update(range(first, first + burst))
    follow(Transcoder(bitrate=128_000), [one for number, one in enumerate(packets) if number not in lost])


def test_discontinuous_transmission_for_minutes_and_back(music: list[bytes]):
    """A packet every 400 ms, of one byte or of comfort noise, and whole seconds without any."""
    speech = [(PACKET_US, payload) for payload in music[:10]]
    packets = in_a_row(speech)
    for number in range(300):
        payload = music[0][:1] if number % 3 else music[0]
        packets.append((START_US + 200_000 + number * 400_000, PACKET_US, payload))
    packets = [one for number, one in enumerate(packets) if number % 40 < 30]
    packets += in_a_row(speech, START_US + 200_000 + 300 * 400_000)
    follow(Transcoder(bitrate=64_000, channels=1), packets)


def test_mute_for_minutes_and_back(music: list[bytes]):
    """Who sends nothing while muted gets silence from picture to picture."""
    transcoder = Transcoder(bitrate=64_000, channels=1)
    back_us = START_US + 180_000_000
    aac = [frame for packet in frames(music) for frame in transcoder.transcode(packet)]
    aac += fill(transcoder, back_us, START_US + 1_500_000, 100_000)
    aac += run(transcoder, frames(music, back_us))
    assert_row(aac)
    assert abs(aac[-1].time_us + FRAME_US - (back_us + len(music) * PACKET_US)) < 40_000 + FRAME_US


def test_a_row_that_is_two_days_old(mixture: list[tuple[int, bytes]]):
    """Positions have passed 32 bits by then."""
    follow(Transcoder(bitrate=64_000), in_a_row(mixture, 48 * 3_600_000_000))


def test_hours_of_a_clock_that_drifts(music: list[bytes]):
    """Three hours of 200 ppm are 2.2 s: as much in 20 s of packets that come too far apart, or too near."""
    for sign in (1, -1):
        packets = [
            (START_US + number * (PACKET_US + sign * 2160), PACKET_US, music[number % len(music)])
            for number in range(1000)
        ]
        follow(Transcoder(bitrate=64_000, channels=1), packets)


# Silence that is asked for.


def fill(
    transcoder: Transcoder, stop_us: int, start_us: int = START_US, step_us: int = 40_000
) -> list[AacFrame]:
    """Filled up from picture to picture."""
    steps = range(start_us, stop_us + 1, step_us)
    return [frame for until_us in steps for frame in transcoder.fill(until_us, START_US)]


def test_silence_for_a_row_without_sound(music: list[bytes]):
    transcoder = Transcoder(bitrate=128_000)
    aac = fill(transcoder, START_US + 2_000_000)
    assert_row(aac)
    assert aac[0].time_us == START_US
    assert START_US + 1_900_000 < aac[-1].time_us < START_US + 2_000_000
    assert all(level(channel, 0, len(channel)) == 0 for channel in decode_aac(transcoder, aac))
    assert transcoder.fill(START_US + 1_000_000, START_US) == []


def test_sound_after_silence_has_its_time(music: list[bytes]):
    transcoder = Transcoder(bitrate=128_000)
    aac = fill(transcoder, START_US + 1_000_000)
    aac += run(transcoder, frames(music, START_US + 1_500_000))
    assert_row(aac)
    edge = 3 * RATE // 2
    for channel in decode_aac(transcoder, aac):
        assert level(channel, 0, edge - 200) < 0.02
        assert level(channel, edge + 500, edge + 2000) > 0.25


def test_sound_from_before_the_end_of_the_silence_is_left_out(music: list[bytes]):
    transcoder = Transcoder(bitrate=128_000)
    aac = fill(transcoder, START_US + 1_000_000)
    aac += run(transcoder, frames(music, START_US + 800_000))
    assert_row(aac)
    # Packets are left out until one is at most 40 ms early.
    assert len(aac) == math.ceil((RATE + (25 - 8) * PACKET) / 1024)


@pytest.mark.parametrize(("missing_us", "filled"), [(10_000_000, True), (10_000_021, False)])
def test_at_most_10_s_are_filled_at_once(missing_us: int, filled: bool):
    transcoder = Transcoder(bitrate=128_000)
    first = transcoder.fill(START_US + missing_us, START_US)
    assert (len(first) > 460) is filled
    later = transcoder.fill(START_US + missing_us + 200_000, START_US)
    assert_row(later)
    assert later[-1].time_us + FRAME_US <= START_US + missing_us + 200_001


# Bytes that are not Opus.


@pytest.mark.parametrize("payload", [b"", b"\x03", b"\xff\x00", b"\xfb", b"\xfe\xfc"])
def test_a_malformed_packet_is_refused_and_the_next_one_is_heard(music: list[bytes], payload: bytes):
    transcoder = Transcoder(bitrate=128_000)
    audio = frames(music)
    aac = [frame for packet in audio[:10] for frame in transcoder.transcode(packet)]
    with pytest.raises(ParseError) as error:
        transcoder.transcode(AudioFrame(0, payload, audio[10].time_us))
    assert error.value.reason == DropReason.OPUS_MALFORMED
    # One packet of 20 ms is missing now, which is within the tolerance.
    aac += run(transcoder, audio[11:])
    assert len(aac) == math.ceil(24 * PACKET / 1024)
    assert level(decode_aac(transcoder, aac)[0], 12 * PACKET, 20 * PACKET) == pytest.approx(0.28, abs=0.02)


def test_discontinuous_transmission_is_silence(music: list[bytes]):
    transcoder = Transcoder(bitrate=128_000)
    toc = music[0][:1]
    aac = run(transcoder, frames([*music[:5], *[toc] * 10, *music[5:10]]))
    assert len(aac) == math.ceil(20 * PACKET / 1024)
    assert level(decode_aac(transcoder, aac)[0], 7 * PACKET, 13 * PACKET) < 0.01


@pytest.fixture(scope="module")
def hostile() -> Transcoder:
    return Transcoder(bitrate=128_000)


LOUD = st.integers(0, 255).map(lambda toc: bytes((toc,)) + b"\xff" * 90)


@settings(max_examples=60, deadline=None)
@given(payload=st.one_of(st.binary(max_size=60), LOUD))
def test_any_bytes_transcode_or_raise(hostile: Transcoder, payload: bytes):
    try:
        for frame in hostile.transcode(AudioFrame(0, payload, 0)):
            # ISO/IEC 14496-3, 4.5.3.1: 6144 bits for each channel.
            assert 0 < len(frame.payload) <= 1536
    except ParseError as error:
        assert error.reason == DropReason.OPUS_MALFORMED


# Silence, and sound of one channel, for less.


class Watched:
    """A decoder that counts."""

    def __init__(self, decoder: av.AudioCodecContext) -> None:
        self._decoder = decoder
        self.runs = 0

    def decode(self, packet: av.Packet) -> list[av.AudioFrame]:
        self.runs += 1
        return self._decoder.decode(packet)


def speech(packets: int, channels: int) -> list[bytes]:
    return opus(tone(300), packets, channels=channels, bitrate=14_000 * channels, application="voip")


QUIET = {
    "stereo": (SILENCE, 2),
    "mono": (bytes((SILENCE[0] & ~STEREO, *SILENCE[1:])), 1),
    "nothing": (b"\xfc", 2),
}
"""Packets of digital silence, and the channels of those around them. In SILK there is no such."""


@pytest.mark.parametrize(("packet", "channels"), QUIET.values(), ids=QUIET)
@pytest.mark.parametrize("kind", ["music", "speech"])
def test_silence_is_not_even_decoded(
    packet: bytes, channels: int, kind: str, monkeypatch: pytest.MonkeyPatch
):
    sounds = speech(20, channels) if kind == "speech" else opus(tone(440), 20, channels)
    sent = frames([*sounds[:10], *[packet] * 200, *sounds[10:]])
    out = []
    for count in (transcoder_module.QUIET_PACKETS, 1000):
        monkeypatch.setattr(transcoder_module, "QUIET_PACKETS", count)
        transcoder = Transcoder(bitrate=128_000)
        decoder = Watched(transcoder._decoder)
        transcoder._decoder = decoder  # type: ignore[assignment]
        out.append(run(transcoder, sent))
        assert decoder.runs < 50 if count < 200 else decoder.runs == 220
    assert out[0] == out[1]


def test_silence_of_different_packets_is_decoded():
    transcoder = Transcoder(bitrate=128_000)
    decoder = Watched(transcoder._decoder)
    transcoder._decoder = decoder  # type: ignore[assignment]
    packets = [packet for packet, _ in QUIET.values()]
    aac = run(transcoder, frames(packets * 20))
    assert decoder.runs == len(packets) * 20
    assert len(aac) == math.ceil(len(packets) * 20 * PACKET / 1024)
    assert not any(map(any, decode_aac(transcoder, aac)))


def test_a_packet_that_is_refused_ends_the_silence():
    transcoder = Transcoder(bitrate=128_000)
    decoder = Watched(transcoder._decoder)
    transcoder._decoder = decoder  # type: ignore[assignment]
    silence = frames([SILENCE] * 50)
    run_all = [transcoder.transcode(frame) for frame in silence[:25]]
    assert decoder.runs < 10 and len(run_all) == 25
    with pytest.raises(ParseError):
        transcoder.transcode(AudioFrame(0, b"\x03", silence[25].time_us))
    runs = decoder.runs
    transcoder.transcode(silence[26])
    assert decoder.runs == runs + 1


@pytest.mark.parametrize("channels", [1, 2])
def test_one_channel_is_encoded_as_long_as_there_is_no_other(music: list[bytes], channels: int):
    """Whether packets say so or not; the configuration never changes."""
    transcoder = Transcoder(bitrate=128_000)
    mono = opus(tone(440), 25, channels=channels)
    aac = [frame for packet in frames(mono) for frame in transcoder.transcode(packet)]
    assert isinstance(transcoder._encoder, StereoEncoder)
    assert transcoder._encoder._both is None
    payloads = wide(25)
    aac += run(transcoder, frames(payloads, START_US + 25 * PACKET_US))
    assert transcoder._encoder._single is None
    assert_row(aac)
    left, right = decode_aac(transcoder, aac)
    assert left[: 20 * PACKET] == right[: 20 * PACKET]
    assert level(left, 30 * PACKET, 45 * PACKET) == pytest.approx(0.28, abs=0.02)
    assert level(right, 30 * PACKET, 45 * PACKET) == pytest.approx(0.14, abs=0.02)


def wide(packets: int) -> list[bytes]:
    """Opus packets with a tone in the left channel and another one, half as loud, in the right."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate = RATE
    encoder.layout = "stereo"
    encoder.format = "flt"
    encoder.bit_rate = 128_000
    payloads: list[bytes] = []
    for number in range(packets):
        rows = [
            array("f", (sound(number * PACKET + index) for index in range(PACKET)))
            for sound in (tone(440), tone(700, 0.2))
        ]
        frame = frame_of(*rows)
        frame.pts = number * PACKET
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads[:packets]
