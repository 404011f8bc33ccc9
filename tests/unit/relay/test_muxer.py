import itertools
import struct

import av
import pytest
from tests.peers import h264, opus, x264
from tests.unit.relay.tagging import (
    AAC,
    AUDIO_HEADER,
    DATA,
    FRAME_US,
    KEYFRAME,
    METADATA,
    PICTURE,
    SOUND,
    START_US,
    VIDEO_HEADER,
    composition,
    frames,
    kind_of,
    kinds,
    make_muxer,
    of_kind,
    push_all,
    sets_of,
    shown_at,
    shown_by,
    unit,
    units,
    units_of,
    values_of,
    without_sets,
)

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.aac import audio_specific_config
from whipway.media.opus import SILENCE, opus_head
from whipway.media.parameter_sets import ParameterSets
from whipway.media.transcoder import AacFrame, Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtmp import amf0
from whipway.relay.muxer import AUDIO_WAIT_US, VIDEO_WAIT_US, Muxer
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat, Tag, TagKind


@pytest.fixture(scope="module")
def pictures() -> list[list[bytes]]:
    """Two groups of three pictures of 320 x 180."""
    return h264.encode(320, 180, 6)


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    return opus.encode(10)


def test_the_stream_begins_with_metadata_and_both_headers(pictures, sounds):
    muxer = make_muxer()
    assert muxer.size is None and not muxer.transcodes
    tags = push_all(muxer, [*units(pictures), *frames(sounds)])
    assert kinds(tags)[:4] == [METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME]
    assert {METADATA, AUDIO_HEADER, VIDEO_HEADER}.isdisjoint(kinds(tags)[4:])
    assert SOUND in kinds(tags)
    assert kinds(of_kind(TagKind.VIDEO, tags)) == [KEYFRAME, PICTURE, PICTURE] * 2
    assert [tag.timestamp_ms for tag in tags[:4]] == [0, 0, 0, 0]
    assert muxer.size == (320, 180) and muxer.transcodes


def test_metadata_describes_both_tracks(pictures, sounds):
    [metadata, *_] = make_muxer().push(units(pictures)[0])
    assert (values_of(metadata)["width"], values_of(metadata)["height"]) == (320.0, 180.0)
    assert values_of(metadata)["framerate"] == 30.0
    assert values_of(metadata)["videocodecid"] == 7.0
    assert values_of(metadata)["audiocodecid"] == 10.0
    assert values_of(metadata)["audiosamplerate"] == 48_000.0
    assert values_of(metadata)["stereo"] is True


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
    assert (values_of(metadata)["width"], values_of(metadata)["height"]) == (480.0, 270.0)
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
    assert "width" not in values_of(tags[0]) and "audiocodecid" in values_of(tags[0])
    assert tags[2].timestamp_ms == 0
    assert muxer.size is None


def test_a_session_without_audio_announces_none(pictures):
    muxer = make_muxer(audio=False)
    tags = push_all(muxer, units(pictures))
    assert kinds(tags)[:3] == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert "audiocodecid" not in values_of(tags[0]) and values_of(tags[0])["width"] == 320.0
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
    assert "width" not in values_of(tags[0])
    assert [tag.timestamp_ms for tag in tags[:3]] == [0, 0, 0]
    first = muxer.push(units(pictures, START_US + VIDEO_WAIT_US + 200_000)[0])
    assert kinds(first) == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert values_of(first[0])["width"] == 320.0
    assert [tag.timestamp_ms for tag in first] == [0, 200, 200]


def test_a_camera_that_comes_with_a_time_before_the_first_sound_starts_at_zero(pictures, sounds):
    muxer = make_muxer()
    muxer.push(AudioFrame(0, sounds[0], START_US))
    muxer.push(AudioFrame(0, sounds[1], START_US + VIDEO_WAIT_US))
    tags = muxer.push(units(pictures, START_US + VIDEO_WAIT_US - 20_000)[0])
    assert [tag.timestamp_ms for tag in tags] == [0, 0, 0]


def test_parameter_sets_of_the_offer_serve_a_stream_that_has_none(pictures):
    muxer = make_muxer(audio=False, parameter_sets=sets_of(pictures[0]))
    assert muxer.size == (320, 180)
    tags = push_all(muxer, units([without_sets(nals) for nals in pictures]))
    assert kinds(tags)[:4] == [METADATA, VIDEO_HEADER, KEYFRAME, PICTURE]
    assert tags[1].payload == flv.avc_sequence_header(ParameterSets(pictures[0]).configuration())


