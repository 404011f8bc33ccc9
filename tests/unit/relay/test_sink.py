import os

import pytest

from whipway.protocol.rtmp import amf0, server
from whipway.protocol.rtmp.client import STEP_TIMEOUT, Publisher
from whipway.protocol.rtmp.messages import Message, MessageType
from whipway.protocol.rtmp.server import (
    Closed,
    MediaReceived,
    PublishEnded,
    PublishRequested,
    ServerConnection,
)
from whipway.relay import sink as sink_module
from whipway.relay.gate import Gate
from whipway.relay.muxer import Tag, TagKind
from whipway.relay.sink import Sink, SinkFailed, SinkPublishing, SinkState

LIMIT = 1000
METADATA = Tag(TagKind.METADATA, 0, b"", header=True, metadata={"width": 320.0, "height": 180.0})
AUDIO_HEADER = Tag(TagKind.AUDIO, 0, b"\xaf\x00\x11\x90", header=True)
VIDEO_HEADER = Tag(TagKind.VIDEO, 0, b"\x17\x00\x00\x00\x00config", header=True)
START = [METADATA, AUDIO_HEADER, VIDEO_HEADER]


def keyframe(timestamp: int, size: int = 100) -> Tag:
    return Tag(TagKind.VIDEO, timestamp, b"\x17\x01\x00\x00\x00" + bytes(size), keyframe=True)


def picture(timestamp: int) -> Tag:
    return Tag(TagKind.VIDEO, timestamp, b"\x27\x01\x00\x00\x00picture")


def sound(timestamp: int) -> Tag:
    return Tag(TagKind.AUDIO, timestamp, b"\xaf\x01sound")


class Pair:
    """A sink and a real RTMP server machine on one perfect wire."""

    def __init__(self) -> None:
        publisher = Publisher(
            app="live", tc_url="rtmp://host:1935/live", stream_name="one?key=x", random=os.urandom, now=0.0
        )
        self.sink = Sink(publisher, Gate(LIMIT, 10.0))
        self.server = ServerConnection(random=os.urandom, now=0.0)
        self.events: list[object] = []
        self.sent = 0

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        moved = True
        while moved:
            out, back = self.sink.data_to_send(), self.server.data_to_send()
            self.sent += sum(map(len, out))
            for data in out:
                self.server.receive_data(data, 1.0)
            for data in back:
                self.sink.receive_data(data, 1.0)
            self.events += self.server.events()
            moved = bool(out or back)

    def publishing(self) -> "Pair":
        self.exchange()
        self.server.accept_publish()
        self.exchange()
        assert self.sink.events() == [SinkPublishing()]
        return self

    @property
    def media(self) -> list[Message]:
        return [event.message for event in self.events if isinstance(event, MediaReceived)]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.media if message.type_id != MessageType.DATA]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_the_server_is_asked_for_the_stream(pair: Pair) -> None:
    assert pair.sink.state is SinkState.CONNECTING
    assert pair.sink.deadline() == STEP_TIMEOUT
    pair.exchange()
    assert pair.events == [PublishRequested("live", "one", "key=x", server.STREAM_ID)]
    assert pair.sink.state is SinkState.CONNECTING
    assert pair.sink.events() == []


def test_tags_reach_the_server_with_their_times(pair: Pair) -> None:
    pair.publishing()
    assert pair.sink.state is SinkState.PUBLISHING
    assert pair.sink.deadline() is None
    tags = [*START, keyframe(5), sound(7), picture(38)]
    pair.sink.push(tags, 0, 2.0)
    pair.exchange()
    assert [message.timestamp for message in pair.media] == [tag.timestamp_ms for tag in tags]
    assert pair.payloads == [tag.payload for tag in tags if tag.payload]
    assert amf0.decode(pair.media[0].payload) == ["onMetaData", METADATA.metadata]
    assert pair.sink.frames_sent == 2
    assert pair.sink.frames_skipped == 0
    assert pair.sink.bytes_sent == pair.sent > sum(map(len, pair.payloads))


def test_tags_wait_in_order_for_a_server_that_takes_its_time(pair: Pair) -> None:
    early = [*START, keyframe(0), sound(1)]
    pair.sink.push(early[:2], 0, 0.1)
    pair.exchange()
    pair.sink.push(early[2:], 0, 0.2)
    pair.exchange()
    assert pair.media == []
    pair.publishing()
    pair.sink.push([picture(33)], 0, 2.0)
    pair.exchange()
    assert pair.payloads == [tag.payload for tag in [*early, picture(33)] if tag.payload]


