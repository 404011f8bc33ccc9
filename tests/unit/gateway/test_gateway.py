import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.peers.certificates import write_certificate
from tests.peers.rtmp_client import HOST, RtmpPlayer, RtmpPublisher
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient, picture

from whipway.config import Settings, load_settings
from whipway.gateway import Gateway, StartError
from whipway.gateway import gateway as gateway_module
from whipway.gateway.parts import Parts
from whipway.streams.access.keys import KeyRing
from whipway.streams.sessions import SessionDirectory

pytestmark = pytest.mark.anyio

FREE_PORTS = {"http.port": "0", "media.port": "0", "rtmp.port": "0", "database.url": "sqlite://"}
SDP = {"Content-Type": "application/sdp"}


def settings(**changes: str) -> Settings:
    flags = {key.replace("__", "."): value for key, value in changes.items()}
    return load_settings(flags=FREE_PORTS | flags)


@asynccontextmanager
async def running(**changes: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(settings(**changes))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def publish(gateway: Gateway, http: httpx.AsyncClient, name: str = "one") -> tuple[UdpClient, str]:
    """A live client and its session URL."""
    machine = WhipClient()
    url = f"{gateway.http_url}/p/webrtc?stream_name={name}&stream_url={gateway.stream_url}"
    response = await http.post(url, content=machine.offer, headers=SDP)
    assert response.status_code == 201
    client = await UdpClient.start(machine, response.text).connected()
    return client, response.headers["location"]


async def test_everything_is_served_on_the_ports_it_says() -> None:
    async with running() as gateway, httpx.AsyncClient() as http:
        assert gateway.http_url == f"http://{HOST}:{gateway.http_port}"
        assert gateway.stream_url == f"rtmp://{HOST}:{gateway.rtmp_port}/live"
        page = await http.get(f"{gateway.http_url}/")
        assert page.status_code == 200
        status = await http.get(f"{gateway.http_url}/p/webrtc/status.json")
        assert status.json()["default_stream_url"] == gateway.stream_url
        client, location = await publish(gateway, http)
        assert client.machine.server == (HOST, gateway.media_port)
        player = await RtmpPlayer.connect(gateway.rtmp_port, "one")
        await player.wait_for_status("NetStream.Play.Start")
        assert location.startswith(f"{gateway.http_url}/p/webrtc/")
        assert (await http.delete(location)).status_code == 200
        await player.wait_for_status("NetStream.Play.UnpublishNotify")
        client.close()


async def test_session_ids_cannot_be_guessed() -> None:
    async with running() as gateway, httpx.AsyncClient() as http:
        ids = []
        for name in ("one", "two"):
            client, location = await publish(gateway, http, name)
            ids.append(location.rpartition("/")[2])
            client.close()
        # 22 characters of six bits are 132.
        assert all(len(one) >= 22 for one in ids)
        assert ids[0][:6] != ids[1][:6]


async def test_stop_ends_sessions_and_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with running() as gateway, httpx.AsyncClient() as http:
        client, _ = await publish(gateway, http)
        player = await RtmpPlayer.connect(gateway.rtmp_port, "one")
        await player.wait_for_status("NetStream.Play.Start")
        ports = gateway.http_port, gateway.rtmp_port
    await until(lambda: player.lost)
    assert "NetStream.Play.UnpublishNotify" in player.statuses
    await until(lambda: client.machine.events()[-1:])
    client.close()
    await until(lambda: asyncio.all_tasks() == before)
    for port in ports:
        with pytest.raises(OSError):
            await asyncio.open_connection(HOST, port)


async def test_stop_hangs_up_on_idle_http_clients() -> None:
    async with asyncio.timeout(3):
        async with running() as gateway:
            reader, writer = await asyncio.open_connection(HOST, gateway.http_port)
            writer.write(b"GET /p/webrtc/status.json HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.read()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("http.port", socket.SOCK_STREAM),
        ("media.port", socket.SOCK_DGRAM),
        ("media.port", socket.SOCK_STREAM),
        ("rtmp.port", socket.SOCK_STREAM),
    ],
)
async def test_a_port_in_use_is_named(key: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((HOST, 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        gateway = Gateway(settings(**{key: str(port)}))
        with pytest.raises(StartError) as caught:
            await gateway.start()
    message = f"{key}: cannot listen on {HOST}:{port}: Address already in use"
    if (key, kind) == ("media.port", socket.SOCK_STREAM):
        message += " (by TCP, which media.tcp = false does without)"
    assert str(caught.value) == message
    # What never started can be stopped all the same.
    await gateway.stop()


@pytest.mark.parametrize(
    "late", [(Parts, "start"), (SessionDirectory, "follow_events"), (KeyRing, "ensure_first")]
)
async def test_a_start_that_fails_late_leaves_nothing(
    late: tuple[type, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr(*late, fail)
    before = asyncio.all_tasks()
    gateway = Gateway(settings())
    with pytest.raises(OSError, match="no more"):
        await gateway.start()
    await until(lambda: asyncio.all_tasks() == before)
    for port in (gateway.http_port, gateway.rtmp_port, gateway.media_port):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as again:
                again.bind((HOST, port))


async def test_a_start_that_fails_before_there_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr(gateway_module, "make_parts", fail)
    gateway = Gateway(settings())
    with pytest.raises(OSError, match="no more"):
        await gateway.start()
    with socket.socket() as again:
        again.bind((HOST, gateway.http_port))


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"], ids=["no name", "not of this machine"])
async def test_a_host_that_is_not_here_is_told_in_one_line(host: str) -> None:
    with pytest.raises(StartError) as caught:
        await Gateway(settings(http__host=host)).start()
    message = str(caught.value)
    assert message.startswith(f"http.port: cannot listen on {host}:0: ") and "\n" not in message


async def test_without_an_origin_there_is_no_stream_url() -> None:
    async with running(rtmp__enabled="false") as gateway:
        assert gateway.stream_url is None
        assert gateway.rtmp_port == 0


async def test_the_public_url_stands_for_the_server() -> None:
    changes = {"http__public_url": "https://whip.example/", "auth__enabled": "off"}
    async with running(**changes) as gateway, httpx.AsyncClient() as http:
        assert gateway.http_url == "https://whip.example"
        response = await http.post(
            f"http://{HOST}:{gateway.http_port}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}",
            content=WhipClient().offer,
            headers=SDP,
        )
        assert response.headers["location"].startswith("https://whip.example/p/webrtc/")


async def test_wildcards_are_reached_on_loopback() -> None:
    async with running(http__host="0.0.0.0", rtmp__host="0.0.0.0", media__host="0.0.0.0") as gateway:
        assert gateway.http_url == f"http://127.0.0.1:{gateway.http_port}"
        assert gateway.stream_url == f"rtmp://127.0.0.1:{gateway.rtmp_port}/live"


async def test_the_limit_of_sessions_is_that_of_the_settings() -> None:
    async with running(session__max_sessions="1") as gateway, httpx.AsyncClient() as http:
        client, _ = await publish(gateway, http)
        url = f"{gateway.http_url}/p/webrtc?stream_name=two&stream_url={gateway.stream_url}"
        refused = await http.post(url, content=WhipClient().offer, headers=SDP)
        assert (refused.status_code, refused.json()["code"]) == (503, "server_full")
        client.close()


@pytest.mark.parametrize(("way", "status"), [("refuse", 409), ("takeover", 201)])
async def test_two_publishers_of_one_stream(way: str, status: int) -> None:
    async with running(session__on_conflict=way) as gateway, httpx.AsyncClient() as http:
        first, location = await publish(gateway, http)
        machine = WhipClient()
        url = f"{gateway.http_url}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        response = await http.post(url, content=machine.offer, headers=SDP)
        assert response.status_code == status
        if way == "refuse":
            assert (await http.delete(location)).status_code == 200
        else:
            second = await UdpClient.start(machine, response.text).connected()
            assert (await http.delete(location)).status_code == 410
            # The origin takes the new publisher: the old one is gone by then.
            live = response.headers["location"]
            second.machine.send_picture(picture(0, keyframe=True), 0.0)
            second.flush()
            async with asyncio.timeout(5):
                while not (sinks := (await http.get(f"{live}/status")).json()["sinks"]) or (
                    sinks[0]["state"] != "publishing"
                ):
                    await asyncio.sleep(0.01)
            second.close()
        first.close()


async def test_the_public_port_is_announced() -> None:
    async with running(media__public_port="40000") as gateway, httpx.AsyncClient() as http:
        url = f"{gateway.http_url}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        answer = await http.post(url, content=WhipClient().offer, headers=SDP)
        assert f" {HOST} 40000 typ host" in answer.text
        assert gateway.media_port != 40000 and f" {gateway.media_port} " not in answer.text


async def test_a_client_that_does_not_come_is_not_waited_for() -> None:
    async with running(session__setup_timeout="0.1") as gateway, httpx.AsyncClient() as http:
        url = f"{gateway.http_url}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        response = await http.post(url, content=WhipClient().offer, headers=SDP)
        async with asyncio.timeout(5):
            while (status := (await http.get(f"{response.headers['location']}/status")).json())[
                "state"
            ] != "ended":
                await asyncio.sleep(0.01)
        assert status["reason"] == "setup_timeout"


async def test_a_client_that_falls_silent_is_let_go() -> None:
    async with running(session__silence_timeout="0.1") as gateway, httpx.AsyncClient() as http:
        client, location = await publish(gateway, http)
        client.close()
        async with asyncio.timeout(5):
            while (status := (await http.get(f"{location}/status")).json())["state"] != "ended":
                pass
        assert status["reason"] == "silence"
        assert (await http.delete(location)).status_code == 410


@pytest.fixture
def low_descriptor_limit() -> Iterator[int]:
    """A soft limit below the hard one, which is given."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_all_descriptors_that_are_allowed_are_used(low_descriptor_limit: int) -> None:
    async with running():
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low_descriptor_limit


@pytest.mark.parametrize("error", [ValueError, OSError])
async def test_a_descriptor_limit_that_stays(
    low_descriptor_limit: int, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(resource, "setrlimit", refuse)
        async with running() as gateway:
            assert gateway.http_port
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256


# HTTPS


async def test_https_is_served_with_a_certificate(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    trusting = httpx.AsyncClient(verify=files.client_context())
    async with running(tls__cert=str(files.cert), tls__key=str(files.key)) as gateway, trusting as http:
        assert gateway.http_url == f"https://{HOST}:{gateway.http_port}"
        client, location = await publish(gateway, http)
        assert location.startswith(f"{gateway.http_url}/p/webrtc/")
        assert (await http.delete(location)).status_code == 200
        client.close()


async def test_a_certificate_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    with pytest.raises(StartError) as caught:
        await Gateway(settings(tls__cert=str(files.key), tls__key=str(files.key))).start()
    assert str(caught.value).startswith("tls.cert: ") and "\n" not in str(caught.value)


async def test_a_renewed_certificate_is_shown_to_the_next_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whipway.web.server.REFRESH_TICKS", 1)
    files = write_certificate(tmp_path)
    async with running(tls__cert=str(files.cert), tls__key=str(files.key)) as gateway:
        renewed = write_certificate(tmp_path, "renewed")
        os.replace(renewed.key, files.key)
        os.replace(renewed.cert, files.cert)

        async def is_shown() -> bool:
            try:
                async with httpx.AsyncClient(verify=files.client_context()) as http:
                    return (await http.get(gateway.http_url)).status_code == 200
            except httpx.ConnectError:
                return False

        async with asyncio.timeout(5):
            while not await is_shown():
                await asyncio.sleep(0.05)


# Who may publish


@pytest.mark.parametrize(
    ("changes", "is_on"),
    [
        ({}, False),
        ({"auth__enabled": "on"}, True),
        ({"http__host": "localhost"}, False),
        ({"http__host": "0.0.0.0"}, True),
        ({"http__host": "0.0.0.0", "auth__enabled": "off"}, False),
        ({"http__public_url": "https://whip.example"}, True),
        ({"http__trusted_proxies": "127.0.0.1"}, True),
        ({"rtmp__host": "0.0.0.0"}, True),
    ],
)
async def test_strangers_need_a_token(changes: dict[str, str], is_on: bool) -> None:
    async with running(**changes) as gateway, httpx.AsyncClient() as http:
        assert (gateway.token is not None) == is_on
        url = f"http://{HOST}:{gateway.http_port}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        answer = await http.post(url, content=WhipClient().offer, headers=SDP)
        assert answer.status_code == (401 if is_on else 201)
        if is_on:
            told = SDP | {"Authorization": f"Bearer {gateway.token}"}
            assert (await http.post(url, content=WhipClient().offer, headers=told)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"auth__enabled": "off"}, []),
        ({"http__host": "0.0.0.0"}, ["not encrypted"]),
        ({"http__host": "0.0.0.0", "auth__enabled": "off"}, ["not encrypted", "may publish"]),
        ({"http__public_url": "https://whip.example"}, []),
        ({"http__trusted_proxies": "10.0.0.0/8", "auth__enabled": "off"}, ["may publish"]),
        ({"rtmp__host": "0.0.0.0", "auth__enabled": "off"}, ["may publish"]),
        ({"rtmp__host": "0.0.0.0", "rtmp__enabled": "false", "auth__enabled": "off"}, []),
    ],
)
async def test_what_whoever_starts_it_should_know(changes: dict[str, str], words: list[str]) -> None:
    async with running(**changes) as gateway:
        notes = gateway.notes()
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


async def test_no_token_is_made_where_there_is_another_way() -> None:
    async with running(auth__jwt_secret="s" * 32) as gateway, httpx.AsyncClient() as http:
        assert gateway.token is None
        url = f"{gateway.http_url}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        assert (await http.post(url, content=WhipClient().offer, headers=SDP)).status_code == 401


async def test_keys_that_cannot_be_read_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        await Gateway(settings(auth__jwks=str(tmp_path / "missing"))).start()
    assert str(caught.value).startswith("auth.jwks: ") and "\n" not in str(caught.value)


# Where streams may go


@pytest.mark.parametrize(
    ("allow", "status"), [("", 403), ("127.0.0.0/8", 201), ("public", 403), ("127.0.0.2,127.0.0.1", 201)]
)
async def test_other_servers_of_this_machine_have_to_be_allowed(allow: str, status: int) -> None:
    async with running(egress__allow=allow) as gateway, httpx.AsyncClient() as http:
        query = f"stream_name=one&stream_url=rtmp://{HOST}:9/live"
        answer = await http.post(
            f"{gateway.http_url}/p/webrtc?{query}", content=WhipClient().offer, headers=SDP
        )
        assert answer.status_code == status
        if status == 403:
            assert "egress.allow" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
async def test_the_own_origin_is_always_allowed(host: str) -> None:
    async with running(rtmp__host="0.0.0.0", auth__enabled="off") as gateway, httpx.AsyncClient() as http:
        query = f"stream_name=one&stream_url=rtmp://{host}:{gateway.rtmp_port}/live"
        url = f"{gateway.http_url}/p/webrtc?{query}"
        assert (await http.post(url, content=WhipClient().offer, headers=SDP)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "plays"),
    [
        ({}, True),
        ({"rtmp__http_flv": "off"}, False),
        ({"http__public_url": "https://whip.example"}, False),
        ({"http__public_url": "https://whip.example", "rtmp__http_flv": "on"}, True),
        ({"http__public_url": "https://whip.example", "rtmp__host": "0.0.0.0"}, True),
    ],
)
async def test_who_plays_by_http(changes: dict[str, str], plays: bool) -> None:
    async with running(auth__enabled="off", **changes) as gateway, httpx.AsyncClient() as http:
        publisher = await RtmpPublisher.connect(gateway.rtmp_port, "one")
        await until(lambda: publisher.publishing)
        url = f"http://{HOST}:{gateway.http_port}/live/one.flv"
        assert (await http.head(url)).status_code == (200 if plays else 404)
        await publisher.close()


# Whose turn it is


@pytest.mark.parametrize(("seconds", "status"), [("60", 409), ("0.000001", 201)])
async def test_how_long_a_publisher_may_be_silent_is_set(seconds: str, status: int) -> None:
    async with running(session__takeover_after=seconds) as gateway, httpx.AsyncClient() as http:
        url = f"{gateway.http_url}/p/webrtc?stream_name=one&stream_url={gateway.stream_url}"
        answers = [await http.post(url, content=WhipClient().offer, headers=SDP) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, status]


@pytest.mark.parametrize(("limit", "status"), [("1", 429), ("0", 201)])
async def test_how_many_sessions_an_address_may_have_is_set(limit: str, status: int) -> None:
    async with running(limits__sessions_per_address=limit) as gateway, httpx.AsyncClient() as http:
        url = f"{gateway.http_url}/p/webrtc?stream_url={gateway.stream_url}&stream_name="
        answers = [
            await http.post(url + name, content=WhipClient().offer, headers=SDP) for name in ("one", "two")
        ]
        assert [answer.status_code for answer in answers] == [201, status]
