"""The URLs that this server tells its clients: where a session and its parts are, which other server to ask.

A session's URL is made from `http.public_url`, or else from the request itself (behind a trusted proxy that
is what the proxy said). The Host header comes from a stranger, so it is used only if it is one.
"""

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote

from fastapi import Request

from whipway.web.paths import (
    ENDPOINT_PATH,
    INPUTS_PATH,
    METADATA_PATH,
    QUALITY_PATH,
    SINKS_PATH,
    STATUS_PATH,
)
from whipway.web.publish_query import REDIRECTED

MAX_PORT = 65535
RELATIONS = {
    STATUS_PATH: "urn:whipway:status",
    SINKS_PATH: "urn:whipway:sinks",
    METADATA_PATH: "urn:whipway:metadata",
    INPUTS_PATH: "urn:whipway:inputs",
    QUALITY_PATH: "urn:whipway:quality",
}
"""What is below a session's URL, and how a Link says so. Extension relation types (RFC 8288, section 2.1.2)
are compared as text, so that it matters to nobody that none of these is registered as a URN."""

# RFC 9110, section 7.2, with the names and addresses of RFC 3986, section 3.2.2 that are in use.
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?")
_QUERY = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")
"""What can stand in a header, without the sign that ends a query (RFC 3986, section 3.4)."""


def is_host(text: str) -> bool:
    """Whether a text is what a Host header holds: a host name or IP address, perhaps a port."""
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 0) > MAX_PORT:
        return False
    return match[1] is None or _is_ipv6(match[1])


def base_url(request: Request, public_url: str | None) -> str:
    """This server as the client of a request sees it: scheme and host, perhaps a path, no slash behind it."""
    if public_url:
        return public_url.rstrip("/")
    return f"{request.scope['scheme']}://{_host(request)}"


def session_url(request: Request, public_url: str | None, session_id: str) -> str:
    """Where a session is, for the client of a request."""
    return f"{base_url(request, public_url)}{ENDPOINT_PATH}/{session_id}"


def resource_links(session: str, *, has_inputs: bool) -> list[str]:
    """Values for Link headers: what is below a session's URL. They are no extensions of WHIP (RFC 9725,
    section 4.9): a client that ignores them publishes as well.

    `has_inputs`: an offer may have several video tracks, which the link to them says to those who can.
    """
    found = [path for path in RELATIONS if has_inputs or path != INPUTS_PATH]
    return [f'<{session}{path}>; rel="{RELATIONS[path]}"' for path in found]


def redirect_url(other: str, path: str, query: bytes) -> str:
    """The same path and query at another server, marked: who was sent on once is not sent on again."""
    # Unchanged, byte for byte, but for what a URL in a header cannot hold.
    return f"{other.rstrip('/')}{path}?{quote(query, safe=_QUERY)}&{REDIRECTED}=1"


def _host(request: Request) -> str:
    fields = request.headers.getlist("host")
    if len(fields) == 1 and is_host(fields[0]):
        return fields[0]
    return _server_address(request.scope.get("server"))


def _server_address(server: Sequence[object] | None) -> str:
    """The address that the request came to; a server on a Unix socket has a path there, or nothing."""
    host, port = server or ("", None)
    text = f"[{host}]" if ":" in str(host) else f"{host}"
    text += "" if port is None else f":{port}"
    return text if is_host(text) else "localhost"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
