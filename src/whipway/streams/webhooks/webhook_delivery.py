"""From the outbox to the webhooks: sends what is due, and tries again what failed.

One task looks for what is due, and each delivery is sent by a task of its own: few at a time, and fewer to
one webhook, so that a slow one delays no other. Any status from 200 to 299 is a success, all else a failure,
redirects included. In which order deliveries arrive is not promised.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from whipway import __version__
from whipway.streams.records import Delivery, Webhook
from whipway.streams.store.database import NO_CONNECTION
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.webhooks.counted_warning import CountedWarning
from whipway.streams.webhooks.event_waiting import set_within
from whipway.streams.webhooks.publish_form import CALL_FAILURES
from whipway.streams.webhooks.webhook_signing import signed_headers

DELIVERY_TIMEOUT = 10.0
"""Seconds in all, waiting for a free connection included."""
MAX_AT_A_TIME = 20
MAX_EACH_AT_A_TIME = 5
"""To one webhook."""
CLAIM_TIME = timedelta(seconds=60)
"""After which a delivery is sent again that nobody has said anything of: longer than any try takes."""
RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Seconds after each failure; then the last one again and again."""
JITTER = 0.2
"""The part by which a delay is made longer at most, so that what failed together comes apart."""
GIVE_UP_AFTER = timedelta(hours=24)
MAX_WAIT = 5.0
"""Seconds between two looks into the outbox: another gateway may have left something there."""
LOST_CLAIM_WAIT = 1.0
CLOSE_TIMEOUT = 1.0

log = structlog.get_logger("webhooks")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try: a status, or the kind of error where there was no answer."""

    status: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and httpx.codes.is_success(self.status)

    @property
    def reason(self) -> str:
        """For people, and without anything secret."""
        return self.error or f"status {self.status}"


async def send(
    client: httpx.AsyncClient, webhook: Webhook, delivery_id: str, body: str, at: datetime
) -> Outcome:
    """Try once; `at` is now."""
    content = body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Whipway/{__version__}",
        **signed_headers(webhook.secret, delivery_id, int(at.timestamp()), content),
    }
    try:
        async with asyncio.timeout(DELIVERY_TIMEOUT):
            async with client.stream(
                "POST", webhook.url, content=content, headers=headers, timeout=DELIVERY_TIMEOUT
            ) as response:
                return Outcome(status=response.status_code)
    except CALL_FAILURES as error:
        return Outcome(error=type(error).__name__)


def retry_delay(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many failures; `chance` is between 0 and 1."""
    delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    return timedelta(seconds=delay * (1 + JITTER * chance))


class Deliveries:
    """Empties the outbox. `start`, `wake` when something was put there, `close`."""

    def __init__(
        self,
        store: WebhookStore,
        client: httpx.AsyncClient,
        now: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._client = client
        self._now = now
        self._chance = chance
        self._wake = asyncio.Event()
        self._run_task: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        """Deliveries that are being sent, by webhook."""
        self._failures = CountedWarning("webhooks", "deliveries failed")
        self._given_up = CountedWarning("webhooks", "deliveries were given up after a day")
        self._database_failures = CountedWarning("webhooks", "the outbox cannot be read or written")

    def start(self) -> None:
        """Begin to send."""
        self._run_task = asyncio.create_task(self._run(), name="webhook deliveries")

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def close(self) -> None:
        """Begin no more than what is due now. What is not done in a second is sent again after the start."""
        if self._run_task is None:
            return
        self._run_task.cancel()
        await asyncio.gather(self._run_task, return_exceptions=True)
        with suppress(*NO_CONNECTION):  # A TimeoutError is among them.
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._send_due()
                while self._sending:
                    await asyncio.wait(self._sending)
        late = set(self._sending)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._send_due()
            except NO_CONNECTION as error:
                self._database_failures.add(error=type(error).__name__)
                wait = MAX_WAIT
            except Exception:
                log.exception("the outbox cannot be emptied")
                wait = MAX_WAIT
            await set_within(self._wake, wait)

    async def _send_due(self) -> float:
        """Begin to send what is due, as far as there is room. Returns the seconds until the next look."""
        webhooks = {webhook.id: webhook for webhook in await self._store.list()}
        room, shares = MAX_AT_A_TIME - self._busy.total(), self._shares(webhooks)
        due = await self._store.next_due(list(shares)) if room and shares else None
        now = self._now()
        if due is None or due > now:
            return MAX_WAIT if due is None else min((due - now).total_seconds(), MAX_WAIT)
        claimed = await self._store.claim(shares, room, at=now, until=now + CLAIM_TIME)
        for delivery in claimed:
            self._begin(webhooks[delivery.webhook_id], delivery)
        # Nothing, though something was due: another gateway was faster.
        return 0.0 if claimed else LOST_CLAIM_WAIT

    def _shares(self, webhook_ids: Iterable[str]) -> dict[str, int]:
        """How many more may be sent to each; those first that have the fewest on their way."""
        fewest_first = sorted(webhook_ids, key=self._busy.__getitem__)
        free = {id: MAX_EACH_AT_A_TIME - self._busy[id] for id in fewest_first}
        return {id: share for id, share in free.items() if share > 0}

    def _begin(self, webhook: Webhook, delivery: Delivery) -> None:
        self._busy[webhook.id] += 1
        task = asyncio.create_task(self._send(webhook, delivery), name="webhook delivery")
        self._sending.add(task)
        task.add_done_callback(lambda task: self._end(webhook, task))

    def _end(self, webhook: Webhook, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._busy[webhook.id] -= 1
        if not self._busy[webhook.id]:
            del self._busy[webhook.id]
        self._wake.set()

    async def _send(self, webhook: Webhook, delivery: Delivery) -> None:
        outcome = await send(self._client, webhook, delivery.id, delivery.body, self._now())
        try:
            await self._note(delivery, outcome)
        except NO_CONNECTION as error:
            self._database_failures.add(error=type(error).__name__)

    async def _note(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome.is_success:
            await self._store.finish(delivery.id)
            return
        attempts = delivery.attempts + 1
        next_at = self._now() + retry_delay(attempts, self._chance())
        self._failures.add(webhook=delivery.webhook_id, reason=outcome.reason)
        if next_at > delivery.created_at + GIVE_UP_AFTER:
            self._given_up.add(webhook=delivery.webhook_id, reason=outcome.reason)
            await self._store.finish(delivery.id)
        else:
            await self._store.postpone(delivery.id, attempts, next_at, outcome.reason)
