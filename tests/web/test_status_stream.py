"""Status events over real HTTP: clients that stay, that leave, and that do not read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.peers.rtmp_client import HOST
from tests.peers.waiting import until
from tests.web.running import RunningGateway
from tests.web.served import ENDPOINT, OFFER, SDP, assert_problem, serving

from whipway.config import AuthSettings, Token
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token
from whipway.web import event_streams
from whipway.web.status_stream import MAX_STREAMS_PER_SESSION

pytestmark = pytest.mark.anyio

EVENTS = {"Accept": "text/event-stream"}


class Running(RunningGateway):
    """A gateway, and a client of it."""

    def __init__(self) -> None:
        super().__init__({"limits.posts_per_minute": "0"})
        self.http = httpx.AsyncClient()

    async def session(self, name: str = "one") -> str:
        """The URL of a new session."""
        url = f"{self.gateway.http_url}{ENDPOINT}?stream_name={name}&stream_url={self.gateway.stream_url}"
        created = await self.http.post(url, content=OFFER, headers=SDP)
        assert created.status_code == 201, created.text
        return str(created.headers["location"])

    @property
    def watched(self) -> Any:
        """The sessions that somebody watches."""
        return self.gateway._parts.sessions._watching._watched  # type: ignore[union-attr]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    running = Running()
    await running.gateway.start()
    async with running.http:
        yield running
    if not running.is_stopped:
        await running.stop()


class Events:
    """What comes of an open stream, event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """Name and data."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                return fields["event"], json.loads(fields["data"])
        raise EOFError

    async def until_end(self) -> Any:
        """The data of the last event."""
        while (event := await self.next())[0] != "end":
            pass
        with pytest.raises(EOFError):
            await self.next()
        return event[1]


async def test_a_session_is_followed_to_its_end(running: Running) -> None:
    session = await running.session()
    async with running.http.stream("GET", f"{session}/status", headers=EVENTS) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert "accept" in response.headers["vary"].lower()
        events = Events(response)
        name, snapshot = await events.next()
        assert (name, snapshot["state"], snapshot["stream_name"]) == ("status", "connecting", "one")
        assert [sink["id"] for sink in snapshot["sinks"]] == ["1"]
        # A change is told, and does not wait for the second to be full.
        added = await running.http.post(
            f"{session}/sink?stream_name=two&stream_url={running.gateway.stream_url}"
        )
        assert added.status_code == 201
        while len((await events.next())[1]["sinks"]) < 2:
            pass
        assert (await running.http.delete(session)).status_code == 200
        last = await events.until_end()
        assert (last["state"], last["reason"]) == ("ended", "deleted")
    await until(lambda: not running.watched)


async def test_a_body_that_nobody_reads_is_in_nobodys_way(running: Running) -> None:
    session = await running.session()
    for name in ("two", "three"):  # On the same connection.
        url = f"{session}/sink?stream_name={name}&stream_url={running.gateway.stream_url}"
        assert (await running.http.post(url, content=b"x" * 300_000)).status_code == 201
    assert len((await running.http.get(f"{session}/sink")).json()) == 3
    assert len(await until(lambda: running.state.connections)) == 1


async def test_an_ended_session_has_a_last_word(running: Running) -> None:
    session = await running.session()
    await running.http.delete(session)
    response = await running.http.get(f"{session}/status", headers=EVENTS)
    assert response.text.count("event: status\n") == response.text.count("event: end\n") == 1


async def test_who_has_had_the_last_word_is_told_to_stay_away(running: Running) -> None:
    """HTML standard, section 9.2.2: after 204, an EventSource connects no more."""
    session = await running.session()
    await running.http.delete(session)
    first = await running.http.get(f"{session}/status", headers=EVENTS)
    assert "id: end\nevent: end\n" in first.text
    again = await running.http.get(f"{session}/status", headers=EVENTS | {"Last-Event-ID": "end"})
    assert (again.status_code, again.content) == (204, b"")
    # Others get what they ask for.
    other = await running.http.get(f"{session}/status", headers=EVENTS | {"Last-Event-ID": "7"})
    assert other.text == first.text
    json_ = await running.http.get(f"{session}/status", headers={"Last-Event-ID": "end"})
    assert json_.json()["state"] == "ended"


async def test_an_address_has_only_so_many_streams(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_STREAMS_PER_ADDRESS", 1)
    first, second = await running.session("one"), await running.session("two")
    async with running.http.stream("GET", f"{first}/status", headers=EVENTS) as response:
        await Events(response).next()
        refused = await running.http.get(f"{second}/status", headers=EVENTS)
        problem = assert_problem(refused, 503, "too_many_streams")
        assert "address" in problem["detail"]


async def test_whoever_asks_for_nothing_gets_json(running: Running) -> None:
    session = await running.session()
    for accept in ("*/*", "application/json, text/event-stream", "text/html"):
        response = await running.http.get(f"{session}/status", headers={"Accept": accept})
        assert response.json()["state"] == "connecting"
        assert "accept" in response.headers["vary"].lower()


async def test_head_has_an_end(running: Running) -> None:
    session = await running.session()
    for accept in ("text/event-stream", "*/*"):
        for _ in range(2):  # On the same connection.
            response = await running.http.head(f"{session}/status", headers={"Accept": accept})
            assert (response.status_code, response.content) == (200, b"")
            is_stream = response.headers["content-type"].startswith("text/event-stream")
            assert is_stream == (accept != "*/*")
    assert not running.watched


async def test_sessions_that_are_not_there(running: Running) -> None:
    url = f"{running.gateway.http_url}{ENDPOINT}/{'A' * 32}/status"
    assert_problem(await running.http.get(url, headers=EVENTS), 404, "session_unknown")


async def test_streams_are_for_those_who_may_look() -> None:
    token, digest = make_token(bytes)
    admission = make_admission(AuthSettings(tokens=[Token(hash=digest, streams=["*"])]))
    async with serving(admission=admission) as served:
        path = await served.session("one", Authorization=f"Bearer {token}")
        for headers in (EVENTS, EVENTS | {"Authorization": "Bearer wrong"}):
            assert_problem(await served.http.get(f"{path}/status", headers=headers), 401, "unauthenticated")


async def test_a_client_that_leaves_is_forgotten(running: Running) -> None:
    session = await running.session()
    async with running.http.stream("GET", f"{session}/status", headers=EVENTS) as response:
        await Events(response).next()
        assert running.watched and running.state.tasks
    # Less than the second after which the next event is due.
    await until(lambda: not running.watched and not running.state.tasks, timeout=0.5)
    assert (await running.http.get(session)).status_code == 204


async def test_a_session_has_only_so_many(running: Running) -> None:
    session = await running.session()
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as http:
        streams = [
            http.stream("GET", f"{session}/status", headers=EVENTS) for _ in range(MAX_STREAMS_PER_SESSION)
        ]
        opened = [await stream.__aenter__() for stream in streams]
        assert {response.status_code for response in opened} == {200}
        refused = await http.get(f"{session}/status", headers=EVENTS)
        assert_problem(refused, 503, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        assert (await http.get(f"{session}/status")).status_code == 200
        for stream in streams:
            await stream.__aexit__(None, None, None)
    await until(lambda: not running.watched)


@pytest.mark.parametrize("reads", [True, False])
async def test_a_stop_does_not_wait(running: Running, reads: bool) -> None:
    session = await running.session()
    path = session.removeprefix(running.gateway.http_url)
    reader, writer = await asyncio.open_connection(HOST, running.gateway.http_port)
    writer.write(f"GET {path}/status HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
    await reader.readuntil(b"event: status")
    if not reads:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    assert await running.stop() < 1.5
    if reads:
        assert b"event: end" in await reader.read()
    writer.close()
    assert not running.watched and not running.state.tasks
