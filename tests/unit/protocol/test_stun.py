"""STUN: the vectors of RFC 5769, then the rules of RFC 8489 one by one."""

from hashlib import md5
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.stun import (
    BINDING,
    Attribute,
    Message,
    MessageClass,
    parse_message,
    parse_username,
    serialize_error_code,
    serialize_xor_address,
    verify_integrity,
)

SOFTWARE = 0x8022
KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION_ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")

# RFC 5769 sections 2.1 to 2.4.
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def with_fingerprint(data: bytes) -> bytes:
    """`data`, whose length field already counts a FINGERPRINT, with the right one."""
    return data + b"\x80\x28\x00\x04" + (crc32(data) ^ 0x5354554E).to_bytes(4, "big")


def refused(data: bytes) -> str:
    with pytest.raises(ParseError) as caught:
        parse_message(data)
    assert caught.value.reason is DropReason.STUN_MALFORMED
    return caught.value.detail


class TestRfc5769:
    def test_request(self):
        message = parse_message(REQUEST)
        assert (message.message_class, message.method) == (MessageClass.REQUEST, BINDING)
        assert message.transaction_id == TRANSACTION_ID
        assert message.attributes[SOFTWARE] == b"STUN test client"
        assert message.attributes[Attribute.PRIORITY] == b"\x6e\x00\x01\xff"
        assert message.attributes[Attribute.ICE_CONTROLLED] == bytes.fromhex("932ff9b151263b36")
        assert message.attributes[Attribute.USERNAME] == b"evtj:h6vY"
        assert verify_integrity(REQUEST, KEY)
        assert not verify_integrity(REQUEST, b"another key")

    @pytest.mark.parametrize(
        ("data", "host"),
        [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")],
        ids=["ipv4", "ipv6"],
    )
    def test_response(self, data, host):
        message = parse_message(data)
        assert message.message_class is MessageClass.SUCCESS
        value = message.attributes[Attribute.XOR_MAPPED_ADDRESS]
        assert serialize_xor_address(host, 32853, message.transaction_id) == value
        assert verify_integrity(data, KEY)

    def test_integrity_without_fingerprint(self):
        assert parse_message(LONG_TERM_REQUEST).attributes[0x0014] == b"example.org"
        key = md5("マトリックス:example.org:TheMatrIX".encode(), usedforsecurity=False).digest()
        assert verify_integrity(LONG_TERM_REQUEST, key)

    def test_serialize_gives_the_request_but_for_its_padding(self):
        # The RFC pads with spaces where RFC 8489 has zeros, so the two digests over it differ.
        data = parse_message(REQUEST).serialize(KEY)
        assert data[:80] == REQUEST[:73] + bytes(3) + REQUEST[76:80]
        assert len(data) == len(REQUEST)
        assert verify_integrity(data, KEY)
        assert parse_message(data).attributes[Attribute.USERNAME] == b"evtj:h6vY"


class TestSerialize:
    @given(
        message_class=st.sampled_from(MessageClass),
        method=st.integers(0, 0xFFF),
        transaction_id=st.binary(min_size=12, max_size=12),
        attributes=st.dictionaries(st.sampled_from((0x06, 0x20, 0x24, 0x8022)), st.binary(max_size=40)),
        key=st.none() | st.binary(min_size=1, max_size=30),
    )
    def test_round_trip(self, message_class, method, transaction_id, attributes, key):
        message = Message(message_class, method, transaction_id, attributes)
        data = message.serialize(key)
        parsed = parse_message(data)
        own = {Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT}
        assert parsed._replace(attributes=attributes) == message
        assert {k: v for k, v in parsed.attributes.items() if k not in own} == attributes
        assert Attribute.FINGERPRINT in parsed.attributes
        assert verify_integrity(data, key or b"") is (key is not None)

    def test_error_code(self):
        assert serialize_error_code(487, "Role Conflict") == b"\x00\x00\x04\x57Role Conflict"


class TestHeader:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            REQUEST[:19],
            b"\x80" + REQUEST[1:],
            REQUEST[:4] + bytes(4) + REQUEST[8:],
            bytes.fromhex("000105cc2112a442") + bytes(12 + 0x5CC),
        ],
        ids=["empty", "short", "first bits", "cookie", "too long"],
    )
    def test_refused(self, data):
        assert refused(data) == "header"

    def test_length_must_be_that_of_the_datagram(self):
        assert refused(REQUEST + bytes(4)) == "length"
        assert refused(REQUEST[:-4]) == "length"

    def test_length_must_be_a_multiple_of_four(self):
        assert refused(bytes.fromhex("000100022112a442") + bytes(12 + 2)) == "length"


