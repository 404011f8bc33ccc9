"""Sessions as people and programs with a key see them: the real application with a real worker."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from tests.peers.waiting import until
from tests.web.live_client import live
from tests.web.served import BASE, Served, assert_problem, serving
from tests.web.v1.api import client, create
from tests.web.v1.studio import SESSIONS, UNKNOWN_SESSION, api_path, get, parse_events

from whipway.config import Settings
from whipway.pool.failures import WorkerSilent
from whipway.streams import known_sessions
from whipway.streams.records import Role
from whipway.streams.sessions import SessionDirectory
from whipway.web import event_streams

pytestmark = pytest.mark.anyio

LOOKING = ("", "/sinks", "/sinks/1", "/input", "/input/video/thumbnail", "/quality")
CHANGING = {
    ("DELETE", ""): Role.ADMIN,
    ("POST", "/sinks"): Role.USER,
    ("DELETE", "/sinks/1"): Role.USER,
    ("PUT", "/input"): Role.USER,
    ("PUT", "/quality"): Role.USER,
    ("POST", "/keyframe"): Role.USER,
    ("POST", "/metadata"): Role.USER,
}
"""What changes a session, and the least role that may."""


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server whose database is in memory."""
    async with serving() as served:
        yield served


# The list, and one of them


async def test_there_are_none_at_first(served: Served) -> None:
    assert await get(served, SESSIONS) == {"items": [], "total": 0, "limit": 50, "offset": 0}


async def test_a_session_is_listed_by_its_handle(served: Served) -> None:
    path = await served.session("one?key=secret")
    answer = await served.admin.get(SESSIONS)
    [session] = answer.json()["items"]
    assert session["id"] == api_path(path).rpartition("/")[2]
    assert (session["stream_name"], session["client"], session["state"]) == ("one", "127.0.0.1", "connecting")
    assert (session["sinks"], session["bitrate"], session["fps"], session["reason"]) == (1, 0, 0.0, None)
    assert session["light"] in ("green", "yellow", "red")
    assert session["stream"] is None
    assert datetime.fromisoformat(session["created_at"]).tzinfo is not None
    # Whoever knows the id itself may do anything with the session.
    assert path.rpartition("/")[2] not in answer.text and "secret" not in answer.text


async def test_a_session_is_of_a_stream(served: Served) -> None:
    stream = await create(served)
    path = await served.session(stream["name"])
    session = await get(served, api_path(path))
    assert session["stream"] == {"id": stream["id"], "name": stream["name"]}


async def test_one_session_has_its_snapshot(served: Served) -> None:
    path = await served.session()
    session = await get(served, api_path(path))
    assert session["snapshot"] == (await served.http.get(f"{path}/status")).json()
    [brief] = (await get(served, SESSIONS))["items"]
    assert brief.items() <= session.items()
    assert session.keys() - brief.keys() == {"snapshot"}


async def test_a_live_session_is_measured(served: Served) -> None:
    async with live(served) as publisher:
        await publisher.sends_media()
        session = await get(served, api_path(publisher.path))
        assert (session["state"], session["snapshot"]["audio"]) == ("live", "live")


async def test_the_newest_come_first_and_in_pages(served: Served) -> None:
    paths = [api_path(await served.session(name)) for name in ("one", "two", "three")]
    found = await get(served, f"{SESSIONS}?limit=2")
    assert [each["stream_name"] for each in found["items"]] == ["three", "two"]
    assert (found["total"], found["limit"], found["offset"]) == (3, 2, 0)
    found = await get(served, f"{SESSIONS}?limit=2&offset=2")
    assert [f"{SESSIONS}/{each['id']}" for each in found["items"]] == paths[:1]
    for query in ("limit=0", "limit=x", "offset=-1", "limit=1&limit=2"):
        refused = await served.admin.get(f"{SESSIONS}?{query}")
        assert_problem(refused, 400, "bad_parameter", query.partition("=")[0])


