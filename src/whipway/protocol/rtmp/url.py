"""RTMP URLs: what a `stream_url` must look like and how it is used.

There is no RFC; the form is the one that encoders and services share: `rtmp[s]://host[:port]/app[/instance]`.
Everything behind the first slash is the application, because a stream name is given apart from the URL.
Credentials in the URL are refused for now: nothing would use them, and they would only leak.
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARACTERS = 2048
MAX_NAME_CHARACTERS = 1024
DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}


@dataclass(frozen=True, slots=True)
class RtmpUrl:
    """Where to publish, split into what TCP, TLS and the `connect` command need."""

    host: str
    port: int
    app: str
    tls: bool
    tc_url: str
    """The URL up to the application, as `connect` sends it."""


def parse_rtmp_url(text: str) -> RtmpUrl:
    """Split an RTMP URL that ends with its application.

    Raises ValueError with a sentence for the person who wrote the URL.
    """
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"is longer than {MAX_URL_CHARACTERS} characters")
    _refuse_unprintable(text)
    parts, port = _split(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must begin with rtmp:// or rtmps://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if not parts.hostname:
        raise ValueError("names no host")
    app = parts.path.strip("/")
    if not app:
        raise ValueError("names no application, as in rtmp://host/live")
    if parts.query:
        app = f"{app}?{parts.query}"
    authority = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = port or DEFAULT_PORTS[parts.scheme]
    tc_url = f"{parts.scheme}://{authority}:{port}/{app}"
    return RtmpUrl(parts.hostname, port, app, parts.scheme == "rtmps", tc_url)


def check_stream_name(name: str) -> None:
    """Raise ValueError with a sentence when a stream name, publisher arguments included, cannot be sent."""
    if not name.partition("?")[0]:
        raise ValueError("is empty")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"is longer than {MAX_NAME_CHARACTERS} characters")
    _refuse_unprintable(name)


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


def _refuse_unprintable(text: str) -> None:
    if not text.isprintable() or " " in text:
        raise ValueError("holds a space or a character that cannot be printed")
