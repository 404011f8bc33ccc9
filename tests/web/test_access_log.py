"""The log of requests: what is in it, and what must not be."""

import asyncio
import json
from typing import Any

import pytest
import structlog
from fastapi import Request, Response
from structlog.typing import EventDict
from tests.web.served import ENDPOINT, HOST, OFFER, QUERY, SDP, TARGET, Served

from whipway.web.paths import MAX_CHARACTERS, printable, without_secrets

pytestmark = pytest.mark.anyio

ID = "Secret_session-id0123456789ABCDE"


async def logged(served: Served, method: str, path: str, **options: Any) -> EventDict:
    """The one line of a request."""
    with structlog.testing.capture_logs() as logs:
        await served.http.request(method, path, **options)
    [line] = [log for log in logs if log["event"] == "request"]
    return line


def raw_scope(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"x")],
        "client": None,
        "server": ("127.0.0.1", 80),
    }


async def nothing(_message: object) -> None: ...


async def test_a_session(served: Served) -> None:
    line = await logged(served, "POST", f"{ENDPOINT}?{QUERY}", content=OFFER, headers=SDP)
    [session_id] = served.directory._known._live
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "path": ENDPOINT,
        "status": 201,
        "client": HOST,
        "stream": "one",
        "session": session_id[:8],
    }


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("live_1234567890_AbCd", TARGET, "live_1234567890_AbCd"),
        ("live_1234567890_AbCd?key=x", "rtmp://localhost/app", "live_1234567890_AbCd"),
        ("live_1234567890_AbCd?key=x", "rtmp://live.example/app", "live_123\u2026"),
        ("live_1234567890_AbCd", "", "live_123\u2026"),
        ("live_1234567890_AbCd", "rtmp%3A%2F%2F127.0.0.1%2Fapp", "live_1234567890_AbCd"),
        ("short", "rtmp://live.example/app", "short"),
    ],
)
async def test_a_name_that_may_be_a_key_is_cut(served: Served, name: str, url: str, expected: str) -> None:
    for query in (f"stream_name={name}&stream_url={url}", f"stream_url={url}&stream_name={name}"):
        line = await logged(served, "POST", f"{ENDPOINT}?{query}")
        assert line["stream"] == expected


async def test_nothing_secret_is_in_it(served: Served) -> None:
    query = f"stream_name=one%3Fkey=hidden-1&stream_url={TARGET}%3Fhidden-2&token=hidden-3"
    headers = SDP | {"Authorization": "Bearer hidden-4", "Cookie": "hidden-5"}
    line = await logged(served, "POST", f"{ENDPOINT}?{query}", content=OFFER, headers=headers)
    assert line["stream"] == "one"
    assert "hidden" not in json.dumps(line)


@pytest.mark.parametrize(
    ("method", "path", "status", "level"),
    [
        ("GET", "/", 200, "debug"),
        ("OPTIONS", ENDPOINT, 200, "debug"),
        ("GET", f"{ENDPOINT}/status.json", 200, "debug"),
        ("GET", "/nothing", 404, "info"),
        ("POST", ENDPOINT, 400, "info"),
        ("DELETE", f"{ENDPOINT}/{ID}", 404, "info"),
        ("PUT", "/", 405, "info"),
        ("GET", f"{ENDPOINT}/{ID}/input/1/thumbnail", 404, "info"),
    ],
)
async def test_levels(served: Served, method: str, path: str, status: int, level: str) -> None:
    line = await logged(served, method, path)
    assert (line["method"], line["status"], line["log_level"]) == (method, status, level)
    assert "session" not in line


async def test_a_deletion_is_news(served: Served) -> None:
    path = await served.session()
    line = await logged(served, "DELETE", path)
    assert (line["status"], line["log_level"]) == (200, "info")
    assert line["path"] == path[: len(ENDPOINT) + 9]