async def test_an_ended_session_is_remembered(served: Served) -> None:
    path = await served.session()
    assert (await served.http.delete(path)).status_code == 200
    session = await get(served, api_path(path))
    assert (session["state"], session["reason"], session["client"]) == ("ended", "deleted", "127.0.0.1")
    assert (await get(served, SESSIONS))["items"] == []


async def test_an_ended_session_is_forgotten_in_the_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "MAX_REMEMBERED", 1)
    paths = [await served.session(name) for name in ("one", "two")]
    for path in paths:
        await served.http.delete(path)
    assert_problem(await served.admin.get(api_path(paths[0])), 404, "session_unknown")
    assert (await get(served, api_path(paths[1])))["state"] == "ended"


async def test_a_session_that_its_worker_lost_is_left_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    path = await served.session()
    await served.session("two")
    broadcast = served.worker._broadcasts.pop(path.rpartition("/")[2])
    assert [each["stream_name"] for each in (await get(served, SESSIONS))["items"]] == ["two"]
    assert_problem(await served.admin.get(api_path(path)), 404, "session_unknown")
    served.worker._broadcasts[broadcast.session_id] = broadcast


async def test_sessions_that_nobody_can_tell_of_yet_are_left_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        await served.session(name)
    describe, asked = SessionDirectory.describe, iter(("silent", "unknown yet", ""))

    async def describe_some(directory: SessionDirectory, session_id: str) -> Mapping[str, Any]:
        match next(asked):
            case "silent":
                raise WorkerSilent
            case "unknown yet":
                return {}
        return await describe(directory, session_id)

    monkeypatch.setattr(SessionDirectory, "describe", describe_some)
    listed = await get(served, SESSIONS)
    assert ([each["stream_name"] for each in listed["items"]], listed["total"]) == (["one"], 3)


async def test_a_session_that_never_was(served: Served) -> None:
    for method, part in [*CHANGING, *(("GET", part) for part in (*LOOKING, "/events"))]:
        answer = await served.admin.request(method, UNKNOWN_SESSION + part)
        assert_problem(answer, 404, "session_unknown")


async def test_a_whip_url_is_no_name_here(served: Served) -> None:
    path = await served.session()
    answer = await served.admin.get(f"{SESSIONS}/{path.rpartition('/')[2]}")
    assert_problem(answer, 404, "session_unknown")
    answer = await served.admin.get(f"{path.rpartition('/')[0]}/{api_path(path).rpartition('/')[2]}/status")
    assert_problem(answer, 404, "session_unknown")


# Who may


async def test_who_may_look_and_change(served: Served) -> None:
    path = api_path(await served.session())
    stream = await create(served)
    for role in Role:
        of_one = {"stream_id": stream["id"]} if role is Role.PUBLISHER else {}
        async with await client(served, role, **of_one) as http:
            may_look = role not in (Role.PLAYER, Role.PUBLISHER)
            for part in LOOKING:
                assert ((await http.get(path + part)).status_code != 403) is may_look, (role, part)
            assert ((await http.get(SESSIONS)).status_code == 200) is may_look
            assert ((await http.head(f"{path}/events")).status_code == 200) is may_look
            for (method, part), least in CHANGING.items():
                may = role is Role.ADMIN or (role is least)
                if not may:
                    assert_problem(await http.request(method, path + part), 403, "forbidden")
    assert (await get(served, path))["state"] == "connecting"


async def test_nobody_may_do_anything(served: Served) -> None:
    path = api_path(await served.session())
    for method, part in [*CHANGING, *(("GET", part) for part in (*LOOKING, "/events"))]:
        for headers in ({}, {"Authorization": "Bearer wk_wrong"}):
            answer = await served.http.request(method, path + part, headers=headers)
            assert_problem(answer, 401, "unauthenticated")
    assert (await get(served, path))["state"] == "connecting"


