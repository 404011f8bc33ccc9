"""ICE, DTLS and SRTP of one session as one transport.

ICE tells where the client is, DTLS runs there and hands its keys to SRTP. RFC 5763, section 5: media is
taken as soon as the handshake is through; BUNDLE (RFC 9143) makes this the only transport of a session.
"""

from typing import assert_never

from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import DtlsClosed, DtlsConnected, DtlsFailed, DtlsTransport
from whipway.protocol.ice import Address, IceAgent
from whipway.protocol.srtp import SrtpSession
from whipway.session.events import Connected, Ended, EndReason


class Transport:
    """Datagrams in, plain RTP and RTCP out, and the other way round for RTCP.

    `last_heard` is the time of the last authenticated datagram, None before the first.
    """

    def __init__(self, ice: IceAgent, dtls: DtlsTransport) -> None:
        self.last_heard: float | None = None
        self._ice = ice
        self._dtls = dtls
        self._srtp: SrtpSession | None = None
        self._started = False
        self._events: list[Connected | Ended] = []

    @property
    def remote_address(self) -> Address | None:
        """Where the client is."""
        return self._ice.selected

    def is_validated(self, addr: Address) -> bool:
        """Tell whether an authentic ICE check came from this address."""
        return self._ice.is_validated(addr)

    def receive_stun(self, data: bytes, addr: Address, now: float) -> None:
        """Feed a STUN message. Raises ParseError."""
        self._ice.receive_datagram(data, addr, now)
        if self._ice.last_check == now:  # It was a check, and an authentic one.
            self.last_heard = now
        if self._ice.events() and not self._started:
            self._started = True
            self._dtls.start(now)
            self._take_dtls_events(now)

    def receive_dtls(self, data: bytes, addr: Address, now: float) -> None:
        """Feed a DTLS datagram. Raises ParseError."""
        # The address must have passed an ICE check, which takes the place of DTLS cookies.
        if not self._ice.is_validated(addr):
            raise ParseError(DropReason.UNKNOWN_ADDRESS)
        # Of all this only the end of the handshake is heard: OpenSSL does not tell which record was forged.
        self._dtls.receive_datagram(data)
        self._take_dtls_events(now)

    def unprotect_rtp(self, data: bytes, now: float) -> bytes:
        """Decrypt an SRTP packet. Raises ParseError."""
        if self._srtp is None:
            raise ParseError(DropReason.SRTP_BEFORE_DTLS)
        plain = self._srtp.unprotect_rtp(data)
        self.last_heard = now
        return plain

    def unprotect_rtcp(self, data: bytes, now: float) -> bytes:
        """Decrypt an SRTCP packet. Raises ParseError."""
        if self._srtp is None:
            raise ParseError(DropReason.SRTP_BEFORE_DTLS)
        plain = self._srtp.unprotect_rtcp(data)
        self.last_heard = now
        return plain

    def protect_rtcp(self, data: bytes) -> bytes:
        """Encrypt a compound RTCP packet. Valid after `Connected`."""
        assert self._srtp is not None
        return self._srtp.protect_rtcp(data)

    def handle_timeout(self, now: float) -> None:
        """Retransmit what DTLS wants to."""
        deadline = self._dtls.deadline(now)
        if deadline is not None and deadline <= now:
            self._dtls.handle_timeout(now)
            self._take_dtls_events(now)

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` is wanted."""
        return self._dtls.deadline(now)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """STUN answers to where they belong, DTLS to the selected address."""
        datagrams = self._ice.datagrams_to_send()
        if (address := self._ice.selected) is not None:
            datagrams += [(data, address) for data in self._dtls.datagrams_to_send()]
        return datagrams

    def events(self) -> list[Connected | Ended]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Say goodbye by close_notify (RFC 9725, section 4.2: the end of DTLS ends the session)."""
        self._dtls.close()

    def _take_dtls_events(self, now: float) -> None:
        for event in self._dtls.events():
            match event:
                case DtlsConnected(profile, local_key, remote_key):
                    self._srtp = SrtpSession(profile, local_key, remote_key)
                    self.last_heard = now
                    self._events.append(Connected(profile))
                case DtlsFailed(reason):
                    self._events.append(Ended(EndReason.DTLS_FAILED, reason))
                case DtlsClosed():
                    self._events.append(Ended(EndReason.CLIENT_CLOSED, "the client closed its connection"))
                case _:
                    assert_never(event)
