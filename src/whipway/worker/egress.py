"""Where streams may be sent: the addresses that a sink may connect to.

A `stream_url` comes from whoever may publish, who is not to reach this machine or its network through it
(server-side request forgery). A name tells nothing, and resolves to something else a moment later; so
names are resolved here, each address is judged, and whoever connects uses these addresses and never the
name. The IANA registries of special-purpose addresses (RFC 6890) say what is public.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_ADDRESSES = 8
"""More are not tried in the time that there is."""
RESOLVE_TIMEOUT = 5.0
"""Seconds. A resolver that answers later leaves too little of the time for connecting."""
PUBLIC = "public"
"""The entry that stands for every public address."""

_GLOBAL_UNICAST = ip_network("2000::/3")
"""All that IANA gives out so far (RFC 4291, section 2.4). Outside lie addresses that only look harmless, such
as site-local ones (fec0::/10) and IPv4-compatible ones (::127.0.0.1)."""
_NAT64 = ip_network("64:ff9b::/96")
"""RFC 6052, section 2.1: how a network without IPv4 reaches the IPv4 address in the last 32 bits."""
_NEVER_PUBLIC = [
    ip_network("192.0.0.0/24"),  # IETF protocol assignments; some Pythons take most of it for global.
    ip_network("192.88.99.0/24"),  # 6to4 relays, deprecated by RFC 7526.
    ip_network(
        "2001::/23"
    ),  # IETF protocol assignments, with Teredo (RFC 4380), which hides an IPv4 address.
    ip_network("2002::/16"),  # 6to4 (RFC 3056), which does so too. Nobody serves RTMP by such a tunnel.
    ip_network("3fff::/20"),  # Documentation (RFC 9637); not known to every Python yet.
]
_HOST_ENTRY = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


class EgressRefused(Exception):
    """No address of a host is allowed. The message is one sentence for the person who wrote the URL."""


class EgressPolicy:
    """Which hosts may be sent to.

    `allow` holds host names and `*.name`, which are trusted whatever they resolve to, addresses, networks
    and "public"; empty, it means "public". `own` are IP addresses and ports of this server's own, allowed in
    any case; a wildcard address stands for loopback. Raises ValueError for an entry that is none of these.
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        own: Sequence[tuple[str, int]] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._own = [(ip_address(address), port) for address, port in own]
        self._resolve = resolve or _resolve
        self._public = not allow
        self._networks: list[IpNetwork] = []
        self._names: set[str] = set()
        self._domains: tuple[str, ...] = ()
        """With the dot in front."""
        for entry in allow:
            self._add(_normalize(entry))

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, as text, in the resolver's order, at most eight.

        Raises `EgressRefused` when none is allowed, OSError when the name does not resolve.
        """
        host = _normalize(host)
        literal = _parse_address(host)
        found = [literal] if literal else [ip_address(text) for text in await self._resolve(host, port)]
        if not found:
            raise OSError("the name has no address")
        is_trusted = host in self._names or host.endswith(self._domains)
        # Each once: an address and its IPv4-mapped form are the same host.
        each = dict.fromkeys(map(_unmap, found))
        allowed = [str(address) for address in each if is_trusted or self._allows(address, port)]
        if not allowed:
            # Not the addresses: whoever may publish is not to learn how names resolve in here.
            verb = "is" if literal else "resolves to"
            raise EgressRefused(
                f"{host} {verb} an address that this server does not send to;"
                " its operator can allow it by egress.allow"
            )
        return allowed[:MAX_ADDRESSES]

    def _add(self, entry: str) -> None:
        if entry == PUBLIC:
            self._public = True
        elif network := _parse_network(entry):
            self._networks.append(network)
        elif not _HOST_ENTRY.fullmatch(entry):
            raise ValueError(f'{entry} is no host, address or network, nor "public"')
        elif entry.startswith("*."):
            self._domains += (entry[1:],)
        else:
            self._names.add(entry)

    def _allows(self, address: IpAddress, port: int) -> bool:
        return (
            any(port == own_port and _covers(own, address) for own, own_port in self._own)
            or any(address in network for network in self._networks)
            or (self._public and _is_public(address))
        )


def _normalize(host: str) -> str:
    """Case and the root's dot make no difference to a name (RFC 4343; RFC 1034, section 3.1)."""
    return host.lower().removesuffix(".")


def _parse_address(text: str) -> IpAddress | None:
    # The standard form alone. Others (127.1, 0x7f.1, 2130706433) are left to the resolver, which knows them.
    try:
        return ip_address(text)
    except ValueError:
        return None


def _parse_network(text: str) -> IpNetwork | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _unmap(address: IpAddress) -> IpAddress:
    """RFC 4291, section 2.5.5.2: to a socket, ::ffff:127.0.0.1 is 127.0.0.1."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _covers(own: IpAddress, address: IpAddress) -> bool:
    return address.is_loopback if own.is_unspecified else address == own


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return _is_public(IPv4Address(address.packed[-4:]))
        if address not in _GLOBAL_UNICAST:
            return False
    is_special = address.is_multicast or any(address in network for network in _NEVER_PUBLIC)
    return address.is_global and not is_special


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise OSError(f"the name was not resolved in {RESOLVE_TIMEOUT:.0f} s") from None
    except UnicodeError:  # An empty label, or one that is too long.
        raise OSError("this is no name that DNS can know") from None
    return [str(address[0]) for *_, address in found]