async def test_a_page_needs_more_than_its_cookie(served: Served) -> None:
    path = api_path(await served.session())
    async with served.client() as page:
        signed_in = await page.post("/v1/sign-in", json={"key": served.admin_key})
        assert signed_in.status_code == 200
        assert (await page.get(path)).status_code == 200
        assert_problem(await page.post(f"{path}/keyframe"), 403, "csrf_failed")
        token = {"X-CSRF-Token": signed_in.json()["csrf"]}
        assert (await page.post(f"{path}/keyframe", headers=token)).status_code == 204


# The end


async def test_a_session_is_ended(served: Served) -> None:
    path = await served.session()
    ended = await served.admin.delete(api_path(path))
    assert (ended.status_code, ended.content) == (204, b"")
    assert served.is_empty
    status = (await served.http.get(f"{path}/status")).json()
    assert (status["state"], status["reason"]) == ("ended", "deleted")
    for method, part in CHANGING:
        assert_problem(await served.admin.request(method, api_path(path) + part), 410, "session_over")
    thumbnail = await served.admin.get(f"{api_path(path)}/input/video/thumbnail")
    assert_problem(thumbnail, 410, "session_over")


async def test_a_publisher_notices(served: Served) -> None:
    async with live(served) as publisher:
        assert (await served.admin.delete(api_path(publisher.path))).status_code == 204
        assert await publisher.was_closed()


# Events


async def test_a_session_is_followed_to_its_end(served: Served) -> None:
    path = await served.session()
    events = f"{api_path(path)}/events"
    head = await served.admin.head(events)
    assert (head.status_code, head.headers["cache-control"]) == (200, "no-store")
    following = asyncio.ensure_future(served.admin.get(events))
    await until(lambda: served.directory._watching._watched)
    await served.http.post(f"{path}/sink?stream_name=two&stream_url=rtmp://127.0.0.1:1935/live")
    await asyncio.sleep(0.15)
    await served.http.delete(path)
    found = parse_events(await following)
    assert [kind for kind, _ in found][:: len(found) - 1] == ["status", "end"]
    assert found[0][1]["state"] == "connecting" and found[-1][1]["reason"] == "deleted"
    assert 2 in [len(snapshot["sinks"]) for _, snapshot in found]
    again = await served.admin.get(events, headers={"Last-Event-ID": "end"})
    assert (again.status_code, again.content) == (204, b"")


async def test_events_end_with_the_right_to_them(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.05)
    path = api_path(await served.session())
    secret, key = await served.services.keys.create("page", Role.READ_ONLY)
    headers = {"Authorization": f"Bearer {secret}"}
    following = asyncio.ensure_future(served.http.get(f"{path}/events", headers=headers))
    await until(lambda: served.directory._watching._watched)
    await served.services.keys.revoke(key.id)
    found = parse_events(await asyncio.wait_for(following, 5))
    assert {kind for kind, _ in found} == {"status"}
    assert not served.directory._watching._watched


# Sinks


def sink(**more: Any) -> dict[str, Any]:
    return {"stream_name": "two", "stream_url": "rtmp://127.0.0.1:1935/live", **more}


async def test_a_sink_is_added_looked_at_and_removed(served: Served) -> None:
    path = await served.session()
    body = sink(audio="opus", audio_bitrate=64_000, filler="freeze")
    added = await served.admin.post(f"{api_path(path)}/sinks", json=body)
    assert added.status_code == 201
    found = added.json()
    assert added.headers["location"] == f"{BASE}{api_path(path)}/sinks/{found['id']}"
    assert (found["stream_name"], found["audio"]["choice"], found["filler"]) == ("two", "opus", "freeze")
    sinks = (await get(served, f"{api_path(path)}/sinks"))["items"]
    assert [each["id"] for each in sinks] == ["1", found["id"]]
    assert [each["id"] for each in (await served.http.get(f"{path}/sink")).json()] == ["1", found["id"]]
    assert (await get(served, added.headers["location"]))["stream_name"] == "two"
    assert (await served.admin.delete(added.headers["location"])).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await served.admin.request(method, added.headers["location"])
        assert_problem(gone, 404, "sink_unknown")


