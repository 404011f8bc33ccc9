"""STUN and TURN servers as Link headers (RFC 9725, section 4.6), one for each URL.

Clients of a TURN server that shares a secret get credentials of their own: the user name is the Unix time at
which they expire, the password an HMAC of that name. TURN servers check both without asking anybody; the form
is that of "A REST API For Access To TURN Services", which coturn and its like know.
"""

import base64
import hmac
from collections.abc import Sequence

from whipway.config import IceServer


def ice_server_links(servers: Sequence[IceServer], now: float, label: str) -> list[str]:
    """Values for Link headers. `now` is Unix time; `label` tells users apart in a TURN server's log."""
    links: list[str] = []
    for server in servers:
        username, credential = _credentials(server, now, label)
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            # RFC 7064: a stun: server asks for nothing, even where its neighbour in the list does.
            if url.startswith("turn"):
                link += f'; username="{_quoted(username)}"; credential="{_quoted(credential)}"'
                link += '; credential-type="password"'
            links.append(link)
    return links


def is_secret(link: str) -> bool:
    """Whether a Link of `ice_server_links` holds credentials."""
    return link.startswith("<turn")


def _credentials(server: IceServer, now: float, label: str) -> tuple[str, str]:
    if server.secret is not None:
        username = f"{int(now) + server.lifetime}:{label}"
        digest = hmac.digest(server.secret.get_secret_value().encode(), username.encode(), "sha1")
        return username, base64.b64encode(digest).decode()
    credential = server.credential.get_secret_value() if server.credential else ""
    return server.username or "", credential


def _quoted(text: str) -> str:
    """What stands between the quotes of a quoted-string (RFC 9110, section 5.6.4); all of it is printable."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
