"""Start and stop of the origin, and what it gives to HTTP."""

import asyncio

import pytest
from tests.peers.rtmp_client import AUDIO_HEADER, HOST, VIDEO_HEADER, RtmpPlayer
from tests.peers.waiting import until
from tests.unit.origin.running import PUBLISH, Judge, hasty, serving

from whipway.origin import server
from whipway.origin.server import OriginServer

pytestmark = pytest.mark.anyio

BIG = 100_000
"""A picture of this size fills the socket buffers of a slow player soon."""


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def test_stop_tells_everybody_and_leaves_nothing(anyio_backend: object) -> None:
    before = asyncio.all_tasks()
    async with serving() as origin:
        publisher = await origin.publisher()
        player = await origin.player()
        waiting = await origin.waiting_player("two")
        _, idle = await asyncio.open_connection(HOST, origin.port)
        await until(lambda: len(origin.server.connections) == 4)
    await until(lambda: publisher.lost and player.lost and waiting.lost)
    assert publisher.failure is not None
    assert publisher.failure.detail.startswith("NetConnection.Connect.Closed")
    assert "NetStream.Play.UnpublishNotify" in player.statuses
    idle.close()
    await idle.wait_closed()
    assert asyncio.all_tasks() == before
    with pytest.raises(OSError):
        await RtmpPlayer.connect(origin.port, "one")


async def test_stop_does_not_wait_for_who_does_not_read(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOP_TIMEOUT", 0.05)
    async with serving() as origin:
        publisher = await origin.publisher()
        player = await origin.player()
        player.connected.pause_reading()
        publisher.start()
        for number in range(20):
            publisher.video(number, keyframe=True, size=BIG)
        [live] = origin.server.streams["live/one"].players
        await until(lambda: live.transport.get_write_buffer_size() > BIG)
    player.connected.resume_reading()
    await until(lambda: player.lost)


async def test_what_was_not_started_is_stopped_all_the_same() -> None:
    await OriginServer().stop()


async def test_stop_gives_up_questions(anyio_backend: object) -> None:
    before = asyncio.all_tasks()
    judge = Judge()
    async with serving(judge) as origin:
        client = await hasty(origin, PUBLISH)
        await until(lambda: judge.claims)
    assert judge.left == 1
    assert asyncio.all_tasks() == before
    await until(lambda: client.lost)


async def test_a_stream_can_be_watched(anyio_backend: object) -> None:
    async with serving() as origin:
        assert origin.server.watch("live/one") is None
        publisher = await origin.publisher()
        publisher.start()
        player = origin.server.watch("live/one")
        assert player is not None
        picture = publisher.video(0, keyframe=True)
        data = await player.read()
        assert data.startswith(b"FLV\x01\x05")
        assert data.index(AUDIO_HEADER) < data.index(VIDEO_HEADER) < data.index(picture)
        await publisher.end()
        assert await player.read() == b""


async def test_watchers_are_limited(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_FLV_PLAYERS_PER_ADDRESS", 1)
    async with serving() as origin:
        await origin.publisher()
        assert origin.server.watch("live/two", "192.0.2.7") is None
        assert origin.server.has_room("192.0.2.7")
        first = origin.server.watch("live/one", "192.0.2.7")
        assert first is not None
        assert origin.server.watch("live/one", "192.0.2.7") is None
        assert not origin.server.has_room("192.0.2.7")
        other = origin.server.watch("live/one", "192.0.2.8")
        assert other is not None
        first.close()
        other.close()
        assert origin.server.has_room("192.0.2.7")
