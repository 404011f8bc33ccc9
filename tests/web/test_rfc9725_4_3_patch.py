"""RFC 9725, sections 4.3 and 4.3.1: PATCH and entity tags. The table is docs/rfc/9725.md."""

import asyncio
import itertools
import re

import httpx
import pytest
from tests.peers.whip_client import WhipClient
from tests.web.served import FRAGMENT_TYPE, TARGET, Served, assert_problem

from whipway.worker.messages import Reply, Request, UpdateIce

pytestmark = pytest.mark.anyio

HOST = "1 1 udp 2130706431 192.0.2.1 61764 typ host"
OTHER_HOST = "2 1 udp 2130706175 192.0.2.2 61764 typ host"


async def created(served: Served, machine: WhipClient, name: str = "one") -> httpx.Response:
    """The response that made a session for this client."""
    response = await served.post(f"stream_name={name}&stream_url={TARGET}", machine.offer)
    assert response.status_code == 201
    return response


async def test_s4_3_trickle_and_restart_are_supported(served: Served) -> None:
    machine = WhipClient()
    session = await created(served, machine)
    url, etag = session.headers["location"], session.headers["etag"]
    assert (await served.patch(url, machine.trickle(HOST), If_Match=etag)).status_code == 204
    assert (await served.patch(url, machine.restart(HOST))).status_code == 200


@pytest.mark.parametrize("content_type", ["application/sdp", "text/plain", "application/json", ""])
async def test_s4_3_1_patch_of_wrong_content_type_is_415(served: Served, content_type: str) -> None:
    machine = WhipClient()
    url = (await created(served, machine)).headers["location"]
    response = await served.patch(url, machine.trickle(HOST), Content_Type=content_type)
    assert_problem(response, 415, "unsupported_media_type")
    assert response.headers["accept-patch"] == FRAGMENT_TYPE


@pytest.mark.parametrize(
    "body",
    [
        "hello",
        "a=ice-ufrag:new1\r\n",
        "m=audio 9 RTP/AVP 0\r\na=candidate:none\r\n",
        "m=audio 9 RTP/AVP 0\r\na=mid:audio\r\na=candidate:none\r\n",
        b"a=mid:\xff\r\n",
    ],
)
async def test_s4_3_1_malformed_fragment_is_400(served: Served, body: str | bytes) -> None:
    url = (await created(served, WhipClient())).headers["location"]
    assert_problem(await served.patch(url, body), 400, "malformed_fragment")


async def test_s4_3_1_no_kind_of_patch_is_422(served: Served) -> None:
    # 422 is for who supports only one of both kinds; here the first kind does not use up the other.
    machine = WhipClient()
    url = (await created(served, machine)).headers["location"]
    answers = [await served.patch(url, make(HOST)) for make in (machine.restart, machine.restart)]
    machine.ufrag, machine.pwd = machine.pending.ufrag, machine.pending.pwd  # type: ignore[union-attr]
    answers.append(await served.patch(url, machine.trickle(OTHER_HOST)))
    assert [answer.status_code for answer in answers] == [200, 200, 204]


async def test_s4_3_1_created_has_strong_unique_etag(served: Served) -> None:
    machine = WhipClient()
    sessions = [await created(served, machine, name) for name in ("one", "two")]
    tags = [session.headers["etag"] for session in sessions]
    tags.append((await served.patch(sessions[0].headers["location"], machine.restart())).headers["etag"])
    assert all(re.fullmatch(r'"[!#-~]+"', tag) for tag in tags)
    assert len({*tags}) == 3


async def test_s4_3_1_patch_without_if_match_is_428(served: Served) -> None:
    machine = WhipClient()
    url = (await created(served, machine)).headers["location"]
    headers = {"Content-Type": FRAGMENT_TYPE}
    for body in (machine.trickle(HOST), machine.restart(HOST)):
        assert_problem(
            await served.http.patch(url, content=body, headers=headers), 428, "precondition_required"
        )


