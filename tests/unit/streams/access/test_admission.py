import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from tests.peers.http_server import HttpServer, http_server

from whipway.config.tree import AuthSettings, Token
from whipway.streams.access import admission as module
from whipway.streams.access.admission import (
    ANONYMOUS,
    Admission,
    NotAllowed,
    NotAuthenticated,
    Principal,
    PublishAttempt,
    make_admission,
    unix_time,
)

pytestmark = pytest.mark.anyio

SECRET = "a shared secret of enough characters"
EC = ec.generate_private_key(ec.SECP256R1())
JWKS = json.dumps({"keys": [ECAlgorithm.to_jwk(EC.public_key(), as_dict=True)]})
URL = "rtmp://host/live"


def entry(token: str, *streams: str) -> Token:
    return Token(hash="sha256:" + hashlib.sha256(token.encode()).hexdigest(), streams=list(streams))


def attempt(name: str = "one", url: str = URL, bearer: str | None = None) -> PublishAttempt:
    return PublishAttempt(name, url, "192.0.2.7", bearer)


@asynccontextmanager
async def admitting(extra: tuple[Token, ...] = (), **settings: Any) -> AsyncIterator[Admission]:
    admission = make_admission(AuthSettings(**settings), extra_tokens=extra)
    assert admission is not None
    try:
        yield admission
    finally:
        await admission.close()


def signed(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"exp": unix_time() + 60, "stream_name": "one"} | claims, key, algorithm)


async def refusal(admission: Admission, bearer: str | None) -> NotAuthenticated:
    with pytest.raises(NotAuthenticated) as caught:
        await admission.authenticate(bearer)
    return caught.value


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


# What is set up


def test_nothing_set_up_is_no_admission() -> None:
    assert make_admission(AuthSettings()) is None
    assert make_admission(AuthSettings(enabled="on", jwt_issuer="x")) is None
    assert make_admission(AuthSettings(enabled="off", tokens=[entry("a", "*")]), extra_tokens=()) is None
    assert make_admission(AuthSettings(enabled="off"), extra_tokens=[entry("a", "*")]) is None


