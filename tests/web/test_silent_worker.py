"""A media worker that does not answer: who asks for a change hears so, and may try again."""

from typing import Any

import pytest
from tests.web.served import Served, assert_problem

from whipway.pool.failures import WorkerSilent

pytestmark = pytest.mark.anyio


async def test_a_change_that_nobody_confirms(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await served.session()

    async def silent(message: Any) -> None:
        raise WorkerSilent

    with monkeypatch.context() as patched:
        patched.setattr(served.pool, "request", silent)
        response = await served.http.post(f"{path}/keyframe")
        problem = assert_problem(response, 503, "worker_silent")
        assert "not known" in problem["detail"] and 2 <= int(response.headers["retry-after"]) <= 10
        # Its session lives on.
        assert (await served.http.get("/p/webrtc/status.json")).json()["sessions"] == 1
    assert (await served.http.post(f"{path}/keyframe")).status_code == 204


async def test_the_bintu_api_has_a_number_for_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = (await served.admin.post("/v1/streams", json={})).json()
    url = f"stream_name={stream['name']}&stream_url={served.gateway.stream_url}"
    created = await served.post(url)
    assert created.status_code == 201, created.text

    async def silent(message: Any) -> None:
        raise WorkerSilent

    with monkeypatch.context() as patched:
        patched.setattr(served.pool, "request", silent)
        response = await served.admin.put(f"/bintu/stream/{stream['id']}/stop")
        assert (response.status_code, response.json()["error"]["code"]) == (504, 9504)
        assert "retry-after" in response.headers
