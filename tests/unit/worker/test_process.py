"""The worker's process as the gateway has it: over one socket, to its end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
from tests.peers.rtmp_client import HOST
from tests.peers.whip_client import WhipClient
from tests.unit.worker.test_setup import RULES, SINKS

from whipway.pool.failures import RequestFailed
from whipway.pool.links import ProcessLink
from whipway.worker import process
from whipway.worker.channel import EVENT, Channel
from whipway.worker.messages import (
    CreateSession,
    DescribeWorker,
    LoadMeasured,
    SessionCreated,
    SessionEnded,
    StopWorker,
    WorkerDescribed,
    WorkerEvent,
    WorkerStopped,
)
from whipway.worker.setup import WorkerSetup
from whipway.worker.sockets import bind_udp

pytestmark = pytest.mark.anyio


class Driven:
    """A worker that runs in this process as it does in one of its own."""

    def __init__(self) -> None:
        self.events: list[WorkerEvent] = []
        ours, theirs = socket.socketpair()
        self._ours = ours
        self.running = asyncio.create_task(process.run(theirs))

    async def start(self, udp: socket.socket) -> ProcessLink:
        channel = await Channel.open(self._ours)
        self.link = ProcessLink(channel, self.events.append)
        self.reading = asyncio.create_task(self.link.run())
        setup = WorkerSetup(0, udp.detach(), -1, [(HOST, 9)], RULES, SINKS, "error", "json")
        channel.send(EVENT, setup.serialize())
        return self.link


@asynccontextmanager
async def driven() -> AsyncIterator[Driven]:
    before = structlog.get_config()
    made = Driven()
    await made.start(bind_udp(HOST, 0))
    try:
        yield made
    finally:
        made.link.close()
        async with asyncio.timeout(5):
            await asyncio.gather(made.running, made.reading)
        structlog.configure(**before)


async def test_requests_are_answered_and_events_told() -> None:
    async with driven() as worker:
        assert isinstance(await worker.link.request(DescribeWorker()), WorkerDescribed)
        request = CreateSession(
            "one", WhipClient().offer, "one", "rtmp://x/live", "aac", 128_000, "none", "one", False
        )
        assert isinstance(await worker.link.request(request), SessionCreated)
        async with asyncio.timeout(5):
            while not any(isinstance(event, LoadMeasured) for event in worker.events):
                await asyncio.sleep(0.01)
        assert await worker.link.request(StopWorker()) == WorkerStopped()
        ends = [event for event in worker.events if isinstance(event, SessionEnded)]
        assert [(event.session_id, event.reason) for event in ends] == [("one", "shutdown")]


async def test_a_request_that_fails_costs_nobody_else_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with driven() as worker:
        assert isinstance(await worker.link.request(DescribeWorker()), WorkerDescribed)
        with monkeypatch.context() as broken:
            broken.setattr(process.Worker, "handle", lambda self, message: 1 / 0)
            with pytest.raises(RequestFailed):
                await worker.link.request(DescribeWorker())
        assert isinstance(await worker.link.request(DescribeWorker()), WorkerDescribed)
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_who_is_told_nothing_ends() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    async with asyncio.timeout(5):
        await process.run(theirs)


async def test_signals_do_not_end_it_and_the_end_of_the_gateway_does() -> None:
    ours, theirs = socket.socketpair()
    with theirs, bind_udp(HOST, 0) as udp:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "whipway.worker.process",
            str(theirs.fileno()),
            pass_fds=[theirs.fileno(), udp.fileno()],
        )
        theirs.close()
        try:
            channel = await Channel.open(ours)
            link = ProcessLink(channel, lambda event: None)
            reading = asyncio.create_task(link.run())
            setup = WorkerSetup(0, udp.fileno(), -1, [(HOST, 9)], RULES, SINKS, "info", "json")
            channel.send(EVENT, setup.serialize())
            assert isinstance(await link.request(DescribeWorker(), 60), WorkerDescribed)
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(child.pid, number)
            assert isinstance(await link.request(DescribeWorker(), 60), WorkerDescribed)
            link.close()
            async with asyncio.timeout(30):
                assert await child.wait() == 0
                await reading
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