def make_started(first: AccessUnit) -> Muxer:
    muxer = make_muxer(audio=False)
    muxer.push(first)
    return muxer


def test_unreadable_parameter_sets_cost_their_key_frame_and_are_counted(pictures):
    muxer = make_muxer(audio=False)
    first, second, *_ = units(pictures)
    muxer.push(first)
    broken = unit([b"\x67\xff", *pictures[3]], START_US + 10_000)
    broken.keyframe = True
    assert muxer.push(broken) == []
    assert muxer.drops == {DropReason.H264_MALFORMED: 1}
    # What comes next refers to the picture that was dropped.
    assert muxer.needs_keyframe
    assert muxer.push(second) == []
    assert muxer.drops[DropReason.H264_AWAITING_IDR] == 1
    assert kinds(muxer.push(first)) == [KEYFRAME]
    assert not muxer.needs_keyframe
    assert kinds(muxer.push(second)) == [PICTURE]


def test_a_packet_that_is_not_opus_is_counted_and_takes_no_header_with_it(sounds):
    muxer = make_muxer(video=False)
    assert kinds(muxer.push(AudioFrame(0, b"", START_US))) == [METADATA, AUDIO_HEADER]
    assert muxer.drops == {DropReason.OPUS_MALFORMED: 1}
    assert SOUND in kinds(push_all(muxer, [*frames(sounds)]))


# B-frames: tags have decoding times.

PYRAMID = {"bframes": "3", "b-adapt": "0", "b-pyramid": "normal"}
DEPTH = 2


@pytest.fixture(scope="module")
def reordered() -> list[x264.EncodedPicture]:
    """Pictures that need a reorder depth of 2: 0 4 2 1 3 8 …"""
    return x264.encode(16, options=PYRAMID)


def test_tags_of_b_frames_are_in_decoding_time(reordered):
    muxer = make_muxer(audio=False)
    assert not muxer.reordered
    tags = [tag for one in units_of(reordered) for tag in muxer.push(one)]
    assert kinds(tags)[:3] == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert [tag.timestamp_ms for tag in tags[:3]] == [0, 0, 0]
    video = of_kind(TagKind.VIDEO, tags)
    assert [tag.timestamp_ms for tag in video] == [round(number * 100 / 3) for number in range(16)]
    assert shown_at(tags) == [round((picture.pts / 3000 + DEPTH) * 100 / 3) for picture in reordered]
    assert muxer.reordered


def test_timestamps_of_decoding_make_the_same_tags(reordered):
    """A sender that stamps by decoding time begins at the first picture's capture."""
    line = sorted(picture.pts for picture in reordered)
    stamped = [picture._replace(pts=at) for picture, at in zip(reordered, line, strict=True)]
    honest, other = (
        [tag for one in units_of(made) for tag in muxer.push(one)]
        for made, muxer in ((reordered, make_muxer(audio=False)), (stamped, make_muxer(audio=False)))
    )
    assert [tag._replace(payload=b"") for tag in other] == [tag._replace(payload=b"") for tag in honest]
    for one, two in zip(shown_at(other), shown_at(honest), strict=True):
        assert abs(one - two) <= 1


def test_pictures_in_order_are_shown_when_they_are_decoded(pictures):
    muxer = make_muxer(audio=False)
    video = of_kind(TagKind.VIDEO, push_all(muxer, [*units(pictures)]))
    assert {composition(tag) for tag in video} == {0}
    assert not muxer.reordered


@pytest.mark.parametrize("lead_us", [-150_000, -20_000, 0, 20_000])
def test_sound_stays_with_the_pictures_shown(reordered, lead_us: int):
    """`lead_us`: when the sound begins, against the first picture shown."""
    muxer = make_muxer()
    video = list(zip(itertools.count(START_US, FRAME_US), units_of(reordered), strict=False))
    sound = [(one.time_us, one) for one in frames(opus.encode(20), START_US + lead_us)]
    arrivals = sorted([*video, *sound], key=lambda arrival: arrival[0])
    tags = [tag for _, one in arrivals for tag in muxer.push(one)]
    audio = of_kind(TagKind.AUDIO, tags)
    shown = shown_at(tags)
    assert shown[0] == round(DEPTH * 100 / 3)
    # What comes before the first picture is left out.
    first_us = min(time - START_US for time, _ in sound if time >= START_US)
    for number, tag in enumerate(audio):
        assert abs(tag.timestamp_ms - shown[0] - first_us / 1000 - number * 1024 / 48) <= 1
    assert len(audio) > 5
    assert min(tag.timestamp_ms for tag in tags) == 0


