import asyncio

import pytest
import structlog
from tests.unit.origin.test_live import (
    AUDIO_HEADER,
    CUE_POINT,
    KEYFRAME,
    METADATA,
    PICTURE,
    SOUND,
    VIDEO_HEADER,
    publish,
)

from whipway.origin import flv_player
from whipway.origin.flv_player import FlvPlayer, flv_header, flv_tag
from whipway.origin.live import LiveStream
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.messages import Message, MessageType

pytestmark = pytest.mark.anyio

METADATA_OF_BOTH = METADATA._replace(
    payload=amf0.encode("onMetaData", {"videocodecid": 7.0, "audiocodecid": 10.0})
)
METADATA_OF_SOUND = METADATA._replace(payload=amf0.encode("onMetaData", {"audiocodecid": 10.0}))
BIG = PICTURE._replace(payload=PICTURE.payload + bytes(100_000))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> LiveStream:
    return LiveStream()


@pytest.fixture
def player(stream: LiveStream, clock: Clock) -> FlvPlayer:
    return FlvPlayer("live/one", stream, clock)


def parse(data: bytes) -> list[tuple[int, int, bytes]]:
    """Type, time and body of each tag, by the book (annex E.3 and E.4.1)."""
    tags = []
    while data:
        size = int.from_bytes(data[1:4], "big")
        assert data[8:11] == bytes(3)
        assert int.from_bytes(data[11 + size : 15 + size], "big") == size + 11
        time = int.from_bytes(data[7:8] + data[4:7], "big")
        tags.append((data[0], time, data[11 : 11 + size]))
        data = data[15 + size :]
    return tags


def tags_of(*messages: Message, start: int = 0) -> list[tuple[int, int, bytes]]:
    return [(int(each.type_id), start + number, each.payload) for number, each in enumerate(messages)]


async def read_now(player: FlvPlayer) -> bytes | None:
    """What `read` gives without waiting, if anything."""
    reading = asyncio.ensure_future(player.read())
    await asyncio.sleep(0)
    return None if reading.cancel() else reading.result()


async def read_all(player: FlvPlayer) -> list[tuple[int, int, bytes]]:
    """The tags of everything that waits."""
    tags = []
    while data := await read_now(player):
        tags += parse(data.removeprefix(flv_header(has_video=True, has_audio=b"FLV\x01\x05" in data)))
    return tags


@pytest.mark.parametrize(
    ("video", "audio", "flags"), [(True, True, 5), (True, False, 1), (False, True, 4), (False, False, 0)]
)
def test_the_header_of_the_file(video: bool, audio: bool, flags: int) -> None:
    header = b"FLV\x01" + bytes((flags,)) + b"\0\0\0\x09\0\0\0\0"
    assert flv_header(has_video=video, has_audio=audio) == header


@pytest.mark.parametrize("time", [0, 1, 0xFFFFFF, 0x1000000, 0x12345678, 0xFFFFFFFF])
def test_a_tag_holds_time_and_body(time: int) -> None:
    for size in (0, 1, 300, 70_000):
        message = Message(MessageType.VIDEO, 1, time, bytes(size))
        assert parse(flv_tag(message)) == [(9, time, bytes(size))]


def test_a_tag_byte_by_byte() -> None:
    tag = flv_tag(Message(MessageType.AUDIO, 1, 0x12345678, b"\xaf\x01\xff"))
    assert tag == bytes.fromhex("08 000003 345678 12 000000 af01ff 0000000e")


async def test_a_file_begins_with_its_header_and_the_headers_of_the_stream(
    stream: LiveStream, player: FlvPlayer
) -> None:
    publish(stream, METADATA, AUDIO_HEADER, VIDEO_HEADER)
    # Until something is heard or seen, it is open which tracks there will be.
    assert await read_now(player) is None
    publish(stream, CUE_POINT, start=3)
    assert await read_now(player) is None
    publish(stream, KEYFRAME, SOUND, start=4)
    data = await player.read()
    assert data.startswith(flv_header(has_video=True, has_audio=True))
    assert parse(data[13:]) == tags_of(METADATA, AUDIO_HEADER, VIDEO_HEADER, CUE_POINT, KEYFRAME, SOUND)
    assert await read_now(player) is None
    publish(stream, PICTURE, start=6)
    assert parse(await player.read()) == tags_of(PICTURE, start=6)
    # By now it does not take a picture or a sound.
    publish(stream, CUE_POINT, start=7)
    assert parse(await player.read()) == tags_of(CUE_POINT, start=7)


@pytest.mark.parametrize(
    ("messages", "video", "audio"),
    [
        ((METADATA, VIDEO_HEADER, KEYFRAME), True, False),
        ((AUDIO_HEADER, SOUND), False, True),
        ((SOUND,), False, True),
        ((VIDEO_HEADER, AUDIO_HEADER, SOUND), True, True),
        # What is announced will come.
        ((METADATA_OF_BOTH, AUDIO_HEADER, SOUND), True, True),
        ((METADATA_OF_BOTH, KEYFRAME), True, True),
        ((METADATA_OF_SOUND, SOUND), False, True),
    ],
)
async def test_the_header_names_the_tracks_that_there_are(
    stream: LiveStream, player: FlvPlayer, messages: tuple[Message, ...], video: bool, audio: bool
) -> None:
    publish(stream, *messages)
    assert (await player.read()).startswith(flv_header(has_video=video, has_audio=audio))


