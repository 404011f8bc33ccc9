"""The quality of a session's video over HTTP: the real application with a real worker.

What a body may say is in `tests/unit/web/test_control_bodies.py`.
"""

from typing import Any

import httpx
import pytest
from tests.peers.waiting import until
from tests.peers.whip_client import picture
from tests.web.live_client import live
from tests.web.served import ENDPOINT, OFFER, Served, assert_problem, serving

from whipway.config import Settings
from whipway.streams import known_sessions
from whipway.worker.messages import EndSession

pytestmark = pytest.mark.anyio

UNKNOWN = f"{ENDPOINT}/{'A' * 32}"
SIMULCAST = """\
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=rid:h send
a=rid:q send
a=simulcast:send h;q
"""
UNASKED = {"max_video_bitrate": None, "layer": "auto", "policy": "follow-slowest"}


async def ask(served: Served, path: str, body: Any, **headers: str) -> httpx.Response:
    fields = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if isinstance(body, str | bytes):
        return await served.http.put(f"{path}/quality", content=body, headers=fields)
    return await served.http.put(f"{path}/quality", json=body, headers=fields)


async def quality(served: Served, path: str) -> Any:
    response = await served.http.get(f"{path}/quality")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def test_at_first_nothing_is_asked(served: Served) -> None:
    path = await served.session()
    found = await quality(served, path)
    assert (found["asked"], found["cap"], found["limited_by"]) == (UNASKED, None, None)
    # The same as in the status.
    assert found == (await served.http.get(f"{path}/status")).json()["quality"]


async def test_the_settings_say_whose_pace_is_followed() -> None:
    async with serving(Settings.model_validate({"quality": {"policy": "off"}})) as served:
        path = await served.session()
        assert (await quality(served, path))["asked"] == UNASKED | {"policy": "off"}


async def test_what_is_not_said_stays_as_it_is(served: Served) -> None:
    path = await served.session()
    said: dict[str, Any] = dict(UNASKED)
    for values in (
        {"max_video_bitrate": 800_000},
        {"policy": "follow-primary"},
        {},
        {"layer": "auto"},
        {"max_video_bitrate": 50_000, "policy": "off"},
        {"max_video_bitrate": None},
    ):
        response = await ask(served, path, values)
        said |= values
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.json()["asked"] == said
        assert (await quality(served, path))["asked"] == said


async def test_a_cap_is_in_force_at_once(served: Served) -> None:
    path = await served.session()
    response = await ask(served, path, {"max_video_bitrate": 800_000})
    assert (response.json()["cap"], response.json()["limited_by"]) == (800_000, "api")
    response = await ask(served, path, {"max_video_bitrate": None})
    assert (response.json()["cap"], response.json()["limited_by"]) == (None, None)


async def test_a_layer_of_a_simulcast_is_asked_for(served: Served) -> None:
    created = await served.post(content=one_input(OFFER) + SIMULCAST)
    assert created.status_code == 201, created.text
    path = created.headers["location"]
    assert [each["rid"] for each in await layers(served, path)] == ["h", "q"]
    response = await ask(served, path, {"layer": "q", "max_video_bitrate": 300_000})
    assert response.json()["asked"] == UNASKED | {"layer": "q", "max_video_bitrate": 300_000}
    assert (await served.http.get(f"{path}/input")).json()["layer"] == "q"
    # One that is not there takes the rest of the body with it.
    problem = await ask(served, path, {"layer": "f", "max_video_bitrate": 900_000, "policy": "off"})
    assert_problem(problem, 404, "layer_unknown")
    assert (await quality(served, path))["asked"] == response.json()["asked"]
    assert (await ask(served, path, {"layer": "auto"})).json()["asked"]["layer"] == "auto"


def one_input(offer: str) -> str:
    """An offer that ends with its video, whose sender is not named: of a simulcast each layer has its own."""
    assert offer.count("m=video") == 1 and offer.index("m=audio") < offer.index("m=video")
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith("a=ssrc"))


async def layers(served: Served, path: str) -> Any:
    [only] = (await served.http.get(f"{path}/input")).json()["inputs"]
    return only["layers"]


async def test_a_key_frame_is_requested(served: Served) -> None:
    path = await served.session()
    response = await served.http.post(f"{path}/keyframe")
    assert (response.status_code, response.content) == (204, b"")
    # A body is not looked at.
    assert (await served.http.post(f"{path}/keyframe", content=b"\xff" * 100_000)).status_code == 204


