"""Who asks by the bintu API: its three headers, and a bearer token, which later documents of it speak of.

A key is one of this server's own, whichever header brings it; the header narrows what it may do, never
widens it: `X-BINTU-PLAYERKEY` lists by tag and nothing else. Cookies count for nothing here, so that no page
elsewhere can make a browser ask in the name of who has signed in.
"""

from fastapi import Request

from whipway.streams.access.keys import KeyRing
from whipway.streams.access.roles import Right, may
from whipway.streams.records import Role
from whipway.web.bintu.errors import BintuError, Fault

API_KEY, TOKEN, PLAYER_KEY = "X-BINTU-APIKEY", "X-BINTU-TOKEN", "X-BINTU-PLAYERKEY"  # noqa: S105 - names
AUTHORIZATION = "Authorization"
HEADERS = (API_KEY, TOKEN, PLAYER_KEY)
"""Of several the first of these counts, and the others are not looked at; then comes Authorization."""
_BEARER = "bearer"


class BintuCallers:
    """Knows callers by their keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def identify(self, request: Request) -> Role | None:
        """The role of who asks; None: no key was sent. Raises BintuError (401) for one that is no good."""
        for header in HEADERS:
            if header in request.headers:
                role = await self._role_of(_only(request, header))
                return Role.PLAYER if header == PLAYER_KEY else role
        # RFC 9110, section 11.1: "It uses a case-insensitive token to identify the authentication scheme".
        scheme, _, token = request.headers.get(AUTHORIZATION, "").partition(" ")
        if scheme.lower() != _BEARER:
            return None
        _only(request, AUTHORIZATION)
        return await self._role_of(token)

    async def require(self, request: Request, right: Right) -> Role:
        """The role of who asks, which has this right. Raises BintuError (401, 403)."""
        role = await self.identify(request)
        if role is None:
            raise BintuError(Fault.CREDENTIALS_NOT_VALID, detail=f"Send a key as {API_KEY} or {TOKEN}")
        if not may(role, right):
            raise BintuError(Fault.ACCESS_DENIED, detail=f"The role {role.value} may not do this")
        return role

    async def _role_of(self, secret: str) -> Role:
        key = await self._keys.find(secret.strip())
        if key is None:
            raise BintuError(Fault.CREDENTIALS_NOT_VALID, detail="The key is not known, or no good any more")
        return key.role


def _only(request: Request, header: str) -> str:
    """The value of a header. Two are for no one to choose from: a proxy may have looked at the other one."""
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise BintuError(Fault.CREDENTIALS_NOT_VALID, detail=f"There are several {header} headers")
    return values[0]
