"""HTTP-FLV: streams of the origin through the real HTTP server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from tests.peers.rtmp_client import AUDIO_HEADER, HOST, VIDEO_HEADER, RtmpPublisher
from tests.peers.waiting import until
from tests.web.running import RunningGateway

from whipway.origin import flv_player
from whipway.origin.places import Quota
from whipway.origin.server import OriginServer
from whipway.web import http

pytestmark = pytest.mark.anyio

BIG = 100_000
FLV = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"


class Reader:
    """One HTTP request, read as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.head = b""
        self._reader = reader

    async def read_head(self) -> None:
        async with asyncio.timeout(5):
            self.head = await self._reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        """The next chunk (RFC 9112, section 7.1); the last one is empty."""
        async with asyncio.timeout(5):
            size = int(await self._reader.readline(), 16)
            data = await self._reader.readexactly(size + 2)
        return data[:-2]

    async def document(self) -> bytes:
        """The body of an answer that has a length."""
        [length] = [line for line in self.head.lower().splitlines() if line.startswith(b"content-length: ")]
        async with asyncio.timeout(5):
            return await self._reader.readexactly(int(length.split()[1]))

    async def rest(self) -> bytes:
        """Everything to the end of the connection."""
        async with asyncio.timeout(5):
            return await self._reader.read()

    async def body_until(self, end: bytes) -> bytes:
        body = b""
        while end not in body:
            chunk = await self.chunk()
            assert chunk, "it ended before"
            body += chunk
        return body


class Served(RunningGateway):
    """A running gateway, and who plays its streams."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Reader] = []

    @property
    def origin(self) -> OriginServer:
        origin = self.gateway._parts.origin  # type: ignore[union-attr]
        assert origin is not None
        return origin

    async def publisher(self, name: str = "one", app: str = "live") -> RtmpPublisher:
        publisher = await RtmpPublisher.connect(self.gateway.rtmp_port, name, app)
        assert publisher.publishing
        publisher.start()
        publisher.video(0, keyframe=True)
        await until(lambda: self.origin.streams[f"{app}/{name}"].group_bytes)
        return publisher

    async def get(self, path: str = "/live/one.flv", method: str = "GET", version: str = "1.1") -> Reader:
        reader = Reader(*await asyncio.open_connection(HOST, self.gateway.http_port, limit=2**20))
        self.readers.append(reader)
        reader.writer.write(f"{method} {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        await reader.read_head()
        return reader

    @property
    def players(self) -> Any:
        return self.origin.streams["live/one"].players


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing may be logged as an error, of uvicorn's or ours."""
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.ERROR):
        yield
    assert caplog.records == []
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


@pytest.fixture
async def served(errors: None) -> AsyncIterator[Served]:
    server = Served()
    await server.gateway.start()
    before = asyncio.all_tasks()
    try:
        yield server
        if not server.is_stopped:
            for reader in server.readers:
                reader.writer.transport.abort()
            await until(lambda: not server.state.tasks)
            assert {task.get_name() for task in asyncio.all_tasks() - before} & {"flv reader"} == set()
    finally:
        for reader in server.readers:
            reader.writer.transport.abort()
        if not server.is_stopped:
            await server.stop()


async def test_a_stream_comes_as_a_file_without_end(served: Served) -> None:
    publisher = await served.publisher()
    reader = await served.get()
    head = reader.head.decode().lower().splitlines()
    assert head[0] == "http/1.1 200 ok"
    assert {"content-type: video/x-flv", "transfer-encoding: chunked", "cache-control: no-store"} <= {*head}
    assert not any(line.startswith("content-length") for line in head)
    body = await reader.body_until(VIDEO_HEADER)
    assert body.startswith(FLV)
    assert b"onMetaData" in body and AUDIO_HEADER in body and VIDEO_HEADER in body
    await reader.body_until(publisher.video(33))
    await reader.body_until(publisher.audio(40))
    await reader.body_until(publisher.video(66, size=BIG))


