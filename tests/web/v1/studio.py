"""Sessions at work, as the API sees them: for tests of what goes on now."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from tests.peers.h264 import encode
from tests.peers.rtmp_client import RtmpPublisher
from tests.peers.waiting import until
from tests.web.live_client import LiveClient
from tests.web.served import Served

from whipway.media import flv
from whipway.media.parameter_sets import ParameterSets
from whipway.streams.session_publications import session_handle

SESSIONS = "/v1/sessions"
UNKNOWN_SESSION = f"{SESSIONS}/{'0' * 16}"
[PICTURE] = encode(frames=1)


def api_path(path: str) -> str:
    """Where the API has a session that WHIP has at this path."""
    return f"{SESSIONS}/{session_handle(path.rpartition('/')[2])}"


async def get(served: Served, path: str) -> Any:
    """What the API answers to somebody who may ask."""
    response = await served.admin.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def sends_picture(client: LiveClient, mid: str = "video") -> None:
    """Have a publisher send a key frame of an input, and wait until the session has it."""
    track = client.session.receiver.tracks[client.machine.kinds.index(mid)]
    before = track.units
    client.machine.send_picture(PICTURE, 0.0, mid)
    client.udp.flush()
    await until(lambda: track.units > before)


@asynccontextmanager
async def publishing_by_rtmp(served: Served, name: str) -> AsyncIterator[RtmpPublisher]:
    """Somebody publishes real H.264 at the embedded origin: one key frame of it."""
    publisher = await RtmpPublisher.connect(served.gateway.rtmp_port, name)
    try:
        assert publisher.publishing
        configuration = ParameterSets(nal for nal in PICTURE if nal[0] & 0x1F in (7, 8)).configuration()
        assert configuration is not None
        publisher.machine.send_video(0, flv.avc_sequence_header(configuration))
        publisher.machine.send_video(0, flv.avc_frame(PICTURE, keyframe=True))
        publisher.flush()
        origin = served.services.origin
        assert origin is not None
        await until(lambda: origin.keyframe(f"live/{name}"))
        yield publisher
    finally:
        await publisher.close()


def parse_events(response: httpx.Response) -> list[tuple[str, Mapping[str, Any]]]:
    """The events of an answer that has ended: kinds and data. Comments are left out."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found