def test_b_frames_behind_sound_that_began_the_stream(reordered, sounds):
    """Pictures due before the stream's zero are squeezed in behind it, and shown in time all the same."""
    muxer = make_muxer()
    muxer.push(AudioFrame(0, sounds[0], START_US))
    muxer.push(AudioFrame(0, sounds[1], START_US + VIDEO_WAIT_US))
    late = START_US + VIDEO_WAIT_US
    tags = [tag for one in units_of(reordered, late) for tag in muxer.push(one)]
    video = of_kind(TagKind.VIDEO, tags)
    assert [tag.timestamp_ms for tag in video[:5]] == [0, 1, 2, 33, 67]
    assert shown_at(tags) == [round(picture.pts / 90) for picture in reordered]


def test_a_picture_that_comes_too_late_to_be_shown_in_time_is_shown_at_once(reordered):
    [sets] = [sets_of(picture.nals) for picture in x264.encode(1, options={"bframes": "1"})]
    muxer = make_muxer(audio=False, parameter_sets=sets)
    media = units_of(reordered)
    for one in media:
        one.nals = without_sets(one.nals)
    video = of_kind(TagKind.VIDEO, [tag for one in media for tag in muxer.push(one)])
    times = [tag.timestamp_ms for tag in video]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert (times[3], composition(video[3])) == (times[2] + 1, 0)
    assert min(composition(tag) for tag in video) == 0


# Audio that was negotiated and stays away.

SECOND_US = 1_000_000
AAC_TAG_HEADER_BYTES = 2
"""Before the raw frame in an FLV audio tag."""
MAX_BEHIND_MS = 1120
"""A second, the encoder's delay, and the steps of picture and sound."""


def video_for(pictures: list[list[bytes]], seconds: float) -> list[AccessUnit]:
    count = int(seconds * SECOND_US) // FRAME_US
    return units(list(itertools.islice(itertools.cycle(pictures), count)))


def audio_between(start: float, stop: float) -> list[AudioFrame]:
    """A tone, in seconds after the first picture."""
    packets = opus.encode(round((stop - start) * 50))
    return frames(packets, START_US + int(start * SECOND_US))


def play(tags: list[Tag]) -> dict[int, float]:
    """The loudest sample of each 20 ms of the audio, by its milliseconds since the first picture."""
    decoder = av.AudioCodecContext.create("aac", "r")
    decoder.extradata = audio_specific_config(48_000, 2)
    samples: list[float] = []
    for tag in tags:
        for frame in decoder.decode(av.Packet(tag.payload[AAC_TAG_HEADER_BYTES:])):
            samples += struct.unpack_from(f"<{frame.samples}f", bytes(frame.planes[0]))
    return {
        tags[0].timestamp_ms + start // 48: max(map(abs, samples[start : start + 960]))
        for start in range(0, len(samples), 960)
    }


def assert_contiguous(audio: list[Tag]) -> None:
    first = audio[0].timestamp_ms
    for number, tag in enumerate(audio):
        assert abs(tag.timestamp_ms - first - number * 1024 / 48) <= 1


def heard(loudness: dict[int, float]) -> list[int]:
    return [time for time, peak in loudness.items() if peak > 0.1]


def test_audio_that_never_comes_is_silence_one_second_behind_the_picture(pictures):
    made: list[Transcoder] = []

    def make_transcoder(bitrate: int) -> Transcoder:
        made.append(Transcoder(bitrate=bitrate))
        return made[-1]

    muxer = Muxer(has_video=True, has_audio=True, make_transcoder=make_transcoder)
    muxer.set_formats([AAC])
    audio: list[Tag] = []
    for one in video_for(pictures, 5):
        *before, picture = muxer.push(one)
        assert picture.kind is TagKind.VIDEO
        audio += of_kind(TagKind.AUDIO, before)
        if picture.timestamp_ms > MAX_BEHIND_MS:
            assert 1000 <= picture.timestamp_ms - audio[-1].timestamp_ms <= MAX_BEHIND_MS
        elif picture.timestamp_ms <= 1000:
            assert not audio
    assert len(made) == 1
    assert audio[0].timestamp_ms == 0
    assert_contiguous(audio)
    assert heard(play(audio)) == []
    assert muxer.drops == {}


