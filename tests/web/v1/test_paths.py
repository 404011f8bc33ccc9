"""What holds for every path of the API: methods, OPTIONS, other pages, the log."""

from typing import Any

import pytest
import structlog
from tests.web.served import Served
from tests.web.v1.api import UNKNOWN_ID, create

pytestmark = pytest.mark.anyio

JSON = "application/json"
STREAM = f"/v1/streams/{UNKNOWN_ID}"
ALLOWED = {
    "/v1/streams": ("GET, HEAD, POST, OPTIONS", JSON, None),
    STREAM: ("GET, HEAD, PATCH, DELETE, OPTIONS", None, JSON),
    f"{STREAM}/stop": ("POST, OPTIONS", None, None),
    f"{STREAM}/lock": ("POST, OPTIONS", None, None),
    f"{STREAM}/unlock": ("POST, OPTIONS", None, None),
    f"{STREAM}/changes": ("GET, HEAD, OPTIONS", None, None),
    f"{STREAM}/tokens": ("POST, OPTIONS", JSON, None),
    "/v1/summary": ("GET, HEAD, OPTIONS", None, None),
    "/v1/tags": ("GET, HEAD, OPTIONS", None, None),
    "/v1/organisation": ("GET, HEAD, PATCH, OPTIONS", None, JSON),
    "/v1/keys": ("GET, HEAD, POST, OPTIONS", JSON, None),
    "/v1/keys/first": ("DELETE, OPTIONS", None, None),
    "/v1/webhooks": ("GET, HEAD, POST, OPTIONS", JSON, None),
    "/v1/webhooks/1": ("DELETE, OPTIONS", None, None),
    "/v1/webhooks/1/test": ("POST, OPTIONS", None, None),
    "/v1/events": ("GET, HEAD, OPTIONS", None, None),
    "/v1/sign-in": ("POST, OPTIONS", JSON, None),
    "/v1/sign-out": ("POST, OPTIONS", None, None),
}
"""Methods, Accept-Post, Accept-Patch."""


async def test_options_of_every_path(served: Served) -> None:
    for path, expected in ALLOWED.items():
        response = await served.http.options(path)
        found = tuple(map(response.headers.get, ("allow", "accept-post", "accept-patch")))
        assert (response.status_code, found) == (200, expected), path


async def test_methods_that_are_not_for_a_path(served: Served) -> None:
    for path, (allowed, _, _) in ALLOWED.items():
        response = await served.http.request("PUT", path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed), path


async def test_head_answers_as_get(served: Served) -> None:
    for path in ("/v1/streams", "/v1/summary", "/v1/events"):
        response = await served.admin.head(path)
        assert (response.status_code, response.content) == (200, b"")
        assert (await served.http.head(path)).status_code == 401


async def test_a_page_from_elsewhere_may_have_a_key_but_no_cookie(served: Served) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        preflight = await served.http.options(
            STREAM if method != "POST" else "/v1/streams",
            headers={
                "Origin": "https://page.example",
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        )
        headers = preflight.headers
        assert headers["access-control-allow-origin"] == "*"
        assert method in headers["access-control-allow-methods"].split(", ")
        allowed = headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "content-type"} <= {*allowed}
        assert "x-csrf-token" not in allowed
        assert "access-control-allow-credentials" not in headers


async def test_the_log_names_streams_and_holds_no_keys(served: Served) -> None:
    key = served.admin.headers["authorization"].removeprefix("Bearer ")
    stream = await create(served)
    with structlog.testing.capture_logs() as entries:
        await served.admin.get(f"/v1/streams/{stream['id']}/changes")
        await served.admin.get(f"/v1/streams?name={stream['name']}")
        await served.admin.get(f"/v1/streams/{key}")
        await served.admin.delete(f"/v1/keys/{key}")
        await served.admin.get(f"/v1/streams/x{stream['id']}")
    log: list[Any] = [each["path"] for each in entries if each["event"] == "request"]
    assert log == [
        f"/v1/streams/{stream['id']}/changes",
        "/v1/streams",
        f"/v1/streams/{key[:8]}",
        f"/v1/keys/{key[:8]}",
        f"/v1/streams/x{stream['id'][:7]}",
    ]
    assert key not in str(entries)
