"""The rows of webhooks, and the outbox: what is still to be sent to them.

Whoever sends a delivery claims it first, which moves its time a little into the future. So no two gateways on
one database send the same, and one that is cut off in the middle leaves it to be sent again.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whipway.streams.records import Delivery, Webhook
from whipway.streams.store.database import Database
from whipway.streams.store.tables import deliveries, webhooks

MAX_WEBHOOKS = 20
MAX_WAITING = 10_000
"""Deliveries to one webhook."""
MAX_ERROR_CHARACTERS = 256


class WebhookStore:
    """Webhooks and what waits for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook) -> bool:
        """Keep a new webhook. False: there are as many as there may be."""
        async with self._database.begin(alone=True) as connection:
            if await _count(connection) >= MAX_WEBHOOKS:
                return False
            await connection.execute(
                insert(webhooks).values(
                    id=webhook.id,
                    url=webhook.url,
                    secret=webhook.secret,
                    events=json.dumps(webhook.events),
                    created_at=webhook.created_at,
                )
            )
            return True

    async def list(self) -> Sequence[Webhook]:
        """All of them, the oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id))
            return [_webhook(row) for row in rows]

    async def get(self, id: str) -> Webhook | None:
        """One of them."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(webhooks).where(webhooks.c.id == id))).first()
        return None if row is None else _webhook(row)

    async def remove(self, id: str) -> bool:
        """Forget a webhook, and what waits for it. False: there is none."""
        async with self._database.begin() as connection:
            return (await connection.execute(delete(webhooks).where(webhooks.c.id == id))).rowcount > 0

    async def waiting(self) -> Mapping[str, int]:
        """How many deliveries wait, by webhook; those with none are left out."""
        counts = select(deliveries.c.webhook_id, func.count()).group_by(deliveries.c.webhook_id)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(counts)}

    async def put(self, new: Sequence[Delivery]) -> int:
        """Put deliveries into the outbox, all or none. Returns how many older ones had to go.

        A webhook that is gone meanwhile makes it fail, as an IntegrityError.
        """
        rows = [
            {
                "id": delivery.id,
                "webhook_id": delivery.webhook_id,
                "event": delivery.event,
                "body": delivery.body,
                "attempts": delivery.attempts,
                "next_at": delivery.next_at,
                "created_at": delivery.created_at,
                "last_error": delivery.last_error,
            }
            for delivery in new
        ]
        async with self._database.begin() as connection:
            await connection.execute(insert(deliveries), rows)
            ids = sorted({delivery.webhook_id for delivery in new})
            return sum([await _drop_oldest(connection, id) for id in ids])

    async def next_due(self, webhook_ids: Sequence[str]) -> datetime | None:
        """When the next delivery to one of these is due; None: nothing waits."""
        earliest = select(func.min(deliveries.c.next_at)).where(deliveries.c.webhook_id.in_(webhook_ids))
        async with self._database.read() as connection:
            due: datetime | None = await connection.scalar(earliest)
            return due

    async def claim(
        self, shares: Mapping[str, int], limit: int, *, at: datetime, until: datetime
    ) -> Sequence[Delivery]:
        """Take what is due, so many for each webhook and in all; nobody else gets it before `until`."""
        async with self._database.begin() as connection:
            claimed: list[Delivery] = []
            for webhook_id, share in shares.items():
                claimed += await _due(connection, webhook_id, min(share, limit - len(claimed)), at)
            ids = [delivery.id for delivery in claimed]
            await connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(next_at=until))
            return claimed

    async def finish(self, id: str) -> None:
        """A delivery is done, or given up."""
        async with self._database.begin() as connection:
            await connection.execute(delete(deliveries).where(deliveries.c.id == id))

    async def postpone(self, id: str, attempts: int, next_at: datetime, error: str) -> None:
        """It failed, and is to be tried again."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.id == id)
                .values(attempts=attempts, next_at=next_at, last_error=error[:MAX_ERROR_CHARACTERS])
            )


async def _count(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.count()).select_from(webhooks)) or 0


async def _drop_oldest(connection: AsyncConnection, webhook_id: str) -> int:
    of_it = deliveries.c.webhook_id == webhook_id
    count = await connection.scalar(select(func.count()).select_from(deliveries).where(of_it)) or 0
    if count <= MAX_WAITING:
        return 0
    oldest = (
        select(deliveries.c.id)
        .where(of_it)
        .order_by(deliveries.c.created_at, deliveries.c.id)
        .limit(count - MAX_WAITING)
    )
    return (await connection.execute(delete(deliveries).where(deliveries.c.id.in_(oldest)))).rowcount


async def _due(connection: AsyncConnection, webhook_id: str, share: int, at: datetime) -> Sequence[Delivery]:
    due = (
        select(deliveries)
        .where(deliveries.c.webhook_id == webhook_id, deliveries.c.next_at <= at)
        .order_by(deliveries.c.next_at, deliveries.c.created_at)
        .limit(share)
        # What another gateway is claiming at this moment is its own. SQLite knows no such thing: there is
        # one writer at a time.
        .with_for_update(skip_locked=True)
    )
    return [_delivery(row) for row in await connection.execute(due)]


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(row.id, row.url, row.secret, tuple(json.loads(row.events)), row.created_at)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event=row.event,
        body=row.body,
        attempts=row.attempts,
        next_at=row.next_at,
        created_at=row.created_at,
        last_error=row.last_error,
    )
