"""The inputs of a session over HTTP: the real application with a real worker.

What a body may say is in `tests/unit/web/test_control_bodies.py`, how often a thumbnail is made in
`tests/unit/web/test_thumbnails.py`.
"""

import io
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import av
import httpx
import pytest
from tests.peers.h264 import encode
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import LiveClient, live
from tests.web.served import ENDPOINT, Served, assert_problem, serving

from whipway.config import Settings
from whipway.streams import known_sessions
from whipway.worker.messages import EndSession

pytestmark = pytest.mark.anyio

UNKNOWN = f"{ENDPOINT}/{'A' * 32}"
TWO = ("audio", "video", "video2")
"""The mids of an offer with two inputs."""
[PICTURE] = encode(frames=1)


@pytest.fixture
async def studio(served: Served) -> AsyncIterator[LiveClient]:
    """A publisher with two inputs."""
    async with live(served, WhipClient(kinds=TWO)) as client:
        yield client


async def select(served: Served, path: str, body: Any, **headers: str) -> httpx.Response:
    fields = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if isinstance(body, str | bytes):
        return await served.http.put(f"{path}/input", content=body, headers=fields)
    return await served.http.put(f"{path}/input", json=body, headers=fields)


async def inputs(served: Served, path: str) -> Any:
    response = await served.http.get(f"{path}/input")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def thumbnail(served: Served, path: str, mid: str) -> httpx.Response:
    return await served.http.get(f"{path}/input/{quote(mid, safe='')}/thumbnail")


# What there is


async def test_a_session_has_one_input_as_a_rule(served: Served) -> None:
    path = await served.session()
    found = await inputs(served, path)
    [only] = found["inputs"]
    assert found["on_air"] == only["mid"] and only["on_air"]
    assert (found["wanted"], found["layer"], found["layer_on_air"], only["layers"]) == (
        None,
        "auto",
        None,
        [],
    )
    assert only["state"] == "waiting" and not only["has_picture"]
    # The same as in the status.
    status = (await served.http.get(f"{path}/status")).json()
    assert found == {**status["input"], "inputs": status["inputs"]}


async def test_another_input_is_selected(served: Served, studio: LiveClient) -> None:
    found = await inputs(served, studio.path)
    assert [each["mid"] for each in found["inputs"]] == ["video", "video2"]
    assert (found["on_air"], found["wanted"]) == ("video", None)
    response = await select(served, studio.path, {"mid": "video2"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    # The one before stays until there is a key frame.
    assert (response.json()["on_air"], response.json()["wanted"]) == ("video", "video2")
    await shows(studio, "video2")
    found = await inputs(served, studio.path)
    assert (found["on_air"], found["wanted"]) == ("video2", None)
    assert [each["on_air"] for each in found["inputs"]] == [False, True]


async def test_what_is_on_air_may_be_selected(served: Served, studio: LiveClient) -> None:
    await select(served, studio.path, {"mid": "video2"})
    response = await select(served, studio.path, {"mid": "video"})
    assert (response.status_code, response.json()["wanted"]) == (200, None)


async def shows(client: LiveClient, mid: str) -> None:
    """Send a key frame of an input, and wait until the session has it."""
    index = client.machine.kinds.index(mid)
    track = client.session.receiver.tracks[index]
    client.machine.send_picture(PICTURE, 0.0, mid)
    client.udp.flush()
    await until(lambda: track.units)


# Thumbnails


async def test_there_is_no_picture_at_first(served: Served) -> None:
    path = await served.session()
    [only] = (await inputs(served, path))["inputs"]
    response = await thumbnail(served, path, only["mid"])
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["cache-control"] == "no-store"


async def test_a_thumbnail_is_a_jpeg_of_the_last_key_frame(served: Served, studio: LiveClient) -> None:
    await shows(studio, "video2")
    response = await thumbnail(served, studio.path, "video2")
    assert response.status_code == 200
    assert (response.headers["content-type"], response.headers["cache-control"]) == ("image/jpeg", "no-store")
    with av.open(io.BytesIO(response.content)) as container:
        [frame] = container.decode(video=0)
        assert (frame.width, frame.height) == (320, 180)  # type: ignore[union-attr]
    # The other one has shown nothing.
    assert (await thumbnail(served, studio.path, "video")).status_code == 204
    head = await served.http.head(f"{studio.path}/input/video2/thumbnail")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == f"{len(response.content)}"


# What is refused


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        pytest.param({"mid": "0"}, {"Content_Type": "text/plain"}, 415, "unsupported_media_type", id="type"),
        pytest.param({"mid": "0"}, {"Content_Encoding": "gzip"}, 415, "unsupported_media_type", id="coding"),
        pytest.param("x" * 4_097, {}, 413, "body_too_large", id="size"),
        pytest.param("{", {}, 400, "malformed_json", id="no JSON"),
        pytest.param(b'{"mid": "\xff"}', {}, 400, "malformed_json", id="no UTF-8"),
        pytest.param({"mid": 1}, {}, 422, "input_refused", id="no text"),
        pytest.param({"mid": "nine"}, {}, 404, "input_unknown", id="no such input"),
        pytest.param({"mid": "audio"}, {}, 404, "input_unknown", id="not video"),
        pytest.param({"mid": ""}, {}, 404, "input_unknown", id="empty"),
        pytest.param('{"mid": "\\ud800"}', {}, 404, "input_unknown", id="half a character"),
    ],
)
async def test_what_is_refused(
    served: Served, content: Any, headers: dict[str, str], status: int, code: str
) -> None:
    path = await served.session()
    response = await select(served, path, content, **headers)
    assert_problem(response, status, code)
    assert response.headers.get("accept") == ("application/json" if status == 415 else None)
    assert (await inputs(served, path))["wanted"] is None


