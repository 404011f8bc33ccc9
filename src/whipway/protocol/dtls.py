"""DTLS-SRTP (RFC 5764) over DTLS 1.2 (RFC 6347): the handshake that yields the SRTP keys of one session.

The records are OpenSSL's work, through pyOpenSSL and memory BIOs: the one machine of this ring with a clock
of its own. OpenSSL reads the time itself and only tells how long it will still wait, so `deadline` is right
while `now` runs at the speed of real time, and a lost flight is repeated after a real second (RFC 6347
section 4.2.4.1). Peers are known by the fingerprint in their SDP (RFC 8122), never by what their certificate
says: it is hashed, not parsed, since libdatachannel's version field makes parsers fail. There is no cookie
exchange (RFC 6347 section 4.2.1): ICE proved the address before the first datagram gets here. Left out:
DTLS 1.3 (OpenSSL has none; peers fall back), resumption, renegotiation, application data (dropped).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from whipway.failures import DropReason, ParseError

MTU_BYTES = 1200
"""The longest datagram sent: fits every path that IPv6 may use (1280) with headers and a tunnel to spare."""

# 128 bits are beyond attack, and every packet costs fewer rounds than with 256; the SHA-1 profile, which each
# peer has (RFC 8827 section 6.5), needs a third more time per packet than AES-GCM.
SRTP_PROFILES: dict[str, tuple[int, int]] = {
    "SRTP_AEAD_AES_128_GCM": (16, 12),
    "SRTP_AEAD_AES_256_GCM": (32, 12),
    "SRTP_AES128_CM_SHA1_80": (16, 14),
}
"""Name → bytes of master key and master salt (RFC 5764 section 4.1.2, RFC 7714 section 14.2), best first."""

# RFC 8827 section 6.5 makes the first one mandatory, so CBC suites would gain no peer. ECDHE-RSA is for peers
# whose certificate is RSA (GStreamer) while we are the client.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_DTLS_1_2_VERSION = 0xFEFD

HELLO_REPEATS = (0.03, 0.1, 0.3)
"""Seconds after a client's first hello at which it is sent again, unless the peer has spoken. Some servers
(ffmpeg) only begin to listen when the first one comes, and lose it; OpenSSL would repeat it after a second, a
second that every viewer waits. RFC 6347 section 4.2.4.1 allows shorter timers where time matters; the copies
are byte for byte what a network that duplicates would deliver."""

_HASHES = {"sha-512": "sha512", "sha-384": "sha384", "sha-256": "sha256", "sha-1": "sha1"}
"""Hash function names of RFC 8122 section 5 → OpenSSL's, most preferred first."""

_CERTIFICATE_NAME = "whipway"
_CERTIFICATE_AGE = timedelta(days=1)  # clocks differ, and some peers do look
_CERTIFICATE_LIFETIME = timedelta(days=3650)  # longer than any process that made it

_RECORD_HEADER_BYTES = 13
_MAX_RECORD_BYTES = 16384
_VERSIONS = (b"\xfe\xff", b"\xfe\xfd")  # DTLS 1.0, which first flights carry whatever they offer, and 1.2
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 20, 21, 22
_MESSAGE_HEADER_BYTES = 12
# OpenSSL makes room for what a fragment announces; the certificates of WebRTC peers have a kilobyte or two.
_MAX_MESSAGE_BYTES = 16384

_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"


class Fingerprint(NamedTuple):
    """The hash of a certificate's DER as SDP gives it: algorithm as in "sha-256" (any case), digest bytes."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class DtlsConnected:
    """The peer is the one SDP named. `profile` is in SRTP_PROFILES; the keys are master key plus salt."""

    profile: str
    local_key: bytes
    remote_key: bytes


@dataclass(frozen=True, slots=True)
class DtlsFailed:
    """The session cannot go on; `reason` is for people. Nothing more is sent or taken, but for an alert."""

    reason: str


@dataclass(frozen=True, slots=True)
class DtlsClosed:
    """The peer said goodbye (close_notify)."""


DtlsEvent = DtlsConnected | DtlsFailed | DtlsClosed


class Certificate:
    """A self-signed certificate and its key in memory, with the OpenSSL context all sessions share."""

    def __init__(
        self, private_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, certificate: x509.Certificate
    ) -> None:
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        """SHA-256, as in "AB:CD:…", for `a=fingerprint:sha-256`."""
        self.context = _make_context(private_key, certificate)


def generate_certificate() -> Certificate:
    """A new ECDSA P-256 certificate (RFC 8827 section 6.5). One per process is enough."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _CERTIFICATE_NAME)])
    today = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - _CERTIFICATE_AGE)
        .not_valid_after(today + _CERTIFICATE_LIFETIME)
    )
    return Certificate(key, builder.sign(key, hashes.SHA256()))


