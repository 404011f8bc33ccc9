import pytest
from tests.unit.relay.sinks.wire import START, VIDEO_HEADER, cue, filler, keyframe, picture, sound

from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.messages import ControlEvent, MessageType
from whipway.protocol.rtmp.server import MediaReceived, ServerConnection
from whipway.relay.sinks import tag_queue
from whipway.relay.sinks.attempt import MAX_ANSWER_BYTES, PIECE_BYTES, Attempt
from whipway.relay.sinks.traffic import Traffic


class Pair:
    """An attempt that was accepted, and the server."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        publisher = Publisher(app="live", tc_url="rtmp://host/live", stream_name="one", random=bytes, now=0.0)
        self.attempt = Attempt(publisher, self.traffic)
        self.server = ServerConnection(random=bytes, now=0.0)
        self.carry()
        self.server.accept_publish()
        self.carry()
        self.server.events()

    def carry(self) -> None:
        moved = True
        while moved:
            out, back = self.attempt.data_to_send(), self.server.data_to_send()
            self.server.receive_data(b"".join(out), 1.0)
            self.attempt.receive(b"".join(back), 1.0)
            moved = bool(out or back)

    def got(self) -> list[tuple[int, int]]:
        """Type and time of what arrived."""
        self.carry()
        media = [event.message for event in self.server.events() if isinstance(event, MediaReceived)]
        return [(message.type_id, message.timestamp) for message in media]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_every_kind_of_tag_goes_out_at_once(pair: Pair) -> None:
    assert not pair.attempt.has_begun
    assert pair.attempt.begin([*START, keyframe(40)], 1.0)
    assert pair.attempt.has_begun
    assert pair.got() == [
        (MessageType.DATA, 0),
        (MessageType.AUDIO, 0),
        (MessageType.VIDEO, 0),
        (MessageType.VIDEO, 40),
    ]
    for tag in (sound(41), cue(42), picture(80)):
        assert pair.attempt.push(tag, 2.0)
        assert not pair.attempt.queue
    assert pair.got() == [(MessageType.AUDIO, 41), (MessageType.DATA, 42), (MessageType.VIDEO, 80)]
    assert pair.traffic.frames == 2


def test_media_are_told_from_what_was_written_before(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(0)], 1.0)
    before = pair.attempt._written_bytes
    assert before > 3073  # The hand-shake and the commands.
    assert not pair.attempt.progress.note_tcp(before, 0, 2.0)
    pair.attempt.data_to_send()
    assert pair.attempt.progress.note_tcp(pair.attempt._written_bytes, 0, 2.0)


def test_a_transport_that_is_full_lets_tags_wait(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(0)], 1.0)
    pair.carry()
    pair.attempt.set_writable(False)
    assert pair.attempt.push(picture(40), 1.0)
    assert pair.attempt.data_to_send() == []
    assert len(pair.attempt.queue) == 1
    pair.attempt.set_writable(True)
    assert pair.attempt.push(picture(80), 1.0)
    assert len(pair.attempt.queue) == 2
    assert pair.got()[-2:] == [(MessageType.VIDEO, 40), (MessageType.VIDEO, 80)]


def test_pictures_that_had_to_go_are_told(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(0)], 1.0)
    pair.carry()
    pair.attempt.set_writable(False)
    assert pair.attempt.push(picture(40), 1.0)
    assert not pair.attempt.push(sound(4000), 1.0)
    assert pair.attempt.push(picture(4040), 1.0)
    assert pair.traffic.frames_dropped == 2


def test_a_beginning_without_a_picture_leaves_out_what_needs_one(pair: Pair) -> None:
    assert not pair.attempt.begin([*START, sound(0), picture(1), sound(20)], 1.0)
    assert pair.got()[3:] == [(MessageType.AUDIO, 0), (MessageType.AUDIO, 20)]
    assert pair.traffic.frames_dropped == 0


def test_a_beginning_that_is_too_large_loses_its_picture_and_says_so(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_queue, "MAX_QUEUE_BYTES", 10_000)
    assert not pair.attempt.begin([*START, keyframe(0, size=10_000), picture(40), sound(41)], 1.0)
    assert pair.got() == [
        *[(MessageType.DATA, 0), (MessageType.AUDIO, 0), (MessageType.VIDEO, 0)],
        (MessageType.AUDIO, 41),
    ]
    assert pair.traffic.frames_dropped == 2


def test_what_belongs_before_the_beginning_is_left_out(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(40), sound(33), sound(41)], 1.0)
    pair.attempt.push(sound(39), 1.0)
    pair.attempt.push(VIDEO_HEADER, 1.0)
    assert [time for _, time in pair.got()] == [0, 0, 0, 40, 41, 0]


def test_the_first_picture_behind_sound_may_be_due_before_it(pair: Pair) -> None:
    pair.attempt.begin([*START[:2], sound(100)], 1.0)
    for tag in (VIDEO_HEADER, keyframe(60), picture(100), sound(90), sound(120)):
        pair.attempt.push(tag, 1.0)
    assert [time for _, time in pair.got()] == [0, 0, 100, 0, 60, 100, 120]


def test_the_queue_is_handed_over_in_pieces(pair: Pair) -> None:
    pair.attempt.begin([*START, *(keyframe(time, size=50_000) for time in range(10))], 1.0)
    pieces = []
    while data := pair.attempt.data_to_send():
        pieces.append(sum(map(len, data)))
    assert len(pieces) == 4
    assert max(pieces) < PIECE_BYTES + 50_100


def test_answers_for_a_server_that_takes_nothing_are_counted(pair: Pair) -> None:
    ping = messages.user_control(ControlEvent.PING_REQUEST, 1)

    def ask(times: int) -> None:
        for _ in range(times):
            pair.server._link.send(ping)
        pair.attempt.receive(b"".join(pair.server.data_to_send()), 1.0)

    ask(1000)
    assert not pair.attempt.is_flooded
    answer = sum(map(len, pair.attempt.data_to_send())) // 1000
    pair.attempt.set_writable(False)
    ask(MAX_ANSWER_BYTES // answer)
    assert not pair.attempt.is_flooded
    ask(1)
    assert pair.attempt.is_flooded
    pair.attempt.set_writable(True)
    assert not pair.attempt.is_flooded


def test_the_end_is_polite(pair: Pair) -> None:
    words = b"".join(pair.attempt.close())
    assert b"FCUnpublish" in words
    assert b"deleteStream" in words


def test_a_filler_is_a_picture_like_others(pair: Pair) -> None:
    pair.attempt.begin([*START, filler(0), sound(1), filler(1000)], 1.0)
    pair.carry()
    assert pair.attempt.push(filler(2000), 2.0)
    assert [time for kind, time in pair.got() if kind == MessageType.VIDEO] == [0, 0, 1000, 2000]
    assert pair.traffic.frames == 3


def test_a_filler_does_not_wait_behind_others(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(0)], 1.0)
    pair.got()
    pair.attempt.set_writable(False)
    for tag in (filler(2000), sound(2001), filler(3000)):
        assert pair.attempt.push(tag, 2.0)
    assert len(pair.attempt.queue) == 1
    pair.attempt.set_writable(True)
    assert pair.attempt.push(filler(4000), 3.0)
    assert pair.got() == [(MessageType.AUDIO, 2001)]
    assert pair.attempt.push(filler(5000), 4.0)
    assert pair.got() == [(MessageType.VIDEO, 5000)]
    assert pair.traffic.frames_dropped == 0


def test_a_filler_brings_the_picture_back_where_others_were_left_out(pair: Pair) -> None:
    pair.attempt.begin([*START, keyframe(0)], 1.0)
    pair.got()
    pair.attempt.set_writable(False)
    pair.attempt.push(picture(40), 2.0)
    assert not pair.attempt.push(picture(4000), 2.0)
    pair.attempt.push(filler(5000), 3.0)
    assert pair.attempt.queue.awaits_keyframe
    pair.attempt.set_writable(True)
    for tag in (filler(6000), keyframe(6500), picture(6540)):
        assert pair.attempt.push(tag, 4.0)
    assert [time for _, time in pair.got()] == [6000, 6500, 6540]
