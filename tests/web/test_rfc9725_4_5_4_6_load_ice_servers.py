"""RFC 9725, sections 4.5 and 4.6: load, redirects, STUN and TURN servers. The table is docs/rfc/9725.md."""

import base64
import hmac
import re
import time
from collections.abc import AsyncIterator

import pytest
from tests.peers.whip_client import WhipClient
from tests.web.served import ENDPOINT, OFFERS, QUERY, TARGET, Served, assert_problem, serving

from whipway.config import Settings

pytestmark = pytest.mark.anyio

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


@pytest.fixture
async def full(anyio_backend: object) -> AsyncIterator[Served]:
    """A server that has another one to send publishers to, and no room."""
    async with serving(Settings.model_validate({"http": {"redirect_url": OTHER}})) as served:
        served.directory._max_sessions = 0
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


async def test_s4_5_stopping_server_redirects_by_307(full: Served) -> None:
    full.directory._max_sessions = 10
    full.directory.drain()
    assert (await full.post()).status_code == 307


async def test_s4_5_nobody_is_redirected_in_a_circle(full: Served) -> None:
    assert_problem(await full.post(f"{QUERY}&redirected=1"), 503, "server_full")


async def test_s4_5_session_urls_are_final(full: Served) -> None:
    full.directory._max_sessions = 1
    path = await full.session()
    assert (await full.post(f"stream_name=two&stream_url={TARGET}")).status_code == 307
    # Full or not: what goes to a session is answered here.
    machine = WhipClient()
    answers = [
        await full.http.get(path),
        await full.patch(path, machine.restart()),
        await full.http.delete(path),
    ]
    assert [answer.status_code for answer in answers] == [204, 200, 200]


@pytest.mark.parametrize("path", [f"{ENDPOINT}/", "/dashboard", "/p"])
async def test_s4_5_nothing_is_301_or_302(served: Served, path: str) -> None:
    # Web frameworks like to mend a slash so.
    for method in ("GET", "POST"):
        assert (await served.http.request(method, path)).status_code in (404, 405)


async def test_s4_5_overload_is_503_with_retry_after(served: Served) -> None:
    served.directory._max_sessions = 0
    answers = [await served.post() for _ in range(20)]
    for answer in answers:
        assert_problem(answer, 503, "server_full")
    waits = {int(answer.headers["retry-after"]) for answer in answers}
    # Not all at the same moment again.
    assert waits <= {*range(2, 11)} and len(waits) > 1


async def test_s4_5_stopping_server_is_503_with_retry_after(served: Served) -> None:
    served.directory.drain()
    response = await served.post()
    assert_problem(response, 503, "draining")
    assert int(response.headers["retry-after"]) >= 2


# STUN and TURN


async def test_s4_6_created_links_to_each_ice_server(helpful: Served) -> None:
    response = await helpful.post()
    assert response.status_code == 201
    stun, udp, tls, rest = response.headers.get_list("link")
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
    assert "link" not in (await served.post()).headers
    assert "link" not in (await served.http.options(ENDPOINT)).headers


async def test_s4_6_options_link_to_ice_servers(helpful: Served) -> None:
    links = (await helpful.http.options(ENDPOINT)).headers.get_list("link")
    assert [link[: link.index(">")] for link in links] == [
        "<stun:stun.example:3478",
        "<turn:turn.example?transport=udp",
        "<turns:turn.example",
        "<turn:rest.example",
    ]


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
