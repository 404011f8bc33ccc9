"""How people come and go."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from structlog.testing import capture_logs
from tests.peers.databases import databases
from tests.unit.streams.access.key_parts import KeyParts, key_parts
from tests.web.served import HOST, assert_problem

from whipway import __version__
from whipway.streams.access.roles import Right
from whipway.streams.records import Role
from whipway.web.access_log import AccessLog
from whipway.web.callers import COOKIE, CSRF_HEADER, Callers
from whipway.web.problems import install_problem_handlers
from whipway.web.response_headers import ResponseHeaders
from whipway.web.sign_in import ATTEMPTS_PER_MINUTE, make_sign_in_router

pytestmark = pytest.mark.anyio

UNKNOWN = "wk_" + "A" * 43


class Place:
    """An application with these routes and one more, whose clock stands still unless a test moves it."""

    def __init__(self, parts: KeyParts) -> None:
        self.parts = parts
        self.seconds = 1000.0
        callers = Callers(parts.ring, parts.sign_ins)
        self.app = FastAPI()
        install_problem_handlers(self.app)
        router = make_sign_in_router(callers, parts.ring, parts.sign_ins, lambda: self.seconds)
        self.app.include_router(router)

        @self.app.post("/change", status_code=204)
        async def change(request: Request) -> None:
            await callers.require(request, Right.EDIT)

        self.app.add_middleware(ResponseHeaders)
        self.app.add_middleware(AccessLog)
        self.http = self.client()

    def client(self, base: str = "https://whip.example", address: str | None = HOST) -> httpx.AsyncClient:
        """A browser without cookies."""

        async def nameless(scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "client": None}, receive, send)

        app = nameless if address is None else self.app
        transport = httpx.ASGITransport(app, client=(address or "", 50_000))
        return httpx.AsyncClient(transport=transport, base_url=base)

    async def key(self, role: Role = Role.ADMIN, name: str = "Ada") -> str:
        """A new key."""
        stream_id = (await self.parts.stream()).id if role is Role.PUBLISHER else None
        return (await self.parts.ring.create(name, role, stream_id=stream_id))[0]

    async def sign_in(self, key: str, **headers: str) -> httpx.Response:
        """The answer to an attempt."""
        return await self.http.post("/v1/sign-in", json={"key": key}, headers=headers)


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Place]:
    async with key_parts(kind) as parts:
        place = Place(parts)
        async with place.http:
            yield place


@pytest.fixture(params=databases())
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with opened(request.param) as place:
        yield place


@pytest.fixture
async def one_place() -> AsyncIterator[Place]:
    """On one kind of database, for what is the same on each."""
    async with opened("sqlite") as place:
        yield place


def attributes(response: httpx.Response) -> tuple[str, set[str]]:
    """The cookie of an answer: its value, and what stands behind it."""
    (header,) = response.headers.get_list("set-cookie")
    pair, *others = header.split("; ")
    name, _, value = pair.partition("=")
    assert name == COOKIE
    return value, set(others)


# The way in and out


async def test_the_whole_way(place: Place) -> None:
    assert_problem(await place.http.get("/v1/me"), 401, "unauthenticated")
    response = await place.sign_in(await place.key(Role.USER))
    assert response.status_code == 200
    me = response.json()
    assert me == {"role": "user", "name": "Ada", "csrf": me["csrf"], "version": __version__}
    assert (await place.http.get("/v1/me")).json() == me

    assert_problem(await place.http.post("/change"), 403, "csrf_failed")
    page = {CSRF_HEADER: me["csrf"]}
    assert (await place.http.post("/change", headers=page)).status_code == 204

    assert_problem(await place.http.post("/v1/sign-out"), 403, "csrf_failed")
    assert (await place.http.get("/v1/me")).status_code == 200
    secret = place.http.cookies[COOKIE]
    assert (await place.http.post("/v1/sign-out", headers=page)).status_code == 204
    assert COOKIE not in place.http.cookies
    # Not in the browser alone.
    place.http.cookies.set(COOKIE, secret)
    assert_problem(await place.http.get("/v1/me"), 401, "unauthenticated")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.USER, Role.READ_ONLY])
async def test_who_may_sign_in(one_place: Place, role: Role) -> None:
    response = await one_place.sign_in(await one_place.key(role))
    assert (response.status_code, response.json()["role"]) == (200, role)


@pytest.mark.parametrize("role", [Role.PLAYER, Role.PUBLISHER])
async def test_who_may_not(one_place: Place, role: Role) -> None:
    response = await one_place.sign_in(await one_place.key(role))
    document = assert_problem(response, 403, "forbidden")
    assert role in document["detail"] and "set-cookie" not in response.headers


async def test_each_sign_in_is_its_own(one_place: Place) -> None:
    key = await one_place.key()
    first, second = await one_place.sign_in(key), await one_place.sign_in(key)
    assert attributes(first)[0] != attributes(second)[0]
    assert first.json()["csrf"] != second.json()["csrf"]


async def test_me_by_key(one_place: Place) -> None:
    key = await one_place.key(Role.PUBLISHER)
    response = await one_place.http.get("/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert response.json() == {"role": "publisher", "name": "Ada", "csrf": None, "version": __version__}
    response = await one_place.http.get("/v1/me", headers={"Authorization": f"Bearer {UNKNOWN}"})
    assert_problem(response, 401, "unauthenticated")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_signing_out_without_being_signed_in(one_place: Place) -> None:
    for cookie in ("", "A" * 43):
        one_place.http.cookies.set(COOKIE, cookie, domain="whip.example")
        response = await one_place.http.post("/v1/sign-out")
        assert response.status_code == 204
        assert COOKIE not in one_place.http.cookies


# The cookie


@pytest.mark.parametrize(
    ("base", "origin", "is_secure"),
    [
        ("https://whip.example", None, True),
        ("http://127.0.0.1:8080", None, False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", False),
        # A proxy that ends TLS and does not say so.
        ("http://whip.example", "https://whip.example", True),
    ],
)
async def test_what_the_browser_is_told(
    one_place: Place, base: str, origin: str | None, is_secure: bool
) -> None:
    key = await one_place.key()
    headers = {"Origin": origin} if origin else {}
    async with one_place.client(base) as http:
        response = await http.post("/v1/sign-in", json={"key": key}, headers=headers)
        secret, flags = attributes(response)
        assert len(secret) == 43
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= flags
        assert ("Secure" in flags) is is_secure
        assert not any(flag.startswith("Domain") for flag in flags)
        assert f"Max-Age={30 * 86_400}" in flags
        response = await http.post("/v1/sign-out", headers=headers | {CSRF_HEADER: response.json()["csrf"]})
        value, flags = attributes(response)
        assert value == '""' and "Max-Age=0" in flags
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= flags
        assert ("Secure" in flags) is is_secure


async def test_nothing_is_stored_on_the_way(one_place: Place) -> None:
    response = await one_place.sign_in(await one_place.key())
    assert response.headers["cache-control"] == "no-store"
    assert (await one_place.http.get("/v1/me")).headers["cache-control"] == "no-store"


# What is refused


@pytest.mark.parametrize("key", ["", "wk_", UNKNOWN, "A" * 900, "\ud800"])
async def test_an_unknown_key(one_place: Place, key: str) -> None:
    content = json.dumps({"key": key})
    headers = {"Content-Type": "application/json"}
    response = await one_place.http.post("/v1/sign-in", content=content, headers=headers)
    assert_problem(response, 401, "unauthenticated")
    assert "set-cookie" not in response.headers and UNKNOWN not in response.text


async def test_a_key_that_is_over(one_place: Place) -> None:
    key = await one_place.key()
    (record,) = await one_place.parts.ring.list()
    await one_place.parts.ring.revoke(record.id)
    assert_problem(await one_place.sign_in(key), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        ("{}", "application/json", 422, "sign_in_refused"),
        ('{"key": 1}', "application/json", 422, "sign_in_refused"),
        ('{"key": "wk_", "role": "admin"}', "application/json", 422, "sign_in_refused"),
        ('["key"]', "application/json", 422, "sign_in_refused"),
        ("wk_", "application/json", 400, "malformed_json"),
        (b"\xff", "application/json", 400, "malformed_json"),
        ("[" * 1024, "application/json", 400, "malformed_json"),
        ("9" * 1024, "application/json", 422, "sign_in_refused"),
        (" " * 1025, "application/json", 413, "body_too_large"),
        # What a page of another site can send without being asked about it.
        (f'{{"key": "{UNKNOWN}"}}', "text/plain", 415, "unsupported_media_type"),
        (f"key={UNKNOWN}", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
async def test_what_is_no_sign_in(
    one_place: Place, content: Any, content_type: str, status: int, code: str
) -> None:
    headers = {"Content-Type": content_type}
    response = await one_place.http.post("/v1/sign-in", content=content, headers=headers)
    assert_problem(response, status, code)
    if status == 415:
        assert response.headers["accept-post"] == "application/json"


# Guessing


async def attempts(place: Place, count: int, address: str | None = HOST) -> list[int]:
    async with place.client(address=address) as http:
        answers = [await http.post("/v1/sign-in", json={"key": UNKNOWN}) for _ in range(count)]
        return [answer.status_code for answer in answers]


async def test_attempts_are_counted_for_an_address(one_place: Place) -> None:
    taken = 0
    for _ in range(60):
        taken += (await attempts(one_place, 2)).count(401)
        one_place.seconds += 1
    # Some at once, and then one every three seconds.
    assert ATTEMPTS_PER_MINUTE <= taken <= ATTEMPTS_PER_MINUTE * 1.5
    assert await attempts(one_place, 1, "198.51.100.7") == [401]


async def test_what_one_too_many_is_told(one_place: Place) -> None:
    key = await one_place.key()
    assert (await attempts(one_place, 11))[-1] == 429
    response = await one_place.sign_in(key)
    document = assert_problem(response, 429, "too_many_requests")
    assert response.headers["retry-after"] == "3" and "3 s" in document["detail"]
    one_place.seconds += 3
    assert (await one_place.sign_in(key)).status_code == 200


async def test_without_an_address_nobody_is_locked_out(one_place: Place) -> None:
    assert set(await attempts(one_place, 30, None)) == {401}


async def test_no_secret_is_logged(one_place: Place) -> None:
    key = await one_place.key()
    with capture_logs() as logs:
        response = await one_place.sign_in(key)
        me = response.json()
        await one_place.http.get("/v1/me")
        await one_place.http.post("/v1/sign-out", headers={CSRF_HEADER: "wrong"})
        await one_place.http.post("/v1/sign-out", headers={CSRF_HEADER: me["csrf"]})
    assert len(logs) == 4
    assert not any(secret in str(logs) for secret in (key, me["csrf"], attributes(response)[0]))


# As described


async def test_the_description(one_place: Place) -> None:
    document = (await one_place.http.get("/openapi.json")).json()
    paths = document["paths"]
    assert {path: [*methods] for path, methods in paths.items() if path.startswith("/v1")} == {
        "/v1/sign-in": ["post"],
        "/v1/sign-out": ["post"],
        "/v1/me": ["get"],
    }
    assert paths["/v1/me"]["get"]["security"] == [{"key": []}, {"cookie": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["cookie"] | {"description": ""} == {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "",
    }
    assert {*paths["/v1/sign-in"]["post"]["responses"]} == {
        "200",
        "400",
        "401",
        "403",
        "408",
        "413",
        "415",
        "422",
        "429",
    }
