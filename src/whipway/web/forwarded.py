"""Who a request comes from and what it was sent to, behind proxies too: by RFC 7239 or X-Forwarded-*.

Each proxy adds at the right whom it got the request from. So the headers are read from the right, for as long
as the one who wrote the piece is among `http.trusted_proxies`; the first address that is not is the client.
What stands further left came from the client, who may write there what it likes, and is not looked at.

Of the two kinds one is read, as `http.forwarded_headers` says: a proxy that writes one lets the other through
as its client wrote it.

Left out: the interface `by`, and names in place of addresses (RFC 7239, section 6.3): there the walk ends.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import zip_longest
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from whipway.web.urls import is_host

MAX_HOPS = 16
"""A chain of proxies has two or three."""
MAX_CHARACTERS = 2048
"""Counted from the right, as are hops: what a client sends must not hide what a proxy wrote."""

Address = IPv4Address | IPv6Address

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word, nothing secret
_PAIR = re.compile(rf'({_TOKEN})=(?:([^"\s]+)|"([^"\\]*)")')
"""RFC 7239, section 4. Colons and brackets belong in quotes, but some proxies write them without. Escapes in
strings are not read: neither an address nor a host needs any."""
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
"""RFC 7239, section 6, for addresses: perhaps a port, IPv6 in brackets; X-Forwarded-For has it without."""


class Hop(NamedTuple):
    """What one proxy says of the request that it got; None: nothing, or nothing that can be used."""

    address: Address | None = None
    scheme: str | None = None
    host: str | None = None


class Source(NamedTuple):
    """What all trusted proxies together say."""

    address: Address
    scheme: str | None
    host: str | None


class Forwarded:
    """ASGI wrapper: puts the client's address, the scheme and the host in the place of the last proxy's."""

    def __init__(
        self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network], kind: str = "x-forwarded"
    ) -> None:
        self._app = app
        self._kind = kind
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Without an address (a Unix socket, or a peer that is gone) there is nobody to trust.
        if scope["client"]:
            scope = self._with_client(scope)
        await self._app(scope, receive, send)

    def _with_client(self, scope: Scope) -> Scope:
        host, port = scope["client"]
        peer = parse_address(host)
        if peer is None:
            return scope
        # An IPv4 client of a socket that is open to both versions is the same client.
        scope = {**scope, "client": (str(peer), port)}
        return self._look_behind(scope, peer) if self._is_trusted(peer) else scope

    def _look_behind(self, scope: Scope, peer: Address) -> Scope:
        source = self._walk(peer, read_hops(Headers(scope=scope), self._kind))
        if source.address != peer:
            scope["client"] = (str(source.address), 0)  # Nobody says reliably which port it was.
        if source.scheme is not None:
            scope["scheme"] = source.scheme
        if source.host is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [(b"host", source.host.encode()), *others]
        return scope

    def _walk(self, peer: Address, hops: Iterator[Hop]) -> Source:
        source = Source(peer, None, None)
        for hop in hops:
            # Only now: this piece was written by whoever has the address reached so far.
            if not self._is_trusted(source.address):
                break
            address = hop.address or source.address
            source = Source(address, hop.scheme or source.scheme, hop.host or source.host)
            if hop.address is None:
                break
        return source

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def read_hops(headers: Headers, kind: str) -> Iterator[Hop]:
    """What proxies wrote, the last one's piece first. `kind` is "forwarded" or "x-forwarded"."""
    if kind == "forwarded":
        return map(_read_element, _pieces(headers, "forwarded"))
    columns = (_pieces(headers, f"x-forwarded-{name}") for name in ("for", "proto", "host"))
    return (
        Hop(_node(address or ""), _scheme(scheme or ""), _host(host or ""))
        for address, scheme, host in zip_longest(*columns)
    )


def parse_address(text: str) -> Address | None:
    """An IP address, as IPv4 where it is an IPv4 address inside of an IPv6 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _pieces(headers: Headers, name: str) -> list[str]:
    """The members of a list, the last first. RFC 9110, section 5.3: several lines are one list."""
    line = ",".join(headers.getlist(name))
    # Cut at every comma, in quotes too: a quote opened further left can then swallow nothing.
    pieces = line[-MAX_CHARACTERS:].split(",")
    if len(line) > MAX_CHARACTERS:
        del pieces[0]  # The beginning of it is missing.
    # RFC 9110, section 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list
    # elements".
    return [piece.strip() for piece in reversed(pieces) if piece.strip()][:MAX_HOPS]


def _read_element(text: str) -> Hop:
    """Pairs with semicolons between them (RFC 7239, section 4). What does not parse says nothing."""
    values: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        pair = _PAIR.fullmatch(part)
        # "Each parameter MUST NOT occur more than once per field-value."
        if pair is None or pair[1].lower() in values:
            return Hop()
        values[pair[1].lower()] = pair[2] or pair[3] or ""
    return Hop(_node(values.get("for", "")), _scheme(values.get("proto", "")), _host(values.get("host", "")))


def _node(text: str) -> Address | None:
    match = _NODE.fullmatch(text)
    return parse_address(match[1] or match[2] or match[3]) if match else None


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in ("http", "https") else None


def _host(text: str) -> str | None:
    return text if is_host(text) else None
