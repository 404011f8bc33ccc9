import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.peers.databases import open_database
from tests.peers.http_server import HttpServer, http_server
from tests.peers.waiting import until

from whipway.streams.records import Delivery, Webhook
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.webhooks import webhook_delivery as module
from whipway.streams.webhooks.http_client import make_http_client
from whipway.streams.webhooks.webhook_delivery import Deliveries, Outcome, retry_delay, send
from whipway.streams.webhooks.webhook_signing import sign

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"stream.live"}'


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_http_client() as client:
        yield client


@pytest.fixture
async def store(server: HttpServer) -> AsyncIterator[WebhookStore]:
    async with open_database("sqlite") as database:
        store = WebhookStore(database)
        await store.add(webhook("w1", server))
        yield store


@pytest.fixture
async def deliveries(
    store: WebhookStore, client: httpx.AsyncClient, clock: Clock
) -> AsyncIterator[Deliveries]:
    deliveries = Deliveries(store, client, clock, lambda: 0.0)
    yield deliveries
    await deliveries.close()


def webhook(id: str, server: HttpServer) -> Webhook:
    return Webhook(id, f"{server.url}/{id}?secret", SECRET, ("*",), START)


def delivery(id: str, webhook_id: str = "w1", at: datetime = START) -> Delivery:
    return Delivery(id, webhook_id, "stream.live", BODY, 0, at, at)


async def test_one_try_is_signed(server: HttpServer, client: httpx.AsyncClient) -> None:
    server.status = 204
    assert await send(client, webhook("w1", server), "abc", BODY, START) == Outcome(status=204)
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/w1?secret", BODY.encode())
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Whipway/")
    timestamp = int(START.timestamp())
    assert request.headers["webhook-id"] == "msg_abc"
    assert request.headers["webhook-timestamp"] == str(timestamp)
    assert request.headers["webhook-signature"] == sign(SECRET, "msg_abc", timestamp, BODY.encode())


@pytest.mark.parametrize(
    ("outcome", "is_success", "reason"),
    [
        (Outcome(status=200), True, "status 200"),
        (Outcome(status=299), True, "status 299"),
        (Outcome(status=302), False, "status 302"),
        (Outcome(status=410), False, "status 410"),
        (Outcome(error="ConnectError"), False, "ConnectError"),
    ],
)
def test_what_counts_as_success(outcome: Outcome, is_success: bool, reason: str) -> None:
    assert (outcome.is_success, outcome.reason) == (is_success, reason)


