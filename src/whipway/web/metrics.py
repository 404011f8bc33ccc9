"""`/metrics` in Prometheus' text format, `/healthz` and `/readyz`.

Nothing is counted here: figures are asked for when somebody scrapes. Names follow Prometheus' conventions:
base units, `_total` for what only grows. What the media workers measure is in `worker_metrics`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from whipway import __version__
from whipway.pool.standing import WorkerStanding
from whipway.streams.access.roles import Right
from whipway.streams.records import StreamState
from whipway.streams.store.database import NO_CONNECTION, PROBE_TIMEOUT
from whipway.web.services import Services
from whipway.web.worker_metrics import worker_families

log = structlog.get_logger("web")


def make_metrics_router(services: Services, *, needs_key: bool) -> APIRouter:
    """The routes. `needs_key`: metrics are for holders of an API key."""
    router = APIRouter(tags=["Operation"])

    @router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if needs_key:
            await services.callers.require(request, Right.VIEW)
        workers, streams = await services.sessions.describe_workers(), await _stream_counts(services)
        text = generate_latest(_Collected(metric_families(workers, streams)))
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
    workers = await services.sessions.describe_workers()
    return {
        "database": await services.database.is_reachable(),
        "workers": any(worker.described is not None for worker in workers),
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
    workers: Sequence[WorkerStanding], streams: Mapping[StreamState, int] | None
) -> Iterator[Metric]:
    """All that `/metrics` tells. `streams` None: nobody knows them now."""
    yield InfoMetricFamily("whipway_build", "What is running", {"version": __version__})
    if streams is not None:  # Zeros would be wrong.
        family = GaugeMetricFamily("whipway_streams", "Streams by state", labels=["state"])
        for state, count in streams.items():
            family.add_metric([state], count)
        yield family
    yield from worker_families(workers)
