"""Where streams may be sent: the addresses that a sink may connect to.

A `stream_url` comes from whoever may publish, who is not to reach this machine or its network through it
(server-side request forgery). A name tells nothing, and resolves to something else a moment later; so
names are resolved here, each address is judged, and whoever connects uses these addresses and never the
name. The IANA registries of special-purpose addresses (RFC 6890) say what is public.
"""

import socket
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from whipway.hosts import HOST_PATTERN, IpAddress, normalize_host, parse_address, unmap
from whipway.worker.name_lookup import NameLookup, RememberedNames, Resolve

IpNetwork = IPv4Network | IPv6Network
IsLocal = Callable[[IpAddress], bool]

MAX_ADDRESSES = 8
"""More are not tried in the time that there is."""
PUBLIC = "public"
"""The entry that stands for every public address, except those of this machine."""
_DISCARD_PORT = 9

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


class EgressRefused(Exception):
    """No address of a host is allowed. The message is one sentence for the person who wrote the URL."""


def is_local(address: IpAddress) -> bool:
    """Whether this machine itself has an address: what it sends there, it sends from there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Connecting a UDP socket sends nothing; it only makes the kernel choose the source address.
            probe.connect((str(address), _DISCARD_PORT))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:  # There is no way there.
        return False


class EgressPolicy:
    """Which hosts may be sent to.

    `allow` holds host names and `*.name`, which are trusted whatever they resolve to, addresses, networks
    and "public"; empty, it means "public". `own` are IP addresses and ports of this server's own, allowed in
    any case; a wildcard address stands for loopback of its version, that of IPv6 for both versions. Raises
    ValueError for an entry that is none of these.
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        own: Sequence[tuple[str, int]] = (),
        resolve: Resolve | None = None,
        is_local: IsLocal = is_local,
    ) -> None:
        self._own = [(ip_address(address), port) for address, port in own]
        self._lookup = lookup = NameLookup()
        self._resolve = resolve or lookup.find
        self._resolve_for_check = resolve or lookup.find_for_check
        self._is_local = is_local
        self._public = not allow
        self._networks: list[IpNetwork] = []
        self._names: set[str] = set()
        self._domains: tuple[str, ...] = ()
        """With the dot in front."""
        for entry in allow:
            self._add(normalize_host(entry))

    def for_session(self) -> "EgressPolicy":
        """The same policy for one session, which gets few lookups at a time and keeps what it was told of
        its sinks' names. What was kept is judged like anything else.
        """
        policy = copy(self)
        resolve = self._resolve
        if resolve == self._lookup.find:
            resolve = partial(self._lookup.find, asker=policy)
        policy._resolve = RememberedNames(resolve).find
        return policy

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, as text, in the resolver's order, at most eight.

        Raises `EgressRefused` when none is allowed, OSError when the name does not resolve.
        """
        return await self._find(host, port, self._resolve)

    async def check(self, host: str, port: int) -> None:
        """Raise as `addresses` does, and OSError where names of strangers keep the resolver busy already."""
        await self._find(host, port, self._resolve_for_check)

    async def _find(self, host: str, port: int, resolve: Resolve) -> list[str]:
        host = normalize_host(host)
        literal = parse_address(host)
        found = [literal] if literal else [ip_address(text) for text in await resolve(host, port)]
        if not found:
            raise OSError("the name has no address")
        is_trusted = host in self._names or host.endswith(self._domains)
        # Each once: an address and its IPv4-mapped form are the same host.
        each = dict.fromkeys(map(unmap, found))
        allowed = (str(address) for address in each if is_trusted or self._allows(address, port))
        if not (chosen := list(islice(allowed, MAX_ADDRESSES))):
            # Not the addresses: whoever may publish is not to learn how names resolve in here.
            verb = "is" if literal else "resolves to"
            raise EgressRefused(
                f"{host} {verb} an address that this server does not send to;"
                " its operator can allow it by egress.allow"
            )
        return chosen

    def is_own(self, address: str, port: int) -> bool:
        """Whether a connection to that address reaches this server's own listener, and nobody else."""
        target = unmap(ip_address(address))
        return any(port == own_port and self._reaches(own, target) for own, own_port in self._own)

    def _reaches(self, own: IpAddress, address: IpAddress) -> bool:
        # A wildcard listens on every address of this machine, even if streams may be sent to loopback alone.
        return _covers(own, address) or (_listens(own, address) and self._is_local(address))

    def _add(self, entry: str) -> None:
        if entry == PUBLIC:
            self._public = True
        elif network := _parse_network(entry):
            self._networks.append(network)
        elif not HOST_PATTERN.fullmatch(entry):
            raise ValueError(f'{entry} is no host, address or network, nor "public"')
        elif entry.startswith("*."):
            self._domains += (entry[1:],)
        else:
            self._names.add(entry)

    def _allows(self, address: IpAddress, port: int) -> bool:
        return (
            any(port == own_port and _covers(own, address) for own, own_port in self._own)
            or any(address in network for network in self._networks)
            or (self._public and self._is_public(address))
        )

    def _is_public(self, address: IpAddress) -> bool:
        """Whether it is everybody's to reach; what listens on this machine may be for its own networks."""
        if isinstance(address, IPv6Address):
            if address in _NAT64:
                return self._is_public(IPv4Address(address.packed[-4:]))
            if address not in _GLOBAL_UNICAST:
                return False
        is_special = address.is_multicast or any(address in network for network in _NEVER_PUBLIC)
        return address.is_global and not is_special and not self._is_local(address)


def _parse_network(text: str) -> IpNetwork | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _listens(own: IpAddress, address: IpAddress) -> bool:
    """A socket bound to "::" takes IPv4 as well, one bound to "0.0.0.0" nothing else."""
    return own.is_unspecified and address.version <= own.version


def _covers(own: IpAddress, address: IpAddress) -> bool:
    return (address.is_loopback and _listens(own, address)) if own.is_unspecified else address == own
