"""One attempt on real sockets, with a user that writes down what it hears."""

import asyncio
import gc
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.peers.certificates import Authority, write_certificate
from tests.peers.hostile_rtmp import SMALL_BUFFER, ClosesAtOnce, NeverAnswers, accept_and_reset, reset
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import Listener, listening
from tests.peers.waiting import until

from whipway import tcp
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.worker import sink_connection, tcp_progress
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_connection import WRITE_BUFFER_BYTES, SinkConnection
from whipway.worker.tls import TlsContexts

pytestmark = pytest.mark.anyio

LOOPBACK = EgressPolicy(["127.0.0.0/8", "::1"])
Heard = tuple[object, ...]


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening(NeverAnswers) as listener:
        yield listener


class User:
    """Has a connection made, and writes down what it hears."""

    def __init__(self, url: str, egress: EgressPolicy = LOOPBACK, tls: TlsContexts | None = None) -> None:
        self.heard: list[Heard] = []
        self.on_open: Callable[[], None] | None = None
        self.on_fail: Callable[[], None] | None = None
        self.connection = SinkConnection(self, parse_rtmp_url(url), egress, tls or TlsContexts())

    def connection_opened(self, is_own: bool) -> None:
        self.heard.append(("opened", is_own))
        if self.on_open is not None:
            self.on_open()

    def connection_received(self, data: bytes) -> None:
        self.heard.append(("received", data))

    def connection_ended(self) -> None:
        self.heard.append(("ended",))

    def connection_writable(self, writable: bool) -> None:
        self.heard.append(("writable", writable))

    def connection_failed(self, reason: str, detail: str) -> None:
        self.heard.append(("failed", reason, detail))
        if self.on_fail is not None:
            self.on_fail()

    async def hears(self, *expected: Heard) -> None:
        await until(lambda: len(self.heard) >= len(expected))
        assert self.heard == list(expected)

    async def opened(self) -> "User":
        await self.hears(("opened", False))
        return self

    async def failed(self) -> tuple[str, str]:
        """Reason and detail; what else it heard is forgotten."""
        event = await until(lambda: next((one for one in self.heard if one[0] == "failed"), None))
        self.heard.remove(event)
        assert not any(one[0] == "failed" for one in self.heard)
        return str(event[1]), str(event[2])


def url_of(port: int, scheme: str = "rtmp", host: str = HOST) -> str:
    return f"{scheme}://{host}:{port}/live"


def received(listener: Listener) -> bytes:
    """All that the first connection got so far."""
    return b"".join(event for event in listener.connections[0].events if isinstance(event, bytes))


