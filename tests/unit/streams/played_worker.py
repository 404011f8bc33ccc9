"""A pool of media workers that is only played, and what tests of the directory do with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from typing import Any

from whipway.pool.standing import WorkerStanding
from whipway.streams.sessions import SessionDirectory
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    CreateSession,
    DescribeSession,
    EndSession,
    Event,
    IceNotUpdated,
    IceUpdated,
    Reply,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SessionRequest,
    UnknownSession,
    UpdateIce,
    WorkerDescribed,
)


class Worker:
    """In the place of the pool: keeps ids and says what it is told to say."""

    def __init__(self) -> None:
        self.sessions: dict[str, CreateSession] = {}
        self.refuses: SessionRefused | None = None
        self.breaks: BaseException | None = None
        self.updates: list[UpdateIce] = []
        self.asked: list[SessionRequest] = []
        self.answers: dict[type[SessionRequest], Reply] = {}
        """Instead of what it would say."""
        self.snapshot: dict[str, Any] = {"state": "live"}
        self.refusal: str | None = None
        self.is_draining = False
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def request(self, message: CreateSession | SessionRequest) -> Reply:
        if self.breaks is not None:
            raise self.breaks
        if isinstance(message, CreateSession):
            return self._create(message)
        if message.session_id not in self.sessions:
            return UnknownSession(message.session_id)
        self.asked.append(message)
        if type(message) in self.answers:
            return self.answers[type(message)]
        if isinstance(message, DescribeSession):
            return SessionDescribed(message.session_id, dict(self.snapshot))
        if isinstance(message, UpdateIce):
            return self._update(message)
        assert isinstance(message, EndSession)
        del self.sessions[message.session_id]
        return SessionEnded(message.session_id, message.reason, "", {"state": "ended"})

    def _create(self, message: CreateSession) -> Reply:
        if self.refuses is not None:
            return self.refuses
        for other in [each for each in self.sessions.values() if each.stream_key == message.stream_key]:
            if not message.takes_over:
                return SessionRefused(message.session_id, "busy", "it is alive")
            del self.sessions[other.session_id]
            self._events.put_nowait(SessionEnded(other.session_id, "replaced", "", {"state": "ended"}))
        self.sessions[message.session_id] = message
        return SessionCreated(message.session_id, "answer", "tag-1")

    def _update(self, message: UpdateIce) -> Reply:
        self.updates.append(message)
        if "tag-1" not in message.if_match:
            return IceNotUpdated(message.session_id, "stale", "no tag is the current one")
        return IceUpdated(message.session_id, "tag-2", "fragment")

    def drain(self) -> None:
        self.is_draining = True

    async def describe(self) -> list[WorkerStanding]:
        state = "draining" if self.is_draining else "running"
        described = WorkerDescribed({"unknown_address": 3}, len(self.sessions), {}, 0.0, 0.0, 0.0, 0.0)
        return [WorkerStanding(0, state, 1, 8200, 0, 0, described)]

    def lose(self, session_id: str, detail: str = "nothing came") -> None:
        """Let a session end by itself."""
        self.sessions.pop(session_id, None)
        self._events.put_nowait(SessionEnded(session_id, "silence", detail, {"state": "ended"}))

    def change(self, session_id: str, state: str = "live", sinks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Say that something is new."""
        self._events.put_nowait(SessionChanged(session_id, state, list(sinks)))

    def stop(self) -> None:
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event


async def resolve(host: str, port: int) -> list[str]:
    return ["8.8.8.8"]


EGRESS = EgressPolicy(resolve=resolve)


names = count(1)


async def create(directory: SessionDirectory, name: str | None = None, **more: Any) -> str:
    """The id of a new session, by default one of a stream of its own."""
    created = await directory.create(
        offer="offer",
        stream_name=name or f"stream-{next(names)}",
        audio="auto",
        audio_bitrate=64_000,
        filler="none",
        **{"stream_url": "rtmp://host/live"} | more,
    )
    assert (created.answer, created.etag) == ("answer", "tag-1")
    return created.session_id


async def follow(directory: SessionDirectory, worker: Worker) -> None:
    """Take all the events there are."""
    worker.stop()
    await directory.follow_events()
