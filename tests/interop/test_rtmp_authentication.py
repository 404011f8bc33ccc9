"""User name and password over RTMP: what ffmpeg and our publisher make of one server's challenges."""

import asyncio
import os

import pytest
from tests.peers.rtmp_client import HOST, RtmpPublisher
from tests.peers.rtmp_gatekeeper import Gatekeeper, guarded

from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.client import FailureReason

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

USER, PASSWORD = "bob", "Secret-1"
PICTURES = "-f lavfi -i testsrc=size=160x120:rate=10 -t 0.5 -c:v libx264 -preset ultrafast -f flv".split()
END_TIMEOUT = 20.0
MAX_CONNECTIONS = 5
SCHEMES = ["adobe", "llnw"]
APPS = ["live", "live/studio"]


async def publish_by_ffmpeg(program: str, keeper: Gatekeeper, app: str, password: str) -> int:
    url = f"rtmp://{USER}:{password}@{HOST}:{keeper.port}/{app}/program"
    quiet = [program, "-nostdin", "-v", "quiet"]
    process = await asyncio.create_subprocess_exec(*quiet, *PICTURES, url)
    try:
        return await asyncio.wait_for(process.wait(), END_TIMEOUT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def publish_by_us(keeper: Gatekeeper, app: str, password: str) -> list[FailureReason]:
    """Connect until it publishes or has no right to; the reasons for each new connection."""
    reasons = []
    authenticator = Authenticator(USER, password, os.urandom)
    for _ in range(MAX_CONNECTIONS):
        publisher = await RtmpPublisher.connect(keeper.port, "program", app, authenticator)
        if publisher.publishing:
            publisher.video(0, keyframe=True)
            await publisher.end()
            break
        assert publisher.failure is not None
        reasons.append(publisher.failure.reason)
        await publisher.close()
        if reasons[-1] is not FailureReason.CHALLENGED:
            break
    return reasons


def keys(app: str) -> list[str]:
    """What a connect says behind the name of the application, without the values."""
    return [part.partition("=")[0] for part in app.partition("?")[2].split("&")]


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_ffmpeg_and_we_say_the_same(whip_ffmpeg: str, scheme: str, app: str) -> None:
    async with guarded(scheme, USER, PASSWORD) as keeper:
        assert await publish_by_ffmpeg(whip_ffmpeg, keeper, app, PASSWORD) == 0
        said_by_ffmpeg = [keys(each) for each in keeper.apps]
        assert keeper.names == ["program"]
        assert keeper.media_messages > 0
        keeper.apps.clear()
        assert await publish_by_us(keeper, app, PASSWORD) == [FailureReason.CHALLENGED] * 2
        assert [keys(each) for each in keeper.apps] == said_by_ffmpeg
        assert keeper.names == ["program", "program"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_wrong_password_lets_nobody_in(whip_ffmpeg: str, scheme: str) -> None:
    async with guarded(scheme, USER, PASSWORD) as keeper:
        assert await publish_by_ffmpeg(whip_ffmpeg, keeper, "live", "wrong") != 0
        reasons = await publish_by_us(keeper, "live", "wrong")
        assert reasons == [FailureReason.CHALLENGED] * 2 + [FailureReason.UNAUTHORIZED]
        assert keeper.names == []


async def test_a_server_that_does_not_know_the_user() -> None:
    async with guarded("adobe", "alice", PASSWORD) as keeper:
        reasons = await publish_by_us(keeper, "live", PASSWORD)
        assert reasons == [FailureReason.CHALLENGED, FailureReason.UNAUTHORIZED]


async def test_every_stream_begins_anew() -> None:
    """A challenge is answered once: the next connection of the same sink asks for another one."""
    async with guarded("llnw", USER, PASSWORD) as keeper:
        authenticator = Authenticator(USER, PASSWORD, os.urandom)
        for round_number in (1, 2):
            for _ in range(3):
                publisher = await RtmpPublisher.connect(keeper.port, "program", authenticator=authenticator)
                await publisher.close()
            assert len(keeper.names) == round_number
