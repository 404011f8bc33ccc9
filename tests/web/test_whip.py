"""The rules of the WHIP endpoint: the real application with a real worker, over its real link."""

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urljoin

import pytest
import structlog
from fastapi import FastAPI
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.served import BASE, ENDPOINT, OFFER, OFFERS, QUERY, TARGET, Served, assert_problem, serving

from whipway import __version__
from whipway.config import AuthSettings, Settings, Token
from whipway.pool.standing import WORKER_LOST, WorkerStanding
from whipway.protocol.rtmp.server import PublishRequested
from whipway.session.events import EndReason
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token
from whipway.streams.sessions import LOST, SessionDirectory
from whipway.web.app import DASHBOARD

pytestmark = pytest.mark.anyio


# What is accepted


async def test_an_offer_is_answered_with_a_session(served: Served) -> None:
    response = await served.post()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/sdp"
    location = response.headers["location"]
    assert re.fullmatch(rf"{BASE}{ENDPOINT}/[A-Za-z0-9_-]+", location)
    assert response.text.startswith("v=0\r\n")
    assert "a=recvonly" in response.text and "a=ice-lite" in response.text
    assert served.directory.live_count == 1


async def test_every_session_has_its_own_url(served: Served) -> None:
    assert await served.session("one") != await served.session("two")


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in OFFERS.glob("*.sdp") if path.stem != "firefox_without_h264")
)
async def test_offers_of_real_clients_are_accepted(served: Served, name: str) -> None:
    assert (await served.post(content=(OFFERS / f"{name}.sdp").read_text())).status_code == 201


@pytest.mark.parametrize("kinds", [("audio",), ("video",), ("video", "audio")])
async def test_one_track_is_enough(served: Served, kinds: tuple[str, ...]) -> None:
    response = await served.post(content=WhipClient(kinds=kinds).offer)
    assert response.status_code == 201
    assert re.findall(r"^m=(\w+)", response.text, re.M) == [*kinds]


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        f"stream_name=one&stream_url={quote(TARGET, safe='')}",
        f"stream_url={TARGET}&stream_name=one",
        f"&&stream%5Fname=one&stream_url={TARGET}&other=1&other=2",
        f"{QUERY}&audio_bitrate=16000",
        f"{QUERY}&audio_bitrate=320000",
        f"{QUERY}&audio=opus",
        QUERY.replace("rtmp://", "rtmp://me:secret@"),
    ],
    ids=[
        "raw",
        "encoded",
        "other order",
        "more than is known",
        "lowest bitrate",
        "highest bitrate",
        "Opus",
        "user and password",
    ],
)
async def test_queries_that_say_the_same(served: Served, query: str) -> None:
    response = await served.post(query)
    assert response.status_code == 201
    [sink] = (await served.http.get(f"{response.headers['location']}/sink")).json()
    assert (sink["stream_name"], sink["stream_url"]) == ("one", TARGET)


@pytest.mark.parametrize(
    "name", ["one?passcode=abc", quote("one?passcode=abc", safe="")], ids=["raw", "encoded"]
)
async def test_the_stream_name_reaches_the_target_with_its_arguments(served: Served, name: str) -> None:
    await assert_published_as(served, name, PublishRequested("live", "one", "passcode=abc", 1))


async def test_a_plus_is_a_plus_and_utf_8_is_utf_8(served: Served) -> None:
    await assert_published_as(served, "a+b%C3%A9", PublishRequested("live", "a+b\u00e9", "", 1))


async def assert_published_as(served: Served, name: str, expected: PublishRequested) -> None:
    async with listening() as listener:
        machine = WhipClient()
        url = f"rtmp://{HOST}:{listener.port}/live"
        response = await served.post(f"stream_name={name}&stream_url={url}", machine.offer)
        assert response.status_code == 201
        client = UdpClient.start(machine, response.text)
        server = await listener.connection()
        await until(lambda: server.events)
        assert server.events[0] == expected
        assert (await served.http.delete(response.headers["location"])).status_code == 200
        client.close()


# The life of a session


async def test_delete_ends_a_session_once(served: Served) -> None:
    path = await served.session()
    response = await served.http.delete(path)
    assert (response.status_code, response.content) == (200, b"")
    assert served.is_empty
    assert_problem(await served.http.delete(path), 410, "session_over")