def test_audio_that_starts_late_continues_the_silence_at_its_time(pictures):
    tags = push_all(make_muxer(), [*video_for(pictures, 5), *audio_between(3, 5)])
    audio = of_kind(TagKind.AUDIO, tags)
    assert audio[0].timestamp_ms == 0
    assert_contiguous(audio)
    loud = heard(play(audio))
    assert abs(loud[0] - 3000) <= 40
    assert loud == list(range(loud[0], loud[-1] + 1, 20))


def test_audio_that_stops_and_resumes(pictures):
    sound = [*audio_between(0, 1), *audio_between(6, 7)]
    muxer = make_muxer()
    audio: list[Tag] = []
    for one in sorted([*video_for(pictures, 7), *sound], key=lambda one: one.time_us):
        tags = muxer.push(one)
        audio += of_kind(TagKind.AUDIO, tags)
        if isinstance(one, AccessUnit) and one.time_us > START_US + 2.2 * SECOND_US:
            assert tags[-1].timestamp_ms - audio[-1].timestamp_ms <= MAX_BEHIND_MS
    assert_contiguous(audio)
    loud = heard(play(audio))
    before, after = [time for time in loud if time < 3000], [time for time in loud if time >= 3000]
    assert (before[0], abs(before[-1] - 980) <= 40) == (0, True)
    assert abs(after[0] - 6000) <= 40


def test_audio_that_is_up_to_a_second_late_is_all_heard(pictures):
    late = audio_between(0, 2)
    arrivals = [(one.time_us, one) for one in video_for(pictures, 4)]
    arrivals += [(one.time_us + AUDIO_WAIT_US, one) for one in late]
    muxer = make_muxer()
    ordered = sorted(arrivals, key=lambda arrival: arrival[0])
    audio = of_kind(TagKind.AUDIO, [tag for _, one in ordered for tag in muxer.push(one)])
    assert_contiguous(audio)
    loud = heard(play(audio))
    assert (loud[0], abs(loud[-1] - 1980) <= 40) == (0, True)


def test_audio_that_keeps_coming_far_behind_the_picture_is_heard(pictures):
    """A sender whose clocks disagree: what was heard must not give way to silence."""
    behind = [(one.time_us, one) for one in video_for(pictures, 5)]
    behind += [(one.time_us + 2 * SECOND_US, one) for one in audio_between(-2, 3)]
    muxer = make_muxer()
    ordered = sorted(behind, key=lambda arrival: arrival[0])
    audio = of_kind(TagKind.AUDIO, [tag for _, one in ordered for tag in muxer.push(one)])
    assert_contiguous(audio)
    loud = heard(play(audio))
    assert len(loud) >= 145


def test_packets_of_discontinuous_transmission_hold_silence_back(pictures):
    muxer = make_muxer()
    comfort = audio_between(0, 4)[::20]
    audio = of_kind(TagKind.AUDIO, push_all(muxer, [*video_for(pictures, 4), *comfort]) + muxer.flush())
    assert_contiguous(audio)
    assert audio[0].timestamp_ms == 0
    loudness = play(audio)
    # Each packet is where it belongs, and nothing is between them.
    for time, peak in loudness.items():
        if 60 <= time % 400 < 340:
            assert peak < 0.05
    assert {round(time / 400) for time in heard(loudness)} == set(range(10))


def test_a_session_without_audio_gets_no_silence(pictures):
    assert of_kind(TagKind.AUDIO, push_all(make_muxer(audio=False), [*video_for(pictures, 3)])) == []


def test_silence_that_fails_is_counted_and_costs_no_picture(pictures):
    class Refusing(Transcoder):
        def fill(self, until_us: int, start_us: int) -> list[AacFrame]:
            raise ParseError(DropReason.OPUS_MALFORMED)

    muxer = Muxer(has_video=True, has_audio=True, make_transcoder=lambda bitrate: Refusing(bitrate=bitrate))
    muxer.set_formats([AAC])
    video = video_for(pictures, 2)
    tags = push_all(muxer, [*video])
    assert len(of_kind(TagKind.VIDEO, tags)) == len(video)
    assert muxer.drops[DropReason.OPUS_MALFORMED] > 20


# Several formats of sound.

FORMATS = (AAC, AudioFormat(AudioCodec.AAC, 64_000), OPUS)


def for_sink(audio: AudioFormat, tags: list[Tag]) -> list[Tag]:
    return [tag for tag in tags if tag.audio in (None, audio)]


