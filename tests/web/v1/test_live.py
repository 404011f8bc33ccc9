"""Streams while they are live: events, figures, previews, QR codes; and workers."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any
from xml.etree import ElementTree

import av
import pytest
from tests.peers.waiting import until
from tests.web.live_client import live
from tests.web.served import BASE, Served, assert_problem, serving
from tests.web.v1.api import UNKNOWN_ID, client, create, published
from tests.web.v1.studio import api_path, get, parse_events, publishing_by_rtmp, sends_picture

from whipway.config import Settings
from whipway.pool.standing import WorkerStanding
from whipway.streams.figures import INTERVAL
from whipway.streams.records import Role
from whipway.web import event_streams
from whipway.web.v1 import qr
from whipway.web.v1.workers import worker_document
from whipway.worker.messages import WorkerDescribed

pytestmark = pytest.mark.anyio

PARTS = ("live", "figures", "preview", "qr.svg")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server whose database is in memory."""
    async with serving() as served:
        yield served


def path(stream: Mapping[str, Any], part: str) -> str:
    return f"/v1/streams/{stream['id']}/{part}"


# Who may


async def test_who_may_look(served: Served) -> None:
    stream = await create(served)
    for part in (*(path(stream, each) for each in PARTS), "/v1/workers"):
        assert_problem(await served.http.get(part), 401, "unauthenticated")
        async with await client(served, Role.PLAYER) as player:
            assert_problem(await player.get(part), 403, "forbidden")
        async with await client(served, Role.READ_ONLY) as reader:
            assert (await reader.head(part)).status_code in (200, 204)


async def test_streams_that_are_not_there(served: Served) -> None:
    deleted = await create(served)
    await served.admin.delete(f"/v1/streams/{deleted['id']}")
    for stream in (deleted, {"id": UNKNOWN_ID}):
        for part in PARTS:
            assert_problem(await served.admin.get(path(stream, part)), 404, "stream_unknown")
        assert (await served.admin.head(path(stream, "live"))).status_code == 404


# Events


