"""Where a stream is published to and played from, for the client of a request: both APIs say it alike.

The address that a client knows this server by is that of its request, or `http.public_url`. RTMP has another
port of the same host, unless `streams.rtmp_url` names a server (a proxy in front of this one, or another one
that streams are sent on to), or the embedded origin listens to this machine alone.
"""

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from fastapi import Request

from whipway.config import Settings
from whipway.protocol.rtmp.url import is_loopback_host, parse_rtmp_url, stream_path
from whipway.streams.push_urls import split_push_url
from whipway.web.paths import ENDPOINT_PATH
from whipway.web.urls import base_url

FLV = ".flv"
_READABLE = "/:@"
"""What a query holds as it is (RFC 3986, section 3.4), and a person can read in the URL of a stream."""


class RtmpTarget(NamedTuple):
    """An RTMP URL up to the application, and the name that is published or played there."""

    url: str
    streamname: str


class StreamUrls:
    """Makes URLs of streams' names. Where there is no way, it says None.

    `default_stream_url`: the embedded origin as this server itself reaches it, None without one; `rtmp_port`:
    the port it listens on; `has_flv`: its streams can be had by HTTP-FLV.
    """

    def __init__(
        self, settings: Settings, default_stream_url: str | None, rtmp_port: int, *, has_flv: bool = True
    ) -> None:
        self._public_url = str(settings.http.public_url) if settings.http.public_url else None
        self._rtmp_url = settings.streams.rtmp_url
        self._origin_url = default_stream_url
        self._origin_is_open = not is_loopback_host(settings.rtmp.host)
        self._rtmp_port = rtmp_port
        self._has_flv = has_flv

    def base(self, request: Request) -> str:
        """This server, no slash behind it."""
        return base_url(request, self._public_url)

    def whip(self, request: Request, name: str) -> str | None:
        """Where an offer is sent to publish a stream of this name."""
        stream_url = self._rtmp_url or self._origin_url
        if stream_url is None:
            return None
        query = f"stream_name={quote(name, _READABLE)}&stream_url={quote(stream_url, _READABLE)}"
        return f"{self.base(request)}{ENDPOINT_PATH}?{query}"

    def rtmp(self, request: Request, name: str) -> RtmpTarget | None:
        """Where an RTMP encoder publishes it, and an RTMP player finds it."""
        url = self._rtmp_url or self._reachable_origin(request)
        return None if url is None else RtmpTarget(url, name)

    def flv(self, request: Request, name: str) -> str | None:
        """Where a player finds it by HTTP-FLV: only what is published here."""
        if self._origin_url is None or self._rtmp_url or not self._has_flv:
            return None
        key = stream_path(parse_rtmp_url(self._origin_url).app, name)
        return f"{self.base(request)}/{quote(key)}{FLV}"

    def _reachable_origin(self, request: Request) -> str | None:
        if self._origin_url is None or not self._origin_is_open:
            return self._origin_url
        host = urlsplit(self.base(request)).hostname or ""
        authority = f"[{host}]" if ":" in host else host
        app = parse_rtmp_url(self._origin_url).app
        return f"rtmp://{authority}:{self._rtmp_port}/{app}"


def masked_push_url(url: str) -> str:
    """A push URL as an answer may hold it: neither user nor password, nor the name, which may be a key."""
    return f"{parse_rtmp_url(split_push_url(url).stream_url).shown}/****"