async def test_a_token_of_this_run_is_enough() -> None:
    async with admitting((entry("t0ken", "*"),), enabled="on") as admission:
        assert await admission.authenticate("t0ken") == Principal(("*",))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"jwks": "/no/such/file"}, "cannot be read: No such file or directory"),
        ({"jwks": "https:///keys"}, "is a URL that names no host"),
        ({"jwt_secret": JWKS}, "this is where a public key belongs, not auth.jwt_secret"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        make_admission(AuthSettings(**settings))


# Who it is


async def test_static_tokens() -> None:
    async with admitting(tokens=[entry("t0ken", "one")]) as admission:
        assert await admission.authenticate("t0ken") == Principal(("one",))
        assert (await refusal(admission, "another")).sent
        assert not (await refusal(admission, None)).sent
        # It looks like a JSON Web Token, but there is no other way than the static one.
        assert "not known" in (await refusal(admission, signed())).detail


async def test_json_web_tokens() -> None:
    async with admitting(jwt_secret=SECRET, jwt_issuer="id", jwt_audience="whip") as admission:
        assert await admission.authenticate(signed(iss="id", aud="whip")) == Principal(("one",))
        assert "issuer" in (await refusal(admission, signed(aud="whip"))).detail
        assert "audience" in (await refusal(admission, signed(iss="id"))).detail
        assert "not known" in (await refusal(admission, "t0ken")).detail
        assert not (await refusal(admission, None)).sent


async def test_either_is_enough() -> None:
    dotted = "static.with.dots"
    async with admitting(tokens=[entry("t0ken", "two"), entry(dotted, "*")], jwt_secret=SECRET) as admission:
        assert await admission.authenticate("t0ken") == Principal(("two",))
        assert await admission.authenticate(signed()) == Principal(("one",))
        assert "JSON Web Token" in (await refusal(admission, dotted)).detail


async def test_time_is_what_it_is_told() -> None:
    admission = make_admission(AuthSettings(jwt_secret=SECRET), now=lambda: unix_time() + 3600)
    assert admission is not None
    assert "expired" in (await refusal(admission, signed())).detail


async def test_keys_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(JWKS)
    async with admitting(jwks=str(tmp_path / "keys.json")) as admission:
        assert await admission.authenticate(signed(EC, "ES256")) == Principal(("one",))
        assert "not accepted" in (await refusal(admission, signed())).detail


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
async def test_keys_from_a_url(server: HttpServer, scheme: str) -> None:
    server.body = JWKS.encode()
    async with admitting(jwks=server.url.replace("http", scheme, 1)) as admission:
        assert await admission.authenticate(signed(EC, "ES256")) == Principal(("one",))


@pytest.mark.parametrize("bearer", ["a" * 8193, "a." * 2 + "a" * 8190, "tökén", "\ud800"])
@pytest.mark.parametrize("way", ["tokens", "jwt_secret", "callback"])
async def test_tokens_that_are_not_read(bearer: str, way: str) -> None:
    value = {"tokens": [entry("a", "*")], "jwt_secret": SECRET, "callback": "http://127.0.0.1:9/"}[way]
    async with admitting(**{way: value}) as admission:
        error = await refusal(admission, bearer)
        assert error.sent and "cannot be read" in error.detail


async def test_the_longest_token_is_read() -> None:
    long = "a" * 8192
    async with admitting(tokens=[entry(long, "*")]) as admission:
        assert await admission.authenticate(long) == Principal(("*",))


# What they may


async def test_a_token_is_for_its_streams() -> None:
    async with admitting(tokens=[entry("t0ken", "one", "studio-*")]) as admission:
        principal = await admission.authenticate("t0ken")
        for name in ("one", "one?key=x", "studio-7"):
            await admission.authorize(principal, attempt(name))
            assert admission.may_manage(principal, name, URL)
        for name in ("two", "two?one", "studio"):
            with pytest.raises(NotAllowed) as caught:
                await admission.authorize(principal, attempt(name))
            assert "of this name" in caught.value.detail
            assert not admission.may_manage(principal, name, URL)


@pytest.mark.parametrize("way", ["static", "jwt"])
async def test_a_stream_has_one_name_however_it_is_written(way: str) -> None:
    """`cam` at `…/live/team` is where players find `team/cam` at `…/live`."""
    inside = "rtmp://host/live/team"
    settings = {"tokens": [entry("t0ken", "cam")]} if way == "static" else {"jwt_secret": SECRET}
    async with admitting(**settings) as admission:
        bearer = "t0ken" if way == "static" else signed(stream_name="cam")
        principal = await admission.authenticate(bearer)
        await admission.authorize(principal, attempt("cam"))
        with pytest.raises(NotAllowed, match="of this name") as caught:
            await admission.authorize(principal, attempt("cam", url=inside))
        assert caught.value.wants_scope
        assert not admission.may_manage(principal, "cam", inside)


async def test_a_token_may_be_for_one_target() -> None:
    async with admitting(jwt_secret=SECRET) as admission:
        principal = await admission.authenticate(signed(stream_url=URL))
        await admission.authorize(principal, attempt(url="rtmp://host:1935/live?x"))
        assert admission.may_manage(principal, "one", URL)
        with pytest.raises(NotAllowed, match="stream_url"):
            await admission.authorize(principal, attempt(url="rtmp://host/other"))
        assert not admission.may_manage(principal, "one", "rtmp://host/other")


# The callback


@pytest.mark.parametrize("bearer", [None, "anything", "a.b.c"])
async def test_with_a_callback_alone_it_decides(server: HttpServer, bearer: str | None) -> None:
    async with admitting(callback=server.url) as admission:
        principal = await admission.authenticate(bearer)
        assert principal == ANONYMOUS and principal.is_anonymous
        await admission.authorize(principal, attempt(bearer=bearer))
        server.status = 403
        with pytest.raises(NotAllowed, match="refused"):
            await admission.authorize(principal, attempt(bearer=bearer))
    assert [request.headers.get("authorization") for request in server.requests] == [
        bearer and f"Bearer {bearer}"
    ] * 2


async def test_token_and_callback_must_agree(server: HttpServer) -> None:
    async with admitting(callback=server.url, tokens=[entry("t0ken", "one")]) as admission:
        principal = await admission.authenticate("t0ken")
        assert not principal.is_anonymous
        with pytest.raises(NotAllowed, match="of this name"):
            await admission.authorize(principal, attempt("two"))
        assert server.requests == []
        await admission.authorize(principal, attempt())
        server.status = 500
        with pytest.raises(NotAllowed, match="refused"):
            await admission.authorize(principal, attempt())
        # Nobody is asked about sessions that are there.
        assert admission.may_manage(principal, "one", URL) and len(server.requests) == 2


async def test_so_many_are_asked_at_a_time(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 3)
    async with admitting(callback=server.url) as admission:
        server.is_open.clear()
        asking = [asyncio.create_task(admission.authorize(ANONYMOUS, attempt())) for _ in range(8)]
        while len(server.requests) < 3:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(server.requests) == 3
        server.is_open.set()
        await asyncio.gather(*asking)
    assert len(server.requests) == 8


async def test_nothing_of_the_environment_or_of_earlier_answers_takes_part(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.headers = {"Set-Cookie": "kept=1; Path=/"}
    async with admitting(callback=server.url) as admission:
        await admission.authorize(ANONYMOUS, attempt())
        await admission.authorize(ANONYMOUS, attempt())
    assert len(server.requests) == 2
    assert all("cookie" not in request.headers for request in server.requests)