def test_each_format_is_a_whole_stream(pictures, sounds):
    media = [*units(pictures), *frames(sounds)]
    muxer = make_muxer(formats=FORMATS)
    tags = push_all(muxer, media) + muxer.flush()
    for audio in FORMATS:
        alone = make_muxer(formats=[audio])
        assert for_sink(audio, tags) == push_all(alone, media) + alone.flush()


def test_opus_passes_at_its_times(pictures, sounds):
    tags = push_all(make_muxer(formats=[OPUS]), [*units(pictures), *frames(sounds, START_US + 5000)])
    assert kinds(tags)[:4] == [METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME]
    assert values_of(tags[0])["audiocodecid"] == float(int.from_bytes(b"Opus", "big"))
    assert tags[1].payload == flv.opus_sequence_header(opus_head(2))
    audio = of_kind(TagKind.AUDIO, tags)
    assert [tag.payload for tag in audio] == [flv.opus_frame(payload) for payload in sounds]
    assert [tag.timestamp_ms for tag in audio] == [5 + 20 * number for number in range(10)]


def test_opus_from_before_the_first_picture_is_left_out(pictures, sounds):
    muxer = make_muxer(formats=[OPUS])
    muxer.push(units(pictures)[0])
    audio = of_kind(TagKind.AUDIO, push_all(muxer, [*frames(sounds, START_US - 50_000)]))
    assert [tag.timestamp_ms for tag in audio] == [10 + 20 * number for number in range(7)]


def test_a_format_that_comes_later_gets_its_headers_and_its_time(pictures, sounds):
    muxer = make_muxer(formats=[AAC])
    push_all(muxer, [*units(pictures), *frames(sounds)])
    new = muxer.set_formats([AAC, OPUS])
    assert kinds(new) == [METADATA, AUDIO_HEADER]
    assert {tag.audio for tag in new} == {OPUS}
    assert [tag.timestamp_ms for tag in new] == [0, 180]
    assert values_of(new[0])["width"] == 320.0
    assert muxer.set_formats([AAC, OPUS]) == []
    tags = push_all(muxer, [*frames(sounds, START_US + 200_000)])
    assert [tag.timestamp_ms for tag in for_sink(OPUS, tags)] == [200 + 20 * n for n in range(10)]
    muxer.set_formats([OPUS])
    later = push_all(muxer, [*frames(sounds, START_US + 400_000)]) + muxer.flush()
    assert {tag.audio for tag in later} == {OPUS}


def test_a_format_that_comes_into_silence_begins_where_the_others_are(pictures):
    muxer = make_muxer(formats=[AAC])
    media = video_for(pictures, 4)
    before = of_kind(TagKind.AUDIO, push_all(muxer, [*media[:90]]))
    muxer.set_formats([AAC, OPUS])
    after = of_kind(TagKind.AUDIO, push_all(muxer, [*media[90:]]))
    opus_times = [tag.timestamp_ms for tag in after if tag.audio == OPUS]
    assert abs(opus_times[0] - before[-1].timestamp_ms) < 100
    assert [later - earlier for earlier, later in itertools.pairwise(opus_times)] == [20] * (
        len(opus_times) - 1
    )


def test_a_format_that_comes_into_a_young_stream_does_not_begin_before_it(pictures):
    muxer = make_muxer(formats=[])
    media = video_for(pictures, 2)
    assert kinds(push_all(muxer, [*media[:5]]))[:2] == [VIDEO_HEADER, KEYFRAME]
    muxer.set_formats([OPUS])
    audio = of_kind(TagKind.AUDIO, push_all(muxer, [*media[5:]]))
    assert audio[0].timestamp_ms == 0
    assert audio[0].payload == flv.opus_frame(SILENCE)


def test_without_a_format_the_timeline_goes_on(pictures, sounds):
    muxer = make_muxer(video=False, formats=[])
    assert push_all(muxer, [*frames(sounds)]) == muxer.flush() == []
    assert [tag.timestamp_ms for tag in muxer.set_formats([OPUS])] == [0, 180]
    [tag] = muxer.push(AudioFrame(0, sounds[0], START_US + 200_000))
    assert tag.timestamp_ms == 200


# For those who come later.


