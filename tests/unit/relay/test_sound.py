"""Sound alone, and what programs that users have make of it, in FLV files."""

import itertools
import json
import math
import shutil
import subprocess
from array import array
from collections import Counter
from pathlib import Path

import imageio_ffmpeg
import pytest
from tests.peers import h264, opus
from tests.unit.relay.tagging import flv_file

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.aac import audio_specific_config
from whipway.media.opus import SILENCE, opus_head
from whipway.media.transcoder import AacFrame, Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.relay.muxer import Muxer
from whipway.relay.sound import Sound, SoundBody
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat, Tag

AAC = AudioFormat(AudioCodec.AAC, 64_000)
AAC_BETTER = AudioFormat(AudioCodec.AAC, 128_000)
START_US = 7_000_000
CONCEALMENT = b"\xfc"
"""Full-band CELT, stereo, 20 ms, as the packets before it."""


class Refusing(Transcoder):
    def transcode(self, frame: AudioFrame) -> list[AacFrame]:
        raise ParseError(DropReason.OPUS_MALFORMED)


def make_sound(*formats: AudioFormat, start_us: int = START_US) -> Sound:
    sound = Sound(lambda bitrate: Transcoder(bitrate=bitrate), Counter())
    sound.set_formats(formats)
    assert sound.open(start_us) == sorted(formats)
    return sound


def packet(payload: bytes, at_ms: float = 0.0) -> AudioFrame:
    return AudioFrame(0, payload, START_US + round(at_ms * 1000))


def push(sound: Sound, *packets: AudioFrame) -> list[SoundBody]:
    return [body for one in packets for body in sound.push(one)]


def times_ms(bodies: list[SoundBody]) -> list[float]:
    return [(body.time_us - START_US) / 1000 for body in bodies]


def packets_of(bodies: list[SoundBody]) -> list[bytes]:
    assert all(body.body.startswith(b"\x91Opus") for body in bodies)
    return [body.body[5:] for body in bodies]


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    """A second; full-band CELT in stereo."""
    payloads = opus.encode(50)
    assert {payload[:1] for payload in payloads} == {CONCEALMENT}
    return payloads


# Formats.


def test_headers_of_each_format():
    sound = make_sound(AAC, OPUS)
    assert sound.header(AAC) == b"\xaf\x00" + audio_specific_config(48_000, 2)
    assert sound.header(OPUS) == b"\x90Opus" + opus_head(2)


def test_one_transcoder_for_each_bitrate_and_none_for_opus(sounds: list[bytes]):
    made: list[int] = []

    def make_transcoder(bitrate: int) -> Transcoder:
        made.append(bitrate)
        return Transcoder(bitrate=bitrate)

    sound = Sound(make_transcoder, Counter())
    sound.set_formats([OPUS, OPUS])
    assert sound.open(START_US) == [OPUS]
    assert made == []
    sound.set_formats([AAC, OPUS, AAC_BETTER, AAC])
    assert sound.formats == (AAC, AAC_BETTER, OPUS)
    assert sound.open(START_US) == [AAC, AAC_BETTER]
    assert sound.open(START_US) == []
    assert sorted(made) == [64_000, 128_000]
    bodies = push(sound, *(packet(payload, 20 * number) for number, payload in enumerate(sounds)))
    by_format = Counter(body.audio for body in bodies)
    assert by_format[OPUS] == len(sounds)
    assert by_format[AAC] == by_format[AAC_BETTER] > 40


def test_whether_anything_is_transcoded():
    sound = Sound(lambda bitrate: Transcoder(bitrate=bitrate), Counter())
    sound.set_formats([AAC, OPUS])
    # Wanted, but not made yet.
    assert not sound.transcodes
    sound.open(START_US)
    assert sound.transcodes
    sound.set_formats([OPUS])
    assert not sound.transcodes
    sound.set_formats([])
    assert not sound.transcodes


