"""Which worker has a session, and which session has a stream: what the pool needs to send requests the right
way.

A session stays where it was placed. A stream goes out once, whatever session it belongs to, and each worker
sees to that among its own (`worker.claims`); here stands whom to ask first when a session of another worker
is to have it. An entry that is out of date does no harm: who is asked for what it does not have lets it go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whipway.pool.members import Member


@dataclass(slots=True)
class Held:
    """A session that lives."""

    member: Member
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    """How it looked when it was last described; nothing as long as its worker has not taken it."""


class Holdings:
    """The table of sessions, and that of streams by their keys."""

    def __init__(self) -> None:
        self._sessions: dict[str, Held] = {}
        self._streams: dict[str, tuple[str, str]] = {}
        """The session and its sink that a stream was given to last."""

    def find(self, session_id: str) -> Held | None:
        """A session, if it lives."""
        return self._sessions.get(session_id)

    def holder(self, stream_key: str) -> Member | None:
        """The worker whose session was given a stream last."""
        session_id, _ = self._streams.get(stream_key, ("", ""))
        held = self._sessions.get(session_id)
        return held.member if held else None

    def add_session(self, session_id: str, held: Held) -> None:
        """A worker is to take a session."""
        self._sessions[session_id] = held

    def add_stream(self, stream_key: str, session_id: str, sink_id: str) -> None:
        """A session was given a stream."""
        self._streams[stream_key] = (session_id, sink_id)

    def remove_sink(self, session_id: str, sink_id: str) -> None:
        """A sink is no more, and its stream is free."""
        self._drop_streams(lambda holder: holder == (session_id, sink_id))

    def remove_session(self, session_id: str) -> None:
        """A session is over, and its streams are free. Idempotent."""
        held = self._sessions.pop(session_id, None)
        if held is not None:
            held.member.load.remove(session_id)
            self._drop_streams(lambda holder: holder[0] == session_id)

    def of_member(self, member: Member) -> list[tuple[str, Held]]:
        """All sessions of a worker."""
        return [(id, held) for id, held in self._sessions.items() if held.member is member]

    def _drop_streams(self, is_over: Callable[[tuple[str, str]], bool]) -> None:
        for key in [key for key, holder in self._streams.items() if is_over(holder)]:
            del self._streams[key]