@pytest.mark.parametrize("query", ["", "stream_url=x", "&&", "=", "stream_name"])
async def test_a_query_without_a_name(served: Served, query: str) -> None:
    line = await logged(served, "POST", f"{ENDPOINT}?{query}")
    assert line.get("stream", "") == ""


async def test_a_hostile_name(served: Served) -> None:
    line = await logged(served, "POST", f"{ENDPOINT}?stream_name=%1b[31m%0aerror&%ff")
    assert line["stream"] == r"\x1b[31m\nerror"


async def test_a_hostile_request(served: Served) -> None:
    path = "/\x1b[2J\r\n\u202e\udc80" + "~" * 10_000

    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with structlog.testing.capture_logs() as logs:
        await served.app(raw_scope("M" * 1000, path), leave, nothing)  # type: ignore[arg-type]
    [line] = logs
    assert line["path"].startswith(r"/\x1b[2J\r\n\u202e\udc80~~~")
    assert len(line["path"]) == MAX_CHARACTERS
    assert line["status"] == 400
    assert line["method"] == "M" * 16
    assert line["client"] is None


# Sessions' ids


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{ENDPOINT}/{ID}", f"{ENDPOINT}/Secret_s"),
        (f"{ENDPOINT}/{ID}/status", f"{ENDPOINT}/Secret_s/status"),
        (f"{ENDPOINT}//{ID}", f"{ENDPOINT}//Secret_s"),
        (f"/prefix{ENDPOINT}/{ID}", f"/prefix{ENDPOINT}/Secret_s"),
        (f"{ENDPOINT.upper()}/{ID}", f"{ENDPOINT.upper()}/Secret_s"),
        (f"{ENDPOINT}/status.json", f"{ENDPOINT}/status.json"),
        (f"{ENDPOINT}/status.json{ID}", f"{ENDPOINT}/status.j"),
        (f"{ENDPOINT}/a.b~{ID}", f"{ENDPOINT}/a.b~Secr"),
        (f"/{ID}", "/Secret_s"),
        (f"/session/{ID}.json/{ID}", "/session/Secret_s.json/Secret_s"),
        (f"/p/webrtc{ID}", "/p/webrtcSe"),
        (f"http://x{ENDPOINT}/{ID}", f"{ENDPOINT}/Secret_s"),
        ("/" + "x" * 19, "/" + "x" * 19),
        ("/" + "x" * 20, "/" + "x" * 8),
        (ENDPOINT, ENDPOINT),
        ("/dashboard/session-panel.js", "/dashboard/session-panel.js"),
    ],
)
def test_ids_are_cut(path: str, expected: str) -> None:
    assert without_secrets(path) == expected


def test_what_is_printable_stays() -> None:
    assert printable("\u00fcber \\ 'x'") == "\u00fcber \\ 'x'"
    assert printable("\x00" * 300) == (r"\x00" * 300)[:MAX_CHARACTERS]


# Those who leave


async def test_a_client_that_leaves(served: Served) -> None:
    async def wait(request: Request) -> Response:
        message = await request.receive()
        assert message["type"] == "http.disconnect"
        return Response(status_code=408)

    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    served.app.add_api_route("/wait", wait)
    with structlog.testing.capture_logs() as logs:
        await served.app(raw_scope("GET", "/wait"), leave, nothing)  # type: ignore[arg-type]
    assert [(log["status"], log["log_level"]) for log in logs] == [(499, "info")]


async def test_a_client_that_leaves_after_the_answer(served: Served) -> None:
    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with structlog.testing.capture_logs() as logs:
        served.app.mount("/late", Late())
        await served.app(raw_scope("GET", "/late/x"), leave, nothing)  # type: ignore[arg-type]
    assert [log["status"] for log in logs] == [200]


class Late:
    """An application that looks for the client's end after its own answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await Response("done")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"


async def test_a_request_that_is_cut_off(served: Served) -> None:
    began = asyncio.Event()

    async def wait() -> Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    served.app.add_api_route("/wait", wait)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(served.http.get("/wait"))
        await began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [(log["status"], log["log_level"]) for log in logs] == [(None, "info")]
