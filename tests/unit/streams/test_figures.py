"""Figures of streams, over played sessions and a played origin, on a played clock."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from tests.peers.waiting import until

from whipway.streams import figures as figures_module
from whipway.streams.figures import INTERVAL, KEPT, MAX_POINTS, Figures, Meter, Point
from whipway.streams.publications import Publication, Publications
from whipway.streams.refusals import SessionNotFound

pytestmark = pytest.mark.anyio

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEASURED = {
    "video_bitrate": 2_000_000,
    "audio_bitrate": 100_000,
    "fps": 25.0,
    "loss": 0.01,
    "rtt_ms": 23.5,
    "jitter_ms": 4.0,
}


class Stage:
    """Who publishes, what they measure, and what time it is."""

    def __init__(self) -> None:
        self.now = 100.0
        self.snapshots: dict[str, Mapping[str, Any]] = {}
        self.counts: dict[str, dict[str, Any]] = {}
        self.sleeps: asyncio.Queue[None] = asyncio.Queue()
        self.publications = Publications(lambda: self.now)
        self.figures = self.make(Origin(self))

    def make(self, origin: Any) -> Figures:
        return Figures(
            self.publications,
            self,
            origin,
            monotonic=lambda: self.now,
            now=lambda: BEGIN + timedelta(seconds=self.now),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        assert seconds == INTERVAL
        await self.sleeps.get()

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        if session_id not in self.snapshots:
            raise SessionNotFound(session_id)
        return self.snapshots[session_id]

    def whip(self, name: str, session_id: str = "a", state: str = "live", **measured: Any) -> Publication:
        self.snapshots[session_id] = {"state": state, "quality": {"measured": MEASURED | measured}}
        return self._begin("whip", name, session_id)

    def rtmp(self, name: str, bytes_in: int = 0, pictures: int = 0) -> Publication:
        publication = self._begin("rtmp", name, None)
        self.count(publication, bytes_in, pictures)
        return publication

    def count(self, publication: Publication, bytes_in: int, pictures: int) -> None:
        counts = {"bytes_in": bytes_in, "pictures": pictures, "width": 1280, "height": 720, "players": 3}
        self.counts[publication.key] = counts

    def _begin(self, kind: Any, name: str, session_id: str | None) -> Publication:
        return self.publications.begin(
            kind,
            app="live",
            stream_name=name,
            client="",
            stream_url="rtmp://127.0.0.1/live",
            session_id=session_id,
            is_here=True,
        )

    async def sample(self, after: float = INTERVAL) -> None:
        self.now += after
        await self.figures.sample()

    def rates(self, name: str) -> list[tuple[int, float]]:
        return [(point.bitrate, point.fps) for point in self.figures.points(name)]


class Origin:
    """What a stage has counted."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def figures(self, key: str) -> Mapping[str, Any] | None:
        return self._stage.counts.get(key)


@pytest.fixture
async def stage() -> Stage:
    """Within the loop, which publications need."""
    return Stage()


# Rates


def test_a_meter_needs_some_time() -> None:
    meter = Meter()
    assert meter.update(1.0, 1000, 10) is None
    assert meter.update(1.4, 2000, 20) is None
    assert meter.update(2.0, 3000, 35) == (16_000, 25.0)


def test_a_meter_measures_the_last_seconds() -> None:
    meter = Meter()
    for second in range(20):
        # 1000 bytes a second at first, then 2000.
        found = meter.update(float(second), 1000 * second + 1000 * max(0, second - 10), 25 * second)
    assert found == (16_000, 25.0)


def test_a_meter_keeps_little_however_often_it_is_asked() -> None:
    meter = Meter()
    for number in range(10_000):
        meter.update(number / 100, number, number)
    assert len(meter._counts) <= 12


def test_a_meter_begins_anew_with_another_publisher() -> None:
    meter = Meter()
    meter.update(0.0, 1_000_000, 1000)
    assert meter.update(1.0, 500, 1) is None
    assert meter.update(2.0, 1500, 26) == (8000, 25.0)


# Points


async def test_a_session_tells_of_itself(stage: Stage) -> None:
    stage.whip("one")
    await stage.sample()
    at = BEGIN + timedelta(seconds=105)
    assert stage.figures.points("one") == [Point(at, 2_100_000, 25.0, 0.01, 23.5, 4.0)]
    assert stage.figures.points("two") == []


async def test_what_a_session_does_not_know_is_none(stage: Stage) -> None:
    stage.whip("one", rtt_ms=None)
    await stage.sample()
    [point] = stage.figures.points("one")
    assert point.round_trip_ms is None


@pytest.mark.parametrize("state", ["connecting", "ended"])
async def test_a_session_that_is_not_live_has_none(stage: Stage, state: str) -> None:
    stage.whip("one", state=state)
    await stage.sample()
    assert stage.figures.points("one") == []


