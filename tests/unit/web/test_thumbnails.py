import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from whipway.media.thumbnail import ThumbnailError
from whipway.web import thumbnails as module
from whipway.web.thumbnails import INTERVAL, MAX_AT_A_TIME, Thumbnails

pytestmark = pytest.mark.anyio


class Cameras:
    """Key frames of inputs, and a decoder that is only played."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[tuple[str, str]] = []
        self.keyframes: dict[str, bytes | None | Exception] = {}
        self.at_a_time = 0
        self.most = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self._lock = threading.Lock()

    async def keyframe(self, session_id: str, mid: str) -> bytes | None:
        self.asked.append((session_id, mid))
        found = self.keyframes.get(mid, mid.encode())
        if isinstance(found, Exception):
            raise found
        return found

    def make_jpeg(self, keyframe: bytes) -> bytes:
        with self._lock:
            self.at_a_time += 1
            self.most = max(self.most, self.at_a_time)
        assert self.go_on.wait(5.0)
        with self._lock:
            self.at_a_time -= 1
        if keyframe == b"broken":
            raise ThumbnailError("no picture in it")
        return b"JPEG of " + keyframe


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> Cameras:
    cameras = Cameras()
    monkeypatch.setattr(module, "make_jpeg", cameras.make_jpeg)
    return cameras


@pytest.fixture
def thumbnails(cameras: Cameras) -> Thumbnails:
    return Thumbnails(cameras.keyframe, lambda: cameras.now)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.001)


async def at_once(*asked: Awaitable[bytes | None]) -> list["asyncio.Future[bytes | None]"]:
    """Have all of these begun."""
    tasks = [asyncio.ensure_future(each) for each in asked]
    await asyncio.sleep(0)
    return tasks


async def test_a_picture_is_made_of_the_key_frame(thumbnails: Thumbnails, cameras: Cameras) -> None:
    assert await thumbnails.picture("a", "1") == b"JPEG of 1"
    assert cameras.asked == [("a", "1")]


async def test_there_may_be_none_yet(thumbnails: Thumbnails, cameras: Cameras) -> None:
    cameras.keyframes = {"1": None, "2": b"broken"}
    assert await thumbnails.picture("a", "1") is None
    # What cannot be shown is nothing to see either.
    assert await thumbnails.picture("a", "2") is None


async def test_a_picture_is_good_for_a_while(thumbnails: Thumbnails, cameras: Cameras) -> None:
    cameras.keyframes["1"] = b"old"
    assert await thumbnails.picture("a", "1") == b"JPEG of old"
    cameras.keyframes["1"] = b"new"
    cameras.now += INTERVAL - 0.1
    assert await thumbnails.picture("a", "1") == b"JPEG of old"
    # Of another input, and of another session, it is another one.
    assert await thumbnails.picture("a", "2") == b"JPEG of 2"
    assert await thumbnails.picture("b", "1") == b"JPEG of new"
    cameras.now += 0.1
    assert await thumbnails.picture("a", "1") == b"JPEG of new"
    assert cameras.asked == [("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")]


async def test_who_asks_meanwhile_waits_for_the_same(thumbnails: Thumbnails, cameras: Cameras) -> None:
    cameras.go_on.clear()
    [first] = await at_once(thumbnails.picture("a", "1"))
    await until(lambda: cameras.at_a_time == 1)
    # However long it takes.
    cameras.now += 10 * INTERVAL
    more = await at_once(*(thumbnails.picture("a", "1") for _ in range(5)))
    first.cancel()
    cameras.go_on.set()
    assert await asyncio.gather(*more) == [b"JPEG of 1"] * 5
    assert cameras.asked == [("a", "1")]
    assert first.cancelled()


async def test_few_are_made_at_a_time(thumbnails: Thumbnails, cameras: Cameras) -> None:
    cameras.go_on.clear()
    tasks = await at_once(*(thumbnails.picture("a", f"{number}") for number in range(6)))
    await until(lambda: cameras.at_a_time == MAX_AT_A_TIME)
    # Who has left does not make room for others: the thread is still at work.
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    assert len(cameras.asked) == MAX_AT_A_TIME
    cameras.go_on.set()
    assert await asyncio.gather(*tasks[1:]) == [f"JPEG of {number}".encode() for number in range(1, 6)]
    assert cameras.most == MAX_AT_A_TIME


async def test_an_error_is_for_who_has_asked(thumbnails: Thumbnails, cameras: Cameras) -> None:
    cameras.keyframes["1"] = LookupError("no such input")
    tasks = await at_once(thumbnails.picture("a", "1"), thumbnails.picture("a", "1"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in outcomes] == [LookupError] * 2
    cameras.keyframes["1"] = b"there"
    assert await thumbnails.picture("a", "1") == b"JPEG of there"
    assert cameras.asked == [("a", "1")] * 2


async def test_an_error_takes_nothing_from_those_after_it(thumbnails: Thumbnails, cameras: Cameras) -> None:
    """Told in the very moment in which somebody asks anew."""
    cameras.keyframes["1"] = LookupError("no such input")
    [task] = await at_once(thumbnails.picture("a", "1"))
    failed = thumbnails._made["a", "1"].picture
    cameras.now += INTERVAL
    with pytest.raises(LookupError):
        await task
    cameras.keyframes["1"] = b"there"
    assert await thumbnails.picture("a", "1") == b"JPEG of there"
    thumbnails._drop_failed(("a", "1"), failed)
    assert await thumbnails.picture("a", "1") == b"JPEG of there"
    assert cameras.asked == [("a", "1")] * 2


async def test_an_error_may_come_late(thumbnails: Thumbnails, cameras: Cameras) -> None:
    """Told when it is forgotten: somebody asked for another input in the moment in which it was known."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    cameras.keyframes["1"] = LookupError("no such input")
    [failed] = await at_once(thumbnails.picture("a", "1"))
    # It runs behind the task that fails, ahead of what is told of that.
    [other] = await at_once(later(thumbnails, cameras))
    assert await other == b"JPEG of 2"
    with pytest.raises(LookupError):
        await failed
    assert told == []


async def later(thumbnails: Thumbnails, cameras: Cameras) -> bytes | None:
    cameras.now += INTERVAL
    return await thumbnails.picture("a", "2")


async def test_old_pictures_are_not_kept(thumbnails: Thumbnails, cameras: Cameras) -> None:
    for number in range(100):
        await thumbnails.picture("a", f"{number}")
        cameras.now += 0.5
    assert len(thumbnails._made) == INTERVAL / 0.5
    # Nor is an old one shown behind one that takes its time.
    cameras.go_on.clear()
    cameras.now += INTERVAL
    [slow] = await at_once(thumbnails.picture("a", "slow"))
    await until(lambda: cameras.at_a_time == 1)
    cameras.keyframes["1"] = None
    assert await thumbnails.picture("a", "1") is None
    cameras.keyframes["1"] = LookupError("it is asked for again")
    cameras.now += INTERVAL
    with pytest.raises(LookupError):
        await thumbnails.picture("a", "1")
    cameras.go_on.set()
    assert await slow == b"JPEG of slow"
