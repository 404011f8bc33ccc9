"""What an operator sees of streams at the origin, from real H.264."""

from collections.abc import Sequence

import pytest
from tests.peers import h264

from whipway.media import flv
from whipway.media.nal import to_byte_stream
from whipway.media.parameter_sets import ParameterSets
from whipway.media.thumbnail import make_jpeg
from whipway.origin.control import OriginControl
from whipway.origin.live import LiveStream
from whipway.origin.table import StreamTable
from whipway.protocol.rtmp.messages import Message, MessageType

KEY = "live/one"
NOBODY = {"width": None, "height": None}


class Publisher:
    is_own = False
    number = 1
    last_media = 0.0

    def __init__(self, table: StreamTable) -> None:
        self._table = table

    def replaced(self) -> None:
        self._table.unpublish(KEY)


class OwnSink(Publisher):
    is_own = True


class Player:
    def deliver(self, packets: Sequence[object]) -> None:
        pass

    def stream_ended(self) -> None:
        pass


def published(kind: type[Publisher] = Publisher) -> tuple[OriginControl, LiveStream]:
    table = StreamTable()
    stream = table.publish(KEY, kind(table), 0.0)
    assert stream is not None
    return OriginControl(table), stream


def video(body: bytes) -> list[Message]:
    return [Message(MessageType.VIDEO, 1, 0, body)]


@pytest.fixture(scope="module")
def picture() -> list[bytes]:
    return h264.encode(320, 180, 1)[0]


@pytest.fixture(scope="module")
def header(picture: list[bytes]) -> bytes:
    configuration = ParameterSets(nal for nal in picture if nal[0] & 0x1F in (7, 8)).configuration()
    assert configuration is not None
    return flv.avc_sequence_header(configuration)


def test_of_what_nobody_publishes_nothing_is_known() -> None:
    control = OriginControl(StreamTable())
    assert control.keyframe(KEY) is None
    assert control.figures(KEY) is None
    assert not control.stop(KEY)


def test_a_key_frame_can_be_looked_at(header: bytes, picture: list[bytes]) -> None:
    control, stream = published()
    stream.publish(video(header))
    assert control.keyframe(KEY) is None
    stream.publish(video(flv.avc_frame([nal for nal in picture if nal[0] & 0x1F == 5], True)))
    keyframe = control.keyframe(KEY)
    assert keyframe is not None and make_jpeg(keyframe).startswith(b"\xff\xd8")


def test_sets_come_before_the_picture(header: bytes, picture: list[bytes]) -> None:
    control, stream = published()
    stream.publish(video(header))
    stream.publish(video(flv.avc_frame([b"\x65slice"], True)))
    sets = [nal for nal in picture if nal[0] & 0x1F in (7, 8)]
    assert control.keyframe(KEY) == to_byte_stream([*sets, b"\x65slice"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"\x90hvc1config", b"\x91hvc1picture"),
        (b"\x17\x00\x00\x00\x00nonsense", b"\x17\x01\x00\x00\x00picture"),
        (None, b"\x17\x01\x00\x00\x00\x00\x00\x00\x01a"),
    ],
)
def test_another_codec_and_nonsense_show_nothing(first: bytes | None, second: bytes) -> None:
    control, stream = published()
    for body in filter(None, (first, second)):
        stream.publish(video(body))
    assert control.keyframe(KEY) is None
    figures = control.figures(KEY)
    assert figures is not None and figures.items() >= NOBODY.items()


def test_a_key_frame_that_is_cut_off_shows_nothing(header: bytes) -> None:
    control, stream = published()
    stream.publish(video(header))
    stream.publish(video(b"\x17\x01\x00\x00\x00\x00\x00\x00\x09a"))
    assert control.keyframe(KEY) is None


def test_sets_without_a_size() -> None:
    control, stream = published()
    for sets in (b"\xe0\x00", b"\xe1\x00\x01\x67\x00"):
        stream.publish(video(b"\x17\x00\x00\x00\x00\x01\x42\xc0\x1f\xff" + sets))
        figures = control.figures(KEY)
        assert figures is not None and figures.items() >= NOBODY.items()


def test_figures(header: bytes, picture: list[bytes]) -> None:
    control, stream = published()
    frame = flv.avc_frame(picture, True)
    stream.publish(video(header))
    stream.players[Player()] = False
    stream.publish(video(frame) * 2)
    assert control.figures(KEY) == {
        "bytes_in": len(header) + 2 * len(frame),
        "bytes_out": 2 * len(frame),
        "pictures": 2,
        "players": 1,
        "width": 320,
        "height": 180,
    }


def test_a_publisher_from_outside_is_sent_away_and_an_own_sink_is_not() -> None:
    control, _ = published()
    assert control.stop(KEY)
    assert control.figures(KEY) is None
    control, _ = published(OwnSink)
    assert not control.stop(KEY)
    assert control.figures(KEY) is not None
