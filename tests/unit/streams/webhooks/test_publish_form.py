import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.peers.http_server import HttpServer, http_server

from whipway.streams.access.rights import PublishAttempt
from whipway.streams.webhooks.publish_form import CALL_FAILURES, PublishForm, describe_attempt, post_form

pytestmark = pytest.mark.anyio

FORM = PublishForm("one", "live", "192.0.2.7", "5", "rtmp://host:1935/live")
FIXED = ["call", "name", "app", "addr", "clientid", "tcurl"]


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def described(argument: str) -> PublishForm:
    return describe_attempt(PublishAttempt(f"one?{argument}", "rtmp://host/live", "192.0.2.7", None), 5)


@pytest.mark.parametrize(
    "argument", ["addr=1", "NAME=1", "name[]=1", "name%5B0%5D=1", "%20name=1", "call%00x=1", "type", "app="]
)
def test_arguments_never_override_the_form(argument: str) -> None:
    fields = described(f"{argument}&names=1").fields("publish", type="live")
    assert [key for key, _ in fields] == [*FIXED, "type", "names"]
    assert dict(fields)["name"] == "one" and dict(fields)["call"] == "publish"


def test_nor_what_one_call_has_of_its_own() -> None:
    form = described("time=9&bytes_in=9")
    assert form.fields("update_publish", time="1")[-2:] == [("time", "1"), ("bytes_in", "9")]
    assert form.fields("publish_done", bytes_in="2")[-2:] == [("bytes_in", "2"), ("time", "9")]


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("live", "team/one"),
        ("live", "//team/one/?x"),
        ("live/team", "one"),
        ("live/team/", "/one/?x"),
        ("live/team?x", "one"),
    ],
)
def test_a_stream_has_one_form(app: str, name: str) -> None:
    form = describe_attempt(PublishAttempt(name, f"rtmp://host/{app}", "192.0.2.7", None), 1)
    assert (form.app, form.name) == ("live", "team/one")


def test_a_password_in_the_stream_url_stays_here() -> None:
    form = describe_attempt(PublishAttempt("one", "rtmp://me:secret@host/live", "192.0.2.7", None), 1)
    assert form.tcurl == "rtmp://host:1935/live"


async def test_a_form_is_posted(server: HttpServer, client: httpx.AsyncClient) -> None:
    server.status = 204
    url = server.url + "/told?by=whipway"
    assert await post_form(client, url, FORM.fields("publish"), timeout=2.0) == 204
    await post_form(client, url, FORM.fields("publish"), timeout=2.0, bearer="t0ken")
    first, second = server.requests
    assert (first.method, first.path) == ("POST", "/told?by=whipway")
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert first.form == FORM.fields("publish")
    assert "authorization" not in first.headers and second.headers["authorization"] == "Bearer t0ken"


async def test_no_answer_in_time_raises(server: HttpServer, client: httpx.AsyncClient) -> None:
    server.is_open.clear()
    with pytest.raises(TimeoutError):
        await post_form(client, server.url, FORM.fields("publish"), timeout=0.02)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "gopher://127.0.0.1", "http://[", "not a url", ""])
async def test_what_cannot_be_called_raises(client: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(CALL_FAILURES):
        async with asyncio.timeout(2.0):
            await post_form(client, url, FORM.fields("publish"), timeout=2.0)
