"""Streams whose RTMP server is another one than this (`streams.rtmp_url`), with names that are known only."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import Listener, listening
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import LiveClient
from tests.web.served import BASE, SDP, Served, assert_problem, serving
from tests.web.v1.api import create
from tests.web.v1.studio import sends_picture

from whipway.config import Settings
from whipway.protocol.rtmp.server import PublishRequested

pytestmark = pytest.mark.anyio

TIMEOUT = 5.0


@pytest.fixture
async def other() -> AsyncIterator[Listener]:
    """The other server."""
    async with listening() as listener:
        yield listener


@pytest.fixture(params=[True, False], ids=["origin", "no origin"])
async def served(request: pytest.FixtureRequest, other: Listener) -> AsyncIterator[Served]:
    """This one, with its embedded origin or without."""
    settings = {
        "streams": {"rtmp_url": f"rtmp://{HOST}:{other.port}/app", "require_known": True},
        "rtmp": {"enabled": request.param},
    }
    async with serving(Settings.model_validate(settings)) as served:
        yield served


async def becomes(served: Served, stream: dict[str, Any], state: str) -> dict[str, Any]:
    """Wait until a stream is in a state; how it is then."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found: dict[str, Any] = (await served.admin.get(f"/v1/streams/{stream['id']}")).json()
            if found["state"] == state:
                return found
            await asyncio.sleep(0.01)


async def offer(served: Served, url: str, content: str) -> httpx.Response:
    """Send an offer to the very URL that the API tells."""
    return await served.http.post(httpx.URL(url), content=content, headers=SDP)


async def test_a_stream_is_live_by_the_whip_url_that_it_has(served: Served, other: Listener) -> None:
    stream = await create(served)
    url = stream["ingest"]["whip"]["url"]
    assert url.startswith(BASE) and f":{other.port}/app" in url
    machine = WhipClient()
    created = await offer(served, url, machine.offer)
    assert created.status_code == 201, created.text
    udp = UdpClient.start(machine, created.text)
    client = LiveClient(served, udp, created, query=url, rtmp=other)
    try:
        await udp.connected()
        assert (await becomes(served, stream, "created"))["publisher"]["kind"] == "whip"
        await sends_picture(client)
        await until(lambda: other.protocol and other.protocol.media)
        assert other.protocol is not None
        [asked] = [event for event in other.protocol.events if isinstance(event, PublishRequested)]
        assert (asked.app, asked.name) == ("app", stream["name"])
        await becomes(served, stream, "live")
        assert (await served.http.delete(client.path)).status_code == 200
        assert (await becomes(served, stream, "ended"))["publisher"] is None
    finally:
        client.vanish()


async def test_other_names_are_refused(served: Served, other: Listener) -> None:
    stream = await create(served)
    url = stream["ingest"]["whip"]["url"]
    refused = await offer(served, url.replace(stream["name"], "unknown"), WhipClient().offer)
    assert_problem(refused, 403, "forbidden")
    assert (await served.admin.post(f"/v1/streams/{stream['id']}/lock")).status_code == 200
    assert_problem(await offer(served, url, WhipClient().offer), 403, "forbidden")
    assert other.connections == []
