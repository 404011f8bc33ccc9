import pytest

from whipway.worker.link import LocalLink
from whipway.worker.messages import (
    DescribeSession,
    EndSession,
    Reply,
    Request,
    SessionDescribed,
    SessionEnded,
    UnknownSession,
)

pytestmark = pytest.mark.anyio


class Handler:
    """Knows one session."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def handle(self, message: Request) -> Reply:
        self.requests.append(message)
        if message.session_id == "one":
            return SessionDescribed("one", {"size": (320, 180)})
        return UnknownSession(message.session_id)


async def test_a_request_gets_the_reply_of_the_worker() -> None:
    link, handler = LocalLink(), Handler()
    link.attach(handler)
    request = DescribeSession("two")
    assert await link.request(request) == UnknownSession("two")
    assert handler.requests == [request]
    assert handler.requests[0] is not request


async def test_replies_cross_as_plain_data() -> None:
    link = LocalLink()
    link.attach(Handler())
    # JSON has no tuples: what a worker in another process could not send is not sent here either.
    assert await link.request(EndSession("one", "deleted")) == SessionDescribed("one", {"size": [320, 180]})


async def test_events_come_in_order_until_the_link_is_closed() -> None:
    link = LocalLink()
    events = [SessionEnded(name, "silence", "", {}) for name in "ab"]
    for event in events:
        link.post_event(event)
    link.close()
    assert [event async for event in link.events()] == events


async def test_an_event_that_is_not_plain_data_fails_where_it_is_made() -> None:
    with pytest.raises(TypeError):
        LocalLink().post_event(SessionEnded("id", "silence", "", {"x": object()}))
