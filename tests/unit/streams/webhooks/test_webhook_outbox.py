import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from tests.peers.databases import open_database
from tests.peers.waiting import until

from whipway.streams.events import StreamEvent
from whipway.streams.records import Delivery, Webhook
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.webhooks import webhook_outbox as module
from whipway.streams.webhooks.webhook_outbox import Outbox, event_body

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
ALL = {"w1": 10_000, "w2": 10_000}


def event(number: int, kind: str = "stream.live") -> StreamEvent:
    return StreamEvent(number, kind, NOW, {"number": number})


class Wakes:
    count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_TIME", 0.01)
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.01)


@pytest.fixture
async def store() -> AsyncIterator[WebhookStore]:
    async with open_database("sqlite") as database:
        store = WebhookStore(database)
        await store.add(Webhook("w1", "http://w1/", "whsec_x", ("*",), NOW))
        await store.add(Webhook("w2", "http://w2/", "whsec_x", ("sink.*",), NOW))
        yield store


async def waiting(store: WebhookStore) -> list[Delivery]:
    return list(await store.claim(ALL, 20_000, at=NOW, until=NOW))


async def numbers(store: WebhookStore) -> list[int]:
    return sorted(json.loads(delivery.body)["data"]["number"] for delivery in await waiting(store))


async def test_events_are_written_for_those_who_want_them(store: WebhookStore) -> None:
    wakes = Wakes()
    outbox = Outbox(store, wakes)
    outbox.start()
    outbox.add(event(1))
    outbox.add(event(2, "session.created"))
    outbox.add(event(3, "sink.retrying"))
    await until(lambda: wakes.count)
    await outbox.close()
    found = {(each.webhook_id, each.event) for each in await waiting(store)}
    assert found == {("w1", "stream.live"), ("w1", "sink.retrying"), ("w2", "sink.retrying")}
    assert len({each.id for each in await waiting(store)}) == 3
    assert wakes.count == 1


async def test_a_delivery_is_to_be_sent_at_once(store: WebhookStore) -> None:
    outbox = Outbox(store, Wakes())
    outbox.start()
    outbox.add(event(7))
    await outbox.close()
    (delivery,) = await waiting(store)
    assert (delivery.attempts, delivery.next_at, delivery.created_at) == (0, NOW, NOW)
    assert delivery.body == event_body(event(7))


def test_the_body() -> None:
    body = event_body(StreamEvent(1, "stream.live", NOW, {"stream": {"name": "ü\0"}}))
    assert body == (
        '{"type":"stream.live","timestamp":"2026-01-02T03:04:05.678Z",'
        '"data":{"stream":{"name":"\\u00fc\\u0000"}}}'
    )


async def test_what_nobody_wants_is_not_written(store: WebhookStore) -> None:
    await store.remove("w1")
    wakes = Wakes()
    outbox = Outbox(store, wakes)
    outbox.start()
    outbox.add(event(1))
    await outbox.close()
    assert wakes.count == 0 and await waiting(store) == []


async def test_many_are_written_in_batches(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 3)
    wakes = Wakes()
    outbox = Outbox(store, wakes)
    outbox.start()
    for number in range(7):
        outbox.add(event(number))
    await until(lambda: wakes.count == 3)
    outbox.add(event(7))
    outbox.add(event(8))
    await outbox.close()
    outbox.add(event(9))
    assert await numbers(store) == list(range(9))
    assert wakes.count == 4


async def test_of_too_many_the_oldest_are_lost(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 3)
    outbox = Outbox(store, Wakes())
    with capture_logs() as logs:
        for number in range(5):
            outbox.add(event(number))
    assert logs[0]["event"].startswith("events were lost")
    outbox.start()
    await outbox.close()
    assert await numbers(store) == [2, 3, 4]


async def test_too_many_in_the_outbox_are_said(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whipway.streams.store.webhook_rows.MAX_WAITING", 2)
    outbox = Outbox(store, Wakes())
    for number in range(5):
        outbox.add(event(number))
    outbox.start()
    with capture_logs() as logs:
        await outbox.close()
    assert [(entry["event"], entry["count"]) for entry in logs] == [
        ("the oldest deliveries were dropped: too many wait", 3)
    ]
    assert len(await waiting(store)) == 2


class Troubled(WebhookStore):
    """Fails so many times, then works."""

    def __init__(self, store: WebhookStore, error: Exception, times: int) -> None:
        super().__init__(store._database)
        self.error, self.times = error, times

    async def put(self, new: Any) -> int:
        if self.times:
            self.times -= 1
            raise self.error
        return await super().put(new)


@pytest.mark.parametrize("error", [OperationalError("INSERT", {}, Exception()), ConnectionRefusedError()])
async def test_a_database_that_does_not_answer_is_asked_again(store: WebhookStore, error: Exception) -> None:
    outbox = Outbox(Troubled(store, error, 2), Wakes())
    outbox.start()
    outbox.add(event(1))
    with capture_logs() as logs:
        await outbox.close()
    assert await numbers(store) == [1]
    assert [entry["error"] for entry in logs] == [type(error).__name__]


async def test_a_webhook_that_goes_meanwhile_takes_nothing_along(store: WebhookStore) -> None:
    class Late(WebhookStore):
        async def put(self, new: Any) -> int:
            await store.remove("w2")
            return await super().put(new)

    outbox = Outbox(Late(store._database), Wakes())
    outbox.start()
    outbox.add(event(1, "sink.failed"))
    with capture_logs() as logs:
        await outbox.close()
    assert [each.webhook_id for each in await waiting(store)] == ["w1"]
    assert [entry["error"] for entry in logs] == ["IntegrityError"]


async def test_an_event_that_cannot_be_written_stops_no_others(store: WebhookStore) -> None:
    wakes = Wakes()
    outbox = Outbox(store, wakes)
    outbox.start()
    with capture_logs() as logs:
        outbox.add(StreamEvent(1, "stream.live", NOW, {"number": object()}))
        await until(lambda: logs)
        outbox.add(event(2))
        await outbox.close()
    assert await numbers(store) == [2]
    assert logs[0]["log_level"] == "error"


async def test_closing_waits_for_no_database(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "MAX_BATCH", 2)
    outbox = Outbox(Troubled(store, OSError(), 1_000_000), Wakes())
    outbox.start()
    for number in range(5):
        outbox.add(event(number))
    with capture_logs() as logs:
        async with asyncio.timeout(1.0):
            await outbox.close()
    assert logs[-1]["event"].startswith("events were lost") and logs[-1]["count"] == 5


async def test_closing_what_never_began(store: WebhookStore) -> None:
    outbox = Outbox(store, Wakes())
    await outbox.close()
    outbox.start()
    await outbox.close()
