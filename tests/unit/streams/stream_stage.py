"""Streams with everything around them: a real database, real publications and sessions; worker and origin are
only played.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from sqlalchemy.exc import OperationalError
from tests.unit.streams.played_worker import EGRESS, Worker, create

from whipway.streams.access.publish_rules import PublishRules
from whipway.streams.access.rights import NotAllowed, PublishAttempt
from whipway.streams.destinations import Destinations
from whipway.streams.events import EventLog
from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.origin_publications import OriginPublications
from whipway.streams.publications import Publication, Publications
from whipway.streams.publishers import Publishers
from whipway.streams.push_urls import PushUrls
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.session_publications import SessionPublications, make_is_here
from whipway.streams.sessions import SessionDirectory
from whipway.streams.store.database import Database
from whipway.streams.store.stream_rows import StreamStore
from whipway.streams.stream_directory import StreamDirectory
from whipway.worker.messages import AddSink, RemoveSink, SessionChanged, SinkAdded, SinkRemoved

HERE = "rtmp://127.0.0.1:1935/live"
WAIT = 5.0
AWAY = OperationalError("INSERT INTO streams", {"name": "abcde-1"}, Exception("gone"))
"""What SQLAlchemy raises for a database that is away; its message holds what was to be written."""


@dataclass(eq=False)
class Publishing:
    """What the origin tells of one publisher."""

    app: str
    name: str
    query: str = ""
    client: str = "1.2.3.4"
    is_own: bool = False
    bytes_in: int = 0
    bytes_out: int = 0


class PlayedOrigin:
    """Has one publisher for each key, and sends it away when it is told to."""

    def __init__(self, observer: OriginPublications) -> None:
        self.observer = observer
        self.publishing: dict[str, Publishing] = {}
        self.pushes: dict[str, tuple[str, str]] = {}

    def publish(self, name: str, app: str = "live", *, is_own: bool = False) -> Publishing:
        publishing = self.publishing[f"{app}/{name}"] = Publishing(app, name, is_own=is_own)
        self.observer.publish_began(publishing)
        return publishing

    def go_live(self, name: str, app: str = "live", *, is_own: bool = False) -> Publishing:
        publishing = self.publish(name, app, is_own=is_own)
        self.observer.first_frame(publishing)
        return publishing

    def leave(self, name: str, app: str = "live") -> None:
        self.observer.publish_over(self.publishing.pop(f"{app}/{name}"))

    def stop(self, key: str) -> bool:
        if key not in self.publishing or self.publishing[key].is_own:
            return False
        self.observer.publish_over(self.publishing.pop(key))
        return True

    def push(self, key: str, stream_url: str, stream_name: str) -> None:
        self.pushes[key] = (stream_url, stream_name)

    def stop_push(self, key: str) -> None:
        self.pushes.pop(key, None)


class TroubledStore:
    """A store whose database may be away: calls named in `fails` raise, as often as there are errors.

    A call named in `after` is carried out, and its answer is lost. One named in `held` waits for its event,
    before it does anything; `reached` is set meanwhile.
    """

    def __init__(self, store: StreamStore) -> None:
        self.store = store
        self.fails: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.reached = asyncio.Event()
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.store, name)

        async def call(*args: Any, **more: Any) -> Any:
            self.calls.append(name)
            if name in self.held:
                self.reached.set()
                await self.held[name].wait()
            if self.fails.get(name):
                raise self.fails[name].pop(0)
            answer = await method(*args, **more)
            if self.after.get(name):
                raise self.after[name].pop(0)
            return answer

        return call


class Stage:
    """Everything, put together as the gateway does."""

    def __init__(self, database: Database, *, require_known: bool = False, node: str = "this") -> None:
        self.worker = Worker()
        self.worker.snapshot = {"state": "live", "sinks": [{"id": "1", "state": "publishing"}]}
        self.events = EventLog()
        self.told: list[tuple[str, Any]] = []
        self.kinds: list[str] = []
        """Of all events."""
        self.events.listen(self._note)
        self.publications = Publications()
        destinations = Destinations(EGRESS)
        is_here = make_is_here(destinations.key, HERE)
        self.further = FurtherSinks(self.publications, is_here)
        self.rules = PublishRules(self._ask_hook, is_here)
        self.hook_refuses = False
        self.asked_hook: list[str] = []
        self.on_hook: Callable[[], None] = lambda: None
        self.watcher = SessionPublications(self.publications, self.further, self.events, is_here)
        numbers = count(1)
        self.sessions = SessionDirectory(
            self.worker,
            lambda: f"id-{next(numbers)}",
            max_sessions=9,
            takes_over=True,
            egress=EGRESS,
            watcher=self.watcher,
        )
        self.origin = PlayedOrigin(OriginPublications(self.publications, self.further, HERE))
        self.publishers = Publishers(self.publications, self.sessions, self.origin)
        self.pushes = PushUrls(self.sessions, destinations, self.further, self.rules, at_origin=self.origin)
        self.store = TroubledStore(StreamStore(database))
        names = count(1)
        self.streams = StreamDirectory(
            self.store,  # type: ignore[arg-type]
            self.publishers,
            self.pushes,
            self.events,
            new_name=lambda: f"abcde-{next(names)}",
            node=node,
            require_known=require_known,
        )
        self.rules.records = self.streams

    async def _ask_hook(self, attempt: PublishAttempt) -> None:
        self.asked_hook.append(attempt.stream_name)
        self.on_hook()
        if self.hook_refuses:
            raise NotAllowed("the hook says no")

    def _note(self, event: Any) -> None:
        self.kinds.append(event.kind)
        if event.kind.startswith("stream."):
            self.told.append((event.kind.removeprefix("stream."), event.data["stream"]["name"]))

    async def create(self, name: str, url: str = HERE) -> Publication:
        """A WHIP session that has begun."""
        session_id = await create(self.sessions, name, stream_url=url)
        return next(each for each in self.publications.all() if each.session_id == session_id)

    async def go_live(self, name: str, url: str = HERE) -> Publication:
        """A WHIP session whose sink publishes."""
        publication = await self.create(name, url)
        assert publication.session_id is not None
        self.watcher.session_changed(
            SessionChanged(publication.session_id, "live", [{"id": "1", "state": "publishing"}])
        )
        return publication

    async def add_sink(self, session: Publication, name: str, number: str = "2") -> Publication:
        """One more sink of a session, to this server under another name."""
        assert session.session_id is not None
        self.worker.answers[AddSink] = SinkAdded(session.session_id, {"id": number})
        self.worker.answers[RemoveSink] = SinkRemoved(session.session_id, {"id": number})
        await self.sessions.sinks.add(
            session.session_id,
            stream_name=name,
            stream_url=HERE,
            audio="aac",
            audio_bitrate=64_000,
            filler="none",
        )
        return self.publications.of(name)[-1]

    async def follow(self) -> None:
        """Take what the worker tells."""
        self.worker.stop()
        await self.sessions.follow_events()

    async def settle(self) -> None:
        """Wait until everything that has happened is written."""
        async with asyncio.timeout(WAIT):
            while tasks := list(self.streams._going_live._tasks.values()):
                await asyncio.wait(tasks)

    def hold(self, call: str) -> None:
        """From now on the store waits when this is called, until `release`."""
        self.store.reached.clear()
        self.store.held[call] = asyncio.Event()

    async def reached(self) -> None:
        """Wait until the store has been called so."""
        async with asyncio.timeout(WAIT):
            await self.store.reached.wait()

    async def release(self, call: str) -> None:
        """Have the store go on, and wait until all is written."""
        self.store.held.pop(call).set()
        await self.settle()

    async def state(self, name: str) -> StreamState | None:
        record = await self.record(name)
        return record.state if record else None

    async def record(self, name: str) -> StreamRecord | None:
        return await self.store.store.find(name)

    async def history(self, name: str) -> list[tuple[str, str | None]]:
        """The states it has been in, with the reasons."""
        record = await self.record(name)
        assert record is not None
        return [(change.state.value, change.reason) for change in await self.store.store.changes(record.id)]

    def take_told(self) -> list[tuple[str, Any]]:
        told, self.told = self.told, []
        return told


def attempt(name: str, url: str = HERE) -> PublishAttempt:
    return PublishAttempt(name, url, "1.2.3.4", None)
