import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until

from whipway.worker import udp_reader
from whipway.worker.sockets import bind_udp
from whipway.worker.udp_reader import MAX_BATCH, Batch, UdpReader

pytestmark = pytest.mark.anyio

MANY = 3 * MAX_BATCH


class Stage:
    """A socket that is read, another that sends to it, and what was read."""

    def __init__(self) -> None:
        self.socket = bind_udp(HOST, 0)
        self.sender = bind_udp(HOST, 0)
        self.batches: list[Batch] = []
        self.on_batch: Callable[[], None] = lambda: None
        self.load = 1.0
        self._cpu = (0.0, asyncio.get_running_loop().time())
        self.reader = UdpReader(self.socket, self.receive, self.cpu)

    def cpu(self) -> float:
        """The CPU seconds of a process with this load."""
        (used, then), now = self._cpu, asyncio.get_running_loop().time()
        self._cpu = (used + self.load * (now - then), now)
        return self._cpu[0]

    def receive(self, batch: Batch, now: float) -> None:
        assert abs(asyncio.get_running_loop().time() - now) < 1.0
        self.batches.append(batch)
        self.on_batch()

    def send(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.sender.sendto(data, self.socket.getsockname())

    @property
    def received(self) -> list[bytes]:
        return [data for batch in self.batches for data, _ in batch]

    def close(self) -> None:
        self.reader.close()
        self.socket.close()
        self.sender.close()


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
async def paced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, read by the clock, and never quiet."""
    monkeypatch.setattr(udp_reader, "BUSY_RATE", 0)
    monkeypatch.setattr(udp_reader, "LOOK_INTERVAL", 0.001)
    while not stage.reader.is_paced:
        stage.send(b"wake")
        await asyncio.sleep(0.002)
    monkeypatch.setattr(udp_reader, "LOOK_INTERVAL", 1000.0)
    stage.batches.clear()
    return stage


async def test_what_is_there_comes_as_one_batch_with_its_addresses(stage: Stage) -> None:
    stage.send(b"a", b"b", b"")
    await until(lambda: stage.batches)
    addr = stage.sender.getsockname()
    assert stage.batches == [[(b"a", addr), (b"b", addr), (b"", addr)]]
    assert not stage.reader.is_paced


async def test_a_turn_is_bounded_and_nothing_is_left(stage: Stage) -> None:
    stage.send(*numbered(MANY))
    await until(lambda: len(stage.received) == MANY)
    assert stage.received == numbered(MANY)
    assert max(map(len, stage.batches)) == MAX_BATCH


async def test_a_socket_that_wakes_too_often_is_read_by_the_clock(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp_reader, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(udp_reader, "BUSY_RATE", 50)
    looked_at = stage.reader._looked_at
    while not stage.reader.is_paced:
        stage.send(b"x")
        await asyncio.sleep(0.001)
    assert stage.reader._looked_at > looked_at
    stage.load = 0.55
    await asyncio.sleep(0.05)
    assert stage.reader.is_paced
    stage.load = 0.2
    await until(lambda: not stage.reader.is_paced)
    count = len(stage.batches)
    stage.send(b"last")
    await until(lambda: len(stage.batches) > count)
    assert stage.received[-1] == b"last"


@pytest.mark.parametrize(("rate", "load"), [(10_000, 1.0), (0, 0.4)])
async def test_few_wakes_are_no_load_nor_is_little_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, rate: int, load: float
) -> None:
    monkeypatch.setattr(udp_reader, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(udp_reader, "BUSY_RATE", rate)
    stage.load = load
    for number in range(5):
        stage.send(b"x")
        await until(lambda number=number: len(stage.batches) > number)
        await asyncio.sleep(0.005)
        assert not stage.reader.is_paced


async def test_by_the_clock_turns_are_bounded_too(paced: Stage) -> None:
    paced.send(*numbered(MANY))
    await until(lambda: len(paced.received) == MANY)
    assert paced.received == numbered(MANY)
    assert max(map(len, paced.batches)) == MAX_BATCH
    assert paced.reader.is_paced


async def test_a_bug_does_not_end_the_reading(paced: Stage) -> None:
    def boom() -> None:
        paced.on_batch = lambda: None
        raise RuntimeError("a bug")

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    paced.on_batch = boom
    await until(lambda: told)
    paced.send(b"x")
    await until(lambda: paced.received == [b"x"])


async def closes(stage: Stage) -> None:
    """Close it in the middle of what came."""
    stage.on_batch = stage.reader.close
    stage.send(*numbered(2 * MAX_BATCH))
    await until(lambda: stage.received)
    count = len(stage.batches)
    await asyncio.sleep(0.01)
    assert len(stage.batches) == count
    stage.reader.close()


async def test_who_closes_it_hears_nothing_more(stage: Stage) -> None:
    await closes(stage)


async def test_nor_by_the_clock(paced: Stage) -> None:
    await closes(paced)


async def test_an_error_of_something_sent_earlier_is_passed_over(stage: Stage) -> None:
    class Refused(socket.socket):
        """RFC 1122, 4.1.3.3: UDP passes on the ICMP messages that it gets."""

        refusals = 2

        def recvfrom(self, *args: int) -> tuple[bytes, object]:  # type: ignore[override]
            if self.refusals:
                self.refusals -= 1
                raise ConnectionRefusedError
            return super().recvfrom(*args)

    stage.reader._socket = Refused(fileno=socket.dup(stage.socket.fileno()))
    stage.reader._socket.setblocking(False)
    stage.send(b"x")
    await until(lambda: stage.received == [b"x"])
    stage.reader._socket.close()
    stage.reader._socket = stage.socket
