import errno
import socket
from collections.abc import Callable

import pytest

from whipway.worker import sockets
from whipway.worker.sockets import MAX_ATTEMPTS, bind_media, bind_tcp, bind_udp

BOTH = pytest.mark.parametrize("bind", [bind_udp, bind_tcp])


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@BOTH
@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        pytest.param("::1", socket.AF_INET6, marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")),
    ],
)
def test_a_bound_socket_does_not_block(
    bind: Callable[[str, int], socket.socket], host: str, family: socket.AddressFamily
) -> None:
    with bind(host, 0) as bound:
        assert bound.family == family
        assert bound.getsockname()[0] == host
        assert bound.getsockname()[1] > 0
        assert not bound.getblocking()


@BOTH
def test_a_port_in_use_is_an_error_and_leaves_no_socket(bind: Callable[[str, int], socket.socket]) -> None:
    with bind("127.0.0.1", 0) as bound, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", bound.getsockname()[1])


def test_a_tcp_host_may_be_a_name() -> None:
    with bind_tcp("localhost", 0) as bound:
        assert bound.getsockname()[0] in ("127.0.0.1", "::1")


HOST = "127.0.0.1"


def free_port() -> int:
    """One that is free for UDP and TCP alike."""
    udp, tcp = bind_media(HOST, 0, tcp=True)
    assert tcp is not None
    with udp, tcp:
        port: int = udp.getsockname()[1]
    return port


@pytest.mark.parametrize("port", [0, None], ids=["any", "fixed"])
def test_media_have_one_port_number_for_udp_and_tcp(port: int | None) -> None:
    if port is None:
        port = free_port()
    udp, tcp = bind_media(HOST, port, tcp=True)
    assert tcp is not None
    with udp, tcp:
        assert udp.getsockname() == tcp.getsockname()
        assert (udp.type, tcp.type) == (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        assert port in (0, udp.getsockname()[1])
        with socket.create_connection(tcp.getsockname()):
            pass


def test_media_may_do_without_tcp() -> None:
    udp, tcp = bind_media(HOST, free_port(), tcp=False)
    with udp:
        assert tcp is None
        bind_tcp(HOST, udp.getsockname()[1]).close()


def test_a_tcp_port_in_use_is_named_and_leaves_no_socket() -> None:
    with bind_tcp(HOST, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=r"in use \(by TCP, which media\.tcp = false") as caught:
            bind_media(HOST, port, tcp=True)
        assert caught.value.errno == errno.EADDRINUSE
        bind_udp(HOST, port).close()


class Unlucky:
    """`bind_tcp` that fails so many times first, with whatever error."""

    def __init__(self, failures: int, number: int = errno.EADDRINUSE) -> None:
        self.ports: list[int] = []
        self._failures = failures
        self._number = number

    def __call__(self, host: str, port: int) -> socket.socket:
        self.ports.append(port)
        if len(self.ports) <= self._failures:
            raise OSError(self._number, "no")
        return bind_tcp(host, port)


def test_another_free_port_is_tried_while_tcp_has_it_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky = Unlucky(failures=3)
    monkeypatch.setattr(sockets, "bind_tcp", unlucky)
    udp, tcp = bind_media(HOST, 0, tcp=True)
    assert tcp is not None
    with udp, tcp:
        assert len(unlucky.ports) >= 4  # Others on this machine may have some as well.
        assert udp.getsockname()[1] == tcp.getsockname()[1] == unlucky.ports[-1]


@pytest.mark.parametrize(("number", "attempts"), [(errno.EADDRINUSE, MAX_ATTEMPTS), (errno.EACCES, 1)])
def test_free_ports_are_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch, number: int, attempts: int
) -> None:
    unlucky = Unlucky(failures=100, number=number)
    monkeypatch.setattr(sockets, "bind_tcp", unlucky)
    with pytest.raises(OSError, match="no"):
        bind_media(HOST, 0, tcp=True)
    assert len(unlucky.ports) == attempts
