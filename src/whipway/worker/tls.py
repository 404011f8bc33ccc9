"""TLS towards RTMP servers (rtmps://): whose certificates are trusted, and for which hosts none is looked at.

A certificate must come from an authority that this machine trusts, be valid today, and name the host of the
URL (RFC 9525); addresses are names, too. Contexts are made once, at their first use: reading all authorities
takes some 60 ms.

`insecure` is for tests: connections to hosts that it names are encrypted, but to whom is anybody's guess.
"""

import ssl
from collections.abc import Sequence
from functools import cached_property

import structlog

from whipway.hosts import HOST_PATTERN, normalize_host, parse_address, unmap

_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
"""OpenSSL's words for an answer that is no TLS at all; which of them depends on the bytes and its version."""

log = structlog.get_logger("worker")


class TlsContexts:
    """What to hand to the event loop for a host.

    `insecure` holds names, `*.name` for all names under one, and IP addresses. Raises ValueError for an entry
    that is none of these.
    """

    def __init__(self, insecure: Sequence[str] = ()) -> None:
        self._insecure = {_normalize(pattern) for pattern in insecure}
        self._warned: set[str] = set()

    def get(self, host: str) -> ssl.SSLContext:
        """The context for a host as `RtmpUrl.host` has it: in lower case, an address without brackets."""
        pattern = self._pattern_of(host)
        if pattern is None:
            return self._checking
        if pattern not in self._warned:
            self._warned.add(pattern)
            log.warning("certificates are not checked", hosts=pattern)
        return self._unchecking

    def _pattern_of(self, host: str) -> str | None:
        """The entry that a host matches: itself, or one for the names under a name above it."""
        if (address := parse_address(host)) is not None:
            name = str(unmap(address))
            return name if name in self._insecure else None
        labels = host.split(".")
        above = (f"*.{'.'.join(labels[index:])}" for index in range(1, len(labels)))
        return next((name for name in (host, *above) if name in self._insecure), None)

    @cached_property
    def _checking(self) -> ssl.SSLContext:
        # Checks the chain and the name, trusts the authorities of the system (or of SSL_CERT_FILE).
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # RFC 9525, section 2: the Common Name of a certificate is for people, not for comparing.
        context.hostname_checks_common_name = False
        _trust_certifi(context)
        return context

    @cached_property
    def _unchecking(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def explain_tls(error: ssl.SSLError) -> str:
    """What went wrong in a handshake, in words for the person who wrote the URL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message.rstrip('.')}"
    reason: str | None = getattr(error, "reason", None)  # Only where OpenSSL gave one.
    if reason in _NO_TLS:
        return "it does not speak TLS there"
    return (reason or "the handshake failed").replace("_", " ").lower()


def _trust_certifi(context: ssl.SSLContext) -> None:
    """Trust the authorities that come with certifi as well: a small container may have none of its own."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())


def _normalize(pattern: str) -> str:
    text = normalize_host(pattern)
    if (address := parse_address(text)) is not None:
        return str(unmap(address))
    if not HOST_PATTERN.fullmatch(text):
        raise ValueError(f"{pattern} is no host name or address, nor *. before a name")
    return text
