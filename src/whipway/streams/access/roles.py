"""What each role may do. Both APIs and the dashboard go by this one table."""

from enum import Enum, auto

from whipway.streams.records import Role


class Right(Enum):
    """What a request needs."""

    LIST_BY_TAG = auto()
    """Streams, with at least one tag in the filter."""
    VIEW = auto()
    """Streams, sessions, sinks, pictures, figures, workers, the organisation's name."""
    EDIT = auto()
    """Create streams, set tags and push URLs; sinks, inputs, quality, key frames; tokens for publishers."""
    CONTROL = auto()
    """Stop, lock, unlock and delete streams; end sessions."""
    MANAGE = auto()
    """Keys, webhooks, the organisation."""


_ALL = frozenset(Right)
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ADMIN: _ALL,
    Role.USER: _ALL - {Right.CONTROL, Right.MANAGE},
    Role.READ_ONLY: frozenset({Right.LIST_BY_TAG, Right.VIEW}),
    Role.PLAYER: frozenset({Right.LIST_BY_TAG}),
    Role.PUBLISHER: frozenset(),
}


def may(role: Role, right: Right) -> bool:
    """Whether a role has a right."""
    return right in RIGHTS[role]
