import socket
from collections.abc import Callable

import pytest

from whipway.worker.sockets import bind_tcp, bind_udp

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
