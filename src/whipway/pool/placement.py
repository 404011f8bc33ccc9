"""Which worker a new session goes to: the one with the least to do.

What a worker has to do is what its process uses of a core, or what its bitrate says that it will use, if
that is more: sessions that have just begun are not in the CPU time of the last seconds yet. For those that
have not even begun to send, a guess is added, which is taken back as their seconds pass.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from whipway.worker.vitals import WINDOW

BITRATE_OF_A_CORE = 200_000_000
"""Bits a second that fill one core, about: `make bench`, with AAC for some of the streams."""
SESSION_LOAD = 0.02
"""Of one core: a guess of what a session will use."""


class Load:
    """What one worker has to do."""

    def __init__(self) -> None:
        self.cpu = 0.0
        """Of one core, over the last seconds."""
        self.bitrate = 0.0
        """Bits a second received, over the last seconds."""
        self._placed: dict[str, float] = {}
        """When sessions were that live, by id, the oldest first."""

    def note(self, cpu: float, bitrate: float) -> None:
        """What was measured."""
        self.cpu, self.bitrate = cpu, bitrate

    def place(self, session_id: str, now: float) -> None:
        """One more session comes."""
        self._placed[session_id] = now

    def remove(self, session_id: str) -> None:
        """It is over. Idempotent."""
        self._placed.pop(session_id, None)

    def expect(self, now: float) -> float:
        """Part of a core that it will use, as far as anybody can tell."""
        for session_id in [id for id, at in self._placed.items() if now - at >= WINDOW]:
            del self._placed[session_id]
        coming = sum(1 - (now - at) / WINDOW for at in self._placed.values())
        return max(self.cpu, self.bitrate / BITRATE_OF_A_CORE) + coming * SESSION_LOAD


class Candidate(Protocol):
    """A worker that may be chosen."""

    @property
    def load(self) -> Load: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_quiet(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


def has_room(worker: Candidate, max_load: float, now: float) -> bool:
    """Whether it may be given one more session; `max_load` 0 sets no limit."""
    return worker.is_ready and (not max_load or worker.load.expect(now) < max_load)


def choose(workers: Sequence[C], max_load: float, now: float) -> C | None:
    """The worker for a new session; None: all are full. One that has gone quiet is the last choice."""
    open_ones = [worker for worker in workers if has_room(worker, max_load, now)]
    return min(open_ones, key=lambda worker: (worker.is_quiet, worker.load.expect(now)), default=None)
