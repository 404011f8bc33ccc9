"""Inputs, thumbnails, quality and key frames of sessions over the API, with a real publisher.

What bodies may say is in `tests/unit/web/test_control_bodies.py`.
"""

from collections.abc import AsyncIterator

import pytest
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import LiveClient, live
from tests.web.served import Served, assert_problem, serving
from tests.web.v1.studio import api_path, get, sends_picture

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server whose database is in memory."""
    async with serving() as served:
        yield served


@pytest.fixture
async def studio(served: Served) -> AsyncIterator[LiveClient]:
    """A publisher with two inputs."""
    async with live(served, WhipClient(kinds=("audio", "video", "video2"))) as client:
        yield client


async def test_another_input_is_put_on_air(served: Served, studio: LiveClient) -> None:
    path = f"{api_path(studio.path)}/input"
    assert await get(served, path) == (await served.http.get(f"{studio.path}/input")).json()
    selected = await served.admin.put(path, json={"mid": "video2"})
    assert selected.status_code == 200
    assert (selected.json()["on_air"], selected.json()["wanted"]) == ("video", "video2")
    await sends_picture(studio, "video2")
    assert (await get(served, path))["on_air"] == "video2"
    assert_problem(await served.admin.put(path, json={"mid": "nine"}), 404, "input_unknown")
    assert_problem(await served.admin.put(path, json={}), 422, "input_refused")


async def test_an_input_is_seen(served: Served, studio: LiveClient) -> None:
    path = f"{api_path(studio.path)}/input"
    nothing = await served.admin.get(f"{path}/video/thumbnail")
    assert (nothing.status_code, nothing.content) == (204, b"")
    await sends_picture(studio, "video2")
    picture = await served.admin.get(f"{path}/video2/thumbnail")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.headers["cache-control"] == "no-store"
    assert picture.content.startswith(b"\xff\xd8")
    assert_problem(await served.admin.get(f"{path}/nine/thumbnail"), 404, "input_unknown")


async def test_another_quality_is_asked_for(served: Served, studio: LiveClient) -> None:
    path = f"{api_path(studio.path)}/quality"
    asked = await served.admin.put(path, json={"max_video_bitrate": 800_000, "policy": "off"})
    assert asked.status_code == 200
    found = await get(served, path)
    assert (found["cap"], found["asked"]["policy"], found["limited_by"]) == (800_000, "off", "api")
    lifted = await served.admin.put(path, json={"max_video_bitrate": None})
    assert lifted.json()["cap"] is None
    assert_problem(await served.admin.put(path, json={"layer": "hi"}), 404, "layer_unknown")
    assert_problem(await served.admin.put(path, json={"policy": "slow"}), 422, "quality_refused")


async def test_a_key_frame_is_asked_for(served: Served, studio: LiveClient) -> None:
    await sends_picture(studio)
    # From here on there is nothing that would have it ask by itself.
    before = len(studio.machine.requests)
    answer = await served.admin.post(f"{api_path(studio.path)}/keyframe")
    assert (answer.status_code, answer.content) == (204, b"")
    await until(lambda: len(studio.machine.requests) > before)
