"""RFC 9725, sections 4.5 and 4.6: load, redirects, STUN and TURN servers. The table is docs/rfc/9725.md."""

import asyncio
import base64
import hmac
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import pytest
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import LiveClient, live
from tests.web.served import ENDPOINT, OFFERS, QUERY, Served, assert_problem, serving

from whipway.config import Settings
from whipway.protocol.rtcp.remb import BitrateEstimate
from whipway.protocol.rtcp.twcc import TransportFeedback
from whipway.streams.access.tokens import make_token

pytestmark = pytest.mark.anyio

T = TypeVar("T")

OTHER = "https://node2.example"
PREFLIGHT = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
SECRET = "shared with the TURN server"
ICE = {
    "ice": {
        "servers": [
            {"urls": ["stun:stun.example:3478"]},
            {
                "urls": ["turn:turn.example?transport=udp", "turns:turn.example"],
                "username": "me",
                "credential": "pw",
            },
            {"urls": ["turn:rest.example"], "secret": SECRET, "lifetime": 600},
        ]
    }
}


LIMITED = {"session": {"max_sessions": 1}}


@pytest.fixture
async def full(anyio_backend: object) -> AsyncIterator[Served]:
    """A server that has another one to send publishers to, and no room."""
    async with serving(Settings.model_validate(LIMITED | {"http": {"redirect_url": OTHER}})) as served:
        await served.session("first")
        yield served


@pytest.fixture
async def helpful(anyio_backend: object) -> AsyncIterator[Served]:
    """A server with STUN and TURN servers to tell of."""
    async with serving(Settings.model_validate(ICE)) as served:
        yield served


# Load


async def test_s4_5_full_server_redirects_by_307(full: Served) -> None:
    response = await full.post()
    assert response.status_code == 307
    assert response.headers["location"] == f"{OTHER}{ENDPOINT}?{QUERY}&redirected=1"


@asynccontextmanager
async def draining(served: Served) -> AsyncIterator[str]:
    """While the server waits for its last session to end, whose path is given."""
    path = await served.session("last")
    drain = asyncio.create_task(served.gateway.drain())
    await asyncio.sleep(0)
    yield path
    assert not drain.done()
    assert (await served.http.delete(path)).status_code == 200
    await drain


async def test_s4_5_stopping_server_redirects_by_307() -> None:
    async with serving(Settings.model_validate({"http": {"redirect_url": OTHER}})) as served:
        async with draining(served) as path:
            response = await served.post()
            assert response.status_code == 307
            assert response.headers["location"] == f"{OTHER}{ENDPOINT}?{QUERY}&redirected=1"
            assert (await served.http.get(path)).status_code == 204


async def test_s4_5_nobody_is_redirected_in_a_circle(full: Served) -> None:
    assert_problem(await full.post(f"{QUERY}&redirected=1"), 503, "server_full")


async def test_s4_5_session_urls_are_final(full: Served) -> None:
    # Full or stopping: what goes to a session is answered here.
    [path] = [f"{ENDPOINT}/{session_id}" for session_id in full.worker._broadcasts]
    full.directory.drain()
    assert (await full.post()).status_code == 307
    answers = [
        await full.http.get(path),
        await full.patch(path, WhipClient().restart()),
        await full.http.delete(path),
    ]
    assert [answer.status_code for answer in answers] == [204, 200, 200]


@pytest.mark.parametrize("path", [f"{ENDPOINT}/", "/dashboard", "/p"])
async def test_s4_5_nothing_is_301_or_302(served: Served, path: str) -> None:
    # Web frameworks like to mend a slash so.
    for method in ("GET", "POST"):
        assert (await served.http.request(method, path)).status_code in (404, 405)


async def test_s4_5_overload_is_503_with_retry_after() -> None:
    async with serving(Settings.model_validate(LIMITED)) as served:
        await served.session("first")
        answers = [await served.post() for _ in range(20)]
    for answer in answers:
        assert_problem(answer, 503, "server_full")
    waits = {int(answer.headers["retry-after"]) for answer in answers}
    # Not all at the same moment again.
    assert waits <= {*range(2, 11)} and len(waits) > 1


async def test_s4_5_stopping_server_is_503_with_retry_after(served: Served) -> None:
    async with draining(served):
        response = await served.post()
        assert_problem(response, 503, "draining")
        assert int(response.headers["retry-after"]) >= 2


# STUN and TURN


