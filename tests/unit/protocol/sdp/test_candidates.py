"""This server's candidates, and what is thought of a peer's."""

import pytest

from whipway.protocol.sdp.candidates import HostCandidate, host_candidates, is_usable
from whipway.protocol.sdp.grammar import Candidate, parse_candidate


def test_the_first_of_each_transport_comes_first_and_udp_before_tcp() -> None:
    hosts = [
        HostCandidate("192.0.2.1", 5000),
        HostCandidate("2001:db8::1", 5000),
        HostCandidate("192.0.2.1", 443),
        HostCandidate("192.0.2.1", 5000, "tcp"),
        HostCandidate("2001:db8::1", 5000, "tcp"),
    ]
    candidates = list(host_candidates(hosts))
    # The same address and transport have the same foundation.
    assert candidates == [
        Candidate("1", 1, "udp", 2130706431, "192.0.2.1", 5000, "host"),
        Candidate("2", 1, "udp", 2130706175, "2001:db8::1", 5000, "host"),
        Candidate("1", 1, "udp", 2130705919, "192.0.2.1", 443, "host"),
        # RFC 6544, 4.2: 126 << 24 + ((4 << 13) + 8191 - index) << 8 + 255.
        Candidate("3", 1, "tcp", 2124414207, "192.0.2.1", 5000, "host", "passive"),
        Candidate("4", 1, "tcp", 2124413951, "2001:db8::1", 5000, "host", "passive"),
    ]
    assert [each.priority for each in candidates] == sorted(
        (each.priority for each in candidates), reverse=True
    )
    assert [parse_candidate(each.serialize()) for each in candidates] == candidates


BOTH = ("udp", "tcp")


@pytest.mark.parametrize(
    ("value", "transports", "usable"),
    [
        ("1 1 udp 1 192.0.2.1 9 typ host", BOTH, True),
        ("1 1 UDP 1 2001:db8::1 9 typ srflx raddr 192.0.2.1 rport 9", BOTH, True),
        ("1 1 udp 1 192.0.2.1 9 typ relay", ("udp",), True),
        ("1 1 udp 1 192.0.2.1 9 typ prflx", ("udp",), True),
        ("1 1 tcp 1 192.0.2.1 9 typ host tcptype active", BOTH, True),
        ("1 1 tcp 1 192.0.2.1 9 typ host tcptype active", ("udp",), False),
        ("1 1 tcp 1 192.0.2.1 9 typ host tcptype passive", BOTH, False),
        ("1 1 tcp 1 192.0.2.1 9 typ host tcptype so", BOTH, False),
        ("1 1 tcp 1 192.0.2.1 9 typ host", BOTH, False),
        ("1 1 ssltcp 1 192.0.2.1 443 typ host", BOTH, False),
        ("1 2 udp 1 192.0.2.1 9 typ host", BOTH, False),
        ("1 1 udp 1 192.0.2.1 9 typ other", BOTH, False),
        ("1 1 udp 1 3e2e7e34-5a2c-4d4b-9f36-6d8e3c1b8f10.local 9 typ host", BOTH, False),
        ("1 1 udp 1 example.com 9 typ host", BOTH, False),
    ],
)
def test_candidates_of_a_peer(value: str, transports: tuple[str, ...], usable: bool) -> None:
    assert is_usable(parse_candidate(value), transports) is usable
