"""Whatever datagrams come before, within and after a real handshake, in either role: DTLS raises nothing but
ParseError, sends no datagram beyond its MTU, connects only with the peer that SDP named, both ends then
having the same keys, and nothing forged ends it any more once it is connected."""

from enum import IntEnum

from fuzz.script import Script, block, spoil
from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import (
    MTU_BYTES,
    Certificate,
    DtlsClosed,
    DtlsConnected,
    DtlsEvent,
    DtlsFailed,
    DtlsTransport,
    Fingerprint,
    generate_certificate,
)

CERTIFICATE = generate_certificate()
PEER_CERTIFICATE = generate_certificate()


class Step(IntEnum):
    """What may happen to a transport."""

    EXCHANGE = 0
    """The peer's datagrams arrive, and the answers to them."""
    RAW = 1
    SPOILED = 2
    """One of the peer's datagrams, of now or of before, changed or not."""
    LOSE = 3
    TIMEOUT = 4


class Ends:
    """The transport under test and an honest peer, whose datagrams wait to be delivered."""

    def __init__(self, is_client: bool) -> None:
        self.machine = _transport(CERTIFICATE, PEER_CERTIFICATE.fingerprint, is_client)
        self._peer = _transport(PEER_CERTIFICATE, CERTIFICATE.fingerprint, not is_client)
        self.events: list[DtlsEvent] = []
        self._peer_events: list[DtlsEvent] = []
        self._waiting: list[bytes] = []
        self._sent: list[bytes] = []
        self.machine.start(0.0)
        self._peer.start(0.0)
        self._drain()

    def step(self, script: Script) -> None:
        match Step(script.choose(len(Step))):
            case Step.EXCHANGE:
                waiting, self._waiting = self._waiting, []
                for datagram in waiting:
                    self._receive(datagram)
            case Step.RAW:
                self._receive(script.block())
            case Step.SPOILED:
                at = script.number()
                datagram = self._sent[at % len(self._sent)] if self._sent else b""
                self._receive(spoil(datagram, script))
            case Step.LOSE:
                self._waiting = []
            case Step.TIMEOUT:
                self.machine.handle_timeout(script.number() / 8)
        self._drain()

    def _receive(self, datagram: bytes) -> None:
        try:
            self.machine.receive_datagram(datagram)
        except ParseError as error:
            assert error.reason is DropReason.DTLS_MALFORMED
        self._drain()

    def _drain(self) -> None:
        for datagram in self.machine.datagrams_to_send():
            assert 0 < len(datagram) <= MTU_BYTES
            self._peer.receive_datagram(datagram)
        sent = self._peer.datagrams_to_send()
        self._waiting += sent
        self._sent += sent
        self.events += self.machine.events()
        self._peer_events += self._peer.events()
        self._check()

    def _check(self) -> None:
        kinds = [type(event) for event in self.events]
        assert kinds in ([], [DtlsConnected], [DtlsFailed], [DtlsClosed])
        assert (self.machine.deadline(0.0) is None) or kinds in ([], [DtlsConnected])
        match self.events, self._peer_events:
            case [DtlsConnected() as here], [DtlsConnected() as there]:
                assert (here.profile, here.local_key) == (there.profile, there.remote_key)
                assert here.remote_key == there.local_key


def _transport(certificate: Certificate, fingerprint: str, is_client: bool) -> DtlsTransport:
    expected = Fingerprint("sha-256", bytes.fromhex(fingerprint.replace(":", "")))
    return DtlsTransport(certificate, is_client=is_client, fingerprints=[expected])


def target(data: bytes) -> bool:
    """The role, and a list of steps."""
    script = Script(data)
    ends = Ends(is_client=script.choose(2) == 1)
    while script:
        ends.step(script)
    return any(isinstance(event, DtlsConnected) for event in ends.events)


def seeds() -> list[bytes]:
    exchange, lose = bytes((Step.EXCHANGE,)), bytes((Step.LOSE,))
    alert = bytes((Step.RAW,)) + block(b"\x15\xfe\xfd" + bytes(9) + b"\x02\x02\x28")
    encrypted = bytes((Step.RAW,)) + block(b"\x15\xfe\xfd\0\x01" + bytes(7) + b"\x1a" + bytes(26))
    again = bytes((Step.SPOILED, 0, 0, 0, 0, 0, 0))
    spoiled = bytes((Step.SPOILED, 1, 0, 70, 1, 0, 0))
    timeout = bytes((Step.TIMEOUT, 1))
    steps = [
        exchange * 4,
        timeout + exchange * 4 + alert + encrypted + again + spoiled,
        exchange + again + exchange * 3 + lose + timeout,
        encrypted + exchange * 4 + encrypted,
    ]
    return [bytes((role,)) + step for role in (0, 1) for step in steps]
