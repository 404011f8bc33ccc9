"""One line in the log for each request.

What may publish or end a stream stays out of it: no query, no header, and only the first characters of a
session's id, which is all that it takes to end that session, and of a stream name that may be a key.
Whatever a peer wrote is cut and made printable.
"""

import time
from urllib.parse import unquote

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whipway.protocol.rtmp.url import loggable_name
from whipway.web.paths import ENDPOINT_PATH, printable, without_secrets

MAX_METHOD_CHARACTERS = 16
CLIENT_LEFT = 499
"""The status of a request whose client left before the answer began, as nginx has it; never sent."""

log = structlog.get_logger("web")


class AccessLog:
    """ASGI wrapper: notes how each request was answered, at level info if it changes something or fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begin = time.monotonic()
        status: int | None = None
        location = ""

        async def note_leaving() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "http.disconnect" and status is None:
                status = CLIENT_LEFT
            return message

        async def note_answer(message: Message) -> None:
            nonlocal status, location
            if message["type"] == "http.response.start":
                status = status or message["status"]
                location = Headers(raw=message.get("headers", [])).get("location", "")
            await send(message)

        try:
            await self._app(scope, note_leaving, note_answer)
        finally:
            _write(scope, status, location, time.monotonic() - begin)


def _write(scope: Scope, status: int | None, location: str, seconds: float) -> None:
    method = printable(scope["method"], MAX_METHOD_CHARACTERS)
    fields: dict[str, object] = {
        "method": method,
        "path": printable(without_secrets(scope["path"])),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "client": scope["client"][0] if scope["client"] else None,
    }
    if method == "POST":
        fields |= _stream(scope["query_string"])
    if status == 201 and scope["path"] == ENDPOINT_PATH:
        fields["session"] = printable(location.rpartition("/")[2][:8])
    is_news = method in ("POST", "PUT", "PATCH", "DELETE") or status is None or status >= 400
    (log.info if is_news else log.debug)("request", **fields)


def _stream(query: bytes) -> dict[str, object]:
    """The name as far as it may be known."""
    values: dict[str, str] = {}
    for part in query.decode(errors="replace").split("&"):
        key, _, value = part.partition("=")
        values.setdefault(unquote(key), unquote(value))
    if "stream_name" not in values:
        return {}
    return {"stream": printable(loggable_name(values["stream_name"], values.get("stream_url", "")))}
