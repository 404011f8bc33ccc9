"""What is kept of streams, keys, webhooks and the organisation: plain values, whatever database holds them.

Times are aware `datetime`s in UTC.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


def utc_now() -> datetime:
    """Now, as records have it: to the millisecond, which is what databases keep."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class StreamState(StrEnum):
    """Where a stream stands; the value is the word of both APIs.

    CREATED ──► LIVE ◄──► ENDED        LOCKED: nobody may publish it. DELETED: for good.
       └──────────┴─► LOCKED ◄─┘
    """

    CREATED = "created"
    """Never been live."""
    LIVE = "live"
    ENDED = "ended"
    """Was live. It is live again as soon as somebody publishes it."""
    LOCKED = "locked"
    DELETED = "deleted"


PRESENT = frozenset(StreamState) - {StreamState.DELETED}
"""What a list shows that asks for nothing else."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One stream. `name` is what it is published and played by; `id` is a UUID and never changes."""

    id: str
    name: str
    state: StreamState
    tags: tuple[str, ...]
    is_assigned: bool
    """The service made the name. Otherwise somebody published under a name that nobody had created."""
    created_at: datetime
    updated_at: datetime
    live_at: datetime | None = None
    """The last time it began to be live; so with the others."""
    ended_at: datetime | None = None
    locked_at: datetime | None = None
    deleted_at: datetime | None = None
    reason: str | None = None
    """Why it ended the last time: a session's reason, "unpublished", "stopped", "locked", "deleted",
    "restart"."""
    push_url: str | None = None
    """RTMP URL with the stream's name there as its last part; may hold a key."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A stream has entered a state."""

    state: StreamState
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Which streams a list is of, newest first."""

    states: Collection[StreamState] = PRESENT
    tags: Sequence[str] = ()
    """All of these."""
    text: str = ""
    """Part of the name, whatever its case; or the whole id."""
    limit: int = 50
    offset: int = 0


class Role(StrEnum):
    """What the holder of a key may do; `roles` says it in detail."""

    ADMIN = "admin"
    USER = "user"
    READ_ONLY = "read-only"
    PLAYER = "player"
    """List streams by tag, and nothing else."""
    PUBLISHER = "publisher"
    """Publish one stream, and nothing else."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key, of which only the hash is kept."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    """About: written at most once a minute."""
    stream_id: str | None = None
    """Of a publisher."""

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whose streams these are; there is one. `hash` begins each name that the service makes."""

    id: str
    name: str
    hash: str
    webhook: str | None
    """Is asked before each publish, and told of its course (`publish_hooks`)."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that is told of events, with the secret that signs what it gets.

    `events`: patterns such as "stream.*"; "*" for all.
    """

    id: str
    url: str
    secret: str
    events: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook. `body` is what is signed and sent, on every try the same."""

    id: str
    webhook_id: str
    event: str
    body: str
    attempts: int
    next_at: datetime
    created_at: datetime
    last_error: str | None = None
