"""What the pool knows of each of its workers, and the one that runs inside the gateway."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable

from whipway.pool.links import LocalLink
from whipway.pool.placement import Load
from whipway.worker.messages import Event, LoadMeasured, Reply, Request, StopWorker, WorkerEvent
from whipway.worker.worker import Worker

QUIET_TIME = 3.0
"""Seconds. A worker speaks several times a second."""


class Member(ABC):
    """One worker of a pool, which is told of its events and, if it dies, how."""

    def __init__(self, number: int, port: int) -> None:
        self.number = number
        self.port = port
        """Of its media."""
        self.load = Load()
        self.restarts = 0
        """How often it was lost and begun anew."""
        self.lost_sessions = 0
        self.take_event: Callable[[Member, Event], None] = lambda member, event: None
        self.take_loss: Callable[[Member, str], None] = lambda member, detail: None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()

    @property
    @abstractmethod
    def process_id(self) -> int:
        """Of the process it runs in; 0: it is not there just now."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked."""
        return self.process_id != 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was heard of it for longer than usual."""
        return self.quiet_for > QUIET_TIME

    @property
    def quiet_for(self) -> float:
        """Seconds for which nothing was heard of it."""
        return self._loop.time() - self._heard_at

    @abstractmethod
    async def start(self) -> None:
        """Begin. Raises WorkerGone."""

    @abstractmethod
    async def request(self, message: Request) -> Reply:
        """Have a request carried out. Raises WorkerGone, WorkerSilent or RequestFailed."""

    @abstractmethod
    async def stop(self) -> None:
        """End its sessions politely, each with an event, and the worker."""

    def _take(self, event: WorkerEvent) -> None:
        self._heard_at = self._loop.time()
        if isinstance(event, LoadMeasured):
            self.load.note(event.cpu_load, event.bitrate)
        else:
            self.take_event(self, event)


class LocalMember(Member):
    """A worker inside this process; `make_worker` is given where it tells its events."""

    def __init__(self, port: int, make_worker: Callable[[Callable[[WorkerEvent], None]], Worker]) -> None:
        super().__init__(0, port)
        self._link = LocalLink(self._take)
        self.worker = make_worker(self._link.post_event)

    @property
    def process_id(self) -> int:
        return os.getpid()

    @property
    def is_quiet(self) -> bool:
        return False

    async def start(self) -> None:
        await self.worker.start()

    async def request(self, message: Request) -> Reply:
        return await self._link.request(self.worker, message)

    async def stop(self) -> None:
        await self.request(StopWorker())