def test_headers_are_those_that_are_current(pictures, sounds):
    muxer = make_muxer(formats=[AAC, OPUS])
    assert muxer.headers() == []
    sent = push_all(muxer, [*units(pictures), *frames(sounds)])
    headers = muxer.headers()
    assert kinds(headers) == [METADATA, METADATA, AUDIO_HEADER, AUDIO_HEADER, VIDEO_HEADER]
    assert [tag.timestamp_ms for tag in headers] == [0, 0, 180, 180, 180]
    assert {tag.payload for tag in headers} == {tag.payload for tag in sent if tag.header}
    changed = h264.encode(480, 270, 1)[0]
    *_, renewed, _ = muxer.push(unit(changed, START_US + 300_000))
    assert muxer.headers()[-1] == renewed
    assert values_of(muxer.headers()[0])["width"] == 480.0


def test_headers_of_sound_alone(sounds):
    muxer = make_muxer(formats=[AAC])
    push_all(muxer, [*frames(sounds[:1])])
    assert muxer.headers() == []  # The camera is waited for.
    muxer.push(AudioFrame(0, sounds[1], START_US + VIDEO_WAIT_US))
    assert kinds(muxer.headers()) == [METADATA, AUDIO_HEADER]


# Metadata and data of the publisher.


def test_the_publishers_metadata_go_under_our_own(pictures, sounds):
    muxer = make_muxer(formats=[AAC, OPUS])
    said = {"title": "Ünï", "width": 9.0, "encoder": "x", "nested": {"a": [1, None]}}
    assert muxer.set_metadata(said) == []
    tags = push_all(muxer, [*units(pictures), *frames(sounds)])
    for metadata in tags[:2]:
        values = values_of(metadata)
        assert (values["title"], values["nested"]) == ("Ünï", {"a": [1.0, None]})
        assert (values["width"], values["encoder"]) == (320.0, "Whipway")
    # What is said later is all that is said.
    again = muxer.set_metadata({"title": "two"})
    assert kinds(again) == [METADATA, METADATA]
    assert [tag.audio for tag in again] == [AAC, OPUS]
    for metadata in [*again, *muxer.headers()[:2]]:
        assert values_of(metadata)["title"] == "two"
        assert "nested" not in values_of(metadata)


def test_the_publisher_cannot_announce_tracks_that_are_not_there(pictures):
    muxer = make_muxer(audio=False)
    muxer.set_metadata({"audiocodecid": 10, "hasAudio": True, "stereo": True})
    values = values_of(muxer.push(units(pictures)[0])[0])
    assert values.keys() == {"width", "height", "videocodecid", "framerate", "encoder"}


def test_metadata_without_a_form_change_nothing(pictures):
    muxer = make_muxer(audio=False)
    muxer.set_metadata({"title": "one"})
    with pytest.raises(TypeError):
        muxer.set_metadata({"title": b""})
    assert values_of(muxer.push(units(pictures)[0])[0])["title"] == "one"


def test_data_of_the_moment(pictures):
    muxer = make_muxer()
    cue = {"name": "ad", "time": 4, "parameters": {"id": "7"}}
    assert muxer.make_data("onCuePoint", cue) == []
    push_all(muxer, [*units(pictures)])
    [tag] = muxer.make_data("onCuePoint", cue)
    assert kind_of(tag) == DATA
    assert tag.timestamp_ms == 167
    assert amf0.decode(tag.payload) == ["onCuePoint", {"name": "ad", "time": 4.0, "parameters": {"id": "7"}}]
    muxer.push(unit(pictures[0], START_US - 500_000))  # Squeezed in behind the last one.
    assert muxer.make_data("onCuePoint", {})[0].timestamp_ms == 168


# Pictures without an audio track.


def test_silence_may_be_announced_where_no_audio_was_offered(pictures):
    muxer = make_muxer(audio=False, silent=True, formats=[AAC, OPUS])
    media = video_for(pictures, 2)
    tags = [tag for one in media for tag in muxer.push(one)]
    assert kinds(tags)[:5] == [METADATA, METADATA, AUDIO_HEADER, AUDIO_HEADER, VIDEO_HEADER]
    assert values_of(tags[0])["audiocodecid"] == 10.0
    aac, passed = ([tag for tag in of_kind(TagKind.AUDIO, tags) if tag.audio == one] for one in (AAC, OPUS))
    assert_contiguous(aac)
    assert heard(play(aac)) == []
    assert {tag.payload for tag in passed} == {flv.opus_frame(SILENCE)}
    last = of_kind(TagKind.VIDEO, tags)[-1].timestamp_ms
    for audio, behind in ((aac, 100), (passed, 40)):
        assert audio[0].timestamp_ms == 0
        assert 0 <= last - audio[-1].timestamp_ms <= behind


