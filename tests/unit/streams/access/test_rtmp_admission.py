import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.http_server import http_server
from tests.peers.waiting import until

from whipway.config.tree import AuthSettings, Token
from whipway.origin.publishers import PublishClaim
from whipway.streams.access import rtmp_admission
from whipway.streams.access.admission import make_admission
from whipway.streams.access.rights import NotAuthenticated
from whipway.streams.access.rtmp_admission import Refusal, RtmpAdmission, take_token

pytestmark = pytest.mark.anyio

OWN = "rtmp://127.0.0.1:1935/live"
CLIENT = "192.0.2.7"
WITHOUT = "A token is required, as in NAME?token=TOKEN"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def entry(token: str, *streams: str) -> Token:
    return Token(hash="sha256:" + hashlib.sha256(token.encode()).hexdigest(), streams=list(streams))


@asynccontextmanager
async def admitting(*tokens: Token, stream_url: str = OWN, **settings: Any) -> AsyncIterator[RtmpAdmission]:
    admission = make_admission(AuthSettings(**settings), extra_tokens=tokens)
    assert admission is not None
    try:
        yield RtmpAdmission(admission, stream_url)
    finally:
        await admission.close()


def claim(name: str = "cam", query: str = "", app: str = "live") -> PublishClaim:
    return PublishClaim(app, name, query, CLIENT)


@pytest.mark.parametrize(
    ("query", "token", "others"),
    [
        ("", None, ""),
        ("token=abc", "abc", ""),
        ("token=", "", ""),
        ("token", "", ""),
        ("a=1&token=abc&b=%20+&&c", "abc", "a=1&b=%20+&&c"),
        ("token=a%2Bb+c%3D=", "a+b+c==", ""),
        ("%74oken=abc", "abc", ""),
        ("Token=abc&tokens=x", None, "Token=abc&tokens=x"),
    ],
)
def test_the_token_is_taken_out(query: str, token: str | None, others: str) -> None:
    assert take_token(query) == (token, others)


def test_more_than_one_token_is_no_token() -> None:
    with pytest.raises(NotAuthenticated):
        take_token("token=a&token=a")


@given(st.lists(st.text(st.characters(exclude_characters="&"), max_size=8)))
def test_other_arguments_stay_as_they_are(parts: list[str]) -> None:
    query = "&".join(f"_{part}" for part in parts)
    assert take_token(query) == (None, query)
    assert take_token(f"{query}&token=x") == ("x", query)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (claim(query="token=good"), None),
        (claim("cam-2", "x=1&token=good"), None),
        # What follows the first part of the application counts as the name.
        (claim("cam", "token=team", app="live/team"), None),
        (claim("team/cam", "token=team"), None),
        (claim(), WITHOUT),
        (claim(query="key=good"), WITHOUT),
        (claim(query="token=bad"), "The bearer token is not known here"),
        (claim(query="token=%C3%A9"), "The bearer token cannot be read"),
        (claim(query="token=good&token=good"), "There is more than one token"),
        (claim("other", "token=good"), "The bearer token is not for a stream of this name"),
        (claim("cam", "token=good", app="live/team"), "The bearer token is not for a stream of this name"),
    ],
)
async def test_tokens_decide_as_they_do_for_whip(given: PublishClaim, refusal: str | None) -> None:
    async with admitting(entry("good", "cam", "cam-*"), entry("team", "team/*")) as ask:
        assert await ask(given) == (refusal and Refusal(refusal))


@pytest.mark.parametrize(
    "given",
    [
        claim(app=""),
        # URLs of these would be those of another application.
        claim(app="live/"),
        claim(app="/live"),
        claim(app="live//"),
        claim(app="a#b"),
        claim(app="a b"),
        claim(app="x" * 3000),
        claim("two words"),
        claim("x" * 2000),
        claim(query="a=\x07"),
    ],
)
async def test_what_whip_would_not_take_is_refused(given: PublishClaim) -> None:
    async with http_server() as callback, admitting(callback=callback.url) as ask:
        assert await ask(given) == Refusal("The application, the name or its arguments cannot be used")
        assert callback.requests == []


async def test_the_callback_is_asked_with_the_arguments_unchanged() -> None:
    async with http_server() as callback, admitting(entry("good", "*"), callback=callback.url) as ask:
        assert await ask(claim(query="passcode=ab%2Bc&token=good&empty=", app="rec")) is None
        [asked] = callback.requests
        form = dict(asked.form)
        assert form.pop("clientid")
        assert form == {
            "call": "publish",
            "name": "cam",
            "app": "rec",
            "addr": CLIENT,
            "tcurl": "rtmp://127.0.0.1:1935/rec",
            "type": "live",
            "passcode": "ab+c",
            "empty": "",
        }
        assert asked.headers["authorization"] == "Bearer good"
        callback.status = 403
        refusal = await ask(claim(query="token=good"))
        assert refusal is not None and "status 403" in refusal.detail and refusal.is_final


async def test_a_callback_alone_hears_of_everybody() -> None:
    async with http_server() as callback, admitting(callback=callback.url) as ask:
        assert await ask(claim()) is None
        assert "authorization" not in callback.requests[0].headers


@pytest.mark.parametrize(
    ("own", "app", "url"),
    [
        ("rtmp://127.0.0.1:1935/live", "live", "rtmp://127.0.0.1:1935/live"),
        ("rtmp://[::1]:1935/live", "live/live", "rtmp://[::1]:1935/live/live"),
        ("rtmp://live:1935/live", "rec", "rtmp://live:1935/rec"),
    ],
)
async def test_the_stream_url_is_the_origin_s_own(own: str, app: str, url: str) -> None:
    async with http_server() as callback, admitting(callback=callback.url, stream_url=own) as ask:
        assert await ask(claim(app=app)) is None
        assert dict(callback.requests[0].form)["tcurl"] == url


async def test_who_comes_too_often_may_come_later() -> None:
    addresses: list[str] = []

    def wait(address: str, _: float) -> float:
        addresses.append(address)
        return 1.5 * (len(addresses) > 1)

    async with http_server() as callback:
        admission = make_admission(AuthSettings(callback=callback.url))
        assert admission is not None
        ask = RtmpAdmission(admission, OWN, wait)
        assert await ask(claim()) is None
        refusal = Refusal("Too many publishers come from this address; try again in 2 s", is_final=False)
        assert await ask(claim()) == refusal
        assert addresses == [CLIENT, CLIENT]
        assert len(callback.requests) == 1
        await admission.close()


async def test_some_calls_are_kept_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp_admission, "MAX_RTMP_CALLS", 2)
    async with http_server() as callback, admitting(callback=callback.url) as ask:
        callback.is_open.clear()
        asking = [asyncio.create_task(ask(claim(f"cam-{number}"))) for number in range(4)]
        await until(lambda: len(callback.requests) == 2)
        await asyncio.sleep(0.02)
        assert len(callback.requests) == 2
        callback.is_open.set()
        assert await asyncio.gather(*asking) == [None] * 4
        assert len(callback.requests) == 4