async def test_a_late_player_begins_with_the_group_of_pictures(stream: LiveStream, clock: Clock) -> None:
    publish(stream, METADATA, AUDIO_HEADER, VIDEO_HEADER)
    publish(stream, KEYFRAME, SOUND, PICTURE, start=70_000_000)
    late = FlvPlayer("live/one", stream, clock)
    tags = parse((await late.read())[13:])
    bodies = [each.payload for each in (METADATA, VIDEO_HEADER, AUDIO_HEADER, KEYFRAME, SOUND, PICTURE)]
    assert [body for _, _, body in tags] == bodies
    assert [time for _, time, _ in tags] == [0, *[70_000_000] * 3, 70_000_001, 70_000_002]


async def test_enhanced_bodies_pass_unchanged(stream: LiveStream, player: FlvPlayer) -> None:
    bodies = [b"\x90hvc1config", b"\x91hvc1\0\0\0key", b"\xa1hvc1\0\0\0picture", b"\x93av01key"]
    publish(stream, *[Message(MessageType.VIDEO, 1, 0, body) for body in bodies])
    publish(stream, Message(MessageType.AUDIO, 1, 0, b"\x91Opus\x08"))
    tags = parse((await player.read())[13:])
    assert [body for _, _, body in tags] == [*bodies, b"\x91Opus\x08"]


async def test_much_is_given_away_in_pieces(stream: LiveStream, player: FlvPlayer) -> None:
    publish(stream, KEYFRAME, BIG, PICTURE, BIG, PICTURE)
    sizes = [len(parse((await player.read())[13:]))]
    sizes += [len(parse(await player.read())) for _ in range(2)]
    assert sizes == [2, 2, 1]
    assert await read_now(player) is None


async def test_the_end_of_the_stream_ends_the_file(stream: LiveStream, player: FlvPlayer) -> None:
    publish(stream, KEYFRAME, PICTURE)
    stream.end()
    assert len(parse((await player.read())[13:])) == 2
    assert await player.read() == await player.read() == b""


async def test_a_stream_without_anything_is_a_file_without_anything(
    stream: LiveStream, player: FlvPlayer
) -> None:
    reading = asyncio.ensure_future(player.read())
    await asyncio.sleep(0)
    stream.end()
    assert await reading == flv_header(has_video=False, has_audio=False)
    assert await player.read() == b""


async def test_who_hears_and_sees_nothing_does_not_wait_for_ever(
    stream: LiveStream, player: FlvPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flv_player, "FIRST_FRAME_TIMEOUT", 0.01)
    publish(stream, METADATA, CUE_POINT)
    assert await player.read() == b""
    assert stream.players == {}


async def test_who_has_seen_something_waits_as_long_as_it_takes(
    stream: LiveStream, player: FlvPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(stream, KEYFRAME)
    monkeypatch.setattr(flv_player, "FIRST_FRAME_TIMEOUT", 0.01)
    assert await player.read()
    reading = asyncio.ensure_future(player.read())
    await asyncio.sleep(0.03)
    assert not reading.done()
    publish(stream, PICTURE)
    assert parse(await reading) == tags_of(PICTURE)


async def test_the_first_close_is_told(stream: LiveStream, clock: Clock) -> None:
    told: list[bool] = []
    player = FlvPlayer("live/one", stream, clock, closed=lambda: told.append(True))
    stream.end()
    await player.read()
    assert told == []
    player.close()
    player.close()
    assert told == [True]


async def test_who_closes_leaves_the_stream(stream: LiveStream, player: FlvPlayer) -> None:
    reading = asyncio.ensure_future(player.read())
    await asyncio.sleep(0)
    publish(stream, METADATA, VIDEO_HEADER)
    player.close()
    player.close()
    assert await reading == b""
    publish(stream, KEYFRAME)
    assert await player.read() == b""
    assert stream.players == {}


async def test_a_slow_reader_misses_pictures_up_to_a_key_frame(
    stream: LiveStream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flv_player, "MAX_PLAYER_BACKLOG_BYTES", 250_000)
    player = FlvPlayer("live/one", stream, clock)
    publish(stream, METADATA, VIDEO_HEADER, AUDIO_HEADER, KEYFRAME, *[BIG] * 6, SOUND)
    publish(stream, PICTURE, start=50)
    tags = await read_all(player)
    assert [time for _, time, _ in tags] == [0, 1, 2, 3, 4, 5, 6, 10]
    publish(stream, PICTURE, KEYFRAME, PICTURE, start=60)
    assert [time for _, time, _ in parse(await player.read())] == [61, 62]


async def test_what_a_late_player_gets_at_once_does_not_make_it_slow(
    stream: LiveStream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flv_player, "MAX_PLAYER_BACKLOG_BYTES", 250_000)
    publish(stream, KEYFRAME, *[BIG] * 10)
    player = FlvPlayer("live/one", stream, clock)
    publish(stream, BIG, start=20)
    tags = await read_all(player)
    assert len(tags) == 12


async def test_a_reader_that_stays_slow_is_cut_off(
    stream: LiveStream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flv_player, "MAX_PLAYER_BACKLOG_BYTES", 250_000)
    player, quick = FlvPlayer("live/one", stream, clock), FlvPlayer("live/one", stream, clock)
    publish(stream, KEYFRAME, BIG, BIG)
    assert len(await read_all(quick)) == 3
    publish(stream, BIG, BIG, start=3)
    assert len(await read_all(quick)) == 2
    clock.now = 11.0
    with structlog.testing.capture_logs() as logs:
        publish(stream, SOUND, start=50)
    assert [entry["event"] for entry in logs] == ["player cut off: too slow"]
    assert list(stream.players) == [quick]
    assert await player.read() == b""
    assert len(parse(await quick.read())) == 1