async def test_bytes_go_both_ways(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    server = await listener.connection()
    user.connection.send([b"one", b"two"])
    await until(lambda: received(listener) == b"onetwo")
    server.connected.write(b"three")
    await user.hears(("opened", False), ("received", b"three"))
    user.connection.close()
    await until(lambda: server.lost)


async def test_media_do_not_wait_in_the_kernel(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    sock = user.connection._sock
    assert sock is not None
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    user.connection.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="unknown to this system")
async def test_only_what_is_left_at_the_end_is_given_up_by_the_kernel(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    sock = user.connection._sock
    assert sock is not None
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
    user.connection.close()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == tcp_progress.FAREWELL_TIMEOUT
    await until(lambda: sock.fileno() == -1)


async def test_nothing_is_sent_without_a_connection(listener: Listener) -> None:
    user = User(url_of(listener.port))
    user.connection.send([b"too early"])
    await user.opened()
    user.connection.close()
    user.connection.send([b"too late"])
    server = await listener.connection()
    await until(lambda: server.lost)
    user.connection.send([b"much too late"])
    assert received(listener) == b""


async def test_pieces_leave_in_one_write(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    user = await User(url_of(listener.port)).opened()
    written: list[bytes] = []

    class Transport:
        """The loop's, but for `write`."""

        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            written.append(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self._transport, name)

    assert user.connection.transport is not None
    monkeypatch.setattr(user.connection, "transport", Transport(user.connection.transport))
    user.connection.send([b"one", b"two", b"three"])
    assert written == [b"onetwothree"]
    user.connection.close()
    await until(lambda: user.connection.transport is None)


async def test_close_sends_what_was_written_and_is_silent(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    server = await listener.connection()
    server.connected.write(b"not heard")
    user.connection.send([bytes(1_000_000)])
    user.connection.close()
    user.connection.close()
    await until(lambda: server.lost and user.connection.transport is None)
    assert received(listener) == bytes(1_000_000)
    assert user.heard[0] == ("opened", False)
    # uvloop tells at once that much was written.
    assert set(user.heard[1:]) <= {("writable", False)}


async def test_abort_throws_away_and_is_silent() -> None:
    async with listening(NeverAnswers, receive_buffer=SMALL_BUFFER) as listener:
        user = await User(url_of(listener.port)).opened()
        server = await listener.connection()
        server.connected.pause_reading()
        user.connection.send([bytes(5_000_000)])
        await user.hears(("opened", False), ("writable", False))
        user.connection.abort()
        await until(lambda: user.connection.transport is None)
        server.connected.resume_reading()
        await until(lambda: server.lost)
        assert len(received(listener)) < 5_000_000
        assert len(user.heard) == 2


async def test_close_does_not_wait_for_a_server_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSE_TIMEOUT", 0.05)
    async with listening(NeverAnswers, receive_buffer=SMALL_BUFFER) as listener:
        user = await User(url_of(listener.port)).opened()
        (await listener.connection()).connected.pause_reading()
        user.connection.send([bytes(5_000_000)])
        user.connection.close()
        assert user.connection.backlog_bytes > 0
        await until(lambda: user.connection.transport is None)


@pytest.mark.parametrize("end", [SinkConnection.close, SinkConnection.abort])
async def test_the_end_before_the_connection(
    listener: Listener, end: Callable[[SinkConnection], None]
) -> None:
    before = asyncio.all_tasks()
    user = User(url_of(listener.port))
    end(user.connection)
    await until(lambda: asyncio.all_tasks() == before)
    assert user.heard == []
    assert listener.connections == []


@pytest.mark.parametrize("end", [SinkConnection.close, SinkConnection.abort])
async def test_the_end_in_the_moment_of_the_connection(
    listener: Listener, end: Callable[[SinkConnection], None]
) -> None:
    user = User(url_of(listener.port))
    user.on_open = lambda: end(user.connection)
    server = await listener.connection()
    await until(lambda: server.lost and user.connection.transport is None)
    assert user.heard == [("opened", False)]


@pytest.mark.parametrize("end", [SinkConnection.close, SinkConnection.abort])
async def test_a_connection_that_is_made_after_the_end(
    listener: Listener, end: Callable[[SinkConnection], None]
) -> None:
    user = User(url_of(listener.port))
    # Just before the loop tells of it, as if that had been under way already.
    connection_made = user.connection.connection_made

    def late(transport: asyncio.BaseTransport) -> None:
        end(user.connection)
        connection_made(transport)

    user.connection.connection_made = late  # type: ignore[method-assign]
    server = await listener.connection()
    await until(lambda: server.lost and user.connection.transport is None)
    assert user.heard == []


@pytest.mark.parametrize("end", [SinkConnection.close, SinkConnection.abort])
async def test_the_end_in_the_middle_of_a_tls_handshake(
    listener: Listener, end: Callable[[SinkConnection], None]
) -> None:
    user = User(url_of(listener.port, "rtmps"))
    server = await listener.connection()
    await until(lambda: server.events)  # The client has said hello.
    end(user.connection)
    await until(lambda: server.lost, timeout=1.0)
    assert user.heard == []


async def test_what_the_loop_tells_late_is_not_heard(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    user.connection.close()
    user.connection.pause_writing()
    user.connection.data_received(b"late")
    user.connection.resume_writing()
    user.connection.eof_received()
    await until(lambda: user.connection.transport is None)
    assert user.heard == [("opened", False)]


async def test_a_server_that_hangs_up(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    (await listener.connection()).connected.close()
    lost = ("failed", "connection_lost", "the connection to the RTMP server was lost")
    await user.hears(("opened", False), ("ended",), lost)
    assert user.connection.transport is None
    user.connection.close()
    user.connection.abort()


async def test_a_server_that_closes_at_once() -> None:
    async with listening(ClosesAtOnce) as listener:
        user = User(url_of(listener.port))
        assert (await user.failed())[0] == "connection_lost"


async def test_a_server_that_resets(listener: Listener) -> None:
    user = await User(url_of(listener.port)).opened()
    reset((await listener.connection()).connected)
    words = "the connection to the RTMP server was lost: Connection reset by peer"
    await user.hears(("opened", False), ("failed", "connection_lost", words))


class Bystander:
    """Opens files, which get the numbers of descriptors that were closed just before."""

    def __init__(self) -> None:
        self.files: list[int] = []

    def arrive(self) -> None:
        """In the next turn of the loop, which may have to close something yet."""
        asyncio.get_running_loop().call_soon(self._open)

    def _open(self) -> None:
        self.files += [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]

    def leave(self) -> None:
        """Raises OSError if anybody else has closed a file."""
        gc.collect()
        for file in self.files:
            os.close(file)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


class ResetsFirst(EgressPolicy):
    """Is asked for the last time when TCP has connected, and before the event loop is told of it."""

    def __init__(self, server: socket.socket) -> None:
        super().__init__(["127.0.0.0/8"])
        self._server = server

    def is_own(self, address: str, port: int) -> bool:
        accept_and_reset(self._server)
        return False


async def connect_to_reset(server: socket.socket, scheme: str, is_told: bool, bystander: Bystander) -> None:
    """Have a connection reset before its user is told of it, or just then."""
    url = url_of(server.getsockname()[1], scheme)
    user = User(url, LOOPBACK if is_told else ResetsFirst(server))

    def on_open() -> None:
        if is_told:
            accept_and_reset(server)
        user.connection.send([b"hello"])

    user.on_open, user.on_fail = on_open, bystander.arrive
    assert (await user.failed())[0] == "connection_lost"
    await until(lambda: bystander.files and user.connection._connecting.done())


@pytest.mark.parametrize(("scheme", "is_told"), [("rtmp", True), ("rtmp", False), ("rtmps", False)])
async def test_a_reset_while_the_loop_takes_over_closes_nothing_of_others(scheme: str, is_told: bool) -> None:
    counts = []
    with socket.create_server((HOST, 0)) as server:
        for _ in range(3):
            bystander = Bystander()
            await connect_to_reset(server, scheme, is_told, bystander)
            bystander.leave()
            counts.append(descriptors())
    # The first may have had the loop open something for good.
    assert counts[1] == counts[2]


async def test_writing_pauses_and_goes_on_while_reading_does_not_stop() -> None:
    async with listening(NeverAnswers, receive_buffer=SMALL_BUFFER) as listener:
        user = await User(url_of(listener.port)).opened()
        server = await listener.connection()
        server.connected.pause_reading()
        sent = 0
        while ("writable", False) not in user.heard:
            user.connection.send([bytes(10_000)])
            sent += 10_000
            await asyncio.sleep(0)
        assert user.connection.backlog_bytes <= WRITE_BUFFER_BYTES + 10_000
        server.connected.write(b"last words")
        await until(lambda: user.heard[-1] == ("received", b"last words"))
        server.connected.resume_reading()
        await until(lambda: user.heard[-1] == ("writable", True))
        await until(lambda: len(received(listener)) == sent)
        user.connection.close()


@pytest.mark.parametrize("is_known", [True, False])
async def test_progress(monkeypatch: pytest.MonkeyPatch, is_known: bool) -> None:
    monkeypatch.setattr(tcp_progress, "IS_KNOWN", is_known and tcp_progress.IS_KNOWN)
    async with listening(NeverAnswers, receive_buffer=SMALL_BUFFER) as listener:
        user = User(url_of(listener.port))
        connection = user.connection
        assert (connection.acknowledged_bytes, connection.unsent_bytes) == (0, 0)
        await user.opened()
        server = await listener.connection()
        before = connection.acknowledged_bytes
        connection.send([bytes(1000)])
        await until(lambda: connection.acknowledged_bytes == before + 1000)
        assert connection.unsent_bytes == 0
        server.connected.pause_reading()
        connection.send([bytes(5_000_000)])
        await until(lambda: user.heard[-1] == ("writable", False))
        assert connection.unsent_bytes >= connection.waiting_bytes >= 4_000_000
        assert connection.acknowledged_bytes + connection.unsent_bytes == before + 5_001_000
        server.connected.resume_reading()
        await until(lambda: connection.acknowledged_bytes == before + 5_001_000)
        assert connection.unsent_bytes == 0
        connection.close()
        await until(lambda: connection.transport is None)
        assert connection.unsent_bytes == connection.waiting_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_what_the_kernel_took_is_not_acknowledged_yet() -> None:
    async with listening(NeverAnswers, receive_buffer=SMALL_BUFFER) as listener:
        user = await User(url_of(listener.port)).opened()
        (await listener.connection()).connected.pause_reading()
        for _ in range(10):
            user.connection.send([bytes(10_000)])
        await until(lambda: user.connection.backlog_bytes == 0)
        assert user.connection.unsent_bytes > 50_000
        assert 0 < user.connection.waiting_bytes <= user.connection.unsent_bytes
        assert user.connection.acknowledged_bytes < 50_000
        user.connection.abort()


class Names:
    """A resolver that has other addresses each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0)


def named(port: int, scheme: str = "rtmp") -> str:
    return url_of(port, scheme, "rtmp.example")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


async def test_a_closed_port() -> None:
    port = free_port()
    words = f"no connection to the RTMP server {HOST}:{port}: Connection refused"
    assert await User(url_of(port)).failed() == ("unreachable", words)


async def test_the_addresses_are_those_of_the_policy(listener: Listener) -> None:
    names = Names([HOST], ["10.0.0.1"])
    user = await User(named(listener.port), EgressPolicy(["127.0.0.1"], resolve=names)).opened()
    assert names.answers == [["10.0.0.1"]]
    user.connection.close()


async def test_the_next_address_is_tried(listener: Listener) -> None:
    policy = EgressPolicy(["127.0.0.0/8"], resolve=Names(["127.0.0.3", "127.0.0.2", HOST]))
    user = await User(named(listener.port), policy).opened()
    user.connection.close()


@pytest.mark.parametrize(("address_timeout", "connect_timeout"), [(0.05, 8.0), (3.0, 0.4)])
async def test_addresses_that_do_not_answer(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, address_timeout: float, connect_timeout: float
) -> None:
    monkeypatch.setattr(sink_connection, "ADDRESS_TIMEOUT", address_timeout)
    monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", connect_timeout)
    # A full backlog answers nobody.
    with socket.create_server(("127.0.0.2", listener.port), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        # In the time that there is, each of them has its turn.
        names = Names(["127.0.0.2", "127.0.0.2", HOST][address_timeout > 1 :], ["127.0.0.2"])
        policy = EgressPolicy(["127.0.0.0/8"], resolve=names)
        user = await User(named(listener.port), policy).opened()
        user.connection.close()
        monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", 0.05)
        words = f"the RTMP server rtmp.example:{listener.port} did not answer in 0 s"
        assert await User(named(listener.port), policy).failed() == ("unreachable", words)
        for each in fillers:
            each.close()


async def test_a_connection_that_fails_tells_no_address() -> None:
    port = free_port()
    policy = EgressPolicy(["rtmp.example"], resolve=Names(["127.0.0.2", HOST]))
    words = f"no connection to the RTMP server rtmp.example:{port}: Connection refused"
    assert await User(named(port), policy).failed() == ("unreachable", words)


async def test_an_address_that_is_not_allowed_is_not_connected_to(listener: Listener) -> None:
    reason, detail = await User(url_of(listener.port), EgressPolicy()).failed()
    assert reason == "egress_refused"
    assert detail.startswith(f"{HOST} is an address that this server does not send to; ")
    assert listener.connections == []


async def test_a_name_that_does_not_resolve() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    words = "no connection to the RTMP server rtmp.example:1935: Name or service not known"
    failed = await User(named(1935), EgressPolicy(resolve=resolve)).failed()
    assert failed == ("unreachable", words)


async def test_a_bug_on_the_way_is_told_and_does_not_leave_the_sink_waiting() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        failed = await User(named(1935), EgressPolicy(resolve=resolve)).failed()
    assert failed == ("unreachable", "no connection to the RTMP server rtmp.example:1935")
    assert [entry["event"] for entry in logs] == ["connecting failed"]


async def test_the_origin_of_this_server_is_known(listener: Listener) -> None:
    own = EgressPolicy(["127.0.0.0/8"], own=[("0.0.0.0", listener.port)])
    user = User(url_of(listener.port), own)
    await user.hears(("opened", True))
    user.connection.close()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


on_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@on_ipv6
async def test_ipv6() -> None:
    async with listening(NeverAnswers, host="::1") as listener:
        user = await User(url_of(listener.port, host="[::1]")).opened()
        user.connection.send([b"one"])
        await listener.connection()
        await until(lambda: received(listener) == b"one")
        user.connection.close()


@on_ipv6
async def test_ipv6_that_does_not_answer() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
    words = f"no connection to the RTMP server [::1]:{port}: Connection refused"
    assert await User(url_of(port, host="[::1]")).failed() == ("unreachable", words)


@on_ipv6
async def test_from_ipv6_to_ipv4(listener: Listener) -> None:
    policy = EgressPolicy(["127.0.0.1", "::1"], resolve=Names(["::1", HOST]))
    user = await User(named(listener.port), policy).opened()
    user.connection.close()


@on_ipv6
async def test_tls_to_an_ipv6_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    context = authority.issue(hosts=["::1"]).server_context()
    async with listening(NeverAnswers, host="::1", tls=context) as listener:
        user = await User(url_of(listener.port, "rtmps", "[::1]")).opened()
        user.connection.close()
        await until(lambda: user.connection.transport is None)


@pytest.mark.parametrize(
    ("hosts", "host"), [(["rtmp.example"], "rtmp.example"), ([HOST], HOST)], ids=["name", "address"]
)
async def test_tls_with_a_good_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: list[str], host: str
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    async with listening(NeverAnswers, tls=authority.issue(hosts=hosts).server_context()) as listener:
        policy = EgressPolicy([HOST], resolve=Names([HOST]))
        user = await User(url_of(listener.port, "rtmps", host), policy).opened()
        server = await listener.connection()
        before = user.connection.acknowledged_bytes
        user.connection.send([bytes(1000)])
        await until(lambda: received(listener) == bytes(1000))
        await until(lambda: user.connection.acknowledged_bytes > before)
        server.connected.write(b"two")
        await user.hears(("opened", False), ("received", b"two"))
        user.connection.close()
        await until(lambda: user.connection.transport is None and server.lost)


BAD_CERTIFICATES = {
    "self-signed": "self-signed certificate",
    "unknown authority": "unable to get local issuer certificate",
    "other host": "Hostname mismatch, certificate is not valid for 'rtmp.example'",
    "expired": "certificate has expired",
}


def bad_certificate(folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    if fault == "self-signed":
        return write_certificate(folder, hosts=["rtmp.example"]).server_context()
    authority = Authority(folder)
    if fault != "unknown authority":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    hosts = ["other.example" if fault == "other host" else "rtmp.example"]
    valid_for = timedelta(minutes=-5 if fault == "expired" else 5)
    return authority.issue(hosts=hosts, valid_for=valid_for).server_context()


@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
async def test_tls_with_a_bad_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with listening(NeverAnswers, tls=bad_certificate(tmp_path, fault, monkeypatch)) as listener:
        policy = EgressPolicy([HOST], resolve=Names([HOST], [HOST]))
        url = named(listener.port, "rtmps")
        words = (
            f"no TLS with the RTMP server rtmp.example:{listener.port}:"
            f" its certificate is not accepted: {BAD_CERTIFICATES[fault]}"
        )
        refused = User(url, policy)
        assert await refused.failed() == ("tls", words)
        assert refused.heard == []
        user = await User(url, policy, TlsContexts(["rtmp.example"])).opened()
        user.connection.close()
        await until(lambda: user.connection.transport is None)


async def test_a_server_that_is_silent_in_tls(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", 0.2)
    failed = await User(url_of(listener.port, "rtmps")).failed()
    words = f"the RTMP server {HOST}:{listener.port} did not answer the TLS handshake in 0 s"
    assert failed == ("timeout", words)
    server = await listener.connection()
    await until(lambda: server.lost, timeout=1.0)


async def test_a_server_that_closes_instead_of_tls() -> None:
    async with listening(ClosesAtOnce) as listener:
        reason, detail = await User(url_of(listener.port, "rtmps")).failed()
        assert reason == "connection_lost"
        assert detail.startswith(f"the RTMP server {HOST}:{listener.port} broke off the TLS handshake")
        assert not detail.endswith((":", " "))


class Http(NeverAnswers):
    def data_received(self, data: bytes) -> None:
        self.connected.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_a_server_without_tls() -> None:
    async with listening(Http) as listener:
        words = f"no TLS with the RTMP server {HOST}:{listener.port}: it does not speak TLS there"
        assert await User(url_of(listener.port, "rtmps")).failed() == ("tls", words)
