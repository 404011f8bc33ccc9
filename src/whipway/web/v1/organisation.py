"""The organisation: whose streams these are, and which URL is asked before each publish.

`openapi_manage` describes the operations.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right, may
from whipway.streams.store.tables import MAX_URL_CHARACTERS
from whipway.streams.webhooks.webhook_rules import WebhookRefused, check_webhook_url
from whipway.web.bodies import PATCH_DOCUMENT, check_body_headers, read_text
from whipway.web.services import Services
from whipway.web.v1 import openapi_manage
from whipway.web.v1.members import nullable, parse_members, printable_text, refused
from whipway.web.v1.shapes import organisation_document

MAX_NAME_CHARACTERS = 256

_ORGANISATION = {
    "name": printable_text(MAX_NAME_CHARACTERS),
    "webhook": nullable(printable_text(MAX_URL_CHARACTERS)),
}


def make_organisation_router(services: Services) -> APIRouter:
    """The routes of the organisation."""
    router = APIRouter(prefix="/organisation", tags=["Organisation"], redirect_slashes=False)
    organisation = _Organisation(services)
    json: dict[str, Any] = {"response_class": JSONResponse}
    router.get("", **json, **openapi_manage.ORGANISATION)(organisation.get)
    router.patch("", **json, **openapi_manage.CHANGE_ORGANISATION)(organisation.change)
    return router


class _Organisation:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services) -> None:
        self._organisation = services.organisation
        self._callers = services.callers

    async def get(self, request: Request) -> JSONResponse:
        """As it is now."""
        caller = await self._callers.require(request, Right.VIEW)
        organisation = await self._organisation.get()
        shown = organisation_document(organisation, with_webhook=may(caller.role, Right.MANAGE))
        return JSONResponse(shown)

    async def change(self, request: Request) -> JSONResponse:
        """Set what the body names."""
        await self._callers.require(request, Right.MANAGE)
        check_body_headers(request, PATCH_DOCUMENT)
        members = parse_members(await read_text(request, PATCH_DOCUMENT), _ORGANISATION)
        if members.get("webhook") is not None:
            _check_webhook(members["webhook"])
        return JSONResponse(
            organisation_document(await self._organisation.update(**members), with_webhook=True)
        )


def _check_webhook(url: str) -> None:
    try:
        check_webhook_url(url)
    except WebhookRefused as refusal:
        raise refused("webhook", refusal) from None
