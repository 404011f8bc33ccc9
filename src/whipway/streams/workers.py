"""What the directory of sessions wants of the media workers; `pool.WorkerPool` is it."""

from collections.abc import AsyncIterator
from typing import Protocol

from whipway.pool.standing import WorkerStanding
from whipway.worker.messages import CreateSession, Event, Reply, SessionRequest


class Workers(Protocol):
    """Takes requests, tells events, and says how it stands."""

    @property
    def refusal(self) -> str | None:
        """Why there is no room for another session; None: there is."""
        ...

    async def request(self, message: CreateSession | SessionRequest) -> Reply:
        """Have a request carried out by the worker that it concerns."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """What becomes of sessions, until the workers are stopped."""
        ...

    async def describe(self) -> list[WorkerStanding]:
        """How each worker stands, in their order."""
        ...

    def drain(self) -> None:
        """Say that no more sessions are taken."""
        ...
