"""Webhooks: URLs that are told of what happens to streams and sinks, by signed JSON (Standard Webhooks).

Each event becomes one delivery for each webhook that wants it. Deliveries are kept in the database until they
have arrived (`webhook_outbox`, `webhook_delivery`), so that neither a restart nor an outage of a day loses
one; they may arrive twice, and in another order. The id in `webhook-id` tells copies, the timestamp in the
body tells the order.
"""

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

import httpx

from whipway.streams.events import EventLog, StreamEvent
from whipway.streams.records import Webhook, utc_now
from whipway.streams.store.webhook_rows import MAX_WEBHOOKS, WebhookStore
from whipway.streams.webhooks.webhook_delivery import Deliveries, Outcome, send
from whipway.streams.webhooks.webhook_outbox import Outbox, event_body
from whipway.streams.webhooks.webhook_rules import WebhookRefused, check_patterns, check_webhook_url
from whipway.streams.webhooks.webhook_signing import make_secret

__all__ = ["Outcome", "WebhookRefused", "WebhookUnknown", "Webhooks"]

EVERYTHING = ("*",)
TEST_KIND = "webhook.test"


class WebhookUnknown(Exception):
    """There is no webhook of that id."""


class Webhooks:
    """The operations on webhooks, and what keeps them told. Close it before the database."""

    def __init__(
        self,
        store: WebhookStore,
        events: EventLog,
        client: httpx.AsyncClient,
        *,
        now: Callable[[], datetime] = utc_now,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """The client is closed by whoever made it."""
        self._store = store
        self._events = events
        self._client = client
        self._now = now
        self._token_bytes = token_bytes
        self._deliveries = Deliveries(store, client, now, chance)
        self._outbox = Outbox(store, self._deliveries.wake)

    def start(self) -> None:
        """Tell webhooks of what happens from now on, and of what was left over."""
        self._outbox.start()
        self._deliveries.start()
        self._events.listen(self._outbox.add)

    async def close(self) -> None:
        """Write down what has happened, and stop; three seconds at most. What was not sent stays."""
        await self._outbox.close()
        await self._deliveries.close()

    async def create(self, url: str, events: Sequence[str] = EVERYTHING) -> Webhook:
        """Make a webhook, with a new secret that its receiver must be given. Raises WebhookRefused.

        `events`: patterns such as "stream.live", "sink.*" or "*".
        """
        check_webhook_url(url)
        webhook = Webhook(
            uuid4().hex, url, make_secret(self._token_bytes), check_patterns(events), self._now()
        )
        if not await self._store.add(webhook):
            raise WebhookRefused("url", f"is one too many: there are {MAX_WEBHOOKS} webhooks")
        return webhook

    async def list(self) -> Sequence[Webhook]:
        """All of them, the oldest first."""
        return await self._store.list()

    async def waiting(self) -> Mapping[str, int]:
        """How many deliveries wait, by webhook; those with none are left out."""
        return await self._store.waiting()

    async def delete(self, id: str) -> None:
        """Forget a webhook, and all that waits for it. Raises WebhookUnknown."""
        if not await self._store.remove(id):
            raise WebhookUnknown(id)

    async def test(self, id: str) -> Outcome:
        """Send an event of the kind "webhook.test" now, once, whatever it wants. Raises WebhookUnknown.

        Takes ten seconds at most.
        """
        webhook = await self._store.get(id)
        if webhook is None:
            raise WebhookUnknown(id)
        now = self._now()
        event = StreamEvent(0, TEST_KIND, now, {"webhook": {"id": webhook.id}})
        return await send(self._client, webhook, uuid4().hex, event_body(event), now)
