"""STUN messages (RFC 8489), as far as a lite ICE agent needs them.

Parses and writes messages with the short-term credential mechanism (section 9.1): MESSAGE-INTEGRITY over
HMAC-SHA1 with the ICE password as the key, and FINGERPRINT on everything that is sent. Left out: TCP framing,
retransmission, long-term credentials, MESSAGE-INTEGRITY-SHA256 (ICE, RFC 8445 section 7, uses the SHA-1 one),
and the old RFC 3489 without a magic cookie. What the messages mean is `ice`'s business.
"""

import hmac
import zlib
from collections.abc import Iterator
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from whipway.failures import DropReason, ParseError

MAGIC_COOKIE = b"\x21\x12\xa4\x42"
HEADER_BYTES = 20
TRANSACTION_ID_BYTES = 12
MAX_MESSAGE_BYTES = 1500
"""RFC 8489 section 6.1 keeps messages within the path MTU, so nothing longer comes from an honest peer."""

BINDING = 0x001
_BINDING_REQUEST = b"\x00\x01"

_INTEGRITY_BYTES = 24
_FINGERPRINT_BYTES = 8
_FINGERPRINT_XOR = 0x5354554E


class MessageClass(IntEnum):
    """RFC 8489 section 5: the bits C1 C0 of the message type."""

    REQUEST = 0b00
    INDICATION = 0b01
    SUCCESS = 0b10
    ERROR = 0b11


