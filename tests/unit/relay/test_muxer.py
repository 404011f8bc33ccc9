import pytest
from tests.peers import h264, opus

from whipway.failures import DropReason
from whipway.media import flv
from whipway.media.aac import audio_specific_config
from whipway.media.parameter_sets import ParameterSets
from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.relay.muxer import VIDEO_WAIT_US, Muxer, Tag, TagKind

FRAME_US = 33_333
START_US = 7_000_000
NAL_TYPE = 0x1F
SPS, PPS, IDR = 7, 8, 5

METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME, PICTURE, SOUND = (
    "metadata",
    "audio header",
    "video header",
    "key frame",
    "picture",
    "sound",
)


def kind_of(tag: Tag) -> str:
    """What a tag is, by its bytes as far as it has some."""
    if tag.kind is TagKind.METADATA:
        assert tag.header and not tag.payload and tag.metadata is not None
        return METADATA
    if tag.kind is TagKind.AUDIO:
        assert tag.header == flv.is_audio_sequence_header(tag.payload)
        return AUDIO_HEADER if tag.header else SOUND
    assert tag.header == flv.is_video_sequence_header(tag.payload)
    assert tag.keyframe == flv.is_keyframe(tag.payload)
    return VIDEO_HEADER if tag.header else KEYFRAME if tag.keyframe else PICTURE


def kinds(tags: list[Tag]) -> list[str]:
    return [kind_of(tag) for tag in tags]


def of_kind(kind: TagKind, tags: list[Tag]) -> list[Tag]:
    return [tag for tag in tags if tag.kind is kind and not tag.header]


def units(pictures: list[list[bytes]], start_us: int = START_US) -> list[AccessUnit]:
    return [unit(nals, start_us + number * FRAME_US) for number, nals in enumerate(pictures)]


