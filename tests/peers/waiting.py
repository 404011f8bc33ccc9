"""Waiting for something to become true, never for time to pass."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.002


async def until(condition: Callable[[], T], timeout: float = 5.0) -> T:
    """Return the first true value of `condition`; TimeoutError when there is none in time."""
    async with asyncio.timeout(timeout):
        while not (value := condition()):
            await asyncio.sleep(POLL_INTERVAL)
    return value
