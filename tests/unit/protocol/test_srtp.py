"""SRTP: RFC 3711's own keys, both directions of every profile, replays, forgeries and the bound on SSRCs."""

import hmac
from types import SimpleNamespace

import pylibsrtp
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol import srtp
from whipway.protocol.srtp import MAX_PACKET_BYTES, MAX_STREAMS, REPLAY_WINDOW_PACKETS, SrtpSession

SIZES = {"SRTP_AEAD_AES_128_GCM": 28, "SRTP_AEAD_AES_256_GCM": 44, "SRTP_AES128_CM_SHA1_80": 30}
PROFILES = pytest.mark.parametrize("profile", SIZES)


def make_pair(profile: str = "SRTP_AEAD_AES_128_GCM") -> tuple[SrtpSession, SrtpSession]:
    one, other = bytes(range(SIZES[profile])), bytes(range(100, 100 + SIZES[profile]))
    return SrtpSession(profile, one, other), SrtpSession(profile, other, one)


def rtp(sequence: int = 1, ssrc: int = 0x1234, payload: bytes = b"payload") -> bytes:
    return b"\x80\x60" + sequence.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + payload


def receiver_report(ssrc: int = 0x1234) -> bytes:
    return b"\x80\xc9\x00\x01" + ssrc.to_bytes(4, "big")


def dropped(operation, data: bytes) -> DropReason:
    with pytest.raises(ParseError) as caught:
        operation(data)
    return caught.value.reason


def test_rfc_3711_key_derivation():
    """Appendix B.3 gives a master key and the session keys it leads to; a packet made by hand opens."""
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")
    session_key = bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    session_salt = bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    authentication_key = bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    packet = rtp(sequence=7, ssrc=0xCAFEBABE)
    # Section 4.1.1: IV = (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16)
    iv = int.from_bytes(session_salt, "big") << 16 ^ 0xCAFEBABE << 64 ^ 7 << 16
    cipher = Cipher(algorithms.AES(session_key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    encrypted = packet[:12] + cipher.update(packet[12:])
    tag = hmac.digest(authentication_key, encrypted + bytes(4), "sha1")[:10]
    session = SrtpSession("SRTP_AES128_CM_SHA1_80", local_key=bytes(30), remote_key=master)
    assert session.unprotect_rtp(encrypted + tag) == packet


class TestRoundTrip:
    @PROFILES
    def test_both_directions(self, profile):
        one, other = make_pair(profile)
        for sender, receiver in ((one, other), (other, one)):
            assert receiver.unprotect_rtp(sender.protect_rtp(rtp())) == rtp()
            protected = sender.protect_rtcp(receiver_report())
            assert protected != receiver_report()
            assert receiver.unprotect_rtcp(protected) == receiver_report()

    @PROFILES
    def test_longest_packets(self, profile):
        one, other = make_pair(profile)
        packet, report = rtp(payload=bytes(1356 - 12)), receiver_report() + bytes(1352 - 8)
        assert other.unprotect_rtp(one.protect_rtp(packet)) == packet
        assert other.unprotect_rtcp(one.protect_rtcp(report)) == report

    def test_sequence_numbers_wrap(self):
        one, other = make_pair()
        for sequence in (0xFFFE, 0xFFFF, 0, 1):
            assert other.unprotect_rtp(one.protect_rtp(rtp(sequence))) == rtp(sequence)

    def test_a_retransmission_can_be_protected_again(self):
        one, _ = make_pair()
        assert one.protect_rtp(rtp()) == one.protect_rtp(rtp())


class TestReplay:
    @PROFILES
    def test_second_arrival(self, profile):
        one, other = make_pair(profile)
        media, report = one.protect_rtp(rtp()), one.protect_rtcp(receiver_report())
        other.unprotect_rtp(media)
        other.unprotect_rtcp(report)
        assert dropped(other.unprotect_rtp, media) is DropReason.SRTP_REPLAY
        assert dropped(other.unprotect_rtcp, report) is DropReason.SRTP_REPLAY

    def test_the_window_is_as_wide_as_it_says(self):
        one, other = make_pair()
        first, second = one.protect_rtp(rtp(1)), one.protect_rtp(rtp(2))
        other.unprotect_rtp(one.protect_rtp(rtp(REPLAY_WINDOW_PACKETS + 1)))
        assert dropped(other.unprotect_rtp, first) is DropReason.SRTP_REPLAY
        assert other.unprotect_rtp(second) == rtp(2)


class TestForgery:
    @PROFILES
    def test_every_byte_is_authenticated(self, profile):
        one, other = make_pair(profile)
        media, report = one.protect_rtp(rtp()), one.protect_rtcp(receiver_report())
        for operation, data in ((other.unprotect_rtp, media), (other.unprotect_rtcp, report)):
            for index in range(len(data)):
                forged = data[:index] + bytes((data[index] ^ 0x10,)) + data[index + 1 :]
                assert dropped(operation, forged) is DropReason.SRTP_AUTHENTICATION
            operation(data)

    def test_too_long(self):
        _, other = make_pair()
        data = rtp(payload=bytes(MAX_PACKET_BYTES - 11))
        assert dropped(other.unprotect_rtp, data) is DropReason.SRTP_AUTHENTICATION

    @given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"\x80\x60" + tail))
    def test_any_bytes(self, data):
        _, other = make_pair()
        assert dropped(other.unprotect_rtp, data) is DropReason.SRTP_AUTHENTICATION
        assert dropped(other.unprotect_rtcp, data) is DropReason.SRTP_AUTHENTICATION


