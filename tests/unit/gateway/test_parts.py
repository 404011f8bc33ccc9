"""The parts that carry streams, without HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.peers.rtmp_client import HOST, RtmpPlayer, RtmpPublisher
from tests.peers.waiting import until

from whipway.config import Settings, load_settings
from whipway.gateway.binding import bind_all
from whipway.gateway.keeping import Keeping, open_keeping
from whipway.gateway.media_workers import make_media
from whipway.gateway.parts import Parts, check_egress, make_parts, make_sink_tls, origin_url
from whipway.gateway.start_error import StartError
from whipway.streams.records import StreamState

pytestmark = pytest.mark.anyio

FREE = {"workers": "0", "http.port": "0", "media.port": "0", "rtmp.port": "0", "egress.allow": "127.0.0.0/8"}


def settings(path: Path | None = None, **changes: str) -> Settings:
    flags = {key.replace("__", "."): value for key, value in changes.items()}
    url = "sqlite://" if path is None else f"sqlite:///{path / 'one.db'}"
    return load_settings(flags={**FREE, "database.url": url, **flags})


class Running:
    def __init__(self, parts: Parts, keeping: Keeping, port: int) -> None:
        self.parts = parts
        self.keeping = keeping
        self.port = port

    async def state(self, stream_id: str) -> tuple[StreamState, str | None]:
        record = await self.keeping.streams.get(stream_id)
        assert record is not None
        return record.state, record.reason


@asynccontextmanager
async def running(given: Settings) -> AsyncIterator[Running]:
    sockets = bind_all(given)
    keeping = await open_keeping(given)
    media = make_media(given, sockets, make_sink_tls(given))
    parts = make_parts(given, keeping, None, sockets, media)
    media.workers.begin()
    await parts.start(sockets)
    try:
        yield Running(parts, keeping, sockets.rtmp_port)
    finally:
        await parts.stop()
        await keeping.close()
        sockets.close()


async def publish(server: Running, name: str) -> RtmpPublisher:
    publisher = await RtmpPublisher.connect(server.port, name)
    publisher.start()
    publisher.video(0, keyframe=True)
    return publisher


async def test_a_stream_from_publisher_to_player_and_record() -> None:
    async with running(settings()) as server:
        record = await server.parts.streams.create(["a"])
        publisher = await publish(server, record.name)
        player = await RtmpPlayer.connect(server.port, record.name)
        await until(lambda: player.bodies)
        async with asyncio.timeout(1):
            while await server.state(record.id) != (StreamState.LIVE, None):
                pass
        await server.parts.streams.stop(record.id)
        await until(lambda: publisher.lost)
        await player.close()
        assert await server.state(record.id) == (StreamState.ENDED, "stopped")


async def test_stopping_writes_down_how_streams_ended(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(settings(tmp_path)) as server:
        record = await server.parts.streams.create()
        publisher = await publish(server, record.name)
        async with asyncio.timeout(1):
            while (await server.state(record.id))[0] is not StreamState.LIVE:
                pass
        port = server.port
    await until(lambda: publisher.lost)
    assert asyncio.all_tasks() == before
    with pytest.raises(OSError):
        await asyncio.open_connection(HOST, port)
    async with running(settings(tmp_path)) as server:
        state, reason = await server.state(record.id)
        assert state is StreamState.ENDED and reason != "restart"


async def test_what_a_run_before_left_live_is_over(tmp_path: Path) -> None:
    given = settings(tmp_path, streams__node="one")
    keeping = await open_keeping(given)
    async with running(given) as server:
        record = await server.parts.streams.create()
        entered = await keeping.streams.enter(
            record.id, StreamState.LIVE, record.created_at, None, expected={StreamState.CREATED}, node="one"
        )
        assert entered is not None
    await keeping.close()
    async with running(given) as server:
        assert await server.state(record.id) == (StreamState.ENDED, "restart")


async def test_a_server_without_an_origin() -> None:
    async with running(settings(rtmp__enabled="false")) as server:
        assert (server.parts.origin, server.parts.pushes, server.port) == (None, None, 0)
        assert (await server.parts.streams.create()).state is StreamState.CREATED


async def test_names_that_have_to_be_known() -> None:
    async with running(settings(streams__require_known="true")) as server:
        refused = await RtmpPublisher.connect(server.port, "unknown")
        assert not refused.publishing
        await refused.close()
        record = await server.parts.streams.create()
        publisher = await RtmpPublisher.connect(server.port, record.name)
        assert publisher.publishing
        await publisher.close()


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "rtmp://127.0.0.1:99/live"),
        ({"rtmp__host": "0.0.0.0"}, "rtmp://127.0.0.1:99/live"),
        ({"rtmp__host": "::1"}, "rtmp://[::1]:99/live"),
        ({"rtmp__enabled": "false"}, None),
    ],
)
def test_where_the_origin_is(changes: dict[str, str], url: str | None) -> None:
    assert origin_url(settings(**changes), 99) == url


def test_rules_that_cannot_be_read() -> None:
    check_egress(settings())
    given = settings()
    wrong = given.model_copy(update={"egress": given.egress.model_copy(update={"allow": ["1.2.3.4/99"]})})
    with pytest.raises(StartError, match=r"^egress\.allow: "):
        check_egress(wrong)
    make_sink_tls(given)
    wrong = given.model_copy(update={"sink": given.sink.model_copy(update={"insecure_tls": ["a b"]})})
    with pytest.raises(StartError, match=r"^sink\.insecure_tls: "):
        make_sink_tls(wrong)