def test_no_track_no_silence():
    muxer = make_muxer(video=False, audio=False, silent=True)
    assert muxer.headers() == muxer.flush() == []


def test_a_stream_without_sound_has_headers_for_all_sinks(pictures):
    muxer = make_muxer(audio=False, formats=[AAC, OPUS])
    tags = muxer.push(units(pictures)[0])
    assert kinds(tags) == [METADATA, VIDEO_HEADER, KEYFRAME]
    assert muxer.set_formats([OPUS]) == []
    assert muxer.headers() == tags[:2]
    assert {tag.audio for tag in tags} == {None}


# Pictures that stay away.


def freeze(muxer: Muxer, *times: float) -> list[Tag]:
    """At seconds after the first picture."""
    return [tag for time in times for tag in muxer.freeze(START_US + round(time * SECOND_US))]


def assert_rises(times: list[int]) -> None:
    assert all(later > earlier for earlier, later in itertools.pairwise(times)), times


def test_there_is_nothing_to_freeze_before_the_first_key_frame(pictures, sounds):
    muxer = make_muxer()
    assert freeze(muxer, 1) == []
    push_all(muxer, frames(sounds, START_US + VIDEO_WAIT_US))
    assert muxer.push(units(pictures)[1]) == freeze(muxer, 4) == []


def test_a_frozen_picture_is_the_last_key_frame_again(pictures):
    muxer = make_muxer(audio=False)
    tags = push_all(muxer, units(pictures[:5]))
    filler = freeze(muxer, 2.133, 3.1)
    assert [tag.timestamp_ms for tag in filler] == [2133, 3100]
    keyframe = tags[-2]
    assert kind_of(keyframe) == KEYFRAME and not keyframe.filler
    for tag in filler:
        assert tag == keyframe._replace(timestamp_ms=tag.timestamp_ms, filler=True)
        assert tag.payload is keyframe.payload
    assert [tag.timestamp_ms for tag in muxer.headers()] == [0, 3100]


def test_behind_a_frozen_picture_only_a_key_frame_goes_on(pictures):
    muxer = make_muxer(audio=False)
    before = push_all(muxer, units(pictures[:2]))
    filler = freeze(muxer, 2, 3)
    assert muxer.needs_keyframe
    assert muxer.push(unit(pictures[2], START_US + 3_100_000)) == []
    assert muxer.drops == {DropReason.H264_AWAITING_IDR: 1}
    # Its time may be a little before what was shown meanwhile.
    after = push_all(muxer, units(pictures[3:], START_US + 2_990_000))
    assert [tag.timestamp_ms for tag in after] == [3001, 3023, 3057]
    whole = x264.decode(shown_by([*before, *filler, *after], filler=True))
    assert (len(whole.digests), whole.errors) == (7, [])
    assert whole.digests[2:4] == [whole.digests[0]] * 2
    assert x264.decode(shown_by([*before, *filler, *after], filler=False)).errors == []


def test_a_frozen_picture_never_goes_back_in_time(pictures):
    muxer = make_muxer(audio=False)
    push_all(muxer, units(pictures))
    assert [tag.timestamp_ms for tag in freeze(muxer, -5, 0, 0.1, 2)] == [168, 169, 170, 2000]


def test_a_key_frame_that_has_lost_its_header_is_not_shown_again(pictures):
    muxer = make_muxer(audio=False)
    first, second, *_ = units(pictures)
    muxer.push(first)
    second.nals = [*sets_of(h264.encode(480, 270, 1)[0]), *second.nals]
    assert kinds(muxer.push(second)) == [METADATA, VIDEO_HEADER, PICTURE]
    assert freeze(muxer, 2) == []
    assert not muxer.needs_keyframe
    push_all(muxer, units(pictures[3:], START_US + SECOND_US))
    assert kinds(freeze(muxer, 2)) == [KEYFRAME]


def test_frozen_b_frames(reordered):
    """The filler is shown at its time, which its body puts behind the time of the tag."""
    group = x264.encode(8, options=PYRAMID)
    muxer = make_muxer(audio=False)
    tags = [tag for one in units_of(reordered) for tag in muxer.push(one)]
    tags += freeze(muxer, 0.1, 2, 3)  # The first one too early.
    tags += [tag for one in units_of(group, START_US + 2_990_000) for tag in muxer.push(one)]
    assert_rises([tag.timestamp_ms for tag in of_kind(TagKind.VIDEO, tags)])
    shown = shown_at(tags)
    lead = round(DEPTH * 100 / 3)
    assert shown[16:19] == [max(shown[:16]) + 1 + lead, 2000 + lead, 3000 + lead]
    assert max(shown[:16]) < shown[16] and shown[18] < min(shown[19:])
    # Squeezed in behind the filler at first, and soon in time again.
    assert shown[-1] == 2990 + round(group[-1].pts / 90) + lead
    decoded = x264.decode(shown_by(tags, filler=True))
    expected = [x264.decode(one.nals for one in part).digests for part in (reordered, group)]
    assert decoded.errors == []
    assert decoded.digests == expected[0] + expected[0][:1] * 3 + expected[1]


