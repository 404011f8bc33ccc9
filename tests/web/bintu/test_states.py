"""The states of a stream while somebody really publishes it, as a client that polls sees them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from tests.peers.rtmp_client import RtmpPlayer, RtmpPublisher
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient, picture
from tests.web.bintu.api import STREAM, assert_unknown, client, create, state, succeeded
from tests.web.served import BASE, SDP, Served, assert_problem
from tests.web.v1.api import on_both

pytestmark = pytest.mark.anyio

SOON = 1.0
"""Seconds within which a change of state is told."""
POLL = 0.01

Stream = dict[str, Any]


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator."""
    async with await client(served) as http:
        yield http


async def becomes(http: httpx.AsyncClient, stream: Stream, expected: str) -> Stream:
    """Poll until a stream has this state, which is to be soon; all of it."""
    async with asyncio.timeout(SOON):
        while await state(http, stream) != expected:
            await asyncio.sleep(POLL)
    return await get(http, stream)


async def get(http: httpx.AsyncClient, stream: Stream) -> Stream:
    found: Stream = succeeded(await http.get(f"{STREAM}/{stream['id']}"))
    return found


async def put(http: httpx.AsyncClient, stream: Stream, action: str, body: Any = None) -> Stream:
    changed: Stream = succeeded(await http.put(f"{STREAM}/{stream['id']}/{action}", json=body))
    return changed


def name_of(stream: Stream) -> str:
    return str(stream["ingest"]["rtmp"]["streamname"])


class ByRtmp:
    """An encoder that publishes at the gateway's RTMP port, as `ingest.rtmp` says."""

    def __init__(self, publisher: RtmpPublisher) -> None:
        self._publisher = publisher

    @classmethod
    async def begin(cls, served: Served, stream: Stream) -> "ByRtmp":
        assert stream["ingest"]["rtmp"]["url"] == f"rtmp://127.0.0.1:{served.gateway.rtmp_port}/live"
        return cls(await RtmpPublisher.connect(served.gateway.rtmp_port, name_of(stream)))

    @property
    def is_refused(self) -> bool:
        """It was not let publish."""
        return not self._publisher.publishing

    def send_frame(self) -> None:
        self._publisher.start()
        self._publisher.video(0, keyframe=True)

    async def end(self) -> None:
        await self._publisher.end()

    async def has_been_ended(self) -> None:
        """The server has hung up."""
        await until(lambda: self._publisher.lost)

    async def leave(self) -> None:
        """Whatever became of it."""
        await self._publisher.close()


class ByWhip:
    """A browser that publishes at the WHIP URL of a stream."""

    def __init__(self, served: Served, answer: httpx.Response, udp: UdpClient | None) -> None:
        self._served = served
        self._answer = answer
        self._udp = udp

    @classmethod
    async def begin(cls, served: Served, stream: Stream) -> "ByWhip":
        machine = WhipClient()
        url = stream["ingest"]["whip"]["url"]
        assert url.startswith(BASE)
        answer = await served.http.post(url, content=machine.offer, headers=SDP)
        if answer.status_code != 201:
            return cls(served, answer, None)
        return cls(served, answer, await UdpClient.start(machine, answer.text).connected())

    @property
    def is_refused(self) -> bool:
        """It was not let publish."""
        if self._udp is None:
            assert_problem(self._answer, 403, "forbidden")
        return self._udp is None

    @property
    def path(self) -> str:
        """Of its session."""
        return str(self._answer.headers["location"]).removeprefix(BASE)

    def send_frame(self) -> None:
        assert self._udp is not None
        self._udp.machine.send_picture(picture(0, keyframe=True), 0.0)
        self._udp.flush()

    async def end(self) -> None:
        assert (await self._served.http.delete(self.path)).status_code == 200

    async def has_been_ended(self) -> None:
        """The session is over, and nothing is left of it at the worker."""
        await until(lambda: self._served.is_empty)
        assert_problem(await self._served.http.delete(self.path), 410, "session_over")

    async def leave(self) -> None:
        """Whatever became of it."""
        if self._udp is not None:
            self._udp.close()


Encoder = ByRtmp | ByWhip
ENCODERS = (ByRtmp, ByWhip)
by_both = pytest.mark.parametrize("kind", ENCODERS)


@asynccontextmanager
async def publishing(kind: type[Encoder], served: Served, stream: Stream) -> AsyncIterator[Encoder]:
    """Somebody publishes a stream, and leaves nothing behind."""
    encoder = await kind.begin(served, stream)
    try:
        yield encoder
    finally:
        await encoder.leave()


def ordered(stream: Stream, *members: str) -> bool:
    """Whether these times follow each other."""
    times = [datetime.fromisoformat(stream[member]) for member in members]
    return times == sorted(times)


