"""ICE candidates: this server's own, and which of a peer's are of use to it (RFC 8839, 5.1; RFC 6544).

A lite agent has host candidates alone, here by UDP and by TCP to a listening socket. It sends no checks and
so keeps no candidate of a peer; to tell the useful ones from the others serves the person who wonders why
a client does not connect.
"""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from whipway.protocol.sdp.grammar import Candidate

_TYPE_PREFERENCE = 126 << 24
"""For host candidates (RFC 8445, 5.1.2.2)."""
_COMPONENT = 1
"""RTP, and with rtcp-mux all there is."""
_TYPES = frozenset({"host", "srflx", "prflx", "relay"})
_MAX_UDP_PREFERENCE = 65_535
_PASSIVE_PREFERENCE = 4 << 13
_MAX_OTHER_PREFERENCE = 8_191


class HostCandidate(NamedTuple):
    """An address of this server, as text, and its port of `transport`: `"udp"`, or `"tcp"` that listens."""

    address: str
    port: int
    transport: str = "udp"


def host_candidates(hosts: Sequence[HostCandidate]) -> Iterator[Candidate]:
    """As they stand in an answer; of each transport the first has the highest priority, and TCP the lower."""
    foundations: dict[tuple[str, str], int] = {}
    for index, host in enumerate(hosts):
        # RFC 8445, 5.1.1.3: the same foundation for the same base address and transport.
        foundation = foundations.setdefault((host.address, host.transport), len(foundations) + 1)
        # RFC 8445, 5.1.2.1: type preference, local preference, 256 - component.
        priority = _TYPE_PREFERENCE + (_local_preference(host, index) << 8) + 256 - _COMPONENT
        tcp_type = "passive" if host.transport == "tcp" else ""
        yield Candidate(
            str(foundation), _COMPONENT, host.transport, priority, host.address, host.port, "host", tcp_type
        )


def is_usable(candidate: Candidate, transports: Collection[str]) -> bool:
    """Tell whether checks may come from a peer's candidate to one of ours; `transports` are those of ours."""
    if candidate.component != _COMPONENT or candidate.type not in _TYPES:
        return False
    # RFC 6544, 4.1: a passive candidate, as ours are, is connected to by an active one.
    tcp_type = "active" if candidate.transport == "tcp" else ""
    if candidate.transport not in transports or candidate.tcp_type != tcp_type:
        return False
    return _is_address(candidate.address)


def _local_preference(host: HostCandidate, index: int) -> int:
    if host.transport == "tcp":
        # RFC 6544, 4.2: the direction preference, for passive ones 4, and 13 bits of the agent's choice.
        return _PASSIVE_PREFERENCE + _MAX_OTHER_PREFERENCE - index
    return _MAX_UDP_PREFERENCE - index


def _is_address(text: str) -> bool:
    """RFC 9725, 4.3.2 discards names that do not resolve; those of mDNS do so nowhere but at home."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
