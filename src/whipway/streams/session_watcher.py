"""Who follows what becomes of sessions."""

from collections.abc import Mapping
from typing import Any, Protocol

from whipway.streams.publications import Remove
from whipway.worker.messages import SessionChanged, SessionEnded


class SessionWatcher(Protocol):
    """Called in the middle of other work: it must not wait."""

    def session_created(self, session_id: str, *, stream_name: str, stream_url: str, client: str) -> None:
        """There is a new one; name and URL as the publisher gave them, which may hold secrets."""
        ...

    def session_changed(self, event: SessionChanged) -> None:
        """One is in another state, or one of its sinks is."""
        ...

    def session_ended(self, event: SessionEnded) -> None:
        """One is over, or its worker knows it no more. Comes once for each that was created."""
        ...

    def sink_added(
        self, session_id: str, sink_id: str, *, stream_name: str, stream_url: str, remove: Remove
    ) -> None:
        """One was given a further sink, which `remove` takes away."""
        ...

    def sink_removed(self, session_id: str, sink: Mapping[str, Any]) -> None:
        """A sink was taken away; how it was at last."""
        ...


class NobodyWatches:
    """Takes no notice."""

    def session_created(self, session_id: str, *, stream_name: str, stream_url: str, client: str) -> None:
        """Nothing."""

    def session_changed(self, event: SessionChanged) -> None:
        """Nothing."""

    def session_ended(self, event: SessionEnded) -> None:
        """Nothing."""

    def sink_added(
        self, session_id: str, sink_id: str, *, stream_name: str, stream_url: str, remove: Remove
    ) -> None:
        """Nothing."""

    def sink_removed(self, session_id: str, sink: Mapping[str, Any]) -> None:
        """Nothing."""
