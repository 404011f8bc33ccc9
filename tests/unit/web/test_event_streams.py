"""How event streams are written; `test_status_stream` has readers that leave, stall and come too many."""

import asyncio
from contextlib import aclosing, nullcontext
from typing import Any

import pytest

from whipway.web import event_streams
from whipway.web.event_streams import COMMENT, Events, EventStream, with_pulse, write_event

pytestmark = pytest.mark.anyio


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


class Source:
    """Yields what is put into `queue` until there is None, and notes its end."""

    def __init__(self, *events: bytes | None) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_over = False
        for event in events:
            self.queue.put_nowait(event)

    async def events(self) -> Events:
        try:
            while (event := await self.queue.get()) is not None:
                yield event
        finally:
            self.is_over = True


async def answer(events: Events) -> list[Any]:
    """What is sent to a client that stays."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    await EventStream(events, nullcontext())({"type": "http"}, receive, send)
    return messages


@pytest.mark.parametrize(
    ("event_id", "written"),
    [
        (None, b'event: stream.live\ndata: {"name": "M\\u00fcnchen\\n"}\n\n'),
        ("a-7", b'id: a-7\nevent: stream.live\ndata: {"name": "M\\u00fcnchen\\n"}\n\n'),
    ],
)
def test_an_event_as_it_stands_in_a_stream(event_id: str | None, written: bytes) -> None:
    assert write_event("stream.live", {"name": "München\n"}, event_id) == written


def test_what_is_no_number_is_a_bug() -> None:
    with pytest.raises(ValueError):
        write_event("status", {"rate": float("nan")})


async def test_events_make_an_answer() -> None:
    messages = await answer(Source(b"one", b"two", None).events())
    assert messages[0]["status"] == 200
    assert [each["body"] for each in messages[1:]] == [b"retry: 2000\n\n", b"one", b"two", b""]
    assert [each["more_body"] for each in messages[1:]] == [True, True, True, False]


async def test_no_events_are_an_answer_too() -> None:
    messages = await answer(Source(None).events())
    assert messages[0]["status"] == 200
    assert b"".join(each["body"] for each in messages[1:]) == b"retry: 2000\n\n"


async def test_a_pulse_leaves_events_as_they_are() -> None:
    source = Source(b"one", b"two", None)
    assert [each async for each in with_pulse(source.events(), no)] == [b"one", b"two"]
    assert source.is_over


async def test_comments_where_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.01)
    source = Source()
    async with aclosing(with_pulse(source.events(), yes)) as events:
        assert [await anext(events), await anext(events)] == [COMMENT, COMMENT]
        # What the comments came in place of is not lost.
        source.queue.put_nowait(b"one")
        rest = [await anext(events)]
        while rest[-1] == COMMENT:
            rest.append(await anext(events))
        assert rest[-1] == b"one"
    assert source.is_over


async def test_comments_between_events_that_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.0)
    source = Source(b"one", None)
    async with aclosing(with_pulse(source.events(), yes)) as events:
        assert await anext(events) == COMMENT


async def test_who_may_no_longer_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.01)
    source = Source()
    assert [each async for each in with_pulse(source.events(), no)] == []
    assert source.is_over


async def test_an_error_of_the_source_goes_on() -> None:
    async def failing() -> Events:
        yield b"one"
        raise LookupError

    events = with_pulse(failing(), yes)
    assert await anext(events) == b"one"
    with pytest.raises(LookupError):
        await anext(events)