@pytest.mark.parametrize("formats", [[AAC], [OPUS], [AAC, OPUS]])
def test_sound_goes_on_under_frozen_pictures(pictures, formats):
    """While it comes, and as silence while it stays away too; then both come back."""
    muxer = make_muxer(formats=formats)
    sound = [*audio_between(0, 4), *audio_between(8, 9)]
    before, after = video_for(pictures, 1), units(pictures, START_US + 8 * SECOND_US)
    moments = [(one.time_us, muxer.push, one) for one in [*before, *sound, *after]]
    moments += [(at, muxer.freeze, at) for at in range(START_US + 3 * SECOND_US, after[0].time_us, SECOND_US)]
    tags = [tag for _, act, what in sorted(moments, key=lambda moment: moment[0]) for tag in act(what)]
    video = of_kind(TagKind.VIDEO, tags)
    assert [tag.timestamp_ms for tag in video if tag.filler] == [3000, 4000, 5000, 6000, 7000]
    assert [tag.timestamp_ms for tag in video[-6:]] == [8000 + round(n * 100 / 3) for n in range(6)]
    assert not any(tag.filler for tag in tags if tag.kind is not TagKind.VIDEO)
    for audio in formats:
        heard_tags = [tag for tag in of_kind(TagKind.AUDIO, tags) if tag.audio == audio]
        times = [tag.timestamp_ms for tag in heard_tags]
        assert times[0] == 0 and times[-1] > 8900
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 22
        # Two seconds behind at most: one that sound may be late, one between two fillers.
        at = [tags.index(tag) for tag in heard_tags]
        for position, tag in enumerate(tags):
            if tag.filler and tag.timestamp_ms >= 6000:
                last = max(index for index in at if index < position)
                assert tag.timestamp_ms - tags[last].timestamp_ms <= MAX_BEHIND_MS
    if formats == [AAC]:
        loud = heard(play(of_kind(TagKind.AUDIO, tags)))
        assert max(time for time in loud if time < 6000) <= 4020
        assert abs(min(time for time in loud if time > 6000) - 8000) <= 40


def test_frozen_pictures_without_an_audio_track(pictures):
    assert kinds(freeze(make_started(units(pictures)[0]), 2)) == [KEYFRAME]
    muxer = make_muxer(audio=False, silent=True)
    push_all(muxer, units(pictures))
    silence = of_kind(TagKind.AUDIO, freeze(muxer, 1, 2))
    assert 1900 <= silence[-1].timestamp_ms <= 2000


# Another source's pictures.


def cut_to(muxer: Muxer, media: list[AccessUnit]) -> list[Tag]:
    media[0].is_cut = True
    return push_all(muxer, [*media])


def test_a_cut_shows_another_source_behind_its_own_header(pictures, sounds):
    muxer = make_muxer()
    push_all(muxer, [*units(pictures), *frames(sounds)])
    other = h264.encode(480, 270, 3)
    tags = cut_to(muxer, units(other, START_US + 195_000))
    assert kinds(tags) == [METADATA, VIDEO_HEADER, KEYFRAME, PICTURE, PICTURE]
    assert [tag.timestamp_ms for tag in tags] == [0, 195, 195, 228, 262]
    assert muxer.size == (480, 270)
    assert freeze(muxer, 3)[-1] == tags[2]._replace(timestamp_ms=3000, filler=True)


def test_a_cut_to_a_source_with_the_same_header_is_a_key_frame_only(pictures):
    muxer = make_muxer(audio=False)
    push_all(muxer, units(pictures))
    tags = cut_to(muxer, units(pictures, START_US + 160_000))
    # Its first picture was taken before the last of the other source, by some milliseconds.
    assert [tag.timestamp_ms for tag in tags[:3]] == [168, 193, 227]
    assert kinds(tags) == [KEYFRAME, PICTURE, PICTURE] * 2
