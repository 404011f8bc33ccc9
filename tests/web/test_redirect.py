"""Overload (RFC 9725, section 4.5): who is turned away, for how long, and who is sent to another server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.web.served import ENDPOINT, QUERY, TARGET, Served, assert_problem, serving

from whipway.config import Settings
from whipway.worker.messages import SessionRefused

pytestmark = pytest.mark.anyio

OTHER = "https://other.example/node"
REDIRECTING = Settings.model_validate({"http": {"redirect_url": f"{OTHER}/"}, "session": {"max_sessions": 1}})


@pytest.fixture
async def full(anyio_backend: object) -> AsyncIterator[Served]:
    """A server with room for one session, and that one."""
    async with serving(Settings.model_validate({"session": {"max_sessions": 1}})) as served:
        await served.session("two")
        yield served


def assert_wait(seconds: str) -> None:
    assert seconds.isdecimal() and 2 <= int(seconds) <= 10


# Turned away


async def test_a_full_server(full: Served) -> None:
    response = await full.post()
    assert_problem(response, 503, "server_full")
    assert_wait(response.headers["retry-after"])


async def test_clients_do_not_come_back_together(full: Served) -> None:
    waits = {(await full.post()).headers["retry-after"] for _ in range(40)}
    assert len(waits) > 1


async def test_a_server_about_to_stop(served: Served) -> None:
    path = await served.session("two")
    served.directory.drain()
    response = await served.post()
    assert_problem(response, 503, "draining")
    assert_wait(response.headers["retry-after"])
    # Those that are there go on.
    assert (await served.http.get(path)).status_code == 204


@pytest.mark.parametrize(
    ("settings", "query", "status"),
    [(Settings(), QUERY, 503), (REDIRECTING, QUERY, 307), (REDIRECTING, f"{QUERY}&redirected=1", 503)],
    ids=["nowhere to send it", "another server", "sent on already"],
)
async def test_a_worker_about_to_stop(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, query: str, status: int
) -> None:
    async def refuse(_: object) -> SessionRefused:
        return SessionRefused("", "draining", "not any more")

    async with serving(settings) as served:
        with monkeypatch.context() as patched:
            patched.setattr(served.pool, "request", refuse)
            response = await served.post(query)
    if status == 503:
        assert_problem(response, 503, "draining")
        assert_wait(response.headers["retry-after"])
    assert response.status_code == status


async def test_too_many_sessions_from_one_address() -> None:
    async with serving(Settings.model_validate({"limits": {"sessions_per_address": 2}})) as served:
        await served.session("one")
        path = await served.session("two")
        response = await served.post(f"stream_name=three&stream_url={TARGET}")
        assert_problem(response, 429, "too_many_sessions")
        assert_wait(response.headers["retry-after"])
        await served.http.delete(path)
        await served.session("three")
        served.http = served.client(address="192.0.2.7")
        await served.session("four")


async def test_an_address_that_is_not_sent_to(served: Served) -> None:
    for host in ("10.0.0.7", "private.example", "169.254.169.254"):
        response = await served.post(f"stream_name=one&stream_url=rtmp://{host}/live")
        problem = assert_problem(response, 403, "egress_refused")
        assert "egress.allow" in problem["detail"]
        assert "www-authenticate" not in response.headers
    assert served.is_empty


@pytest.mark.parametrize("host", ["public.example", "8.8.8.8", "unknown.example"])
async def test_what_may_be_sent_to(served: Served, host: str) -> None:
    assert (await served.post(f"stream_name=one&stream_url=rtmp://{host}/live")).status_code == 201


async def test_egress_is_judged_with_the_settings() -> None:
    async with serving(Settings.model_validate({"egress": {"allow": ["private.example"]}})) as served:
        assert (
            await served.post("stream_name=one&stream_url=rtmp://private.example/live")
        ).status_code == 201
        assert_problem(await served.post(), 403, "egress_refused")


# Sent on


@pytest.mark.parametrize("reason", ["full", "draining"])
async def test_another_server_is_named(reason: str) -> None:
    async with serving(REDIRECTING) as served:
        await served.session("two")
        if reason == "draining":
            served.directory.drain()
        response = await served.post(f"{QUERY}?passcode=a+b%C3%A9&x", Authorization="Bearer secret")
        assert response.status_code == 307
        expected = f"{OTHER}{ENDPOINT}?{QUERY}?passcode=a+b%C3%A9&x&redirected=1"
        assert response.headers["location"] == expected
        assert response.content == b"" and "etag" not in response.headers
        assert "secret" not in str(response.headers)
        assert served.directory.live_count == 1


async def test_nobody_is_sent_on_twice() -> None:
    async with serving(REDIRECTING) as served:
        served.directory.drain()
        response = await served.post(f"{QUERY}&redirected=1")
        assert_problem(response, 503, "draining")
        assert_wait(response.headers["retry-after"])


@pytest.mark.parametrize(
    ("kind", "status"),
    [("busy", 409), ("malformed", 400), ("unsupported", 422), ("crowded", 429), ("egress", 403)],
)
async def test_other_refusals_are_answered_here(
    kind: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(REDIRECTING) as served:

        async def refuse(_: object) -> SessionRefused:
            return SessionRefused("", kind, "no")

        with monkeypatch.context() as patched:
            patched.setattr(served.pool, "request", refuse)
            assert (await served.post()).status_code == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"query": ""}, 400), ({"Content_Type": "text/html"}, 415), ({"content": b"x" * 70_000}, 413)],
)
async def test_what_cannot_be_a_request_is_not_sent_on(changes: dict[str, Any], status: int) -> None:
    async with serving(REDIRECTING) as served:
        served.directory.drain()
        assert (await served.post(**changes)).status_code == status


async def test_a_server_with_room_takes_who_was_sent_on() -> None:
    async with serving(REDIRECTING) as served:
        assert (await served.post(f"{QUERY}&redirected=1")).status_code == 201
