import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.media import flv

AVCC = bytes.fromhex("0142c01fffe10004674200010100026800")


def test_video_bodies():
    assert flv.avc_sequence_header(AVCC) == b"\x17\x00\x00\x00\x00" + AVCC
    assert flv.avc_frame([b"\x65\x88"], True) == b"\x17\x01\x00\x00\x00" + b"\x00\x00\x00\x02\x65\x88"
    assert flv.avc_frame([b"\x41\x9a", b"\x01"], False, 66) == (
        b"\x27\x01\x00\x00\x42" + b"\x00\x00\x00\x02\x41\x9a" + b"\x00\x00\x00\x01\x01"
    )
    assert flv.avc_frame([], False, -1) == b"\x27\x01\xff\xff\xff"


def test_audio_bodies():
    assert flv.aac_sequence_header(b"\x11\x90") == b"\xaf\x00\x11\x90"
    assert flv.aac_frame(b"\x21\x10") == b"\xaf\x01\x21\x10"
    assert flv.opus_sequence_header(b"OpusHead") == b"\x90OpusOpusHead"
    assert flv.opus_frame(b"\xfc\xff\xfe") == b"\x91Opus\xfc\xff\xfe"


def test_metadata_of_both_kinds():
    values = flv.metadata(width=1280, height=720, frame_rate=25, sample_rate=48000, channels=2)
    assert values == {
        "width": 1280.0,
        "height": 720.0,
        "videocodecid": 7.0,
        "framerate": 25.0,
        "audiocodecid": 10.0,
        "audiosamplerate": 48000.0,
        "audiosamplesize": 16.0,
        "audiochannels": 2.0,
        "stereo": True,
        "encoder": "Whipway",
    }


def test_metadata_names_only_what_is_there():
    assert flv.metadata() == {"encoder": "Whipway"}
    assert flv.metadata(width=640, height=None) == {"encoder": "Whipway"}
    assert set(flv.metadata(width=640, height=360)) == {"width", "height", "videocodecid", "encoder"}
    mono = flv.metadata(sample_rate=48000, channels=1)
    assert (mono["stereo"], mono["audiochannels"]) == (False, 1.0)
    assert "width" not in mono
    # Enhanced RTMP v2: "FOURCC value is big endian relative to the underlying ASCII character sequence".
    opus = flv.metadata(sample_rate=48000, audio_codec=flv.AUDIO_CODEC_OPUS)
    assert opus["audiocodecid"] == float(0x4F707573)


def test_what_metadata_say_of_tracks_is_reserved():
    values = flv.metadata(width=1280, height=720, frame_rate=25, sample_rate=48000)
    assert values.keys() - {"framerate"} <= flv.TRACK_METADATA


HEADER, INFORMATION, KEYFRAME, OTHER = flv.Part

VIDEO = [
    ("empty", b"", OTHER),
    ("AVC sequence header", flv.avc_sequence_header(AVCC), HEADER),
    ("AVC key frame", flv.avc_frame([b"\x65"], True), KEYFRAME),
    ("AVC inter frame", flv.avc_frame([b"\x41"], False), OTHER),
    ("AVC end of sequence", b"\x17\x02\x00\x00\x00", OTHER),
    ("AVC cut", b"\x17", OTHER),
    ("AVC seek command: its 0 is no packet type", b"\x57\x00", OTHER),
    ("H.263 key frame", b"\x12\x00\x00", KEYFRAME),
    ("H.263 inter frame", b"\x22\x00\x00", OTHER),
    ("extended sequence start", b"\x90hvc1\x01", HEADER),
    ("extended key frame", b"\x91hvc1\x00\x00\x00\x01", KEYFRAME),
    ("extended key frame without composition time", b"\x93av01\x01", KEYFRAME),
    ("extended inter frame", b"\xa1hvc1\x00\x00\x00\x01", OTHER),
    ("extended sequence end", b"\x92hvc1", OTHER),
    ("extended metadata", b"\x94hvc1\x00", INFORMATION),
    ("extended command", b"\xd0\x00", OTHER),
    # ModEx with 3 bytes of nanoseconds in front of CodedFramesX and of SequenceStart.
    ("modified key frame", b"\x97\x02\x00\x00\x01\x03hvc1\x01", KEYFRAME),
    ("modified sequence start", b"\x97\x02\x00\x00\x01\x00hvc1\x01", HEADER),
    ("modified twice", b"\x97\x02\x00\x00\x01\x07\x00\xff\x10hvc1", HEADER),
    ("modifier of 300 bytes", b"\x97\xff\x01\x2b" + bytes(300) + b"\x00hvc1", HEADER),
    ("modifier cut", b"\x97\x02\x00\x00\x01", OTHER),
    ("modifier without size", b"\x97", OTHER),
    ("modifiers without end", b"\x97" + b"\x00\x00\x07" * 30, OTHER),
    ("multitrack sequence start", b"\x96\x00hvc1\x00\x01", HEADER),
    ("multitrack key frame", b"\x96\x11hvc1\x00\x01", KEYFRAME),
    ("multitrack cut", b"\x96", OTHER),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in VIDEO], ids=[row[0] for row in VIDEO])