async def test_delete_of_a_session_that_ended_by_itself_says_why(served: Served) -> None:
    async with listening() as listener:
        machine = WhipClient()
        url = f"rtmp://{HOST}:{listener.port}/live"
        response = await served.post(f"stream_name=one&stream_url={url}", machine.offer)
        client = await UdpClient.start(machine, response.text).connected()
        await listener.connection()
        machine.close()
        client.flush()
        await until(lambda: served.is_empty)
        client.close()
    path = response.headers["location"]
    problem = assert_problem(await served.http.delete(path), 410, "session_over")
    assert problem["detail"] == "It ended before: the client closed its connection"
    snapshot = (await served.http.get(f"{path}/status")).json()
    assert (snapshot["state"], snapshot["reason"]) == ("ended", "client_closed")


async def test_the_status_of_a_session(served: Served) -> None:
    path = await served.session()
    response = await served.http.get(f"{path}/status")
    assert response.headers["content-type"] == "application/json"
    snapshot = response.json()
    assert (snapshot["state"], snapshot["stream_name"], snapshot["reason"]) == ("connecting", "one", None)
    assert snapshot["silent_for"] is None
    assert {track["kind"] for track in snapshot["tracks"]} == {"audio", "video"}
    await served.http.delete(path)
    snapshot = (await served.http.get(f"{path}/status")).json()
    assert (snapshot["state"], snapshot["reason"]) == ("ended", "deleted")


async def test_unknown_sessions(served: Served) -> None:
    assert_problem(await served.http.delete(f"{ENDPOINT}/unknown"), 404, "session_unknown")
    assert_problem(await served.http.get(f"{ENDPOINT}/unknown/status"), 404, "session_unknown")


# Two publishers of one stream


def in_session(**values: Any) -> Settings:
    return Settings.model_validate({"session": values})


@pytest.fixture
async def takeover(anyio_backend: object) -> AsyncIterator[Served]:
    """Where a live stream is given to who asks for it, and there is no room for a second one."""
    async with serving(in_session(on_conflict="takeover", max_sessions=1)) as served:
        yield served


async def test_a_stream_has_one_publisher(served: Served) -> None:
    path = await served.session()
    problem = assert_problem(await served.post(f"{QUERY}?other=arguments"), 409, "stream_busy")
    for way_out in ("wait", "DELETE", "session.on_conflict"):
        assert way_out in problem["detail"]
    # The other session is nobody else's business.
    assert path.rpartition("/")[2][:8] not in str(problem)
    assert (await served.http.get(f"{path}/status")).json()["state"] == "connecting"
    await served.http.delete(path)
    assert (await served.post()).status_code == 201


async def test_a_silent_publisher_gives_way() -> None:
    async with serving(in_session(takeover_after=1e-9)) as served:
        path = await served.session()
        await served.session()
        await assert_replaced(served, path)


async def test_a_new_publisher_takes_over(takeover: Served) -> None:
    path = await takeover.session()
    await takeover.session()
    await assert_replaced(takeover, path)


async def assert_replaced(served: Served, path: str) -> None:
    problem = assert_problem(await served.http.delete(path), 410, "session_over")
    assert problem["detail"] == "It ended before: a new publisher took over the stream"
    snapshot = (await served.http.get(f"{path}/status")).json()
    assert (snapshot["state"], snapshot["reason"]) == ("ended", EndReason.REPLACED)
    assert served.directory.live_count == len(served.worker._broadcasts) == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [("hello", 400), ((OFFERS / "firefox_without_h264.sdp").read_text(), 422)],
    ids=["no SDP", "no H.264"],
)
async def test_a_refused_offer_ends_nobody(takeover: Served, content: str, status: int) -> None:
    path = await takeover.session()
    assert (await takeover.post(content=content)).status_code == status
    assert (await takeover.http.get(f"{path}/status")).json()["state"] == "connecting"


async def test_other_names_of_this_machine_are_no_way_around(served: Served) -> None:
    await served.session()
    elsewhere = TARGET.replace("127.0.0.1", "localhost")
    assert_problem(await served.post(f"stream_name=one&stream_url={elsewhere}"), 409, "stream_busy")


