"""What sessions are told apart by: where players find their streams."""

from collections.abc import Callable

from whipway.hosts import parse_address, unmap
from whipway.protocol.rtmp.url import is_loopback_host, parse_rtmp_url, stream_path

IsOwn = Callable[[str, int], bool]
"""Whether an address and a port lead to this server itself: `EgressPolicy.is_own`."""


def stream_key(stream_url: str, stream_name: str, is_own: IsOwn = lambda address, port: False) -> str:
    """The same for two targets that are one stream: where players find it, without anybody's arguments.

    Arguments are secrets as often as not, and differ from one publisher to the next. All names of this host
    are one, and so are all forms of one address. Other names are not looked up.
    """
    url = parse_rtmp_url(stream_url)
    return f"{_host(url.host, url.port, is_own)}:{url.port}/{stream_path(url.app, stream_name)}"


def _host(host: str, port: int, is_own: IsOwn) -> str:
    if (literal := parse_address(host)) is not None:
        host = str(unmap(literal))
        if is_own(host, port):
            return "localhost"
    return "localhost" if is_loopback_host(host) else host
