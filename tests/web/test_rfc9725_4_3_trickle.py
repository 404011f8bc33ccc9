"""RFC 9725, sections 4.3.2 and 4.3.3: trickle ICE and ICE restarts. The table is docs/rfc/9725.md."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.web.live_client import live
from tests.web.served import FRAGMENT_TYPE, OFFER, TARGET, Served, assert_problem, serving

from whipway.config import Settings
from whipway.failures import DropReason

pytestmark = pytest.mark.anyio

UDP = "1 1 udp 2130706431 192.0.2.1 61764 typ host"
SECOND = "2 1 udp 2122194687 198.51.100.1 61765 typ srflx raddr 192.0.2.1 rport 61764"
ICE = ("ice-ufrag", "ice-pwd")


class Trickling:
    """A client that has a session and no media."""

    def __init__(self, served: Served, created: httpx.Response, machine: WhipClient) -> None:
        self.machine = machine
        self.answer = created.text
        self.etag = created.headers["etag"]
        self.url = created.headers["location"]
        self._served = served

    async def trickle(self, *candidates: str, **headers: str) -> httpx.Response:
        """Send candidates, for the first ICE session unless told otherwise."""
        return await self._served.patch(
            self.url, self.machine.trickle(*candidates), **{"If_Match": self.etag, **headers}
        )

    async def restart(self, *candidates: str, **headers: str) -> httpx.Response:
        """Restart ICE."""
        return await self._served.patch(self.url, self.machine.restart(*candidates), **headers)

    async def ice(self) -> Any:
        """What the session's snapshot says of ICE."""
        return (await self._served.http.get(f"{self.url}/status")).json()["ice"]


@pytest.fixture
async def client(served: Served) -> Trickling:
    machine = WhipClient()
    created = await served.post(f"stream_name=one&stream_url={TARGET}", machine.offer)
    assert created.status_code == 201
    return Trickling(served, created, machine)


def values(sdp: str, attribute: str) -> list[str]:
    return re.findall(rf"^a={attribute}(?::(.*?))?\r?$", sdp, re.M)


# Trickle ICE


@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize("announced", [[], ["192.0.2.1", "2001:db8::1"]])
async def test_s4_3_2_answer_holds_all_candidates(tcp: bool, announced: list[str]) -> None:
    media = {"tcp": tcp, "public_addresses": announced}
    async with serving(Settings.model_validate({"media": media})) as served:
        answer = (await served.post(content=OFFER)).text
        port = str(served.gateway.media_port)
    # RFC 6544, section 4.5: this side's TCP candidates are passive.
    transports = {"udp": [], "tcp": ["tcptype", "passive"]} if tcp else {"udp": []}
    candidates = [candidate.split() for candidate in values(answer, "candidate")]
    assert [each[2:3] + each[4:] for each in candidates] == [
        [transport, address, port, "typ", "host", *more]
        for transport, more in transports.items()
        for address in announced or ["127.0.0.1"]
    ]
    # The first one is the best.
    priorities = [int(each[3]) for each in candidates]
    assert priorities == sorted({*priorities}, reverse=True)
    assert values(answer, "end-of-candidates") == [""]


@pytest.mark.parametrize("end", ["", "a=end-of-candidates\r\n"])
@pytest.mark.parametrize("head", ["", "a=group:BUNDLE audio video\r\n", "a=ice-options:trickle ice2\r\n"])
async def test_s4_3_2_fragment_of_the_tagged_media_alone(
    served: Served, client: Trickling, head: str, end: str
) -> None:
    # RFC 8840, section 4.4, and the RFC's own example: credentials before or below the m= line.
    credentials = f"a=ice-ufrag:{client.machine.ufrag}\r\na=ice-pwd:{client.machine.pwd}\r\n"
    media = "m=audio 9 RTP/AVP 0\r\na=mid:audio\r\n"
    candidates = f"a=candidate:{UDP} generation 0 ufrag EsAw network-id 1\r\na=candidate:{SECOND}\r\n"
    for body in (head + credentials + media + candidates, head + media + credentials + candidates):
        response = await served.patch(client.url, body + end, If_Match=client.etag)
        assert response.status_code == 204
    assert await client.ice() == {"generation": 0, "candidates": 4, "candidates_discarded": 0, "path": None}


async def test_s4_3_2_trickle_is_conditional(client: Trickling) -> None:
    answers = [await client.trickle(UDP, If_Match=tag) for tag in ("", '"other"', client.etag)]
    assert [answer.status_code for answer in answers] == [428, 412, 204]


async def test_s4_3_2_trickle_is_204_without_body_and_etag(client: Trickling) -> None:
    response = await client.trickle(UDP, SECOND)
    assert (response.status_code, response.content) == (204, b"")
    assert "etag" not in response.headers


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 2130706431 2f6b9a4c-0f2c-4d4e-8a52-1c0f2d3b4a59.local 61764 typ host",
        "1 1 udp 2130706431 host.example 61764 typ host",
        "1 1 sctp 2130706431 192.0.2.1 61764 typ host",
        # RFC 6544, section 4.1: to a passive candidate, as this server's are, only an active one connects.
        "1 1 tcp 1518280447 192.0.2.1 61764 typ host tcptype passive",
    ],
)
async def test_s4_3_2_candidates_of_no_use_are_silently_discarded(client: Trickling, candidate: str) -> None:
    response = await client.trickle(candidate, UDP)
    assert (response.status_code, response.content) == (204, b"")
    ice = await client.ice()
    assert (ice["candidates"], ice["candidates_discarded"]) == (1, 1)


