import pytest
from tests.unit.relay.sinks.wire import (
    AAC,
    AUDIO_HEADER,
    METADATA,
    OPUS_HEADER,
    START,
    VIDEO_HEADER,
    cue,
    filler,
    keyframe,
    picture,
    sound,
)

from whipway.relay.sinks import hold as hold_module
from whipway.relay.sinks.hold import PICTURE_WAIT, Hold
from whipway.relay.sinks.tag_queue import MAX_QUEUE_MS, cost
from whipway.relay.tags import OPUS, Tag


def held(*tags: Tag, video: bool = True) -> Hold:
    hold = Hold((AAC, OPUS))
    for header in START if video else [METADATA, AUDIO_HEADER]:
        hold.keep_header(header)
    for tag in tags:
        hold.push(tag)
    return hold


def times(hold: Hold, waited: float = 0.0) -> list[int]:
    return [tag.timestamp_ms for tag in hold.take(AAC, waited) if not tag.header]


def test_it_begins_with_a_key_frame_behind_the_headers() -> None:
    hold = held(sound(900), keyframe(1000), sound(990), picture(1040), cue(1041))
    assert hold.has_keyframe and not hold.is_empty
    assert hold.ms == 41
    assert hold.bytes == sum(map(cost, [keyframe(0), sound(0), picture(0), cue(0)]))
    assert hold.take(AAC, 0.0) == [
        METADATA,
        AUDIO_HEADER._replace(timestamp_ms=1000),
        VIDEO_HEADER._replace(timestamp_ms=1000),
        keyframe(1000),
        sound(990),
        picture(1040),
        cue(1041),
    ]
    assert hold.bytes == hold.ms == 0
    assert hold.is_empty and not hold.has_keyframe
    assert hold.take(AAC, 100.0) == []


def test_sound_that_is_due_before_its_picture_takes_no_negative_time() -> None:
    assert held(keyframe(1000), sound(990)).ms == 0


def test_pictures_without_a_key_frame_are_not_kept() -> None:
    assert times(held(picture(0), sound(5), picture(40), keyframe(80))) == [80]


def test_a_stream_with_pictures_waits_for_one() -> None:
    hold = held(sound(0), sound(20))
    assert not hold.has_keyframe
    assert times(hold, PICTURE_WAIT - 0.1) == []
    assert times(hold, PICTURE_WAIT) == [0, 20]


def test_a_stream_without_pictures_does_not_wait() -> None:
    assert times(held(sound(0), sound(20), video=False)) == [0, 20]


def test_data_of_the_moment_begin_nothing() -> None:
    assert times(held(cue(0), sound(1), cue(2), video=False)) == [1, 2]


def test_a_group_of_pictures_that_lasts_too_long_is_forgotten() -> None:
    hold = held(keyframe(0), picture(MAX_QUEUE_MS))
    assert hold.has_keyframe
    hold.push(sound(MAX_QUEUE_MS + 1))
    assert hold.bytes == 0
    hold.push(picture(MAX_QUEUE_MS + 40))
    assert times(hold, PICTURE_WAIT) == []
    hold.push(keyframe(MAX_QUEUE_MS + 80))
    assert times(hold) == [MAX_QUEUE_MS + 80]


def test_the_oldest_of_several_groups_goes_first() -> None:
    tags = [keyframe(0), sound(5), picture(40), keyframe(1000), picture(1040), keyframe(2000)]
    hold = held(*tags)
    assert times(hold) == [0, 5, 40, 1000, 1040, 2000]
    hold = held(*tags, picture(MAX_QUEUE_MS + 40))
    assert times(hold) == [1000, 1040, 2000, MAX_QUEUE_MS + 40]
    hold = held(*tags, picture(MAX_QUEUE_MS + 1500))
    assert times(hold) == [2000, MAX_QUEUE_MS + 1500]


def test_a_filler_begins_like_any_key_frame() -> None:
    hold = held(keyframe(0), picture(40), filler(2000), sound(2001), filler(3000))
    assert times(hold) == [0, 40, 2000, 2001, 3000]
    hold = held(keyframe(0), picture(40), filler(2000), sound(2001), filler(3000), filler(4000))
    assert times(hold) == [2000, 2001, 3000, 4000]


