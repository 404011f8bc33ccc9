"""The media workers, and how they fare."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whipway.pool.standing import WorkerStanding
from whipway.streams.access.roles import Right
from whipway.web.services import Services
from whipway.web.v1 import openapi_live
from whipway.worker.messages import WorkerDescribed

_OWN_WORDS = ("sessions", "bitrate_in", "bytes_in", "bytes_out", "loop_lag_ms", "cpu_percent", "drops")
"""What only the worker knows: null while it cannot be asked."""


def make_workers_router(services: Services) -> APIRouter:
    """The route of workers."""
    router = APIRouter(tags=["Server"], redirect_slashes=False)

    @router.get("/workers", response_class=JSONResponse, **openapi_live.WORKERS)
    async def list_workers(request: Request) -> JSONResponse:
        await services.callers.require(request, Right.VIEW)
        workers = await services.sessions.describe_workers()
        return JSONResponse({"items": [worker_document(each) for each in workers]})

    return router


def worker_document(worker: WorkerStanding) -> dict[str, Any]:
    """One worker: what is known of it here, and what it says of itself."""
    return {
        "id": worker.number,
        "state": worker.state,
        "process_id": worker.process_id or None,
        "port": worker.port,
        "restarts": worker.restarts,
        "lost_sessions": worker.lost_sessions,
        **(_own_words(worker.described) if worker.described else dict.fromkeys(_OWN_WORDS)),
    }


def _own_words(worker: WorkerDescribed) -> dict[str, Any]:
    """Drops are those of its sessions, and of datagrams that were no session's."""
    return {
        "sessions": worker.sessions,
        "bitrate_in": round(worker.bitrate),
        "bytes_in": worker.totals["bytes_received"],
        "bytes_out": worker.totals["bytes_sent"],
        "loop_lag_ms": round(worker.loop_lag * 1000, 1),
        "cpu_percent": round(worker.cpu_load * 100, 1),
        "drops": dict(sorted((Counter(worker.drops) + Counter(worker.totals["drops"])).items())),
    }
