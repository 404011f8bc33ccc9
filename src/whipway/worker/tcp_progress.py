"""How far TCP has come with a connection: what the peer's machine has, what still waits on this one.

Writing tells nothing: the kernel takes hundreds of kilobytes for a peer that has stopped reading, or that is
gone. Linux counts what was acknowledged (`struct tcp_info` of include/uapi/linux/tcp.h) and knows what was
not (ioctl_tty(2), TIOCOUTQ, which tcp(7) calls SIOCOUTQ). Elsewhere both are unknown, and whoever asks has to
be content with what left the program.
"""

import contextlib
import fcntl
import socket
import struct
import sys
import termios

NOT_SENT_BYTES = 128 * 1024
"""The kernel takes no more beyond what is on its way: what waits is to wait where it can be dropped."""
FAREWELL_TIMEOUT = 20_000
"""Milliseconds that the kernel has for what is left when a connection is closed (RFC 5482). It would keep it
for minutes otherwise, if the server does not read."""
IS_KNOWN = sys.platform == "linux"

_INFO_BYTES = 128
_BYTES_ACKED = struct.Struct("=Q")
_BYTES_ACKED_OFFSET = 120
"""tcpi_bytes_acked, after RFC 4898 (tcpEStatsAppHCThruOctetsAcked). Since Linux 4.1."""
_QUEUED = struct.Struct("=i")
_SIOCOUTQNSD = 0x894B
"""include/uapi/linux/sockios.h: the output queue, not sent."""


def tune(sock: socket.socket) -> None:
    """For media: each write leaves at once, and little is held where nothing can be dropped any more."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)


def limit_farewell(sock: socket.socket) -> None:
    """Have the kernel give up soon what it still has. For a connection that is about to be closed.

    Not for others: a server that takes everything, but slowly and with a small window, is cut off as well.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):  # The connection is closed already.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, FAREWELL_TIMEOUT)


def reset_on_close(sock: socket.socket) -> None:
    """Have the server see a reset, now, in place of all that still waits for it and then the end."""
    # socket(7): no linger time at all.
    with contextlib.suppress(OSError):  # The connection is closed already.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def acknowledged_bytes(sock: socket.socket) -> int | None:
    """What the peer's TCP has acknowledged so far, TLS and all; None where that is not known."""
    if not IS_KNOWN:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:  # The connection is closed.
        return None
    if len(info) < _INFO_BYTES:  # An older kernel.
        return None
    (count,) = _BYTES_ACKED.unpack_from(info, _BYTES_ACKED_OFFSET)
    return int(count)


def queued_bytes(sock: socket.socket) -> int:
    """What this machine's TCP holds because the peer has not acknowledged it; 0 where that is not known."""
    return _ask_queue(sock, termios.TIOCOUTQ)


def not_sent_bytes(sock: socket.socket) -> int:
    """What of that it has not even sent; 0 where that is not known."""
    return _ask_queue(sock, _SIOCOUTQNSD)


def _ask_queue(sock: socket.socket, what: int) -> int:
    if not IS_KNOWN:
        return 0
    try:
        (count,) = _QUEUED.unpack(fcntl.ioctl(sock.fileno(), what, bytes(_QUEUED.size)))
    except (OSError, ValueError):  # The connection is closed. ValueError: its descriptor is -1.
        return 0
    return int(count)
