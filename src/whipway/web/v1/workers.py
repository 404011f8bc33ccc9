"""The media workers, and how they fare."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right
from whipway.web.services import Services
from whipway.web.v1 import openapi_live
from whipway.worker.messages import WorkerDescribed


def make_workers_router(services: Services) -> APIRouter:
    """The route of workers."""
    router = APIRouter(tags=["Server"], redirect_slashes=False)

    @router.get("/workers", response_class=JSONResponse, **openapi_live.WORKERS)
    async def workers(request: Request) -> JSONResponse:
        await services.callers.require(request, Right.VIEW)
        described = [await services.sessions.describe_worker()]
        items = [worker_document(number, worker) for number, worker in enumerate(described)]
        return JSONResponse({"items": items})

    return router


def worker_document(number: int, worker: WorkerDescribed) -> dict[str, Any]:
    """One worker. Drops are those of its sessions, and of datagrams that were no session's."""
    return {
        "id": number,
        "sessions": worker.sessions,
        "bytes_in": worker.totals["bytes_received"],
        "bytes_out": worker.totals["bytes_sent"],
        "loop_lag_ms": round(worker.loop_lag * 1000, 1),
        "cpu_percent": round(worker.cpu_load * 100, 1),
        "drops": dict(sorted((Counter(worker.drops) + Counter(worker.totals["drops"])).items())),
    }
