"""Who may publish at the origin: its own server's sinks, and whoever is let in.

A sink of this server is known by a secret of this run, which it sends with its connect command: its publisher
was asked when the WHIP session began. About everybody else the `Doorkeeper` asks whoever it was given, one
task for each question. Without anybody to ask, all may publish. Questions are limited, also those of one
address, so that nobody keeps others from being asked about.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import structlog

from whipway.hosts import address_group
from whipway.origin.places import Quota

MAX_ASKING = 100
"""Publishers that are asked about at a time. Each holds a task, up to 1 MiB of media, and perhaps a call."""
MAX_ASKING_PER_ADDRESS = 25
"""Of one client's address: a venue behind it comes back after an outage with all its encoders."""
ASK_TIMEOUT = 10.0
"""Seconds for one question. Who answers has shorter limits; this one holds if they do not."""

log = structlog.get_logger("origin")


@dataclass(frozen=True, slots=True)
class PublishClaim:
    """Somebody wants rtmp://…/APP/NAME?QUERY. `query` as it was sent, `client` an IP address as text."""

    app: str
    name: str
    query: str
    client: str


class Refusal(Protocol):
    """Why somebody may not publish."""

    @property
    def detail(self) -> str:
        """A sentence for the publisher."""
        ...

    @property
    def is_final(self) -> bool:
        """Whether the answer will be the same later."""
        ...


@dataclass(frozen=True, slots=True)
class OwnRefusal:
    """A refusal that nobody was asked for."""

    detail: str
    is_final: bool = False


Authorize: TypeAlias = Callable[[PublishClaim], Awaitable[Refusal | None]]
"""Answers None for yes."""
Answer: TypeAlias = Callable[[Refusal | None], None]


class Doorkeeper:
    """Knows the own sinks, and asks about others."""

    def __init__(self, authorize: Authorize | None = None, own_pass: str = "") -> None:
        self._authorize = authorize
        self._own_pass = own_pass.encode()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quota = Quota(MAX_ASKING, MAX_ASKING_PER_ADDRESS)

    @property
    def is_open(self) -> bool:
        """Whether nobody has to be asked about."""
        return self._authorize is None

    def knows(self, word: str) -> bool:
        """Whether a publisher that says this is a sink of this server."""
        # In constant time: one character after the other could be guessed otherwise.
        return bool(self._own_pass) and hmac.compare_digest(word.encode(errors="replace"), self._own_pass)

    def ask(self, claim: PublishClaim, answer: Answer) -> asyncio.Task[None] | None:
        """Ask about a claim; `answer` is called with what comes back, unless the task is cancelled.

        None: there are as many questions as there may be, in all or from that address.
        """
        group = address_group(claim.client)
        if not self._quota.take(group):
            return None
        task = asyncio.get_running_loop().create_task(self._ask(claim, answer), name="publish claim")
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._forget(task, group))
        return task

    async def settle(self) -> None:
        """Wait until tasks that were cancelled are gone."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None], group: str) -> None:
        self._tasks.discard(task)
        self._quota.give_back(group)

    async def _ask(self, claim: PublishClaim, answer: Answer) -> None:
        assert self._authorize is not None
        refusal: Refusal | None
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                refusal = await self._authorize(claim)
        except TimeoutError:
            refusal = OwnRefusal("Whether this may be published could not be found out in time")
        except Exception as error:
            log.error("publisher not judged", exc_info=error)
            refusal = OwnRefusal("This is a bug in the server; its log says more", is_final=True)
        answer(refusal)
