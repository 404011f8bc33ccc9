import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from whipway.pool.failures import RequestFailed, WorkerGone, WorkerSilent
from whipway.pool.links import LocalLink, ProcessLink
from whipway.worker.channel import EVENT, Channel
from whipway.worker.messages import (
    DescribeSession,
    EndSession,
    LoadMeasured,
    Reply,
    Request,
    SessionDescribed,
    SessionEnded,
    UnknownSession,
    WorkerEvent,
    decode_message,
    encode_message,
)

pytestmark = pytest.mark.anyio


class Handler:
    """Knows one session."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def handle(self, message: Request) -> Reply:
        self.requests.append(message)
        assert isinstance(message, DescribeSession | EndSession)
        if message.session_id == "one":
            return SessionDescribed("one", {"size": (320, 180)})
        return UnknownSession(message.session_id)


async def test_a_request_gets_the_reply_of_the_worker() -> None:
    link, handler = LocalLink(lambda event: None), Handler()
    request = DescribeSession("two")
    assert await link.request(handler, request) == UnknownSession("two")
    assert handler.requests == [request]
    assert handler.requests[0] is not request


async def test_replies_cross_as_plain_data() -> None:
    link = LocalLink(lambda event: None)
    # JSON has no tuples: what a worker in another process could not send is not sent here either.
    reply = await link.request(Handler(), EndSession("one", "deleted"))
    assert reply == SessionDescribed("one", {"size": [320, 180]})


async def test_events_cross_as_plain_data_and_in_order() -> None:
    events: list[WorkerEvent] = []
    link = LocalLink(events.append)
    sent = [SessionEnded("a", "silence", "", {"size": (1, 2)}), LoadMeasured(0.5, 1e6)]
    for event in sent:
        link.post_event(event)
    assert events == [SessionEnded("a", "silence", "", {"size": [1, 2]}), LoadMeasured(0.5, 1e6)]


async def test_an_event_that_is_not_plain_data_fails_where_it_is_made() -> None:
    with pytest.raises(TypeError):
        LocalLink(lambda event: None).post_event(SessionEnded("id", "silence", "", {"x": object()}))


class Far:
    """The far end of a process's link."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._frames = channel.frames()

    async def asked(self) -> tuple[int, Request]:
        async with asyncio.timeout(5):
            number, body = await anext(self._frames)
        return number, decode_message(body)  # type: ignore[return-value]


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[ProcessLink, Far, list[WorkerEvent]]]:
    one, other = socket.socketpair()
    events: list[WorkerEvent] = []
    link, far = ProcessLink(await Channel.open(one), events.append), Far(await Channel.open(other))
    reading = asyncio.create_task(link.run())
    try:
        yield link, far, events
    finally:
        link.close()
        far.channel.close()
        async with asyncio.timeout(5):
            await reading


async def test_replies_find_their_requests_in_any_order() -> None:
    async with linked() as (link, far, events):
        first = asyncio.create_task(link.request(DescribeSession("a")))
        second = asyncio.create_task(link.request(DescribeSession("b")))
        (one, asked), (two, asked_too) = await far.asked(), await far.asked()
        assert (asked, asked_too) == (DescribeSession("a"), DescribeSession("b"))
        far.channel.send(EVENT, encode_message(LoadMeasured(0.5, 1.0)))
        far.channel.send(two, encode_message(UnknownSession("b")))
        far.channel.send(one, encode_message(UnknownSession("a")))
        far.channel.send(one, encode_message(UnknownSession("a")))  # Nobody waits for it any more.
        assert (await first, await second) == (UnknownSession("a"), UnknownSession("b"))
        assert events == [LoadMeasured(0.5, 1.0)]


async def test_a_request_that_failed_over_there() -> None:
    async with linked() as (link, far, _):
        asking = asyncio.create_task(link.request(DescribeSession("a")))
        number, _ = await far.asked()
        far.channel.send(number, b"")
        with pytest.raises(RequestFailed):
            await asking


@pytest.mark.parametrize("is_given_up", [False, True])
async def test_a_worker_that_goes_fails_what_waits(is_given_up: bool) -> None:
    async with linked() as (link, far, _):
        asking = asyncio.create_task(link.request(DescribeSession("a")))
        await far.asked()
        if is_given_up:
            asking.cancel()
        far.channel.close()
        with pytest.raises(asyncio.CancelledError if is_given_up else WorkerGone):
            await asking
        with contextlib.suppress(WorkerGone):
            while True:
                await asyncio.wait_for(link.request(DescribeSession("b")), 5)


async def test_a_worker_that_does_not_answer() -> None:
    async with linked() as (link, far, _):
        with pytest.raises(WorkerSilent):
            await link.request(DescribeSession("a"), 0.01)
        # Its answer comes at last, to nobody.
        number, _ = await far.asked()
        far.channel.send(number, encode_message(UnknownSession("a")))
        asking = asyncio.create_task(link.request(DescribeSession("b")))
        number, _ = await far.asked()
        far.channel.send(number, encode_message(UnknownSession("b")))
        assert await asking == UnknownSession("b")


async def test_an_end_that_was_not_waited_for_is_an_event() -> None:
    ended = SessionEnded("a", "deleted", "", {})
    async with linked() as (link, far, events):
        with pytest.raises(WorkerSilent):
            await link.request(EndSession("a", "deleted"), 0.01)
        number, _ = await far.asked()
        far.channel.send(number, encode_message(ended))
        far.channel.send(number, encode_message(UnknownSession("b")))
        far.channel.send(number, b"")
        async with asyncio.timeout(5):
            while not events:
                await asyncio.sleep(0)
        assert events == [ended] and not link.is_over


async def test_what_nobody_understands_ends_the_link() -> None:
    one, other = socket.socketpair()
    link, far = ProcessLink(await Channel.open(one), lambda event: None), await Channel.open(other)
    reading = asyncio.create_task(link.run())
    far.send(EVENT, b"no message")
    with pytest.raises(ValueError):
        await asyncio.wait_for(reading, 5)
    assert link.is_over
    with pytest.raises(WorkerGone):
        await link.request(DescribeSession("a"))
    far.close()


async def test_nothing_is_asked_of_a_link_that_is_closed() -> None:
    async with linked() as (link, _, _events):
        link.close()
        with pytest.raises(WorkerGone):
            await link.request(DescribeSession("a"))