@on_both
@by_both
async def test_from_created_to_deleted(served: Served, http: httpx.AsyncClient, kind: type[Encoder]) -> None:
    stream = await create(http, "show")
    async with publishing(kind, served, stream) as encoder:
        assert not encoder.is_refused
        # Connected is not live: there is nothing to see yet.
        assert await state(http, stream) == "created"
        encoder.send_frame()
        live = await becomes(http, stream, "live")
        assert ordered(live, "created_at", "live_at") and (live["reason"], live["ended_at"]) == (None, None)
        await encoder.end()
        ended = await becomes(http, stream, "ended")
        assert ordered(ended, "live_at", "ended_at") and ended["live_at"] == live["live_at"]
        assert ended["reason"] == ("unpublished" if kind is ByRtmp else "deleted")

    async with publishing(kind, served, stream) as encoder:
        encoder.send_frame()
        again = await becomes(http, stream, "live")
        assert ordered(again, "ended_at", "live_at") and again["ended_at"] == ended["ended_at"]
        stopped = await put(http, stream, "stop")
        assert (stopped["state"], stopped["reason"]) == ("ended", "stopped")
        await encoder.has_been_ended()

    async with publishing(kind, served, stream) as encoder:
        encoder.send_frame()
        await becomes(http, stream, "live")
        locked = await put(http, stream, "lock")
        assert (locked["state"], locked["reason"]) == ("locked", "locked")
        assert ordered(locked, "live_at", "locked_at") and ordered(locked, "live_at", "ended_at")
        await encoder.has_been_ended()

    for each in ENCODERS:
        async with publishing(each, served, stream) as refused:
            assert refused.is_refused
    assert await state(http, stream) == "locked"
    assert (await put(http, stream, "unlock"))["state"] == "ended"

    async with publishing(kind, served, stream) as encoder:
        encoder.send_frame()
        await becomes(http, stream, "live")
        deleted = await http.delete(f"{STREAM}/{stream['id']}")
        assert succeeded(deleted) == {"id": stream["id"], "state": "deleted"}
        await encoder.has_been_ended()
    assert_unknown(await http.get(f"{STREAM}/{stream['id']}"), stream["id"])
    for each in ENCODERS:
        async with publishing(each, served, stream) as refused:
            assert refused.is_refused


async def test_an_encoder_that_breaks_off(served: Served, http: httpx.AsyncClient) -> None:
    stream = await create(http)
    async with publishing(ByRtmp, served, stream) as encoder:
        encoder.send_frame()
        await becomes(http, stream, "live")
    assert (await becomes(http, stream, "ended"))["reason"] == "unpublished"


@by_both
async def test_stopping_before_it_is_live(
    served: Served, http: httpx.AsyncClient, kind: type[Encoder]
) -> None:
    stream = await create(http)
    async with publishing(kind, served, stream) as encoder:
        assert (await put(http, stream, "stop"))["state"] == "created"
        await encoder.has_been_ended()
    assert await state(http, stream) == "created"


async def test_stop_ends_every_output_of_a_session(served: Served, http: httpx.AsyncClient) -> None:
    """Of one sink that comes with the session, one that was added, and the push URL."""
    stream = await create(http)
    name, port = name_of(stream), served.gateway.rtmp_port
    async with publishing(ByWhip, served, stream) as encoder:
        assert isinstance(encoder, ByWhip)
        added = f"{encoder.path}/sink?stream_name=copy&stream_url=rtmp://127.0.0.1:{port}/live"
        assert (await served.http.post(added)).status_code == 201
        await put(http, stream, "push_url", {"url": f"rtmp://127.0.0.1:{port}/live/pushed"})
        encoder.send_frame()
        await becomes(http, stream, "live")
        players = [await RtmpPlayer.connect(port, each) for each in (name, "copy", "pushed")]
        for player in players:
            await player.wait_for_status("NetStream.Play.Start")
        await put(http, stream, "stop")
        for player in players:
            await player.wait_for_status("NetStream.Play.UnpublishNotify")
            await player.close()
        await encoder.has_been_ended()


async def test_only_the_stream_that_is_meant_stops(served: Served, http: httpx.AsyncClient) -> None:
    stream, other = await create(http), await create(http)
    async with publishing(ByRtmp, served, stream) as one, publishing(ByRtmp, served, other) as two:
        one.send_frame()
        two.send_frame()
        for each in (stream, other):
            await becomes(http, each, "live")
        await put(http, stream, "stop")
        await one.has_been_ended()
        assert await state(http, other) == "live"


async def test_a_push_url_takes_an_rtmp_publish_on(served: Served, http: httpx.AsyncClient) -> None:
    stream = await create(http)
    port = served.gateway.rtmp_port
    async with publishing(ByRtmp, served, stream) as encoder:
        encoder.send_frame()
        await becomes(http, stream, "live")
        await put(http, stream, "push_url", {"url": f"rtmp://127.0.0.1:{port}/live/pushed"})
        player = await RtmpPlayer.connect(port, "pushed")
        await player.wait_for_status("NetStream.Play.Start")
        await put(http, stream, "push_url", {"url": None})
        await player.wait_for_status("NetStream.Play.UnpublishNotify")
        assert await state(http, stream) == "live"
        await player.close()


async def test_names_nobody_created(served: Served, http: httpx.AsyncClient) -> None:
    """What is published without having been created is listed all the same."""
    publisher = await RtmpPublisher.connect(served.gateway.rtmp_port, "one?passcode=abc")
    publisher.start()
    publisher.video(0, keyframe=True)
    found: Sequence[Stream] = []
    async with asyncio.timeout(SOON):
        while not found:
            found = succeeded(await http.get(f"{STREAM}?state=live"))
    assert [name_of(each) for each in found] == ["one"]
    await publisher.end()
    await becomes(http, found[0], "ended")


async def test_stop_and_lock_come_at_once_from_many(served: Served, http: httpx.AsyncClient) -> None:
    stream = await create(http)
    async with publishing(ByRtmp, served, stream) as encoder:
        encoder.send_frame()
        await becomes(http, stream, "live")
        acts = ["stop", "lock", "stop", "unlock", "lock", "stop"]
        await asyncio.gather(*(put(http, stream, act) for act in acts))
        await encoder.has_been_ended()
    await put(http, stream, "lock")
    assert await state(http, stream) == "locked"
