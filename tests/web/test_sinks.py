"""The sinks of a session over HTTP: the real application with a real worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
import structlog
from tests.peers.http_server import http_server
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.peers.waiting import until
from tests.web.live_client import live
from tests.web.served import BASE, ENDPOINT, TARGET, Served, assert_problem, serving
from tests.web.v1.studio import api_path, publishing_by_rtmp, sends_picture

from whipway.config import AuthSettings, Settings, Token
from whipway.protocol.rtmp.server import PublishRequested
from whipway.streams import known_sessions
from whipway.streams.access.admission import make_admission, unix_time
from whipway.streams.access.tokens import make_token
from whipway.worker.messages import EndSession

pytestmark = pytest.mark.anyio

SECRET = "a shared secret of enough characters"
ONE, ONE_HASH = make_token(lambda size: b"1" * size)
ALL, ALL_HASH = make_token(lambda size: b"2" * size)
TOKENS = [Token(hash=ONE_HASH, streams=["one", "studio-*"]), Token(hash=ALL_HASH, streams=["*"])]
UNKNOWN = f"{ENDPOINT}/{'A' * 32}"


def query(name: str = "two", url: str = TARGET, more: str = "") -> str:
    return f"stream_name={name}&stream_url={url}{more}"


async def add(served: Served, path: str, asked: str = query(), token: str = "") -> httpx.Response:
    """The query goes out byte for byte as it stands here."""
    url = httpx.URL(BASE).copy_with(raw_path=f"{path}/sink?{asked}".encode())
    return await served.http.post(url, headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def sinks(served: Served, path: str) -> list[dict[str, Any]]:
    response = await served.http.get(f"{path}/sink")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found: list[dict[str, Any]] = response.json()
    return found


@asynccontextmanager
async def guarded(now: Any = unix_time, **auth: Any) -> AsyncIterator[Served]:
    admission = make_admission(AuthSettings(**(auth or {"tokens": TOKENS})), now=now)
    assert admission is not None
    async with serving(admission=admission) as served:
        yield served
    await admission.close()


# What there is


async def test_a_session_begins_with_one_sink(served: Served) -> None:
    path = await served.session("one?key=secret")
    [sink] = await sinks(served, path)
    assert (sink["id"], sink["stream_name"], sink["stream_url"]) == ("1", "one", TARGET)
    assert sink["audio"]["choice"] == "aac" and sink["audio"]["bitrate"] == 128_000
    assert (await served.http.get(f"{path}/sink/1")).json()["id"] == "1"
    assert (await served.http.get(f"{path}/status")).json()["sinks"][0]["id"] == "1"


async def test_a_sink_is_added_and_removed(served: Served) -> None:
    path = await served.session()
    response = await add(served, path, query(more="&audio=opus"))
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    sink = response.json()
    assert response.headers["location"] == f"{BASE}{path}/sink/{sink['id']}"
    assert (sink["stream_name"], sink["audio"]["choice"]) == ("two", "opus")
    assert [each["id"] for each in await sinks(served, path)] == ["1", sink["id"]]
    assert (await served.http.get(response.headers["location"])).json()["stream_name"] == "two"
    removed = await served.http.delete(response.headers["location"])
    assert (removed.status_code, removed.content) == (200, b"")
    assert [each["id"] for each in await sinks(served, path)] == ["1"]
    for method in ("GET", "DELETE"):
        again = await served.http.request(method, response.headers["location"])
        assert_problem(again, 404, "sink_unknown")


@pytest.mark.parametrize("choice", ["none", "freeze"])
async def test_what_a_sink_gets_in_place_of_pictures(choice: str) -> None:
    other = "none" if choice == "freeze" else "freeze"
    async with serving(Settings.model_validate({"sink": {"filler": choice}})) as served:
        path = await served.session("one")
        asked = await served.post(query("two", more=f"&filler={other}"))
        assert asked.status_code == 201
        await add(served, path, query("three"))
        await add(served, path, query("four", more=f"&filler={other}"))
        found = [*await sinks(served, path), *await sinks(served, asked.headers["location"])]
        assert [each["filler"] for each in found] == [choice, choice, other, other]


async def test_the_first_sink_is_one_like_the_others(served: Served) -> None:
    path = await served.session()
    assert (await served.http.delete(f"{path}/sink/1")).status_code == 200
    assert await sinks(served, path) == []
    assert (await served.http.get(path)).status_code == 204
    again = await add(served, path, query("one"))
    assert again.status_code == 201 and again.json()["id"] != "1"


async def test_head_is_as_get(served: Served) -> None:
    path = await served.session()
    for each in ("sink", "sink/1"):
        get, head = await served.http.get(f"{path}/{each}"), await served.http.head(f"{path}/{each}")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_settings_say_what_nobody_asks_for() -> None:
    settings = {"sink": {"audio": "auto", "audio_bitrate": 64_000}}
    async with serving(Settings.model_validate(settings)) as served:
        path = await served.session()
        await add(served, path, query(more="&audio=aac&audio_bitrate=96000"))
        first, second = await sinks(served, path)
        assert first["audio"]["choice"] == "auto"
        assert (second["audio"]["choice"], second["audio"]["bitrate"]) == ("aac", 96_000)


async def test_location_follows_the_public_url() -> None:
    settings = Settings.model_validate({"http": {"public_url": "https://public.example/whip/"}})
    async with serving(settings) as served:
        created = await served.post(query("one"))
        path = created.headers["location"].removeprefix("https://public.example/whip")
        response = await add(served, path)
        assert response.headers["location"] == f"{created.headers['location']}/sink/{response.json()['id']}"


async def test_a_body_is_not_looked_at(served: Served) -> None:
    path = await served.session()
    for number, content in enumerate((b"", b"{}", b"\xff" * 100_000)):
        response = await served.http.post(f"{path}/sink?{query(f'more-{number}')}", content=content)
        assert response.status_code == 201


# Where the stream goes


async def test_a_sink_that_is_added_gets_the_stream(served: Served) -> None:
    async with live(served) as client, listening() as listener:
        response = await add(served, client.path, query("more", f"rtmp://{HOST}:{listener.port}/app"))
        server = await listener.connection()
        await until(lambda: server.events)
        assert server.events[0] == PublishRequested("app", "more", "", 1)
        first = await client.rtmp.connection()
        assert (await served.http.delete(response.headers["location"])).status_code == 200
        await until(lambda: server.lost)
        # The other one is none the wiser.
        assert not first.lost
        assert (await client.status())["state"] == "live"


# What is refused


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ("", "stream_name"),
        ("stream_name=one", "stream_url"),
        (query("a%0Ab"), "stream_name"),
        (query(url="http://host/live"), "stream_url"),
        (query(more="&stream_url=rtmp://host/live"), "stream_url"),
        (query(more="&audio=mp3"), "audio"),
        (query(more="&audio_bitrate=1"), "audio_bitrate"),
        (query(more="&filler=black"), "filler"),
    ],
)
async def test_a_bad_parameter_is_named(served: Served, asked: str, parameter: str) -> None:
    path = await served.session()
    assert_problem(await add(served, path, asked), 400, "bad_parameter", parameter)
    # That is said first, wherever it was sent to.
    assert_problem(await add(served, UNKNOWN, asked), 400, "bad_parameter", parameter)
    assert len(await sinks(served, path)) == 1


async def test_unknown_sessions_and_sinks(served: Served) -> None:
    path = await served.session()
    assert_problem(await add(served, UNKNOWN), 404, "session_unknown")
    for method, each in (("GET", "sink"), ("GET", "sink/1"), ("DELETE", "sink/1")):
        response = await served.http.request(method, f"{UNKNOWN}/{each}")
        assert_problem(response, 404, "session_unknown")
    for method in ("GET", "DELETE"):
        response = await served.http.request(method, f"{path}/sink/9")
        assert_problem(response, 404, "sink_unknown")
        for odd in ("x" * 17, "1.5", "1/"):
            response = await served.http.request(method, f"{path}/sink/{odd}")
            assert_problem(response, 404, "not_found")


async def test_after_the_end(served: Served) -> None:
    path = await served.session()
    added = await add(served, path)
    await served.http.delete(path)
    assert [each["stream_name"] for each in await sinks(served, path)] == ["one", "two"]
    assert (await served.http.get(added.headers["location"])).json()["stream_name"] == "two"
    assert_problem(await served.http.get(f"{path}/sink/9"), 404, "sink_unknown")
    assert_problem(await add(served, path, query("three")), 410, "session_over")
    assert_problem(await served.http.delete(f"{path}/sink/1"), 410, "session_over")


async def test_where_streams_may_not_go(served: Served) -> None:
    path = await served.session()
    problem = assert_problem(
        await add(served, path, query(url="rtmp://10.0.0.7/live")), 403, "egress_refused"
    )
    assert problem["detail"]
    await served.http.delete(path)
    # Nobody looks names up for what is over.
    assert_problem(await add(served, path, query(url="rtmp://10.0.0.7/live")), 410, "session_over")


async def test_a_stream_has_one_publisher(served: Served) -> None:
    path = await served.session("one")
    await served.session("two")
    for name in ("one", "two", "two?other=arguments"):
        assert_problem(await add(served, path, query(name)), 409, "stream_busy")
    assert len(await sinks(served, path)) == 1
    # Nor may another session have what an added sink publishes.
    await add(served, path, query("three"))
    assert_problem(await served.post(query("three")), 409, "stream_busy")


async def test_there_are_only_so_many() -> None:
    async with serving(Settings.model_validate({"sink": {"max_per_session": 2}})) as served:
        path = await served.session()
        second = await add(served, path, query("two"))
        assert_problem(await add(served, path, query("three")), 409, "too_many_sinks")
        await served.http.delete(second.headers["location"])
        assert (await add(served, path, query("three"))).status_code == 201


async def test_sound_has_only_so_many_formats(served: Served) -> None:
    path = await served.session()
    for bitrate in (64_000, 96_000):
        added = await add(served, path, query(f"aac-{bitrate}", more=f"&audio_bitrate={bitrate}"))
        assert added.status_code == 201
    last = await add(served, path, query("opus", more="&audio=opus"))
    for more in ("&audio_bitrate=32000", "&audio=auto&audio_bitrate=32000"):
        problem = assert_problem(await add(served, path, query(more=more)), 409, "too_many_sinks")
        assert "audio_bitrate of another of its sinks" in problem["detail"]
    # Who shares one is none the worse for it.
    for number, more in enumerate(("", "&audio=opus", "&audio=auto&audio_bitrate=64000")):
        assert (await add(served, path, query(f"same-{number}", more=more))).status_code == 201
    for sink in (await sinks(served, path))[3:]:
        assert (await served.http.delete(f"{path}/sink/{sink['id']}")).status_code == 200
    assert last.json()["id"] == "4"
    assert (await add(served, path, query(more="&audio_bitrate=32000"))).status_code == 201


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"])
async def test_a_stream_is_one_by_any_address_of_this_machine(served: Served, host: str) -> None:
    path = await served.session("one")
    asked = query("one", TARGET.replace("127.0.0.1", host))
    assert_problem(await add(served, path, asked), 409, "stream_busy")
    assert_problem(await served.post(asked), 409, "stream_busy")


async def test_keys_of_other_services_are_not_shown(served: Served) -> None:
    path = await served.session("one")
    added = await add(
        served, path, query("live_12345_abcdefghijkl", "rtmp://public.example/live/abcdefghijklmno")
    )
    assert added.status_code == 201
    await served.http.delete(added.headers["location"])
    shown = ("live_123…", "rtmp://public.example:1935/live/abcdefgh…")
    assert (added.json()["stream_name"], added.json()["stream_url"]) == shown


@pytest.mark.parametrize(
    ("method", "below"), [("POST", f"sink?{query()}"), ("DELETE", "sink/1"), ("POST", "metadata")]
)
async def test_a_session_that_ends_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch, method: str, below: str
) -> None:
    path = await served.session()
    ask = served.pool.request

    async def end_first(message: Any) -> Any:
        if not isinstance(message, EndSession):
            await served.directory.end(path.rpartition("/")[2], "deleted")
        return await ask(message)

    monkeypatch.setattr(served.pool, "request", end_first)
    body = {"handlerName": "onCuePoint", "payload": {}}
    response = await served.http.request(method, f"{path}/{below}", json=body)
    assert_problem(response, 410, "session_over")


async def test_a_session_that_is_lost(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker knows nothing of it, and no word of its end ever comes."""
    path = await served.session()
    monkeypatch.setattr(known_sessions, "EVENT_TIMEOUT", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(served.worker, "_broadcasts", {})
        assert_problem(await served.http.get(f"{path}/sink"), 404, "session_unknown")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_requests_for_sinks_are_limited_like_others(method: str) -> None:
    limits = {"posts_per_minute": 2, "deletes_per_minute": 2}
    async with serving(Settings.model_validate({"limits": limits})) as served:
        for _ in range(2):
            assert (await served.http.request(method, f"{UNKNOWN}/sink")).status_code != 429
        response = await served.http.request(method, f"{UNKNOWN}/sink")
        assert_problem(response, 429, "too_many_requests")


async def test_a_draining_server_serves_the_sessions_it_has(served: Served) -> None:
    path = await served.session()
    served.directory.drain()
    assert (await add(served, path)).status_code == 201


# Who may


async def test_strangers_see_and_change_nothing() -> None:
    async with guarded() as served:
        path = await served.session("two", Authorization=f"Bearer {ALL}")
        for token, status in (("", 401), ("wrong", 401), (ONE, 403)):
            answers = [
                await add(served, path, query("studio-1"), token),
                await served.http.get(f"{path}/sink", headers=bearer(token)),
                await served.http.get(f"{path}/sink/1", headers=bearer(token)),
                await served.http.delete(f"{path}/sink/1", headers=bearer(token)),
            ]
            assert [answer.status_code for answer in answers] == [status] * 4
        listed = await served.http.get(f"{path}/sink", headers=bearer(ALL))
        assert [each["id"] for each in listed.json()] == ["1"]


async def test_a_session_is_not_enough_to_publish_another_stream() -> None:
    async with guarded() as served:
        path = await served.session("one", Authorization=f"Bearer {ONE}")
        assert_problem(await add(served, path, query("two"), ONE), 403, "forbidden")
        assert (await add(served, path, query("studio-1"), ONE)).status_code == 201
        # What needs nobody to be asked is said first, as to a session that is begun.
        refused = await add(served, path, query("two", "rtmp://10.0.0.7/live"), ONE)
        assert_problem(refused, 403, "egress_refused")
        await served.http.delete(path, headers=bearer(ONE))
        assert_problem(await add(served, path, query("two"), ONE), 410, "session_over")


async def test_a_token_that_expires_begins_nothing_more() -> None:
    time = [unix_time()]
    claims = {"exp": time[0] + 60, "stream_name": ["one", "two", "three"]}
    token = jwt.encode(claims, SECRET, "HS256")
    async with guarded(now=lambda: time[0], jwt_secret=SECRET) as served:
        path = await served.session("one", Authorization=f"Bearer {token}")
        added = await add(served, path, query("two"), token)
        assert added.status_code == 201
        time[0] += 3600
        assert_problem(await add(served, path, query("three"), token), 401, "unauthenticated")
        assert (await served.http.delete(added.headers["location"], headers=bearer(token))).status_code == 200


async def test_the_callback_is_asked_about_each_sink() -> None:
    async with http_server() as callback, guarded(callback=callback.url) as served:
        path = await served.session("one")
        assert (await add(served, path, query("two?key=x"))).status_code == 201
        assert dict(callback.requests[-1].form) | {"clientid": ""} == {
            "call": "publish",
            "name": "two",
            "app": "live",
            "addr": "127.0.0.1",
            "clientid": "",
            "tcurl": TARGET,
            "type": "live",
            "key": "x",
        }
        callback.status = 403
        assert_problem(await add(served, path, query("three")), 403, "forbidden")
        assert len(callback.requests) == 3
        assert_problem(await add(served, UNKNOWN, query("three")), 404, "session_unknown")
        assert len(callback.requests) == 3


async def test_the_callback_hears_of_no_sink_that_cannot_come() -> None:
    async with http_server() as callback, guarded(callback=callback.url) as served:
        path = await served.session("one")
        for number in range(3):
            added = await add(served, path, query(f"more-{number}", more=f"&audio_bitrate={20_000 + number}"))
            assert added.status_code == 201
        asked = len(callback.requests)
        refused = await add(served, path, query("two", "rtmp://10.0.0.7/live"))
        assert_problem(refused, 403, "egress_refused")
        refused = await add(served, path, query("two", more="&audio_bitrate=32000"))
        assert_problem(refused, 409, "too_many_sinks")
        for number in range(12):
            assert (await add(served, path, query(f"many-{number}"))).status_code == 201
        assert_problem(await add(served, path), 409, "too_many_sinks")
        await served.http.delete(path)
        assert_problem(await add(served, path), 410, "session_over")
        assert len(callback.requests) == asked + 12


# What is not told


async def test_credentials_are_not_shown() -> None:
    hidden = ("hunter2", "passcode", "sesame", "me:")
    url = f"{TARGET.replace('rtmp://', 'rtmp://me:hunter2@')}?open=sesame"
    with structlog.testing.capture_logs() as logs:
        async with serving() as served:
            path = await served.session("one")
            added = await add(served, path, query("two?passcode=1", url))
            assert added.status_code == 201, added.text
            assert added.json()["stream_url"] == TARGET
            busy = await add(served, path, query("two?passcode=2", url))
            bad = await add(served, path, query("three", url, "&audio=mp3"))
            listed = await served.http.get(f"{path}/sink")
            status = await served.http.get(f"{path}/status")
            await served.http.delete(path)
            last = await served.http.get(f"{path}/status")
    texts = [answer.text + str(answer.headers) for answer in (added, busy, bad, listed, status, last)]
    for text in (*texts, str(logs)):
        assert not [secret for secret in hidden if secret in text]
    # All it takes to end a session.
    assert path.rpartition("/")[2] not in str(logs)


async def test_pages_from_elsewhere_may_read_where_a_sink_is(served: Served) -> None:
    path = await served.session()
    url = f"{path}/sink?{query()}"
    response = await served.http.post(url, headers={"Origin": "https://page.example"})
    assert "Location" in response.headers["access-control-expose-headers"]
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "DELETE"}
    answer = await served.http.options(response.headers["location"], headers=preflight)
    assert "DELETE" in answer.headers["access-control-allow-methods"]


