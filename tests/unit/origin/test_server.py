import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from tests.peers.rtmp_client import (
    AUDIO_HEADER,
    CREATE_STREAM,
    HOST,
    KEYFRAME,
    METADATA,
    VIDEO_HEADER,
    RtmpClient,
    RtmpPlayer,
    RtmpPublisher,
)
from tests.peers.waiting import until

from whipway import tcp
from whipway.origin import server
from whipway.origin.server import OriginServer
from whipway.protocol.rtmp import server as machine
from whipway.protocol.rtmp.chunk import MAX_MESSAGE_BYTES, serialize_message
from whipway.protocol.rtmp.client import FailureReason
from whipway.protocol.rtmp.handshake import ClientHandshake
from whipway.protocol.rtmp.link import CONTROL_CHUNK_STREAM, Link
from whipway.protocol.rtmp.messages import (
    ControlEvent,
    Message,
    MessageType,
    command,
    parse_command,
    user_control,
)
from whipway.worker.sockets import bind_tcp

pytestmark = pytest.mark.anyio

HEADERS = [VIDEO_HEADER, AUDIO_HEADER]
BIG = 100_000
"""A picture of this size fills the socket buffers of a slow player soon."""


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Origin:
    """A running server and its port."""

    def __init__(self, running: OriginServer, port: int) -> None:
        self.server = running
        self.port = port

    async def publisher(self, name: str = "one") -> RtmpPublisher:
        publisher = await RtmpPublisher.connect(self.port, name)
        assert publisher.publishing
        return publisher

    async def player(self, name: str = "one") -> RtmpPlayer:
        """A player that has been let in."""
        player = await RtmpPlayer.connect(self.port, name)
        await player.wait_for_status("NetStream.Play.Start")
        return player

    async def waiting_player(self, name: str = "one") -> RtmpPlayer:
        player = await RtmpPlayer.connect(self.port, name)
        await until(lambda: f"live/{name}" in self.server.waiting)
        return player


class HastyClient(RtmpClient):
    """Sends everything in one breath, without a look at the answers."""

    def __init__(self, *wishes: Message) -> None:
        super().__init__()
        self.answered = False
        self._wishes = wishes
        self._link = Link(ClientHandshake(os.urandom), MAX_MESSAGE_BYTES)

    def flush(self) -> None:
        self.connected.write(b"".join(self._link.data_to_send()))

    def data_received(self, data: bytes) -> None:
        was_ready = self._link.ready
        for message in self._link.receive(data):
            answers = message.type_id == MessageType.COMMAND
            self.answered |= answers and parse_command(message).transaction_id == CREATE_STREAM
        if self._link.ready and not was_ready:
            self._link.send(command("connect", 1, {"app": "live"}))
            self._link.send(command("createStream", CREATE_STREAM, None))
            for wish in self._wishes:
                self._link.send(wish)
        self.flush()


PUBLISH = command("publish", 3, None, "one", "live", stream_id=1)
PLAY = command("play", 3, None, "one", stream_id=1)
PLAY_ANOTHER = command("play", 3, None, "two", stream_id=1)
DELETE_STREAM = command("deleteStream", 0, None, 1)


async def hasty(origin: Origin, *wishes: Message) -> HastyClient:
    client = HastyClient(*wishes)
    await asyncio.get_running_loop().create_connection(lambda: client, HOST, origin.port)
    return client


@asynccontextmanager
async def serving(only_local_publishers: bool = False) -> AsyncIterator[Origin]:
    running = OriginServer(only_local_publishers)
    listener = bind_tcp(HOST, 0)
    # Kept small so that little has to be sent until a player is slow.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    await running.start(listener)
    try:
        yield Origin(running, listener.getsockname()[1])
    finally:
        await running.stop()
        assert running.connections == set()
        assert running.streams == running.waiting == {}


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with serving() as running:
        yield running


async def until_quiet(origin: Origin, connections: int = 0) -> None:
    await until(lambda: len(origin.server.connections) == connections)


async def test_everybody_who_plays_gets_what_is_published(origin: Origin) -> None:
    publisher = await origin.publisher()
    players = [await origin.player() for _ in range(3)]
    publisher.start()
    bodies = [publisher.video(0, keyframe=True), publisher.audio(1), publisher.video(33, size=BIG)]
    for player in players:
        await player.wait_for(*bodies)
        assert player.bodies == [AUDIO_HEADER, VIDEO_HEADER, *bodies]
        assert player.metadata == [METADATA]
        assert [message.timestamp for message in player.messages[-3:]] == [0, 1, 33]


