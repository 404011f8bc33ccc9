"""Host names and IP addresses as people write them, and which addresses count as one client."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

IpAddress = IPv4Address | IPv6Address

HOST_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
"""A host name, or `*.` and one, for all names under it. In lower case."""


def normalize_host(host: str) -> str:
    """Case and the root's dot make no difference to a name (RFC 4343; RFC 1034, section 3.1)."""
    return host.lower().removesuffix(".")


def parse_address(text: str) -> IpAddress | None:
    """The address that a host is, in any form that a socket takes; None: a name."""
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        # Other forms that connecting would take for an address: 127.1, 0x7f.1, 2130706433. Nobody is asked.
        found = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):  # The latter: no name either.
        return None
    return ip_address(found[0][4][0])


def unmap(address: IpAddress) -> IpAddress:
    """RFC 4291, section 2.5.5.2: to a socket, ::ffff:127.0.0.1 is 127.0.0.1."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def client_address(peername: Any) -> str:
    """The IP address in what a transport says of its peer, as text; empty where it says nothing."""
    return str(unmap(ip_address(peername[0]))) if peername else ""


def address_group(client: str) -> str:
    """Addresses that count as one client: of IPv6 a whole /64, which is what one site has (RFC 6177).

    What is no address stands for itself.
    """
    try:
        address = unmap(ip_address(client))
    except ValueError:
        return client
    return address.packed[:8].hex() if isinstance(address, IPv6Address) else str(address)
