"""Who asks, on a route of each kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.streams.access.key_parts import KeyParts, key_parts
from tests.web.served import assert_problem

from whipway.streams.access.roles import Right
from whipway.streams.access.sign_ins import SignIn
from whipway.streams.records import Role
from whipway.web.callers import COOKIE, CSRF_HEADER, Caller, Callers, SignedIn
from whipway.web.problems import install_problem_handlers
from whipway.web.response_headers import ResponseHeaders

pytestmark = pytest.mark.anyio

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
CHALLENGE = 'Bearer realm="whipway"'


class Asked:
    """Keys, and routes that want one."""

    def __init__(self, parts: KeyParts, http: httpx.AsyncClient) -> None:
        self.parts = parts
        self.http = http

    async def key(self, role: Role = Role.ADMIN) -> str:
        """A new key."""
        return (await self.parts.ring.create("Ada", role))[0]

    async def sign_in(self, role: Role = Role.ADMIN) -> SignIn:
        """A new sign-in, whose cookie the client sends from now on."""
        _, key = await self.parts.ring.create("Ada", role)
        sign_in = await self.parts.sign_ins.open(key)
        self.http.cookies.set(COOKIE, sign_in.secret)
        return sign_in


@asynccontextmanager
async def asking() -> AsyncIterator[Asked]:
    async with key_parts("sqlite") as parts:
        callers = Callers(parts.ring, parts.sign_ins)
        app = FastAPI()
        install_problem_handlers(app)

        @app.api_route("/{right}", methods=["GET", "HEAD", *UNSAFE])
        async def needs(request: Request, right: str) -> Caller:
            return await callers.require(request, Right[right])

        @app.get("/")
        async def who(request: Request) -> Caller | None:
            return await callers.identify(request)

        app.add_middleware(ResponseHeaders)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="https://a.example"
        ) as http:
            yield Asked(parts, http)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    async with asking() as asked:
        yield asked


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# Keys


@pytest.mark.parametrize("written", ["Bearer {}", "bearer {}", "BEARER   {} "])
async def test_a_key(asked: Asked, written: str) -> None:
    key = await asked.key()
    response = await asked.http.post("/MANAGE", headers={"Authorization": written.format(key)})
    assert response.status_code == 200
    key_id, name, role, stream_id, via = response.json()
    assert (name, role, stream_id, via) == ("Ada", "admin", None, "bearer")
    assert [each.id for each in await asked.parts.ring.list()] == [key_id]


async def test_a_publishers_key_names_its_stream(asked: Asked) -> None:
    stream = await asked.parts.stream()
    key, _ = await asked.parts.ring.create("OBS", Role.PUBLISHER, stream_id=stream.id)
    assert (await asked.http.get("/", headers=bearer(key))).json()[2:] == ["publisher", stream.id, "bearer"]


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.ADMIN, {"LIST_BY_TAG", "VIEW", "EDIT", "CONTROL", "MANAGE"}),
        (Role.USER, {"LIST_BY_TAG", "VIEW", "EDIT"}),
        (Role.READ_ONLY, {"LIST_BY_TAG", "VIEW"}),
        (Role.PLAYER, {"LIST_BY_TAG"}),
    ],
)
async def test_a_key_has_the_rights_of_its_role(asked: Asked, role: Role, rights: set[str]) -> None:
    key = await asked.key(role)
    for right in Right:
        response = await asked.http.get(f"/{right.name}", headers=bearer(key))
        if right.name in rights:
            assert response.status_code == 200
        else:
            document = assert_problem(response, 403, "forbidden")
            assert role in document["detail"]
            assert response.headers["www-authenticate"] == f'{CHALLENGE}, error="insufficient_scope"'


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic d2s6",
        "wk_{0}",
        "Bearer wk_{0}",
        "Bearer {key}x",
        "Bearer {key} x",
        "Bearer x {key}",
        "Basic {key}",
    ],
)
async def test_what_is_no_key(asked: Asked, value: str) -> None:
    key = await asked.key()
    headers = {"Authorization": value.format("A" * 43, key=key)}
    response = await asked.http.get("/VIEW", headers=headers)
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == f'{CHALLENGE}, error="invalid_token"'
    assert key not in response.text
    assert (await asked.http.get("/", headers=headers)).json() is None


async def test_two_keys_are_none(asked: Asked) -> None:
    headers = [("Authorization", f"Bearer {await asked.key()}")] * 2
    assert_problem(await asked.http.get("/VIEW", headers=headers), 401, "unauthenticated")


async def test_nobody(asked: Asked) -> None:
    response = await asked.http.get("/LIST_BY_TAG")
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == CHALLENGE
    assert (await asked.http.get("/")).json() is None


async def test_a_revoked_key(asked: Asked) -> None:
    key = await asked.key()
    assert (await asked.http.get("/VIEW", headers=bearer(key))).status_code == 200
    (record,) = await asked.parts.ring.list()
    await asked.parts.ring.revoke(record.id)
    assert_problem(await asked.http.get("/VIEW", headers=bearer(key)), 401, "unauthenticated")


# Cookies


async def test_a_cookie_is_enough_to_look(asked: Asked) -> None:
    await asked.sign_in(Role.READ_ONLY)
    for method in ("GET", "HEAD"):
        assert (await asked.http.request(method, "/VIEW")).status_code == 200
    assert (await asked.http.get("/")).json()[2:] == ["read-only", None, "cookie"]


@pytest.mark.parametrize("method", UNSAFE)
async def test_a_change_needs_what_only_the_page_knows(asked: Asked, method: str) -> None:
    sign_in = await asked.sign_in()
    for sent in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: "A" * 43}, {CSRF_HEADER: b"\xff" * 43}):
        document = assert_problem(await asked.http.request(method, "/EDIT", headers=sent), 403, "csrf_failed")
        assert sign_in.csrf not in document["detail"]
    sent = {CSRF_HEADER: sign_in.csrf}
    assert (await asked.http.request(method, "/EDIT", headers=sent)).status_code == 200


async def test_another_pages_value_is_none(asked: Asked) -> None:
    other = await asked.sign_in()
    await asked.sign_in()
    response = await asked.http.post("/EDIT", headers={CSRF_HEADER: other.csrf})
    assert_problem(response, 403, "csrf_failed")


async def test_a_cookie_has_the_rights_of_its_key(asked: Asked) -> None:
    sign_in = await asked.sign_in(Role.USER)
    response = await asked.http.post("/MANAGE", headers={CSRF_HEADER: sign_in.csrf})
    assert_problem(response, 403, "forbidden")


@pytest.mark.parametrize("value", ["", "A" * 43, "wk_" + "A" * 43, '"', "\x01"])
async def test_what_is_no_cookie_of_ours(asked: Asked, value: str) -> None:
    response = await asked.http.get("/VIEW", headers={"Cookie": f"{COOKIE}={value}"})
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == CHALLENGE


async def test_a_key_is_no_cookie(asked: Asked) -> None:
    asked.http.cookies.set(COOKIE, await asked.key())
    assert_problem(await asked.http.get("/VIEW"), 401, "unauthenticated")


async def test_a_cookie_is_no_key(asked: Asked) -> None:
    secret = (await asked.sign_in()).secret
    asked.http.cookies.clear()
    assert_problem(await asked.http.get("/VIEW", headers=bearer(secret)), 401, "unauthenticated")


async def test_a_wrong_key_is_not_made_good_by_a_cookie(asked: Asked) -> None:
    await asked.sign_in()
    response = await asked.http.get("/VIEW", headers=bearer("wk_" + "A" * 43))
    assert_problem(response, 401, "unauthenticated")


async def test_a_key_beside_a_cookie_counts_alone(asked: Asked) -> None:
    await asked.sign_in(Role.ADMIN)
    key = await asked.key(Role.USER)
    assert (await asked.http.post("/EDIT", headers=bearer(key))).json()[4] == "bearer"
    assert_problem(await asked.http.post("/MANAGE", headers=bearer(key)), 403, "forbidden")


async def test_a_cookie_ends_with_its_key(asked: Asked) -> None:
    await asked.sign_in()
    assert (await asked.http.get("/VIEW")).status_code == 200
    (record,) = await asked.parts.ring.list()
    await asked.parts.ring.revoke(record.id)
    assert_problem(await asked.http.get("/VIEW"), 401, "unauthenticated")


async def test_secrets_are_not_shown(asked: Asked) -> None:
    sign_in = await asked.sign_in()
    found = await asked.parts.sign_ins.find(sign_in.secret)
    assert found is not None
    shown = repr(SignedIn(sign_in.secret, *found))
    assert sign_in.secret not in shown and sign_in.csrf not in shown


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(
    authorization=st.none() | st.binary(max_size=99),
    cookie=st.binary(max_size=99),
    csrf=st.binary(max_size=50),
)
async def test_any_bytes_are_nobody(
    asked: Asked, authorization: bytes | None, cookie: bytes, csrf: bytes
) -> None:
    headers = [(b"cookie", COOKIE.encode() + b"=" + cookie), (CSRF_HEADER.encode(), csrf)]
    if authorization is not None:
        headers.append((b"authorization", authorization))
    response = await asked.http.post("/EDIT", headers=httpx.Headers(headers))
    assert response.status_code == 401
