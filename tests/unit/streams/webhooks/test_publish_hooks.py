import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.peers.http_server import HttpServer, http_server
from tests.peers.waiting import until

from whipway.streams.access.rights import NotAllowed, PublishAttempt
from whipway.streams.publications import Publication, Publications
from whipway.streams.webhooks import publish_hooks as module
from whipway.streams.webhooks.http_client import make_http_client
from whipway.streams.webhooks.publish_hooks import PublishHooks

pytestmark = pytest.mark.anyio

CLIENT = "192.0.2.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Hooked:
    """Hooks with a server that they call, and publications that they listen to."""

    def __init__(self, server: HttpServer, client: httpx.AsyncClient) -> None:
        self.server = server
        self.url: str | None = server.url + "/hook?secret"
        self.clock = Clock()
        self.publications = Publications(self.clock)
        self.hooks = PublishHooks(client, lambda: self.url, self.clock)
        self.hooks.listen(self.publications)

    async def ask(self, name: str = "one?room=7&time=0", url: str = "rtmp://host/live") -> None:
        await self.hooks.ask(PublishAttempt(name, url, CLIENT, "t0ken"))

    def begin(self, name: str = "one", app: str = "live", **changed: Any) -> Publication:
        known: dict[str, Any] = {"client": CLIENT, "stream_url": "rtmp://me:pw@host/live", "is_here": True}
        return self.publications.begin("rtmp", app=app, stream_name=f"{name}?token=x", **known | changed)

    def calls(self) -> list[str]:
        return [dict(request.form)["call"] for request in self.server.requests]

    def forms(self, call: str) -> list[dict[str, str]]:
        forms = (dict(request.form) for request in self.server.requests)
        return [form for form in forms if form["call"] == call]


@asynccontextmanager
async def hooked() -> AsyncIterator[Hooked]:
    async with http_server() as server, make_http_client() as client:
        it = Hooked(server, client)
        yield it
        await it.hooks.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPDATE_INTERVAL", 0.01)
    monkeypatch.setattr(module, "DONE_RETRIES", (0.0, 0.0))


async def test_the_course_of_a_publish(quick: None) -> None:
    async with hooked() as it:
        await it.ask()
        publication = it.begin()
        it.clock.now += 61.5
        await until(lambda: "update_publish" in it.calls())
        it.publications.first_frame(publication)
        it.clock.now += 2.25
        await until(lambda: it.forms("update_publish")[-1]["timestamp"] != "0")
        it.publications.over(publication, "unpublished", 12, 34)
        await until(lambda: "publish_done" in it.calls())
    assert it.server.requests[0].path == "/hook?secret"
    assert it.calls()[0] == "publish" and it.calls().count("publish_done") == 1
    assert it.calls()[-1] == "publish_done"
    (publish,), (*_, update), (done,) = (
        it.forms(call) for call in ("publish", "update_publish", "publish_done")
    )
    common = {"name": "one", "app": "live", "addr": CLIENT, "clientid": "1", "room": "7"}
    common["tcurl"] = "rtmp://host:1935/live"
    assert publish == common | {"call": "publish", "type": "live", "time": "0"}
    assert it.forms("update_publish")[0]["time"] == "61"
    # The publisher's own `time` gives way.
    assert update == common | {"call": "update_publish", "time": "63", "timestamp": "2250"}
    assert done == common | {"call": "publish_done", "bytes_in": "12", "bytes_out": "34", "time": "0"}
    assert all("authorization" not in request.headers for request in it.server.requests)


@pytest.mark.parametrize("status", [201, 302, 403, 500])
async def test_only_200_allows(status: int) -> None:
    async with hooked() as it:
        it.server.status, it.server.headers = status, {"Location": it.server.url}
        with pytest.raises(NotAllowed, match=str(status)) as caught:
            await it.ask()
    assert not caught.value.wants_scope
    assert it.calls() == ["publish"]


async def test_no_answer_is_no() -> None:
    async with hooked() as it:
        it.url = "http://127.0.0.1:1/?secret"
        with capture_logs() as logs, pytest.raises(NotAllowed, match="does not answer"):
            await it.ask()
    assert [entry["event"] for entry in logs] == ["the organisation's webhook does not answer"]
    assert "secret" not in str(logs)


async def test_without_a_url_nobody_is_asked_or_told(quick: None) -> None:
    async with hooked() as it:
        it.url = None
        await it.ask()
        it.publications.over(it.begin(), "unpublished")
    assert it.calls() == []


