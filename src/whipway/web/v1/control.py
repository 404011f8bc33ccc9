"""The routes of the API for what goes on now: sessions with all that is below them, and streams while live.

They share the operations on sessions, and the thumbnails.
"""

from fastapi import APIRouter

from whipway.web.services import Services
from whipway.web.session_operations import SessionOperations
from whipway.web.thumbnails import Thumbnails
from whipway.web.v1.figures import make_figures_router
from whipway.web.v1.inputs import make_inputs_router
from whipway.web.v1.live import make_live_router
from whipway.web.v1.previews import keyframe_source, make_previews_router
from whipway.web.v1.qr import make_qr_router
from whipway.web.v1.quality import make_quality_router
from whipway.web.v1.sessions import make_sessions_router
from whipway.web.v1.sinks import make_sinks_router
from whipway.web.v1.workers import make_workers_router


def make_control_router(services: Services) -> APIRouter:
    """All of them."""
    router = APIRouter(redirect_slashes=False)
    thumbnails = Thumbnails(keyframe_source(services.sessions, services.origin))
    operations = SessionOperations(services.sessions, thumbnails)
    for make in (make_sessions_router, make_sinks_router, make_inputs_router, make_quality_router):
        router.include_router(make(services, operations))
    for make_alone in (make_live_router, make_figures_router, make_qr_router, make_workers_router):
        router.include_router(make_alone(services))
    router.include_router(make_previews_router(services, thumbnails))
    return router
