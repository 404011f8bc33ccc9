"""What operators and their machines ask: metrics, health, readiness."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy.exc import OperationalError
from tests.peers.databases import database_url
from tests.web.live_client import live
from tests.web.served import Served, assert_problem, serving
from tests.web.v1.api import client, create
from tests.web.v1.studio import publishing_by_rtmp, sends_picture

from whipway import __version__
from whipway.config import Settings
from whipway.pool.standing import WorkerStanding
from whipway.streams.records import Role, StreamState
from whipway.streams.sessions import SessionDirectory
from whipway.web.metrics import metric_families
from whipway.web.worker_metrics import SINK_STATES
from whipway.worker.messages import WorkerDescribed
from whipway.worker.totals import COUNTS

pytestmark = pytest.mark.anyio

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Values:
    """Every sample of an exposition; none of them comes twice."""
    samples: list[Sample] = []
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown", family
        assert family.name.startswith("whipway_")
        samples += family.samples
    values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(values) == len(samples)
    return values


async def scrape(http: httpx.AsyncClient) -> Values:
    answer = await http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parse(answer.text)


def value(values: Values, name: str, **labels: str) -> float:
    return values[f"whipway_{name}", frozenset(labels.items())]


def with_access(access: str, **http: Any) -> Settings:
    return Settings.model_validate({"metrics": {"access": access}, "http": http})


# Metrics


async def test_a_server_at_rest(served: Served) -> None:
    values = await scrape(served.http)
    assert value(values, "build_info", version=__version__) == 1
    assert value(values, "sessions", worker="0") == 0
    assert value(values, "worker_loop_lag_seconds", worker="0") >= 0
    assert value(values, "worker_cpu_seconds_total", worker="0") > 0
    for state in StreamState:
        assert value(values, "streams", state=state) == 0
    assert value(values, "worker_up", worker="0") == 1
    assert value(values, "worker_restarts_total", worker="0") == 0
    assert value(values, "worker_cpu_ratio", worker="0") >= 0
    assert value(values, "sessions_ended_total", worker="0", reason="worker_lost") == 0
    for state in SINK_STATES:
        assert value(values, "sinks", worker="0", state=state) == 0
    for kind in ("video", "audio"):
        assert value(values, "received_frames_total", worker="0", kind=kind) == 0
    for name in ("received_bytes", "sent_bytes", "sent_frames", "sessions_started", "sink_reconnects"):
        assert value(values, f"{name}_total", worker="0") == 0


async def test_streams_are_counted_by_state(served: Served) -> None:
    one, two, three = [await create(served) for _ in range(3)]
    await served.admin.post(f"/v1/streams/{one['id']}/lock")
    await served.admin.delete(f"/v1/streams/{two['id']}")

    async def counted(states: set[str]) -> bool:
        values = await scrape(served.http)
        return {state for state in StreamState if value(values, "streams", state=state) == 1} == states

    assert await counted({"created", "locked", "deleted"})
    async with publishing_by_rtmp(served, three["name"]), asyncio.timeout(5):
        while not await counted({"live", "locked", "deleted"}):
            pass
    async with asyncio.timeout(5):
        while not await counted({"ended", "locked", "deleted"}):
            pass


async def test_values_move_with_a_stream(served: Served) -> None:
    async with live(served) as publisher:
        await publisher.sends_media()
        await sends_picture(publisher)
        async with asyncio.timeout(5):
            while value(values := await scrape(served.http), "sinks", worker="0", state="publishing") != 1:
                pass
        assert value(values, "sessions", worker="0") == 1
        assert value(values, "sessions_started_total", worker="0") == 1
        assert value(values, "received_packets_total", worker="0") >= 2
        assert value(values, "received_bytes_total", worker="0") > 0
        assert value(values, "received_frames_total", worker="0", kind="audio") == 1
        assert value(values, "received_frames_total", worker="0", kind="video") == 1
        async with asyncio.timeout(5):
            while not value(during := await scrape(served.http), "sent_frames_total", worker="0"):
                pass
        await served.http.delete(publisher.path)
    after = await scrape(served.http)
    assert value(after, "sessions", worker="0") == value(after, "sinks", worker="0", state="publishing") == 0
    assert value(after, "sessions_ended_total", worker="0", reason="deleted") == 1
    # What is over still counts.
    for key, before in during.items():
        if key[0].endswith("_total"):
            assert after[key] >= before, key
    assert value(after, "sessions_started_total", worker="0") == 1


async def test_without_a_database_all_but_the_streams_is_told(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(served.services.streams, "counts", fail)
    values = await scrape(served.http)
    assert value(values, "sessions", worker="0") == 0
    assert value(values, "received_bytes_total", worker="0") == 0
    assert not [name for name, _ in values if name == "whipway_streams"]


def described(**changes: Any) -> WorkerDescribed:
    totals = {**dict.fromkeys(COUNTS, 1), "drops": {"late": 2}, "sinks": {"failed": 1}}
    totals |= {"sessions_started": 3, "sessions_ended": {"deleted": 1, "silence": 1}}
    members: dict[str, Any] = {
        "drops": {"late": 1, "not_stun": 5},
        "sessions": 1,
        "totals": totals,
        "loop_lag": 0.25,
        "cpu_seconds": 2.5,
        "cpu_load": 0.5,
        "bitrate": 2_000_000.0,
    }
    return WorkerDescribed(**members | changes)


def standing(
    number: int, words: WorkerDescribed | None, *, restarts: int = 0, lost: int = 0
) -> WorkerStanding:
    state = "running" if words else "starting"
    return WorkerStanding(
        number=number,
        state=state,
        process_id=100 + number if words else 0,
        port=8200 + number,
        restarts=restarts,
        lost_sessions=lost,
        described=words,
    )


def told(workers: list[WorkerStanding]) -> Values:
    families = metric_families(workers, {StreamState.LIVE: 7})
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def test_each_worker_counts_for_itself() -> None:
    other = described(sessions=4, cpu_seconds=7.0, cpu_load=0.75)
    values = told([standing(0, described()), standing(1, other)])
    for worker in ("0", "1"):
        assert value(values, "worker_up", worker=worker) == 1
        assert value(values, "worker_restarts_total", worker=worker) == 0
        assert value(values, "drops_total", worker=worker, reason="late") == 3
        assert value(values, "drops_total", worker=worker, reason="not_stun") == 5
        assert value(values, "sinks", worker=worker, state="failed") == 1
        assert value(values, "sinks", worker=worker, state="retrying") == 0
        assert value(values, "sessions_ended_total", worker=worker, reason="silence") == 1
        assert value(values, "sessions_ended_total", worker=worker, reason="worker_lost") == 0
        assert value(values, "received_bytes_total", worker=worker) == 1
        assert value(values, "sessions_started_total", worker=worker) == 3
    assert value(values, "sessions", worker="0") == 1 and value(values, "sessions", worker="1") == 4
    assert value(values, "worker_loop_lag_seconds", worker="1") == 0.25
    assert value(values, "worker_cpu_seconds_total", worker="1") == 7
    assert value(values, "worker_cpu_ratio", worker="1") == 0.75
    assert value(values, "streams", state="live") == 7


def test_of_a_worker_that_is_away_only_what_is_known_without_it() -> None:
    values = told([standing(0, described()), standing(3, None, restarts=2, lost=5)])
    of_it = {
        (name, frozenset(labels - {("worker", "3")})): each
        for (name, labels), each in values.items()
        if ("worker", "3") in labels
    }
    assert of_it == {
        ("whipway_worker_up", frozenset()): 0,
        ("whipway_worker_restarts_total", frozenset()): 2,
        ("whipway_sessions_ended_total", frozenset({("reason", "worker_lost")})): 5,
    }


def test_every_count_of_a_worker_is_told() -> None:
    totals = {**described().totals, **dict.fromkeys(COUNTS, 77)}
    values = told([standing(0, described(totals=totals))])
    assert list(values.values()).count(77) == len(COUNTS)


# Who may read them


@pytest.mark.parametrize(
    ("access", "http", "needs_key"),
    [
        ("auto", {}, False),
        ("auto", {"public_url": "https://whip.example"}, True),
        ("auto", {"trusted_proxies": ["10.0.0.0/8"]}, True),
        ("open", {"public_url": "https://whip.example"}, False),
        ("key", {}, True),
    ],
)
async def test_who_may_read_metrics(access: str, http: dict[str, Any], needs_key: bool) -> None:
    async with serving(with_access(access, **http)) as served:
        if needs_key:
            assert_problem(await served.http.get("/metrics"), 401, "unauthenticated")
            async with await client(served, Role.PLAYER) as player:
                assert_problem(await player.get("/metrics"), 403, "forbidden")
        else:
            assert await scrape(served.http)
        async with await client(served, Role.READ_ONLY) as reader:
            assert await scrape(reader)
        # Whoever balances load has no key.
        for path in ("/healthz", "/readyz"):
            assert (await served.http.get(path)).status_code == 200


# Health

CHECKS = ("database", "workers", "accepting")


def not_ready(what: str) -> dict[str, Any]:
    return {"ready": False, "checks": {check: check != what for check in CHECKS}}


async def test_health(served: Served) -> None:
    answer = await served.http.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await served.http.head("/healthz")).status_code == 200


async def test_readiness(served: Served) -> None:
    answer = await served.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "checks": dict.fromkeys(CHECKS, True)}


async def test_a_server_without_workers_is_not_ready(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def describe_workers(*_: object) -> list[WorkerStanding]:
        return workers

    monkeypatch.setattr(SessionDirectory, "describe_workers", describe_workers)
    workers = [standing(0, None, restarts=1), standing(1, None)]
    answer = await served.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == not_ready("workers")
    workers = [standing(0, None, restarts=1), standing(1, described())]
    assert (await served.http.get("/readyz")).status_code == 200


async def test_a_server_that_is_to_stop_takes_nobody(served: Served) -> None:
    async with live(served) as publisher:
        draining = asyncio.create_task(served.gateway.drain())
        await asyncio.sleep(0)
        answer = await served.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == not_ready("accepting")
        # It is well, and what it has goes on.
        assert (await served.http.get("/healthz")).status_code == 200
        assert value(await scrape(served.http), "sessions", worker="0") == 1
        await served.http.delete(publisher.path)
        await draining


@pytest.fixture
async def on_postgresql() -> AsyncIterator[Served]:
    async with database_url("postgresql") as url:
        async with serving(Settings.model_validate({"database": {"url": url}})) as served:
            yield served


async def test_a_database_that_is_gone(on_postgresql: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served = on_postgresql

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    engine = served.services.database._engine
    with monkeypatch.context() as gone:
        await engine.dispose()
        gone.setattr(engine.sync_engine.pool, "_creator", refuse)
        answer = await served.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == not_ready("database")
        assert (await served.http.get("/healthz")).status_code == 200
    assert (await served.http.get("/readyz")).status_code == 200