async def test_a_full_server_still_changes_publishers(takeover: Served) -> None:
    path = await takeover.session()
    await takeover.session()
    await assert_replaced(takeover, path)
    assert_problem(await takeover.post(f"stream_name=two&stream_url={TARGET}"), 503, "server_full")


@pytest.mark.parametrize("way", ["refuse", "takeover"])
async def test_many_publishers_and_deletes_at_once(way: str) -> None:
    async with serving(in_session(on_conflict=way)) as served:
        await publish_and_delete_at_once(served, takes_over=way == "takeover")


async def publish_and_delete_at_once(served: Served, *, takes_over: bool) -> None:
    path = await served.session()
    requests = [served.post() for _ in range(4)]
    *posted, deleted = await asyncio.gather(*requests, served.http.delete(path))
    statuses = [response.status_code for response in posted]
    assert set(statuses) <= {201, 409} and deleted.status_code in (200, 410)
    created = [response.headers["location"].removeprefix(BASE) for response in posted if response.is_success]
    states = [(await served.http.get(f"{each}/status")).json()["state"] for each in (path, *created)]
    assert states.count("ended") == len(states) - len(served.worker._broadcasts)
    assert len(served.worker._broadcasts) <= 1
    if takes_over:
        assert statuses == [201] * 4 and len(served.worker._broadcasts) == 1


# What is refused


async def test_what_is_wrong_first_is_said_first() -> None:
    (mine, my_hash), (other, other_hash) = make_token(secrets.token_bytes), make_token(secrets.token_bytes)
    tokens = [Token(hash=my_hash, streams=["one"]), Token(hash=other_hash, streams=["two"])]
    async with serving(admission=make_admission(AuthSettings(tokens=tokens))) as served:
        wrong: dict[str, Any] = {"query": "", "content": b"x" * 100_000, "Content_Type": "text/html"}
        assert_problem(await served.post(**wrong), 400, "bad_parameter", "stream_name")
        wrong["query"] = QUERY
        assert_problem(await served.post(**wrong), 401, "unauthenticated")
        wrong["Authorization"] = f"Bearer {other}"
        assert_problem(await served.post(**wrong), 415, "unsupported_media_type")
        wrong["Content_Type"] = "application/sdp"
        assert_problem(await served.post(**wrong), 413, "body_too_large")
        wrong["content"] = "hello"
        assert_problem(await served.post(**wrong), 403, "forbidden")
        wrong["Authorization"] = f"Bearer {mine}"
        assert_problem(await served.post(**wrong), 400, "malformed_sdp")
        assert served.is_empty


MISSING = "is missing"
TWICE = "is given twice"


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ("", "stream_name", MISSING),
        (f"stream_url={TARGET}", "stream_name", MISSING),
        (f"stream_name&stream_url={TARGET}", "stream_name", MISSING),
        (f"stream_name=&stream_url={TARGET}", "stream_name", MISSING),
        (f"stream_name=%3Fpasscode=abc&stream_url={TARGET}", "stream_name", "is empty"),
        (f"stream_name={'x' * 1025}&stream_url={TARGET}", "stream_name", "longer"),
        (f"stream_name=a%0Ab&stream_url={TARGET}", "stream_name", "cannot be printed"),
        (f"{QUERY}&stream_name=one", "stream_name", TWICE),
        (f"{QUERY}&stream%5Furl={TARGET}", "stream_url", TWICE),
        (f"{QUERY}&audio_bitrate&audio_bitrate=64000", "audio_bitrate", TWICE),
        ("stream_name=one", "stream_url", MISSING),
        ("stream_name=one&stream_url=", "stream_url", MISSING),
        ("stream_name=one&stream_url=http://host/live", "stream_url", "must begin with rtmp"),
        ("stream_name=one&stream_url=rtmp://host", "stream_url", "names no application"),
        ("stream_name=one&stream_url=rtmp:///live", "stream_url", "names no host"),
        ("stream_name=one&stream_url=rtmp://host:port/live", "stream_url", "cannot be read"),
        ("stream_name=one&stream_url=rtmp://host:99999/live", "stream_url", "cannot be read"),
        ("stream_name=one&stream_url=rtmp://:secret@host/live", "stream_url", "user"),
        (f"{QUERY}&audio=mp3", "audio", "one of aac, opus, auto"),
        (f"{QUERY}&audio=aac&audio=aac", "audio", TWICE),
        (f"{QUERY}&audio_bitrate=15999", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate=320001", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate=", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate=fast", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate=-64000", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate=%D9%A1%D9%A2%D9%A8000", "audio_bitrate", "from 16000 to 320000"),
        (f"{QUERY}&audio_bitrate={'1' * 5000}", "audio_bitrate", "from 16000 to 320000"),
    ],
)
async def test_a_bad_parameter_is_named(served: Served, query: str, parameter: str, words: str) -> None:
    problem = assert_problem(await served.post(query), 400, "bad_parameter", parameter)
    assert problem["detail"].startswith(parameter) and words in problem["detail"]
    assert "secret" not in problem["detail"]
    assert served.is_empty


