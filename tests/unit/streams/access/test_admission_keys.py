"""Keys of the APIs as bearer tokens, beside the other ways that an admission knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.peers.http_server import HttpServer, http_server
from tests.unit.streams.access.key_parts import KeyParts, key_parts
from tests.unit.streams.access.test_admission import SECRET, URL, attempt, entry, refusal, signed

from whipway.config.tree import AuthSettings
from whipway.streams.access.admission import ANONYMOUS, Admission, NotAllowed, make_admission, without_key
from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.access.rights import Principal
from whipway.streams.records import Role, StreamRecord

pytestmark = pytest.mark.anyio

UNKNOWN = "wk_" + "A" * 43


class OneStream:
    """All streams that there are."""

    def __init__(self, record: StreamRecord) -> None:
        self._record = record

    async def get(self, id: str) -> StreamRecord | None:
        return self._record if id == self._record.id else None


@asynccontextmanager
async def admitting(**settings: Any) -> AsyncIterator[tuple[Admission, KeyParts]]:
    async with key_parts("sqlite") as parts:
        tokens = KeyTokens(parts.ring, OneStream(await parts.stream("one")))
        admission = make_admission(AuthSettings(**settings), keys=tokens)
        assert admission is not None
        try:
            yield admission, parts
        finally:
            await admission.close()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


async def test_keys_alone_ask_nobody_for_anything() -> None:
    """Whether anybody has to say who they are is for the settings to say."""
    async with key_parts("sqlite") as parts:
        tokens = KeyTokens(parts.ring, OneStream(await parts.stream()))
        assert make_admission(AuthSettings(enabled="on"), keys=tokens) is None
        assert make_admission(AuthSettings(enabled="off", jwt_secret=SECRET), keys=tokens) is None


@pytest.mark.parametrize("way", ["tokens", "jwt_secret", "callback"])
async def test_a_key_is_as_good_as_a_token(way: str) -> None:
    value = {"tokens": [entry("t0ken", "two")], "jwt_secret": SECRET, "callback": "http://127.0.0.1:9/"}[way]
    async with admitting(**{way: value}) as (admission, parts):
        user, _ = await parts.ring.create("Ada", Role.USER)
        publisher, _ = await parts.ring.create("OBS", Role.PUBLISHER, stream_id="id-of-one")
        assert await admission.authenticate(user) == Principal(("*",))
        assert await admission.authenticate(publisher) == Principal(("one",))


async def test_a_publishers_key_is_for_its_stream() -> None:
    async with admitting(jwt_secret=SECRET) as (admission, parts):
        key, _ = await parts.ring.create("OBS", Role.PUBLISHER, stream_id="id-of-one")
        principal = await admission.authenticate(key)
        await admission.authorize(principal, attempt("one?key=x", bearer=key))
        assert admission.may_manage(principal, "one", URL)
        with pytest.raises(NotAllowed, match="of this name"):
            await admission.authorize(principal, attempt("two", bearer=key))


@pytest.mark.parametrize("role", [Role.READ_ONLY, Role.PLAYER])
@pytest.mark.parametrize("way", ["tokens", "callback"])
async def test_keys_to_look_with_publish_nothing(role: Role, way: str) -> None:
    value = {"tokens": [entry("t0ken", "*")], "callback": "http://127.0.0.1:9/"}[way]
    async with admitting(**{way: value}) as (admission, parts):
        key, _ = await parts.ring.create("Ada", role)
        for bearer in (key, UNKNOWN):
            error = await refusal(admission, bearer)
            assert error.sent and bearer not in error.detail


async def test_a_revoked_key() -> None:
    async with admitting(jwt_secret=SECRET) as (admission, parts):
        bearer, key = await parts.ring.create("Ada", Role.USER)
        await admission.authenticate(bearer)
        await parts.ring.revoke(key.id)
        assert (await refusal(admission, bearer)).sent


async def test_other_tokens_are_as_good_as_before() -> None:
    async with admitting(jwt_secret=SECRET, tokens=[entry("wk_short", "two")]) as (admission, _):
        assert await admission.authenticate(signed()) == Principal(("one",))
        assert await admission.authenticate("wk_short") == Principal(("two",))
        assert not (await refusal(admission, None)).sent


async def test_without_keys_a_token_may_look_like_one() -> None:
    admission = make_admission(AuthSettings(tokens=[entry(UNKNOWN, "two")]))
    assert admission is not None
    assert await admission.authenticate(UNKNOWN) == Principal(("two",))


async def test_the_callback_never_sees_a_key(server: HttpServer) -> None:
    async with admitting(callback=server.url) as (admission, parts):
        key, _ = await parts.ring.create("Ada", Role.ADMIN)
        await admission.authorize(await admission.authenticate(key), attempt(bearer=key))
        await admission.authorize(ANONYMOUS, attempt(bearer="theirs"))
        assert await admission.authenticate(None) == await admission.authenticate("theirs") == ANONYMOUS
    first, second = server.requests
    assert "authorization" not in first.headers and key not in str(vars(first))
    assert second.headers["authorization"] == "Bearer theirs"


def test_an_attempt_as_others_see_it() -> None:
    assert without_key(attempt(bearer=UNKNOWN)) == attempt()
    for bearer in (None, "theirs", UNKNOWN + "A"):
        assert without_key(attempt(bearer=bearer)) == attempt(bearer=bearer)
