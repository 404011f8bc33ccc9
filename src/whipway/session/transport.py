"""ICE, DTLS and SRTP of one session as one transport.

ICE tells where the client is, DTLS runs there and hands its keys to SRTP. RFC 5763, section 5: media is
taken as soon as the handshake is through; BUNDLE (RFC 9143) makes this the only transport of a session.
"""

from math import inf
from typing import assert_never

from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import DtlsClosed, DtlsConnected, DtlsFailed, DtlsTransport
from whipway.protocol.ice import Address, IceAgent
from whipway.protocol.srtp import SrtpSession
from whipway.session.events import Connected, Ended, EndReason

MAX_FLIGHT_TIME = 0.6
"""Seconds. OpenSSL repeats a flight after one: what takes longer was repeated by the other side, perhaps."""
MEDIA_FRESHNESS = 2.0
"""Seconds after which the address that media came from is no better than the one ICE has selected."""


class Transport:
    """Datagrams in, plain RTP and RTCP out, and the other way round for RTCP.

    `last_heard` is the time of the last authenticated datagram, None before the first. `round_trip` is the
    shortest time in seconds that a flight of the handshake was answered in, None before. `last_seen` also
    counts DTLS and repeated checks from the client's addresses, which may be forged.
    `media_address` and `media_at` tell where and when the last authentic media came.
    """

    def __init__(self, ice: IceAgent, dtls: DtlsTransport) -> None:
        self.last_heard: float | None = None
        self.last_seen = -inf
        self.media_address: Address | None = None
        self.media_at = -inf
        self.round_trip: float | None = None
        self._now = 0.0
        self._flight_at: float | None = None
        self._is_flight_repeated = False
        self._ice = ice
        self._dtls = dtls
        self._srtp: SrtpSession | None = None
        self._started = False
        self._events: list[Connected | Ended] = []

    @property
    def remote_address(self) -> Address | None:
        """Where the client is: as ICE has it, unless media came from elsewhere since.

        A client that goes on over a path of lower priority would wait for seconds until ICE agrees; and media
        cannot be played back from another address, as a check might be. When nothing but checks has come for
        a while, ICE is right again: the last media may have been a straggler from the path that was left.
        """
        is_fresh = self.last_heard is not None and self.media_at > self.last_heard - MEDIA_FRESHNESS
        if is_fresh and self.media_at > self._ice.selected_at and self.media_address is not None:
            if self._ice.is_validated(self.media_address):
                return self.media_address
        return self._ice.selected

    def is_validated(self, addr: Address) -> bool:
        """Tell whether an authentic ICE check came from this address."""
        return self._ice.is_validated(addr)

    def receive_stun(self, data: bytes, addr: Address, now: float) -> None:
        """Feed a STUN message. Raises ParseError."""
        self._now = now
        self._ice.receive_datagram(data, addr, now)
        if self._ice.last_check == now:  # It was a check, and an authentic one.
            self.last_heard = now
        if self._ice.is_validated(addr):
            self.last_seen = now
        if self._ice.events() and not self._started:
            self._started = True
            self._dtls.start(now)
            self._take_dtls_events(now)

    def receive_dtls(self, data: bytes, addr: Address, now: float) -> None:
        """Feed a DTLS datagram. Raises ParseError."""
        # The address must have passed an ICE check, which takes the place of DTLS cookies. A handshake goes
        # on while ICE restarts, and its answers go where ICE is now.
        if not self._ice.was_validated(addr):
            raise ParseError(DropReason.UNKNOWN_ADDRESS)
        self._now = self.last_seen = now
        if self._flight_at is not None and not _is_client_hello(data):
            took = now - self._flight_at
            # A flight that was repeated, by either side, says nothing: which one was answered is not known.
            if not self._is_flight_repeated and took < MAX_FLIGHT_TIME:
                self.round_trip = took if self.round_trip is None else min(took, self.round_trip)
            self._flight_at = None
            self._is_flight_repeated = False
        # Of all this only the end of the handshake is heard: OpenSSL does not tell which record was forged.
        self._dtls.receive_datagram(data)
        self._take_dtls_events(now)

    def unprotect_rtp(self, data: bytes, addr: Address, now: float) -> bytes:
        """Decrypt an SRTP packet. Raises ParseError."""
        if self._srtp is None:
            raise ParseError(DropReason.SRTP_BEFORE_DTLS)
        plain = self._srtp.unprotect_rtp(data)
        self.last_heard = self.media_at = now
        self.media_address = addr
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
        self._now = now
        deadline = self._dtls.deadline(now)
        if deadline is not None and deadline <= now:
            self._dtls.handle_timeout(now)
            self._take_dtls_events(now)

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` is wanted."""
        return self._dtls.deadline(now)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """STUN answers to where they belong, DTLS to where the client is."""
        datagrams = self._ice.datagrams_to_send()
        if self._dtls.has_output and (address := self.remote_address) is not None:
            flight = self._dtls.datagrams_to_send()
            if flight:
                self._is_flight_repeated = self._flight_at is not None
                self._flight_at = self._flight_at or self._now
            datagrams += [(data, address) for data in flight]
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


def _is_client_hello(data: bytes) -> bool:
    """Tell a hello, which answers nothing: a client repeats it until it is answered itself.

    RFC 6347, 4.1 and 4.2.2: a record of type handshake (22), behind its header of 13 octets a message of
    type client_hello (1).
    """
    return data[:1] == b"\x16" and data[13:14] == b"\x01"