# To this server itself, under another name


async def test_what_is_locked_or_unknown_is_no_sinks_either() -> None:
    async with serving(Settings.model_validate({"streams": {"require_known": True}})) as served:
        one, two, locked = [(await served.admin.post("/v1/streams")).json() for _ in range(3)]
        here = served.gateway.stream_url
        assert here is not None
        path = await served.session(one["name"])
        await served.admin.post(f"/v1/streams/{locked['id']}/lock")
        for name in (locked["name"], "unknown"):
            assert_problem(await add(served, path, query(name, here)), 403, "forbidden")
            body = {"stream_url": here, "stream_name": name}
            refused = await served.admin.post(f"{api_path(path)}/sinks", json=body)
            assert_problem(refused, 403, "forbidden")
        assert (await add(served, path, query(two["name"], here))).status_code == 201
        # Elsewhere names are others' business.
        assert (await add(served, path, query("unknown", "rtmp://public.example/live"))).status_code == 201
        # The session's own stream is, too.
        other = here.replace("/live", "/other")
        assert (await add(served, path, query(one["name"], other))).status_code == 201


@pytest.mark.parametrize("way", ["stop", "lock", "delete", "remove", "end"])
async def test_a_second_stream_has_a_life_of_its_own(served: Served, way: str) -> None:
    here = served.gateway.stream_url
    assert here is not None
    first, second = [(await served.admin.post("/v1/streams")).json() for _ in range(2)]

    async def state(stream: dict[str, Any]) -> str:
        found: str = (await served.admin.get(f"/v1/streams/{stream['id']}")).json().get("state", "deleted")
        return found

    async def becomes(stream: dict[str, Any], expected: str) -> None:
        async with asyncio.timeout(5):
            while await state(stream) != expected:
                await asyncio.sleep(0.01)

    async with live(served, name=first["name"]) as client:
        sink = (await add(served, client.path, query(second["name"], here))).json()
        await sends_picture(client)
        await becomes(first, "live")
        await becomes(second, "live")
        publisher = (await served.admin.get(f"/v1/streams/{second['id']}")).json()["publisher"]
        assert publisher["session"] == api_path(client.path).rpartition("/")[2]
        url = f"/v1/streams/{second['id']}"
        match way:
            case "delete":
                await served.admin.delete(url)
            case "remove":
                await served.http.delete(f"{client.path}/sink/{sink['id']}")
            case "end":
                await served.http.delete(client.path)
            case _:
                assert (await served.admin.post(f"{url}/{way}")).status_code == 200
        await becomes(second, {"lock": "locked", "delete": "deleted"}.get(way, "ended"))
        assert await state(first) == ("ended" if way == "end" else "live")
        left = ["1", sink["id"]] if way == "end" else ["1"]
        assert [each["id"] for each in await sinks(served, client.path)] == left


async def test_a_push_url_to_this_server(served: Served) -> None:
    here = served.gateway.stream_url
    first, second = [(await served.admin.post("/v1/streams")).json() for _ in range(2)]
    push = {"push_url": f"{here}/{second['name']}"}
    url = f"/v1/streams/{first['id']}"
    await served.admin.post(f"/v1/streams/{second['id']}/lock")
    assert_problem(await served.admin.patch(url, json=push), 422, "body_refused", "push_url")
    await served.admin.post(f"/v1/streams/{second['id']}/unlock")
    assert (await served.admin.patch(url, json=push)).status_code == 200
    publications = served.services.publications
    async with publishing_by_rtmp(served, first["name"]):
        await until(lambda: any(each.is_live for each in publications.of(second["name"])))
        await served.services.streams.stop(second["id"])
        assert publications.of(second["name"]) == [] and publications.of(first["name"])
    await until(lambda: not publications.all())
