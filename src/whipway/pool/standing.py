"""How a media worker stands, for whoever shows it."""

from dataclasses import dataclass

from whipway.worker.messages import WorkerDescribed

WORKER_LOST = "worker_lost"
"""Why a session is over whose worker died."""


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    """One worker of the pool."""

    number: int
    """From 0 on."""
    state: str
    """"starting", also after it was lost; "running"; or "draining": the server takes no new sessions. One
    that runs and is not described does not answer."""
    process_id: int
    """Of the process it runs in; 0 while there is none."""
    port: int
    """Of UDP, and of TCP if it takes that: what the machine has bound."""
    restarts: int
    """How often it was lost and started anew."""
    lost_sessions: int
    """That ended because it was lost."""
    described: WorkerDescribed | None
    """What it says of itself; None while it cannot be asked."""
