"""Any datagram is a STUN message or raises ParseError(STUN_MALFORMED); a message that is written out reads
back the same, and who knows the key proves it."""

from whipway.failures import DropReason, ParseError
from whipway.protocol.stun import (
    BINDING,
    MAX_MESSAGE_BYTES,
    Attribute,
    Message,
    MessageClass,
    parse_message,
    parse_username,
    serialize_error_code,
    serialize_xor_address,
    verify_integrity,
)

KEY = b"a key of one session, in bytes"
PROOFS = (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)


def target(data: bytes) -> bool:
    username = parse_username(data)
    try:
        message = parse_message(data)
    except ParseError as error:
        assert error.reason is DropReason.STUN_MALFORMED
        return False
    if username is not None:
        assert (message.message_class, message.method) == (MessageClass.REQUEST, BINDING)
    assert not verify_integrity(data, b"another key")
    _check_round_trip(message, None)
    _check_round_trip(message, KEY)
    return True


def _check_round_trip(message: Message, key: bytes | None) -> None:
    written = message.serialize(key)
    if len(written) > MAX_MESSAGE_BYTES:
        return
    assert verify_integrity(written, KEY) is (key is not None)
    again = parse_message(written)
    assert again._replace(attributes=_told(again)) == message._replace(attributes=_told(message))


def _told(message: Message) -> dict[int, bytes]:
    """The attributes without those a writer makes itself."""
    return {name: value for name, value in message.attributes.items() if name not in PROOFS}


def seeds() -> list[bytes]:
    transaction = bytes(range(12))
    check: dict[int, bytes] = {
        Attribute.USERNAME: b"local:peer",
        Attribute.PRIORITY: bytes((110, 0, 1, 255)),
        Attribute.ICE_CONTROLLING: bytes(8),
        Attribute.USE_CANDIDATE: b"",
    }
    success: dict[int, bytes] = {
        Attribute.XOR_MAPPED_ADDRESS: serialize_xor_address("2001:db8::1", 5000, transaction)
    }
    error: dict[int, bytes] = {Attribute.ERROR_CODE: serialize_error_code(487, "Role Conflict")}
    messages = [
        Message(MessageClass.REQUEST, BINDING, transaction, check),
        Message(MessageClass.SUCCESS, BINDING, transaction, success),
        Message(MessageClass.ERROR, BINDING, transaction, error),
        Message(MessageClass.INDICATION, BINDING, transaction, {}),
    ]
    return [message.serialize(key) for message in messages for key in (None, KEY)]
