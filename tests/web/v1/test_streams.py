"""The API of streams."""

from datetime import datetime
from typing import Any

import pytest
from tests.web.served import BASE, Served, assert_problem
from tests.web.v1.api import UNKNOWN_ID, client, create, on_both, published

from whipway import __version__
from whipway.streams.records import Role
from whipway.streams.stream_directory import StreamNotFound

pytestmark = pytest.mark.anyio

STREAMS = "/v1/streams"


async def state(served: Served, stream_id: str) -> str:
    response = await served.admin.get(f"{STREAMS}/{stream_id}")
    return str(response.json()["state"])


async def ids(served: Served, query: str = "") -> list[str]:
    response = await served.admin.get(f"{STREAMS}?{query}")
    assert response.status_code == 200, response.text
    return [each["id"] for each in response.json()["items"]]


# Create, get, list


@on_both
async def test_create_and_get(served: Served) -> None:
    created = await served.admin.post(STREAMS, json={"tags": ["studio", "a b", "studio"]})
    assert created.status_code == 201
    stream = created.json()
    assert created.headers["location"] == f"{BASE}{STREAMS}/{stream['id']}"
    assert stream["state"] == "created" and stream["is_assigned"]
    assert stream["tags"] == ["studio", "a b"]
    organisation = (await served.admin.get("/v1/organisation")).json()
    assert stream["name"].startswith(f"{organisation['hash']}-")
    assert datetime.fromisoformat(stream["created_at"]).tzinfo is not None
    assert stream["ingest"]["whip"]["url"].startswith(f"{BASE}/p/webrtc?stream_name={stream['name']}&")
    assert stream["ingest"]["rtmp"]["streamname"] == stream["name"]
    got = await served.admin.get(created.headers["location"])
    assert got.json() == stream


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (None, {}),
        (b"", {"Content-Type": "application/json"}),
        (b"", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"{}", {"Content-Type": "application/json; charset=utf-8"}),
    ],
)
async def test_create_with_nothing_said(served: Served, content: Any, headers: dict[str, str]) -> None:
    created = await served.admin.post(STREAMS, content=content, headers=headers)
    assert (created.status_code, created.json()["tags"]) == (201, [])


async def test_bodies_that_are_refused(served: Served) -> None:
    for body in ({"tags": "a"}, {"tags": [""]}, {"tags": ["a"] * 51}, {"tag": []}, {"tags": None}, []):
        response = await served.admin.post(STREAMS, json=body)
        document = response.json()
        assert_problem(response, 422, "body_refused", document.get("parameter"))
    as_text = await served.admin.post(STREAMS, content=b"{}", headers={"Content-Type": "text/plain"})
    assert_problem(as_text, 415, "unsupported_media_type")
    assert as_text.headers["accept-post"] == "application/json"
    malformed = await served.admin.post(STREAMS, content=b"{", headers={"Content-Type": "application/json"})
    assert_problem(malformed, 400, "malformed_json")
    assert await ids(served) == []


async def test_a_stream_that_is_not_there(served: Served) -> None:
    for method, path in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/stop"),
        ("POST", "/lock"),
        ("POST", "/unlock"),
        ("GET", "/changes"),
        ("POST", "/tokens"),
    ]:
        for stream_id in (UNKNOWN_ID, "x"):
            response = await served.admin.request(method, f"{STREAMS}/{stream_id}{path}")
            assert_problem(response, 404, "stream_unknown")
    for body in ({}, {"tags": []}, {"push_url": None}):
        response = await served.admin.patch(f"{STREAMS}/{UNKNOWN_ID}", json=body)
        assert_problem(response, 404, "stream_unknown")
    assert_problem(await served.admin.get(f"{STREAMS}/{'a' * 65}"), 404, "not_found")


@on_both
async def test_pages_of_a_list(served: Served) -> None:
    made = [(await create(served))["id"] for _ in range(3)][::-1]
    response = (await served.admin.get(STREAMS)).json()
    assert (response["total"], response["limit"], response["offset"]) == (3, 50, 0)
    assert [each["id"] for each in response["items"]] == made
    second = (await served.admin.get(STREAMS, params={"limit": 2, "offset": 2})).json()
    assert (second["total"], second["limit"], second["offset"]) == (3, 2, 2)
    assert [each["id"] for each in second["items"]] == made[2:]


@on_both
async def test_filters_of_a_list(served: Served) -> None:
    one, two, three = await create(served, "a", "b"), await create(served, "a"), await create(served)
    await served.admin.post(f"{STREAMS}/{three['id']}/lock")
    assert await ids(served, "tag=a&tag=b") == [one["id"]]
    assert set(await ids(served, "tag=a")) == {one["id"], two["id"]}
    assert await ids(served, "state=locked") == [three["id"]]
    assert len(await ids(served, "state=locked&state=created")) == 3
    assert await ids(served, f"name={two['name'][-6:].upper()}") == [two["id"]]
    assert await ids(served, f"name={two['id']}") == [two["id"]]
    assert await ids(served, "state=live") == []


