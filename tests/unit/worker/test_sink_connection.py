import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.peers.rtmp_client import HOST, KEYFRAME
from tests.peers.rtmp_server import Listener, RtmpServer, listening
from tests.peers.waiting import until

from whipway import tcp
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.messages import ControlEvent, user_control
from whipway.protocol.rtmp.server import PublishEnded, PublishRequested
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.relay.muxer import Tag, TagKind
from whipway.relay.sink import Sink, SinkEvent, SinkFailed, SinkPublishing, SinkState
from whipway.worker import sink_connection
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_connection import SinkConnection

pytestmark = pytest.mark.anyio

SMALL = Tag(TagKind.VIDEO, 0, KEYFRAME + b"small", keyframe=True)
LOOPBACK = EgressPolicy(["127.0.0.0/8"])
BIG = Tag(TagKind.VIDEO, 0, KEYFRAME + bytes(1_000_000), keyframe=True)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


class Opened:
    """A sink's connection and what it reported."""

    def __init__(self, url: str, age: float = 0.0, egress: EgressPolicy = LOOPBACK) -> None:
        parsed = parse_rtmp_url(url)
        now = asyncio.get_running_loop().time() - age
        publisher = Publisher(
            app=parsed.app, tc_url=parsed.tc_url, stream_name="one?key=x", random=os.urandom, now=now
        )
        self.events: list[SinkEvent] = []
        self.sink = Sink(publisher)
        self.connection = SinkConnection(self.sink, parsed, self.events.append, egress)

    async def publishing(self) -> "Opened":
        await until(lambda: self.events == [SinkPublishing()])
        return self

    async def failed(self) -> SinkFailed:
        return await until(lambda: next((one for one in self.events if isinstance(one, SinkFailed)), None))


def url_of(port: int, scheme: str = "rtmp") -> str:
    return f"{scheme}://{HOST}:{port}/live"


async def test_tags_from_before_the_connection_reach_the_server(listener: Listener) -> None:
    opened = Opened(url_of(listener.port))
    opened.connection.push([SMALL])
    await opened.publishing()
    server = await listener.connection()
    await until(lambda: server.payloads == [SMALL.payload])
    assert server.events[0] == PublishRequested("live", "one", "key=x", 1)
    opened.connection.push([BIG])
    await until(lambda: server.payloads == [SMALL.payload, BIG.payload])
    opened.connection.close()
    await until(lambda: server.lost)
    assert opened.sink.state is SinkState.CLOSED