async def test_a_sink_is_as_the_settings_say() -> None:
    settings = {"sink": {"audio": "aac", "audio_bitrate": 96_000, "filler": "freeze", "max_per_session": 2}}
    async with serving(Settings.model_validate(settings)) as served:
        path = f"{api_path(await served.session())}/sinks"
        found = (await served.admin.post(path, json=sink())).json()
        assert (found["audio"]["choice"], found["audio"]["bitrate"]) == ("aac", 96_000)
        assert found["filler"] == "freeze"
        assert_problem(await served.admin.post(path, json=sink()), 409, "too_many_sinks")


REFUSED: tuple[tuple[Any, int, str, str | None], ...] = (
    ({"stream_name": "two"}, 422, "body_refused", "stream_url"),
    ({"stream_url": "rtmp://a/b"}, 422, "body_refused", "stream_name"),
    (sink(stream_name=""), 422, "body_refused", "stream_name"),
    (sink(stream_name="a b"), 422, "body_refused", "stream_name"),
    (sink(stream_name=1), 422, "body_refused", "stream_name"),
    (sink(stream_url="http://a/b"), 422, "body_refused", "stream_url"),
    (sink(audio="mp3"), 422, "body_refused", "audio"),
    (sink(audio=["aac"]), 422, "body_refused", "audio"),
    (sink(audio_bitrate=1), 422, "body_refused", "audio_bitrate"),
    (sink(audio_bitrate=64_000.5), 422, "body_refused", "audio_bitrate"),
    (sink(audio_bitrate="64000"), 422, "body_refused", "audio_bitrate"),
    (sink(audio_bitrate=True), 422, "body_refused", "audio_bitrate"),
    (sink(filler="black"), 422, "body_refused", "filler"),
    (sink(bitrate=1), 422, "body_refused", None),
    ([], 422, "body_refused", None),
    (sink(stream_name="one"), 409, "stream_busy", None),
)


async def test_sinks_that_are_refused(served: Served) -> None:
    path = await served.session()
    for body, status, code, member in REFUSED:
        refused = await served.admin.post(f"{api_path(path)}/sinks", json=body)
        assert_problem(refused, status, code, member)
    assert len((await served.http.get(f"{path}/sink")).json()) == 1


async def test_bodies_of_sinks(served: Served) -> None:
    path = f"{api_path(await served.session())}/sinks"
    refused = await served.admin.post(path, content="stream_name=two")
    assert_problem(refused, 415, "unsupported_media_type")
    assert refused.headers["accept-post"] == "application/json"
    json = {"Content-Type": "application/json"}
    assert_problem(await served.admin.post(path, content="{", headers=json), 400, "malformed_json")


async def test_what_is_locked_is_no_sinks_either(served: Served) -> None:
    path = f"{api_path(await served.session())}/sinks"
    stream = await create(served)
    assert (await served.admin.post(path, json=sink(stream_name=stream["name"]))).status_code == 201
    other = await create(served)
    assert (await served.admin.post(f"/v1/streams/{other['id']}/lock")).status_code == 200
    refused = await served.admin.post(path, json=sink(stream_name=other["name"]))
    assert_problem(refused, 403, "forbidden")


async def test_metadata_is_put_into_the_stream(served: Served) -> None:
    path = f"{api_path(await served.session())}/metadata"
    message = {"handlerName": "onCuePoint", "payload": {"name": "goal"}}
    assert (await served.admin.post(path, json=message)).status_code == 204
    refused = await served.admin.post(path, json={"handlerName": "onCuePoint"})
    assert_problem(refused, 422, "metadata_refused")