async def test_a_session_that_is_lost_has_none(stage: Stage) -> None:
    stage.whip("one")
    stage.snapshots.clear()
    await stage.sample()
    assert stage.figures.points("one") == []


async def test_a_publisher_by_rtmp_is_measured(stage: Stage) -> None:
    publication = stage.rtmp("one", 1000, 10)
    await stage.sample()
    assert stage.figures.points("one") == []
    stage.count(publication, 1_251_000, 135)
    await stage.sample()
    assert stage.rates("one") == [(2_000_000, 25.0)]
    [point] = stage.figures.points("one")
    assert (point.loss, point.round_trip_ms, point.jitter_ms) == (None, None, None)


async def test_a_publisher_by_rtmp_can_be_looked_at_any_time(stage: Stage) -> None:
    publication = stage.rtmp("one")
    found = stage.figures.rtmp(publication)
    assert found == {
        "bitrate": None,
        "fps": None,
        "bytes_in": 0,
        "pictures": 0,
        "width": 1280,
        "height": 720,
        "players": 3,
    }
    stage.now += 1
    stage.count(publication, 1000, 25)
    found = stage.figures.rtmp(publication)
    assert found is not None and (found["bitrate"], found["fps"]) == (8000, 25.0)


async def test_others_are_no_publishers_by_rtmp(stage: Stage) -> None:
    assert stage.figures.rtmp(stage.whip("one")) is None
    publication = stage.rtmp("two")
    stage.counts.clear()
    assert stage.figures.rtmp(publication) is None
    stage.count(publication, 1, 1)
    stage.publications.over(publication, "unpublished")
    assert stage.figures.rtmp(publication) is None
    assert stage.make(None).rtmp(stage.rtmp("three")) is None


async def test_nothing_is_kept_of_a_publisher_that_is_gone(stage: Stage) -> None:
    publication = stage.rtmp("one")
    stage.figures.rtmp(publication)
    assert stage.figures._meters
    stage.publications.over(publication, "unpublished")
    assert not stage.figures._meters
    stage.publications.over(stage.whip("two"), "deleted")


async def test_of_several_publishers_of_a_name_the_latest_counts(stage: Stage) -> None:
    stage.whip("one", "a", fps=10.0)
    stage.whip("one", "b", fps=30.0)
    await stage.sample()
    await stage.sample()
    assert [fps for _, fps in stage.rates("one")] == [30.0, 30.0]


# How long they are kept


async def test_ten_minutes_are_kept(stage: Stage) -> None:
    stage.whip("one")
    for _ in range(MAX_POINTS + 50):
        await stage.sample()
    points = stage.figures.points("one")
    assert len(points) == MAX_POINTS
    assert points[-1].at - points[0].at <= KEPT


async def test_points_stay_for_ten_minutes_after_the_end(stage: Stage) -> None:
    publication = stage.whip("one")
    await stage.sample()
    stage.publications.over(publication, "deleted")
    await stage.sample(after=KEPT.total_seconds() - 1)
    assert len(stage.figures.points("one")) == 1
    stage.now += 2
    assert stage.figures.points("one") == []
    await stage.sample()
    assert not stage.figures._points


async def test_a_stream_that_comes_back_has_no_points_from_long_ago(stage: Stage) -> None:
    publication = stage.whip("one")
    await stage.sample()
    await stage.sample(after=400)
    stage.publications.over(publication, "deleted")
    stage.whip("one", fps=30.0)
    await stage.sample(after=400)
    assert [fps for _, fps in stage.rates("one")] == [25.0, 30.0]


async def test_of_too_many_streams_the_latest_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "MAX_STREAMS", 3)
    for number in range(5):
        publication = stage.whip(f"stream{number}")
        await stage.sample(after=1)
        stage.publications.over(publication, "deleted")
    assert [*stage.figures._points] == ["stream2", "stream3", "stream4"]


# The task


async def test_a_task_takes_points(stage: Stage) -> None:
    stage.whip("one")
    stage.figures.start()
    stage.sleeps.put_nowait(None)
    await until(lambda: stage.figures.points("one"))
    await stage.figures.close()
    await stage.figures.close()


async def test_a_bug_costs_a_round_and_no_more(stage: Stage) -> None:
    stage.whip("one")
    stage.snapshots["a"] = {}
    with structlog.testing.capture_logs() as logs:
        stage.figures.start()
        stage.sleeps.put_nowait(None)
        await until(lambda: logs)
    assert [entry["event"] for entry in logs] == ["no figures this time"]
    stage.whip("one")
    stage.sleeps.put_nowait(None)
    await until(lambda: stage.figures.points("one"))
    await stage.figures.close()