@pytest.mark.parametrize("content", ["", "hello", '{"sdp": "v=0"}', OFFER[50:], b"v=0\r\ns=\xff\r\n"])
async def test_what_is_not_sdp(served: Served, content: str | bytes) -> None:
    assert_problem(await served.post(content=content), 400, "malformed_sdp")
    assert served.is_empty


async def test_without_media(served: Served) -> None:
    switched_off = WhipClient().offer.replace(" 9 UDP", " 0 UDP")
    problem = assert_problem(await served.post(content=switched_off), 422, "unsupported_offer")
    assert problem["detail"] == "no audio or video is offered"


async def test_without_h264(served: Served) -> None:
    offer = (OFFERS / "firefox_without_h264.sdp").read_text()
    problem = assert_problem(await served.post(content=offer), 422, "unsupported_offer")
    assert "VP8" in problem["detail"] and "H264" in problem["detail"]
    assert served.is_empty


async def test_without_opus(served: Served) -> None:
    offer = (OFFERS / "chromium_audio.sdp").read_text().replace("opus/48000/2", "speex/48000/2")
    problem = assert_problem(await served.post(content=offer), 422, "unsupported_offer")
    assert "PCMU" in problem["detail"] and "opus" in problem["detail"]
    assert served.is_empty


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/p/", 404, "not_found"),
        ("POST", f"{ENDPOINT}/", 404, "not_found"),
        ("GET", "/dashboard", 404, "not_found"),
        ("PUT", ENDPOINT, 405, "method_not_allowed"),
        ("DELETE", ENDPOINT, 405, "method_not_allowed"),
        ("PATCH", ENDPOINT, 405, "method_not_allowed"),
        ("POST", f"{ENDPOINT}/some-session", 405, "method_not_allowed"),
        ("DELETE", f"{ENDPOINT}/status.json", 405, "method_not_allowed"),
        ("POST", f"{ENDPOINT}/some-session/status", 405, "method_not_allowed"),
        ("DELETE", f"{ENDPOINT}/some.session", 404, "not_found"),
        ("GET", f"{ENDPOINT}/some-session/", 404, "not_found"),
        ("GET", f"{ENDPOINT}/some-session/nothing", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("POST", "/dashboard/webcaster/style.css", 405, "method_not_allowed"),
        ("GET", "/dashboard/nothing.js", 404, "not_found"),
        ("GET", "/dashboard/..%2fapp.py", 404, "not_found"),
    ],
)
async def test_wrong_paths_and_methods_are_problems_too(
    served: Served, method: str, path: str, status: int, code: str
) -> None:
    response = await served.http.request(method, path)
    assert_problem(response, status, code)
    assert ("allow" in response.headers) == (status == 405)