def test_what_nobody_wants_is_gone_and_comes_back_anew(sounds: list[bytes]):
    sound = make_sound(AAC, OPUS)
    before = push(sound, *(packet(payload, 20 * number) for number, payload in enumerate(sounds[:10])))
    sound.set_formats([OPUS])
    between = push(sound, *(packet(payload, 200 + 20 * n) for n, payload in enumerate(sounds[10:20])))
    assert {body.audio for body in between} == {OPUS}
    sound.set_formats([OPUS, AAC])
    assert sound.open(START_US + 400_000) == [AAC]
    after = push(sound, *(packet(payload, 400 + 20 * n) for n, payload in enumerate(sounds[20:])))
    aac = [body for body in after if body.audio == AAC]
    assert times_ms(aac)[0] == 400
    assert aac[0].time_us > max(body.time_us for body in before if body.audio == AAC)
    assert times_ms([body for body in [*before, *between, *after] if body.audio == OPUS]) == [
        20.0 * number for number in range(50)
    ]


def test_without_a_format_nothing_comes(sounds: list[bytes]):
    sound = make_sound()
    assert push(sound, packet(sounds[0])) == sound.fill(START_US + 1_000_000) == sound.flush() == []


def test_the_end_gives_what_the_encoder_holds(sounds: list[bytes]):
    sound = make_sound(AAC, OPUS)
    bodies = push(sound, *(packet(payload, 20 * number) for number, payload in enumerate(sounds)))
    rest = sound.flush()
    assert {body.audio for body in rest} == {AAC}
    aac = [body for body in [*bodies, *rest] if body.audio == AAC]
    assert len(aac) == math.ceil(len(sounds) * 960 / 1024)


# Wrong packets.


def test_a_packet_that_is_not_opus_reaches_nobody(sounds: list[bytes]):
    sound = make_sound(AAC, OPUS)
    with pytest.raises(ParseError) as error:
        sound.push(packet(b""))
    assert error.value.reason is DropReason.OPUS_MALFORMED


def test_what_encoders_refuse_is_counted_once_and_passes_all_the_same(sounds: list[bytes]):
    drops: Counter[DropReason] = Counter()
    sound = Sound(lambda bitrate: Refusing(bitrate=bitrate), drops)
    sound.set_formats([AAC, AAC_BETTER, OPUS])
    sound.open(START_US)
    assert packets_of(push(sound, packet(sounds[0]))) == sounds[:1]
    assert drops == {DropReason.OPUS_MALFORMED: 1}


# Opus as it comes.


def test_packets_pass_unchanged_and_one_behind_the_other(sounds: list[bytes]):
    sound = make_sound(OPUS)
    jitter = itertools.cycle([0.0, 9.9, -9.9])
    bodies = push(sound, *(packet(p, 20 * n + next(jitter)) for n, p in enumerate(sounds)))
    assert packets_of(bodies) == sounds
    assert times_ms(bodies) == [20.0 * number for number in range(50)]


def test_durations_are_those_of_the_packets():
    sound = make_sound(OPUS)
    # 60 ms of SILK, 2.5 ms of CELT, three CELT frames of 20 ms.
    payloads = [bytes((3 << 3,)) + bytes(9), bytes((28 << 3,)) + bytes(9), bytes((31 << 3 | 3, 3)) + bytes(9)]
    bodies = push(sound, packet(payloads[0]), packet(payloads[1], 60), packet(payloads[2], 62.5))
    bodies += push(sound, packet(payloads[1], 122.5))
    assert times_ms(bodies) == [0, 60, 62.5, 122.5]


@pytest.mark.parametrize(("lost", "concealed", "silent"), [(1, 1, 0), (2, 2, 0), (20, 20, 0), (30, 20, 10)])
def test_missing_packets_are_concealed(sounds: list[bytes], lost: int, concealed: int, silent: int):
    sound = make_sound(OPUS)
    bodies = push(sound, packet(sounds[0]), packet(sounds[1], 20 + 20 * lost))
    assert packets_of(bodies) == [sounds[0], *[CONCEALMENT] * concealed, *[SILENCE] * silent, sounds[1]]
    assert times_ms(bodies) == [20.0 * number for number in range(lost + 2)]


