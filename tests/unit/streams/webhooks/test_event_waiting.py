import asyncio

import pytest

from whipway.streams.webhooks.event_waiting import set_within

pytestmark = pytest.mark.anyio


async def test_an_event_is_waited_for_but_not_for_ever() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await set_within(event, 5.0)
    assert await set_within(event, 0.0)