async def test_a_bug_says_nothing_about_itself(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(served.pool, "request", broken)
    with structlog.testing.capture_logs() as logs:
        response = await served.post()
    problem = assert_problem(response, 500, "bug")
    assert "secret" not in str(problem)
    [entry] = [each for each in logs if "exc_info" in each]
    assert isinstance(entry["exc_info"], RuntimeError)
    assert served.is_empty


async def test_parameters_checked_by_the_framework_are_problems_too(served: Served) -> None:
    @served.app.get("/half")
    async def half(number: int) -> float:
        return number / 2

    assert_problem(await served.http.get("/half?number=x"), 400, "bad_parameter", "number")


Scope = MutableMapping[str, Any]


def with_scope(app: FastAPI, **changes: Any) -> Callable[..., Any]:
    """The application as if requests had come with these raw values."""

    async def changed(scope: Scope, receive: Any, send: Any) -> None:
        await app({**scope, **changes}, receive, send)

    return changed


async def test_a_query_that_is_not_utf_8(served: Served) -> None:
    query = f"stream_name=\xff&stream_url={TARGET}&audio_bitrate=1".encode("latin-1")
    served.http = served.client(with_scope(served.app, query_string=query))
    assert_problem(await served.post(), 400, "bad_parameter", "audio_bitrate")


# Everything else on this server


async def test_the_status_of_the_server(served: Served) -> None:
    await served.session()
    response = await served.http.get(f"{ENDPOINT}/status.json")
    assert response.json() == {
        "server_version": __version__,
        "default_stream_url": served.gateway.stream_url,
        "sessions": 1,
        "drops": {},
    }


async def test_the_status_tells_what_belongs_to_no_session(served: Served) -> None:
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for data in (b"\x80" * 100, b"\x80" * 50, b"\x00"):
        stranger.sendto(data, served.worker._socket.getsockname())
    stranger.close()
    await until(lambda: served.worker.drops.total() == 3)
    status = (await served.http.get(f"{ENDPOINT}/status.json")).json()
    assert status["drops"] == {"stun_unknown_user": 1, "unknown_address": 2}


async def test_the_status_adds_up_the_workers_that_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    [own] = await served.directory.describe_workers()
    assert own.described is not None
    words = [replace(own.described, drops=drops) for drops in ({"late": 2, "not_stun": 1}, {"late": 3})]

    async def describe_workers(_: object) -> list[WorkerStanding]:
        return [replace(own, described=each) for each in (words[0], None, words[1])]

    monkeypatch.setattr(SessionDirectory, "describe_workers", describe_workers)
    status = (await served.http.get(f"{ENDPOINT}/status.json")).json()
    assert status["drops"] == {"late": 5, "not_stun": 1}


def files() -> Iterator[str]:
    return (path.relative_to(DASHBOARD).as_posix() for path in DASHBOARD.rglob("*") if path.is_file())


@pytest.mark.parametrize("page_path", ["/", "/webcaster"])
async def test_a_page_and_all_its_files_are_served(served: Served, page_path: str) -> None:
    page = await served.http.get(page_path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    linked = [path for path in re.findall(r'(?:src|href)="(/?dashboard/[^"]+)"', page.text)]
    assert linked
    for path in [*linked, *(f"/dashboard/{name}" for name in files())]:
        response = await served.http.get(path)
        assert response.status_code == 200, path
        if path.endswith(".js"):
            assert "javascript" in response.headers["content-type"]
            for module in re.findall(r'from "(\.[^"]+)"', response.text):
                assert (await served.http.get(urljoin("/" + path.lstrip("/"), module))).status_code == 200, (
                    f"{path}: {module}"
                )


def test_the_page_has_words_for_every_end() -> None:
    words = (DASHBOARD / "webcaster" / "wording.js").read_text()
    [reasons] = re.findall(r"END_REASONS = \{(.*?)\};", words, re.DOTALL)
    assert set(re.findall(r"^  (\w+): \".+\",$", reasons, re.MULTILINE)) == {*EndReason, LOST, WORKER_LOST}


def test_the_page_tells_a_person_what_to_do_about_a_stream_that_is_taken() -> None:
    words = (DASHBOARD / "webcaster" / "wording.js").read_text()
    [case] = re.findall(r'problem.code === "stream_busy"\) \{(.*?)\}', words, re.DOTALL)
    assert "already publishing" in case and "choose another stream name" in case


@pytest.mark.parametrize(
    "path", ["/", "/dashboard/webcaster/style.css", f"{ENDPOINT}/status.json", "/nowhere"]
)
async def test_security_headers(served: Served, path: str) -> None:
    headers = (await served.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
