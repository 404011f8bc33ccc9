import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.peers.waiting import until

from whipway import tcp
from whipway.failures import DropReason
from whipway.protocol.framing import MAX_FRAME_BYTES, frame
from whipway.protocol.ice import Address
from whipway.worker import tcp_media
from whipway.worker.sockets import bind_tcp
from whipway.worker.tcp_media import MAX_BACKLOG_BYTES, MAX_BATCH, MAX_STRANGER_DATAGRAMS, TcpMedia

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Client:
    """The other end of a connection; its kernel buffers are small."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self._loop.sock_sendall(self.sock, piece)

    async def read(self, size: int = 65_536) -> bytes:
        """What there is; nothing at the end of the connection, however it came."""
        try:
            async with asyncio.timeout(5.0):
                return await self._loop.sock_recv(self.sock, size)
        except ConnectionError:
            return b""

    async def read_to_end(self) -> bytes:
        data = b""
        while more := await self.read():
            data += more
        return data


class Stage:
    """Connections under test, and everything that comes from them."""

    def __init__(self, host: str = HOST) -> None:
        self.received: list[tuple[list[bytes], Address]] = []
        self.adopts = False  # whatever comes
        self.drops: Counter[DropReason] = Counter()
        self.media = TcpMedia(bind_tcp(host, 0), self.receive, self.drops)
        self.clients: list[Client] = []
        self._address = self.media._listener.getsockname()

    def receive(self, datagrams: list[bytes], addr: Address) -> None:
        self.received.append((datagrams, addr))
        if self.adopts:
            self.media.adopt(addr)
        if b"bug" in datagrams:
            raise RuntimeError("a bug")

    async def connect(self) -> Client:
        sock = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        client = Client(sock)
        self.clients.append(client)
        await asyncio.get_running_loop().sock_connect(sock, self._address[:2])
        return client

    async def meet(self, *, adopted: bool = True) -> tuple[Client, Address]:
        """A client that has been heard of, and its address."""
        client = await self.connect()
        count = len(self.received)
        await client.send(frame(b"hello"))
        await until(lambda: len(self.received) > count)
        addr = self.received[-1][1]
        if adopted:
            self.media.adopt(addr)
        return client, addr

    def datagrams(self, addr: Address) -> list[bytes]:
        """All that came from there."""
        return [
            datagram for datagrams, came_from in self.received if came_from == addr for datagram in datagrams
        ]

    @property
    def connections(self) -> dict[Address, Any]:
        return self.media._connections

    def fill(self, addr: Address) -> int:
        """Send to a client that does not read until nothing more is taken; the bytes that wait."""
        transport = self.connections[addr]._transport
        while transport.get_write_buffer_size() <= MAX_BACKLOG_BYTES:
            self.media.send(bytes(60_000), addr)
        self.media.send(b"one more", addr)
        size: int = transport.get_write_buffer_size()
        return size


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.media.start()
    yield stage
    for client in stage.clients:
        client.sock.close()
    stage.media.close()
    await until(lambda: not stage.connections)


async def test_frames_of_one_read_come_in_one_list_with_the_address_of_their_connection(stage: Stage) -> None:
    client = await stage.connect()
    await client.send(frame(b"one") + frame(b"two") + frame(b""))
    await until(lambda: stage.received)
    host, port = client.sock.getsockname()
    assert stage.received == [([b"one", b"two"], (host, port, 1))]


async def test_a_frame_in_pieces_is_handed_over_once_it_is_whole(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    for byte in frame(b"piece"):
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    await until(lambda: stage.received)
    assert stage.received == [([b"piece"], addr)]


async def test_answers_go_out_in_frames(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.media.send(b"one", addr)
    stage.media.send(b"two", addr)
    await until(lambda: stage.connections[addr]._transport.get_write_buffer_size() == 0)
    assert await client.read(10) == frame(b"one") + frame(b"two")


async def test_a_number_is_never_given_out_again(stage: Stage) -> None:
    first, addr = await stage.meet()
    port = first.sock.getsockname()[1]
    first.sock.close()
    await until(lambda: not stage.connections)
    _, other = await stage.meet()
    assert (addr, other[2]) == ((HOST, port, 1), 2)
    stage.media.send(b"too late", addr)
    stage.media.release(addr)
    stage.media.adopt(addr)
    assert list(stage.connections) == [other]


async def test_the_address_of_an_ipv6_client_has_three_parts_too() -> None:
    try:
        stage = Stage("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    await stage.media.start()
    client, addr = await stage.meet()
    assert addr == ("::1", client.sock.getsockname()[1], 1)
    client.sock.close()
    stage.media.close()
    await until(lambda: not stage.connections)


async def test_connections_send_at_once_and_notice_a_peer_that_vanished(stage: Stage) -> None:
    _, addr = await stage.meet()
    sock = stage.connections[addr]._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == tcp.KEEPALIVE["TCP_KEEPIDLE"]


async def test_an_option_that_this_system_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "KEEPALIVE", {"TCP_OF_ANOTHER_SYSTEM": 1})
    stage = Stage()
    await stage.media.start()
    client, _ = await stage.meet()
    client.sock.close()
    stage.media.close()
    await until(lambda: not stage.connections)


async def test_a_malformed_frame_is_counted_and_ends_its_connection_alone(stage: Stage) -> None:
    client, addr = await stage.meet()
    other, other_addr = await stage.meet()
    stage.received.clear()
    await client.send(frame(b"fine") + b"GET / HTTP/1.1\r\n\r\n")
    assert await client.read_to_end() == b""
    assert stage.drops == Counter({DropReason.TCP_FRAME_MALFORMED: 1})
    await other.send(frame(b"well"))
    await until(lambda: stage.received)
    assert stage.received == [([b"well"], other_addr)]
    assert list(stage.connections) == [other_addr]


async def test_a_bug_is_logged_once_and_ends_its_connection_alone(stage: Stage) -> None:
    client, _ = await stage.meet()
    _, other_addr = await stage.meet()
    with capture_logs() as logs:
        await client.send(frame(b"bug") + frame(b"more"))
        assert await client.read_to_end() == b""
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("media connection failed", "error")]
    assert list(stage.connections) == [other_addr]


async def test_a_client_that_closes_is_closed_and_nobody_told(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    client.sock.shutdown(socket.SHUT_WR)
    assert await client.read_to_end() == b""
    await until(lambda: not stage.connections)
    assert stage.received == []


async def test_a_client_that_closes_and_does_not_read_is_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_media, "CLOSE_TIMEOUT", 0.05)
    client, addr = await stage.meet()
    stage.fill(addr)
    client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: not stage.connections)


async def test_what_a_client_does_not_take_is_dropped(stage: Stage) -> None:
    client, addr = await stage.meet()
    size = stage.fill(addr)
    stage.media.send(b"and more", addr)
    transport = stage.connections[addr]._transport
    assert transport.get_write_buffer_size() == size < MAX_BACKLOG_BYTES + 65_536
    while transport.get_write_buffer_size():
        assert await client.read()
    stage.media.send(b"again", addr)
    stage.media.release(addr)
    end = await client.read_to_end()
    assert end.endswith(frame(b"again"))
    assert b"more" not in end


async def test_a_connection_that_no_session_adopts_is_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_media, "ADOPT_TIMEOUT", 0.1)
    _, adopted = await stage.meet()
    stage.media.adopt(adopted)
    stranger, _ = await stage.meet(adopted=False)
    silent = await stage.connect()
    for client in (stranger, silent):
        assert await client.read_to_end() == b""
    assert list(stage.connections) == [adopted]


async def test_a_released_connection_takes_what_was_written_before(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    stage.media.send(b"goodbye", addr)
    stage.media.release(addr)
    stage.media.release(addr)
    stage.media.send(b"too late", addr)
    assert await client.read_to_end() == frame(b"goodbye")
    await until(lambda: not stage.connections)


async def test_a_released_connection_is_cut_even_if_it_is_adopted_then(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_media, "CLOSE_TIMEOUT", 0.05)
    _, addr = await stage.meet(adopted=False)
    stage.fill(addr)
    stage.media.release(addr)
    stage.media.adopt(addr)
    await until(lambda: not stage.connections)


async def test_there_are_so_many_connections_and_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_media, "MAX_CONNECTIONS", 2)
    for _ in range(2):
        await stage.meet()
    addresses = list(stage.connections)
    refused = await stage.connect()
    assert await refused.read_to_end() == b""
    assert list(stage.connections) == addresses


async def test_the_oldest_stranger_makes_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_media, "MAX_STRANGERS", 2)
    _, adopted = await stage.meet()
    oldest, _ = await stage.meet(adopted=False)
    _, second = await stage.meet(adopted=False)
    _, newest = await stage.meet(adopted=False)
    assert await oldest.read_to_end() == b""
    assert list(stage.connections) == [adopted, second, newest]


async def test_strangers_take_no_place_of_a_session(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_media, "MAX_CONNECTIONS", 1)
    for _ in range(2):
        await stage.meet(adopted=False)
    _, adopted = await stage.meet()
    assert len(stage.connections) == 3
    refused = await stage.connect()
    assert await refused.read_to_end() == b""
    assert list(stage.connections)[-1] == adopted


@pytest.mark.skipif(sys.platform != "linux", reason="the length of the queue is read as Linux tells it")
async def test_the_start_leaves_the_queue_of_the_listener_as_it_is(stage: Stage) -> None:
    with bind_tcp(HOST, 0) as untouched:
        assert queue_length(stage.media._listener) == queue_length(untouched)


def queue_length(listener: socket.socket) -> int:
    """tcpi_sacked, which of a listening socket is the number of connections that may wait (tcp(7))."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int.from_bytes(info[28:32], sys.byteorder)


