"""Everything that changes, as a page or program follows it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.peers.waiting import until
from tests.web.served import Served, assert_problem
from tests.web.v1.api import client, create, published

from whipway import __version__
from whipway.streams.events import MAX_KEPT, MAX_WAITING
from whipway.streams.records import Role
from whipway.web import event_streams
from whipway.web.v1 import events

pytestmark = pytest.mark.anyio

EVENTS = "/v1/events"


class Follower:
    """A client of the application that reads as events come; httpx's own transport reads to the end."""

    def __init__(self, served: Served, headers: dict[str, str]) -> None:
        self.status = 0
        self.text = ""
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_complete = False
        self._left = asyncio.Event()
        self._asked = False
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": EVENTS,
            "raw_path": EVENTS.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("whip.example", 443),
        }
        self.task = asyncio.ensure_future(served.app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        self.is_complete = message["type"] == "http.response.body" and not message.get("more_body")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Those that have come, each with its id and its data."""
        found = []
        for part in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
            if "event" in fields:
                found.append({**fields, "data": json.loads(fields["data"])})
        return found

    @property
    def kinds(self) -> list[str]:
        return [each["event"] for each in self.events]

    async def leave(self) -> None:
        self._left.set()
        await self.task


@asynccontextmanager
async def following(served: Served, last: str | None = None, **headers: str) -> AsyncIterator[Follower]:
    key = {"Authorization": served.admin.headers["authorization"]}
    more = {"Last-Event-ID": last} if last is not None else {}
    follower = Follower(served, key | more | headers)
    await until(lambda: follower.events or follower.task.done())
    try:
        yield follower
    finally:
        await follower.leave()


async def test_hello_first(served: Served) -> None:
    await create(served)
    async with following(served) as follower:
        assert follower.status == 200
        (hello,) = follower.events
        assert hello["event"] == "hello"
        assert hello["data"] == {"version": __version__, "is_resumed": False}


async def test_a_stream_from_first_to_last(served: Served) -> None:
    async with following(served) as follower:
        stream = await create(served)
        with published(served, stream["name"]):
            await until(lambda: "stream.live" in follower.kinds)
        await until(lambda: "stream.ended" in follower.kinds)
        await served.admin.delete(f"/v1/streams/{stream['id']}")
        await until(lambda: "stream.deleted" in follower.kinds)
        assert follower.kinds == ["hello", "stream.created", "stream.live", "stream.ended", "stream.deleted"]
        live = follower.events[2]["data"]
        assert (live["kind"], live["stream"]["state"]) == ("stream.live", "live")
        assert (live["stream"]["id"], live["at"][-1]) == (stream["id"], "Z")
        run, _, number = follower.events[0]["id"].partition("-")
        assert [each["id"] for each in follower.events] == [f"{run}-{int(number) + n}" for n in range(5)]


async def test_what_was_missed_comes_first(served: Served) -> None:
    async with following(served) as follower:
        hello = follower.events[0]["id"]
    await create(served)
    async with following(served, hello) as follower:
        await until(lambda: len(follower.events) == 2)
        assert follower.events[0]["data"]["is_resumed"]
        assert follower.kinds[1] == "stream.created"
        # Whoever loses the connection now has still to get it.
        assert follower.events[0]["id"] == hello
        last = follower.events[1]["id"]
    async with following(served, last) as follower:
        assert follower.kinds == ["hello"]
        assert follower.events[0]["data"]["is_resumed"]


async def test_ids_that_nothing_follows_from(served: Served) -> None:
    async with following(served) as follower:
        run = follower.events[0]["id"].partition("-")[0]
    await create(served)
    for last in ("", "7", "end", "00000000-0", f"{run}-999", f"{run}-{'9' * 5000}", f"{run}-x"):
        async with following(served, last) as follower:
            assert follower.kinds == ["hello"]
            assert not follower.events[0]["data"]["is_resumed"]


async def test_too_much_was_missed(served: Served) -> None:
    async with following(served) as follower:
        hello = follower.events[0]["id"]
    for _ in range(MAX_KEPT + 1):
        served.services.events.tell("stream.changed", {})
    async with following(served, hello) as follower:
        assert not follower.events[0]["data"]["is_resumed"]


async def test_who_does_not_keep_up_is_cut_off(served: Served) -> None:
    async with following(served) as follower:
        follower.reads.clear()
        await create(served)
        for _ in range(MAX_WAITING + 1):
            served.services.events.tell("stream.changed", {})
        follower.reads.set()
        await follower.task
        assert follower.is_complete
        assert 0 < follower.kinds.count("stream.changed") <= MAX_WAITING


async def test_a_key_that_is_revoked_hears_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.02)
    key = (await served.admin.post("/v1/keys", json={"name": "x", "role": "read-only"})).json()
    async with following(served, Authorization=f"Bearer {key['key']}") as follower:
        await until(lambda: ":\n\n" in follower.text)
        assert not follower.task.done()
        await served.admin.delete(f"/v1/keys/{key['id']}")
        await follower.task
        assert follower.is_complete


async def test_who_may_follow(served: Served) -> None:
    for role, status in ((Role.READ_ONLY, 200), (Role.PLAYER, 403)):
        async with await client(served, role) as http:
            assert (await http.head(EVENTS)).status_code == status
            if status == 403:
                assert_problem(await http.get(EVENTS), 403, "forbidden")
    assert_problem(await served.http.get(EVENTS), 401, "unauthenticated")


async def test_a_key_has_only_so_many(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_STREAMS_PER_ADDRESS", 1)
    async with following(served) as follower:
        assert_problem(await served.admin.get(EVENTS), 503, "too_many_streams")
        assert follower.kinds == ["hello"]
    async with following(served) as follower:
        assert follower.kinds == ["hello"]


def test_ids_are_bounded() -> None:
    assert events.MAX_STREAMS_PER_KEY <= event_streams.MAX_STREAMS
