"""The session or stream that a request of the API names, and whether whoever asks may do that.

A session is named by its handle (`session_publications.session_handle`), as its id would open it to anybody.
Every operation begins like this: may this caller do so (401, 403), is there such a thing (404), and, for what
changes a session, does it still go on (410).
"""

from collections.abc import Awaitable, Callable

from fastapi import Request

from whipway.streams.access.roles import Right, may
from whipway.streams.records import StreamRecord
from whipway.streams.sessions import SessionDirectory
from whipway.streams.stream_directory import StreamDirectory, StreamNotFound
from whipway.web.callers import Callers
from whipway.web.problems import Problem, ProblemKind
from whipway.web.session_lookup import unknown_session
from whipway.web.session_operations import refusals

SESSION = "/sessions/{session_id:id}"
"""Behind `/v1`."""


class SessionHandles:
    """Finds sessions for callers. What it refuses is raised as Problem."""

    def __init__(self, directory: SessionDirectory, callers: Callers) -> None:
        self._directory = directory
        self._callers = callers

    async def known(self, request: Request, right: Right) -> str:
        """The id of the session that a request names, ended or not. Raises Problem (401, 403, 404)."""
        await self._callers.require(request, right)
        session_id = self._directory.by_handle(request.path_params["session_id"])
        if session_id is None:
            raise unknown_session()
        return session_id

    async def live(self, request: Request, right: Right) -> str:
        """The same, if the session goes on. Raises Problem (410) too."""
        session_id = await self.known(request, right)
        with refusals():
            self._directory.require_live(session_id)
        return session_id


async def find_stream(directory: StreamDirectory, stream_id: str) -> StreamRecord:
    """The stream of an id. Raises Problem (404)."""
    try:
        return await directory.get(stream_id)
    except StreamNotFound:
        raise unknown_stream() from None


def unknown_stream() -> Problem:
    """There is no such stream."""
    return Problem(ProblemKind.STREAM_UNKNOWN, "It never existed, or was deleted")


def still_may(callers: Callers, request: Request, right: Right) -> Callable[[], Awaitable[bool]]:
    """Tells later whether whoever asked has the right yet: keys are revoked, and people sign out."""

    async def may_go_on() -> bool:
        caller = await callers.identify(request)
        return caller is not None and may(caller.role, right)

    return may_go_on
