"""Which addresses a media worker announces as ICE candidates."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address

from whipway.hosts import IpAddress


def announced_addresses(host: IpAddress, public_addresses: Sequence[IpAddress]) -> list[str]:
    """The configured addresses; else the bound one; else, bound to a wildcard, every one found here."""
    if public_addresses:
        return [str(address) for address in public_addresses]
    if not host.is_unspecified:
        return [str(host)]
    return [str(address) for address in _local_addresses(host)]


def _local_addresses(wildcard: IpAddress) -> list[IpAddress]:
    """Addresses of this machine a client might reach, the one of the default route first, loopback last."""
    found = [_address_of_default_route("192.0.2.1", socket.AF_INET)]
    if wildcard.version == 6:
        found.append(_address_of_default_route("2001:db8::1", socket.AF_INET6))
    found.append(ip_address("127.0.0.1"))
    return list(dict.fromkeys(address for address in found if address is not None))


def _address_of_default_route(target: str, family: socket.AddressFamily) -> IpAddress | None:
    """Connecting a UDP socket sends nothing; it only makes the kernel choose the source address."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            return None
        return ip_address(probe.getsockname()[0])
