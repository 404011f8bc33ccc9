import pytest
from tests.unit.relay.sinks.wire import METADATA, VIDEO_HEADER, keyframe, picture, sound, stream

from whipway.relay.sinks import tag_queue
from whipway.relay.sinks.tag_queue import MAX_QUEUE_MS, MAX_SOUND_MS, TAG_BYTES, TagQueue, cost, is_picture
from whipway.relay.sinks.traffic import Traffic
from whipway.relay.tags import Tag


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def queue(traffic: Traffic) -> TagQueue:
    return TagQueue(traffic)


def fill(queue: TagQueue, *tags: Tag) -> list[bool]:
    return [queue.push(tag) for tag in tags if queue.admits(tag)]


def drain(queue: TagQueue) -> list[Tag]:
    tags = []
    while queue:
        tags.append(queue.pop())
    assert queue.bytes == queue.ms == 0
    return tags


def test_tags_come_out_in_order(queue: TagQueue, traffic: Traffic) -> None:
    tags = [METADATA, VIDEO_HEADER, keyframe(5000), sound(4990), picture(5040)]
    assert all(fill(queue, *tags))
    assert queue.bytes == sum(map(cost, tags))
    assert queue.ms == 50
    assert len(queue) == 5
    assert drain(queue) == tags
    assert traffic.frames_dropped == 0


def test_pictures_begin_with_a_key_frame(queue: TagQueue, traffic: Traffic) -> None:
    tags = [sound(0), picture(40), VIDEO_HEADER, keyframe(80), picture(120)]
    fill(queue, *tags)
    assert drain(queue) == [tags[0], *tags[2:]]
    # What came before the first key frame is not missed.
    assert traffic.frames_dropped == 0


def test_over_the_limit_the_newest_key_frame_stays_with_what_follows(
    queue: TagQueue, traffic: Traffic
) -> None:
    tags = stream(0, MAX_QUEUE_MS + 60)
    assert all(fill(queue, *tags))
    kept = drain(queue)
    assert kept == [tag for tag in tags if not is_picture(tag) or tag.timestamp_ms >= 3000]
    assert traffic.frames_dropped == 75


def test_without_a_newer_one_all_pictures_go_until_the_next(queue: TagQueue, traffic: Traffic) -> None:
    assert all(fill(queue, keyframe(0), sound(1), VIDEO_HEADER, picture(MAX_QUEUE_MS)))
    assert fill(queue, sound(MAX_QUEUE_MS + 1)) == [False]
    assert traffic.frames_dropped == 2
    fill(queue, picture(4000), sound(4010), keyframe(4040), picture(4080))
    assert traffic.frames_dropped == 3
    times = [tag.timestamp_ms for tag in drain(queue) if not tag.header]
    assert times == [1, MAX_QUEUE_MS + 1, 4010, 4040, 4080]


def test_bytes_are_bounded_too(queue: TagQueue, traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_queue, "MAX_QUEUE_BYTES", 3 * cost(keyframe(0)))
    assert all(fill(queue, keyframe(0), keyframe(1), keyframe(2)))
    assert fill(queue, keyframe(3)) == [True]
    assert [tag.timestamp_ms for tag in drain(queue)] == [3]
    # A key frame that is too large by itself, and no other.
    assert fill(queue, keyframe(4, size=2000)) == [False]
    assert drain(queue) == []
    assert traffic.frames_dropped == 4


def test_eight_mebibytes_may_wait(queue: TagQueue) -> None:
    mebibyte = bytes(1024 * 1024 - TAG_BYTES)
    tags = [keyframe(time)._replace(payload=mebibyte) for time in range(8)]
    assert all(fill(queue, *tags))
    assert queue.bytes == 8 * 1024 * 1024
    assert len(queue) == 8
    assert fill(queue, sound(8)) == [True]
    assert [tag.timestamp_ms for tag in drain(queue)] == [7, 8]


def test_tags_without_a_body_are_bounded_too(queue: TagQueue) -> None:
    empty = sound(0)._replace(payload=b"")
    fill(queue, *[empty] * 32_768)
    assert not queue.is_overfull
    fill(queue, empty)
    assert queue.is_overfull


def test_sound_stays_until_it_is_far_too_much(queue: TagQueue) -> None:
    assert all(fill(queue, *(sound(time) for time in range(0, MAX_SOUND_MS + 1, 20))))
    assert not queue.is_overfull
    assert queue.ms == MAX_SOUND_MS
    fill(queue, sound(MAX_SOUND_MS + 20))
    assert queue.is_overfull


def test_sound_is_bounded_in_bytes(queue: TagQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_queue, "MAX_QUEUE_BYTES", 3 * cost(sound(0)))
    fill(queue, sound(0), sound(0), sound(0))
    assert not queue.is_overfull
    fill(queue, sound(0))
    assert queue.is_overfull


def test_pictures_alone_are_never_overfull(queue: TagQueue) -> None:
    tags = [keyframe(0), *(picture(time) for time in range(40, 60_000, 40))]
    assert fill(queue, *tags)[-1] is False
    assert not queue.is_overfull
    assert drain(queue) == []