# More at once than one turn of the loop takes


class Turns:
    """Counts the turns of the loop while a `with` block runs."""

    def __init__(self) -> None:
        self.count = 0
        self._is_over = False

    def __enter__(self) -> "Turns":
        self._turn()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True

    def _turn(self) -> None:
        self.count += 1
        if not self._is_over:
            asyncio.get_running_loop().call_soon(self._turn)


def numbered(count: int, size: int = 2) -> list[bytes]:
    return [number.to_bytes(2, "big") + bytes(size - 2) for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(20_000, 2), (1_500, MAX_FRAME_BYTES)])
async def test_a_flood_leaves_turns_to_others_and_comes_in_order(stage: Stage, count: int, size: int) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    datagrams = numbered(count, size)
    in_turn: Counter[int] = Counter()
    with Turns() as turns:
        take = stage.media.receive

        def receive(datagrams: list[bytes], addr: Address) -> None:
            assert len(datagrams) <= MAX_BATCH
            in_turn[turns.count] += len(datagrams)
            take(datagrams, addr)

        stage.media.receive = receive
        await client.send(b"".join(map(frame, datagrams)))
        await until(lambda: len(stage.datagrams(addr)) == count)
    assert stage.datagrams(addr) == datagrams
    # What was left of one read, and the begin of the next.
    assert max(in_turn.values()) <= 2 * MAX_BATCH
    await client.send(frame(b"more"))
    await until(lambda: stage.datagrams(addr)[-1] == b"more")


