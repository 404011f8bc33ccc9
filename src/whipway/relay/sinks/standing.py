"""Where a sink stands: the steps of its life, and what of them is shown.

    OPENING ──connected──► ASKING ──accepted──► ACCEPTED ──media arrive──► PUBLISHING
       ▲  ▲                  │                     │                          │
       │  └────challenged────┘                     │ any failure              │
       └──────────── WAITING ◄─────────────────────┴──────────────────────────┘

"Publishing" is said only when media are seen to arrive. Until then a sink is "connecting", or "retrying" once
it has failed: one that went back and forth between two words would hide why. The last failure stays as long
as it matters.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any, Final, NamedTuple


class SinkState(StrEnum):
    """What a sink shows of its step; the value is the word of the API."""

    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    RETRYING = "retrying"
    FAILED = "failed"
    CLOSED = "closed"


class Failure(NamedTuple):
    """Why a try came to nothing: one word, and a sentence for people."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SinkChanged:
    """The sink has another state, or tries again. Why it failed last, if that still matters."""

    state: SinkState
    reason: str | None
    detail: str


class Step(Enum):
    """What a sink is at."""

    OPENING = auto()
    """The driver connects."""
    ASKING = auto()
    """The publisher machine talks to the server."""
    ACCEPTED = auto()
    """The server takes media. Nobody knows yet whether they arrive."""
    PUBLISHING = auto()
    WAITING = auto()
    """For the next try."""
    FAILED = auto()
    CLOSED = auto()


ENDS: Final = frozenset({Step.FAILED, Step.CLOSED})
TRANSITIONS: Final[dict[Step, frozenset[Step]]] = {
    Step.OPENING: frozenset({Step.ASKING, Step.WAITING, Step.FAILED, Step.CLOSED}),
    Step.ASKING: frozenset({Step.ACCEPTED, Step.OPENING, Step.WAITING, Step.FAILED, Step.CLOSED}),
    Step.ACCEPTED: frozenset({Step.PUBLISHING, Step.WAITING, Step.FAILED, Step.CLOSED}),
    Step.PUBLISHING: frozenset({Step.WAITING, Step.FAILED, Step.CLOSED}),
    Step.WAITING: frozenset({Step.OPENING, Step.FAILED, Step.CLOSED}),
    Step.FAILED: frozenset(),
    Step.CLOSED: frozenset(),
}
_SHOWN: Final[dict[Step, SinkState]] = {
    Step.PUBLISHING: SinkState.PUBLISHING,
    Step.WAITING: SinkState.RETRYING,
    Step.FAILED: SinkState.FAILED,
    Step.CLOSED: SinkState.CLOSED,
}
"""The others are a try: the first one, or one after a failure."""


class Standing:
    """The step of one sink, and its last failure."""

    def __init__(self) -> None:
        self.step = Step.OPENING
        self.failure: Failure | None = None
        """The last one, until media arrive again."""
        self.publishing_since = 0.0
        """While it is."""
        self.reconnects = 0
        """How often it was publishing again after a failure."""

    @property
    def state(self) -> SinkState:
        """What is shown."""
        trying = SinkState.CONNECTING if self.failure is None else SinkState.RETRYING
        return _SHOWN.get(self.step, trying)

    @property
    def is_over(self) -> bool:
        """Nothing comes after this."""
        return self.step in ENDS

    def enter(self, step: Step, now: float, failure: Failure | None = None) -> list[SinkChanged]:
        """Take a step, after a failure if there was one; what there is to tell about it."""
        assert step in TRANSITIONS[self.step], f"{self.step} to {step}"
        before = self.state
        self.step = step
        if step is Step.PUBLISHING:
            self.publishing_since = now
            self.reconnects += self.failure is not None
            self.failure = None
        elif failure is not None:
            self.failure = failure
        return [self.change()] if self.state is not before else []

    def change(self) -> SinkChanged:
        """The present state, to be told."""
        return SinkChanged(self.state, *self._explained)

    def describe(self, now: float) -> dict[str, Any]:
        """Plain data for the API."""
        publishing = self.step is Step.PUBLISHING
        reason, detail = self._explained
        return {
            "state": self.state.value,
            "reason": reason,
            "detail": detail,
            "reconnects": self.reconnects,
            "publishing_for": seconds(now - self.publishing_since) if publishing else None,
        }

    @property
    def _explained(self) -> tuple[str | None, str]:
        return self.failure or (None, "")


def seconds(duration: float) -> float:
    """A duration as the API has it: milliseconds are fine enough, and never less than nothing."""
    return round(max(0.0, duration), 3)