def ice_servers(response: httpx.Response) -> list[str]:
    """The links that are of this section; see 4.9 for others."""
    return [link for link in response.headers.get_list("link") if 'rel="ice-server"' in link]


async def test_s4_6_created_links_to_each_ice_server(helpful: Served) -> None:
    response = await helpful.post()
    assert response.status_code == 201
    stun, udp, tls, rest = ice_servers(response)
    assert stun == '<stun:stun.example:3478>; rel="ice-server"'
    pair = 'rel="ice-server"; username="me"; credential="pw"; credential-type="password"'
    assert [udp, tls] == [f"<turn:turn.example?transport=udp>; {pair}", f"<turns:turn.example>; {pair}"]
    parameters = dict(re.findall(r'; ([\w-]+)="([^"]*)"', rest))
    # Of use to this client only, and for a while: the TURN server makes the same of its secret.
    expiry = int(parameters["username"].partition(":")[0])
    assert 500 < expiry - time.time() <= 600  # noqa: TID251 - as the TURN server counts.
    digest = hmac.digest(SECRET.encode(), parameters["username"].encode(), "sha1")
    assert parameters["credential"] == base64.b64encode(digest).decode()
    assert parameters["credential-type"] == "password"


async def test_s4_6_without_ice_servers_there_are_no_links(served: Served) -> None:
    assert ice_servers(await served.post()) == []
    assert "link" not in (await served.http.options(ENDPOINT)).headers


async def test_s4_6_options_link_to_ice_servers(helpful: Served) -> None:
    links = (await helpful.http.options(ENDPOINT)).headers.get_list("link")
    assert [link[: link.index(">")] for link in links] == [
        "<stun:stun.example:3478",
        "<turn:turn.example?transport=udp",
        "<turns:turn.example",
        "<turn:rest.example",
    ]


async def test_s4_6_options_give_credentials_to_publishers_alone() -> None:
    token, digest = make_token(secrets.token_bytes)
    auth = {"tokens": [{"hash": digest, "streams": ["*"]}]}
    async with serving(Settings.model_validate({**ICE, "auth": auth})) as served:
        for authorization in (None, "Bearer wrong", f"Basic {token}"):
            headers = {"Authorization": authorization} if authorization else {}
            response = await served.http.options(ENDPOINT, headers=headers)
            assert response.status_code == 200
            assert response.headers.get_list("link") == ['<stun:stun.example:3478>; rel="ice-server"']
        known = await served.http.options(ENDPOINT, headers={"Authorization": f"Bearer {token}"})
        assert len(known.headers.get_list("link")) == 4


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_s4_6_preflight_is_told_of_no_ice_servers(helpful: Served, method: str) -> None:
    response = await helpful.http.options(
        ENDPOINT, headers=PREFLIGHT | {"Access-Control-Request-Method": method}
    )
    assert response.status_code == 200
    assert "link" not in response.headers


# Congestion


@pytest.mark.parametrize(
    ("offer", "feedback"),
    [((OFFERS / "chromium.sdp").read_text(), "transport-cc"), (WhipClient(remb=True).offer, "goog-remb")],
    ids=["transport-cc", "REMB"],
)
async def test_s4_6_1_senders_get_what_their_congestion_control_needs(
    served: Served, offer: str, feedback: str
) -> None:
    answer = (await served.post(content=offer)).text
    assert re.search(rf"^a=rtcp-fb:\d+ {feedback}\r$", answer, re.M)


async def test_s4_6_1_feedback_on_each_packet_is_sent(served: Served) -> None:
    async with live(served, WhipClient(transport_cc=True)) as client:
        await client.sends_media()
        await client.sends_media()
        found: list[TransportFeedback] = await until(lambda: told(client, TransportFeedback))
        # Of these packets, which came, and by their numbers.
        assert found[0].base_sequence == 0xFFFF - 500
        assert found[0].arrivals[0] is not None
        assert not told(client, BitrateEstimate)


async def test_s4_6_1_bitrate_is_sent_to_who_knows_no_other_feedback(served: Served) -> None:
    async with live(served, WhipClient(remb=True)) as client:
        [estimate, *_] = await until(lambda: told(client, BitrateEstimate))
        assert estimate.bitrate > 0
        assert client.machine.sources["video"].ssrc in estimate.ssrcs
        assert not told(client, TransportFeedback)


def told(client: LiveClient, kind: type[T]) -> list[T]:
    """Feedback of this kind that has come."""
    return [packet for _, packet in client.machine.received if isinstance(packet, kind)]
