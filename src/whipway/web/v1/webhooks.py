"""Webhooks: which URLs are told of what. The secret that signs is shown once, to whoever made the webhook.

`openapi_manage` describes the operations.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.access.roles import Right
from whipway.streams.store.tables import MAX_URL_CHARACTERS
from whipway.streams.webhooks.webhook_rules import MAX_PATTERNS, WebhookRefused
from whipway.streams.webhooks.webhooks import EVERYTHING, WebhookUnknown
from whipway.web.bodies import DOCUMENT, check_body_headers, read_text
from whipway.web.problems import Problem, ProblemKind
from whipway.web.services import Services
from whipway.web.v1 import openapi_manage
from whipway.web.v1.members import list_of, parse_members, printable_text, refused
from whipway.web.v1.shapes import webhook_document

NO_STORE = {"Cache-Control": "no-store"}
"""The answer holds a secret."""
MAX_PATTERN_CHARACTERS = 64

_WEBHOOK = {
    "url": printable_text(MAX_URL_CHARACTERS),
    "events": list_of(printable_text(MAX_PATTERN_CHARACTERS), MAX_PATTERNS),
}


def make_webhooks_router(services: Services) -> APIRouter:
    """The routes of webhooks."""
    router = APIRouter(prefix="/webhooks", tags=["Webhooks"], redirect_slashes=False)
    webhooks = _Webhooks(services)
    one = "/{webhook_id:id}"
    json: dict[str, Any] = {"response_class": JSONResponse}
    router.get("", **json, **openapi_manage.LIST_WEBHOOKS)(webhooks.list)
    router.post("", status_code=201, **json, **openapi_manage.CREATE_WEBHOOK)(webhooks.create)
    router.delete(one, status_code=204, response_class=Response, **openapi_manage.DELETE_WEBHOOK)(
        webhooks.delete
    )
    router.post(f"{one}/test", **json, **openapi_manage.TEST_WEBHOOK)(webhooks.test)
    return router


class _Webhooks:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services) -> None:
        self._webhooks = services.webhooks
        self._callers = services.callers

    async def list(self, request: Request) -> JSONResponse:
        """All of them, and how much each has still to be told."""
        await self._callers.require(request, Right.MANAGE)
        waiting = await self._webhooks.waiting()
        every = await self._webhooks.list()
        items = [{**webhook_document(each), "waiting": waiting.get(each.id, 0)} for each in every]
        return JSONResponse({"items": items})

    async def create(self, request: Request) -> JSONResponse:
        """A new one."""
        await self._callers.require(request, Right.MANAGE)
        check_body_headers(request, DOCUMENT)
        members = parse_members(await read_text(request, DOCUMENT), _WEBHOOK, required=("url",))
        try:
            webhook = await self._webhooks.create(members["url"], members.get("events", EVERYTHING))
        except WebhookRefused as refusal:
            raise refused(refusal.field, refusal) from None
        content = {**webhook_document(webhook), "waiting": 0, "secret": webhook.secret}
        return JSONResponse(content, 201, NO_STORE)

    async def delete(self, request: Request) -> Response:
        """Tell it nothing more, not even what waits."""
        await self._callers.require(request, Right.MANAGE)
        try:
            await self._webhooks.delete(request.path_params["webhook_id"])
        except WebhookUnknown:
            raise _unknown() from None
        return Response(status_code=204)

    async def test(self, request: Request) -> JSONResponse:
        """Tell it something now, and say what it answered."""
        await self._callers.require(request, Right.MANAGE)
        try:
            outcome = await self._webhooks.test(request.path_params["webhook_id"])
        except WebhookUnknown:
            raise _unknown() from None
        content = {"is_success": outcome.is_success, "status": outcome.status, "error": outcome.error}
        return JSONResponse(content)


def _unknown() -> Problem:
    return Problem(ProblemKind.WEBHOOK_UNKNOWN, "It never existed, or was deleted")