def test_of_sound_the_last_moments_are_kept() -> None:
    hold = held(*(sound(time) for time in range(0, 2 * MAX_QUEUE_MS, 20)), video=False)
    assert times(hold)[0] == MAX_QUEUE_MS - 20


@pytest.mark.parametrize("tags", [[keyframe(0), picture(1)], [sound(0), sound(1)]])
def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch, tags: list[Tag]) -> None:
    monkeypatch.setattr(hold_module, "MAX_QUEUE_BYTES", sum(map(cost, tags)))
    hold = held(*tags)
    assert hold.bytes == sum(map(cost, tags))
    hold.push(sound(2))
    assert times(hold, PICTURE_WAIT) == ([] if tags[0].keyframe else [1, 2])


def new_header(tag: Tag, timestamp_ms: int) -> Tag:
    return tag._replace(timestamp_ms=timestamp_ms, payload=tag.payload + b"new")


def test_a_new_header_stands_before_what_it_belongs_to() -> None:
    hold = held(keyframe(0), picture(40), sound(41))
    metadata, video = new_header(METADATA, 0), new_header(VIDEO_HEADER, 80)
    for header in (metadata, video, new_header(OPUS_HEADER, 80)):
        hold.keep_header(header)
    hold.push(keyframe(80))
    tags = hold.take(AAC, 0.0)
    assert tags[:3] == START
    assert tags[3:] == [keyframe(0), picture(40), sound(41), metadata, video, keyframe(80)]
    hold.push(keyframe(120))
    assert hold.take(AAC, 0.0)[:3] == [metadata, AUDIO_HEADER._replace(timestamp_ms=120)] + [
        video._replace(timestamp_ms=120)
    ]


def test_a_new_header_goes_ahead_once_what_was_before_it_is_forgotten() -> None:
    video = new_header(VIDEO_HEADER, 1000)
    hold = held(keyframe(0), picture(40))
    hold.keep_header(video)
    hold.push(keyframe(1000))
    hold.push(picture(MAX_QUEUE_MS + 40))
    assert hold.bytes == sum(map(cost, [keyframe(0), picture(0)]))
    assert hold.take(AAC, 0.0)[2:] == [video, keyframe(1000), picture(MAX_QUEUE_MS + 40)]


def test_of_sound_too_no_header_is_the_first() -> None:
    hold = held(sound(0), video=False)
    hold.keep_header(new_header(AUDIO_HEADER, 20))
    for time in (20, MAX_QUEUE_MS + 1):
        hold.push(sound(time))
    assert hold.ms == MAX_QUEUE_MS - 19
    assert hold.take(AAC, 0.0)[1] == new_header(AUDIO_HEADER, 20)


def test_headers_too_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_module, "MAX_QUEUE_BYTES", cost(keyframe(0)) + cost(METADATA))
    hold = held(keyframe(0))
    hold.keep_header(METADATA)
    assert hold.has_keyframe
    hold.keep_header(METADATA)
    assert hold.is_empty and hold.bytes == 0


def test_what_waited_at_a_connection_is_put_back_from_its_last_header_on() -> None:
    hold = held()
    hold.put_back([METADATA, keyframe(0), picture(40), VIDEO_HEADER, keyframe(80), METADATA, sound(81)])
    assert times(hold) == [80, 81]


def test_sound_in_another_format_is_dropped() -> None:
    hold = held(keyframe(0), sound(1, OPUS), picture(40), cue(41))
    hold.drop_sound_but(AAC)
    assert hold.bytes == sum(map(cost, [keyframe(0), picture(40), cue(41)]))
    assert times(hold) == [0, 40, 41]


def test_a_header_of_another_format_is_known_if_that_is_chosen_later() -> None:
    opus = new_header(OPUS_HEADER, 2)
    hold = held(sound(0), video=False)
    hold.keep_header(opus)
    hold.push(sound(3, OPUS))
    hold.drop_sound_but(OPUS)
    assert hold.bytes == cost(sound(3, OPUS))
    assert hold.take(OPUS, 0.0) == [opus._replace(timestamp_ms=3), sound(3, OPUS)]