class Following:
    """Follows a stream until it is deleted."""

    def __init__(self, served: Served, stream: Mapping[str, Any], **headers: str) -> None:
        self._served = served
        self._stream = stream
        self.task = asyncio.ensure_future(served.admin.get(path(stream, "live"), headers=headers))

    async def begun(self) -> None:
        """Wait until it has been told how the stream is."""
        await asyncio.sleep(0.05)

    async def events(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Delete the stream, and have all that came."""
        await self._served.admin.delete(f"/v1/streams/{self._stream['id']}")
        return parse_events(await asyncio.wait_for(self.task, 5))


async def test_a_stream_is_followed_from_before_it_is_live_until_it_is_deleted(served: Served) -> None:
    stream = await create(served)
    head = await served.admin.head(path(stream, "live"))
    assert (head.status_code, head.headers["cache-control"]) == (200, "no-store")
    following = Following(served, stream)
    await following.begun()
    async with publishing_by_rtmp(served, stream["name"]):
        await until(lambda: served.services.publications.of(stream["name"])[0].is_live)
        await asyncio.sleep(1.2)
    found = await following.events()
    assert [kind for kind, _ in found[:-1]] == ["status"] * (len(found) - 1)
    assert found[-1] == ("gone", {"id": stream["id"]})
    first, *_ = [each for _, each in found]
    assert first["stream"] == stream and (first["session"], first["rtmp"]) == (None, None)
    states = [each["stream"]["state"] for _, each in found[:-1]]
    assert list(dict.fromkeys(states)) in (["created", "live"], ["created", "live", "ended"])
    published_by = [each["rtmp"] for _, each in found[:-1] if each["rtmp"]]
    assert published_by[0]["width"] and published_by[0]["pictures"] == 1
    assert published_by[-1]["bitrate"] is not None


async def test_a_session_is_told_with_its_stream(served: Served) -> None:
    stream = await create(served)
    session = await served.session(stream["name"])
    following = Following(served, stream)
    await following.begun()
    found = await following.events()
    told = found[0][1]["session"]
    assert told["id"] == api_path(session).rpartition("/")[2] == found[0][1]["stream"]["publisher"]["session"]
    assert told["snapshot"]["state"] == "connecting"
    assert found[0][1]["rtmp"] is None


async def test_a_session_that_is_lost_is_not_told(served: Served) -> None:
    stream = await create(served)
    with published(served, stream["name"]) as publication:
        publication.session_id = "lost"
        following = Following(served, stream)
        await following.begun()
        assert (await following.events())[0][1]["session"] is None


async def test_all_who_follow_share_one_look(served: Served) -> None:
    stream = await create(served)
    others = [Following(served, stream) for _ in range(3)]
    await others[0].begun()
    await served.admin.patch(f"/v1/streams/{stream['id']}", json={"tags": ["new"]})
    await asyncio.sleep(0.2)
    for each in others[:1]:
        await each.events()
    for each in others:
        found = parse_events(await asyncio.wait_for(each.task, 5))
        assert found[-1][0] == "gone"
        assert ["new"] in [status["stream"]["tags"] for kind, status in found if kind == "status"]


async def test_there_are_only_so_many(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_STREAMS", 1)
    stream = await create(served)
    following = Following(served, stream)
    await following.begun()
    assert_problem(await served.admin.get(path(stream, "live")), 503, "too_many_streams")
    await following.events()


async def test_it_ends_with_the_right_to_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PULSE", 0.05)
    stream = await create(served)
    secret, key = await served.services.keys.create("page", Role.READ_ONLY)
    following = Following(served, stream, Authorization=f"Bearer {secret}")
    await following.begun()
    await served.services.keys.revoke(key.id)
    found = parse_events(await asyncio.wait_for(following.task, 5))
    assert {kind for kind, _ in found} == {"status"}


# Figures


async def test_there_are_no_figures_of_what_is_not_live(served: Served) -> None:
    stream = await create(served)
    assert await get(served, path(stream, "figures")) == {"interval": INTERVAL, "points": []}


async def test_figures_of_a_session(served: Served) -> None:
    stream = await create(served)
    async with live(served, name=stream["name"]) as publisher:
        await publisher.sends_media()
        await served.services.figures.sample()
        [point] = (await get(served, path(stream, "figures")))["points"]
    assert point.keys() == {"at", "bitrate", "fps", "loss", "round_trip_ms", "jitter_ms"}
    assert point["at"].endswith("Z") and point["loss"] == 0.0
    assert len((await get(served, path(stream, "figures")))["points"]) == 1


# Previews


async def test_a_session_shows_what_is_on_air(served: Served) -> None:
    stream = await create(served)
    assert (await served.admin.get(path(stream, "preview"))).status_code == 204
    async with live(served, name=stream["name"]) as publisher:
        await sends_picture(publisher)
        await assert_shown(served, stream)


async def test_a_publisher_by_rtmp_shows_its_last_key_frame(served: Served) -> None:
    stream = await create(served)
    async with publishing_by_rtmp(served, stream["name"]):
        await assert_shown(served, stream)
    await until(lambda: not served.services.publications.of(stream["name"]))
    assert (await served.admin.get(path(stream, "preview"))).status_code == 204


async def assert_shown(served: Served, stream: Mapping[str, Any]) -> None:
    picture = await served.admin.get(path(stream, "preview"))
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.headers["cache-control"] == "no-store"
    with av.open(io.BytesIO(picture.content)) as container:
        [frame] = container.decode(video=0)
        assert frame.width == 320  # type: ignore[union-attr]


async def test_a_session_without_video_shows_nothing(served: Served) -> None:
    stream = await create(served)
    session = await served.session(stream["name"])
    with published(served, stream["name"]) as publication:
        for session_id in ("lost", session.rpartition("/")[2]):
            publication.session_id = session_id
            assert (await served.admin.get(path(stream, "preview"))).status_code == 204


async def test_without_an_origin_there_is_nothing_to_be_seen_of_it() -> None:
    async with serving(Settings.model_validate({"rtmp": {"enabled": False}})) as served:
        stream = await create(served)
        with published(served, stream["name"]):
            assert (await served.admin.get(path(stream, "preview"))).status_code == 204
        assert_problem(await served.admin.get(path(stream, "qr.svg")), 404, "url_unknown")
        assert_problem(await served.admin.get(path(stream, "qr.svg?of=play")), 404, "url_unknown")


# QR codes


async def test_qr_codes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, str]] = []

    def draw(url: str, title: str) -> bytes:
        drawn.append((url, title))
        return found(url, title)

    found = qr.draw
    monkeypatch.setattr(qr, "draw", draw)
    stream = await create(served)
    for kind in ("", "?of=whip", "?of=rtmp", "?of=play"):
        code = await served.admin.get(path(stream, f"qr.svg{kind}"))
        assert (code.status_code, code.headers["content-type"]) == (200, "image/svg+xml")
        title = ElementTree.fromstring(code.content).find("{http://www.w3.org/2000/svg}title")  # noqa: S314
        assert title is not None and title.text == drawn[-1][1]
    rtmp = stream["ingest"]["rtmp"]
    assert [url for url, _ in drawn] == [
        stream["ingest"]["whip"]["url"],
        stream["ingest"]["whip"]["url"],
        f"{rtmp['url']}/{rtmp['streamname']}",
        stream["playout"]["flv"],
    ]
    assert stream["playout"]["flv"].startswith(BASE)


async def test_a_code_of_what_is_played_by_rtmp_alone() -> None:
    async with serving(Settings.model_validate({"rtmp": {"http_flv": "off"}})) as served:
        stream = await create(served)
        assert stream["playout"]["flv"] is None
        of_rtmp = await served.admin.get(path(stream, "qr.svg?of=rtmp"))
        of_play = await served.admin.get(path(stream, "qr.svg?of=play"))
        assert (of_rtmp.status_code, of_play.status_code) == (200, 200)


async def test_codes_that_are_refused(served: Served) -> None:
    stream = await create(served)
    for query in ("of=hls", "of=", "of=whip&of=rtmp"):
        assert_problem(await served.admin.get(path(stream, f"qr.svg?{query}")), 400, "bad_parameter", "of")


def test_what_is_too_long_for_a_code() -> None:
    with pytest.raises(Exception, match="too long"):
        qr.draw("https://whip.example/" + "a" * 3000, "long")


# Workers


async def test_workers(served: Served) -> None:
    await served.session()
    [worker] = (await get(served, "/v1/workers"))["items"]
    assert (worker["id"], worker["state"], worker["sessions"]) == (0, "running", 1)
    assert (worker["process_id"], worker["restarts"], worker["lost_sessions"]) == (os.getpid(), 0, 0)
    assert worker.keys() == {
        "id",
        "state",
        "process_id",
        "port",
        "restarts",
        "lost_sessions",
        "sessions",
        "bitrate_in",
        "bytes_in",
        "bytes_out",
        "loop_lag_ms",
        "cpu_percent",
        "drops",
    }


def standing(state: str, process_id: int, described: WorkerDescribed | None) -> WorkerStanding:
    return WorkerStanding(
        number=1,
        state=state,
        process_id=process_id,
        port=8201,
        restarts=2,
        lost_sessions=7,
        described=described,
    )


def test_a_worker_in_numbers() -> None:
    totals = {"bytes_received": 10, "bytes_sent": 9, "drops": {"srtp_failed": 2, "late": 1}}
    described = WorkerDescribed(
        {"late": 3}, 4, totals, loop_lag=0.01234, cpu_seconds=5.0, cpu_load=0.0517, bitrate=2_130_000.4
    )
    assert worker_document(standing("running", 4711, described)) == {
        "id": 1,
        "state": "running",
        "process_id": 4711,
        "port": 8201,
        "restarts": 2,
        "lost_sessions": 7,
        "sessions": 4,
        "bitrate_in": 2_130_000,
        "bytes_in": 10,
        "bytes_out": 9,
        "loop_lag_ms": 12.3,
        "cpu_percent": 5.2,
        "drops": {"late": 4, "srtp_failed": 2},
    }


def test_a_worker_that_cannot_be_asked() -> None:
    whole = worker_document(standing("starting", 0, None))
    assert {key: each for key, each in whole.items() if each is not None} == {
        "id": 1,
        "state": "starting",
        "port": 8201,
        "restarts": 2,
        "lost_sessions": 7,
    }
    totals = {"bytes_received": 0, "bytes_sent": 0, "drops": {}}
    described = WorkerDescribed({}, 0, totals, loop_lag=0.0, cpu_seconds=0.0, cpu_load=0.0, bitrate=0.0)
    assert whole.keys() == worker_document(standing("running", 1, described)).keys()
