from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from whipway.streams.records import Delivery, Webhook
from whipway.streams.store import webhook_rows as module
from whipway.streams.store.database import Database
from whipway.streams.store.webhook_rows import WebhookStore

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def store(database: Database) -> WebhookStore:
    return WebhookStore(database)


def webhook(id: str = "w1", seconds: int = 0) -> Webhook:
    events = ("stream.*", "sink.failed")
    return Webhook(id, f"https://example.com/{id}", "whsec_x", events, NOW + timedelta(seconds=seconds))


def delivery(id: str, webhook_id: str = "w1", seconds: int = 0) -> Delivery:
    at = NOW + timedelta(seconds=seconds)
    return Delivery(id, webhook_id, "stream.live", '{"a":"\\u0000ü"}', 0, at, at)


async def test_webhooks_come_and_go(store: WebhookStore) -> None:
    later, first = webhook("w1", 2), webhook("w2", 1)
    assert await store.add(later) and await store.add(first)
    assert await store.list() == [first, later]
    assert await store.get("w1") == later
    assert await store.remove("w1") and not await store.remove("w1")
    assert await store.get("w1") is None
    assert await store.list() == [first]


async def test_there_are_so_many_and_no_more(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WEBHOOKS", 2)
    assert [await store.add(webhook(f"w{number}")) for number in range(3)] == [True, True, False]
    assert len(await store.list()) == 2


async def test_what_waits_is_claimed_once(store: WebhookStore) -> None:
    await store.add(webhook())
    assert await store.next_due(["w1"]) is None
    first, second, future = delivery("a", seconds=-2), delivery("b"), delivery("c", seconds=1)
    assert await store.put([future, second, first]) == 0
    assert await store.next_due(["w1"]) == first.next_at
    assert await store.next_due(["w2"]) is None
    assert await store.claim({"w1": 5}, 10, at=NOW, until=LATER) == [first, second]
    assert await store.claim({"w1": 5}, 10, at=NOW, until=LATER) == []
    assert await store.next_due(["w1"]) == future.next_at
    # Nobody said what became of them.
    again = await store.claim({"w1": 5}, 10, at=LATER, until=LATER)
    assert [each.id for each in again] == ["c", "a", "b"]


async def test_each_webhook_has_its_share(store: WebhookStore) -> None:
    for id in ("w1", "w2", "w3"):
        await store.add(webhook(id))
        await store.put([delivery(f"{id}-{number}", id, -number) for number in range(3)])
    claimed = await store.claim({"w1": 2, "w2": 2, "w3": 2}, 5, at=NOW, until=LATER)
    assert [each.id for each in claimed] == ["w1-2", "w1-1", "w2-2", "w2-1", "w3-2"]


async def test_two_that_claim_at_once_get_different_ones(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("there is one writer at a time")
    store = WebhookStore(database)
    await store.add(webhook())
    await store.put([delivery("a", seconds=-1), delivery("b")])
    async with database.begin() as connection:
        mine = await module._due(connection, "w1", 1, NOW)
        theirs = await store.claim({"w1": 5}, 10, at=NOW, until=LATER)
    assert [each.id for each in mine] == ["a"]
    assert [each.id for each in theirs] == ["b"]


async def test_what_is_done_goes_and_what_failed_waits(store: WebhookStore) -> None:
    await store.add(webhook())
    await store.put([delivery("a"), delivery("b")])
    await store.finish("a")
    await store.postpone("b", 3, LATER, "x" * 300)
    await store.postpone("gone", 1, LATER, "x")
    assert await store.waiting() == {"w1": 1}
    expected = replace(delivery("b"), attempts=3, next_at=LATER, last_error="x" * 256)
    assert await store.claim({"w1": 5}, 10, at=LATER, until=LATER) == [expected]


async def test_with_a_webhook_goes_what_waits_for_it(store: WebhookStore) -> None:
    await store.add(webhook())
    await store.add(webhook("w2"))
    await store.put([delivery("a"), delivery("b", "w2")])
    await store.remove("w1")
    assert await store.waiting() == {"w2": 1}
    with pytest.raises(IntegrityError):
        await store.put([delivery("c", "w2"), delivery("d", "w1")])
    assert await store.waiting() == {"w2": 1}


async def test_of_too_many_the_oldest_go(store: WebhookStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    for id in ("w1", "w2"):
        await store.add(webhook(id))
    await store.put([delivery(f"{number}", "w1", number) for number in range(3)])
    new = [delivery(f"{number}", "w1", number) for number in (3, 4)]
    assert await store.put([*new, delivery("other", "w2")]) == 2
    assert await store.waiting() == {"w1": 3, "w2": 1}
    left = await store.claim({"w1": 9}, 9, at=LATER, until=LATER)
    assert [each.id for each in left] == ["2", "3", "4"]