async def test_thumbnails_of_what_is_not_there(served: Served) -> None:
    path = await served.session()
    for mid in ("nine", "audio", "!#$%&'*+-.^_`{|}~", "9" * 64):
        assert_problem(await thumbnail(served, path, mid), 404, "input_unknown")
    for mid in ("9" * 65, "a b", "a/b", "ä", "a,b"):
        assert_problem(await thumbnail(served, path, mid), 404, "not_found")


async def test_sessions_that_are_not_there(served: Served) -> None:
    # Said before what is wrong with the body.
    assert_problem(await select(served, UNKNOWN, "{", Content_Type="text/html"), 404, "session_unknown")
    assert_problem(await served.http.get(f"{UNKNOWN}/input"), 404, "session_unknown")
    assert_problem(await thumbnail(served, UNKNOWN, "1"), 404, "session_unknown")
    path = await served.session()
    last = await inputs(served, path)
    await served.http.delete(path)
    assert_problem(await select(served, path, "{", Content_Type="text/html"), 410, "session_over")
    assert_problem(await thumbnail(served, path, "1"), 410, "session_over")
    assert await inputs(served, path) == last


@pytest.mark.parametrize(("method", "below"), [("PUT", "input"), ("GET", "input/video/thumbnail")])
async def test_a_session_that_ends_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch, method: str, below: str
) -> None:
    path = await served.session()
    ask = served.pool.request

    async def end_first(message: Any) -> Any:
        if not isinstance(message, EndSession):
            await served.directory.end(path.rpartition("/")[2], "deleted")
        return await ask(message)

    monkeypatch.setattr(served.pool, "request", end_first)
    response = await served.http.request(method, f"{path}/{below}", json={"mid": "video"})
    assert_problem(response, 410, "session_over")


async def test_a_session_that_is_lost(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker knows nothing of it, and no word of its end ever comes."""
    path = await served.session()
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(served.worker, "_broadcasts", {})
        assert_problem(await served.http.get(f"{path}/input"), 404, "session_unknown")


# Who may


async def test_pages_from_elsewhere_are_kept_from_it() -> None:
    settings = Settings.model_validate({"http": {"cors_origins": ["https://page.example"]}})
    async with serving(settings) as served:
        path = await served.session()
        [only] = (await inputs(served, path))["inputs"]
        body = {"mid": only["mid"]}
        assert (await select(served, path, body, Origin="https://page.example")).status_code == 200
        refused = await select(served, path, body, Origin="https://other.example")
        assert_problem(refused, 403, "origin_not_allowed")