def test_what_is_concealed_follows_the_last_packet_that_came():
    sound = make_sound(OPUS)
    narrow = bytes((1 << 3,)) + bytes(9)  # SILK, narrow-band, mono, 20 ms.
    push(sound, packet(narrow))
    assert sound.fill(START_US + 20_000) == []
    assert packets_of(push(sound, packet(narrow, 40))) == [narrow[:1], narrow]


def test_holes_that_are_no_multiple_of_a_packet_do_not_add_up(sounds: list[bytes]):
    sound = make_sound(OPUS)
    bodies = push(sound, *(packet(sounds[0], 33 * number) for number in range(100)))
    assert times_ms(bodies) == [20.0 * number for number in range(len(bodies))]
    assert abs(times_ms(bodies)[-1] - 33 * 99) <= 10


def test_packets_that_come_too_early_are_left_out(sounds: list[bytes]):
    sound = make_sound(OPUS)
    assert push(sound, packet(sounds[0]), packet(sounds[1], -21))[1:] == []
    assert times_ms(push(sound, packet(sounds[2], 20))) == [20]


def test_more_than_ten_seconds_are_skipped(sounds: list[bytes]):
    sound = make_sound(OPUS)
    bodies = push(sound, packet(sounds[0]), packet(sounds[1], 10_021))
    assert times_ms(bodies) == [0, 10_021]


def test_silence_is_whole_packets_and_not_too_many(sounds: list[bytes]):
    sound = make_sound(OPUS, start_us=START_US + 100_000)
    bodies = sound.fill(START_US + 159_000)
    assert packets_of(bodies) == [SILENCE] * 2
    assert times_ms(bodies) == [100, 120]
    assert sound.fill(START_US + 159_999) == []
    assert times_ms(sound.fill(START_US + 160_000)) == [140]
    # Sound behind it has its time; what is between is concealed, as silence.
    bodies = push(sound, packet(sounds[0], 200))
    assert packets_of(bodies) == [CONCEALMENT, CONCEALMENT, sounds[0]]
    assert times_ms(bodies) == [160, 180, 200]


# What others make of it.

FRAME_US = 40_000


def stream(audio: AudioFormat, sound: list[AudioFrame], seconds: float, **options: bool) -> list[Tag]:
    """Pictures all the time, and this sound."""
    muxer = Muxer(
        has_video=True,
        has_audio=options.get("has_audio", True),
        make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate),
        silent_audio=options.get("silent_audio", False),
    )
    muxer.set_formats([audio])
    times = range(START_US, START_US + round(seconds * 1_000_000), FRAME_US)
    pictures = itertools.cycle(h264.encode(160, 90, 6))
    media: list[AccessUnit | AudioFrame] = [
        AccessUnit(0, nals, nals[0][0] & 0x1F == 7, at) for at, nals in zip(times, pictures, strict=False)
    ]
    ordered = sorted([*media, *sound], key=lambda unit: unit.time_us)
    tags = [tag for unit in ordered for tag in muxer.push(unit)] + muxer.flush()
    assert muxer.drops == {}
    return tags


def broken_sound() -> list[AudioFrame]:
    """A second, of which 60 ms are lost; a second of nothing; half a second."""
    one, two = opus.encode(50), opus.encode(25)
    times = [*range(0, 1000, 20), *range(2000, 2500, 20)]
    frames = [packet(payload, at) for payload, at in zip([*one, *two], times, strict=True)]
    return [frame for frame in frames if not 400_000 <= frame.time_us - START_US < 460_000]


