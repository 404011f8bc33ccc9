"""All routes of the API below `/v1`, put together."""

from collections.abc import Callable

from fastapi import APIRouter

from whipway.web.paths import V1_PATH
from whipway.web.services import Services
from whipway.web.v1.control import make_control_router
from whipway.web.v1.events import make_events_router
from whipway.web.v1.keys import make_keys_router
from whipway.web.v1.organisation import make_organisation_router
from whipway.web.v1.streams import make_streams_router
from whipway.web.v1.webhooks import make_webhooks_router

MAKERS: tuple[Callable[[Services], APIRouter], ...] = (
    make_streams_router,
    make_control_router,
    make_events_router,
    make_organisation_router,
    make_keys_router,
    make_webhooks_router,
)
"""Each makes the routes of one kind of resource, with paths from behind `/v1` on."""


def make_v1_router(services: Services) -> APIRouter:
    """The whole of it."""
    router = APIRouter(prefix=V1_PATH, redirect_slashes=False)
    for make in MAKERS:
        router.include_router(make(services))
    return router