async def test_a_url_that_is_set_later_is_told_what_it_would_have_been_asked(quick: None) -> None:
    async with hooked() as it:
        url, it.url = it.url, None
        await it.ask()
        publication = it.begin()
        it.url = url
        await until(lambda: "update_publish" in it.calls())
        it.publications.over(publication, "unpublished")
    assert it.forms("publish_done")[0]["room"] == "7"


async def test_what_never_begins_is_not_told_of(quick: None) -> None:
    async with hooked() as it:
        await it.ask()
    assert it.calls() == ["publish"]


async def test_each_publish_has_a_client_id_of_its_own(quick: None) -> None:
    async with hooked() as it:
        await it.ask("one?n=1")
        first = it.begin()
        await it.ask("team/two?n=2")
        await it.ask("one?n=3")
        third, second = it.begin(), it.begin("two", "live/team")
        for publication in (first, second, third):
            it.publications.over(publication, "unpublished")
        await until(lambda: len(it.forms("publish_done")) == 3)
    asked = {form["clientid"]: form["n"] for form in it.forms("publish")}
    told = {form["clientid"]: form["n"] for form in it.forms("publish_done")}
    assert asked == told == {"1": "1", "2": "2", "3": "3"}


@pytest.mark.parametrize(
    ("stream_url", "tc_url"), [("rtmp://me:pw@host/live", "rtmp://host:1935/live"), ("no url", "")]
)
async def test_a_publish_that_nobody_asked_about(quick: None, stream_url: str, tc_url: str) -> None:
    async with hooked() as it:
        await it.ask("another")
        it.publications.over(it.begin(stream_url=stream_url), "unpublished")
    (done,) = it.forms("publish_done")
    assert (done["name"], done["app"], done["clientid"], done["tcurl"]) == ("one", "live", "2", tc_url)
    # Its arguments may hold a token.
    assert "token" not in done and "pw" not in str(done)


async def test_somebody_elses_permission_is_not_taken() -> None:
    async with hooked() as it:
        await it.ask()
        it.publications.over(it.begin(client="192.0.2.8"), "unpublished")
        it.publications.over(it.begin(), "unpublished")
    assert [form.get("room") for form in it.forms("publish_done")] == [None, "7"]


async def test_permissions_that_are_not_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ALLOWED", 2)
    async with hooked() as it:
        for name in ("one?n=1", "two?n=2", "three?n=3"):
            await it.ask(name)
        it.publications.over(it.begin("one"), "unpublished")
        it.publications.over(it.begin("two"), "unpublished")
    assert [form.get("n") for form in it.forms("publish_done")] == [None, "2"]


async def test_the_end_is_told_three_times_at_most(quick: None) -> None:
    async with hooked() as it:
        it.server.status = 500
        with capture_logs() as logs:
            it.publications.over(it.begin(), "unpublished")
            await until(lambda: it.calls().count("publish_done") == 3)
    assert it.calls() == ["publish_done"] * 3
    assert logs[0]["event"] == "the organisation's webhook was not told" and logs[0]["status"] == 500


async def test_updates_that_fail_end_nothing(quick: None) -> None:
    async with hooked() as it:
        url, it.url = it.url, "http://127.0.0.1:1/?secret"
        with capture_logs() as logs:
            publication = it.begin()
            await until(lambda: logs)
        it.url = url
        await until(lambda: "update_publish" in it.calls())
        assert not publication.is_over
    assert logs[0]["error"] == "ConnectError" and "secret" not in str(logs)


async def test_closing_tells_every_end() -> None:
    async with hooked() as it:
        publications = [it.begin(), it.begin("two")]
        await it.hooks.close()
        assert sorted(form["name"] for form in it.forms("publish_done")) == ["one", "two"]
        for publication in publications:
            it.publications.over(publication, "shutdown")
    assert len(it.server.requests) == 2


async def test_closing_waits_for_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    async with hooked() as it:
        it.server.is_open.clear()
        it.publications.over(it.begin(), "unpublished")
        await until(lambda: it.calls() == ["publish_done"])
        async with asyncio.timeout(1.5):
            await it.hooks.close()
        assert not it.hooks._tasks


async def test_reports_leave_room_for_who_waits(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    async with hooked() as it:
        it.server.is_open.clear()
        for number in range(module.MAX_REPORTS + 5):
            it.publications.over(it.begin(f"s{number}"), "unpublished")
        await until(lambda: len(it.server.requests) == module.MAX_REPORTS)
        asking = asyncio.create_task(it.ask("one"))
        await until(lambda: it.forms("publish"))
        assert it.calls().count("publish_done") == module.MAX_REPORTS
        it.server.is_open.set()
        await asking
