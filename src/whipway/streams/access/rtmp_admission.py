"""RTMP publishers of the embedded origin are judged as those of WHIP are.

Where nobody has to authenticate, the rules of streams hold all the same: locked ones, unknown ones, and what
the organisation's webhook says.

RTMP has no header for a bearer token, so it comes as an argument behind the stream's name, or behind the
application: `rtmp://host/live/NAME?token=TOKEN`. It is taken out there and treated as the bearer token it is;
all other arguments reach the callback as they were sent. Where the stream goes is said by the origin's own
URL, never by the `tcUrl` of the client, who can write there what it likes.

Connections by RTMP cost their client little. So they are counted as POST requests are, and some calls of the
callback are kept for WHIP.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.streams.access.admission import (
    MAX_CALLS,
    Admission,
    NotAllowed,
    NotAuthenticated,
    PublishAttempt,
)

TOKEN_KEY = "token"  # noqa: S105 - the name of an argument
MAX_RTMP_CALLS = MAX_CALLS // 2
"""Publishers that the callback is asked about at a time; others wait."""


class Claim(Protocol):
    """What the origin tells of a publisher: rtmp://…/APP/NAME?QUERY, and the IP address it comes from."""

    @property
    def app(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def query(self) -> str: ...

    @property
    def client(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """`detail`: a sentence for the publisher that says why not. `is_final`: later it will be the same."""

    detail: str
    is_final: bool = True


class RtmpAdmission:
    """Asks an admission, if there is one, and the rules of streams; to be called with each claim."""

    def __init__(
        self,
        admission: Admission | None,
        stream_url: str,
        wait: Callable[[str, float], float] = lambda _address, _now: 0.0,
        admit: Callable[[PublishAttempt], Awaitable[None]] | None = None,
    ) -> None:
        """`stream_url`: that of the origin, with any application.

        `admit` has the rules of streams: it raises NotAllowed.
        `wait` counts a claim from an address at a monotonic time, and tells the seconds after which it may
        come again; 0: it may be judged.
        """
        self._admission = admission
        self._wait = wait
        self._admit = admit
        self._calls = asyncio.Semaphore(MAX_RTMP_CALLS)
        url = parse_rtmp_url(stream_url)
        self._base = url.tc_url.removesuffix(url.app)

    async def __call__(self, claim: Claim) -> Refusal | None:
        """None if the claim is good, else why not."""
        if seconds := self._wait(claim.client, time.monotonic()):
            detail = f"Too many publishers come from this address; try again in {math.ceil(seconds)} s"
            return Refusal(detail, is_final=False)
        try:
            await self._judge(claim)
        except NotAuthenticated as error:
            return Refusal(error.detail if error.sent else "A token is required, as in NAME?token=TOKEN")
        except NotAllowed as error:
            return Refusal(error.detail)
        return None

    async def _judge(self, claim: Claim) -> None:
        """Raises NotAuthenticated and NotAllowed."""
        bearer, query = take_token(claim.query)
        attempt = PublishAttempt(
            stream_name=f"{claim.name}?{query}" if query else claim.name,
            stream_url=self._base + claim.app,
            client=claim.client,
            bearer=bearer,
        )
        _check(attempt, claim.app, any_name=self._admission is None)
        if self._admission is None:
            async with self._calls:
                await self._ask_rules(attempt)
            return
        principal = await self._admission.authenticate(bearer)
        async with self._calls:
            await self._admission.authorize(principal, attempt)
            await self._ask_rules(attempt)

    async def _ask_rules(self, attempt: PublishAttempt) -> None:
        """Last, since a webhook may be among them. Raises NotAllowed."""
        if self._admit is not None:
            await self._admit(attempt)


def take_token(query: str) -> tuple[str | None, str]:
    """The token among arguments, and the others as they were. Raises NotAuthenticated for more than one."""
    tokens: list[str] = []
    others: list[str] = []
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if unquote(key) == TOKEN_KEY:
            # A plus sign stays one, as in the header of HTTP.
            tokens.append(unquote(value))
        else:
            others.append(part)
    if len(tokens) > 1:
        raise NotAuthenticated(True, "There is more than one token")
    return (tokens[0] if tokens else None), "&".join(others)


def _check(attempt: PublishAttempt, app: str, *, any_name: bool) -> None:
    """The rules of WHIP's own parameters, on which everything behind here relies. Raises NotAllowed.

    `any_name`: without rights to be told by it, a name may be whatever encoders write.
    """
    try:
        if not any_name:
            check_stream_name(attempt.stream_name)
        is_same = parse_rtmp_url(attempt.stream_url).app == app
    except ValueError:
        is_same = False
    if not is_same:
        raise NotAllowed("The application, the name or its arguments cannot be used", wants_scope=False)
