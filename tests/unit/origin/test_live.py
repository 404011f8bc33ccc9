from collections.abc import Sequence

import pytest

from whipway.origin import live
from whipway.origin.live import LiveStream, Packet, PacketKind, make_packet
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.chunk import ChunkReader, ChunkWriter
from whipway.protocol.rtmp.link import OUT_CHUNK_SIZE
from whipway.protocol.rtmp.messages import Message, MessageType, set_chunk_size


class Player:
    """Collects what it is given."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.deliveries = 0
        self.ended = False

    def deliver(self, packets: Sequence[Packet]) -> None:
        assert packets
        self.packets += packets
        self.deliveries += 1

    def stream_ended(self) -> None:
        self.ended = True

    @property
    def kinds(self) -> list[PacketKind]:
        return [packet.kind for packet in self.packets]

    @property
    def times(self) -> list[int]:
        return [packet.message.timestamp for packet in self.packets]


METADATA = Message(MessageType.DATA, 1, 0, amf0.encode("onMetaData", {"width": 320.0}))
CUE_POINT = Message(MessageType.DATA, 1, 0, amf0.encode("onCuePoint", {"name": "x"}))
VIDEO_HEADER = Message(MessageType.VIDEO, 1, 0, b"\x17\x00\x00\x00\x00config")
AUDIO_HEADER = Message(MessageType.AUDIO, 1, 0, b"\xaf\x00\x11\x90")
KEYFRAME = Message(MessageType.VIDEO, 1, 0, b"\x17\x01\x00\x00\x00key")
PICTURE = Message(MessageType.VIDEO, 1, 0, b"\x27\x01\x00\x00\x00picture")
SOUND = Message(MessageType.AUDIO, 1, 0, b"\xaf\x01sound")
SECOND_VIDEO_HEADER = Message(MessageType.VIDEO, 1, 0, b"\x96\x00avc1\x01config")
SECOND_AUDIO_HEADER = Message(MessageType.AUDIO, 1, 0, b"\x95\x00mp4a\x01\x11\x90")
SECOND_KEYFRAME = Message(MessageType.VIDEO, 1, 0, b"\x96\x01avc1\x01\x00\x00\x00key")
COLOURS = Message(MessageType.VIDEO, 1, 0, b"\xd4hvc1\x02\x00\x09colorInfo")
LOUDSPEAKERS = Message(MessageType.AUDIO, 1, 0, b"\x94Opus\x01\x06\x00\x00\x00\x3f")
HEADERS = [PacketKind.METADATA, PacketKind.VIDEO_HEADER, PacketKind.AUDIO_HEADER]


def publish(stream: LiveStream, *messages: Message, start: int = 0) -> None:
    """One after the other."""
    for number, message in enumerate(messages):
        stream.publish([message._replace(timestamp=start + number)])


def joined(stream: LiveStream) -> Player:
    player = Player()
    stream.join(player)
    return player


@pytest.fixture
def stream() -> LiveStream:
    return LiveStream()


@pytest.fixture
def started(stream: LiveStream) -> LiveStream:
    publish(stream, METADATA, AUDIO_HEADER, VIDEO_HEADER)
    return stream


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (METADATA, PacketKind.METADATA),
        (CUE_POINT, PacketKind.DATA),
        (VIDEO_HEADER, PacketKind.VIDEO_HEADER),
        (AUDIO_HEADER, PacketKind.AUDIO_HEADER),
        (COLOURS, PacketKind.VIDEO_INFORMATION),
        (LOUDSPEAKERS, PacketKind.AUDIO_INFORMATION),
        (KEYFRAME, PacketKind.KEYFRAME),
        (SECOND_KEYFRAME, PacketKind.VIDEO),
        (PICTURE, PacketKind.VIDEO),
        (SOUND, PacketKind.AUDIO),
        (Message(MessageType.VIDEO, 1, 0, b""), PacketKind.VIDEO),
        (Message(MessageType.AUDIO, 1, 0, b""), PacketKind.AUDIO),
        (Message(MessageType.DATA, 1, 0, b""), PacketKind.DATA),
    ],
)
def test_what_a_message_is(message: Message, kind: PacketKind) -> None:
    assert make_packet(message).kind is kind


def test_a_packet_holds_the_bytes_for_every_player() -> None:
    message = PICTURE._replace(stream_id=7, timestamp=123, payload=PICTURE.payload * 10_000)
    data = ChunkWriter().write(set_chunk_size(OUT_CHUNK_SIZE), 2) + make_packet(message).data
    assert ChunkReader().receive(data) == [message._replace(stream_id=1)]


def test_everybody_gets_the_same_packets(started: LiveStream) -> None:
    players = [joined(started), joined(started)]
    publish(started, KEYFRAME, SOUND, PICTURE, start=10)
    assert players[0].packets == players[1].packets
    assert players[0].kinds == [*HEADERS, PacketKind.KEYFRAME, PacketKind.AUDIO, PacketKind.VIDEO]


def test_a_late_player_begins_with_headers_and_the_last_key_frame(started: LiveStream) -> None:
    publish(started, KEYFRAME, PICTURE, start=10)
    publish(started, KEYFRAME, SOUND, PICTURE, start=20)
    player = joined(started)
    assert player.kinds == [*HEADERS, PacketKind.KEYFRAME, PacketKind.AUDIO, PacketKind.VIDEO]
    assert player.times == [0, 20, 20, 20, 21, 22]
    publish(started, PICTURE, start=23)
    assert player.times[-1] == 23


def test_before_the_first_key_frame_there_is_sound_only(started: LiveStream) -> None:
    publish(started, SOUND, PICTURE, start=10)
    player = joined(started)
    assert player.kinds == HEADERS
    publish(started, SOUND, PICTURE, KEYFRAME, PICTURE, start=20)
    assert player.kinds[3:] == [PacketKind.AUDIO, PacketKind.KEYFRAME, PacketKind.VIDEO]


def test_what_comes_together_is_delivered_together(started: LiveStream) -> None:
    waiting = joined(started)
    publish(started, KEYFRAME)
    playing = joined(started)
    assert (waiting.deliveries, playing.deliveries) == (2, 1)
    started.publish([PICTURE, SOUND, KEYFRAME, PICTURE])
    assert (waiting.deliveries, playing.deliveries) == (3, 2)
    assert playing.kinds[-4:] == [PacketKind.VIDEO, PacketKind.AUDIO, PacketKind.KEYFRAME, PacketKind.VIDEO]


def test_who_waits_for_a_key_frame_gets_what_makes_sense_of_a_delivery(started: LiveStream) -> None:
    player = joined(started)
    started.publish([PICTURE])
    assert player.deliveries == 1
    started.publish([PICTURE, SOUND, PICTURE])
    started.publish([PICTURE, SOUND, KEYFRAME, PICTURE, SOUND])
    assert player.kinds[3:] == [
        PacketKind.AUDIO,
        PacketKind.AUDIO,
        PacketKind.KEYFRAME,
        PacketKind.VIDEO,
        PacketKind.AUDIO,
    ]


def test_a_player_that_came_first_gets_everything(stream: LiveStream) -> None:
    player = joined(stream)
    assert player.packets == []
    publish(stream, METADATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME)
    assert player.times == [0, 1, 2, 3]


def test_a_new_video_header_makes_the_pictures_before_it_useless(started: LiveStream) -> None:
    publish(started, KEYFRAME, PICTURE, start=10)
    publish(started, VIDEO_HEADER._replace(payload=VIDEO_HEADER.payload + b"2"), start=20)
    player = joined(started)
    assert player.kinds == HEADERS
    assert player.packets[1].message.payload.endswith(b"2")
    publish(started, PICTURE, KEYFRAME, start=21)
    assert player.kinds[3:] == [PacketKind.KEYFRAME]


def test_each_picture_and_sound_has_headers_of_its_own(started: LiveStream) -> None:
    publish(started, SECOND_AUDIO_HEADER, SECOND_VIDEO_HEADER, KEYFRAME, SECOND_KEYFRAME, start=10)
    publish(started, SECOND_VIDEO_HEADER, start=20)
    player = joined(started)
    expected = [METADATA, VIDEO_HEADER, SECOND_VIDEO_HEADER, AUDIO_HEADER, SECOND_AUDIO_HEADER]
    expected += [KEYFRAME, SECOND_KEYFRAME]
    assert [packet.message.payload for packet in player.packets] == [each.payload for each in expected]


def test_colours_and_loudspeakers_are_told_to_everybody(started: LiveStream) -> None:
    waiting = joined(started)
    publish(started, LOUDSPEAKERS, COLOURS, KEYFRAME, PICTURE, start=10)
    assert waiting.times[3:] == [10, 11, 12, 13]
    late = joined(started)
    information = [PacketKind.VIDEO_INFORMATION, PacketKind.AUDIO_HEADER, PacketKind.AUDIO_INFORMATION]
    assert late.kinds == [*HEADERS[:2], *information, PacketKind.KEYFRAME, PacketKind.VIDEO]


def test_a_group_begins_with_the_main_picture(started: LiveStream) -> None:
    waiting = joined(started)
    publish(started, SECOND_VIDEO_HEADER, SECOND_KEYFRAME, KEYFRAME, SECOND_KEYFRAME, PICTURE, start=10)
    # Headers pass; the other picture waits for the main one.
    assert waiting.times[3:] == [10, 12, 13, 14]


@pytest.mark.parametrize(("track", "size", "kept"), [(15, 0, True), (16, 0, False), (1, 1, False)])
def test_headers_of_other_tracks_are_bounded(started: LiveStream, track: int, size: int, kept: bool) -> None:
    payload = b"\x95\x00mp4a%c" % track + bytes(size and live.MAX_TRACK_HEADER_BYTES)
    publish(started, SECOND_AUDIO_HEADER._replace(payload=payload))
    assert (joined(started).packets[-1].message.payload == payload) is kept


def test_cue_points_do_not_take_the_place_of_metadata(started: LiveStream) -> None:
    publish(started, CUE_POINT, KEYFRAME, CUE_POINT, start=10)
    player = joined(started)
    assert player.kinds == [*HEADERS, PacketKind.KEYFRAME, PacketKind.DATA]
    assert player.packets[0].message.payload == METADATA.payload


def test_the_latest_metadata_count(started: LiveStream) -> None:
    newer = METADATA._replace(payload=amf0.encode("onMetaData", {"width": 640.0}))
    publish(started, KEYFRAME, newer, start=10)
    player = joined(started)
    assert player.kinds == [*HEADERS, PacketKind.KEYFRAME]
    assert player.packets[0].message.payload == newer.payload


def test_a_group_without_end_is_forgotten(started: LiveStream, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(make_packet(PICTURE).data) + live.PACKET_OVERHEAD_BYTES
    monkeypatch.setattr(live, "MAX_GROUP_BYTES", 3 * size)
    watching = joined(started)
    publish(started, KEYFRAME, PICTURE, PICTURE, start=10)
    assert len(joined(started).packets) == 3 + 3
    publish(started, PICTURE, PICTURE, start=13)
    late = joined(started)
    assert late.kinds == HEADERS
    publish(started, PICTURE, KEYFRAME, start=15)
    assert late.kinds[3:] == [PacketKind.KEYFRAME]
    # Who was there before misses nothing.
    assert watching.times[3:] == list(range(10, 17))


def test_who_left_gets_nothing_more(started: LiveStream) -> None:
    player = joined(started)
    started.leave(player)
    started.leave(player)
    publish(started, KEYFRAME)
    started.end()
    assert player.kinds == HEADERS
    assert not player.ended


def test_the_end_is_told_to_everybody(started: LiveStream) -> None:
    players = [joined(started), joined(started)]
    started.end()
    assert all(player.ended for player in players)
    assert started.players == {}
