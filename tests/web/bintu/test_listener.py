"""The listener that is the bintu API's own, and pages from elsewhere on either one."""

import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from tests.peers.rtmp_client import HOST
from tests.web.bintu.api import STREAM, assert_no_key, assert_refused, assert_unknown, key, succeeded
from tests.web.running import RunningGateway
from tests.web.served import Served, assert_problem, serving

from whipway.config import Settings
from whipway.streams.records import Role
from whipway.web.bintu.callers import API_KEY, HEADERS

pytestmark = pytest.mark.anyio

PAGE = "https://page.example"
CORS = "access-control-"
ID = "00000000-0000-0000-0000-000000000000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def with_listener(**sections: Mapping[str, Any]) -> Settings:
    return Settings.model_validate({"bintu": {"port": free_port()}, **sections})


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(with_listener()) as served:
        yield served


async def listener(served: Served, **headers: str) -> httpx.AsyncClient:
    """A client of the own listener, with an administrator's key."""
    return served.client(served.bintu_app, headers={API_KEY: await key(served, Role.ADMIN), **headers})


async def test_the_whole_api_at_the_root(served: Served) -> None:
    async with await listener(served) as http:
        stream = succeeded(await http.post("/stream", json={"tags": ["a"]}))
        path = f"/stream/{stream['id']}"
        assert succeeded(await http.get("/stream?tags[]=a")) == [stream]
        assert succeeded(await http.get(path)) == stream
        assert succeeded(await http.put(f"{path}/tag", json={"tags": ["b"]}))["tags"] == ["b"]
        url = "rtmp://public.example:1935/live/x"
        assert succeeded(await http.put(f"{path}/push_url", json={"url": url}))["push_url"]
        for action, state in (("stop", "created"), ("lock", "locked"), ("unlock", "created")):
            assert succeeded(await http.put(f"{path}/{action}"))["state"] == state
        name = stream["ingest"]["rtmp"]["streamname"]
        assert succeeded(await http.post("/stream/validate", json={"streamname": name}))["taken"]
        assert succeeded(await http.get("/organisation"))["hash"] == name.partition("-")[0]
        assert "webhook" in succeeded(await http.put("/organisation/webhook", json={"webhook": None}))
        # It is the same API, of the same streams.
        both = await served.http.get(STREAM, headers=dict(http.headers))
        assert [each["id"] for each in succeeded(both)] == [stream["id"]]
        assert succeeded(await http.delete(path))["state"] == "deleted"
        assert_unknown(await http.get(path), stream["id"])


async def test_refusals_are_the_same(served: Served) -> None:
    async with served.client(served.bintu_app) as stranger:
        assert_no_key(await stranger.post("/stream"))
    async with await listener(served) as http:
        answer = await http.put(f"/stream/{ID}/tag", json={})
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="tags")
        assert_problem(await http.patch("/stream"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/bintu/stream",
        "/v1/streams",
        "/v1/me",
        "/p/webrtc/status.json",
        "/metrics",
        "/healthz",
        "/readyz",
    ]
    + ["/openapi.json", "/docs", "/dashboard/console/console.css", "/sign-in", "/live/one.flv", "/stream/"],
)
async def test_nothing_else_is_there(served: Served, path: str) -> None:
    async with await listener(served) as http:
        assert_problem(await http.get(path), 404, "not_found")
        assert_problem(await http.post(path), 404, "not_found")


async def test_answers_have_the_headers_of_this_server(served: Served) -> None:
    async with await listener(served) as http:
        answer = await http.get("/stream")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"


async def test_no_listener_unless_there_is_a_port_for_it() -> None:
    async with serving() as served:
        assert served.bintu_app is None


