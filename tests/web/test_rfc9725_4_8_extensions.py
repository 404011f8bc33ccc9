"""RFC 9725, sections 4.8, 4.9 and 5: simulcast, extensions, security. The table is docs/rfc/9725.md."""

import re
from pathlib import Path

import httpx
import pytest
from tests.peers.certificates import write_certificate
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient, picture
from tests.web.live_client import live
from tests.web.served import ENDPOINT, OFFERS, QUERY, SDP, TARGET, Served, assert_problem, serving

from whipway.config import Settings, load_settings
from whipway.failures import DropReason
from whipway.gateway import Gateway, StartError
from whipway.gateway.parts import SESSION_ID_BYTES

pytestmark = pytest.mark.anyio

SIMULCAST = (OFFERS / "chromium_simulcast.sdp").read_text()


# Simulcast


async def test_s4_8_simulcast_is_answered_by_all_layers(served: Served) -> None:
    assert "a=simulcast:send h;l" in SIMULCAST
    response = await served.post(content=SIMULCAST)
    assert response.status_code == 201
    # RFC 8853, section 5.3.2: what the offer sends, the answer receives, under the same names.
    assert re.findall(r"^a=(rid|simulcast):(.*)\r$", response.text, re.M) == [
        ("rid", "h recv"),
        ("rid", "l recv"),
        ("simulcast", "recv h;l"),
    ]
    assert "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" in response.text


async def test_s4_8_a_layer_that_was_not_agreed_is_dropped(served: Served) -> None:
    async with live(served, WhipClient(announces_ssrcs=False)) as client:
        [_, video] = client.session.receiver.tracks
        client.machine.send_picture(picture(0, keyframe=True), 0.0)
        packets = client.machine.sources["video"].packets
        client.udp.flush()
        await until(lambda: video.packets == packets)
        # Another layer: the same media description and format, from a source of its own.
        ssrc = client.machine.sources["video"].ssrc
        for number in range(3):
            client.machine.send("video", b"\x41" * 50, 0.0, ssrc=ssrc ^ 1, sequence_number=number)
        client.udp.flush()
        await until(lambda: client.session.drops()[DropReason.RTP_UNKNOWN_TRACK] == 3)
        assert (video.ssrc, video.packets) == (ssrc, packets)


# Extensions


async def test_s4_9_no_extension_is_required(served: Served) -> None:
    # No link is looked at: a stream is sent and ended all the same.
    async with live(served) as client:
        await client.sends_media()
        assert (await served.http.delete(client.path)).status_code == 200


LINK = re.compile(r'<(https://[^>]+)>; rel="([^"]+)"')


async def test_s4_9_what_is_beside_the_session_is_one_link_each(served: Served) -> None:
    response = await served.post()
    assert response.status_code == 201
    found = [LINK.fullmatch(link) for link in response.headers.get_list("link")]
    links = {match[2]: match[1] for match in found if match}
    assert len(links) == len(found) == 5
    location = response.headers["location"]
    for url in links.values():
        # "the URL for the HTTP resource that will be available for receiving requests related to" it
        assert url.startswith(f"{location}/")
        assert (await served.http.options(url)).headers["allow"] != "OPTIONS"


async def test_s4_9_nothing_of_our_own_uses_the_prefix_of_extensions(served: Served) -> None:
    settings = Settings.model_validate({"ice": {"servers": [{"urls": ["stun:stun.example"]}]}})
    async with serving(settings) as other:
        created = await other.post()
        answers = [created, await other.http.options(ENDPOINT), await served.http.get("/openapi.json")]
        for answer in answers:
            assert "urn:ietf:params:whip" not in str(answer.headers) + answer.text
        # RFC 8288, section 2.1.2: a relation that nobody has registered is a URI.
        relations = re.findall(r'rel="([^"]+)"', created.headers["link"])
        assert {each for each in relations if ":" not in each} == {"ice-server"}
        assert all(each.startswith("urn:whipway:") for each in relations if ":" in each)


# Security


