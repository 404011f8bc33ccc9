"""`/metrics` in Prometheus' text format, `/healthz` and `/readyz`.

Nothing is counted here: figures are asked for when somebody scrapes. Names follow Prometheus' conventions:
base units, `_total` for what only grows, a label `worker` on what each media worker measures for itself.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from whipway import __version__
from whipway.streams.access.roles import Right
from whipway.streams.records import StreamState
from whipway.streams.store.database import NO_CONNECTION, PROBE_TIMEOUT
from whipway.web.services import Services
from whipway.worker.messages import WorkerDescribed

_COUNTERS = {
    "packets_received": ("whipway_received_packets", "RTP packets that sessions received"),
    "bytes_received": ("whipway_received_bytes", "Bytes of RTP that sessions received"),
    "packets_lost": ("whipway_lost_packets", "RTP packets that never came"),
    "packets_repaired": ("whipway_repaired_packets", "RTP packets that came when they were asked for again"),
    "bytes_sent": ("whipway_sent_bytes", "Bytes that RTMP servers have acknowledged"),
    "frames_sent": ("whipway_sent_frames", "Pictures that were sent to RTMP servers"),
    "frames_dropped": ("whipway_dropped_frames", "Pictures left out since an RTMP server took too little"),
    "sink_reconnects": ("whipway_sink_reconnects", "How often a sink was publishing again after a failure"),
    "sessions_started": ("whipway_sessions_started", "Sessions that there ever were"),
}
SINK_STATES = ("connecting", "publishing", "retrying", "failed")
"""All are told, so that a state without sinks reads 0 and not nothing."""

log = structlog.get_logger("web")


def make_metrics_router(services: Services, *, needs_key: bool) -> APIRouter:
    """The routes. `needs_key`: metrics are for holders of an API key."""
    router = APIRouter(tags=["Operation"])

    @router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if needs_key:
            await services.callers.require(request, Right.VIEW)
        described = await services.sessions.describe_worker()
        text = generate_latest(_Collected(metric_families([described], await _stream_counts(services))))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @router.get("/healthz", response_class=PlainTextResponse, include_in_schema=False)
    async def healthz() -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    @router.get("/readyz", response_class=JSONResponse, include_in_schema=False)
    async def readyz() -> Response:
        """New sessions are taken: 200, else 503 with what is wrong."""
        checks = await readiness(services)
        is_ready = all(checks.values())
        return JSONResponse({"ready": is_ready, "checks": checks}, 200 if is_ready else 503)

    return router


async def readiness(services: Services) -> dict[str, bool]:
    """What this server needs to take a session, and whether it is so."""
    return {
        "database": await services.database.is_reachable(),
        "accepting": not services.sessions.is_draining,
    }


async def _stream_counts(services: Services) -> Mapping[StreamState, int] | None:
    """None: the database does not answer, which is when the other figures are wanted most."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await services.streams.counts()
    except NO_CONNECTION as error:
        log.error("no count of streams: database error", error=type(error).__name__)
        return None


class _Collected:
    """In the place of a registry: what was asked for a moment ago."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def metric_families(
    workers: list[WorkerDescribed], streams: Mapping[StreamState, int] | None
) -> Iterator[Metric]:
    """All that `/metrics` tells, of the workers in their order. `streams` None: nobody knows them now."""
    yield InfoMetricFamily("whipway_build", "What is running", {"version": __version__})
    if streams is not None:  # Zeros would be wrong.
        yield _labelled(GaugeMetricFamily, "whipway_streams", "Streams by state", "state", streams)
    yield from _of_workers(workers)
    for member, (name, text) in _COUNTERS.items():
        yield CounterMetricFamily(name, text, value=sum(worker.totals[member] for worker in workers))
    frames = {kind: sum(worker.totals[f"{kind}_frames"] for worker in workers) for kind in ("video", "audio")}
    yield _labelled(CounterMetricFamily, "whipway_received_frames", "Pictures and sounds", "kind", frames)
    ends = _sum(worker.totals["sessions_ended"] for worker in workers)
    yield _labelled(
        CounterMetricFamily, "whipway_sessions_ended", "Sessions by why they ended", "reason", ends
    )
    states = dict.fromkeys(SINK_STATES, 0) | _sum(worker.totals["sinks"] for worker in workers)
    yield _labelled(GaugeMetricFamily, "whipway_sinks", "RTMP outputs of sessions, by state", "state", states)
    drops = _sum(drops for worker in workers for drops in (worker.drops, worker.totals["drops"]))
    yield _labelled(
        CounterMetricFamily, "whipway_drops", "Datagrams and media left out, by reason", "reason", drops
    )


def _of_workers(workers: list[WorkerDescribed]) -> Iterator[Metric]:
    sessions = GaugeMetricFamily("whipway_sessions", "Sessions", labels=["worker"])
    lag = GaugeMetricFamily(
        "whipway_worker_loop_lag_seconds", "Worst delay of the event loop lately", labels=["worker"]
    )
    cpu = CounterMetricFamily(
        "whipway_worker_cpu_seconds", "CPU time of the worker's process", labels=["worker"]
    )
    for number, worker in enumerate(workers):
        sessions.add_metric([str(number)], worker.sessions)
        lag.add_metric([str(number)], worker.loop_lag)
        cpu.add_metric([str(number)], worker.cpu_seconds)
    yield from (sessions, lag, cpu)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[Any, float],
) -> Metric:
    family = kind(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([str(value)], count)
    return family


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
