"""The API of keys, webhooks and the organisation: what administrators do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.peers.http_server import HttpServer, http_server
from tests.web.served import Served, assert_problem
from tests.web.v1.api import client, on_both

from whipway.streams.records import Role
from whipway.streams.store import key_rows

pytestmark = pytest.mark.anyio

OTHERS = (Role.USER, Role.READ_ONLY, Role.PLAYER)


# Keys


@on_both
async def test_a_key_from_first_to_last(served: Served) -> None:
    made = await served.admin.post("/v1/keys", json={"name": "Studio", "role": "user", "expires_in": 60})
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    key = made.json()
    secret = key.pop("key")
    assert (key["name"], key["role"], key["revoked_at"]) == ("Studio", "user", None)
    async with served.client() as user:
        user.headers["Authorization"] = f"Bearer {secret}"
        assert (await user.get("/v1/me")).json()["role"] == "user"
        listed = (await served.admin.get("/v1/keys")).json()["items"]
        assert [each["name"] for each in listed][0] == "Studio"
        assert secret not in str(listed)
        revoked = await served.admin.delete(f"/v1/keys/{key['id']}")
        assert (revoked.status_code, revoked.content) == (204, b"")
        assert_problem(await user.get("/v1/me"), 401, "unauthenticated")
    assert_problem(await served.admin.delete(f"/v1/keys/{key['id']}"), 404, "key_unknown")


async def test_a_key_that_does_not_expire(served: Served) -> None:
    made = await served.admin.post("/v1/keys", json={"name": "Bot", "role": "read-only"})
    assert made.json()["expires_at"] is None


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"role": "user"}, "name"),
        ({"name": "x"}, "role"),
        ({"name": "", "role": "user"}, "name"),
        ({"name": "x", "role": "publisher"}, "role"),
        ({"name": "x", "role": "owner"}, "role"),
        ({"name": "x", "role": "user", "expires_in": 0.5}, "expires_in"),
        ({"name": "x", "role": "user", "expires_in": 1e12}, "expires_in"),
        ({"name": "x", "role": "user", "stream_id": "x"}, None),
    ],
)
async def test_keys_that_are_refused(served: Served, body: dict[str, Any], member: str | None) -> None:
    assert_problem(await served.admin.post("/v1/keys", json=body), 422, "body_refused", member)


@on_both
async def test_there_are_only_so_many_keys(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rows, "MAX_KEYS", 1)
    stream = (await served.admin.post("/v1/streams")).json()
    for path, body in (
        ("/v1/keys", {"name": "x", "role": "user"}),
        (f"/v1/streams/{stream['id']}/tokens", {}),
    ):
        assert (await served.admin.post(path, json=body)).status_code == 201
        assert_problem(await served.admin.post(path, json=body), 409, "too_many_keys")


# Webhooks


@pytest.fixture
async def receiver() -> AsyncIterator[HttpServer]:
    async with http_server() as receiver:
        yield receiver


@on_both
async def test_a_webhook_from_first_to_last(served: Served, receiver: HttpServer) -> None:
    body = {"url": receiver.url, "events": ["stream.*"]}
    made = await served.admin.post("/v1/webhooks", json=body)
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    webhook = made.json()
    assert webhook.pop("secret").startswith("whsec_")
    assert webhook == webhook | body | {"waiting": 0}
    [listed] = (await served.admin.get("/v1/webhooks")).json()["items"]
    assert listed == webhook | {"created_at": listed["created_at"]}
    tested = await served.admin.post(f"/v1/webhooks/{webhook['id']}/test")
    assert tested.json() == {"is_success": True, "status": 200, "error": None}
    assert len(receiver.requests) == 1
    gone = await served.admin.delete(f"/v1/webhooks/{webhook['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert_problem(await served.admin.delete(f"/v1/webhooks/{webhook['id']}"), 404, "webhook_unknown")
    again = await served.admin.post(f"/v1/webhooks/{webhook['id']}/test")
    assert_problem(again, 404, "webhook_unknown")


async def test_a_webhook_that_nobody_answers_for(served: Served) -> None:
    made = await served.admin.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/"})
    assert made.json()["events"] == ["*"]
    tested = (await served.admin.post(f"/v1/webhooks/{made.json()['id']}/test")).json()
    assert (tested["is_success"], tested["status"]) == (False, None)
    assert tested["error"]


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({}, "url"),
        ({"url": "ftp://hook.example/"}, "url"),
        ({"url": "https://hook.example/", "events": []}, "events"),
        ({"url": "https://hook.example/", "events": ["session.*"]}, "events"),
        ({"url": "https://hook.example/", "events": "*"}, "events"),
    ],
)
async def test_webhooks_that_are_refused(served: Served, body: dict[str, Any], member: str) -> None:
    assert_problem(await served.admin.post("/v1/webhooks", json=body), 422, "body_refused", member)


# The organisation


@on_both
async def test_the_organisation(served: Served) -> None:
    before = (await served.admin.get("/v1/organisation")).json()
    assert before["webhook"] is None and len(before["hash"]) == 5
    body = {"name": "Ours", "webhook": "https://hook.example/secret"}
    changed = await served.admin.patch("/v1/organisation", json=body)
    assert changed.json() == before | body
    assert (await served.admin.get("/v1/organisation")).json() == before | body
    # From now on it is asked.
    assert served.services.organisation.current.webhook == body["webhook"]
    for role in (Role.USER, Role.READ_ONLY):
        async with await client(served, role) as http:
            assert (await http.get("/v1/organisation")).json() == before | body | {"webhook": None}
    cleared = await served.admin.patch("/v1/organisation", json={"webhook": None})
    assert cleared.json() == before | {"name": "Ours"}


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"webhook": "hook.example"}, "webhook"),
        ({"webhook": ""}, "webhook"),
        ({"hash": "AAAAA"}, None),
    ],
)
async def test_organisations_that_are_refused(
    served: Served, body: dict[str, Any], member: str | None
) -> None:
    assert_problem(await served.admin.patch("/v1/organisation", json=body), 422, "body_refused", member)


# Who may


async def test_others_may_not(served: Served) -> None:
    asked = [
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/first"),
        ("GET", "/v1/webhooks"),
        ("POST", "/v1/webhooks"),
        ("DELETE", "/v1/webhooks/1"),
        ("POST", "/v1/webhooks/1/test"),
        ("PATCH", "/v1/organisation"),
    ]
    for role in OTHERS:
        async with await client(served, role) as http:
            for method, path in asked:
                assert_problem(await http.request(method, path), 403, "forbidden")
    for method, path in asked:
        assert_problem(await served.http.request(method, path), 401, "unauthenticated")


# A page


async def test_a_page_needs_its_token(served: Served) -> None:
    key = served.admin.headers["authorization"].removeprefix("Bearer ")
    async with served.client() as page:
        signed_in = await page.post("/v1/sign-in", json={"key": key})
        assert (await page.get("/v1/keys")).status_code == 200
        body = {"name": "Ours"}
        assert_problem(await page.patch("/v1/organisation", json=body), 403, "csrf_failed")
        page.headers["X-CSRF-Token"] = signed_in.json()["csrf"]
        assert (await page.patch("/v1/organisation", json=body)).status_code == 200
