"""DTLS: two transports against each other, peers with other tastes, losses, forgeries and garbage."""

import time
from datetime import UTC, datetime, timedelta
from hashlib import new as new_hash

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL, crypto

from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import (
    HELLO_REPEATS,
    MTU_BYTES,
    SRTP_PROFILES,
    Certificate,
    DtlsClosed,
    DtlsConnected,
    DtlsFailed,
    DtlsTransport,
    Fingerprint,
    generate_certificate,
)
from whipway.protocol.srtp import SrtpSession

OURS, THEIRS = generate_certificate(), generate_certificate()
PROFILES = ":".join(SRTP_PROFILES).encode()
BOTH_ROLES = pytest.mark.parametrize("is_client", [True, False], ids=["client", "server"])


def self_sign(key, *extensions: x509.ExtensionType) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def odd_peer(prepare=lambda context: None, *, has_certificate: bool = True) -> Certificate:
    """A peer whose OpenSSL context is not made by us: a plain one with what `prepare` does to it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_sign(key)
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    if has_certificate:
        context.use_privatekey(key)
        context.use_certificate(certificate)
    prepare(context)
    peer = Certificate(key, certificate)
    peer.context = context
    return peer


def fingerprint(certificate: Certificate) -> Fingerprint:
    return Fingerprint("sha-256", bytes.fromhex(certificate.fingerprint.replace(":", "")))


def make_pair(
    is_client: bool = False, *, peer: Certificate = THEIRS, expect: list[Fingerprint] | None = None
) -> tuple[DtlsTransport, DtlsTransport]:
    """(ours, theirs); the peer takes the other role."""
    expected = [fingerprint(peer)] if expect is None else expect
    ours = DtlsTransport(OURS, is_client=is_client, fingerprints=expected)
    theirs = DtlsTransport(peer, is_client=not is_client, fingerprints=[fingerprint(OURS)])
    return ours, theirs


def deliver(sender: DtlsTransport, receiver: DtlsTransport) -> int:
    datagrams = sender.datagrams_to_send()
    for datagram in datagrams:
        assert len(datagram) <= MTU_BYTES
        receiver.receive_datagram(datagram)
    return len(datagrams)


def exchange(ours: DtlsTransport, theirs: DtlsTransport) -> None:
    while deliver(ours, theirs) + deliver(theirs, ours):
        pass


def handshake(ours: DtlsTransport, theirs: DtlsTransport):
    """Start both and run to the end; the events of both sides."""
    ours.start(0.0)
    theirs.start(0.0)
    exchange(ours, theirs)
    return ours.events(), theirs.events()


def connected(is_client: bool = False, **kwargs) -> tuple[DtlsTransport, DtlsTransport]:
    ours, theirs = make_pair(is_client, **kwargs)
    for [event] in handshake(ours, theirs):
        assert isinstance(event, DtlsConnected)
    return ours, theirs


class TestCertificate:
    def test_fingerprint_is_that_of_the_der_in_sdp_form(self):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self_sign(key)
        digest = new_hash("sha256", certificate.public_bytes(serialization.Encoding.DER)).digest()
        text = Certificate(key, certificate).fingerprint
        assert bytes.fromhex(text.replace(":", "")) == digest
        assert text == text.upper()
        assert [len(pair) for pair in text.split(":")] == [2] * 32

    def test_generated_certificates_differ(self):
        assert OURS.fingerprint != THEIRS.fingerprint

    def test_generated_certificate_as_a_peer_sees_it(self):
        _, theirs = connected()
        seen = theirs._connection.get_peer_certificate(as_cryptography=True)
        assert seen.subject.rfc4514_string() == seen.issuer.rfc4514_string() == "CN=whipway"
        assert isinstance(seen.public_key().curve, ec.SECP256R1)
        assert seen.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)


class TestHandshake:
    @BOTH_ROLES
    def test_keys_of_both_ends_agree(self, is_client):
        [ours], [theirs] = handshake(*make_pair(is_client))
        assert (ours.local_key, ours.remote_key) == (theirs.remote_key, theirs.local_key)
        assert ours.local_key != ours.remote_key
        assert ours.profile == theirs.profile == "SRTP_AEAD_AES_128_GCM"

    @BOTH_ROLES
    @pytest.mark.parametrize("profile", SRTP_PROFILES)
    def test_exported_keys_open_what_the_peer_protects(self, is_client, profile):
        peer = odd_peer(lambda context: context.set_tlsext_use_srtp(profile.encode()))
        [event], [their_event] = handshake(*make_pair(is_client, peer=peer))
        assert event.profile == profile
        assert len(event.local_key) == len(event.remote_key) == sum(SRTP_PROFILES[profile])
        here = SrtpSession(event.profile, event.local_key, event.remote_key)
        there = SrtpSession(their_event.profile, their_event.local_key, their_event.remote_key)
        packet = b"\x80\x60\x00\x01" + bytes(4) + b"ssrc" + b"payload"
        assert here.unprotect_rtp(there.protect_rtp(packet)) == packet
        assert there.unprotect_rtcp(here.protect_rtcp(b"\x80\xc9\x00\x01ssrc")) == b"\x80\xc9\x00\x01ssrc"

    def test_client_finished_then_server_in_two_round_trips(self):
        ours, theirs = make_pair(is_client=True)
        ours.start(0.0)
        assert [deliver(ours, theirs), deliver(theirs, ours)] == [1, 1]
        assert [deliver(ours, theirs), deliver(theirs, ours)] == [1, 1]
        assert ours.datagrams_to_send() == []

    def test_server_is_silent_until_spoken_to(self):
        ours, _ = make_pair(is_client=False)
        ours.start(0.0)
        assert ours.datagrams_to_send() == []
        assert ours.deadline(5.0) is None

    @BOTH_ROLES
    def test_rsa_peer(self, is_client):
        key = rsa.generate_private_key(65537, 2048)
        connected(is_client, peer=Certificate(key, self_sign(key)))

    @BOTH_ROLES
    def test_certificate_of_an_impossible_version_is_hashed_not_parsed(self, is_client):
        key = ec.generate_private_key(ec.SECP256R1())
        der = self_sign(key).public_bytes(serialization.Encoding.DER)
        der = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1)  # version [0] INTEGER: 4 of 3
        with pytest.raises(x509.InvalidVersion):
            x509.load_der_x509_certificate(der)

        def obs(context):
            context.set_tlsext_use_srtp(PROFILES)
            context.use_privatekey(key)
            context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, der))

        expect = [Fingerprint("sha-256", new_hash("sha256", der).digest())]
        with pytest.warns(DeprecationWarning):
            peer = odd_peer(obs, has_certificate=False)
        connected(is_client, peer=peer, expect=expect)

    @BOTH_ROLES
    def test_long_flights_leave_as_several_datagrams(self, is_client):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(f"{n:060}.example") for n in range(60)])
        ours, theirs = make_pair(is_client, peer=Certificate(key, self_sign(key, names)))
        ours.start(0.0)
        theirs.start(0.0)
        most = 0
        while sent := deliver(ours, theirs) + (answered := deliver(theirs, ours)):
            most = max(most, answered)
            assert sent < 12
        assert most >= 4
        assert [type(event) for event in ours.events()] == [DtlsConnected]

    def test_datagrams_of_a_flight_may_change_places(self):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(f"{n:060}.example") for n in range(60)])
        ours, theirs = make_pair(is_client=True, peer=Certificate(key, self_sign(key, names)))
        ours.start(0.0)
        deliver(ours, theirs)
        for datagram in reversed(theirs.datagrams_to_send()):
            ours.receive_datagram(datagram)
        exchange(ours, theirs)
        assert [type(event) for event in ours.events()] == [DtlsConnected]

    def test_start_twice_is_start_once(self):
        ours, theirs = make_pair(is_client=True)
        ours.start(0.0)
        handshake(ours, theirs)
        ours.start(0.0)
        assert ours.datagrams_to_send() == []


class TestFingerprints:
    KEY = ec.generate_private_key(ec.SECP256R1())
    CERTIFICATE = self_sign(KEY)
    PEER = Certificate(KEY, CERTIFICATE)
    DER = CERTIFICATE.public_bytes(serialization.Encoding.DER)

    def digest(self, name: str) -> bytes:
        return new_hash(name.lower().replace("-", ""), self.DER).digest()

    @BOTH_ROLES
    @pytest.mark.parametrize("name", ["sha-256", "SHA-384", "sha-512", "sha-1"])
    def test_hash_functions(self, is_client, name):
        connected(is_client, peer=self.PEER, expect=[Fingerprint(name, self.digest(name))])

    def test_one_of_several_is_enough(self):
        wrong = Fingerprint("sha-256", bytes(32))
        connected(peer=self.PEER, expect=[wrong, Fingerprint("sha-256", self.digest("sha-256")), wrong])

    @BOTH_ROLES
    @pytest.mark.parametrize(
        "names",
        [["sha-256"], ["md5"], [], ["sha-512", "+sha-256"], ["sha-256", "+sha-1"]],
        ids=["wrong", "unsupported", "none", "best of two wrong", "sha-1 does not help"],
    )
    def test_mismatch_ends_it(self, is_client, names):
        expect = [
            Fingerprint(name.strip("+"), self.digest(name.strip("+")) if "+" in name else b"wrong")
            for name in names
        ]
        ours, theirs = make_pair(is_client, peer=self.PEER, expect=expect)
        events, their_events = handshake(ours, theirs)
        assert events == [DtlsFailed("fingerprint mismatch")]
        assert their_events[-1] == DtlsClosed()
        assert ours.deadline(0.0) is None


class TestRefusals:
    @BOTH_ROLES
    def test_no_common_srtp_profile(self, is_client):
        events, _ = handshake(*make_pair(is_client, peer=odd_peer()))
        assert events == [DtlsFailed("no common SRTP profile")]

    def test_client_without_certificate(self):
        peer = odd_peer(has_certificate=False)
        events, their_events = handshake(*make_pair(peer=peer))
        assert events == [DtlsFailed("peer did not return a certificate")]
        assert "alert" in their_events[-1].reason

    @BOTH_ROLES
    def test_no_common_cipher(self, is_client):
        peer = odd_peer(lambda context: context.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA"))
        [event], [their_event] = handshake(*make_pair(is_client, peer=peer))
        assert isinstance(event, DtlsFailed)
        assert isinstance(their_event, DtlsFailed)
        assert ("alert" in event.reason) is is_client

    def test_nothing_is_taken_after_failure(self):
        ours, theirs = make_pair(expect=[])
        handshake(ours, theirs)
        client = DtlsTransport(THEIRS, is_client=True, fingerprints=[fingerprint(OURS)])
        client.start(0.0)
        deliver(client, ours)
        ours.handle_timeout(0.0)
        ours.close()
        assert ours.datagrams_to_send() == []
        assert ours.events() == []


class TestLoss:
    def test_a_hello_is_repeated_early_until_the_peer_speaks(self):
        ours, theirs = make_pair(is_client=True)
        ours.start(100.0)
        [hello] = ours.datagrams_to_send()
        assert ours.deadline(100.0) == 100.0 + HELLO_REPEATS[0]
        ours.handle_timeout(100.0)
        assert ours.datagrams_to_send() == []
        ours.handle_timeout(100.0 + HELLO_REPEATS[0])
        assert ours.datagrams_to_send() == [hello]
        assert ours.deadline(100.0) == 100.0 + HELLO_REPEATS[1]
        theirs.receive_datagram(hello)
        theirs.receive_datagram(hello)
        deliver(theirs, ours)
        ours.datagrams_to_send()
        ours.handle_timeout(100.0 + HELLO_REPEATS[1])
        assert ours.datagrams_to_send() == []

    def test_lost_flights_are_repeated_when_openssl_says_so(self):
        """OpenSSL's own clock knows no other time than the real one: the one wait of this module, for all."""
        first_lost, last_lost = make_pair(is_client=True), make_pair(is_client=True)
        for ours, _ in (first_lost, last_lost):
            ours.start(0.0)
        for now in (0.0, *HELLO_REPEATS):
            first_lost[0].handle_timeout(now)
            first_lost[0].datagrams_to_send()
        for sender, receiver in (last_lost, reversed(last_lost), last_lost):
            deliver(sender, receiver)
        assert last_lost[1].datagrams_to_send()
        assert last_lost[1].deadline(0.0) is None
        for ours, _ in (first_lost, last_lost):
            ours.handle_timeout(0.0)
            assert ours.datagrams_to_send() == []
            assert 100.0 < ours.deadline(100.0) <= 101.0

        time.sleep(last_lost[0].deadline(0.0))

        for ours, theirs in (first_lost, last_lost):
            assert ours.deadline(100.0) == 100.0
            ours.handle_timeout(0.0)
            exchange(ours, theirs)
            assert [type(event) for event in ours.events() + theirs.events()] == [DtlsConnected] * 2
            assert ours.deadline(0.0) is None


