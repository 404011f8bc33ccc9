"""The sockets of a server, bound before anything runs: a port in use is said first."""

import contextlib
import resource
import socket
from typing import NamedTuple

from whipway.config import Settings
from whipway.gateway.start_error import StartError
from whipway.worker.sockets import bind_media, bind_tcp


class MediaSockets(NamedTuple):
    """Those of one media worker, both at the same port number; `tcp` with ICE over TCP."""

    udp: socket.socket
    tcp: socket.socket | None

    @property
    def port(self) -> int:
        """The port that they got."""
        return _port(self.udp)


class Sockets(NamedTuple):
    """All of them: `media` for each worker, `bintu` and `rtmp` where there are such listeners."""

    http: socket.socket
    bintu: socket.socket | None
    media: list[MediaSockets]
    rtmp: socket.socket | None

    def close(self) -> None:
        """Give all of them back. Idempotent."""
        for sock in (self.http, self.bintu, self.rtmp, *(sock for pair in self.media for sock in pair)):
            if sock is not None:
                sock.close()

    @property
    def media_port(self) -> int:
        """The port of the first worker."""
        return self.media[0].port

    @property
    def http_port(self) -> int:
        """The port that it got."""
        return _port(self.http)

    @property
    def rtmp_port(self) -> int:
        """The port that it got; 0 without the origin."""
        return _port(self.rtmp)

    @property
    def bintu_port(self) -> int:
        """The port that it got; 0 without a listener of its own."""
        return _port(self.bintu)


def bind_all(settings: Settings, workers: int = 1) -> Sockets:
    """Bind what the settings ask for, with sockets for so many workers, or nothing. Raises StartError."""
    with contextlib.ExitStack() as undo:

        def bind(key: str, host: str, port: int) -> socket.socket:
            return undo.enter_context(_bind_tcp(key, host, port))

        http = bind("http.port", settings.http.host, settings.http.port)
        bintu = bind("bintu.port", settings.bintu.host, settings.bintu.port) if settings.bintu.port else None
        media = []
        for number in range(workers):
            media.append(_bind_media(settings, number))
            for sock in media[-1]:
                if sock is not None:
                    undo.enter_context(sock)
        has_rtmp = settings.rtmp.enabled
        rtmp = bind("rtmp.port", settings.rtmp.host, settings.rtmp.port) if has_rtmp else None
        undo.pop_all()
    return Sockets(http, bintu, media, rtmp)


def _bind_tcp(key: str, host: str, port: int) -> socket.socket:
    try:
        return bind_tcp(host, port)
    except (OSError, UnicodeError) as error:  # The latter: a host that is no DNS name.
        raise _cannot_listen(key, host, port, error) from None


def _bind_media(settings: Settings, number: int) -> MediaSockets:
    """Of the worker of this number. Port 0 is any free one for each."""
    host, port = str(settings.media.host), settings.media.port and settings.media.port + number
    try:
        return MediaSockets(*bind_media(host, port, tcp=settings.media.tcp))
    except (OSError, OverflowError) as error:  # The latter: beyond the last port.
        raise _cannot_listen("media.port", host, port, error) from None


def _cannot_listen(key: str, host: str, port: int, error: Exception) -> StartError:
    reason = getattr(error, "strerror", None) or error
    return StartError(f"{key}: cannot listen on {host}:{port}: {reason}")


def raise_descriptor_limit() -> None:
    """Allow as many open files as may be."""
    # A session into the own origin holds three descriptors, both ends of a TCP connection and one more of the
    # sink's: the usual soft limit of 1024 ends below 350 sessions. Where it may not be raised, it stays.
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _port(sock: socket.socket | None) -> int:
    port: int = sock.getsockname()[1] if sock is not None else 0
    return port
