"""Streams of status events, over a played directory and a played server; real ones are in `tests/web`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from fastapi import Request
from tests.peers.waiting import until

from whipway.streams.sessions import SessionDirectory, SessionNotFound
from whipway.web import event_streams
from whipway.web.event_streams import MAX_STREAMS, MAX_STREAMS_PER_ADDRESS
from whipway.web.problems import Problem, ProblemKind
from whipway.web.status_stream import (
    MAX_STREAMS_PER_SESSION,
    StatusStreams,
    has_seen_end,
    wants_events,
)

pytestmark = pytest.mark.anyio

Snapshot = Mapping[str, Any]


class PlayedDirectory:
    """Watching a session yields what is put into `snapshots`; None ends it, an error is raised."""

    def __init__(self) -> None:
        self.snapshots: asyncio.Queue[Snapshot | Exception | None] = asyncio.Queue()
        self.watchers = 0

    async def watch(self, _: str) -> AsyncIterator[Snapshot]:
        self.watchers += 1
        try:
            while (snapshot := await self.snapshots.get()) is not None:
                if isinstance(snapshot, Exception):
                    raise snapshot
                yield snapshot
        finally:
            self.watchers -= 1


class Reader:
    """One client, and the server between it and the application."""

    def __init__(self, streams: StatusStreams, session_id: str = "one", client: str = "") -> None:
        self.messages: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.left = asyncio.Event()
        self._has_asked = False
        self._response = streams.response(session_id, client)
        self.task = asyncio.ensure_future(self._response({"type": "http"}, self._receive, self._send))

    @property
    def text(self) -> str:
        return b"".join(each["body"] for each in self.messages[1:]).decode()

    @property
    def is_complete(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", True)

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.messages.append(message)

    async def _receive(self) -> Any:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def directory() -> PlayedDirectory:
    return PlayedDirectory()


@pytest.fixture
def streams(directory: PlayedDirectory) -> StatusStreams:
    return StatusStreams(cast(SessionDirectory, directory))


def event(kind: str, snapshot: Snapshot) -> str:
    return f"event: {kind}\ndata: {json.dumps(snapshot)}\n\n"


# The stream


async def test_a_session_from_first_to_last(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    live, ended = {"state": "live", "name": "M\u00fcnchen\u2028\n"}, {"state": "ended"}
    directory.snapshots.put_nowait(live)
    await until(lambda: len(reader.messages) == 3)
    assert reader.messages[0]["status"] == 200
    headers = dict(reader.messages[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers
    assert (headers[b"cache-control"], headers[b"x-accel-buffering"]) == (b"no-store", b"no")
    assert reader.text == "retry: 2000\n\n" + event("status", live)
    assert streams.count == directory.watchers == 1
    directory.snapshots.put_nowait(ended)
    directory.snapshots.put_nowait(None)
    await reader.task
    assert reader.text.endswith(event("status", ended) + "id: end\n" + event("end", ended))
    assert reader.text.count("id:") == 1
    assert reader.is_complete
    assert streams.count == directory.watchers == 0


async def test_a_client_that_leaves(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    directory.snapshots.put_nowait({})
    await until(lambda: reader.messages)
    reader.left.set()
    await reader.task
    assert not reader.is_complete
    assert streams.count == directory.watchers == 0


async def test_a_client_that_leaves_before_it_reads(
    directory: PlayedDirectory, streams: StatusStreams
) -> None:
    reader = Reader(streams)
    directory.snapshots.put_nowait({})
    await until(lambda: directory.watchers)
    reader.reads.clear()
    reader.left.set()
    await reader.task
    assert streams.count == directory.watchers == 0


async def test_a_server_that_gives_up(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    await until(lambda: directory.watchers)
    reader.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader.task
    assert streams.count == directory.watchers == 0


async def test_nothing_is_kept_for_a_slow_reader(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    directory.snapshots.put_nowait({"number": 0})
    await until(lambda: len(reader.messages) == 3)
    reader.reads.clear()
    for number in range(1, 4):
        directory.snapshots.put_nowait({"number": number})
    await until(lambda: directory.snapshots.qsize() == 2)
    await asyncio.sleep(0)
    # One is on its way; the next is asked for when that is read.
    assert directory.snapshots.qsize() == 2
    reader.reads.set()
    await until(lambda: not directory.snapshots.qsize())
    reader.left.set()
    await reader.task


async def test_a_reader_that_reads_no_more_makes_room(
    directory: PlayedDirectory, streams: StatusStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "STALL_TIMEOUT", 0.01)
    reader = Reader(streams)
    directory.snapshots.put_nowait({})
    await until(lambda: len(reader.messages) == 3)
    reader.reads.clear()
    directory.snapshots.put_nowait({})
    await until(lambda: not streams.count)
    assert directory.watchers == 0 and not reader.task.done()
    # Whoever reads again has the end, not of the session, and may ask anew.
    reader.reads.set()
    await reader.task
    assert reader.is_complete and "event: end" not in reader.text


async def test_a_session_that_nobody_knows(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    directory.snapshots.put_nowait(SessionNotFound("one"))
    with pytest.raises(Problem) as raised:
        await reader.task
    assert raised.value.kind is ProblemKind.SESSION_UNKNOWN
    assert reader.messages == [] and streams.count == 0


async def test_a_session_that_is_lost(directory: PlayedDirectory, streams: StatusStreams) -> None:
    reader = Reader(streams)
    directory.snapshots.put_nowait({"state": "live"})
    directory.snapshots.put_nowait(SessionNotFound("one"))
    await reader.task
    assert reader.is_complete and "event: end" not in reader.text


# Bounds


async def full(streams: StatusStreams, sessions: int, count: int) -> list[Reader]:
    readers = [Reader(streams, f"{number % sessions}") for number in range(count)]
    await until(lambda: streams.count == count)
    return readers


async def stop(readers: list[Reader]) -> None:
    for reader in readers:
        reader.left.set()
        await reader.task


async def refusal(streams: StatusStreams, session_id: str, client: str = "") -> ProblemKind:
    with pytest.raises(Problem) as raised:
        await Reader(streams, session_id, client).task
    return raised.value.kind


async def test_a_session_has_only_so_many(streams: StatusStreams) -> None:
    readers = await full(streams, 1, MAX_STREAMS_PER_SESSION)
    assert await refusal(streams, "0") is ProblemKind.TOO_MANY_STREAMS
    other = Reader(streams, "other")
    await until(lambda: streams.count == MAX_STREAMS_PER_SESSION + 1)
    await stop([readers.pop(), other])
    again = Reader(streams, "0")
    await until(lambda: streams.count == MAX_STREAMS_PER_SESSION)
    await stop([*readers, again])
    assert streams.count == 0


async def test_there_are_only_so_many_in_all(streams: StatusStreams) -> None:
    readers = await full(streams, MAX_STREAMS, MAX_STREAMS)
    assert await refusal(streams, "one more") is ProblemKind.TOO_MANY_STREAMS
    await stop(readers)
    assert streams.count == 0


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"),
    ],
)
async def test_an_address_has_only_so_many(
    streams: StatusStreams, address: str, same: str, other: str
) -> None:
    readers = [Reader(streams, f"{number}", address) for number in range(MAX_STREAMS_PER_ADDRESS)]
    await until(lambda: streams.count == MAX_STREAMS_PER_ADDRESS)
    assert await refusal(streams, "one more", same) is ProblemKind.TOO_MANY_STREAMS
    more = [Reader(streams, "one more", other), Reader(streams, "one more")]  # Whose address nobody knows.
    await until(lambda: streams.count == MAX_STREAMS_PER_ADDRESS + 2)
    await stop([readers.pop()])
    again = Reader(streams, "one more", same)
    await until(lambda: streams.count == MAX_STREAMS_PER_ADDRESS + 2)
    await stop([*readers, *more, again])
    assert streams.count == 0 and not streams._by_address


# Who wants one


def request(*accept: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept", each.encode()) for each in accept]})


@pytest.mark.parametrize(
    "accept",
    [
        ("text/event-stream",),
        ("Text/Event-Stream; q=0.9",),
        ("text/html, text/event-stream, application/json",),
        ("*/*", "text/event-stream"),
    ],
)
def test_who_wants_events(accept: tuple[str, ...]) -> None:
    assert wants_events(request(*accept))


@pytest.mark.parametrize(
    "accept",
    [
        (),
        ("",),
        ("*/*",),
        ("text/*",),
        ("text/html",),
        ("application/json",),
        ("application/json, text/event-stream",),
        ("text/event-stream text/event-stream",),
    ],
)
def test_who_wants_json(accept: tuple[str, ...]) -> None:
    assert not wants_events(request(*accept))


@pytest.mark.parametrize(("last", "seen"), [(None, False), ("", False), ("7", False), ("end", True)])
def test_who_has_seen_the_end(last: str | None, seen: bool) -> None:
    headers = [] if last is None else [(b"last-event-id", last.encode())]
    assert has_seen_end(Request({"type": "http", "headers": headers})) is seen