def ffmpeg(path: Path, *options: str, decoder: str = "") -> bytes:
    source = ["-c:a", decoder, "-i", str(path)] if decoder else ["-i", str(path)]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "warning", "-copyts"]
    command = [*program, *source, *options, "-"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def decode(path: Path, decoder: str = "") -> array:
    return array("f", ffmpeg(path, "-map", "0:a", "-ac", "1", "-f", "f32le", decoder=decoder))


def loudness(samples: array) -> dict[int, float]:
    """The loudest sample of each 20 ms, by its time in ms."""
    return {at // 48: max(map(abs, samples[at : at + 960])) for at in range(0, len(samples), 960)}


def assert_heard_as_sent(samples: array, recovered_ms: int) -> None:
    """The tone has peaks of 0.3. `recovered_ms`: when it is heard again after the loss."""
    assert abs(len(samples) - 2500 * 48) <= 1024
    heard = loudness(samples)
    for at in [*range(40, 400, 20), *range(recovered_ms, 1000, 20), *range(2140, 2480, 20)]:
        assert heard[at] > 0.2, at
    for at in range(1440, 1980, 20):
        assert heard[at] < 0.01, at


def test_ffmpeg_reads_opus(tmp_path: Path):
    path = tmp_path / "opus.flv"
    path.write_bytes(flv_file(stream(OPUS, broken_sound(), 2.5)))
    lines = ffmpeg(path, "-map", "0:a", "-c", "copy", "-f", "framecrc").decode().splitlines()
    assert "#codec_id 0: opus" in lines
    assert "#sample_rate 0: 48000" in lines
    assert "#channel_layout_name 0: stereo" in lines
    starts = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    assert starts == list(range(0, 2500, 20))
    # FFmpeg's own decoder makes silence of what is to be concealed, and fades in behind it.
    assert_heard_as_sent(decode(path), recovered_ms=560)


def test_a_loss_is_not_heard_where_decoders_conceal(tmp_path: Path):
    path = tmp_path / "opus.flv"
    path.write_bytes(flv_file(stream(OPUS, broken_sound(), 2.5)))
    assert_heard_as_sent(decode(path, "libopus"), recovered_ms=400)


def test_ffmpeg_reads_opus_silence_beside_the_pictures(tmp_path: Path):
    path = tmp_path / "silent.flv"
    path.write_bytes(flv_file(stream(OPUS, [], 1.0, has_audio=False, silent_audio=True)))
    samples = decode(path)
    assert 0.9 <= len(samples) / 48_000 <= 1.0
    assert not any(samples)


FFPROBE = shutil.which("ffprobe")


@pytest.mark.skipif(FFPROBE is None, reason="no ffprobe here")
def test_ffprobe_reads_aac(tmp_path: Path):
    path = tmp_path / "aac.flv"
    path.write_bytes(flv_file(stream(AAC, broken_sound(), 2.5)))
    command = [str(FFPROBE), "-v", "warning", "-show_streams", "-show_packets", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    [audio] = [one for one in found["streams"] if one["codec_type"] == "audio"]
    assert (audio["codec_name"], audio["profile"], audio["sample_rate"], audio["channels"]) == (
        *("aac", "LC", "48000"),
        2,
    )
    starts = [one["pts"] for one in found["packets"] if one["stream_index"] == audio["index"]]
    assert len(starts) == math.ceil(2500 * 48 / 1024)
    assert all(abs(start - number * 1024 / 48) <= 1 for number, start in enumerate(starts))


def test_aac_is_heard_when_opus_is(tmp_path: Path):
    path = tmp_path / "aac.flv"
    path.write_bytes(flv_file(stream(AAC, broken_sound(), 2.5)))
    assert_heard_as_sent(decode(path), recovered_ms=500)


def test_flv_bodies_are_told_apart_by_the_readers():
    sound = make_sound(AAC, OPUS)
    assert all(flv.read_audio(sound.header(audio)).part is flv.Part.HEADER for audio in sound.formats)
    assert not any(
        flv.read_audio(body.body).part is flv.Part.HEADER for body in sound.fill(START_US + 500_000)
    )
