"""Requests a minute from one client (RFC 9725, section 5: POST, PATCH and DELETE are to be limited).

What changes a session that goes on counts as a PATCH of it, by whatever method.

The generic cell rate algorithm: for each client one number, the time at which its account is even again.
Every request moves it on by the time that one request stands for; who is too far ahead of the clock waits. So
there are no windows with a rush at their edges, and an idle client's number is as good as none.
"""

import math
import time
from collections import OrderedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from whipway.config import LimitSettings
from whipway.hosts import address_group
from whipway.web.paths import ENDPOINT_PATH, KEYFRAME_PATH, METADATA_PATH
from whipway.web.problems import Problem, ProblemKind, problem_document

MAX_CLIENTS = 10_000
"""A few hundred bytes each. Beyond them the one not seen for longest is forgotten, and begins anew."""
MIN_BURST = 10
"""Requests at once. A venue behind one address, back after an outage, sends several in one moment, and a
client with many candidates one PATCH for each."""
BURSTS_PER_MINUTE = 4
"""A burst is a quarter of a minute's requests, so that bursts hardly add to what a minute may hold."""


class RateLimiter:
    """Counts the requests of clients; 0 a minute means no limit."""

    def __init__(self, per_minute: int) -> None:
        self._interval = 60.0 / per_minute if per_minute else 0.0
        # A small limit is kept even so: never more at once than for a minute.
        self.burst = min(per_minute, max(MIN_BURST, per_minute // BURSTS_PER_MINUTE))
        self._slack = self._interval * max(self.burst - 1, 0)
        self._even_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Take a request from an address: 0, or the seconds after which it would be taken.

        A request that is not taken costs its client nothing.
        """
        if not self._interval:
            return 0.0
        client = address_group(address)
        self._forget(now)
        even_at = max(self._even_at.get(client, now), now)
        wait = even_at - now - self._slack
        # Adding and taking away leaves an error in the last digits.
        is_taken = wait <= 1e-6
        self._even_at[client] = even_at + self._interval if is_taken else even_at
        self._even_at.move_to_end(client)
        return 0.0 if is_taken else wait

    def _forget(self, now: float) -> None:
        """Drop who is even again, from the longest unseen on, and if need be one who is not."""
        while self._even_at:
            client, even_at = next(iter(self._even_at.items()))
            if even_at > now and len(self._even_at) < MAX_CLIENTS:
                break
            del self._even_at[client]


class RateLimits:
    """ASGI wrapper: answers 429 (RFC 6585, section 4) in the place of routes below the WHIP endpoint."""

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app = app
        self._limiters = {
            "POST": RateLimiter(limits.posts_per_minute),
            "PATCH": RateLimiter(limits.patches_per_minute),
            "DELETE": RateLimiter(limits.deletes_per_minute),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. The body of one too many is left unread: the server discards it."""
        wait = self._wait(scope)
        if not wait:
            await self._app(scope, receive, send)
            return
        seconds = math.ceil(wait)
        method = scope["method"]
        detail = f"Too many {method} requests from this address; send the next one in {seconds} s"
        response = problem_document(Problem(ProblemKind.TOO_MANY_REQUESTS, detail))
        response.headers["Retry-After"] = str(seconds)
        await response(scope, receive, send)

    def _wait(self, scope: Scope) -> float:
        limiter = self._limiters.get(_counts_as(scope["method"], scope["path"]))
        # Without an address (a Unix socket, or a peer that is gone) nobody knows who asks; sharing one
        # account, one client could lock out the others.
        if limiter is None or not scope["client"] or not _is_whip(scope["path"]):
            return 0.0
        return limiter.wait(scope["client"][0], time.monotonic())


def _counts_as(method: str, path: str) -> str:
    # Metadata come every second or so, as trickled candidates do: no new stream is asked for.
    is_small = method == "POST" and path.endswith((METADATA_PATH, KEYFRAME_PATH))
    return "PATCH" if is_small or method == "PUT" else method


def _is_whip(path: str) -> bool:
    return path == ENDPOINT_PATH or path.startswith(f"{ENDPOINT_PATH}/")
