"""Bodies of WHIP requests: their media types, sizes and codings, for offers and for fragments."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.web.served import ENDPOINT, FRAGMENT_TYPE, OFFER, QUERY, Served, assert_problem

from whipway.web import bodies
from whipway.web.bodies import MAX_FRAGMENT_BYTES, MAX_OFFER_BYTES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "content_type",
    [
        "application/sdp",
        "Application/SDP",
        "application/sdp; charset=utf-8",
        'application/sdp; note="text/html; x"',
        "text/plain",
        "text/plain;charset=UTF-8",
    ],
)
async def test_content_types_of_an_offer(served: Served, content_type: str) -> None:
    assert (await served.post(Content_Type=content_type)).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", FRAGMENT_TYPE, "sdp", "application/sdp+x", "application/sdp, text/plain"],
)
async def test_other_content_types(served: Served, content_type: str) -> None:
    response = await served.post(Content_Type=content_type)
    problem = assert_problem(response, 415, "unsupported_media_type")
    assert "application/sdp" in problem["detail"]
    assert response.headers["accept-post"] == "application/sdp"
    assert served.is_empty


@pytest.mark.parametrize(
    "types", [[], ["application/sdp", "application/sdp"], ["application/sdp", "text/html"]]
)
async def test_one_content_type_and_no_more(served: Served, types: list[str]) -> None:
    headers = [("Content-Type", each) for each in types]
    response = await served.http.post(f"{ENDPOINT}?{QUERY}", content=OFFER.encode(), headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "identity, gzip", "br", "x"])
async def test_coded_bodies(served: Served, coding: str) -> None:
    response = await served.post(Content_Encoding=coding)
    assert_problem(response, 415, "unsupported_media_type")
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
async def test_bodies_that_are_coded_by_name_alone(served: Served, coding: str) -> None:
    assert (await served.post(Content_Encoding=coding)).status_code == 201


def padded(size: int) -> bytes:
    """An offer of this many bytes."""
    line = b"a=x-padding:" + b"x" * 500 + b"\r\n"
    offer = OFFER.encode() + line * ((size - len(OFFER) - 600) // len(line))
    rest = size - len(offer) - len(b"a=x-padding:\r\n")
    return offer + b"a=x-padding:" + b"x" * rest + b"\r\n"


async def test_the_largest_offer(served: Served) -> None:
    offer = padded(MAX_OFFER_BYTES)
    assert len(offer) == MAX_OFFER_BYTES
    assert (await served.post(content=offer)).status_code == 201


async def test_a_larger_offer(served: Served) -> None:
    problem = assert_problem(await served.post(content=padded(MAX_OFFER_BYTES + 1)), 413, "body_too_large")
    assert str(MAX_OFFER_BYTES) in problem["detail"]
    assert served.is_empty


async def test_a_larger_fragment(served: Served) -> None:
    path = await served.session()
    problem = assert_problem(await served.patch(path, b"x" * (MAX_FRAGMENT_BYTES + 1)), 413, "body_too_large")
    assert str(MAX_FRAGMENT_BYTES) in problem["detail"]


class Endless:
    """A body that does not end, and counts what was taken of it."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 10_000
            yield b"x" * 10_000


async def test_a_body_without_end_is_not_read_to_the_end(served: Served) -> None:
    body = Endless()
    assert_problem(await served.post(content=body), 413, "body_too_large")
    assert body.sent <= MAX_OFFER_BYTES + 2 * 10_000
    assert served.is_empty


@pytest.mark.parametrize("length", [MAX_OFFER_BYTES + 1, 10**17, "9" * 5000])
async def test_a_body_that_says_it_is_too_large_is_not_read(served: Served, length: int | str) -> None:
    body = Endless()
    assert_problem(await served.post(content=body, Content_Length=str(length)), 413, "body_too_large")
    assert body.sent <= 10_000


@pytest.mark.parametrize("length", ["", "x", "-1", "\u0661", "1.5"])
async def test_a_length_that_is_none_says_nothing(served: Served, length: str) -> None:
    response = await served.post(Content_Length=length.encode())
    assert response.status_code == 201


async def test_a_client_that_leaves(served: Served) -> None:
    """Nobody has the answer, but the log is not to call it a bug."""
    request = {
        "type": "http",
        "method": "POST",
        "path": ENDPOINT,
        "query_string": QUERY.encode(),
        "headers": [(b"content-type", b"application/sdp")],
        "scheme": "http",
        "client": None,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await served.app(request, receive, send)
    assert sent[0]["status"] == 408


async def test_a_slow_body(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"v=0\r\n"
        await asyncio.Event().wait()

    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.01)
    response = await served.post(content=stalled())
    problem = assert_problem(response, 408, "body_too_slow")
    assert "offer" in problem["detail"]
    assert response.headers["connection"] == "close"