class _State(Enum):
    HANDSHAKING = auto()
    CONNECTED = auto()
    CLOSED = auto()  # by either side
    FAILED = auto()


_LIVE = (_State.HANDSHAKING, _State.CONNECTED)


class DtlsTransport:
    """One session's handshake, as client or server, and its end.

    `fingerprints` are the peer's; one of the best hash function among them has to match.
    """

    def __init__(
        self, certificate: Certificate, *, is_client: bool, fingerprints: Sequence[Fingerprint]
    ) -> None:
        self._is_client = is_client
        self._fingerprints = fingerprints
        self._state = _State.HANDSHAKING
        self._events: list[DtlsEvent] = []
        self._sent: list[bytes] = []
        self._hello: list[bytes] = []
        self._hello_times: list[float] = []
        # Both are asked for all the time, and change only with what is done with the connection.
        self.has_output = False
        """Whether there may be something to send."""
        self._may_have_timer = False
        self._connection = SSL.Connection(certificate.context)
        # With OP_NO_QUERY_MTU there is no default: without this every flight fails as an unexpected EOF.
        self._connection.set_ciphertext_mtu(MTU_BYTES)
        if is_client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self, now: float) -> None:
        """The address is known: a client says hello, a server waits."""
        if self._is_client and self._state is _State.HANDSHAKING:
            self._run(self._advance)
            self._hello = self._read_flight()
            self._sent += self._hello
            self._hello_times = [now + delay for delay in HELLO_REPEATS]

    def receive_datagram(self, data: bytes) -> None:
        """Take one datagram of an address that ICE validated. Raises ParseError(DTLS_MALFORMED).

        Records that do not belong (old epochs, replays, bad tags) are dropped by OpenSSL. A well-formed
        forgery can end a handshake before it is encrypted, as in every DTLS; once connected, none can.
        """
        _check_records(data)
        self._hello_times.clear()
        if self._state in _LIVE:
            self._connection.bio_write(data)
            self._run(self._advance)

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` wants to be called, on the clock of `now`; None while nothing is awaited."""
        if not self._may_have_timer or self._state not in _LIVE:
            return None
        timeout = self._connection.DTLSv1_get_timeout()
        if timeout is None:
            self._may_have_timer = False
            return None
        return min([now + timeout, *self._hello_times[:1]])

    def handle_timeout(self, now: float) -> None:
        """Repeat what is overdue: an early hello, or the last flight by OpenSSL's own clock."""
        if self._state in _LIVE:
            if self._hello_times and self._hello_times[0] <= now:
                del self._hello_times[0]
                self._sent += self._hello
            self._run(self._connection.DTLSv1_handle_timeout)

    def datagrams_to_send(self) -> list[bytes]:
        """What to send to the selected address, each at most MTU_BYTES long."""
        sent, self._sent = self._sent, []
        self.has_output = False
        return sent + self._read_flight()

    def events(self) -> list[DtlsEvent]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Send close_notify if there is a connection to close. Idempotent; nothing is taken or sent after."""
        if self._state is _State.CONNECTED:
            self._run(self._connection.shutdown)
        if self._state in _LIVE:
            self._state = _State.CLOSED

    def _read_flight(self) -> list[bytes]:
        flight = b""
        try:
            while True:
                flight += self._connection.bio_read(_MAX_RECORD_BYTES)
        except SSL.WantReadError:
            return _split_flight(flight)

    def _run(self, operation: Callable[[], object]) -> None:
        """Do something with the connection and turn OpenSSL's exceptions into states and events."""
        self.has_output = self._may_have_timer = True
        try:
            operation()
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            # RFC 5246 section 7.2.1: respond with a close_notify of one's own.
            self._events.append(DtlsClosed())
            self.close()
        except SSL.Error as error:
            self._fail(_describe(error))

    def _advance(self) -> None:
        if self._state is _State.HANDSHAKING:
            self._connection.do_handshake()
            self._connect()
        # Reads alerts, answers retransmitted flights, drops application data; ends with WantReadError.
        while self._state is _State.CONNECTED:
            self._connection.recv(_MAX_RECORD_BYTES)

    def _connect(self) -> None:
        self._state = _State.CONNECTED
        # RFC 8122 section 6.2: a certificate without a matching fingerprint MUST end the connection.
        if not self._is_expected_peer():
            self._refuse("fingerprint mismatch")
            return
        profile = self._connection.get_selected_srtp_profile().decode()
        if not profile:
            self._refuse("no common SRTP profile")
            return
        # RFC 5764 section 4.2: client key, server key, client salt, server salt.
        key, salt = SRTP_PROFILES[profile]
        material = self._connection.export_keying_material(_EXPORTER_LABEL, 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        local, remote = (client, server) if self._is_client else (server, client)
        self._events.append(DtlsConnected(profile, local, remote))

    def _is_expected_peer(self) -> bool:
        # RFC 8122 section 5: of the fingerprints offered, those with the most preferred hash function count.
        offered: dict[str, list[bytes]] = {}
        for algorithm, digest in self._fingerprints:
            offered.setdefault(algorithm.lower(), []).append(digest)
        best = next((algorithm for algorithm in _HASHES if algorithm in offered), None)
        peer = self._connection.get_peer_certificate()
        if best is None or peer is None:
            return False
        return bytes.fromhex(peer.digest(_HASHES[best]).decode().replace(":", "")) in offered[best]

    def _refuse(self, reason: str) -> None:
        self._run(self._connection.shutdown)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._state = _State.FAILED
        self._events.append(DtlsFailed(reason))


def _make_context(
    private_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, certificate: x509.Certificate
) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2_VERSION)
    # A memory BIO knows no MTU: left to ask for it, OpenSSL takes the smallest and cuts flights in 256 bytes.
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(":".join(SRTP_PROFILES).encode())
    # Every self-signed certificate passes here; its fingerprint decides when the handshake is done.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_privatekey(private_key)
    context.use_certificate(certificate)
    return context


def _check_records(data: bytes) -> None:
    """Raise unless the datagram is whole records, well-formed as far as they are not encrypted.

    OpenSSL answers a malformed plaintext record with a fatal alert, so what is foreign has to end here.
    """
    offset = 0
    while offset < len(data) or not data:
        start = offset + _RECORD_HEADER_BYTES
        end = offset + _record_length(data, offset)
        if end > len(data) or data[offset + 1 : offset + 3] not in _VERSIONS:
            raise ParseError(DropReason.DTLS_MALFORMED, "record")
        is_encrypted = data[offset + 3 : offset + 5] != b"\0\0"  # the epoch
        if not (is_encrypted or _is_plaintext(data[offset], data[start:end])):
            raise ParseError(DropReason.DTLS_MALFORMED, "plaintext")
        offset = end


def _is_plaintext(content_type: int, body: bytes) -> bool:
    """Whether a record of epoch 0 can be what it says (RFC 6347 section 4.3)."""
    if content_type == _HANDSHAKE:
        return _is_handshake(body)
    if content_type == _ALERT:
        return len(body) == 2 and body[0] in (1, 2)
    return content_type == _CHANGE_CIPHER_SPEC and body == b"\x01"


def _is_handshake(body: bytes) -> bool:
    # RFC 6347 section 4.2.2: type (1), length (3), message_seq (2), fragment_offset (3), fragment_length (3)
    offset = 0
    while offset < len(body) or not body:
        length = int.from_bytes(body[offset + 1 : offset + 4], "big")
        fragment_offset = int.from_bytes(body[offset + 6 : offset + 9], "big")
        fragment_length = int.from_bytes(body[offset + 9 : offset + 12], "big")
        offset += _MESSAGE_HEADER_BYTES + fragment_length
        if offset > len(body) or not fragment_offset + fragment_length <= length <= _MAX_MESSAGE_BYTES:
            return False
    return True


def _record_length(data: bytes, offset: int) -> int:
    # content type (1), version (2), epoch (2), sequence number (6), length (2): RFC 6347 section 4.1
    return _RECORD_HEADER_BYTES + int.from_bytes(data[offset + 11 : offset + 13], "big")


def _split_flight(flight: bytes) -> list[bytes]:
    """Datagrams of whole records: a memory BIO hands a flight out as one stream of bytes.

    OpenSSL made each record to fit MTU_BYTES; as many as fit go together.
    """
    datagrams: list[bytes] = []
    start = end = 0
    while end < len(flight):
        length = _record_length(flight, end)
        if end > start and end + length - start > MTU_BYTES:
            datagrams.append(flight[start:end])
            start = end
        end += length
    if flight:
        datagrams.append(flight[start:])
    return datagrams


def _describe(error: SSL.Error) -> str:
    """OpenSSL's words for what went wrong, each once: it raises a list of (library, function, reason)."""
    entries = [entry for entry in error.args if isinstance(entry, list)]
    reasons = dict.fromkeys(str(reason) for entry in entries for *_, reason in entry if reason)
    return ", ".join(reasons) or "handshake broken off"
