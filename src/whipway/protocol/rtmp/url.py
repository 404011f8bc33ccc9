"""RTMP URLs: what a `stream_url` must look like and how it is used.

There is no RFC; the form is the one that encoders and services share: `rtmp[s]://host[:port]/app[/instance]`.
Everything behind the first slash is the application, because a stream name is given apart from the URL.
A user name and password stand before the host (RFC 3986, section 3.2.1), percent-encoded where they hold a
delimiter; what is sent and what is shown never has them. A host name outside ASCII must come as DNS knows it
("xn--…"), an IPv6 address without a zone.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, unquote, urlsplit

MAX_URL_CHARACTERS = 2048
MAX_NAME_CHARACTERS = 1024
MAX_CREDENTIAL_CHARACTERS = 256
"""Of the user name, and of the password."""
MAX_HOST_CHARACTERS = 253
"""RFC 1035, 2.3.4: 255 octets on the wire, two of them for the first length and the root."""
DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
MAX_LOGGED_CHARACTERS = 12
"""Longer names are cut in logs: with most services the name is the key to the channel."""
_LOGGED_CHARACTERS = 8
"""Of a name that is cut: enough to tell streams apart, too few to guess the rest from."""

_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
"""Labels as in RFC 1035, 2.3.1, and the underscore, which names inside container networks have."""
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
"""RFC 3986, 3.2.2: address and port; urlsplit passes over anything else around the brackets."""


@dataclass(frozen=True, slots=True)
class RtmpUrl:
    """Where to publish, split into what TCP, TLS and the `connect` command need."""

    host: str
    port: int
    app: str
    tls: bool
    tc_url: str
    """The URL up to the application, as `connect` sends it."""
    shown: str
    """For people: without credentials and arguments, which may be secrets too."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    """None without a user; a user may have an empty one."""


def parse_rtmp_url(text: str) -> RtmpUrl:
    """Split an RTMP URL that ends with its application.

    Raises ValueError with a sentence for the person who wrote the URL.
    """
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"is longer than {MAX_URL_CHARACTERS} characters")
    _refuse_unprintable(text)
    if "#" in text:
        raise ValueError("must not hold a # sign")
    parts, port = _split(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must begin with rtmp:// or rtmps://")
    user, password = _credentials(parts)
    if not parts.hostname:
        raise ValueError("names no host")
    if not _is_host(parts.hostname, parts.netloc.rpartition("@")[2]):
        raise ValueError("has a host that is no host name or address")
    path = parts.path.strip("/")
    if not path:
        raise ValueError("names no application, as in rtmp://host/live")
    query = f"?{parts.query}" if parts.query else ""
    authority = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = port or DEFAULT_PORTS[parts.scheme]
    shown = f"{parts.scheme}://{authority}:{port}/{path}"
    return RtmpUrl(
        parts.hostname, port, path + query, parts.scheme == "rtmps", shown + query, shown, user, password
    )


def check_stream_name(name: str) -> None:
    """Raise ValueError with a sentence when a stream name, publisher arguments included, cannot be sent."""
    if not name.partition("?")[0].strip("/"):
        raise ValueError("is empty")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"is longer than {MAX_NAME_CHARACTERS} characters")
    _refuse_unprintable(name)


def stream_path(app: str, stream_name: str) -> str:
    """Where a server has a stream: application and name, without arguments and outer slashes.

    It cannot tell where the one ends and the other begins: `live/team` with `cam` is `live` with `team/cam`.
    """
    return "/".join(part.partition("?")[0].strip("/") for part in (app, stream_name))


def is_loopback_host(host: str) -> bool:
    """RFC 6761, section 6.3, and the loopback addresses of both IP versions."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def loggable_name(stream_name: str, stream_url: str) -> str:
    """A stream name as logs may hold it: without arguments and outer slashes, and short.

    In full where the stream stays on this machine. A URL that cannot be read may lead anywhere.
    """
    name = stream_name.partition("?")[0].strip("/")
    try:
        stays_here = is_loopback_host(parse_rtmp_url(stream_url).host)
    except ValueError:
        stays_here = False
    return name if stays_here else cut_name(name)


def cut_name(name: str) -> str:
    """The beginning of a name that is too long to be no secret; others as they are."""
    return name if len(name) <= MAX_LOGGED_CHARACTERS else f"{name[:_LOGGED_CHARACTERS]}…"


def _split(text: str) -> tuple[SplitResult, int | None]:
    # urlsplit raises for brackets that do not match, and reads the port only when it is asked for.
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has a host or port that cannot be read") from None
    if port == 0:
        raise ValueError("names port 0")
    return parts, port


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    """User and password, both None without a user."""
    if parts.username is None:
        return None, None
    if "@" in parts.path:  # Else the rest of the password would be taken for the host, and be shown.
        raise ValueError("has a user name or password with a / that is not written as %2F")
    user, password = unquote(parts.username), unquote(parts.password or "")
    if not user:
        raise ValueError("has a password without a user name")
    for what, text in (("user name", user), ("password", password)):
        if len(text) > MAX_CREDENTIAL_CHARACTERS:
            raise ValueError(f"has a {what} longer than {MAX_CREDENTIAL_CHARACTERS} characters")
        if not text.isprintable():
            raise ValueError(f"has a {what} with a character that cannot be printed")
    return user, password


def _is_host(host: str, netloc: str) -> bool:
    """`host` in lower case and without brackets, as urlsplit takes it from `netloc` behind any user."""
    if "[" not in netloc:
        return len(host) <= MAX_HOST_CHARACTERS and _HOST_NAME.fullmatch(host) is not None
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return _BRACKETED.fullmatch(netloc) is not None


def _refuse_unprintable(text: str) -> None:
    if not text.isprintable() or " " in text:
        raise ValueError("holds a space or a character that cannot be printed")