async def test_a_late_player_begins_at_once_with_headers_and_the_last_key_frame(origin: Origin) -> None:
    publisher = await origin.publisher()
    publisher.start()
    publisher.video(0, keyframe=True)
    recent = [publisher.video(66, keyframe=True), publisher.audio(70), publisher.video(99)]
    witness = await origin.player()
    await witness.wait_for(*recent)
    player = await origin.player()
    await player.wait_for(*HEADERS, *recent)
    assert player.bodies == [*HEADERS, *recent]
    assert player.metadata == [METADATA]
    await player.wait_for(publisher.video(132))


async def test_a_name_has_one_publisher(origin: Origin) -> None:
    first = await origin.publisher()
    first.start()
    player = await origin.player()
    second = await RtmpPublisher.connect(origin.port, "one")
    assert second.failure is not None and second.failure.reason is FailureReason.BAD_NAME
    assert second.failure.detail.startswith("NetStream.Publish.BadName")
    # Nobody has to hang up for the server.
    await until(lambda: second.lost)
    await player.wait_for(first.video(0, keyframe=True))
    assert first.publishing and not first.lost


@pytest.mark.parametrize("name", ["red\x1b[31m", "two\nlines", "x" * 2000], ids=["escape", "newline", "long"])
async def test_names_that_would_spoil_a_log_are_refused(origin: Origin, name: str) -> None:
    with structlog.testing.capture_logs() as logs:
        publisher = await RtmpPublisher.connect(origin.port, name)
        assert publisher.failure is not None and publisher.failure.reason is FailureReason.BAD_NAME
        player = await RtmpPlayer.connect(origin.port, name)
        await player.wait_for_status("NetStream.Play.StreamNotFound")
        await until(lambda: publisher.lost and player.lost)
    assert name not in str(logs) and origin.server.waiting == {}
    assert all(entry["stream"] == "" for entry in logs)


async def test_names_are_apart(origin: Origin) -> None:
    one, two = await origin.publisher("one"), await origin.publisher("two")
    player = await origin.player("two")
    one.video(0, keyframe=True)
    await player.wait_for(two.video(5, keyframe=True))
    assert len(player.bodies) == 1
    assert set(origin.server.streams) == {"live/one", "live/two"}


async def test_media_that_came_before_the_answer_is_not_held_back(origin: Origin) -> None:
    player = await origin.waiting_player()
    await hasty(origin, PUBLISH, Message(MessageType.VIDEO, 1, 0, KEYFRAME + b"early"))
    await player.wait_for(KEYFRAME + b"early")


async def test_who_publishes_and_ends_in_one_breath_takes_no_name(origin: Origin) -> None:
    client = await hasty(origin, PUBLISH, DELETE_STREAM)
    await until(lambda: client.answered)
    assert origin.server.streams == {}
    await origin.publisher()


async def test_who_plays_and_ends_in_one_breath_is_no_player(origin: Origin) -> None:
    publisher = await origin.publisher()
    client = await hasty(origin, PLAY, DELETE_STREAM)
    waiting = await hasty(origin, PLAY_ANOTHER, DELETE_STREAM)
    await until(lambda: client.answered and waiting.answered)
    assert origin.server.streams["live/one"].players == {}
    assert origin.server.waiting == {}
    await publisher.end()
    assert not client.lost


async def test_a_player_may_come_before_its_publisher(origin: Origin) -> None:
    player = await origin.waiting_player()
    assert player.statuses == []
    publisher = await origin.publisher()
    publisher.start()
    await player.wait_for(publisher.video(0, keyframe=True))
    assert "NetStream.Play.Start" in player.statuses
    assert origin.server.waiting == {}


