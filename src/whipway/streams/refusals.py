"""How the directory of sessions says no, and that something is not there."""

from whipway.worker.messages import SessionEnded


class SessionNotFound(Exception):
    """No session has this id, now or lately."""


class SessionOver(Exception):
    """The session has ended already. Holds its last words."""

    def __init__(self, ended: SessionEnded) -> None:
        super().__init__(ended.reason)
        self.ended = ended


class SessionNotCreated(Exception):
    """There is no new session. `kind`: what the worker says ("malformed", "unsupported", "busy"), or
    "egress": not to that URL; "full": no more of them; "crowded": not from that address; "draining": not any
    more.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class IceRefused(Exception):
    """A session's ICE was not updated. `kind` is "malformed" or "stale"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class SinkNotFound(Exception):
    """The session has no sink of this id (any more)."""


class SinkNotAdded(Exception):
    """There is no new sink. `kind`: "busy": somebody publishes that stream; "full": no more in a session."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class InputNotFound(Exception):
    """The session has no input of this mid."""


class LayerNotFound(Exception):
    """The input on air has no layer of this rid."""
