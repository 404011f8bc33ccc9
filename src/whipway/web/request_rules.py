"""What a request must be before anything here acts on it (RFC 9112, sections 3 and 6).

uvicorn takes messages apart and looks at no more than it needs for that. Whatever stands further in then sees
a path and nothing else as the target, one readable Host, and a body whose end is beyond doubt.

A range is not asked for any more: RFC 9110, section 14.2 lets a server ignore it, and the files here are
small. What Starlette says to a range that it does not like would be no problem document.
"""

import re
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whipway.web.problems import Problem, ProblemKind, problem_document
from whipway.web.urls import is_host

Headers = list[tuple[bytes, bytes]]

_ABSOLUTE = re.compile(rb"https?://([^/]*)(/.*)?", re.IGNORECASE)
"""RFC 9112, section 3.2.2, without the query."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RequestRules:
    """ASGI wrapper: answers 400 to what it cannot take, and brings the rest into one form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_whole(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["Accept-Ranges"]
            await send(message)

        try:
            scope = _in_one_form(scope)
        except Problem as problem:
            await problem_document(problem)(scope, receive, send)
        else:
            await self._app(scope, receive, send_whole)


def _in_one_form(scope: Scope) -> Scope:
    """Raises Problem."""
    path, raw_path, headers = scope["path"], scope.get("raw_path", b""), list(scope["headers"])
    _check_framing(headers)
    # RFC 9112, section 3.2.2: "a server MUST accept the absolute-form in requests even though most HTTP/1.1
    # clients will only send the absolute-form to a proxy".
    if absolute := _ABSOLUTE.fullmatch(raw_path):
        raw_path = absolute[2] or b"/"
        path = unquote(raw_path.decode("ascii"))
        # "[It] MUST ignore the received Host header field (if any) and instead use the host information of
        # the request-target."
        headers = [(b"host", absolute[1]), *(pair for pair in headers if pair[0] != b"host")]
    _check_host(headers, may_be_empty=absolute is None)
    # Of no use in any path here. And patterns of routes end in `$`, which passes over a line's end: a path
    # with one behind it would reach its route unknown to whoever compares paths.
    if _CONTROL.search(path):
        raise _malformed("The path holds a control character")
    headers = [pair for pair in headers if pair[0] != b"range"]
    return {**scope, "path": path, "raw_path": raw_path, "headers": headers}


def _check_framing(headers: Headers) -> None:
    # RFC 9112, section 6.1: "Such a message might indicate an attempt to perform request smuggling", which a
    # server may reject; "regardless, the server MUST close the connection after responding".
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        detail = "The request has both Content-Length and Transfer-Encoding"
        raise _malformed(detail, Connection="close")


def _check_host(headers: Headers, *, may_be_empty: bool) -> None:
    # RFC 9112, section 3.2: "A server MUST respond with a 400 (Bad Request) status code […] to any request
    # message that contains more than one Host header field line or a Host header field with an invalid field
    # value." Whether there must be one depends on the version of HTTP, and the server below has seen to that.
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    # "If the authority component is missing […], then a client MUST send a Host header field with an empty
    # field value."
    if len(hosts) > 1 or not all((may_be_empty and not host) or is_host(host) for host in hosts):
        raise _malformed("The Host header, or the host in the request's target, is none")


def _malformed(detail: str, **headers: str) -> Problem:
    return Problem(ProblemKind.MALFORMED_REQUEST, detail, headers=headers)