class Attribute(IntEnum):
    """The attribute types read or written here: RFC 8489 section 18.3, RFC 8445 section 16.1."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


class Message(NamedTuple):
    """One STUN message. `transaction_id` has 12 bytes; attribute values are without padding.

    A parsed message holds the first occurrence of each attribute (RFC 8489 section 14) and nothing that
    came after MESSAGE-INTEGRITY except FINGERPRINT.
    """

    message_class: MessageClass
    method: int
    transaction_id: bytes
    attributes: dict[int, bytes]

    def serialize(self, key: bytes | None = None) -> bytes:
        """The datagram: attributes in their order, MESSAGE-INTEGRITY when there is a key, FINGERPRINT."""
        body = b"".join(
            _serialize_attribute(attribute, value)
            for attribute, value in self.attributes.items()
            if attribute not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)
        )
        if key is not None:
            covered = self._serialize_header(len(body) + _INTEGRITY_BYTES) + body
            body += _serialize_attribute(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, covered, "sha1"))
        covered = self._serialize_header(len(body) + _FINGERPRINT_BYTES) + body
        checksum = zlib.crc32(covered) ^ _FINGERPRINT_XOR
        return covered + _serialize_attribute(Attribute.FINGERPRINT, checksum.to_bytes(4, "big"))

    def _serialize_header(self, length: int) -> bytes:
        #  0 0 M11 M10 M9 M8 M7 C1 M6 M5 M4 C0 M3 M2 M1 M0    (RFC 8489 section 5)
        method = self.method & 0x000F | (self.method & 0x0070) << 1 | (self.method & 0x0F80) << 2
        class_bits = (self.message_class & 0b01) << 4 | (self.message_class & 0b10) << 7
        return (method | class_bits).to_bytes(2, "big") + length.to_bytes(2, "big") + MAGIC_COOKIE + self[2]


def parse_message(data: bytes) -> Message:
    """Read one datagram. Raises ParseError(STUN_MALFORMED); says nothing about who sent it."""
    _check_header(data)
    attributes: dict[int, bytes] = {}
    for attribute, start, end in _walk_attributes(data):
        if attribute == Attribute.FINGERPRINT:
            _check_fingerprint(data, start, end)
        # RFC 8489 section 14.5: attributes that follow MESSAGE-INTEGRITY are ignored, FINGERPRINT excepted.
        elif Attribute.MESSAGE_INTEGRITY in attributes:
            continue
        # RFC 8489 section 14: only the first occurrence needs to be processed by a receiver.
        attributes.setdefault(attribute, data[start:end])
    message_type = int.from_bytes(data[:2], "big")
    return Message(
        message_class=MessageClass((message_type & 0x0010) >> 4 | (message_type & 0x0100) >> 7),
        method=message_type & 0x000F | (message_type & 0x00E0) >> 1 | (message_type & 0x3E00) >> 2,
        transaction_id=data[8:HEADER_BYTES],
        attributes=attributes,
    )


def verify_integrity(data: bytes, key: bytes) -> bool:
    """Whether a datagram that `parse_message` took was written by someone who knows `key`.

    False when it holds no MESSAGE-INTEGRITY.
    """
    for attribute, start, end in _walk_attributes(data):
        if attribute == Attribute.MESSAGE_INTEGRITY:
            # RFC 8489 section 14.5: the length field points to the end of MESSAGE-INTEGRITY, the text of
            # the HMAC ends before it.
            length = (start - 4 + _INTEGRITY_BYTES - HEADER_BYTES).to_bytes(2, "big")
            covered = data[:2] + length + data[4 : start - 4]
            return hmac.compare_digest(hmac.digest(key, covered, "sha1"), data[start:end])
    return False


def parse_username(data: bytes) -> tuple[str, str] | None:
    """The (local ufrag, remote ufrag) a Binding request names, or None for every other datagram.

    Cheap and unauthenticated: only to find the session a datagram from an unknown address may belong to.
    """
    if data[:2] != _BINDING_REQUEST:
        return None
    try:
        _check_header(data)
        for attribute, start, end in _walk_attributes(data):
            if attribute == Attribute.USERNAME:
                local_ufrag, colon, remote_ufrag = data[start:end].decode().partition(":")
                return (local_ufrag, remote_ufrag) if colon else None
    except (ParseError, UnicodeDecodeError):
        pass
    return None


def serialize_xor_address(host: str, port: int, transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).

    An IPv4-mapped IPv6 host, as a dual-stack socket shows it, is written as the IPv4 address it stands for.
    """
    ip: IPv4Address | IPv6Address = ip_address(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    family = 0x01 if ip.version == 4 else 0x02
    xor_port = _xor(port.to_bytes(2, "big"), MAGIC_COOKIE)
    return bytes((0, family)) + xor_port + _xor_host(ip.packed, transaction_id)


def serialize_error_code(code: int, reason: str) -> bytes:
    """The value of ERROR-CODE (RFC 8489 section 14.8); `code` is 300 to 699."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def _check_header(data: bytes) -> None:
    # RFC 8489 section 6.3: the first two bits are 0, the magic cookie is right, the length is sensible.
    if not HEADER_BYTES <= len(data) <= MAX_MESSAGE_BYTES or data[0] & 0xC0 or data[4:8] != MAGIC_COOKIE:
        raise ParseError(DropReason.STUN_MALFORMED, "header")
    if int.from_bytes(data[2:4], "big") != len(data) - HEADER_BYTES or len(data) & 3:
        raise ParseError(DropReason.STUN_MALFORMED, "length")


def _walk_attributes(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, end) of each value. `data` has passed `_check_header`."""
    offset = HEADER_BYTES
    while offset < len(data):
        start = offset + 4
        end = start + int.from_bytes(data[offset + 2 : start], "big")
        if end > len(data):
            raise ParseError(DropReason.STUN_MALFORMED, "attribute")
        yield int.from_bytes(data[offset : offset + 2], "big"), start, end
        # RFC 8489 section 14: values are padded to 32 bits, the padding is not counted and is ignored.
        offset = end + 3 & ~3


def _check_fingerprint(data: bytes, start: int, end: int) -> None:
    # RFC 8489 section 14.7: FINGERPRINT is the last attribute; its CRC-32 covers all that is before it.
    if end != len(data) or end - start != 4:
        raise ParseError(DropReason.STUN_MALFORMED, "fingerprint")
    if zlib.crc32(data[: start - 4]) ^ _FINGERPRINT_XOR != int.from_bytes(data[start:end], "big"):
        raise ParseError(DropReason.STUN_MALFORMED, "fingerprint")


def _serialize_attribute(attribute: int, value: bytes) -> bytes:
    padding = bytes(-len(value) & 3)
    return attribute.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + padding


def _xor_host(packed: bytes, transaction_id: bytes) -> bytes:
    # RFC 8489 section 14.2: IPv4 is XOR'ed with the cookie, IPv6 with the cookie and the transaction id.
    return _xor(packed, MAGIC_COOKIE + transaction_id)


def _xor(value: bytes, mask: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(value, mask, strict=False))