async def test_no_answer_is_a_failure(
    server: HttpServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELIVERY_TIMEOUT", 0.02)
    server.is_open.clear()
    outcome = await send(client, webhook("w1", server), "abc", BODY, START)
    assert not outcome.is_success and "Timeout" in outcome.reason


def test_delays_grow_up_to_two_hours() -> None:
    seconds = [retry_delay(attempts, 0.0).total_seconds() for attempts in range(1, 10)]
    assert seconds == [5, 30, 120, 600, 1800, 3600, 7200, 7200, 7200]
    assert retry_delay(1, 0.5).total_seconds() == pytest.approx(5.5)


async def test_what_is_due_is_sent_once(
    server: HttpServer, store: WebhookStore, deliveries: Deliveries
) -> None:
    deliveries.start()
    await store.put([delivery("a"), delivery("b"), delivery("c", at=START + timedelta(hours=1))])
    deliveries.wake()
    await until(lambda: len(server.requests) == 2)
    await deliveries.close()
    assert {request.headers["webhook-id"] for request in server.requests} == {"msg_a", "msg_b"}
    assert await store.waiting() == {"w1": 1}


async def test_what_failed_is_tried_again_when_its_time_has_come(
    server: HttpServer, store: WebhookStore, deliveries: Deliveries, clock: Clock
) -> None:
    server.status = 500
    await store.put([delivery("a")])
    for number, seconds in enumerate((5, 30, 120), start=1):
        with capture_logs() as logs:
            await deliveries._send_due()
            await until(lambda: not deliveries._sending)
        assert logs == [] or logs[0]["reason"] == "status 500" and "secret" not in str(logs)
        assert await store.next_due(["w1"]) == clock.now + timedelta(seconds=seconds)
        assert len(server.requests) == number
        clock.now += timedelta(seconds=seconds - 0.25)
        assert await deliveries._send_due() == 0.25 and not deliveries._sending
        clock.now += timedelta(seconds=0.25)
    server.status = 200
    await deliveries._send_due()
    await until(lambda: not deliveries._sending)
    assert await store.waiting() == {}
    headers = [request.headers for request in server.requests]
    # The same event each time, and each time a new timestamp.
    assert {header["webhook-id"] for header in headers} == {"msg_a"}
    assert len({header["webhook-timestamp"] for header in headers}) == 4


async def test_after_a_day_it_is_given_up(
    server: HttpServer, store: WebhookStore, deliveries: Deliveries, clock: Clock
) -> None:
    server.status = 500
    await store.put([delivery("a")])
    clock.now += module.GIVE_UP_AFTER - timedelta(seconds=4)
    with capture_logs() as logs:
        await deliveries._send_due()
        await until(lambda: not deliveries._sending)
    assert await store.waiting() == {}
    assert logs[-1]["event"] == "deliveries were given up after a day" and logs[-1]["webhook"] == "w1"


async def test_a_slow_webhook_delays_no_other(
    server: HttpServer, store: WebhookStore, deliveries: Deliveries, clock: Clock
) -> None:
    async with http_server() as quick:
        server.is_open.clear()
        slow_ones = [f"slow{number}" for number in range(4)]
        for id in slow_ones:
            await store.add(webhook(id, server))
        await store.add(Webhook("quick", quick.url, SECRET, ("*",), START + timedelta(seconds=1)))
        for id in slow_ones:
            await store.put([delivery(f"{id}-{number}", id) for number in range(9)])
        deliveries.start()
        await until(lambda: len(server.requests) == module.MAX_AT_A_TIME)
        paths = [request.path.partition("?")[0].strip("/") for request in server.requests]
        assert {paths.count(id) for id in slow_ones} == {module.MAX_EACH_AT_A_TIME}
        # There is no room. The next that becomes free is for whoever has the least on its way.
        await store.put([delivery(f"quick-{number}", "quick") for number in range(3)])
        deliveries.wake()
        next(iter(deliveries._sending)).cancel()
        await until(lambda: len(quick.requests) == 3)
        server.is_open.set()


async def test_a_restart_loses_nothing(
    server: HttpServer,
    store: WebhookStore,
    client: httpx.AsyncClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    server.is_open.clear()
    first = Deliveries(store, client, clock)
    first.start()
    await store.put([delivery("a")])
    first.wake()
    await until(lambda: server.requests)
    async with asyncio.timeout(1.0):
        await first.close()
    server.is_open.set()
    second = Deliveries(store, client, clock)
    clock.now += module.CLAIM_TIME
    second.start()
    await until(lambda: len(server.requests) == 2)
    await second.close()
    assert [request.headers["webhook-id"] for request in server.requests] == ["msg_a", "msg_a"]
    assert await store.waiting() == {}


async def test_closing_sends_what_is_due(
    server: HttpServer, store: WebhookStore, deliveries: Deliveries
) -> None:
    await store.put([delivery("a")])
    # Where it never began, nobody expects it to do anything.
    await deliveries.close()
    assert not server.requests
    deliveries.start()
    await deliveries.close()
    assert len(server.requests) == 1 and await store.waiting() == {}


async def test_what_another_gateway_claimed_is_looked_for_later(
    store: WebhookStore, client: httpx.AsyncClient, clock: Clock
) -> None:
    class Beaten(WebhookStore):
        async def claim(self, *given: Any, **named: Any) -> Any:
            await super().claim(*given, **named)
            return await super().claim(*given, **named)

    deliveries = Deliveries(Beaten(store._database), client, clock)
    await store.put([delivery("a")])
    assert await deliveries._send_due() == module.LOST_CLAIM_WAIT
    assert await deliveries._send_due() == module.MAX_WAIT


async def test_without_webhooks_there_is_nothing_to_do(store: WebhookStore, deliveries: Deliveries) -> None:
    await store.remove("w1")
    assert await deliveries._send_due() == module.MAX_WAIT


async def test_a_database_that_does_not_answer_is_asked_again(
    server: HttpServer,
    store: WebhookStore,
    client: httpx.AsyncClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAIT", 0.01)

    troubles = [ConnectionRefusedError(), ZeroDivisionError(), ConnectionRefusedError()]

    class Troubled(WebhookStore):
        async def list(self) -> Any:
            if troubles:
                raise troubles.pop(0)
            return await super().list()

        async def finish(self, id: str) -> None:
            raise ConnectionRefusedError

    deliveries = Deliveries(Troubled(store._database), client, clock)
    await store.put([delivery("a")])
    with capture_logs() as logs:
        deliveries.start()
        await until(lambda: server.requests)
        await until(lambda: not deliveries._sending)
        await deliveries.close()
    assert logs[0]["error"] == "ConnectionRefusedError"
    assert logs[1]["event"] == "the outbox cannot be emptied" and logs[1]["exc_info"]
    # It arrived, and nobody could write that down: it will arrive again.
    assert await store.waiting() == {"w1": 1}
