"""What a `WhipClient` needs on any transport: the loop's clock and a timer."""

import asyncio
from abc import ABC, abstractmethod
from typing import Self

from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient


class DrivenClient(ABC):
    """Drives a client machine; tests call its methods and then `flush`, which depends on the transport."""

    def __init__(self, machine: WhipClient) -> None:
        self.machine = machine
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def connected(self) -> Self:
        """Wait for the end of the handshake."""
        await until(lambda: self.machine.srtp)
        return self

    def run(self) -> None:
        """Do what is due, now and from now on."""
        now = self._loop.time()
        self.machine.handle_timeout(now)
        self.flush()
        deadline = self.machine.deadline(now)
        self._timer = None if deadline is None else self._loop.call_at(deadline, self.run)

    @abstractmethod
    def flush(self) -> None:
        """Send what the machine has to send."""

    def close(self) -> None:
        """Vanish without a word."""
        if self._timer is not None:
            self._timer.cancel()
