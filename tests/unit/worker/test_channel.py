import asyncio
import socket

import pytest

from whipway.worker.channel import EVENT, Channel, Frame

pytestmark = pytest.mark.anyio


async def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return await Channel.open(one), await Channel.open(other)


async def received(channel: Channel) -> list[Frame]:
    async with asyncio.timeout(5):
        return [frame async for frame in channel.frames()]


async def test_frames_come_whole_and_in_order() -> None:
    one, other = await pair()
    sent = [Frame(EVENT, b"{}"), Frame(7, b""), Frame(2**32 - 1, bytes(300_000))]
    for frame in sent:
        one.send(*frame)
    one.close()
    assert await received(other) == sent
    other.close()


@pytest.mark.parametrize("cut", [b"", b"\0\0\0", b"\0\0\0\x09\0\0\0\x01abc"])
async def test_a_frame_that_breaks_off_is_none(cut: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours)
    with theirs:
        theirs.sendall(b"\0\0\0\x01\0\0\0\x02x" + cut)
    assert await received(channel) == [Frame(2, b"x")]
    channel.close()


async def test_what_is_sent_to_nobody_is_lost_quietly() -> None:
    one, other = await pair()
    other.close()
    assert await received(one) == []
    one.close()
    one.send(EVENT, b"{}")
    one.close()
