import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from tests.peers.http_server import HttpServer, http_server

from whipway.streams.access import callback
from whipway.streams.access.callback import PublishCallback
from whipway.streams.access.rights import NotAllowed, PublishAttempt

pytestmark = pytest.mark.anyio

ATTEMPT = PublishAttempt("one?key=x&room=a+b", "rtmp://host/live?app=args", "192.0.2.7", "t0ken")


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def refusal(asked: PublishCallback, attempt: PublishAttempt = ATTEMPT) -> str:
    with pytest.raises(NotAllowed) as caught:
        await asked.ask(attempt)
    # No other token would do.
    assert not caught.value.wants_scope
    return caught.value.detail


async def test_the_form_tells_what_rtmp_servers_tell(server: HttpServer, client: httpx.AsyncClient) -> None:
    asked = PublishCallback(client, server.url + "/auth?from=whipway")
    await asked.ask(ATTEMPT)
    await asked.ask(PublishAttempt("two", "rtmps://[::1]/a/b", "2001:db8::1", None))
    first, second = server.requests
    assert (first.method, first.path) == ("POST", "/auth?from=whipway")
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert first.headers["authorization"] == "Bearer t0ken"
    assert first.form == [
        ("call", "publish"),
        ("name", "one"),
        ("app", "live"),
        ("addr", "192.0.2.7"),
        ("clientid", "1"),
        ("tcurl", "rtmp://host:1935/live?app=args"),
        ("type", "live"),
        ("key", "x"),
        ("room", "a b"),
    ]
    assert "authorization" not in second.headers
    assert dict(second.form)["clientid"] == "2" and dict(second.form)["app"] == "a"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 403, 500, 503])
async def test_only_200_allows(server: HttpServer, client: httpx.AsyncClient, status: int) -> None:
    server.status, server.headers = status, {"Location": server.url + "/elsewhere"}
    assert "refused" in await refusal(PublishCallback(client, server.url))
    assert len(server.requests) == 1


async def test_the_body_of_the_answer_is_not_waited_for(
    server: HttpServer, client: httpx.AsyncClient
) -> None:
    server.headers = {"Content-Length": "1000000000"}
    await PublishCallback(client, server.url).ask(ATTEMPT)


async def test_no_connection_is_no(client: httpx.AsyncClient) -> None:
    async with http_server() as gone:
        url = gone.url
    with structlog.testing.capture_logs() as logs:
        assert "does not answer" in await refusal(PublishCallback(client, url + "/?secret"))
    assert [entry["event"] for entry in logs] == ["authorization callback does not answer"]
    assert "secret" not in str(logs) and "t0ken" not in str(logs)


async def test_no_answer_in_time_is_no(
    server: HttpServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback, "CALLBACK_TIMEOUT", 0.05)
    server.is_open.clear()
    assert "does not answer" in await refusal(PublishCallback(client, server.url))


async def test_an_answer_that_is_not_http_is_no(client: httpx.AsyncClient) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert "does not answer" in await refusal(PublishCallback(client, url))


async def test_who_stops_waiting_is_let_go(server: HttpServer, client: httpx.AsyncClient) -> None:
    server.is_open.clear()
    asking = asyncio.create_task(PublishCallback(client, server.url).ask(ATTEMPT))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