class TestClose:
    @BOTH_ROLES
    def test_close_notify_reaches_the_peer_and_is_answered(self, is_client):
        ours, theirs = connected(is_client)
        ours.close()
        ours.close()
        assert deliver(ours, theirs) == 1
        assert theirs.events() == [DtlsClosed()]
        assert deliver(theirs, ours) == 1
        theirs.close()
        assert theirs.datagrams_to_send() == []
        assert ours.events() == []
        assert ours.deadline(0.0) is None

    @BOTH_ROLES
    def test_before_the_handshake(self, is_client):
        ours, theirs = make_pair(is_client)
        ours.close()
        ours.start(0.0)
        theirs.start(0.0)
        exchange(ours, theirs)
        assert ours.events() == theirs.events() == []


class TestHostileDatagrams:
    # Eight bytes complete the record header, a handshake message has at least twelve.
    @given(st.binary(max_size=64) | st.binary(max_size=19).map(lambda tail: b"\x16\xfe\xfd\0\0" + tail))
    def test_garbage_is_malformed_and_the_handshake_goes_on(self, data):
        ours, theirs = make_pair(is_client=True)
        ours.start(0.0)
        for sender, receiver in (ours, theirs), (theirs, ours):
            assert_malformed(receiver, data)
            deliver(sender, receiver)
        exchange(ours, theirs)
        assert [type(event) for event in ours.events() + theirs.events()] == [DtlsConnected] * 2

    @given(
        kind=st.integers(0, 255),
        epoch=st.integers(0, 3),
        sequence=st.integers(0, 2**48 - 1),
        body=st.binary(max_size=64),
    )
    def test_forged_records_do_nothing_to_a_connection(self, kind, epoch, sequence, body):
        ours, theirs = ESTABLISHED
        head = bytes((kind,)) + b"\xfe\xfd" + epoch.to_bytes(2, "big") + sequence.to_bytes(6, "big")
        try:
            ours.receive_datagram(head + len(body).to_bytes(2, "big") + body)
        except ParseError as error:
            assert error.reason is DropReason.DTLS_MALFORMED
        assert ours.events() == []
        theirs._connection.send(b"still here")
        assert deliver(theirs, ours) == 1
        assert ours.events() == []

    @given(st.data())
    def test_a_damaged_flight_raises_nothing_else(self, data):
        flight = data.draw(st.sampled_from(FLIGHTS))
        index = data.draw(st.integers(0, len(flight) - 1))
        damaged = (
            flight[:index] + bytes((flight[index] ^ data.draw(st.integers(1, 255)),)) + flight[index + 1 :]
        )
        ours = DtlsTransport(OURS, is_client=False, fingerprints=[fingerprint(THEIRS)])
        for datagram in (damaged, flight[:index], damaged):
            try:
                ours.receive_datagram(datagram)
            except ParseError as error:
                assert error.reason is DropReason.DTLS_MALFORMED
            ours.handle_timeout(0.0)
            assert all(len(answer) <= MTU_BYTES for answer in ours.datagrams_to_send())
        assert all(isinstance(event, DtlsFailed) for event in ours.events())

    @pytest.mark.parametrize(
        ("record", "is_whole"),
        [
            ("16fefd 0000 000000000000 000c 0e0000000000000000000000", True),  # an empty message
            ("16fefd 0000 000000000000 0000", False),  # no message
            ("16fefd 0000 000000000000 000d 01000002000000000100000161", True),  # byte 1 of 2
            ("16fefd 0000 000000000000 000d 01000001000000000100000161", False),  # byte 1 of 1
            ("16fefd 0000 000000000000 000d 01000002000000000000000261", False),  # bytes 0 and 1, cut
            ("16fefd 0000 000000000000 000d 01004000000000000000000161", True),
            ("16fefd 0000 000000000000 000d 01004001000000000000000161", False),  # of too long a message
            ("14fefd 0000 000000000000 0001 02", False),
            ("15fefd 0000 000000000000 0002 0000", False),  # an alert of no known level
            ("15fefd 0000 000000000000 0003 010000", False),
            ("17fefd 0000 000000000000 0001 00", False),  # application data in the clear
            ("17fefd 0001 000000000000 0001 00", True),
            ("16fe00 0001 000000000000 0001 00", False),
            ("160301 0001 000000000000 0001 00", False),
        ],
    )
    def test_shape_of_records(self, record, is_whole):
        ours, _ = make_pair(is_client=True)
        try:
            ours.receive_datagram(bytes.fromhex(record))
        except ParseError as error:
            assert error.reason is DropReason.DTLS_MALFORMED
            assert not is_whole
        else:
            assert is_whole

    def test_fatal_alert_ends_a_handshake_with_its_name(self):
        ours, _ = make_pair(is_client=True)
        ours.start(0.0)
        ours.receive_datagram(bytes.fromhex("15fefd 0000 000000000000 0002 0228"))
        [event] = ours.events()
        assert isinstance(event, DtlsFailed)
        assert "handshake failure" in event.reason

    def test_alert_without_a_name_ends_it_too(self):
        ours, _ = make_pair(is_client=True)
        ours.start(0.0)
        ours.receive_datagram(bytes.fromhex("15fefd 0000 000000000000 0002 02c8"))
        assert ours.events() == [DtlsFailed("handshake broken off")]

    def test_warning_alert_does_not(self):
        ours, theirs = make_pair(is_client=True)
        ours.start(0.0)
        ours.receive_datagram(bytes.fromhex("15fefd 0000 000000000020 0002 0170"))  # unrecognized_name
        exchange(ours, theirs)
        assert [type(event) for event in ours.events()] == [DtlsConnected]

    def test_replayed_flights_are_ignored(self):
        ours, theirs = make_pair(is_client=True)
        ours.start(0.0)
        seen = []
        while datagrams := ours.datagrams_to_send():
            seen += datagrams
            for datagram in datagrams:
                theirs.receive_datagram(datagram)
            deliver(theirs, ours)
        [event] = theirs.events()
        assert isinstance(event, DtlsConnected)
        for datagram in seen:
            theirs.receive_datagram(datagram)
        assert theirs.events() == theirs.datagrams_to_send() == []


def assert_malformed(transport: DtlsTransport, data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        transport.receive_datagram(data)
    assert caught.value.reason is DropReason.DTLS_MALFORMED


def record_flights() -> list[bytes]:
    """All datagrams a client sends in a handshake."""
    ours, theirs = make_pair()
    theirs.start(0.0)
    flights: list[bytes] = []
    while datagrams := theirs.datagrams_to_send():
        flights += datagrams
        for datagram in datagrams:
            ours.receive_datagram(datagram)
        deliver(ours, theirs)
    return flights


FLIGHTS = record_flights()
ESTABLISHED = connected()
