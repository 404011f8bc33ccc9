"""Who may do what, by which header."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from tests.web.bintu.api import (
    ORGANISATION,
    STREAM,
    assert_denied,
    assert_no_key,
    assert_refused,
    client,
    create,
    key,
    succeeded,
)
from tests.web.served import Served
from tests.web.v1.api import on_both

from whipway.streams.access.keys import KeyRing
from whipway.streams.records import Role, utc_now
from whipway.streams.store.key_rows import KeyStore
from whipway.web.bintu.callers import API_KEY, PLAYER_KEY, TOKEN

pytestmark = pytest.mark.anyio

BEARER = "Authorization"
EDITING = [
    ("POST", STREAM),
    ("PUT", f"{STREAM}/ID/tag"),
    ("PUT", f"{STREAM}/ID/push_url"),
]
CONTROLLING = [
    ("PUT", f"{STREAM}/ID/stop"),
    ("PUT", f"{STREAM}/ID/lock"),
    ("PUT", f"{STREAM}/ID/unlock"),
    ("DELETE", f"{STREAM}/ID"),
]
MANAGING = [("PUT", f"{ORGANISATION}/webhook")]
VIEWING = [("GET", ORGANISATION), ("POST", f"{STREAM}/validate"), ("GET", STREAM)]
ALL = [*EDITING, *CONTROLLING, *MANAGING, *VIEWING]
BODIES = {
    "tag": {"tags": ["a"]},
    "push_url": {"url": None},
    "webhook": {"webhook": None},
    "validate": {"streamname": "one"},
}


@pytest.fixture
async def admin(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with await client(served) as admin:
        yield admin


async def ask(http: httpx.AsyncClient, method: str, path: str, stream_id: str) -> httpx.Response:
    body = BODIES.get(path.rpartition("/")[2], {})
    return await http.request(method, path.replace("ID", stream_id), json=None if method == "GET" else body)


@on_both
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.ADMIN, ALL),
        (Role.USER, [*EDITING, *VIEWING]),
        (Role.READ_ONLY, VIEWING),
        (Role.PLAYER, []),
    ],
)
async def test_roles(served: Served, admin: httpx.AsyncClient, role: Role, allowed: list[object]) -> None:
    async with await client(served, role, TOKEN) as http:
        for method, path in ALL:
            stream = await create(admin)
            answer = await ask(http, method, path, stream["id"])
            if (method, path) in allowed:
                succeeded(answer)
            elif path == STREAM and method == "GET":
                assert_refused(answer, 400, 1002, "Parameter required", required_parameter="tags")
            else:
                assert_denied(answer)


async def test_a_publishers_key_publishes_and_nothing_else(served: Served, admin: httpx.AsyncClient) -> None:
    stream = await create(admin)
    secret, _ = await served.services.keys.create("test", Role.PUBLISHER, stream_id=stream["id"])
    async with served.client(headers={TOKEN: secret}) as http:
        for method, path in ALL:
            assert_denied(await ask(http, method, path, stream["id"]))
        assert "ingest" not in succeeded(await http.get(f"{STREAM}/{stream['id']}"))


@pytest.mark.parametrize(
    "headers",
    [{}, {API_KEY: ""}, {API_KEY: "x"}, {TOKEN: "wk_"}, {PLAYER_KEY: "wk_" + 43 * "A"}]
    + [{BEARER: "Bearer x"}, {BEARER: "bearer"}, {BEARER: "Basic dXNlcjpwYXNz"}],
)
async def test_strangers_are_not_known(
    served: Served, admin: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    stream = await create(admin)
    async with served.client(headers=headers) as http:
        for method, path in ALL:
            assert_no_key(await ask(http, method, path, stream["id"]))


@pytest.mark.parametrize("header", [API_KEY, TOKEN, API_KEY.lower()])
async def test_a_key_is_one_whichever_header_brings_it(served: Served, header: str) -> None:
    async with await client(served, Role.ADMIN, header) as http:
        assert "webhook" in succeeded(await http.get(ORGANISATION))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_a_bearer_token(served: Served, scheme: str) -> None:
    async with served.client(headers={BEARER: f"{scheme} {await key(served, Role.USER)}"}) as http:
        assert "webhook" not in succeeded(await http.get(ORGANISATION))


async def test_keys_end(served: Served) -> None:
    now = utc_now()
    clock = KeyRing(KeyStore(served.services.database), lambda: now - timedelta(hours=1))
    over, _ = await clock.create("test", Role.ADMIN, expires_in=60)
    revoked, record = await served.services.keys.create("test", Role.ADMIN)
    async with served.client(headers={API_KEY: revoked}) as http:
        succeeded(await http.get(ORGANISATION))
        await served.services.keys.revoke(record.id)
        assert_no_key(await http.get(ORGANISATION))
    async with served.client(headers={TOKEN: over}) as http:
        assert_no_key(await http.get(ORGANISATION))


async def test_a_cookie_counts_for_nothing(served: Served) -> None:
    async with served.client() as http:
        signed_in = await http.post("/v1/sign-in", json={"key": served.admin_key})
        assert signed_in.status_code == 200 and http.cookies
        assert (await http.get("/v1/me")).status_code == 200
        assert_no_key(await http.get(ORGANISATION))
        csrf = {"X-CSRF-Token": signed_in.json()["csrf"]}
        assert_no_key(await http.post(STREAM, headers=csrf))


# Several at once


async def test_of_several_headers_the_first_counts(served: Served) -> None:
    admin, user = await key(served, Role.ADMIN), await key(served, Role.USER)
    player = await key(served, Role.PLAYER)
    bearer = f"Bearer {admin}"

    async def has_webhook(**headers: str) -> bool:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await served.http.get(ORGANISATION, headers=sent)
        return "webhook" in succeeded(answer)

    assert await has_webhook(X_BINTU_PLAYERKEY=player, X_BINTU_TOKEN=user, X_BINTU_APIKEY=admin)
    assert not await has_webhook(X_BINTU_PLAYERKEY=admin, X_BINTU_TOKEN=user, Authorization=bearer)
    both = await served.http.get(ORGANISATION, headers={PLAYER_KEY: player, BEARER: bearer})
    assert_denied(both)
    # A key that is no good is not made up for by another one.
    assert_no_key(await served.http.get(ORGANISATION, headers={API_KEY: "", TOKEN: admin}))


@pytest.mark.parametrize("header", [API_KEY, TOKEN, PLAYER_KEY, BEARER])
async def test_one_header_twice(served: Served, header: str) -> None:
    secret = await key(served, Role.ADMIN)
    value = f"Bearer {secret}" if header == BEARER else secret
    assert_no_key(await served.http.get(ORGANISATION, headers=[(header, value), (header, value)]))


# Players


@on_both
async def test_players_list_by_tag(served: Served, admin: httpx.AsyncClient) -> None:
    shown = await create(admin, "shown", "more")
    await create(admin, "hidden")
    async with await client(served, Role.PLAYER, PLAYER_KEY) as player:
        for query in ("", "?state=live", "?tags[]=", "?quantity=5&tags[]=&tags[]="):
            answer = await player.get(STREAM + query)
            assert_refused(answer, 400, 1002, "Parameter required", required_parameter="tags")
        for query in ("tags[]=shown", "tags[]=shown&tags[]=more", "tags=shown", "tags[]=&tags[]=more"):
            [found] = succeeded(await player.get(f"{STREAM}?{query}"))
            assert found["id"] == shown["id"]
            assert "ingest" not in found and "push_url" not in found
            assert found["playout"] == shown["playout"]
        assert succeeded(await player.get(f"{STREAM}?tags[]=shown&tags[]=hidden")) == []
        assert_denied(await player.get(ORGANISATION))


@pytest.mark.parametrize("role", [Role.ADMIN, Role.USER, Role.READ_ONLY])
async def test_a_player_key_is_a_players_whatever_it_is_otherwise(served: Served, role: Role) -> None:
    async with await client(served, role, PLAYER_KEY) as http:
        assert_denied(await http.post(STREAM))
        assert_denied(await http.get(ORGANISATION))
        answer = await http.get(STREAM)
        assert_refused(answer, 400, 1002, "Parameter required", required_parameter="tags")
        assert succeeded(await http.get(f"{STREAM}?tags[]=a")) == []


@on_both
async def test_one_stream_is_for_anybody_who_knows_its_id(served: Served, admin: httpx.AsyncClient) -> None:
    stream = await create(admin, "a")
    path = f"{STREAM}/{stream['id']}"
    await admin.put(f"{path}/push_url", json={"url": "rtmp://127.0.0.1/live/key-of-another-platform"})
    public = succeeded(await served.http.get(path))
    assert public.keys() == stream.keys() - {"ingest", "push_url"}
    assert (public["id"], public["tags"], public["playout"]) == (stream["id"], ["a"], stream["playout"])
    async with await client(served, Role.PLAYER, PLAYER_KEY) as player:
        assert succeeded(await player.get(path)) == public
    async with await client(served, Role.READ_ONLY, TOKEN) as reader:
        assert succeeded(await reader.get(path)).keys() == stream.keys()
    # Who sends a key means it.
    assert_no_key(await served.http.get(path, headers={API_KEY: "x"}))
