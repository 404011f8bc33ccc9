"""One HTTP connection: uvicorn's protocol over h11, with the bounds that it leaves to a proxy.

A connection has to bring a request within HEADER_TIMEOUT (uvicorn's own keep-alive timeout only covers
silence after a response). There are at most MAX_CONNECTIONS; those that wait for their peer give way to new
ones, then those in the middle of a response without end. A stop waits no longer than STOP_TIMEOUT for a peer.
What is not HTTP (RFC 9112) is answered by a problem document like every other error. How long a body may take
is for the route that reads it.
"""

import asyncio
import time
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from whipway.web.problems import Problem, ProblemKind, problem_document
from whipway.web.response_headers import RESPONSE_HEADERS

HEADER_TIMEOUT = 10.0
"""Seconds, from the connection's begin or its last response; longer than uvicorn's 5 s of keep-alive."""
MAX_CONNECTIONS = 2000
"""Each costs a descriptor, which sessions need too; a browser opens six at most, a publisher one.
But anybody can open so many, and is not to keep others out with them."""
STALL_TIMEOUT = 30.0
"""Seconds in which a peer has to take what of a response waits for it, some 64 KiB: streams have no end."""
STOP_TIMEOUT = 0.5
"""Seconds. Sessions have ended by then: what is left is a file on its way to a slow reader."""


class HttpProtocol(H11Protocol):
    """What `uvicorn.Config(http=…)` takes: one per connection."""

    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _waiting_since = 0.0
    """time.monotonic(), finer than the event loop's own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the wait for a request, or abort one connection too many."""
        if len(self.connections) >= MAX_CONNECTIONS and not self._make_room():
            self.transport = transport  # connection_lost uses it, where the event loop calls that.
            transport.abort()
            return
        super().connection_made(transport)
        self._begin_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers."""
        self._stop_timer()
        self._end_stall()
        self._unset_keepalive_if_required()  # Uvicorn does so only without an error.
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read as fast as there is something to read: it has STALL_TIMEOUT to catch up."""
        super().pause_writing()
        self._stall = self.loop.call_later(STALL_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._end_stall()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Begin the wait for the next request."""
        super().on_response_complete()
        # Without keep_alive the server stops, and the shorter wait of `shutdown` goes on.
        if self.cycle.keep_alive:
            self._begin_wait()

    def shutdown(self) -> None:
        """Close an idle connection; let a response under way end, but not for long.

        Aborted here, a request sees its client leave and ends quietly. Uvicorn would cancel its task and log
        that as an error of the application.
        """
        super().shutdown()
        # A body still on its way could only ask for a session, and there are none any more.
        is_receiving = self.cycle is not None and self.cycle.more_body
        self._start_timer(0.0 if is_receiving else STOP_TIMEOUT, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 refuses, unless an answer is under way or complete, and hang up."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send_problem(Problem(ProblemKind.MALFORMED_REQUEST, msg))
        if self.cycle is not None:
            self.cycle.disconnected = True  # Nothing that the application says now would fit.
        self.transport.close()

    def _send_problem(self, problem: Problem) -> None:
        document = problem_document(problem)
        headers = [
            *self.server_state.default_headers,
            *document.raw_headers,
            *((name.encode(), value.encode()) for name, value in RESPONSE_HEADERS.items()),
            (b"Connection", b"close"),
        ]
        response = h11.Response(
            status_code=document.status_code, headers=headers, reason=problem.kind.status.phrase.encode()
        )
        for event in (response, h11.Data(data=bytes(document.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _make_room(self) -> bool:
        """Abort the connection that has waited longest, or else the one that has been answered longest."""
        others = [each for each in self.connections if isinstance(each, HttpProtocol)]
        leaving = [each for each in others if each._waits()] or [each for each in others if each._streams()]
        if not leaving:
            return False
        oldest = min(leaving, key=lambda each: each._waiting_since)
        self.connections.discard(oldest)  # Others may come before `connection_lost` does it.
        oldest.transport.abort()
        return True

    def _waits(self) -> bool:
        """Whether it is for the peer to go on: by a request, or by reading the response."""
        return self._is_idle() or self.flow.write_paused

    def _streams(self) -> bool:
        """Whether it is in the middle of a response: of a live stream, or of events. Others end at once."""
        return self.cycle is not None and self.cycle.response_started

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _abort_idle(self) -> None:
        # The end of a request under way starts the wait anew.
        if self._is_idle():
            self.transport.abort()

    def _begin_wait(self) -> None:
        self._waiting_since = time.monotonic()
        self._start_timer(HEADER_TIMEOUT, self._abort_idle)

    def _start_timer(self, delay: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(delay, callback)

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
