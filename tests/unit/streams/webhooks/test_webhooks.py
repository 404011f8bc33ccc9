import asyncio
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.peers.databases import databases, open_database
from tests.peers.http_server import HttpRequest, HttpServer, http_server
from tests.peers.waiting import until

from whipway.streams.events import EventLog
from whipway.streams.records import Webhook
from whipway.streams.store import webhook_rows
from whipway.streams.store.database import Database
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.webhooks.http_client import make_http_client
from whipway.streams.webhooks.webhooks import WebhookRefused, Webhooks, WebhookUnknown

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whipway.streams.webhooks.webhook_outbox.GATHER_TIME", 0.01)
    # Long enough for a machine that has much else to do.
    monkeypatch.setattr("whipway.streams.webhooks.webhook_delivery.CLOSE_TIMEOUT", 10.0)


@pytest.fixture(params=databases())
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with open_database(request.param) as database:
        yield database


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_http_client() as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Run:
    """One run of a gateway, as far as webhooks go."""

    def __init__(self, database: Database, client: httpx.AsyncClient, clock: Clock) -> None:
        self.store = WebhookStore(database)
        self.events = EventLog(clock)
        self.webhooks = Webhooks(self.store, self.events, client, now=clock, chance=lambda: 0.0)

    async def __aenter__(self) -> "Run":
        self.webhooks.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(15.0):
            await self.webhooks.close()


@pytest.fixture
def run(database: Database, client: httpx.AsyncClient, clock: Clock) -> Run:
    return Run(database, client, clock)


def verified(request: HttpRequest, webhook: Webhook) -> dict[str, object]:
    """The content of a request that is signed as Standard Webhooks has it."""
    signed = (
        f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    )
    digest = hmac.digest(b64decode(webhook.secret.removeprefix("whsec_")), signed, "sha256")
    assert request.headers["webhook-signature"] == "v1," + b64encode(digest).decode()
    content = json.loads(request.body)
    assert isinstance(content, dict)
    return content


async def test_events_reach_who_wants_them(run: Run, server: HttpServer) -> None:
    everything = await run.webhooks.create(server.url + "/all")
    sinks = await run.webhooks.create(server.url + "/sinks", ["sink.failed"])
    async with run:
        run.events.tell("stream.live", {"stream": {"name": "one"}})
        run.events.tell("sink.failed", {"sink": {"id": "1"}})
        run.events.tell("sink.retrying", {"sink": {"id": "1"}})
        run.events.tell("session.created", {})
        await until(lambda: len(server.requests) == 4)
    told = [
        (request.path, verified(request, sinks if request.path == "/sinks" else everything))
        for request in server.requests
    ]
    assert sorted((path, content["type"]) for path, content in told) == [
        ("/all", "sink.failed"),
        ("/all", "sink.retrying"),
        ("/all", "stream.live"),
        ("/sinks", "sink.failed"),
    ]
    live = next(content for _, content in told if content["type"] == "stream.live")
    assert live["timestamp"] == "2026-01-02T03:04:05.678Z"
    assert live["data"] == {"stream": {"name": "one"}}
    assert await run.webhooks.waiting() == {}


async def test_a_restart_loses_no_event(
    run: Run, server: HttpServer, database: Database, client: httpx.AsyncClient, clock: Clock
) -> None:
    webhook = await run.webhooks.create(server.url)
    server.status = 503
    async with run:
        run.events.tell("stream.ended", {"stream": {"name": "one"}})
    # The last thing that this run does is to try.
    assert len(server.requests) == 1
    assert await run.webhooks.waiting() == {webhook.id: 1}
    server.status = 200
    clock.now += timedelta(minutes=1)
    async with Run(database, client, clock) as later:
        await until(lambda: len(server.requests) == 2)
    first, second = server.requests
    assert first.body == second.body and verified(second, webhook)["type"] == "stream.ended"
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert await later.webhooks.waiting() == {}


async def test_of_several_gateways_one_sends(
    run: Run, server: HttpServer, database: Database, client: httpx.AsyncClient, clock: Clock
) -> None:
    await run.webhooks.create(server.url)
    async with run, Run(database, client, clock) as other:
        for number in range(10):
            run.events.tell("stream.live", {"number": number})
            other.events.tell("stream.ended", {"number": number})
        await until(lambda: len(server.requests) >= 20)
    assert len({request.body for request in server.requests}) == len(server.requests) == 20


async def test_webhooks_are_made_and_forgotten(run: Run, server: HttpServer) -> None:
    first = await run.webhooks.create(server.url, ["stream.*", "stream.*", "sink.failed"])
    assert first.events == ("stream.*", "sink.failed") and first.created_at == START
    second = await run.webhooks.create(server.url)
    assert second.events == ("*",)
    assert first.id != second.id and first.secret != second.secret
    assert {webhook.id for webhook in await run.webhooks.list()} == {first.id, second.id}
    await run.webhooks.delete(first.id)
    assert await run.webhooks.list() == [second]
    with pytest.raises(WebhookUnknown):
        await run.webhooks.delete(first.id)
    with pytest.raises(WebhookUnknown):
        await run.webhooks.test(first.id)


async def test_what_cannot_be_a_webhook_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WebhookRefused, match="http://"):
        await run.webhooks.create("mailto:me@example.com")
    with pytest.raises(WebhookRefused, match="patterns"):
        await run.webhooks.create("https://example.com/", ["everything"])
    monkeypatch.setattr(webhook_rows, "MAX_WEBHOOKS", 0)
    with pytest.raises(WebhookRefused, match="one too many"):
        await run.webhooks.create("https://example.com/")


async def test_a_test_tells_what_came_of_it(run: Run, server: HttpServer) -> None:
    webhook = await run.webhooks.create(server.url, ["sink.failed"])
    assert (await run.webhooks.test(webhook.id)).is_success
    content = verified(server.requests[0], webhook)
    assert content["type"] == "webhook.test" and content["data"] == {"webhook": {"id": webhook.id}}
    server.status = 401
    assert (await run.webhooks.test(webhook.id)).reason == "status 401"
    # Once each, and nothing is kept.
    assert len(server.requests) == 2 and await run.webhooks.waiting() == {}