async def test_it_is_served_by_http() -> None:
    port = free_port()
    running = RunningGateway({"bintu.port": str(port)})
    await running.gateway.start()
    try:
        assert running.gateway.bintu_url == f"http://{HOST}:{port}"
        headers = {API_KEY: running.gateway.first_key or ""}
        async with httpx.AsyncClient(headers=headers) as http:
            stream = succeeded(await http.post(f"{running.gateway.bintu_url}/stream"))
            assert (await http.get(f"{running.gateway.bintu_url}/healthz")).status_code == 404
            listed = await http.get(f"{running.gateway.http_url}{STREAM}")
            assert [each["id"] for each in succeeded(listed)] == [stream["id"]]
    finally:
        await running.stop()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as http:
            await http.get(f"{running.gateway.bintu_url}/stream")


# Where it sends publishers


@pytest.mark.parametrize(
    ("http", "host", "base"),
    [
        ({}, "whip.example", "https://whip.example:PORT"),
        ({}, "whip.example:81", "https://whip.example:PORT"),
        ({}, "[::1]:81", "https://[::1]:PORT"),
        ({"public_url": "https://public.example/a"}, "whip.example", "https://public.example/a"),
        ({"trusted_proxies": ["10.0.0.0/8"]}, "whip.example:81", "https://whip.example:81"),
    ],
)
async def test_whip_is_at_the_other_listener(http: Mapping[str, Any], host: str, base: str) -> None:
    port = free_port()
    base = base.replace("PORT", str(port))
    async with serving(with_listener(http={"port": port, **http})) as served:
        async with await listener(served, Host=host) as client:
            stream = succeeded(await client.post("/stream"))
        assert stream["ingest"]["whip"]["url"].startswith(f"{base}/p/webrtc?stream_name=")
        assert [each["url"].startswith(f"{base}/live/") for each in stream["playout"]["flv"]] in ([], [True])
        # The other one has it where it was asked.
        async with served.client(headers={API_KEY: client.headers[API_KEY], "Host": host}) as client:
            stream = succeeded(await client.get(f"{STREAM}/{stream['id']}"))
        own = http.get("public_url", f"https://{host}")
        assert stream["ingest"]["whip"]["url"].startswith(f"{own}/p/webrtc?")


# Pages from elsewhere


@pytest.mark.parametrize(("is_own", "prefix"), [(True, ""), (False, "/bintu")])
async def test_pages_may_use_it(served: Served, is_own: bool, prefix: str) -> None:
    async with served.client(served.bintu_app if is_own else None, headers={"Origin": PAGE}) as http:
        for method, path in (("POST", "/stream"), ("GET", f"/stream/{ID}"), ("PUT", f"/stream/{ID}/tag")):
            asked = {"Access-Control-Request-Method": method}
            asked["Access-Control-Request-Headers"] = "accept,content-type,x-bintu-apikey"
            preflight = await http.options(prefix + path, headers=asked)
            assert (preflight.status_code, preflight.headers[f"{CORS}allow-origin"]) == (200, "*")
            assert method in preflight.headers[f"{CORS}allow-methods"].split(", ")
            assert f"{CORS}allow-credentials" not in preflight.headers
        refused = await http.post(f"{prefix}/stream")
        assert_no_key(refused)
        assert refused.headers[f"{CORS}allow-origin"] == "*"


async def test_pages_may_send_every_key(served: Served) -> None:
    async with served.client(served.bintu_app, headers={"Origin": PAGE}) as http:
        preflight = await http.options("/stream", headers={"Access-Control-Request-Method": "GET"})
        allowed = {name.strip().lower() for name in preflight.headers[f"{CORS}allow-headers"].split(",")}
        assert {"authorization", "content-type", *map(str.lower, HEADERS)} <= allowed


async def test_pages_that_are_not_listed() -> None:
    listed = with_listener(http={"cors_origins": [PAGE]})
    async with serving(listed) as served, await listener(served, Origin="https://other.example") as http:
        assert_problem(await http.post("/stream"), 403, "origin_not_allowed")
        readable = await http.get("/stream")
        assert succeeded(readable) == []
        assert f"{CORS}allow-origin" not in readable.headers
        at_home = await http.post("/stream", headers={"Origin": PAGE})
        assert succeeded(at_home) and at_home.headers[f"{CORS}allow-origin"] == PAGE