async def test_filters_that_are_wrong(served: Served) -> None:
    for query in ("state=dead", "tag=", "limit=0", "limit=501", "offset=-1", "limit=1&limit=2", "name=%00"):
        parameter = query.partition("=")[0]
        assert_problem(await served.admin.get(f"{STREAMS}?{query}"), 400, "bad_parameter", parameter)


# Publishing


async def test_who_publishes(served: Served) -> None:
    stream = await create(served)
    with published(served, stream["name"], live=False):
        found = (await served.admin.get(f"{STREAMS}/{stream['id']}")).json()
        publisher = found["publisher"]
        assert found["state"] == "created"
        assert publisher == publisher | {"kind": "rtmp", "session": None, "client": "192.0.2.7"}
    found = (await served.admin.get(f"{STREAMS}/{stream['id']}")).json()
    assert found["publisher"] is None


async def eventually(served: Served, stream_id: str, wanted: str) -> None:
    for _ in range(200):
        if await state(served, stream_id) == wanted:
            return
    raise AssertionError(f"never {wanted}")


@on_both
async def test_live_and_ended(served: Served) -> None:
    stream = await create(served)
    with published(served, stream["name"]):
        await eventually(served, stream["id"], "live")
        summary = (await served.admin.get("/v1/summary")).json()
        assert summary["streams"] == {"created": 0, "live": 1, "ended": 0, "locked": 0}
    await eventually(served, stream["id"], "ended")
    changes = (await served.admin.get(f"{STREAMS}/{stream['id']}/changes")).json()["items"]
    assert [(each["state"], each["reason"]) for each in changes] == [
        ("created", None),
        ("live", None),
        ("ended", "unpublished"),
    ]
    assert [each["at"] for each in changes] == sorted(each["at"] for each in changes)


async def test_stop_ends_a_session(served: Served) -> None:
    stream = await create(served)
    await served.session(stream["name"])
    assert served.services.sessions.live_count == 1
    found = (await served.admin.get(f"{STREAMS}/{stream['id']}")).json()
    assert found["publisher"]["kind"] == "whip"
    stopped = await served.admin.post(f"{STREAMS}/{stream['id']}/stop")
    assert (stopped.status_code, stopped.json()["publisher"]) == (200, None)
    assert served.services.sessions.live_count == 0
    again = await served.admin.post(f"{STREAMS}/{stream['id']}/stop")
    assert again.json() == stopped.json()


@on_both
async def test_lock_and_unlock(served: Served) -> None:
    stream = await create(served)
    for _ in range(2):
        locked = await served.admin.post(f"{STREAMS}/{stream['id']}/lock")
        assert (locked.status_code, locked.json()["state"]) == (200, "locked")
    for _ in range(2):
        unlocked = await served.admin.post(f"{STREAMS}/{stream['id']}/unlock")
        assert (unlocked.status_code, unlocked.json()["state"]) == (200, "created")


