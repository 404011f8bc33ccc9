"""The session that a request names by its path, and what is said when it is not there for that request.

Every resource below a session's URL begins like this: is there such a session (404), may this request touch
it (401, 403), and, for what changes it, does it still go on (410).
"""

from typing import NoReturn

from fastapi import Request
from starlette.convertors import StringConvertor, register_url_convertor  # codespell:ignore convertors

from whipway.streams.sessions import SessionDirectory, SessionNotFound, SessionOver
from whipway.web.auth import Guard
from whipway.web.problems import Problem, ProblemKind

SESSION = "/{session_id:session}"
"""Behind the endpoint's path."""
SINK = "/{sink_id:sink}"
THUMBNAIL = "/{mid:mid}/thumbnail"
"""Behind the paths of a session's sinks and of its inputs."""


class _SessionId(StringConvertor):
    """What may stand in a path for a session; `status.json` may not."""

    regex = "[A-Za-z0-9_-]+"


class _SinkId(StringConvertor):
    """What may stand in a path for a sink."""

    regex = "[A-Za-z0-9]{1,16}"


class _Mid(StringConvertor):
    """A token, as in the offer (RFC 5888, section 4)."""

    regex = r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}"


register_url_convertor("session", _SessionId())
register_url_convertor("sink", _SinkId())
register_url_convertor("mid", _Mid())


class SessionLookup:
    """Finds sessions for requests. What it refuses is raised as Problem."""

    def __init__(self, directory: SessionDirectory, guard: Guard) -> None:
        self._directory = directory
        self._guard = guard

    async def known(self, request: Request) -> str:
        """The session that a request names and may touch, ended or not. Raises Problem (401, 403, 404)."""
        session_id: str = request.path_params["session_id"]
        if self._directory.access(session_id) is None:
            raise unknown_session()
        await self._guard.check_session(request, session_id)
        return session_id

    async def live(self, request: Request) -> str:
        """The same, if the session goes on. Raises Problem (410) too."""
        session_id = await self.known(request)
        self.require_live(session_id)
        return session_id

    def require_live(self, session_id: str) -> None:
        """Whether a session goes on. Raises Problem (404, 410)."""
        try:
            self._directory.require_live(session_id)
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)


def raise_gone(error: SessionNotFound | SessionOver) -> NoReturn:
    """What the directory says of a session that is not there, as Problem (404, 410)."""
    if isinstance(error, SessionOver):
        raise _over(error.ended.detail or error.ended.reason) from None
    raise unknown_session() from None


def unknown_session() -> Problem:
    """There is no such session."""
    return Problem(ProblemKind.SESSION_UNKNOWN, "It never existed, or ended long ago")


def _over(reason: str) -> Problem:
    return Problem(ProblemKind.SESSION_OVER, f"It ended before: {reason}")