def test_what_a_video_body_is(body: bytes, expected: flv.Part):
    assert flv.read_video(body).part is expected


AUDIO = [
    ("empty", b"", OTHER),
    ("AAC sequence header", flv.aac_sequence_header(b"\x11\x90"), HEADER),
    ("AAC frame", flv.aac_frame(b"\x21"), OTHER),
    ("AAC cut", b"\xaf", OTHER),
    ("MP3", b"\x2f\x00", OTHER),
    ("extended sequence start", flv.opus_sequence_header(b"OpusHead"), HEADER),
    ("extended frame", flv.opus_frame(b"\xfc"), OTHER),
    ("extended multichannel configuration", b"\x94Opus\x00\x02", INFORMATION),
    ("modified sequence start", b"\x97\x02\x00\x00\x01\x00Opus", HEADER),
    ("multitrack sequence start", b"\x95\x00Opus\x00", HEADER),
    ("multitrack frame", b"\x95\x01Opus\x00", OTHER),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in AUDIO], ids=[row[0] for row in AUDIO])
def test_what_an_audio_body_is(body: bytes, expected: flv.Part):
    assert flv.read_audio(body).part is expected


@pytest.mark.parametrize(
    ("body", "track"),
    [
        (b"\x96\x00hvc1\x02\x01", 2),
        (b"\x96\x11hvc1\x03\x00\x00\x01\x00", 3),
        (b"\x96\x21hvc1\x04\x00\x00\x01\x00", 4),
        (b"\x97\x02\x00\x00\x01\x06\x01hvc1\x05", 5),
        (b"\x96\x00hvc1", 0),
        (b"\x96", 0),
        (b"\x90hvc1\x07", 0),
        (flv.avc_sequence_header(b"\x07" * 9), 0),
        (b"", 0),
    ],
)
def test_which_picture_a_body_belongs_to(body: bytes, track: int):
    assert flv.read_video(body).track == track


@pytest.mark.parametrize(
    ("body", "track"),
    [
        (b"\x95\x00mp4a\x01\x11\x90", 1),
        (b"\x95\x01mp4a\x02", 2),
        (b"\x95\x01mp4a", 0),
        (flv.opus_frame(b"\x07" * 9), 0),
        (flv.aac_frame(b"\x07" * 9), 0),
        (b"", 0),
    ],
)
def test_which_sound_a_body_belongs_to(body: bytes, track: int):
    assert flv.read_audio(body).track == track


@pytest.mark.parametrize(
    ("body", "video", "audio"),
    [
        (b"\xd4hvc1\x02\x00\x09colorInfo", True, False),
        (b"\x96\x04hvc1\x01\x02\x00\x09colorInfo", True, False),
        (b"\xd0\x00", False, False),
        (b"\x94Opus\x01\x06\x00\x00\x00\x3f", True, True),
        (b"\x95\x04Opus\x01\x01\x06", False, True),
        (b"\x14hvc1", False, False),
        (b"", False, False),
    ],
)
def test_what_tells_of_colours_or_loudspeakers(body: bytes, video: bool, audio: bool):
    assert (flv.read_video(body).part is INFORMATION) == video
    assert (flv.read_audio(body).part is INFORMATION) == audio


@given(st.binary(max_size=40))
def test_the_readers_take_any_bytes(body: bytes):
    assert 0 <= flv.read_video(body).track <= 255
    assert 0 <= flv.read_audio(body).track <= 255
    assert flv.read_video(body).part in flv.Part
    assert flv.read_audio(body).part in (HEADER, INFORMATION, OTHER)
