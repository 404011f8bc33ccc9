"""Bound sockets, made before anything runs so that a port in use is found at once."""

import errno
import socket

from whipway.tcp import TCP_BACKLOG

UDP_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked of the kernel: a key frame of several streams at once must fit while the loop does something else."""
MAX_ATTEMPTS = 16
"""At a port that is free for UDP and TCP alike; the first one nearly always is."""


def bind_media(host: str, port: int, tcp: bool) -> tuple[socket.socket, socket.socket | None]:
    """The UDP socket of media and, if wanted, a TCP listener on the same port number. Raises OSError."""
    for _ in range(MAX_ATTEMPTS if port == 0 else 1):
        udp = bind_udp(host, port)
        if not tcp:
            return udp, None
        try:
            return udp, bind_tcp(host, udp.getsockname()[1])
        except OSError as error:
            udp.close()
            failure = error
            if error.errno != errno.EADDRINUSE:
                break
    raise OSError(failure.errno, f"{failure.strerror} (by TCP, which media.tcp = false does without)")


def bind_udp(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        sock.bind((host, port))
    except (OSError, OverflowError):  # The latter: no such port number.
        sock.close()
        raise
    return sock


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket; `host` may be a name. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(TCP_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