# ICE restarts


async def test_s4_3_3_other_credentials_restart_ice(client: Trickling) -> None:
    first = await client.restart(UDP, If_Match=client.etag)
    assert first.status_code == 200
    assert (await client.ice())["generation"] == 1
    # The present ones do not, whatever the tag says.
    assert client.machine.pending is not None
    client.machine.ufrag, client.machine.pwd = client.machine.pending.ufrag, client.machine.pending.pwd
    assert (await client.trickle(SECOND, If_Match="*")).status_code == 204
    assert (await client.ice())["generation"] == 1


@pytest.mark.parametrize("if_match", ["*", '"*"'])
async def test_s4_3_3_restart_matches_any_entity_tag(client: Trickling, if_match: str) -> None:
    for _ in range(2):
        assert (await client.restart(UDP, If_Match=if_match)).status_code == 200


async def test_s4_3_3_restart_is_200_with_credentials_candidates_and_etag(client: Trickling) -> None:
    response = await client.restart(UDP)
    assert response.status_code == 200
    assert response.headers["content-type"] == FRAGMENT_TYPE
    for name in ICE:
        [new] = {*values(response.text, name)}
        assert new not in values(client.answer, name)
    assert values(response.text, "candidate") == values(client.answer, "candidate")
    assert response.headers["etag"] not in ("", client.etag)


async def test_s4_3_3_repeated_restart_is_answered_alike(served: Served, client: Trickling) -> None:
    # Its answer may have been lost. Nothing has come with the new credentials yet.
    body = client.machine.restart(UDP)
    first, second = [await served.patch(client.url, body) for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert (first.text, first.headers["etag"]) == (second.text, second.headers["etag"])
    assert (await client.ice())["generation"] == 1


async def test_s4_3_3_restart_replaces_all_candidates(served: Served, client: Trickling) -> None:
    await client.trickle(UDP, SECOND)
    assert (await client.ice())["candidates"] == 2
    await client.restart(UDP)
    assert (await client.ice())["candidates"] == 1


async def test_s4_3_3_restart_replaces_the_path(served: Served) -> None:
    async with live(served) as client:
        transport = client.session.transport
        old_check, old_path = client.machine.stun(), transport.remote_address
        assert old_path is not None
        response = await served.patch(client.path, client.machine.restart())
        assert transport.remote_address == old_path
        client.vanish()
        client.machine.take_restart(response.text, asyncio.get_running_loop().time())
        moved = UdpClient(client.machine)
        moved.run()
        await until(lambda: client.machine.pending is None)
        assert transport.remote_address == moved._socket.getsockname() != old_path
        # Nothing of the ICE session before counts any more; the DTLS connection goes on.
        assert not transport.is_validated(old_path)
        served.worker.drops.clear()
        moved.send(old_check)
        await until(lambda: served.worker.drops[DropReason.STUN_UNKNOWN_USER])
        await client.sends_media(moved)
        moved.close()


async def test_s4_3_3_fragment_repeats_what_the_answer_says_of_ice(client: Trickling) -> None:
    fragment = (await client.restart(UDP)).text
    for name in ("ice-options", "ice-pacing", "ice-lite"):
        assert {*values(fragment, name)} == {*values(client.answer, name)}
    assert values(fragment, "ice-lite") == [""]
    assert values(fragment, "ice-options")[0].split() == ["trickle", "ice2"]


async def test_s4_3_3_failed_restart_keeps_the_ice_session() -> None:
    settings = Settings.model_validate({"session": {"silence_timeout": 0.3}})
    async with serving(settings) as served, live(served) as client:
        fragment, ufrags = client.machine.restart(), client.session.ice.ufrags
        half = fragment.replace("a=ice-pwd:", "a=x-ice-pwd:")
        assert_problem(await served.patch(client.path, half), 400, "malformed_fragment")
        response = await served.patch(client.path, fragment, If_Match='"other"')
        assert_problem(response, 412, "precondition_failed")
        # Credentials, tag and media are what they were: checks with the old credentials are good from
        # anywhere, the new ones are known to nobody.
        assert client.session.ice.ufrags == ufrags
        assert client.machine.pending is not None
        elsewhere = UdpClient(client.machine)
        elsewhere.send(client.machine.stun(f"{ufrags[0]}:{client.machine.pending.ufrag}".encode()))
        elsewhere.send(client.machine.stun(nominates=False))
        transport = client.session.transport
        await until(lambda: transport.is_validated(elsewhere._socket.getsockname()))
        elsewhere.close()
        assert (await client.status())["drops"] == {"stun_unknown_user": 1}
        await client.sends_media()
        response = await served.patch(client.path, client.machine.trickle(UDP), If_Match=client.etag)
        assert response.status_code == 204
        # A client that relies on the restart all the same is a silent one (RFC 7675, section 5.1).
        client.vanish()
        async with asyncio.timeout(2):  # Less than the server's own default.
            assert await client.ended() == ("ended", "silence")
