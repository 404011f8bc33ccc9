"""RFC 9725, section 4.2: how a session begins, and how it ends. The table is docs/rfc/9725.md."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import LiveClient, live
from tests.web.served import BASE, ENDPOINT, OFFER, OFFERS, QUERY, TARGET, Served, assert_problem, serving

from whipway.config import Settings
from whipway.failures import DropReason
from whipway.worker.messages import CreateSession, EndSession, Reply, SessionCreated, SessionEnded

pytestmark = pytest.mark.anyio

PAGE = {"Origin": "https://page.example"}


def in_session(**values: object) -> Settings:
    return Settings.model_validate({"session": values})


def media_lines(sdp: str) -> list[list[str]]:
    return [line.split() for line in re.findall(r"^m=(.*?)\r?$", sdp, re.M)]


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


@pytest.mark.parametrize("name", ["obs", "chromium", "gstreamer", "libdatachannel"])
async def test_s4_2_answer_is_made_by_the_rules_of_jsep(served: Served, name: str) -> None:
    offer = (OFFERS / f"{name}.sdp").read_text()
    response = await served.post(content=offer)
    answer = response.text
    # RFC 9429, section 5.3.1: as many media descriptions as in the offer, of the same kind, in its order, in
    # its formats, by its mids and on its transport; and a session id of the answerer's own.
    offered, answered = media_lines(offer), media_lines(answer)
    assert [(line[0], line[2]) for line in answered] == [(line[0], line[2]) for line in offered]
    for ours, theirs in zip(answered, offered, strict=True):
        assert set(ours[3:]) <= set(theirs[3:]) and ours[3:]
    assert re.findall(r"^a=mid:\S+", answer, re.M) == re.findall(r"^a=mid:\S+", offer, re.M)
    [(session_id, version)] = re.findall(r"^o=- (\d+) (\d+) IN IP4", answer, re.M)
    assert 0 < int(session_id) < 1 << 63 and session_id not in offer and int(version) >= 0
    assert answer.startswith("v=0\r\no=") and "\r\nt=0 0\r\n" in answer


async def test_s4_2_post_is_201_with_answer_and_location(served: Served) -> None:
    response = await served.post()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/sdp"
    location = response.headers["location"]
    # Absolute, so that there is nothing to resolve.
    assert re.fullmatch(rf"{BASE}{ENDPOINT}/[\w-]+", location)
    assert (await served.http.get(location)).status_code == 204


@pytest.mark.parametrize("content_type", ["application/json", "application/trickle-ice-sdpfrag", "sdp", ""])
async def test_s4_2_wrong_content_type_is_415(served: Served, content_type: str) -> None:
    response = await served.post(Content_Type=content_type)
    assert_problem(response, 415, "unsupported_media_type")
    assert response.headers["accept-post"] == "application/sdp"
    assert served.is_empty


@pytest.mark.parametrize(
    "content_type", ["application/sdp; charset=utf-8", "Application/SDP", "application/sdp ;"]
)
async def test_s4_2_content_type_is_read_as_media_type(served: Served, content_type: str) -> None:
    assert (await served.post(Content_Type=content_type)).status_code == 201


@pytest.mark.parametrize(
    "body", ["", "hello", OFFER[50:], OFFER.replace("a=fingerprint", "a=f"), b"v=0\r\n\xff"]
)
async def test_s4_2_malformed_offer_is_400(served: Served, body: str | bytes) -> None:
    assert_problem(await served.post(content=body), 400, "malformed_sdp")
    assert served.is_empty


@pytest.mark.parametrize("direction", ["sendonly", "sendrecv"])
async def test_s4_2_answer_is_recvonly(served: Served, direction: str) -> None:
    response = await served.post(content=WhipClient().offer.replace("a=sendonly", f"a={direction}"))
    assert response.status_code == 201
    assert re.findall(r"^a=(sendonly|recvonly|sendrecv|inactive)", response.text, re.M) == ["recvonly"] * 2


@pytest.mark.parametrize("direction", ["recvonly", "inactive"])
async def test_s4_2_offer_that_sends_nothing_is_422(served: Served, direction: str) -> None:
    response = await served.post(content=WhipClient().offer.replace("a=sendonly", f"a={direction}"))
    assert_problem(response, 422, "unsupported_offer")
    assert served.is_empty


async def test_s4_2_client_without_sign_of_consent_is_ended() -> None:
    # A lite agent sends no checks of its own; it notices that none come (RFC 7675, section 5.1).
    async with serving(in_session(silence_timeout=0.2)) as served, live(served) as client:
        client.vanish()
        async with asyncio.timeout(2):  # Less than the server's own default.
            assert await client.ended() == ("ended", "silence")


async def test_s4_2_consent_checks_alone_keep_a_session() -> None:
    async with serving(in_session(silence_timeout=0.2)) as served, live(served) as client:
        now = asyncio.get_running_loop().time
        end = now() + 0.5
        await until(lambda: client.udp.send(client.machine.stun()) or now() >= end)
        assert (await client.status())["state"] == "live"


async def test_s4_2_end_of_dtls_by_the_client_ends_the_session(served: Served) -> None:
    async with live(served) as client:
        client.machine.close()
        client.udp.flush()
        assert await client.ended() == ("ended", "client_closed")


async def test_s4_2_delete_is_200_and_ends_session_ice_and_dtls(served: Served) -> None:
    async with live(served) as client:
        response = await served.http.delete(client.path)
        assert (response.status_code, response.content) == (200, b"")
        assert served.is_empty
        assert await client.was_closed()
        # Nobody is there to answer a check.
        served.worker.drops.clear()
        client.udp.send(client.machine.stun())
        await until_dropped(served, DropReason.STUN_UNKNOWN_USER)
        assert (await client.status())["reason"] == "deleted"


async def delete(served: Served, client: LiveClient) -> None:
    assert (await served.http.delete(client.path)).status_code == 200


async def take_over(served: Served, client: LiveClient) -> None:
    assert (await served.post(client.query, WhipClient(seed=2).offer)).status_code == 201


async def lose_the_sink(_: Served, client: LiveClient) -> None:
    # Another try follows, until it is given up.
    (await client.rtmp.connection()).connected.abort()


async def fall_silent(served: Served, client: LiveClient) -> None:
    await until(lambda: client.path.rpartition("/")[2] not in served.worker._broadcasts)


async def stop(served: Served, _: LiveClient) -> None:
    await served.stop()


async def run_into_a_bug(_: Served, client: LiveClient) -> None:
    client.session.receive_datagram = None  # type: ignore[assignment,method-assign]
    client.udp.send(client.machine.stun())


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (delete, "deleted"),
        (take_over, "replaced"),
        (lose_the_sink, "sink_failed"),
        (fall_silent, "silence"),
        (stop, "shutdown"),
        (run_into_a_bug, "internal_error"),
    ],
)
async def test_s4_2_end_by_the_server_revokes_consent_at_once(
    end: Callable[[Served, LiveClient], Awaitable[None]], reason: str
) -> None:
    # RFC 7675, section 5.2: by close_notify, and by not answering checks any more.
    session = {"on_conflict": "takeover", "silence_timeout": 0.2 if end is fall_silent else 5.0}
    sink = {"give_up_after": 0.3 if end is lose_the_sink else 0.0}
    settings = Settings.model_validate({"session": session, "sink": sink})
    async with serving(settings) as served, live(served) as client:
        await end(served, client)
        assert await client.was_closed()
        assert (await client.status())["reason"] == reason
        if end is stop:
            assert served.worker._socket.fileno() == -1
        else:
            served.worker.drops.clear()
            client.udp.send(client.machine.stun())
            await until_dropped(served, DropReason.STUN_UNKNOWN_USER)


async def until_dropped(served: Served, reason: DropReason) -> None:
    await until(lambda: served.worker.drops[reason])


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_s4_2_options_on_endpoint_serves_cors(served: Served, method: str) -> None:
    response = await served.http.options(ENDPOINT, headers=PAGE | {"Access-Control-Request-Method": method})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert method.lower() in words(response.headers["access-control-allow-methods"])


async def test_s4_2_cors_is_for_the_origins_of_the_settings() -> None:
    settings = Settings.model_validate({"http": {"cors_origins": [PAGE["Origin"]]}})
    async with serving(settings) as served:
        for origin, allowed in ((PAGE["Origin"], PAGE["Origin"]), ("https://other.example", None)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answers = [await served.http.options(ENDPOINT, headers=asked), await served.post(Origin=origin)]
            for answer in answers:
                assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("headers", [{}, PAGE, PAGE | {"Access-Control-Request-Method": "POST"}])
@pytest.mark.parametrize("path", [ENDPOINT, f"{ENDPOINT}?{QUERY}", f"{ENDPOINT}/any-session", "/nowhere"])
async def test_s4_2_options_is_200_with_accept_post(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    response = await served.http.options(path, headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["accept-post"] == "application/sdp"


async def test_s4_2_pages_of_other_origins_may_send_what_they_need(served: Served) -> None:
    session = await served.session()
    for path, methods in ((ENDPOINT, ("POST",)), (session, ("PATCH", "DELETE"))):
        for method in methods:
            asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "if-match"}
            response = await served.http.options(path, headers=PAGE | asked)
            allowed = words(response.headers["access-control-allow-headers"])
            assert allowed >= {"authorization", "content-type", "if-match"}
            assert words(response.headers["access-control-allow-methods"]) >= {method.lower(), "options"}


async def test_s4_2_pages_of_other_origins_may_read_the_answers(served: Served) -> None:
    path = await served.session()
    answers = [
        await served.post(f"stream_name=two&stream_url={TARGET}", **PAGE),
        await served.patch(path, "hello", **PAGE),
        await served.http.delete(path, headers=PAGE),
        await served.http.delete(path, headers=PAGE),
    ]
    assert [answer.status_code for answer in answers] == [201, 400, 200, 410]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert words(answer.headers["access-control-expose-headers"]) >= {"location", "link", "etag"}


async def test_s4_2_unknown_session_is_404(served: Served) -> None:
    path = f"{ENDPOINT}/unknown"
    assert_problem(await served.http.get(path), 404, "session_unknown")
    assert_problem(await served.patch(path, ""), 404, "session_unknown")
    assert_problem(await served.http.delete(path), 404, "session_unknown")


async def test_s4_2_ended_session_is_410(served: Served) -> None:
    path = await served.session()
    await served.http.delete(path)
    assert_problem(await served.http.get(path), 410, "session_over")
    assert_problem(await served.patch(path, ""), 410, "session_over")
    assert_problem(await served.http.delete(path), 410, "session_over")


async def test_s4_2_the_last_thousand_ended_sessions_are_410(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await served.session()
    await served.http.delete(path)

    async def work(message: object) -> Reply:
        """As a worker that has no work with a session."""
        match message:
            case CreateSession(session_id):
                return SessionCreated(session_id, "", "")
            case EndSession(session_id, reason):
                return SessionEnded(session_id, reason, "", {})
            case _:
                raise AssertionError(message)

    async def come_and_go() -> None:
        created = await served.directory.create(
            offer="", stream_name="one", stream_url=TARGET, audio="aac", audio_bitrate=128_000, filler="none"
        )
        await served.directory.end(created.session_id, "deleted")

    with monkeypatch.context() as patched:
        patched.setattr(served.pool, "request", work)
        for _ in range(999):
            await come_and_go()
        assert_problem(await served.http.delete(path), 410, "session_over")
        await come_and_go()
    assert_problem(await served.http.delete(path), 404, "session_unknown")


async def test_s4_2_stream_with_a_publisher_is_409(served: Served) -> None:
    path = await served.session()
    assert_problem(await served.post(), 409, "stream_busy")
    assert (await served.http.get(path)).status_code == 204