async def test_a_player_does_not_wait_for_ever(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PLAY_WAIT_TIMEOUT", 0.05)
    player = await origin.waiting_player()
    await player.wait_for_status("NetStream.Play.StreamNotFound")
    await until(lambda: player.lost)
    assert origin.server.waiting == {}


@pytest.mark.parametrize("leave", [RtmpPlayer.close, RtmpPlayer.abort])
async def test_a_player_that_gives_up_waiting_is_forgotten(
    origin: Origin, leave: Callable[[RtmpPlayer], object]
) -> None:
    player = await origin.waiting_player()
    await leave(player)
    await until(lambda: not origin.server.waiting)
    await origin.publisher()


async def test_a_player_that_deletes_its_stream_while_it_waits_gets_none(origin: Origin) -> None:
    player = await origin.waiting_player()
    witness = await origin.waiting_player()
    player.send(DELETE_STREAM)
    await until(lambda: len(origin.server.waiting["live/one"]) == 1)
    publisher = await origin.publisher()
    publisher.start()
    await witness.wait_for(publisher.video(0, keyframe=True))
    await publisher.end()
    await witness.wait_for_status("NetStream.Play.UnpublishNotify")
    assert player.messages == player.statuses == []


async def test_a_player_that_leaves_is_forgotten(origin: Origin) -> None:
    publisher = await origin.publisher()
    one, two = await origin.player(), await origin.player()
    one.send(DELETE_STREAM)
    await two.abort()
    await until(lambda: not origin.server.streams["live/one"].players)
    witness = await origin.player()
    await witness.wait_for(publisher.video(0, keyframe=True))
    assert one.bodies == two.bodies == []


@pytest.mark.parametrize("leave", [RtmpPublisher.end, RtmpPublisher.close, RtmpPublisher.abort])
async def test_players_are_told_when_the_publisher_is_gone(
    origin: Origin, leave: Callable[[RtmpPublisher], object]
) -> None:
    publisher = await origin.publisher()
    players = [await origin.player(), await origin.player()]
    await leave(publisher)
    for player in players:
        await player.wait_for_status("NetStream.Play.UnpublishNotify")
        await until(lambda: player.lost)  # noqa: B023 - awaited at once
    assert origin.server.streams == {}
    await origin.publisher()


async def test_an_ended_stream_does_not_wait_for_who_does_not_read(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "CLOSE_TIMEOUT", 0.05)
    publisher = await origin.publisher()
    player = await origin.player()
    player.connected.pause_reading()
    publisher.start()
    for number in range(20):
        publisher.video(number, keyframe=True, size=BIG)
    [live] = origin.server.streams["live/one"].players
    await until(lambda: live.transport.get_write_buffer_size() > BIG)
    await publisher.end()
    await until_quiet(origin)
    player.connected.resume_reading()
    await until(lambda: player.lost)


async def test_a_slow_player_delays_nobody_and_comes_back_with_a_key_frame(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
    publisher = await origin.publisher()
    slow, quick = await origin.player(), await origin.player()
    slow.connected.pause_reading()
    publisher.start()
    bodies = [publisher.video(0, keyframe=True)]
    for number in range(1, 40):
        bodies.append(publisher.video(number, size=BIG))
        await quick.wait_for(bodies[-1])
    sound = publisher.audio(40)
    await quick.wait_for(sound)
    slow.connected.resume_reading()
    await slow.wait_for(sound)
    assert quick.bodies == [AUDIO_HEADER, VIDEO_HEADER, *bodies, sound]
    assert 2 + 1 < len(slow.bodies) < 2 + 40
    # It has caught up, but between key frames there is nothing to show.
    publisher.video(41)
    last = publisher.video(42, keyframe=True)
    await slow.wait_for(sound, last)
    await slow.wait_for(publisher.video(43))


async def test_what_a_late_player_gets_at_once_does_not_make_it_slow(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
    publisher = await origin.publisher()
    early = await origin.player()
    publisher.start()
    bodies = [publisher.video(0, keyframe=True)]
    for number in range(1, 30):
        bodies.append(publisher.video(number, size=BIG))
        await early.wait_for(bodies[-1])
    late = await origin.player()
    bodies += [publisher.video(number, size=BIG) for number in range(30, 35)]
    await late.wait_for(bodies[-1])
    assert [message.payload for message in late.messages if message.payload in bodies] == bodies


async def test_a_player_that_stays_slow_is_cut_off(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    class ImpatientGate(server.Gate):
        def __init__(self, _limit: int) -> None:
            super().__init__(200_000, slow_timeout=0.02)

    monkeypatch.setattr(server, "Gate", ImpatientGate)
    publisher = await origin.publisher()
    slow, quick = await origin.player(), await origin.player()
    slow.connected.pause_reading()
    publisher.start()
    number = 0
    while len(origin.server.connections) == 3:
        body = publisher.video(number, keyframe=True, size=BIG)
        await quick.wait_for(body)
        number += 1
        assert number < 1000
    assert origin.server.streams["live/one"].players.keys() <= origin.server.connections
    assert not quick.lost and publisher.publishing
    slow.connected.resume_reading()
    await until(lambda: slow.lost)


async def test_headers_without_end_cut_off_who_does_not_read(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
    publisher = await origin.publisher()
    player = await origin.player()
    player.connected.pause_reading()
    for number in range(60):
        publisher.machine.send_video(number, VIDEO_HEADER + bytes(BIG))
    publisher.flush()
    await until_quiet(origin, 1)
    player.connected.resume_reading()
    await until(lambda: player.lost)


async def test_who_does_not_read_is_not_answered_without_end(origin: Origin) -> None:
    player = await origin.waiting_player()
    [connection] = origin.server.connections
    player.connected.pause_reading()
    ping = user_control(ControlEvent.PING_REQUEST, 1)
    # Long ones, since very many in one read end a connection by themselves.
    padded = ping._replace(payload=ping.payload + bytes(110))
    player.connected.write(500_000 * serialize_message(padded, CONTROL_CHUNK_STREAM, 128))
    await until(lambda: not connection.transport.is_reading())
    assert connection.transport.get_write_buffer_size() < 1_000_000
    await player.abort()
    await until_quiet(origin)


async def test_garbage_ends_the_connection(origin: Origin) -> None:
    reader, writer = await asyncio.open_connection(HOST, origin.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await until_quiet(origin)


async def test_a_publisher_that_sends_garbage_loses_its_name(origin: Origin) -> None:
    publisher = await origin.publisher()
    player = await origin.player()
    publisher.connected.write(b"\xff" * 100)
    await player.wait_for_status("NetStream.Play.UnpublishNotify")
    await until(lambda: publisher.lost)
    await origin.publisher()


async def test_silence_ends_the_connection(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "STEP_TIMEOUT", 0.05)
    reader, writer = await asyncio.open_connection(HOST, origin.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_connections_are_limited(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    first = await origin.publisher("one")
    await origin.publisher("two")
    third = await RtmpPlayer.connect(origin.port, "one")
    await until(lambda: third.lost)
    await first.end()
    await until_quiet(origin, 1)
    await origin.publisher("one")


async def test_stop_tells_everybody_and_leaves_nothing(anyio_backend: object) -> None:
    before = asyncio.all_tasks()
    async with serving() as origin:
        publisher = await origin.publisher()
        player = await origin.player()
        waiting = await origin.waiting_player("two")
        _, idle = await asyncio.open_connection(HOST, origin.port)
        await until_quiet(origin, 4)
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


# Publishers of this machine only


class Elsewhere:
    """A transport between other addresses than it is."""

    def __init__(self, transport: asyncio.Transport, ends: dict[str, object]) -> None:
        self._transport = transport
        self._ends = ends

    def get_extra_info(self, name: str) -> object:
        return self._ends[name]

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


def move(monkeypatch: pytest.MonkeyPatch, peer: str | None, here: str | None) -> None:
    """Have all connections come from `peer` to `here`."""
    ends = {"peername": peer and (peer, 40000), "sockname": here and (here, 1935)}
    connection_made = server.Connection.connection_made

    def made(connection: server.Connection, transport: asyncio.Transport) -> None:
        connection_made(connection, transport)
        connection.transport = Elsewhere(transport, ends)  # type: ignore[assignment]

    monkeypatch.setattr(server.Connection, "connection_made", made)


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
async def test_this_machine_may_publish(monkeypatch: pytest.MonkeyPatch, peer: str, here: str) -> None:
    move(monkeypatch, peer, here)
    async with serving(only_local_publishers=True) as origin:
        await (await origin.publisher()).close()


@pytest.mark.parametrize(
    ("peer", "here", "told"),
    [
        ("192.0.2.7", "192.0.2.1", "192.0.2.7"),
        ("192.0.2.7", "127.0.0.1", "192.0.2.7"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.1", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::1", "2001:db8::7"),
        (None, None, "None"),
    ],
)
async def test_others_play_and_do_not_publish(
    monkeypatch: pytest.MonkeyPatch, peer: str | None, here: str | None, told: str
) -> None:
    move(monkeypatch, peer, here)
    async with serving(only_local_publishers=True) as origin:
        with structlog.testing.capture_logs() as logs:
            publisher = await RtmpPublisher.connect(origin.port, "one?key=secret")
        assert publisher.failure is not None
        assert publisher.failure.reason is FailureReason.BAD_NAME
        assert "Publish by WHIP" in publisher.failure.detail
        assert origin.server.streams == {}
        refused = logs[0]
        assert refused["event"] == "publisher refused: not on this machine"
        assert (refused["stream"], refused["peer"]) == ("live/one", told)
        await (await origin.waiting_player()).close()
        await publisher.close()


async def test_anybody_may_publish_where_it_is_so_set(
    monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> None:
    move(monkeypatch, "192.0.2.7", "192.0.2.1")
    await (await origin.publisher()).close()
