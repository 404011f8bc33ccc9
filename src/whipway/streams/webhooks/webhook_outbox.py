"""From events to the outbox: what happens is written to the database, and is sent from there.

An event is put into a queue at once, and whoever told it goes on. One task writes what has gathered, in one
transaction. Where the database does not answer, events wait for it in the queue; where they are too many, the
oldest go. Which webhooks there are is read each time: another gateway may have changed them.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from uuid import uuid4

import structlog

from whipway.streams.events import StreamEvent
from whipway.streams.records import Delivery, Webhook
from whipway.streams.store.database import NO_CONNECTION
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.stream_shapes import iso
from whipway.streams.webhooks.counted_warning import CountedWarning
from whipway.streams.webhooks.webhook_rules import TOLD_KINDS, wants

MAX_QUEUED = 10_000
"""Events that are not in the database yet."""
MAX_BATCH = 200
"""Events written in one transaction."""
GATHER_TIME = 0.1
"""Seconds for which events gather before they are written."""
RETRY_INTERVAL = 1.0
"""Seconds between two tries to write."""
CLOSE_TIMEOUT = 2.0

log = structlog.get_logger("webhooks")


class Outbox:
    """Writes events down for the webhooks that want them. `start`, `add` each event, and `close`."""

    def __init__(self, store: WebhookStore, written: Callable[[], None]) -> None:
        """`written` is called when something new is in the outbox."""
        self._store = store
        self._written = written
        self._events: deque[StreamEvent] = deque()
        self._batch: Sequence[StreamEvent] = ()
        """Taken out of these, and not written yet."""
        self._filled = asyncio.Event()
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self._lost = CountedWarning("webhooks", "events were lost: the database does not keep up")
        self._dropped = CountedWarning("webhooks", "the oldest deliveries were dropped: too many wait")
        self._failures = CountedWarning("webhooks", "events are not written: the database does not answer")

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="webhook outbox")

    def add(self, event: StreamEvent) -> None:
        """Something has happened; what webhooks are not told of is passed over."""
        if self._is_closed or not event.kind.startswith(TOLD_KINDS):
            return
        if len(self._events) >= MAX_QUEUED:
            self._events.popleft()
            self._lost.add()
        self._events.append(event)
        self._filled.set()

    async def close(self) -> None:
        """Write what is there, for two seconds at most."""
        self._is_closed = True
        self._filled.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=CLOSE_TIMEOUT)
            for task in late:
                self._lost.add(len(self._batch) + len(self._events))
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        while await self._filled.wait() and (self._events or not self._is_closed):
            if not self._is_closed:
                await asyncio.sleep(GATHER_TIME)
            self._batch = [self._events.popleft() for _ in range(min(len(self._events), MAX_BATCH))]
            if not self._events and not self._is_closed:
                self._filled.clear()
            await self._write(self._batch)
            self._batch = ()

    async def _write(self, batch: Sequence[StreamEvent]) -> None:
        while True:
            try:
                await self._put(batch)
                return
            except NO_CONNECTION as error:
                # Also where a webhook was removed between its being read and its being written for.
                self._failures.add(error=type(error).__name__)
                await asyncio.sleep(RETRY_INTERVAL)
            except Exception:
                log.exception("events cannot be written", count=len(batch))
                return

    async def _put(self, batch: Sequence[StreamEvent]) -> None:
        webhooks = await self._store.list()
        new = [make_delivery(webhook, event) for event in batch for webhook in _for(event, webhooks)]
        if new:
            if dropped := await self._store.put(new):
                self._dropped.add(dropped)
            self._written()


def make_delivery(webhook: Webhook, event: StreamEvent) -> Delivery:
    """An event on its way to a webhook, to be sent at once."""
    return Delivery(
        id=uuid4().hex,
        webhook_id=webhook.id,
        event=event.kind,
        body=event_body(event),
        attempts=0,
        next_at=event.at,
        created_at=event.at,
    )


def event_body(event: StreamEvent) -> str:
    """What is signed and sent, as Standard Webhooks has it ("Payload structure")."""
    content = {"type": event.kind, "timestamp": iso(event.at), "data": event.data}
    return json.dumps(content, separators=(",", ":"))


def _for(event: StreamEvent, webhooks: Sequence[Webhook]) -> Iterator[Webhook]:
    return (webhook for webhook in webhooks if wants(webhook.events, event.kind))
