"""HTTPS: the server as it runs, with a certificate that it signed itself."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
import structlog
from tests.peers.certificates import CertificateFiles, write_certificate
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until
from tests.web.running import GET_ENDLESS, RunningGateway
from tests.web.served import ENDPOINT, OFFER, SDP

from whipway.web import http, server

pytestmark = pytest.mark.anyio

GET = b"GET /p/webrtc/status.json HTTP/1.1\r\nHost: x\r\n\r\n"
CLIENT_HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
TALK = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return write_certificate(tmp_path_factory.mktemp("tls"))


class Served(RunningGateway):
    """A gateway that speaks HTTPS, and how to reach it."""

    def __init__(self, cert: Path, key: Path) -> None:
        super().__init__({"tls.cert": str(cert), "tls.key": str(key)})
        self.trust = ssl.create_default_context(cafile=cert)

    async def connect(self, tls: bool = True) -> TALK:
        return await asyncio.open_connection(HOST, self.gateway.http_port, ssl=self.trust if tls else None)


@pytest.fixture
async def served(files: CertificateFiles, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Served]:
    served = Served(*files)
    caplog.set_level(logging.WARNING)
    with structlog.testing.capture_logs() as logs:
        await served.gateway.start()
        yield served
        if not served.is_stopped:
            await served.stop()
    logs = [log for log in logs if log["log_level"] not in ("debug", "info")]
    assert ([record.message for record in caplog.records], logs) == ([], [])


async def hung_up(reader: asyncio.StreamReader, seconds: float = 2.0) -> bytes:
    """What comes before the end; an end by a reset is one too."""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionResetError, ssl.SSLError):
            return await reader.read()
    return b""


async def test_the_page(served: Served) -> None:
    async with httpx.AsyncClient(verify=served.trust, base_url=served.gateway.http_url) as client:
        response = await client.get("/")
    assert (response.status_code, response.http_version) == (200, "HTTP/1.1")
    assert "<html" in response.text
    assert "strict-transport-security" not in response.headers


async def test_a_session_is_reached_by_https(served: Served) -> None:
    async with httpx.AsyncClient(verify=served.trust, base_url=served.gateway.http_url) as client:
        query = f"stream_name=one&stream_url={served.gateway.stream_url}"
        response = await client.post(f"{ENDPOINT}?{query}", content=OFFER, headers=SDP)
        location = response.headers["location"]
        assert location.startswith(f"https://{HOST}:{served.gateway.http_port}{ENDPOINT}/")
        assert (await client.delete(location)).status_code == 200


async def test_what_is_not_http_is_answered(served: Served) -> None:
    reader, writer = await served.connect()
    with closing(writer):
        writer.write(b"nonsense\r\n\r\n")
        assert (await hung_up(reader)).startswith(b"HTTP/1.1 400 ")


# Waiting


@pytest.fixture
def short_handshake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(server, "HANDSHAKE_TIMEOUT", 0.1)
    yield


@pytest.mark.parametrize("data", [b"", CLIENT_HELLO_BEGINS], ids=["nothing", "a beginning"])
async def test_a_handshake_that_does_not_go_on(short_handshake: None, served: Served, data: bytes) -> None:
    reader, writer = await served.connect(tls=False)
    with closing(writer):
        writer.write(data)
        await hung_up(reader)


async def test_http_where_https_is_spoken(served: Served) -> None:
    reader, writer = await served.connect(tls=False)
    with closing(writer):
        writer.write(GET)
        assert b"HTTP" not in await hung_up(reader)


@pytest.mark.parametrize("data", [b"", GET[:-2]])
async def test_a_request_that_does_not_come(
    served: Served, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)
    reader, writer = await served.connect()
    with closing(writer):
        writer.write(data)
        assert await hung_up(reader) == b""


async def test_who_waits_gives_way_to_who_comes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    first_reader, first = await served.connect()
    with closing(first):
        await until(lambda: served.state.connections)
        second_reader, second = await served.connect()
        with closing(second):
            assert await hung_up(first_reader) == b""
            second.write(GET)
            assert (await second_reader.readline()).startswith(b"HTTP/1.1 200 ")


# Stopping


async def test_stopping_waits_for_nobody(served: Served) -> None:
    """A connection without a request, one within its handshake, and one that does not read its answer."""
    served.add_endless_route()
    _, idle = await served.connect()
    _, silent = await served.connect(tls=False)
    _, busy = await served.connect()
    with closing(idle), closing(silent), closing(busy):
        busy.write(GET_ENDLESS)
        await until(lambda: any(connection.flow.write_paused for connection in served.state.connections))
        assert await served.stop() < server.STOP_TIMEOUT
