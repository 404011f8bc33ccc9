"""Small pictures of inputs, made where they are asked for: the last key frame of an input as JPEG.

Decoding takes some 20 ms of a core, so it runs in a thread, for two pictures at a time, and for one input not
more often than a page needs it: who asks in between gets the same picture, or waits for the one that is being
made. Nothing is made that nobody asks for.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from whipway.media.thumbnail import ThumbnailError, make_jpeg

INTERVAL = 2.0
"""Seconds for which a picture is good."""
MAX_AT_A_TIME = 2

KeyframeSource = Callable[[str, str], Awaitable[bytes | None]]
"""The last key frame of a session's input, of which the mid is told; None: there is none yet."""


class _Made(NamedTuple):
    begun_at: float
    picture: asyncio.Task[bytes | None]

    def is_good(self, now: float) -> bool:
        return not self.picture.done() or now - self.begun_at < INTERVAL


class Thumbnails:
    """Makes pictures of what `keyframe` gives. Whoever asks has been found to have the right to."""

    def __init__(self, keyframe: KeyframeSource, now: Callable[[], float] = time.monotonic) -> None:
        self._keyframe = keyframe
        self._now = now
        self._places = asyncio.Semaphore(MAX_AT_A_TIME)
        self._made: OrderedDict[tuple[str, str], _Made] = OrderedDict()
        """In the order in which they were begun."""

    async def picture(self, session_id: str, mid: str) -> bytes | None:
        """An input as JPEG; None: there is nothing to be seen of it yet. Raises what `keyframe` does."""
        now, key = self._now(), (session_id, mid)
        self._forget(now)
        made = self._made.get(key)
        if made is None or not made.is_good(now):
            made = _Made(now, asyncio.create_task(self._make(session_id, mid), name="thumbnail"))
            made.picture.add_done_callback(lambda picture: self._drop_failed(key, picture))
            self._made[key] = made
            self._made.move_to_end(key)
        # Shielded: others may be waiting for it as well.
        return await asyncio.shield(made.picture)

    async def _make(self, session_id: str, mid: str) -> bytes | None:
        async with self._places:
            keyframe = await self._keyframe(session_id, mid)
            if keyframe is None:
                return None
            try:
                return await asyncio.to_thread(make_jpeg, keyframe)
            except ThumbnailError:
                return None

    def _drop_failed(self, key: tuple[str, str], picture: asyncio.Task[bytes | None]) -> None:
        """An error is for those who have asked so far. It may be forgotten by now, or another one be made."""
        has_failed = picture.cancelled() or picture.exception() is not None
        made = self._made.get(key)
        if has_failed and made is not None and made.picture is picture:
            del self._made[key]

    def _forget(self, now: float) -> None:
        """Drop what is too old, from the oldest on: what is left is what two seconds can bring."""
        while self._made:
            key, oldest = next(iter(self._made.items()))
            if oldest.is_good(now):
                break
            del self._made[key]