def unit(nals: list[bytes], time_us: int) -> AccessUnit:
    keyframe = any(nal[0] & NAL_TYPE == IDR for nal in nals)
    return AccessUnit(time_us * 9 // 100, nals, keyframe, time_us)


def frames(payloads: list[bytes], start_us: int = START_US) -> list[AudioFrame]:
    return [
        AudioFrame(number * opus.PACKET_SAMPLES, payload, start_us + number * opus.PACKET_US)
        for number, payload in enumerate(payloads)
    ]


def without_sets(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE not in (SPS, PPS)]


def sets_of(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE in (SPS, PPS)]


def make_muxer(*, video: bool = True, audio: bool = True, parameter_sets: list[bytes] | None = None) -> Muxer:
    return Muxer(
        has_video=video,
        make_transcoder=(lambda: Transcoder(bitrate=128_000)) if audio else None,
        parameter_sets=parameter_sets or (),
    )


def push_all(muxer: Muxer, media: list[AccessUnit | AudioFrame]) -> list[Tag]:
    ordered = sorted(media, key=lambda one: one.time_us)
    return [tag for one in ordered for tag in muxer.push(one)]


@pytest.fixture(scope="module")
def pictures() -> list[list[bytes]]:
    """Two groups of three pictures of 320 x 180."""
    return h264.encode(320, 180, 6)


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    return opus.encode(10)


def test_the_stream_begins_with_metadata_and_both_headers(pictures, sounds):
    muxer = make_muxer()
    assert muxer.size is None
    tags = push_all(muxer, [*units(pictures), *frames(sounds)])
    assert kinds(tags)[:4] == [METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME]
    assert {METADATA, AUDIO_HEADER, VIDEO_HEADER}.isdisjoint(kinds(tags)[4:])
    assert SOUND in kinds(tags)
    assert kinds(of_kind(TagKind.VIDEO, tags)) == [KEYFRAME, PICTURE, PICTURE] * 2
    assert [tag.timestamp_ms for tag in tags[:4]] == [0, 0, 0, 0]
    assert muxer.size == (320, 180)


def test_metadata_describes_both_tracks(pictures, sounds):
    [metadata, *_] = make_muxer().push(units(pictures)[0])
    assert (metadata.metadata["width"], metadata.metadata["height"]) == (320.0, 180.0)
    assert metadata.metadata["framerate"] == 30.0
    assert metadata.metadata["videocodecid"] == 7.0
    assert metadata.metadata["audiocodecid"] == 10.0
    assert metadata.metadata["audiosamplerate"] == 48_000.0
    assert metadata.metadata["stereo"] is True


def test_headers_carry_the_configuration_of_each_codec(pictures):
    _, audio, video, picture = make_muxer().push(units(pictures)[0])
    assert audio.payload == flv.aac_sequence_header(audio_specific_config(48_000, 2))
    assert video.payload == flv.avc_sequence_header(ParameterSets(pictures[0]).configuration())
    assert picture.payload == flv.avc_frame(pictures[0], True)


def test_timestamps_are_milliseconds_since_the_first_picture(pictures, sounds):
    tags = push_all(make_muxer(), [*units(pictures), *frames(sounds)])
    assert [tag.timestamp_ms for tag in of_kind(TagKind.VIDEO, tags)] == [0, 33, 67, 100, 133, 167]
    audio = [tag.timestamp_ms for tag in of_kind(TagKind.AUDIO, tags)]
    assert audio == [round(number * 1024 / 48) for number in range(len(audio))]
    assert len(audio) > 5


def test_two_pictures_never_share_a_millisecond(pictures):
    muxer = make_muxer(audio=False)
    times = [START_US, START_US + 100, START_US + 200, START_US - 50_000, START_US + 33_000]
    tags = [tag for nals, time in zip(pictures, times, strict=False) for tag in muxer.push(unit(nals, time))]
    assert [tag.timestamp_ms for tag in of_kind(TagKind.VIDEO, tags)] == [0, 1, 2, 3, 33]


def test_the_header_is_repeated_only_when_its_bytes_change(pictures):
    muxer = make_muxer()
    other = h264.encode(480, 270, 3)
    tags = push_all(muxer, units([*pictures, *other, *other]))
    assert kinds(tags) == [
        *(METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME, PICTURE, PICTURE, KEYFRAME, PICTURE, PICTURE),
        *(METADATA, VIDEO_HEADER, KEYFRAME, PICTURE, PICTURE, KEYFRAME, PICTURE, PICTURE),
    ]
    metadata, header, picture = tags[9:12]
    assert (metadata.metadata["width"], metadata.metadata["height"]) == (480.0, 270.0)
    assert (metadata.timestamp_ms, header.timestamp_ms, picture.timestamp_ms) == (0, 200, 200)
    assert muxer.size == (480, 270)


def test_a_changed_header_does_not_go_back_in_time(pictures):
    muxer = make_muxer(audio=False)
    push_all(muxer, units(pictures))
    metadata, header, picture = muxer.push(unit(h264.encode(480, 270, 1)[0], START_US + 90_000))
    assert (metadata.timestamp_ms, header.timestamp_ms, picture.timestamp_ms) == (0, 168, 168)


def test_what_was_heard_before_the_first_picture_is_left_out(pictures, sounds):
    muxer = make_muxer()
    early = frames(sounds, START_US - 150_000)
    assert push_all(muxer, early[:7]) == []
    assert kinds(muxer.push(units(pictures)[0])) == [METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME]
    # Packets of sound from before the picture may also come behind it.
    late = frames(sounds, START_US - 50_000)
    audio = of_kind(TagKind.AUDIO, push_all(muxer, late))
    assert audio[0].timestamp_ms == round(-50 + 3 * 1024 / 48)


def test_a_session_without_video_begins_at_once(sounds):
    muxer = make_muxer(video=False)
    tags = push_all(muxer, [*frames(sounds)])
    assert kinds(tags) == [METADATA, AUDIO_HEADER] + [SOUND] * (len(tags) - 2)
    assert "width" not in tags[0].metadata and "audiocodecid" in tags[0].metadata
    assert tags[2].timestamp_ms == 0
    assert muxer.size is None


def test_a_session_without_audio_announces_none(pictures):
    muxer = make_muxer(audio=False)
    tags = push_all(muxer, units(pictures))
    assert kinds(tags)[:3] == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert "audiocodecid" not in tags[0].metadata and tags[0].metadata["width"] == 320.0
    assert muxer.flush() == []


def test_flush_gives_what_the_encoder_still_holds(sounds):
    muxer = make_muxer(video=False)
    tags = push_all(muxer, [*frames(sounds)])
    rest = muxer.flush()
    assert kinds(rest) == [SOUND] * len(rest) != []
    assert rest[0].timestamp_ms > tags[-1].timestamp_ms


def test_a_dark_camera_holds_the_sound_back_for_a_while_only(pictures, sounds):
    muxer = make_muxer()
    one, two, *_ = sounds
    assert muxer.push(AudioFrame(0, one, START_US)) == []
    assert muxer.push(AudioFrame(960, two, START_US + VIDEO_WAIT_US - 1)) == []
    tags = push_all(muxer, [*frames(sounds, START_US + VIDEO_WAIT_US)])
    assert kinds(tags)[:3] == [METADATA, AUDIO_HEADER, SOUND]
    assert "width" not in tags[0].metadata
    assert [tag.timestamp_ms for tag in tags[:3]] == [0, 0, 0]
    first = muxer.push(units(pictures, START_US + VIDEO_WAIT_US + 200_000)[0])
    assert kinds(first) == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert first[0].metadata["width"] == 320.0
    assert [tag.timestamp_ms for tag in first] == [0, 200, 200]


def test_a_camera_that_comes_with_a_time_before_the_first_sound_starts_at_zero(pictures, sounds):
    muxer = make_muxer()
    muxer.push(AudioFrame(0, sounds[0], START_US))
    muxer.push(AudioFrame(0, sounds[1], START_US + VIDEO_WAIT_US))
    tags = muxer.push(units(pictures, START_US + VIDEO_WAIT_US - 20_000)[0])
    assert [tag.timestamp_ms for tag in tags] == [0, 0, 0]


def test_a_picture_without_parameter_sets_is_left_out(pictures):
    muxer = make_muxer(audio=False)
    first, second, third, *_ = units(pictures)
    first.nals = without_sets(first.nals)
    assert muxer.push(first) == muxer.push(second) == muxer.push(third) == []
    # Sets that come alone do not help the pictures whose key frame is lost.
    second.nals = [*sets_of(pictures[0]), *second.nals]
    assert muxer.push(second) == []
    assert kinds(muxer.push(units(pictures)[3])) == [METADATA, VIDEO_HEADER, KEYFRAME]


def test_parameter_sets_of_the_offer_serve_a_stream_that_has_none(pictures):
    muxer = make_muxer(audio=False, parameter_sets=sets_of(pictures[0]))
    assert muxer.size == (320, 180)
    tags = push_all(muxer, units([without_sets(nals) for nals in pictures]))
    assert kinds(tags)[:4] == [METADATA, VIDEO_HEADER, KEYFRAME, PICTURE]
    assert tags[1].payload == flv.avc_sequence_header(ParameterSets(pictures[0]).configuration())


def test_unreadable_parameter_sets_of_the_offer_are_passed_over(pictures):
    muxer = make_muxer(audio=False, parameter_sets=[b"\x67\xff"])
    assert kinds(muxer.push(units(pictures)[0])) == [METADATA, VIDEO_HEADER, KEYFRAME]


def test_unreadable_parameter_sets_cost_their_picture_and_are_counted(pictures):
    muxer = make_muxer(audio=False)
    first, second, *_ = units(pictures)
    muxer.push(first)
    assert muxer.push(unit([b"\x67\xff", *pictures[3]], START_US + 10_000)) == []
    assert muxer.drops == {DropReason.H264_MALFORMED: 1}
    assert kinds(muxer.push(second)) == [PICTURE]


def test_a_packet_that_is_not_opus_is_counted_and_takes_no_header_with_it(sounds):
    muxer = make_muxer(video=False)
    assert kinds(muxer.push(AudioFrame(0, b"", START_US))) == [METADATA, AUDIO_HEADER]
    assert muxer.drops == {DropReason.OPUS_MALFORMED: 1}
    assert SOUND in kinds(push_all(muxer, [*frames(sounds)]))