class TestStreams:
    def test_the_peer_has_so_many_and_no_more(self):
        one, other = make_pair()
        for ssrc in range(1, MAX_STREAMS):
            other.unprotect_rtp(one.protect_rtp(rtp(ssrc=ssrc)))
        other.unprotect_rtcp(one.protect_rtcp(receiver_report(MAX_STREAMS)))
        more = one.protect_rtp(rtp(ssrc=MAX_STREAMS + 1))
        assert dropped(other.unprotect_rtp, more) is DropReason.SRTP_SSRC_LIMIT
        assert other.unprotect_rtp(one.protect_rtp(rtp(sequence=2, ssrc=1))) == rtp(sequence=2, ssrc=1)

    def test_strangers_take_no_place(self):
        one, other = make_pair()
        stranger = SrtpSession("SRTP_AEAD_AES_128_GCM", bytes(28), bytes(28))
        for ssrc in range(2 * MAX_STREAMS):
            other_data = stranger.protect_rtp(rtp(ssrc=ssrc))
            assert dropped(other.unprotect_rtp, other_data) is DropReason.SRTP_AUTHENTICATION
        assert other.unprotect_rtp(one.protect_rtp(rtp())) == rtp()


@pytest.mark.parametrize("functions", [{}, {"srtp_unprotect": len}, {"srtp_unprotect": lambda *_: 0}])
def test_a_pylibsrtp_with_other_insides(monkeypatch, functions):
    """No such function, one with other arguments, one that takes anything for a packet: none is used."""
    insides = SimpleNamespace(ffi=pylibsrtp.ffi, lib=SimpleNamespace(**functions), ERRORS=pylibsrtp.ERRORS)
    monkeypatch.setattr(srtp, "_INSIDES", insides)
    one, other = make_pair()
    media = one.protect_rtp(rtp())
    for _ in range(2):
        assert other.unprotect_rtp(one.protect_rtp(rtp(2))) == rtp(2)
        one, other = other, one
    assert other.unprotect_rtp(media) == rtp()
    assert dropped(other.unprotect_rtp, media) is DropReason.SRTP_REPLAY


def test_unknown_profiles_and_short_keys_are_our_mistake():
    with pytest.raises(KeyError):
        SrtpSession("SRTP_NULL_SHA1_80", bytes(30), bytes(30))
    with pytest.raises(ValueError, match="at least 28 bytes"):
        SrtpSession("SRTP_AEAD_AES_128_GCM", bytes(27), bytes(28))