async def test_the_file_ends_with_the_stream_and_the_connection_goes_on(served: Served) -> None:
    publisher = await served.publisher()
    reader = await served.get()
    await publisher.end()
    while await reader.chunk():
        pass
    reader.writer.write(b"GET /live/one.flv HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.read_head()
    assert reader.head.startswith(b"HTTP/1.1 404")


async def test_http_1_0_gets_it_without_chunks(served: Served) -> None:
    publisher = await served.publisher()
    reader = await served.get(version="1.0")
    assert b"chunked" not in reader.head.lower()
    picture = publisher.video(33)
    await publisher.end()
    body = await reader.rest()
    assert body.startswith(FLV) and picture in body


@pytest.mark.parametrize(
    ("app", "name", "path"),
    [
        ("rec", "one", "/rec/one.flv"),
        ("live", "team/cam", "/live/team/cam.flv"),
        ("live/team", "cam", "/live/team/cam.flv"),
        ("live", "a.flv", "/live/a.flv.flv"),
        ("live", "zwei ä", "/live/zwei%20%C3%A4.flv"),
    ],
)
async def test_any_name_can_be_played(served: Served, app: str, name: str, path: str) -> None:
    await served.publisher(name, app)
    reader = await served.get(path)
    assert (await reader.chunk()).startswith(FLV)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/live/none.flv", "/none/one.flv", "/one.flv", "/.flv", "/live/one.flv/x"])
async def test_a_stream_that_is_not_there_is_a_problem(served: Served, method: str, path: str) -> None:
    await served.publisher()
    reader = await served.get(path, method)
    assert reader.head.startswith(b"HTTP/1.1 404")
    assert b"content-type: application/problem+json" in reader.head.lower()


async def test_head_answers_and_waits_for_nothing(served: Served) -> None:
    await served.publisher()
    reader = await served.get(method="HEAD")
    assert reader.head.startswith(b"HTTP/1.1 200")
    assert b"content-type: video/x-flv" in reader.head.lower()
    assert served.players == {}
    # Nothing has come besides, so that the next answer follows at once.
    reader.writer.write(b"HEAD /live/one.flv HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.read_head()
    assert reader.head.startswith(b"HTTP/1.1 200")


async def test_readers_are_limited(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.origin, "_flv_places", Quota(1, 1))
    publisher = await served.publisher()
    await served.get(method="HEAD")
    first = await served.get()
    second = await served.get()
    assert second.head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: " in second.head.lower()
    assert b'"code":"server_full"' in await second.document()
    await first.body_until(publisher.video(33))
    first.writer.transport.abort()
    await until(lambda: served.origin.has_room(HOST))
    await (await served.get()).body_until(publisher.video(66, keyframe=True))


async def test_other_methods_are_refused(served: Served) -> None:
    reader = await served.get(method="POST")
    assert reader.head.startswith(b"HTTP/1.1 405")
    assert b"allow: get, head, options" in reader.head.lower()


async def test_who_leaves_is_forgotten_at_once(served: Served) -> None:
    publisher = await served.publisher()
    readers = [await served.get() for _ in range(3)]
    for reader in readers:
        await reader.chunk()
    assert len(served.players) == 3
    readers[0].writer.transport.abort()
    readers[1].writer.close()
    await until(lambda: len(served.players) == 1)
    await readers[2].body_until(publisher.video(33))


async def test_who_leaves_while_it_does_not_read_is_forgotten_at_once(served: Served) -> None:
    publisher = await served.publisher()
    reader = await served.get()
    await until_stalled(served, publisher)
    reader.writer.transport.abort()
    await until(lambda: served.players == {})
    await until(lambda: not served.state.tasks)


async def until_stalled(served: Served, publisher: RtmpPublisher) -> None:
    """Publish until somebody's player has to wait for its reader."""
    [player] = served.players
    for number in range(1, 1000):
        publisher.video(number, size=BIG)
        await asyncio.sleep(0.001)
        if player._queued_bytes > 10 * BIG:
            return
    raise AssertionError("it takes everything")


async def test_who_reads_nothing_delays_nobody_and_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ImpatientGate(flv_player.Gate):
        def __init__(self, _limit: int) -> None:
            super().__init__(500_000, slow_timeout=0.02)

    monkeypatch.setattr(flv_player, "Gate", ImpatientGate)
    publisher = await served.publisher()
    slow, quick = await served.get(), await served.get()
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    number = 0
    while len(served.players) == 2:
        number += 1
        assert number < 1000
        await quick.body_until(publisher.video(number, keyframe=True, size=BIG))
    [player] = served.players
    await quick.body_until(publisher.audio(number))
    # What was written is still to be had, then the answer ends.
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    while await slow.chunk():
        pass
    assert list(served.players) == [player]


async def test_the_stop_does_not_wait_for_readers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STOP_TIMEOUT", 0.05)
    publisher = await served.publisher()
    reading, stalled = await served.get(), await served.get()
    stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await reading.body_until(publisher.video(1, size=BIG))
    assert await served.stop() < 1.0
    assert served.origin.streams == {}
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "flv reader"]


async def test_without_an_origin_there_is_nothing_to_play() -> None:
    gateway = RunningGateway({"rtmp.enabled": "false"})
    await gateway.gateway.start()
    try:
        assert gateway.gateway._parts.origin is None  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection(HOST, gateway.gateway.http_port)
        writer.write(b"GET /live/one.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()
        await writer.wait_closed()
    finally:
        await gateway.stop()
