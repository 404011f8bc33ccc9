"""The handshake, each end against a plain peer written out here, whole and in pieces."""

import hashlib
import hmac
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtmp.handshake import PACKET_BYTES, ClientHandshake, ServerHandshake

PLAYER = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"
TAIL = (
    b"\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57"
    b"\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae"
)


def source(seed: int = 1) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def sha256(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def place(packet: bytes, scheme: int) -> int:
    at = 772 if scheme else 8
    return (packet[at] + packet[at + 1] + packet[at + 2] + packet[at + 3]) % 728 + at + 4


def flash_c1(scheme: int, seed: int = 2) -> tuple[bytes, bytes]:
    """C1 as librtmp makes it, and its digest."""
    c1 = bytearray(b"\0\0\0\7\x0a\0\x2d\2" + source(seed)(PACKET_BYTES - 8))
    at = place(c1, scheme)
    digest = sha256(PLAYER, bytes(c1[:at] + c1[at + 32 :]))
    c1[at : at + 32] = digest
    return bytes(c1), digest


def answer(c1: bytes, random: Callable[[int], bytes] | None = None) -> tuple[bytes, bytes]:
    """S1 and S2 of a server that gets C0 and C1 at once."""
    server = ServerHandshake(random or source())
    assert server.receive(b"\x03" + c1) == b""
    sent = server.data_to_send()
    assert sent[:1] == b"\x03" and len(sent) == 1 + 2 * PACKET_BYTES
    assert not server.done
    return sent[1 : 1 + PACKET_BYTES], sent[1 + PACKET_BYTES :]


def test_the_client_opens_with_a_simple_c1() -> None:
    sent = ClientHandshake(source()).data_to_send()
    assert sent[:9] == b"\x03" + bytes(8)
    assert sent[9:] == source()(PACKET_BYTES - 8)


def test_the_client_echoes_s1_and_is_done_after_any_s2() -> None:
    client = ClientHandshake(source())
    client.data_to_send()
    s1, s2 = source(3)(PACKET_BYTES), source(4)(PACKET_BYTES)
    assert client.receive(b"\x03" + s1[:-1]) == b""
    assert client.data_to_send() == b""
    assert client.receive(s1[-1:]) == b""
    assert client.data_to_send() == s1
    assert client.receive(s2[:-1]) == b""
    assert not client.done
    assert client.receive(s2[-1:] + b"rest") == b"rest"
    assert client.done
    assert client.data_to_send() == b""


@pytest.mark.parametrize("end", [ClientHandshake, ServerHandshake])
def test_another_version_is_malformed(end: Callable[[Callable[[int], bytes]], ServerHandshake]) -> None:
    with pytest.raises(ParseError) as error:
        end(source()).receive(b"\x06")
    assert error.value.reason is DropReason.RTMP_MALFORMED


@pytest.mark.parametrize("end", [ClientHandshake, ServerHandshake])
def test_no_bytes_are_no_mistake(end: Callable[[Callable[[int], bytes]], ServerHandshake]) -> None:
    assert end(source()).receive(b"") == b""


def test_the_server_echoes_a_simple_c1() -> None:
    c1 = bytes(8) + source(5)(PACKET_BYTES - 8)
    s1, s2 = answer(c1)
    assert s1 == bytes(8) + source()(PACKET_BYTES - 8)
    assert s2 == c1


def test_the_server_waits_for_all_of_c1_and_c2() -> None:
    server = ServerHandshake(source())
    assert server.receive(b"\x03" + bytes(PACKET_BYTES - 1)) == b""
    assert server.data_to_send() == b""
    assert server.receive(bytes(1)) == b""
    assert len(server.data_to_send()) == 1 + 2 * PACKET_BYTES
    assert server.receive(bytes(PACKET_BYTES - 1)) == b""
    assert not server.done
    assert server.receive(bytes(1) + b"connect") == b"connect"
    assert server.done
    assert server.data_to_send() == b""


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("seed", range(8))
def test_the_server_signs_for_a_client_with_a_digest(scheme: int, seed: int) -> None:
    c1, client_digest = flash_c1(scheme, seed)
    s1, s2 = answer(c1, source(seed + 100))
    assert s1[4] != 0 and s1[5] >= 3, "librtmp and ffmpeg look for a digest by these"
    at = place(s1, scheme)
    assert s1[at : at + 32] == sha256(SERVER, s1[:at] + s1[at + 32 :])
    assert s2[-32:] == sha256(sha256(SERVER + TAIL, client_digest), s2[:-32])


def test_a_version_without_a_digest_gets_an_echo() -> None:
    c1, digest = flash_c1(0)
    at = c1.index(digest)
    broken = c1[:at] + bytes(32) + c1[at + 32 :]
    s1, s2 = answer(broken)
    assert s1[:8] == bytes(8)
    assert s2 == broken


def test_a_digest_without_a_version_gets_an_echo() -> None:
    plain = bytearray(flash_c1(0)[0])
    plain[4:8] = bytes(4)
    at = place(plain, 0)
    plain[at : at + 32] = sha256(PLAYER, bytes(plain[:at] + plain[at + 32 :]))
    assert answer(bytes(plain))[1] == plain


@settings(max_examples=20)
@given(st.lists(st.integers(1, 1000), max_size=8), st.lists(st.integers(1, 1000), max_size=8))
def test_both_ends_meet_in_any_pieces(client_cuts: list[int], server_cuts: list[int]) -> None:
    client, server = ClientHandshake(source(1)), ServerHandshake(source(2))
    to_server, to_client = client.data_to_send(), b""
    while to_server or to_client:
        size = server_cuts.pop() if server_cuts else len(to_server)
        assert server.receive(to_server[:size]) == b""
        to_server = to_server[size:]
        to_client += server.data_to_send()
        size = client_cuts.pop() if client_cuts else len(to_client)
        assert client.receive(to_client[:size]) == b""
        to_client = to_client[size:]
        to_server += client.data_to_send()
    assert client.done and server.done


@given(st.binary(max_size=64), st.sampled_from([ClientHandshake, ServerHandshake]))
def test_any_bytes_are_taken_or_malformed(
    data: bytes, end: Callable[[Callable[[int], bytes]], ServerHandshake]
) -> None:
    machine = end(source())
    try:
        for _ in range(50):
            machine.receive(data)
    except ParseError as error:
        assert error.reason is DropReason.RTMP_MALFORMED
        assert data[0] != 3