async def test_s5_https_is_served(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    flags = {"http.port": "0", "media.port": "0", "rtmp.port": "0"}
    gateway = Gateway(load_settings(flags=flags | {"tls.cert": str(files.cert), "tls.key": str(files.key)}))
    await gateway.start()
    try:
        assert gateway.http_url.startswith("https://")
        async with httpx.AsyncClient(verify=files.client_context(), base_url=gateway.http_url) as http:
            query = f"stream_name=one&stream_url={gateway.stream_url}"
            offer = WhipClient().offer
            response = await http.post(f"{ENDPOINT}?{query}", content=offer, headers=SDP)
            assert response.status_code == 201
            assert response.headers["location"].startswith(gateway.http_url)
            assert (await http.delete(response.headers["location"])).status_code == 200
        # Nothing is served in the clear beside it.
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.TransportError):
                await http.get(gateway.http_url.replace("https", "http"))
    finally:
        await gateway.stop()


async def test_s5_https_with_half_a_certificate_does_not_start(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    other = write_certificate(tmp_path, "other")
    flags = {"http.port": "0", "media.port": "0", "rtmp.port": "0"}
    gateway = Gateway(load_settings(flags=flags | {"tls.cert": str(files.cert), "tls.key": str(other.key)}))
    with pytest.raises(StartError, match=r"tls\.cert"):
        await gateway.start()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_s5_rate_of_requests_is_limited(method: str) -> None:
    limits = {"posts_per_minute": 3, "patches_per_minute": 3, "deletes_per_minute": 3}
    async with serving(Settings.model_validate({"limits": limits})) as served:
        path = f"{ENDPOINT}?{QUERY}" if method == "POST" else f"{ENDPOINT}/unknown"
        for _ in range(3):
            assert (await served.http.request(method, path)).status_code != 429
        response = await served.http.request(method, path)
        assert_problem(response, 429, "too_many_requests")
        assert 1 <= int(response.headers["retry-after"]) <= 60
        # Another client, and the other requests of this one, are not its business.
        async with served.client(address="192.0.2.9") as other:
            assert (await other.request(method, path)).status_code != 429
        assert (await served.http.get(ENDPOINT)).status_code == 204


async def test_s5_sessions_of_one_client_are_limited() -> None:
    async with serving(Settings.model_validate({"limits": {"sessions_per_address": 1}})) as served:
        path = await served.session("one")
        response = await served.post(f"stream_name=two&stream_url={TARGET}")
        assert_problem(response, 429, "too_many_sessions")
        assert "retry-after" in response.headers
        await served.http.delete(path)
        await served.session("two")


async def test_s5_session_urls_cannot_be_guessed(served: Served) -> None:
    async with serving() as other:
        paths = [await each.session(f"show{number}") for each in (served, other) for number in range(3)]
    ids = [path.rpartition("/")[2] for path in paths]
    assert len({*ids}) == 6
    for session_id in ids:
        # RFC 4086: from the system's generator. Nothing of it is said by the stream, by its neighbours, or by
        # those of another start of the server.
        assert re.fullmatch(r"[\w-]{32}", session_id) and "show" not in session_id
        assert all(session_id[:8] != other[:8] for other in ids if other != session_id)
    assert SESSION_ID_BYTES * 8 >= 128


async def test_s5_client_that_never_comes_is_ended() -> None:
    async with serving(Settings.model_validate({"session": {"setup_timeout": 0.1}})) as served:
        path = await served.session()
        await until(lambda: served.is_empty)
        problem = assert_problem(await served.http.delete(path), 410, "session_over")
        assert "no ICE check came" in problem["detail"]


async def test_s5_client_that_never_finishes_dtls_is_ended() -> None:
    machine = WhipClient(speaks_dtls=False)
    async with serving(Settings.model_validate({"session": {"setup_timeout": 0.2}})) as served:
        response = await served.post(content=machine.offer)
        client = UdpClient.start(machine, response.text)
        await until(lambda: served.is_empty)
        client.close()
        status = (await served.http.get(f"{response.headers['location']}/status")).json()
        assert (status["state"], status["reason"]) == ("ended", "setup_timeout")