async def test_close_says_goodbye_and_reports_nothing(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    opened.connection.push([BIG])
    opened.connection.close()
    opened.connection.close()
    await until(lambda: server.lost)
    assert server.payloads == [BIG.payload]
    assert PublishEnded() in server.events
    assert opened.events == [SinkPublishing()]


async def test_close_while_connecting_gives_up(listener: Listener) -> None:
    before = asyncio.all_tasks()
    opened = Opened(url_of(listener.port))
    opened.connection.close()
    await until(lambda: asyncio.all_tasks() == before)
    assert opened.events == []
    assert listener.protocol is None or listener.protocol.events == []


async def test_close_does_not_wait_for_a_server_that_does_not_read(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "CLOSE_TIMEOUT", 0.05)
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.pause_reading()
    for _ in range(12):
        opened.connection.push([BIG])
    opened.connection.close()
    transport = opened.connection.transport
    assert transport is not None and transport.get_write_buffer_size() > 0
    await until(lambda: opened.connection.transport is None)
    server.connected.resume_reading()
    await until(lambda: server.lost)


async def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    failed = await Opened(url_of(port)).failed()
    assert failed.reason == "unreachable"
    assert failed.detail.startswith(f"no connection to the RTMP server {HOST}:{port}: ")


async def test_a_server_that_is_silent_in_tls_is_unreachable(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    failed = await Opened(url_of(listener.port, "rtmps")).failed()
    assert failed.reason == "unreachable"
    assert "did not answer in 0 s" in failed.detail


async def test_a_server_without_tls_is_unreachable_by_it(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        RtmpServer, "data_received", lambda self, data: self.connected.write(b"this is not TLS")
    )
    failed = await Opened(url_of(listener.port, "rtmps")).failed()
    assert failed.reason == "unreachable"


async def test_a_lost_connection_is_reported_once(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.abort()
    failed = await opened.failed()
    assert failed.reason in ("connection_lost", "closed_by_peer")
    await until(lambda: opened.connection.transport is None)
    opened.connection.push([SMALL])
    opened.connection.close()
    assert len(opened.events) == 2


async def test_a_server_that_hangs_up_is_reported(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.close()
    assert (await opened.failed()).reason == "closed_by_peer"


async def test_a_server_that_never_answers_is_given_up(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.protocol.rtmp.client.STEP_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    opened = Opened(url_of(listener.port))
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_a_deadline_may_have_passed_already(listener: Listener) -> None:
    opened = Opened(url_of(listener.port), age=100.0)
    # Before the event loop gets to it, the timer is set once more.
    opened.connection.push([SMALL])
    opened.connection.push([SMALL])
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_a_timer_that_goes_off_early_is_set_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.protocol.rtmp.client.STEP_TIMEOUT", 0.05)
    monkeypatch.setattr(RtmpServer, "data_received", lambda self, data: None)
    opened = Opened(url_of(listener.port))
    await listener.connection()
    timer = await until(lambda: opened.connection._timer)
    timer.cancel()
    opened.connection._on_timer()
    assert opened.events == []
    assert (await opened.failed()).reason == "timeout"
    opened.connection.close()


async def test_questions_are_not_answered_while_the_server_does_not_read(listener: Listener) -> None:
    opened = await Opened(url_of(listener.port)).publishing()
    server = await listener.connection()
    server.connected.pause_reading()
    while (transport := opened.connection.transport) and transport.is_reading():
        ping = user_control(ControlEvent.PING_REQUEST, 1)
        # Long ones, since very many in one read end a connection by themselves.
        server.machine._link.send(ping._replace(payload=ping.payload + bytes(110)))
        server.connected.write(b"".join(server.machine.data_to_send()) * 2000)
        opened.connection.push([BIG])
        await asyncio.sleep(0)
        assert opened.sink.state is SinkState.PUBLISHING
    assert transport is not None
    server.connected.resume_reading()
    await until(transport.is_reading)
    opened.connection.close()
    await until(lambda: server.lost)


class Names:
    """A resolver that has other addresses each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0)


def named(port: int, scheme: str = "rtmp") -> str:
    return f"{scheme}://rtmp.example:{port}/live"


async def test_the_addresses_are_those_of_the_policy(listener: Listener) -> None:
    names = Names([HOST], ["10.0.0.1"])
    opened = Opened(named(listener.port), egress=EgressPolicy(["127.0.0.1"], resolve=names))
    await opened.publishing()
    assert names.answers == [["10.0.0.1"]]
    opened.connection.close()


async def test_the_next_address_is_tried(listener: Listener) -> None:
    policy = EgressPolicy(["127.0.0.0/8"], resolve=Names(["127.0.0.3", "127.0.0.2", HOST]))
    opened = await Opened(named(listener.port), egress=policy).publishing()
    opened.connection.close()


async def test_an_address_that_does_not_answer_is_left_for_the_next(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_connection, "ADDRESS_TIMEOUT", 0.05)
    # A full backlog answers nobody.
    with socket.create_server(("127.0.0.2", listener.port), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        policy = EgressPolicy(["127.0.0.0/8"], resolve=Names(["127.0.0.2", HOST], ["127.0.0.2"]))
        opened = await Opened(named(listener.port), egress=policy).publishing()
        opened.connection.close()
        monkeypatch.setattr(sink_connection, "CONNECT_TIMEOUT", 0.05)
        failed = await Opened(named(listener.port), egress=policy).failed()
        assert failed == SinkFailed(
            "unreachable", f"the RTMP server rtmp.example:{listener.port} did not answer in 0 s"
        )
        for each in fillers:
            each.close()


async def test_a_connection_that_fails_tells_no_address() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    policy = EgressPolicy(["rtmp.example"], resolve=Names(["127.0.0.2", HOST]))
    failed = await Opened(named(port), egress=policy).failed()
    assert failed == SinkFailed(
        "unreachable", f"no connection to the RTMP server rtmp.example:{port}: Connection refused"
    )


async def test_an_address_that_is_not_allowed_is_not_connected_to(listener: Listener) -> None:
    failed = await Opened(url_of(listener.port), egress=EgressPolicy()).failed()
    assert failed.reason == "egress_refused"
    assert failed.detail.startswith(f"{HOST} is an address that this server does not send to; ")
    assert listener.protocol is None


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    failed = await Opened(named(1935), egress=EgressPolicy(resolve=resolve)).failed()
    assert failed == SinkFailed(
        "unreachable", "no connection to the RTMP server rtmp.example:1935: Name or service not known"
    )


@asynccontextmanager
async def listening_by_tls(folder: Path, name: x509.GeneralName) -> AsyncIterator[tuple[int, Path]]:
    """The port of an RTMP server with a certificate for that name alone, and the file to trust it by."""
    pem = folder / "server.pem"
    pem.write_bytes(certificate_for(name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(RtmpServer, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], pem
    finally:
        server.close()


def certificate_for(name: x509.GeneralName) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        (x509.DNSName("rtmp.example"), "rtmp.example", True),
        (x509.DNSName("other.example"), "rtmp.example", False),
        (x509.IPAddress(ip_address(HOST)), "rtmp.example", False),
        (x509.IPAddress(ip_address(HOST)), HOST, True),
        (x509.DNSName("rtmp.example"), HOST, False),
    ],
    ids=["name", "other name", "address for name", "address", "name for address"],
)
async def test_a_certificate_must_be_good_for_the_host_of_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: x509.GeneralName, host: str, fits: bool
) -> None:
    async with listening_by_tls(tmp_path, name) as (port, trusted):
        make_context = ssl.create_default_context
        monkeypatch.setattr(ssl, "create_default_context", lambda: make_context(cafile=str(trusted)))
        policy = EgressPolicy([HOST], resolve=Names([HOST]))
        opened = Opened(f"rtmps://{host}:{port}/live", egress=policy)
        if fits:
            await opened.publishing()
            opened.connection.close()
            await until(lambda: opened.connection.transport is None)
        else:
            failed = await opened.failed()
            assert failed.reason == "unreachable"
            assert "certificate" in failed.detail