@on_both
async def test_delete(served: Served) -> None:
    stream = await create(served)
    deleted = await served.admin.delete(f"{STREAMS}/{stream['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(await served.admin.delete(f"{STREAMS}/{stream['id']}"), 404, "stream_unknown")
    assert await ids(served) == []
    assert await ids(served, "state=deleted") == [stream["id"]]


# Change


@on_both
async def test_tags(served: Served) -> None:
    stream = await create(served, "old")
    changed = await served.admin.patch(f"{STREAMS}/{stream['id']}", json={"tags": ["Ton", "bild"]})
    assert (changed.status_code, changed.json()["tags"]) == (200, ["Ton", "bild"])
    await create(served, "bildung")
    assert (await served.admin.get("/v1/tags")).json() == {"items": ["Ton", "bild", "bildung"]}
    assert (await served.admin.get("/v1/tags?prefix=bild")).json() == {"items": ["bild", "bildung"]}
    assert_problem(await served.admin.get("/v1/tags?prefix=%00"), 400, "bad_parameter", "prefix")
    same = await served.admin.patch(f"{STREAMS}/{stream['id']}", json={})
    assert same.json() == changed.json()


@on_both
async def test_push_url(served: Served) -> None:
    stream = await create(served)
    url = "rtmp://me:secret@public.example/app/key-1"
    changed = await served.admin.patch(f"{STREAMS}/{stream['id']}", json={"push_url": url, "tags": ["a"]})
    assert changed.json()["push_url"] == "rtmp://public.example:1935/app/****"
    assert changed.json()["tags"] == ["a"]
    assert "secret" not in changed.text and "key-1" not in changed.text
    gone = await served.admin.patch(f"{STREAMS}/{stream['id']}", json={"push_url": None})
    assert (gone.json()["push_url"], gone.json()["tags"]) == (None, ["a"])


@pytest.mark.parametrize(
    "url",
    ["", "http://public.example/app/key", "rtmp://public.example/app", "rtmp://private.example/app/key"],
)
async def test_push_urls_that_are_refused(served: Served, url: str) -> None:
    stream = await create(served, "kept")
    body = {"tags": ["changed"], "push_url": url}
    refused = await served.admin.patch(f"{STREAMS}/{stream['id']}", json=body)
    assert_problem(refused, 422, "body_refused", "push_url")
    assert (await served.admin.get(f"{STREAMS}/{stream['id']}")).json()["tags"] == ["kept"]


async def test_patch_needs_a_body(served: Served) -> None:
    stream = await create(served)
    response = await served.admin.patch(f"{STREAMS}/{stream['id']}")
    assert_problem(response, 415, "unsupported_media_type")
    assert response.headers["accept-patch"] == "application/json"


async def test_a_stream_that_is_deleted_meanwhile(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = await create(served)

    async def lost(*_: object) -> None:
        raise StreamNotFound(stream["id"])

    monkeypatch.setattr(type(served.services.streams), "set_tags", lost)
    response = await served.admin.patch(f"{STREAMS}/{stream['id']}", json={"tags": []})
    assert_problem(response, 404, "stream_unknown")


# Tokens


@on_both
async def test_a_token_publishes_its_stream_alone(served: Served) -> None:
    stream = await create(served)
    made = await served.admin.post(f"{STREAMS}/{stream['id']}/tokens", json={"expires_in": 60})
    token = made.json()
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    assert token["token"].startswith("wk_")
    key = await served.services.keys.find(token["token"])
    assert key is not None
    assert (key.id, key.role, key.stream_id) == (token["id"], Role.PUBLISHER, stream["id"])
    async with served.client() as publisher:
        publisher.headers["Authorization"] = f"Bearer {token['token']}"
        assert_problem(await publisher.get(STREAMS), 403, "forbidden")
    default = (await served.admin.post(f"{STREAMS}/{stream['id']}/tokens")).json()
    lifetime = datetime.fromisoformat(default["expires_at"]) - datetime.fromisoformat(token["expires_at"])
    assert lifetime.total_seconds() == pytest.approx(24 * 3600 - 60, abs=10)
    for seconds in (0, 30 * 24 * 3600 + 1, "60", None):
        refused = await served.admin.post(f"{STREAMS}/{stream['id']}/tokens", json={"expires_in": seconds})
        assert_problem(refused, 422, "body_refused", "expires_in")


# Who may


RIGHTS = [
    ("GET", "", 200, 200, 200, 403),
    ("GET", "?tag=a", 200, 200, 200, 200),
    ("POST", "", 201, 201, 403, 403),
    ("GET", "/ID", 200, 200, 200, 403),
    ("PATCH", "/ID", 200, 200, 403, 403),
    ("GET", "/ID/changes", 200, 200, 200, 403),
    ("POST", "/ID/tokens", 201, 201, 403, 403),
    ("POST", "/ID/stop", 200, 403, 403, 403),
    ("POST", "/ID/lock", 200, 403, 403, 403),
    ("POST", "/ID/unlock", 200, 403, 403, 403),
    ("DELETE", "/ID", 204, 403, 403, 403),
]
ROLES = (Role.ADMIN, Role.USER, Role.READ_ONLY, Role.PLAYER)


async def test_who_may_what(served: Served) -> None:
    for place, role in enumerate(ROLES):
        async with await client(served, role) as http:
            for method, path, *statuses in RIGHTS:
                stream_id = (await create(served, "a"))["id"]
                body = {"json": {}} if method in ("POST", "PATCH") else {}
                url = STREAMS + path.replace("ID", stream_id)
                response = await http.request(method, url, **body)  # type: ignore[arg-type]
                assert response.status_code == statuses[place], (role, method, path)


async def test_what_players_are_not_told(served: Served) -> None:
    stream = await create(served, "a")
    await served.admin.patch(f"{STREAMS}/{stream['id']}", json={"push_url": "rtmp://public.example/a/b"})
    async with await client(served, Role.PLAYER) as http:
        with published(served, stream["name"]):
            (found,) = (await http.get(f"{STREAMS}?tag=a")).json()["items"]
    assert found["publisher"] is found["push_url"] is None
    assert found["ingest"] == {"whip": None, "rtmp": None}
    assert found["playout"]["rtmp"][0]["streamname"] == stream["name"]


async def test_strangers_do_not_learn_which_streams_there_are(served: Served) -> None:
    stream = await create(served)
    answers = {
        (await served.http.get(f"{STREAMS}/{stream_id}")).text for stream_id in (stream["id"], UNKNOWN_ID)
    }
    assert len(answers) == 1
    assert_problem(await served.http.get(f"{STREAMS}/{stream['id']}"), 401, "unauthenticated")


# All of them


async def test_summary(served: Served) -> None:
    await create(served)
    await served.session("elsewhere")
    summary = (await served.admin.get("/v1/summary")).json()
    assert summary["streams"]["created"] == summary["sessions"] == 1
    assert summary["version"] == __version__ and summary["uptime"] >= 0
    async with await client(served, Role.PLAYER) as http:
        assert_problem(await http.get("/v1/summary"), 403, "forbidden")
        assert_problem(await http.get("/v1/tags"), 403, "forbidden")