@pytest.mark.parametrize("tag", ['"other"', "W/{}", '"", "other"'])
async def test_s4_3_1_patch_with_other_tags_is_412(served: Served, tag: str) -> None:
    # RFC 9110, section 13.1.1: a weak tag never matches.
    machine = WhipClient()
    session = await created(served, machine)
    if_match = tag.format(session.headers["etag"])
    response = await served.patch(session.headers["location"], machine.trickle(HOST), If_Match=if_match)
    assert_problem(response, 412, "precondition_failed")


async def test_s4_3_1_one_tag_of_several_is_enough(served: Served) -> None:
    machine = WhipClient()
    session = await created(served, machine)
    if_match = f'"other", {session.headers["etag"]}'
    response = await served.patch(session.headers["location"], machine.trickle(HOST), If_Match=if_match)
    assert response.status_code == 204


@pytest.mark.parametrize("tag", ['"other"', 'W/"other"', "*", "no tag at all"])
async def test_s4_3_1_delete_ignores_entity_tags(served: Served, tag: str) -> None:
    url = (await created(served, WhipClient())).headers["location"]
    assert (await served.http.delete(url, headers={"If-Match": tag})).status_code == 200
    assert served.is_empty


async def test_s4_3_1_get_ignores_entity_tags(served: Served) -> None:
    url = (await created(served, WhipClient())).headers["location"]
    assert (await served.http.get(url, headers={"If-Match": '"other"'})).status_code == 204


class SlowLink:
    """The link to a worker that is far away: the later of two messages under way arrives before the other."""

    def __init__(self, served: Served) -> None:
        self.most_under_way = 0
        self._request = served.pool.request
        self._turns = itertools.count(100, -1)
        self._under_way = 0

    async def request(self, message: Request) -> Reply:
        if not isinstance(message, UpdateIce):
            return await self._request(message)
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        for _ in range(next(self._turns)):
            await asyncio.sleep(0)
        self._under_way -= 1
        return await self._request(message)


async def test_s4_3_1_overlapping_patches_are_served_one_by_one(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = WhipClient()
    session = await created(served, machine)
    url, first = session.headers["location"], session.headers["etag"]
    link = SlowLink(served)
    monkeypatch.setattr(served.pool, "request", link.request)
    # All of them are under way at once. Of the restarts with one and the same tag only the first matches.
    bodies = [machine.restart(HOST) for _ in range(8)]
    answers = await asyncio.gather(*(served.patch(url, body, If_Match=first) for body in bodies))
    assert [answer.status_code for answer in answers] == [200] + [412] * 7
    # Of those that match any, each makes an ICE session of its own; the last one stays.
    answers = await asyncio.gather(*(served.patch(url, machine.restart(HOST)) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["etag"] for answer in answers}) == 8
    machine.ufrag, machine.pwd = machine.pending.ufrag, machine.pending.pwd  # type: ignore[union-attr]
    last = await served.patch(url, machine.trickle(HOST), If_Match=answers[-1].headers["etag"])
    assert last.status_code == 204
    assert (await served.http.get(f"{url}/status")).json()["ice"]["generation"] == 9
    assert link.most_under_way == 1
    # Sessions do not wait for each other.
    urls = [(await created(served, WhipClient(), name)).headers["location"] for name in ("two", "three")]
    answers = await asyncio.gather(*(served.patch(each, machine.restart(HOST)) for each in urls))
    assert {answer.status_code for answer in answers} == {200}
    assert link.most_under_way == 2


async def test_s4_3_1_late_candidates_of_the_ice_session_before_are_412(served: Served) -> None:
    machine = WhipClient()
    session = await created(served, machine)
    url, old = session.headers["location"], session.headers["etag"]
    late = machine.trickle(HOST)
    new = (await served.patch(url, machine.restart(HOST))).headers["etag"]
    assert_problem(await served.patch(url, late, If_Match=old), 412, "precondition_failed")
    # Nor is a late fragment a restart, as its credentials would have it.
    assert (await served.http.get(f"{url}/status")).json()["ice"]["generation"] == 1
    machine.ufrag, machine.pwd = machine.pending.ufrag, machine.pending.pwd  # type: ignore[union-attr]
    assert (await served.patch(url, machine.trickle(HOST), If_Match=new)).status_code == 204