async def test_floods_take_turns(stage: Stage) -> None:
    datagrams = numbered(10 * MAX_BATCH)
    clients = [await stage.meet() for _ in range(3)]
    stage.received.clear()
    for client, _ in clients:
        assert client.sock.send(b"".join(map(frame, datagrams))) == 4 * len(datagrams)
    await until(lambda: all(stage.datagrams(addr) == datagrams for _, addr in clients))
    # None of them is through before another one has had its turns.
    ends = [max(at for at, (_, came) in enumerate(stage.received) if came == addr) for _, addr in clients]
    assert max(ends) - min(ends) <= 2 * len(clients)


async def test_the_end_of_a_connection_comes_after_what_waits(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    datagrams = numbered(10 * MAX_BATCH)
    await client.send(b"".join(map(frame, datagrams)))
    client.sock.shutdown(socket.SHUT_WR)
    assert await client.read_to_end() == b""
    assert stage.datagrams(addr) == datagrams


@pytest.mark.parametrize("end", ["release", "abort", "close"])
async def test_what_waits_is_gone_with_its_connection(stage: Stage, end: str) -> None:
    client, addr = await stage.meet()
    connection = stage.connections[addr]
    ends = {
        "release": lambda: stage.media.release(addr),
        "abort": connection.abort,
        "close": stage.media.close,
    }
    stage.received.clear()
    take = stage.media.receive

    def receive(datagrams: list[bytes], addr: Address) -> None:
        take(datagrams, addr)
        asyncio.get_running_loop().call_soon(ends[end])  # Before the next batch.

    stage.media.receive = receive
    await client.send(b"".join(map(frame, numbered(3 * MAX_BATCH))))
    assert await client.read_to_end() == b""
    await until(lambda: not stage.connections)
    assert len(stage.datagrams(addr)) == MAX_BATCH


async def test_a_bug_in_what_waits_ends_its_connection_alone(stage: Stage) -> None:
    client, addr = await stage.meet()
    other, other_addr = await stage.meet()
    stage.received.clear()
    with capture_logs() as logs:
        await client.send(b"".join(map(frame, [*numbered(2 * MAX_BATCH), b"bug", *numbered(2 * MAX_BATCH)])))
        assert await client.read_to_end() == b""
    assert len(logs) == 1
    assert len(stage.datagrams(addr)) == 3 * MAX_BATCH
    await other.send(frame(b"well"))
    await until(lambda: stage.datagrams(other_addr) == [b"well"])


async def test_a_malformed_frame_in_what_waits_ends_its_connection(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.received.clear()
    await client.send(b"".join(map(frame, numbered(2 * MAX_BATCH))) + b"\xff\xff")
    assert await client.read_to_end() == b""
    assert stage.drops == Counter({DropReason.TCP_FRAME_MALFORMED: 1})
    assert len(stage.datagrams(addr)) == 2 * MAX_BATCH


async def test_a_stranger_may_send_a_few_datagrams(stage: Stage) -> None:
    client, addr = await stage.meet(adopted=False)
    few = numbered(MAX_STRANGER_DATAGRAMS - 1)
    await client.send(b"".join(map(frame, few)))
    await until(lambda: len(stage.datagrams(addr)) == MAX_STRANGER_DATAGRAMS)
    assert addr in stage.connections
    await client.send(frame(b"one too many"))
    assert await client.read_to_end() == b""
    assert not stage.connections


@pytest.mark.parametrize("datagram", [b"", b"check"])
async def test_a_stranger_that_sends_many_at_once_is_cut(stage: Stage, datagram: bytes) -> None:
    client = await stage.connect()
    await client.send(frame(datagram) * (MAX_STRANGER_DATAGRAMS + 1))
    assert await client.read_to_end() == b""
    assert not stage.connections
    assert sum(len(datagrams) for datagrams, _ in stage.received) <= MAX_STRANGER_DATAGRAMS


async def test_who_is_adopted_meanwhile_is_none(stage: Stage) -> None:
    stage.adopts = True
    client = await stage.connect()
    datagrams = numbered(10 * MAX_BATCH)
    await client.send(b"".join(map(frame, datagrams)))
    await until(lambda: stage.received and stage.datagrams(stage.received[0][1]) == datagrams)
    assert len(stage.connections) == 1


async def test_close_ends_everything_once(stage: Stage) -> None:
    client, addr = await stage.meet()
    stage.media.send(b"goodbye", addr)
    stage.media.close()
    stage.media.close()
    assert await client.read_to_end() == frame(b"goodbye")
    with pytest.raises(ConnectionError):
        await stage.connect()


async def test_close_before_the_start_frees_the_port() -> None:
    stage = Stage()
    stage.media.close()
    with pytest.raises(ConnectionError):
        await stage.connect()
    stage.clients[0].sock.close()


class Transport(asyncio.Transport):
    """A transport of nobody."""

    def __init__(self, peer: object) -> None:
        super().__init__()
        self.aborted = False
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        if isinstance(self._peer, OSError):
            raise self._peer
        return self._peer

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    "peer", [None, OSError("not connected"), (HOST, 4000)], ids=["none", "error", "late"]
)
async def test_a_connection_that_is_of_no_use_already_is_cut(stage: Stage, peer: object) -> None:
    """Its peer has gone, or the server has stopped, between the kernel's accepting it and ours."""
    if isinstance(peer, tuple):
        stage.media.close()
    connection = tcp_media._Connection(stage.media)
    transport = Transport(peer)
    connection.connection_made(transport)
    connection.data_received(frame(b"hello"))
    connection.connection_lost(None)
    assert transport.aborted
    assert (stage.received, stage.connections) == ([], {})
