"""Publishers and players of a running origin, by RTMP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count

import pytest
import structlog
from tests.peers.rtmp_client import (
    AUDIO_HEADER,
    HOST,
    KEYFRAME,
    METADATA,
    VIDEO_HEADER,
    RtmpPlayer,
    RtmpPublisher,
)
from tests.peers.waiting import until
from tests.unit.origin.running import (
    DELETE_STREAM,
    OWN_PASS,
    PLAY,
    PLAY_ANOTHER,
    PUBLISH,
    Impostor,
    Judge,
    Origin,
    OwnSink,
    hasty,
    serving,
)

from whipway import tcp
from whipway.origin import connection, pace, places, publishers
from whipway.origin.live import Packet
from whipway.origin.publishers import OwnRefusal, PublishClaim
from whipway.protocol.rtmp import server as machine
from whipway.protocol.rtmp.chunk import serialize_message
from whipway.protocol.rtmp.client import FailureReason
from whipway.protocol.rtmp.link import CONTROL_CHUNK_STREAM
from whipway.protocol.rtmp.messages import ControlEvent, Message, MessageType, command, user_control

pytestmark = pytest.mark.anyio

HEADERS = [VIDEO_HEADER, AUDIO_HEADER]
BIG = 100_000
"""A picture of this size fills the socket buffers of a slow player soon."""


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


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
    monkeypatch.setattr(connection, "PLAY_WAIT_TIMEOUT", 0.05)
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
    monkeypatch.setattr(connection, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
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
    monkeypatch.setattr(connection, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
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
    class ImpatientGate(connection.Gate):
        def __init__(self, _limit: int) -> None:
            super().__init__(200_000, slow_timeout=0.02)

    monkeypatch.setattr(connection, "Gate", ImpatientGate)
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
    monkeypatch.setattr(connection, "MAX_PLAYER_BACKLOG_BYTES", 200_000)
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


# Places


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(places, name, value)


async def test_newcomers_keep_nobody_out(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, MAX_NEWCOMERS_PER_ADDRESS=2)
    idle = [await asyncio.open_connection(HOST, origin.port) for _ in range(5)]
    publisher = await origin.publisher()
    player = await origin.player()
    async with asyncio.timeout(5):
        for reader, _ in idle[:3]:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
    assert not publisher.lost and not player.lost
    for _, writer in idle:
        writer.transport.abort()


async def test_publishers_and_players_need_a_place(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, MAX_PLACES_PER_ADDRESS=2)
    async with serving(own_pass=OWN_PASS) as origin:
        first = await origin.publisher("one")
        await origin.player("one")
        publisher = await RtmpPublisher.connect(origin.port, "two")
        assert publisher.failure is not None and publisher.failure.reason is FailureReason.BAD_NAME
        assert "There is no place" in publisher.failure.detail
        player = await RtmpPlayer.connect(origin.port, "one")
        await player.wait_for_status("NetStream.Play.Failed")
        await until(lambda: publisher.lost and player.lost)
        # That is for others.
        await origin.own_sink("two")
        await first.end()
        await until_quiet(origin, 1)
        await origin.publisher("one")


# The pace of publishers


SOUND = Message(MessageType.AUDIO, 1, 0, b"\xaf\x01" + bytes(80))


async def test_too_many_messages_are_read_later(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BURST_MESSAGES", 50)
    monkeypatch.setattr(pace, "MESSAGES_PER_SECOND", 500)
    player = await origin.waiting_player()
    client = await hasty(origin, PUBLISH)
    await until(lambda: origin.server.streams)
    [publisher] = [each for each in origin.server.connections if each._published]
    begin = asyncio.get_running_loop().time()
    client.send(*[SOUND] * 100)
    await until(lambda: len(player.bodies) == 100)
    assert publisher._is_paused
    # It takes all of what it has sent to write, which is no reason to read.
    publisher.resume_writing()
    assert not publisher.transport.is_reading()
    client.send(SOUND)
    await until(lambda: len(player.bodies) == 101)
    assert asyncio.get_running_loop().time() - begin >= 0.09
    assert not client.lost


async def test_the_rest_of_a_read_waits_as_well(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BURST_MESSAGES", 1000)
    monkeypatch.setattr(pace, "MESSAGES_PER_SECOND", 20_000)
    player = await origin.waiting_player()
    client = await hasty(origin, PUBLISH)
    await until(lambda: origin.server.streams)
    [publisher] = [each for each in origin.server.connections if each._published]
    # So many at once are more than the machine takes of one read.
    data = serialize_message(Message(MessageType.AUDIO, 1, 0, b"\xaf\x01"), 4, 128) * 10_000
    turns = []
    deliver = connection.Connection.deliver

    def note(self: connection.Connection, packets: Sequence[Packet]) -> None:
        turns.append(len(packets))
        deliver(self, packets)

    monkeypatch.setattr(connection.Connection, "deliver", note)
    publisher.data_received(data)
    assert publisher._is_paused and publisher._unread
    # What the event loop read before it heard of the pause.
    publisher.data_received(data[:1400])
    await until(lambda: len(player.bodies) == 10_100)
    assert max(turns) <= connection.PIECE_BYTES / 14 + 1
    assert not client.lost and not publisher._unread


async def test_messages_that_are_no_media_cost_the_time_they_take(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await hasty(origin)
    await until(lambda: client.answered)
    [connected] = origin.server.connections
    clock = count(0, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "thread_time", lambda: next(clock))
        client.send(command("_checkbw", 0, None))
        await until(lambda: connected._is_paused)
    assert not connected.transport.is_reading()
    connected._end_pause()
    client.send(PUBLISH)
    await until(lambda: origin.server.streams)


async def test_who_does_not_read_is_not_read_after_a_pause(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BURST_MESSAGES", 1)
    client = await hasty(origin, PUBLISH)
    await until(lambda: origin.server.streams)
    [publisher] = origin.server.connections
    publisher.pause_writing()
    publisher.transport.resume_reading()
    client.send(*[SOUND] * 20)
    await until(lambda: publisher._is_paused)
    await until(lambda: not publisher._is_paused)
    assert not publisher.transport.is_reading()
    publisher.resume_writing()
    assert publisher.transport.is_reading()


async def test_who_is_gone_is_not_read_on(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BURST_MESSAGES", 1)
    client = await hasty(origin, PUBLISH)
    await until(lambda: origin.server.streams)
    [publisher] = origin.server.connections
    client.send(*[SOUND] * 3000)
    await until(lambda: publisher._is_paused)
    publisher.abort()
    await until_quiet(origin)
    publisher._end_pause()
    assert publisher.transport is None


async def test_own_sinks_are_never_slowed_down(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BURST_MESSAGES", 1)
    monkeypatch.setattr(pace, "MESSAGES_PER_SECOND", 1)
    async with serving(own_pass=OWN_PASS) as origin:
        sink = await origin.own_sink()
        [publisher] = origin.server.connections
        for _ in range(50):
            sink.audio(0)
        await until(lambda: publisher._pace._even_at > asyncio.get_running_loop().time() + 1.0)
        assert not publisher._is_paused


# Who may publish


async def test_publishers_are_asked_about(anyio_backend: object) -> None:
    judge = Judge()
    judge.is_open.set()
    async with serving(judge) as origin:
        player = await origin.waiting_player()
        publisher = await RtmpPublisher.connect(origin.port, "one?key=a%20b&token=x")
        assert publisher.publishing
        assert judge.claims == [PublishClaim("live", "one", "key=a%20b&token=x", HOST)]
        await player.wait_for(publisher.video(0, keyframe=True))


async def test_a_refused_publisher_learns_why(anyio_backend: object) -> None:
    judge = Judge("Not on Mondays")
    judge.is_open.set()
    async with serving(judge) as origin:
        with structlog.testing.capture_logs() as logs:
            publisher = await RtmpPublisher.connect(origin.port, "one?key=secret")
            await until(lambda: publisher.lost)
        assert publisher.failure is not None
        assert publisher.failure.detail == "NetStream.Publish.Denied: Not on Mondays"
        assert origin.server.streams == {}
    assert logs[0] == {
        "event": "publisher refused",
        "stream": "live/one",
        "client": HOST,
        "detail": "Not on Mondays",
        "log_level": "warning",
    }
    assert "secret" not in str(logs)


async def test_who_may_come_again_is_not_told_to_give_up(anyio_backend: object) -> None:
    judge = Judge("The judge is busy", is_final=False)
    judge.is_open.set()
    async with serving(judge) as origin:
        publisher = await RtmpPublisher.connect(origin.port, "one")
        assert publisher.failure is not None
        assert publisher.failure.detail == "NetStream.Publish.BadName: The judge is busy"
        await until(lambda: publisher.lost)


@pytest.mark.parametrize("name", ["cam&token=s3cr3t", "cam/token=s3cr3t", "s3cr3t-s3cr3t-s3cr3t"])
async def test_what_was_refused_is_cut_in_logs(anyio_backend: object, name: str) -> None:
    judge = Judge("No")
    judge.is_open.set()
    async with serving(judge) as origin:
        with structlog.testing.capture_logs() as logs:
            publisher = await RtmpPublisher.connect(origin.port, name)
            await until(lambda: publisher.lost)
            await until_quiet(origin)
    assert {entry["event"] for entry in logs} == {"publisher refused", "connection closed"}
    assert "s3cr3t-s3cr3t" not in str(logs) and "=s3cr3t" not in str(logs)


async def test_own_sinks_are_not_asked_about(anyio_backend: object) -> None:
    judge = Judge("No")
    judge.is_open.set()
    async with serving(judge, own_pass=OWN_PASS) as origin:
        await origin.own_sink()
        impostor = await Impostor.connect(origin.port, "two")
        assert impostor.failure is not None
        assert [claim.name for claim in judge.claims] == ["two"]
        await until(lambda: impostor.lost)


async def test_no_word_is_no_pass(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnSink, "word", "")
    judge = Judge("No")
    judge.is_open.set()
    async with serving(judge) as origin:
        stranger = await OwnSink.connect(origin.port, "one")
        assert stranger.failure is not None
        await until(lambda: stranger.lost)


async def test_media_are_held_while_the_answer_is_awaited(anyio_backend: object) -> None:
    judge = Judge()
    async with serving(judge) as origin:
        player = await origin.waiting_player()
        await hasty(origin, PUBLISH, Message(MessageType.VIDEO, 1, 0, KEYFRAME + b"early"))
        await until(lambda: judge.claims)
        assert origin.server.streams == {}
        judge.is_open.set()
        await player.wait_for(KEYFRAME + b"early")


async def test_too_much_media_before_the_answer_ends_the_connection(anyio_backend: object) -> None:
    judge = Judge()
    async with serving(judge) as origin:
        big = Message(MessageType.VIDEO, 1, 0, KEYFRAME + bytes(30_000))
        client = await hasty(origin, PUBLISH)
        await until(lambda: judge.claims)
        client.send(*[big] * 40)
        await until(lambda: client.lost and judge.left)
        judge.is_open.set()
        await origin.publisher()


@pytest.mark.parametrize("leave", [RtmpPublisher.close, RtmpPublisher.abort])
async def test_who_leaves_while_it_is_asked_about_takes_no_name(
    anyio_backend: object, leave: Callable[[RtmpPublisher], object]
) -> None:
    judge = Judge()
    async with serving(judge) as origin:
        client = await hasty(origin, PUBLISH)
        await until(lambda: judge.claims)
        await leave(client)  # type: ignore[arg-type]
        await until(lambda: judge.left)
        await until_quiet(origin)
        assert origin.server.streams == {}


async def test_who_ends_its_publish_while_it_is_asked_about_takes_no_name(anyio_backend: object) -> None:
    judge = Judge()
    async with serving(judge) as origin:
        client = await hasty(origin, PUBLISH)
        await until(lambda: judge.claims)
        client.send(DELETE_STREAM)
        await until(lambda: judge.left)
        assert origin.server.streams == {}


async def test_an_answer_that_comes_too_late_counts_for_nothing(anyio_backend: object) -> None:
    class Stubborn(Judge):
        async def __call__(self, claim: PublishClaim) -> OwnRefusal | None:
            try:
                return await super().__call__(claim)
            except asyncio.CancelledError:
                return None

    judge = Stubborn()
    async with serving(judge) as origin:
        client = await hasty(origin, PUBLISH)
        await until(lambda: judge.claims)
        await client.abort()
        await until(lambda: judge.left)
        await until_quiet(origin)
        assert origin.server.streams == {}


async def test_several_may_ask_for_one_name_and_one_gets_it(anyio_backend: object) -> None:
    judge = Judge()
    async with serving(judge) as origin:
        clients = [RtmpPublisher(origin.port, "live", "one") for _ in range(3)]
        for client in clients:
            await asyncio.get_running_loop().create_connection(lambda: client, HOST, origin.port)  # noqa: B023
        await until(lambda: len(judge.claims) == 3)
        judge.is_open.set()
        await until(lambda: all(client.events for client in clients))
        assert [client.publishing for client in clients].count(True) == 1
        failures = [client.failure for client in clients if client.failure]
        assert {failure.reason for failure in failures} == {FailureReason.BAD_NAME}
        await until(lambda: sum(client.lost for client in clients) == 2)


async def test_questions_are_limited(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "MAX_ASKING", 2)
    judge = Judge()
    async with serving(judge) as origin:
        for _ in range(2):
            await hasty(origin, PUBLISH)
        await until(lambda: len(judge.claims) == 2)
        third = await RtmpPublisher.connect(origin.port, "two")
        assert third.failure is not None and "Too many" in third.failure.detail
        await until(lambda: third.lost)
        judge.is_open.set()
        await until(lambda: origin.server.streams)
        await origin.publisher("two")


async def test_an_ipv4_address_is_told_as_such(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def judge(claim: PublishClaim) -> OwnRefusal | None:
        told.append(claim.client)
        return OwnRefusal("No")

    for peer, client in {
        "::ffff:192.0.2.7": "192.0.2.7",
        "2001:db8::7": "2001:db8::7",
        "192.0.2.7": "192.0.2.7",
        None: "",
    }.items():
        with monkeypatch.context() as patch:
            move(patch, peer)
            async with serving(judge) as origin:
                publisher = await RtmpPublisher.connect(origin.port, "one")
                await until(lambda: publisher.lost)  # noqa: B023
        assert told.pop() == client


class Elsewhere:
    """A transport to another address than it is."""

    def __init__(self, transport: asyncio.Transport, peer: str | None) -> None:
        self._transport = transport
        self._peer = peer

    def get_extra_info(self, _name: str) -> object:
        return self._peer and (self._peer, 40000)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


def move(monkeypatch: pytest.MonkeyPatch, peer: str | None) -> None:
    """Have all connections come from `peer`."""
    connection_made = connection.Connection.connection_made

    def made(made_one: connection.Connection, transport: asyncio.Transport) -> None:
        connection_made(made_one, transport)
        made_one.transport = Elsewhere(transport, peer)  # type: ignore[assignment]

    monkeypatch.setattr(connection.Connection, "connection_made", made)


# Who gives way


async def test_a_silent_publisher_gives_way(anyio_backend: object) -> None:
    async with serving(takeover_after=0.05) as origin:
        silent = await origin.publisher()
        silent.start()
        player = await origin.player()
        await player.wait_for(silent.video(0, keyframe=True))
        await until(lambda: not player.lost)
        second = await publish_again(origin)
        await until(lambda: silent.lost and player.lost)
        assert silent.failure is not None
        assert silent.failure.detail.startswith("NetConnection.Connect.Closed")
        assert "NetStream.Play.UnpublishNotify" in player.statuses
        late = await origin.player()
        await late.wait_for(second.video(7, keyframe=True))


async def publish_again(origin: Origin) -> RtmpPublisher:
    """Come back until the name is free."""
    async with asyncio.timeout(5):
        while not (publisher := await RtmpPublisher.connect(origin.port, "one")).publishing:
            await until(lambda: publisher.lost)  # noqa: B023
    return publisher


async def test_where_newer_ones_win_a_live_publisher_is_replaced(anyio_backend: object) -> None:
    async with serving(takes_over=True) as origin:
        first = await origin.publisher()
        second = await origin.publisher()
        await until(lambda: first.lost)
        assert second.publishing and set(origin.server.streams) == {"live/one"}


async def test_own_sinks_never_give_way(anyio_backend: object) -> None:
    async with serving(own_pass=OWN_PASS, takeover_after=0.0, takes_over=True) as origin:
        sink = await origin.own_sink()
        for kind in (RtmpPublisher, OwnSink):
            other = await kind.connect(origin.port, "one")
            assert other.failure is not None and other.failure.reason is FailureReason.BAD_NAME
            await until(lambda: other.lost)  # noqa: B023
        assert sink.publishing


async def test_a_publisher_from_outside_may_not_be_silent_for_ever(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE_TIMEOUT", 0.1)
    async with serving(own_pass=OWN_PASS) as origin:
        sink = await origin.own_sink("own")
        publisher = await origin.publisher()
        begin = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - begin < 0.15:
            publisher.audio(0)
            await asyncio.sleep(0.01)
        assert not publisher.lost
        await until(lambda: publisher.lost)
        assert sink.publishing and not sink.lost