class TestAttributes:
    def test_value_beyond_the_end(self):
        assert refused(bytes.fromhex("000100082112a442") + TRANSACTION_ID + b"\0\6\0\5abcd") == "attribute"

    def test_first_occurrence_counts(self):
        data = bytes.fromhex("000100102112a442") + TRANSACTION_ID + b"\0\6\0\4abcd" + b"\0\6\0\4efgh"
        assert parse_message(data).attributes == {Attribute.USERNAME: b"abcd"}

    def test_what_follows_integrity_is_ignored(self):
        integrity = b"\0\x08\0\x14" + bytes(20)
        data = bytes.fromhex("000100282112a442") + TRANSACTION_ID + integrity + b"\0\x25\0\0" + b"\0\x24\0\0"
        with_crc = with_fingerprint(data)
        assert set(parse_message(with_crc).attributes) == {
            Attribute.MESSAGE_INTEGRITY,
            Attribute.FINGERPRINT,
        }

    @pytest.mark.parametrize("bit", range(0, 8 * (len(REQUEST) - 8), 37))
    def test_fingerprint_finds_a_flipped_bit(self, bit):
        data = bytearray(REQUEST)
        data[bit >> 3] ^= 1 << (bit & 7)
        refused(bytes(data))

    def test_fingerprint_must_be_right(self):
        assert refused(REQUEST[:-1] + b"\0") == "fingerprint"

    def test_fingerprint_must_have_four_bytes(self):
        data = bytes.fromhex("000100082112a442") + TRANSACTION_ID + b"\x80\x28\0\3abc\0"
        assert refused(data) == "fingerprint"

    def test_fingerprint_must_be_last(self):
        data = with_fingerprint(bytes.fromhex("0001000c2112a442") + TRANSACTION_ID)
        assert refused(data + b"\0\x25\0\0") == "fingerprint"


class TestIntegrity:
    def test_absent(self):
        data = Message(MessageClass.REQUEST, BINDING, TRANSACTION_ID, {}).serialize()
        assert not verify_integrity(data, KEY)

    def test_truncated_digest(self):
        data = bytes.fromhex("0001000c2112a442") + TRANSACTION_ID + b"\0\x08\0\x08" + REQUEST[80:88]
        parse_message(data)
        assert not verify_integrity(data, KEY)


class TestUsername:
    def test_local_then_remote(self):
        assert parse_username(REQUEST) == ("evtj", "h6vY")

    @pytest.mark.parametrize(
        "username", [b"no colon", b"\xff:\xff", None], ids=["no colon", "not UTF-8", "absent"]
    )
    def test_unusable(self, username):
        attributes = {} if username is None else {int(Attribute.USERNAME): username}
        request = Message(MessageClass.REQUEST, BINDING, TRANSACTION_ID, attributes)
        assert parse_username(request.serialize(KEY)) is None

    def test_only_of_binding_requests(self):
        assert parse_username(IPV4_RESPONSE) is None
        assert parse_username(b"\0\1" + b"\x80\x60" * 10) is None


class TestXorAddress:
    def test_dual_stack_socket(self):
        mapped = serialize_xor_address("::ffff:192.0.2.1", 32853, TRANSACTION_ID)
        assert mapped == bytes.fromhex("0001a147e112a643")

    def test_link_local_with_scope(self):
        value = serialize_xor_address("fe80::1%2", 9, TRANSACTION_ID)
        assert value == serialize_xor_address("fe80::1", 9, TRANSACTION_ID)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: REQUEST[:8] + tail))
def test_any_bytes_parse_or_raise(data):
    parse_username(data)
    try:
        message = parse_message(data)
    except ParseError as error:
        assert error.reason is DropReason.STUN_MALFORMED
    else:
        assert len(message.transaction_id) == 12
        assert not verify_integrity(data, KEY)


@given(
    st.lists(st.tuples(st.sampled_from((6, 8, 0x24, 0x8028, 0x9999)), st.binary(max_size=24)), max_size=6),
    st.integers(0, 3),
)
def test_any_attributes_parse_or_raise(attributes, trim):
    body = b"".join(
        kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) & 3)
        for kind, value in attributes
    )
    body = body[: len(body) - 4 * trim] if trim else body
    data = b"\0\1" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + TRANSACTION_ID + body
    try:
        message = parse_message(data)
    except ParseError as error:
        assert error.reason is DropReason.STUN_MALFORMED
    else:
        assert set(message.attributes) <= {kind for kind, _ in attributes}