async def test_the_client_is_asked_for_a_key_frame(served: Served) -> None:
    async with live(served) as client:
        track = client.session.receiver.tracks[1]
        client.machine.send_picture(picture(0, keyframe=True), 0.0)
        client.udp.flush()
        # From here on there is nothing that would have it ask by itself.
        await until(lambda: track.units)
        before = len(client.machine.requests)
        assert (await served.http.post(f"{client.path}/keyframe")).status_code == 204
        await until(lambda: len(client.machine.requests) > before)


# What is refused


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        pytest.param({}, {"Content_Type": "text/plain"}, 415, "unsupported_media_type", id="type"),
        pytest.param({}, {"Content_Encoding": "gzip"}, 415, "unsupported_media_type", id="coding"),
        pytest.param("x" * 4_097, {}, 413, "body_too_large", id="size"),
        pytest.param("{", {}, 400, "malformed_json", id="no JSON"),
        pytest.param(b'{"layer": "\xff"}', {}, 400, "malformed_json", id="no UTF-8"),
        pytest.param("[]", {}, 422, "quality_refused", id="no object"),
        pytest.param({"max_video_bitrate": 49_999}, {}, 422, "quality_refused", id="too low"),
        pytest.param({"max_video_bitrate": 100_000_001}, {}, 422, "quality_refused", id="too high"),
        pytest.param({"max_video_bitrate": "800000"}, {}, 422, "quality_refused", id="no number"),
        pytest.param({"max_video_bitrate": True}, {}, 422, "quality_refused", id="a truth value"),
        pytest.param({"policy": "follow-me"}, {}, 422, "quality_refused", id="no policy"),
        pytest.param({"max_bitrate": 800_000}, {}, 422, "quality_refused", id="unknown member"),
        pytest.param({"layer": "h"}, {}, 404, "layer_unknown", id="no such layer"),
        pytest.param({"layer": ""}, {}, 404, "layer_unknown", id="empty"),
        pytest.param('{"layer": "\\ud800"}', {}, 404, "layer_unknown", id="half a character"),
    ],
)
async def test_what_is_refused(
    served: Served, content: Any, headers: dict[str, str], status: int, code: str
) -> None:
    path = await served.session()
    response = await ask(served, path, content, **headers)
    assert_problem(response, status, code)
    assert response.headers.get("accept") == ("application/json" if status == 415 else None)
    assert (await quality(served, path))["asked"] == UNASKED


async def test_sessions_that_are_not_there(served: Served) -> None:
    # Said before what is wrong with the body.
    assert_problem(await ask(served, UNKNOWN, "{", Content_Type="text/html"), 404, "session_unknown")
    assert_problem(await served.http.get(f"{UNKNOWN}/quality"), 404, "session_unknown")
    assert_problem(await served.http.post(f"{UNKNOWN}/keyframe"), 404, "session_unknown")
    path = await served.session()
    await ask(served, path, {"max_video_bitrate": 800_000})
    await served.http.delete(path)
    assert_problem(await ask(served, path, "{", Content_Type="text/html"), 410, "session_over")
    assert_problem(await served.http.post(f"{path}/keyframe"), 410, "session_over")
    assert (await quality(served, path))["asked"] == UNASKED | {"max_video_bitrate": 800_000}


@pytest.mark.parametrize(("method", "below"), [("PUT", "quality"), ("POST", "keyframe")])
async def test_a_session_that_ends_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch, method: str, below: str
) -> None:
    path = await served.session()
    request = served.pool.request

    async def end_first(message: Any) -> Any:
        if not isinstance(message, EndSession):
            await served.directory.end(path.rpartition("/")[2], "deleted")
        return await request(message)

    monkeypatch.setattr(served.pool, "request", end_first)
    response = await served.http.request(method, f"{path}/{below}", json={})
    assert_problem(response, 410, "session_over")


async def test_a_session_that_is_lost(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker knows nothing of it, and no word of its end ever comes."""
    path = await served.session()
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(served.worker, "_broadcasts", {})
        assert_problem(await served.http.get(f"{path}/quality"), 404, "session_unknown")


# Who may


async def test_pages_from_elsewhere_are_kept_from_it() -> None:
    settings = Settings.model_validate({"http": {"cors_origins": ["https://page.example"]}})
    async with serving(settings) as served:
        path = await served.session()
        for origin, statuses in (("https://page.example", [200, 204]), ("https://other.example", [403, 403])):
            answers = [
                await ask(served, path, {}, Origin=origin),
                await served.http.post(f"{path}/keyframe", headers={"Origin": origin}),
            ]
            assert [answer.status_code for answer in answers] == statuses
