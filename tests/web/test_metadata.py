"""Metadata from a publisher over HTTP. What a body may say is in `tests/unit/web/test_metadata_body.py`."""

from typing import Any

import httpx
import pytest
from tests.peers.rtmp_server import RtmpServer
from tests.peers.waiting import until
from tests.peers.whip_client import picture
from tests.web.live_client import LiveClient, live
from tests.web.served import ENDPOINT, Served, assert_problem

from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.messages import MessageType

pytestmark = pytest.mark.anyio

UNKNOWN = f"{ENDPOINT}/{'A' * 32}"
TITLE = {"handlerName": "onMetaData", "payload": {"title": "A day", "part": 2}}
GOAL = {"handlerName": "onCuePoint", "payload": {"name": "goal", "score": [1, 0]}}


async def send(served: Served, path: str, content: Any = TITLE, **headers: str) -> httpx.Response:
    fields = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if isinstance(content, str | bytes):
        return await served.http.post(f"{path}/metadata", content=content, headers=fields)
    return await served.http.post(f"{path}/metadata", json=content, headers=fields)


def messages(server: RtmpServer) -> list[list[Any]]:
    """The values of the data messages that came."""
    return [amf0.decode(each.payload) for each in server.media if each.type_id == MessageType.DATA]


async def test_metadata_are_taken(served: Served) -> None:
    path = await served.session()
    response = await send(served, path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await send(served, path, GOAL, Content_Type="application/json; charset=utf-8")).status_code == 204


async def test_metadata_reach_the_rtmp_server(served: Served) -> None:
    async with live(served) as client:
        server = await client.rtmp.connection()
        await send(served, client.path)
        await publishing(client, server)
        # Said before the stream began: it begins with it.
        assert {"title": "A day", "part": 2.0}.items() <= messages(server)[0][-1].items()
        await send(served, client.path, GOAL)
        await until(lambda: ["onCuePoint", {"name": "goal", "score": [1.0, 0.0]}] in messages(server))


async def publishing(client: LiveClient, server: RtmpServer) -> None:
    number = 0

    def is_there() -> bool:
        nonlocal number
        client.machine.send_picture(picture(number, keyframe=True), number / 30)
        client.udp.flush()
        number += 1
        return bool(messages(server))

    await until(is_there)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        pytest.param(TITLE, {"Content_Type": "text/plain"}, 415, "unsupported_media_type", id="type"),
        pytest.param(TITLE, {"Content_Encoding": "gzip"}, 415, "unsupported_media_type", id="coding"),
        pytest.param("x" * 16_385, {}, 413, "body_too_large", id="size"),
        pytest.param("{", {}, 400, "malformed_metadata", id="no JSON"),
        pytest.param(b'{"a": "\xff"}', {}, 400, "malformed_metadata", id="no UTF-8"),
        pytest.param({"handlerName": "onStatus", "payload": {}}, {}, 422, "metadata_refused", id="handler"),
        pytest.param({"handlerName": "onMetaData"}, {}, 422, "metadata_refused", id="payload"),
    ],
)
async def test_what_is_refused(
    served: Served, content: Any, headers: dict[str, str], status: int, code: str
) -> None:
    response = await send(served, await served.session(), content, **headers)
    assert_problem(response, status, code)
    assert response.headers.get("accept-post") == ("application/json" if status == 415 else None)


async def test_sessions_that_are_not_there(served: Served) -> None:
    # Said before what is wrong with the body.
    assert_problem(await send(served, UNKNOWN, "{", Content_Type="text/html"), 404, "session_unknown")
    path = await served.session()
    await served.http.delete(path)
    assert_problem(await send(served, path, "{", Content_Type="text/html"), 410, "session_over")
