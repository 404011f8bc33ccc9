"""Workers in processes of their own: started, killed, hung, started anew."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.peers.rtmp_client import HOST
from tests.peers.whip_client import WhipClient
from tests.unit.worker.test_setup import RULES, SINKS

from whipway.pool import process_member
from whipway.pool.failures import WorkerGone
from whipway.pool.process_member import ProcessMember
from whipway.worker.messages import (
    CreateSession,
    DescribeWorker,
    Event,
    SessionCreated,
    SessionEnded,
    WorkerDescribed,
)
from whipway.worker.setup import WorkerSetup
from whipway.worker.sockets import bind_media

pytestmark = pytest.mark.anyio

PATIENCE = 60
"""Seconds, on a machine that does many other things."""


class Watched:
    def __init__(self, change: Callable[[WorkerSetup], WorkerSetup] = lambda setup: setup) -> None:
        udp, tcp = bind_media(HOST, 0, tcp=True)
        assert tcp is not None
        self.sockets = [udp, tcp]
        self.port = udp.getsockname()[1]
        setup = WorkerSetup(3, udp.fileno(), tcp.fileno(), [(HOST, self.port)], RULES, SINKS, "info", "json")
        self.member = ProcessMember(change(setup), self.sockets)
        self.events: list[Event] = []
        self.losses: list[str] = []
        self.member.take_event = lambda member, event: self.events.append(event)
        self.member.take_loss = lambda member, how: self.losses.append(how)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def started() -> AsyncIterator[Watched]:
    watched = Watched()
    try:
        await watched.member.start()
        yield watched
    finally:
        await watched.member.stop()
    assert watched.member.process_id == 0
    assert all(sock.fileno() == -1 for sock in watched.sockets)


def is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_works_in_another_process_and_ends_politely(capfd: pytest.CaptureFixture[str]) -> None:
    async with started() as watched:
        member = watched.member
        assert member.process_id not in (0, os.getpid()) and member.is_ready
        assert (member.number, member.port) == (3, watched.port)
        assert isinstance(await member.request(DescribeWorker()), WorkerDescribed)
        request = CreateSession(
            "one", WhipClient().offer, "one", "rtmp://x/live", "aac", 1, "none", "k", False
        )
        created = await member.request(request)
        assert isinstance(created, SessionCreated) and f" {watched.port} typ host" in created.answer
        process_id = member.process_id
        assert not member.is_quiet
    assert [
        (event.session_id, event.reason) for event in watched.events if isinstance(event, SessionEnded)
    ] == [("one", "shutdown")]
    assert watched.losses == [] and not is_there(process_id)
    assert "Traceback" not in capfd.readouterr().err


async def test_one_that_is_killed_is_replaced_on_the_same_port() -> None:
    async with started() as watched:
        member = watched.member
        first = member.process_id
        os.kill(first, signal.SIGKILL)
        await watched.until(lambda: member.restarts)
        assert watched.losses == ["its process was ended by SIGKILL"]
        assert member.process_id not in (0, first)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\xff\xff", (HOST, watched.port))
        async with asyncio.timeout(PATIENCE):
            while True:
                described = await member.request(DescribeWorker())
                assert isinstance(described, WorkerDescribed)
                if described.drops:
                    break
                await asyncio.sleep(0.01)


async def test_one_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with started() as watched:
        # Short for this test alone: what it waits for is no word for so long, and a stopped process has none.
        first = watched.member.process_id
        os.kill(first, signal.SIGSTOP)
        monkeypatch.setattr(process_member, "HANG_TIMEOUT", 0.5)
        await watched.until(lambda: watched.losses)
        monkeypatch.undo()
        assert watched.losses[0] == "its process did not answer for 0.5 s"
        await watched.until(lambda: watched.member.restarts)
        assert not is_there(first)


async def test_one_that_ends_by_itself_has_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async with started() as watched:
        link = watched.member._link
        assert link is not None
        link._channel.send(0, b"no message")
        # What it cannot read is a bug, which is not to be survived half.
        link.close()
        await watched.until(lambda: watched.losses)
        assert watched.losses[0].startswith("its process ended with status ")
        await watched.until(lambda: watched.member.restarts)


async def test_one_that_says_what_nobody_understands_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_member, "EXIT_TIMEOUT", 0.1)
    async with started() as watched:
        first = watched.member.process_id

        def confused(event: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(watched.member._link, "_take_event", confused)
        await watched.until(lambda: watched.losses)
        await watched.until(lambda: watched.member.restarts)
        assert not is_there(first)


@pytest.mark.parametrize(
    ("status", "words"),
    [(3, "ended with status 3"), (-11, "was ended by SIGSEGV"), (-40, "was ended by signal 40")],
)
async def test_how_a_process_ended(status: int, words: str) -> None:
    assert process_member._explain(status) == f"its process {words}"


async def test_one_that_cannot_start_is_said_at_once() -> None:
    watched = Watched(lambda setup: replace(setup, sinks=replace(setup.sinks, egress_allow=["no host!"])))
    with pytest.raises(WorkerGone):
        await watched.member.start()
    assert watched.member.process_id == 0
    with pytest.raises(WorkerGone):
        await watched.member.request(DescribeWorker())
    await watched.member.stop()


async def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(process_member.sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerGone):
        await watched.member.start()
    await watched.member.stop()


async def test_who_does_not_come_back_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_member, "PAUSES", (0.0, 0.01))
    async with started() as watched:
        with monkeypatch.context() as broken:
            broken.setattr(process_member.sys, "executable", "/nowhere/python")
            os.kill(watched.member.process_id, signal.SIGKILL)
            await watched.until(lambda: watched.member._early_deaths >= 3)
            assert watched.member.process_id == 0 and watched.member.restarts == 0
        await watched.until(lambda: watched.member.restarts == 1)


async def test_stopping_while_none_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_member, "PAUSES", (PATIENCE,))
    async with started() as watched:
        os.kill(watched.member.process_id, signal.SIGKILL)
        await watched.until(lambda: watched.losses)


async def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_member, "EXIT_TIMEOUT", 0.1)
    async with started() as watched:
        process_id = watched.member.process_id
        os.kill(process_id, signal.SIGSTOP)
    assert not is_there(process_id)
