"""Keys: who has one, for what, and until when. The key itself is shown once, to whoever made it.

`openapi_manage` describes the operations.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway.streams.access.keys import MAX_LIFETIME, MAX_NAME_CHARACTERS, KeyRefused
from whipway.streams.access.roles import Right
from whipway.streams.records import Role
from whipway.web.bodies import DOCUMENT, check_body_headers, read_text
from whipway.web.problems import Problem, ProblemKind
from whipway.web.services import Services
from whipway.web.v1 import openapi_manage
from whipway.web.v1.members import number_of_seconds, one_of, parse_members, printable_text
from whipway.web.v1.shapes import key_document

NO_STORE = {"Cache-Control": "no-store"}
"""The answer holds a secret."""
MADE_HERE = (Role.ADMIN, Role.USER, Role.READ_ONLY, Role.PLAYER)
"""Publishers' keys are for one stream: they are made there."""

_KEY = {
    "name": printable_text(MAX_NAME_CHARACTERS),
    "role": one_of(MADE_HERE),
    "expires_in": number_of_seconds(int(MAX_LIFETIME.total_seconds())),
}


def make_keys_router(services: Services) -> APIRouter:
    """The routes of keys."""
    router = APIRouter(prefix="/keys", tags=["Keys"], redirect_slashes=False)
    keys = _Keys(services)
    json: dict[str, Any] = {"response_class": JSONResponse}
    router.get("", **json, **openapi_manage.LIST_KEYS)(keys.list)
    router.post("", status_code=201, **json, **openapi_manage.CREATE_KEY)(keys.create)
    router.delete("/{key_id:id}", status_code=204, response_class=Response, **openapi_manage.REVOKE_KEY)(
        keys.revoke
    )
    return router


class _Keys:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, services: Services) -> None:
        self._keys = services.keys
        self._callers = services.callers

    async def list(self, request: Request) -> JSONResponse:
        """All of them, those included that are over."""
        await self._callers.require(request, Right.MANAGE)
        return JSONResponse({"items": [*map(key_document, await self._keys.list())]})

    async def create(self, request: Request) -> JSONResponse:
        """A new one."""
        await self._callers.require(request, Right.MANAGE)
        check_body_headers(request, DOCUMENT)
        members = parse_members(await read_text(request, DOCUMENT), _KEY, required=("name", "role"))
        try:
            secret, key = await self._keys.create(**members)
        except KeyRefused as refusal:
            raise key_refused(refusal) from None
        return JSONResponse({**key_document(key), "key": secret}, 201, NO_STORE)

    async def revoke(self, request: Request) -> Response:
        """End one, and every sign-in with it."""
        await self._callers.require(request, Right.MANAGE)
        if not await self._keys.revoke(request.path_params["key_id"]):
            raise Problem(ProblemKind.KEY_UNKNOWN, "It never existed, or was revoked before")
        return Response(status_code=204)


def key_refused(refusal: KeyRefused) -> Problem:
    """What the key ring says of a key whose members are good: that there are too many."""
    return Problem(ProblemKind.TOO_MANY_KEYS, str(refusal).removeprefix("key: "))