@pytest.mark.parametrize("tag", [keyframe(0), sound(0)], ids=["large", "tiny"])
def test_what_waits_is_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch, tag: Tag) -> None:
    monkeypatch.setattr(sink_module, "MAX_WAITING_BYTES", 5 * (len(tag.payload) + sink_module.TAG_BYTES))
    pair.sink.push([tag] * 5, 0, 0.1)
    assert pair.sink.state is SinkState.CONNECTING
    pair.sink.push([tag], 0, 0.1)
    [failed] = pair.sink.events()
    assert isinstance(failed, SinkFailed) and failed.reason == "too_slow"
    # The server's late word changes nothing any more.
    pair.exchange()
    pair.server.accept_publish()
    pair.exchange()
    assert pair.sink.state is SinkState.FAILED
    assert pair.sink.events() == []
    assert pair.media == []


def test_a_refusal_is_final_and_has_the_words_of_the_server(pair: Pair) -> None:
    pair.exchange()
    pair.server.refuse_publish("NetStream.Publish.BadName", "Taken.")
    pair.exchange()
    assert pair.sink.state is SinkState.FAILED
    assert pair.sink.events() == [SinkFailed("bad_name", "NetStream.Publish.BadName: Taken.")]
    assert pair.sink.detail == "NetStream.Publish.BadName: Taken."
    pair.sink.push([keyframe(0)], 0, 2.0)
    pair.sink.fail("connection_lost", "later")
    assert pair.sink.events() == []
    assert pair.sink.detail == "NetStream.Publish.BadName: Taken."


def test_a_server_that_accepts_and_hangs_up_in_one_breath(pair: Pair) -> None:
    pair.sink.push([keyframe(0)], 0, 0.1)
    pair.exchange()
    pair.server.accept_publish()
    pair.server.close()
    pair.sink.receive_data(b"".join(pair.server.data_to_send()), 1.0)
    publishing, failed = pair.sink.events()
    assert publishing == SinkPublishing()
    assert isinstance(failed, SinkFailed) and failed.reason == "closed_by_peer"


def test_a_silent_server_fails_the_sink(pair: Pair) -> None:
    pair.sink.handle_timeout(STEP_TIMEOUT - 0.1)
    assert pair.sink.events() == []
    pair.sink.handle_timeout(STEP_TIMEOUT)
    [failed] = pair.sink.events()
    assert isinstance(failed, SinkFailed) and failed.reason == "timeout"


def test_a_server_that_hangs_up_fails_the_sink(pair: Pair) -> None:
    pair.publishing().sink.receive_eof()
    [failed] = pair.sink.events()
    assert isinstance(failed, SinkFailed) and failed.reason == "closed_by_peer"


def test_a_lost_connection_fails_the_sink(pair: Pair) -> None:
    pair.publishing().sink.fail("connection_lost", "reset")
    assert pair.sink.events() == [SinkFailed("connection_lost", "reset")]


def test_a_slow_server_misses_pictures_up_to_a_key_frame_but_no_header(pair: Pair) -> None:
    pair.publishing()
    pair.sink.push([*START, keyframe(0)], 0, 2.0)
    pair.sink.push([VIDEO_HEADER, picture(33), sound(34)], LIMIT + 1, 2.1)
    pair.sink.push([keyframe(66)], LIMIT + 1, 2.2)
    pair.sink.push([picture(99)], 0, 2.3)
    pair.sink.push([keyframe(132)], 0, 2.4)
    pair.exchange()
    assert [message.timestamp for message in pair.media] == [0, 0, 0, 0, 0, 34, 132]
    assert pair.sink.frames_skipped == 3
    assert pair.sink.frames_sent == 2


def test_a_server_that_stays_slow_fails_the_sink(pair: Pair) -> None:
    pair.publishing()
    pair.sink.push([picture(0)], LIMIT + 1, 2.0)
    pair.sink.push([picture(0), sound(1)], LIMIT + 1, 12.1)
    [failed] = pair.sink.events()
    assert isinstance(failed, SinkFailed) and failed.reason == "too_slow"
    pair.exchange()
    assert pair.media == []


def test_close_ends_the_publish_politely(pair: Pair) -> None:
    pair.publishing()
    pair.sink.push([keyframe(0)], 0, 2.0)
    pair.sink.close()
    assert pair.sink.state is SinkState.CLOSED
    pair.exchange()
    assert [type(event) for event in pair.events[1:]] == [MediaReceived, PublishEnded]
    pair.sink.push([keyframe(0)], 0, 2.0)
    pair.sink.fail("connection_lost", "of course")
    pair.server.receive_eof()
    pair.exchange()
    assert pair.sink.events() == []
    assert isinstance(pair.events[-1], Closed)


def test_close_while_connecting_forgets_what_waits(pair: Pair) -> None:
    pair.sink.push([keyframe(0)], 0, 0.1)
    pair.sink.close()
    pair.exchange()
    assert pair.sink.state is SinkState.CLOSED
    assert pair.sink.deadline() is None
    assert not any(isinstance(event, PublishRequested) for event in pair.events)


def test_close_after_a_failure_leaves_no_deadline_and_the_failure_to_be_read(pair: Pair) -> None:
    pair.sink.fail("unreachable", "no route")
    pair.sink.close()
    assert pair.sink.state is SinkState.FAILED
    assert pair.sink.deadline() is None
