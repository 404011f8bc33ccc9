"""Streams of the origin that go on to another RTMP server, over real TCP."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from tests.peers.rtmp_client import AUDIO_HEADER, HOST, VIDEO_HEADER
from tests.peers.rtmp_server import Listener, RtmpServer, listening
from tests.peers.waiting import until
from tests.unit.origin.running import Origin, serving
from tests.unit.worker.serving import make_sinks

from whipway.gateway.pushes import OriginPushes
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.messages import MessageType
from whipway.protocol.rtmp.server import PublishRequested
from whipway.worker.sink_driver import SinkBroken

pytestmark = pytest.mark.anyio

KEY = "live/one"


class Pushing(NamedTuple):
    origin: Origin
    target: Listener
    pushes: OriginPushes

    @property
    def url(self) -> str:
        return f"rtmp://{HOST}:{self.target.port}/app"

    async def server(self) -> RtmpServer:
        await until(lambda: self.target.protocol is not None)
        assert self.target.protocol is not None
        return self.target.protocol


@pytest.fixture
async def pushing() -> AsyncIterator[Pushing]:
    async with serving() as origin, listening() as target:
        pushes = OriginPushes(origin.server.streams, make_sinks())
        yield Pushing(origin, target, pushes)
        pushes.close()


async def test_what_is_published_goes_on_unchanged(pushing: Pushing) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    sent = [publisher.video(0, keyframe=True)]
    await until(
        lambda: KEY in pushing.origin.server.streams and pushing.origin.server.streams[KEY].has_frames
    )
    pushing.pushes.push(KEY, pushing.url, "there?key=1")
    server = await pushing.server()
    for number in range(1, 20):
        sent += [publisher.video(number * 40), publisher.audio(number * 40)]
    await until(lambda: sent[-1] in server.payloads)
    [request] = [event for event in server.events if isinstance(event, PublishRequested)]
    assert (request.app, request.name, request.query) == ("app", "there", "key=1")
    metadata, *others = server.media
    assert (metadata.type_id, amf0.decode(metadata.payload)[0]) == (MessageType.DATA, "onMetaData")
    assert [each.payload for each in others] == [AUDIO_HEADER, VIDEO_HEADER, *sent]
    assert [each.timestamp for each in others[2:]] == [0, *(40 * (n // 2) for n in range(2, 40))]


async def test_the_end_of_the_stream_ends_it_there(pushing: Pushing) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    publisher.video(0, keyframe=True)
    pushing.pushes.push(KEY, pushing.url, "there")
    server = await pushing.server()
    await until(lambda: server.media)
    await publisher.close()
    await until(lambda: server.lost)
    assert pushing.pushes._pushes == {}


async def test_another_target_takes_the_place_of_the_first_and_none_ends_it(pushing: Pushing) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    publisher.video(0, keyframe=True)
    pushing.pushes.push(KEY, pushing.url, "first")
    first = await pushing.server()
    await until(lambda: first.media)
    pushing.pushes.push(KEY, pushing.url, "second")
    await until(lambda: first.lost and len(pushing.target.connections) == 2)
    second = await pushing.server()
    publisher.video(40)
    await until(lambda: second.media)
    pushing.pushes.stop_push(KEY)
    await until(lambda: second.lost)
    assert pushing.origin.server.streams[KEY].players == {}
    pushing.pushes.stop_push(KEY)


async def test_what_nobody_publishes_goes_nowhere(pushing: Pushing) -> None:
    pushing.pushes.push(KEY, pushing.url, "there")
    assert pushing.pushes._pushes == {}


async def test_where_nothing_may_go_is_tried_again_and_harms_nobody(pushing: Pushing) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    pushes = OriginPushes(pushing.origin.server.streams, make_sinks("198.51.100.1"))
    pushes.push(KEY, pushing.url, "there")
    player = await pushing.origin.player()
    publisher.video(0, keyframe=True)
    await until(lambda: any(message.type_id == MessageType.VIDEO for message in player.messages))
    assert pushing.target.connections == []
    pushes.close()


async def test_a_bug_in_a_push_is_its_own_end(pushing: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    pushing.pushes.push(KEY, pushing.url, "there")
    await pushing.server()
    push = pushing.pushes._pushes[KEY]

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(push._driver, "push", broken)
    player = await pushing.origin.player()
    sent = publisher.video(0, keyframe=True)
    await until(lambda: sent in [message.payload for message in player.messages])
    assert pushing.pushes._pushes == {}


async def test_a_driver_that_breaks_ends_its_push_and_no_other(pushing: Pushing) -> None:
    publisher = await pushing.origin.publisher()
    publisher.start()
    pushing.pushes.push(KEY, pushing.url, "there")
    push = pushing.pushes._pushes[KEY]
    push._on_event(SinkBroken())
    assert pushing.pushes._pushes == {}
    pushing.pushes.push(KEY, pushing.url, "there")
    push._on_event(SinkBroken())
    assert list(pushing.pushes._pushes) == [KEY]
