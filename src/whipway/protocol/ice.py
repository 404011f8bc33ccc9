"""A lite ICE agent (RFC 8445 section 2.5) for one session: it answers checks and never sends any.

The server has public addresses, so the peer does the checking and this agent is always controlled. A check
is authenticated by the two ufrags and the local password; whatever address it came from is then validated,
so a peer needs no candidates (RFC 8445 section 7.3.1.3, peer-reflexive). Sending there is what the peer's
checks consent to (RFC 7675): `last_check` says when the last one came, the session decides when that is too
long ago. There are no timers here, hence no deadline.

Every check has a transaction id of its own. One that came before is no news: from the same address it is a
retransmission (RFC 8489, section 6.2.1), which is answered once more; from any other it was recorded on the
way and played back, and dropped.

A restart (RFC 8445 section 9) gives both sides new credentials, and leaves the old ones and what stands on
them in force until the peer nominates an address with the new ones. A peer that never does has lost nothing.

Which address is selected:
1. the first validated one, at once: data may flow on any valid pair (RFC 8445 section 12.1);
2. a nominated address (USE-CANDIDATE) replaces one that is not nominated;
3. of two nominated ones the higher PRIORITY wins (RFC 8445 section 8.1.1: "use the pairs with the highest
   priority"; with one local candidate the order of pairs is that of remote priorities). The newer one wins a
   tie: the same candidate behind a NAT that rebound. So it does, whatever its priority, when the selected
   address was not nominated again for `SELECTION_TIMEOUT`: the peer has moved on;
4. a selected address that was never nominated and is silent for as long gives way to any validated one.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from whipway.failures import DropReason, ParseError
from whipway.protocol.stun import (
    BINDING,
    Attribute,
    Message,
    MessageClass,
    parse_message,
    serialize_error_code,
    serialize_xor_address,
    verify_integrity,
)

Address = tuple[Any, ...]
"""A datagram's source: (host, port) or (host, port, flow info, scope id) as a UDP socket gives it, and
(host, port, number of the connection) where it came in a TCP connection (RFC 6544)."""

TCP_ADDRESS_PARTS = 3
"""By the number of its parts an address of a TCP connection is told from the others."""

MAX_VALIDATED_ADDRESSES = 16
"""By one pair of credentials: a peer has a handful of interfaces and relays; the bound is for one whose port
changes with every check."""

SELECTION_TIMEOUT = 7.0
"""Seconds. Consent checks come every 4 to 6 s (RFC 7675 section 5.1): past that an address is being left."""

MAX_TRANSACTIONS = 256
"""Remembered: ten minutes of consent checks, of which nobody retransmits one for longer than 40 s."""

_UFRAG_RANDOM_BYTES = 6
_PWD_RANDOM_BYTES = 18

# RFC 8489 section 14: attribute types below 0x8000 are comprehension-required.
_COMPREHENSION_OPTIONAL = 0x8000
_UNDERSTOOD = frozenset(
    {Attribute.USERNAME, Attribute.MESSAGE_INTEGRITY, Attribute.PRIORITY, Attribute.USE_CANDIDATE}
)


@dataclass(frozen=True, slots=True)
class AddressSelected:
    """Datagrams for the peer go to `addr` from now on."""

    addr: Address


def generate_credentials(random: Callable[[int], bytes]) -> tuple[str, str]:
    """A new (ufrag, pwd) for one session; `random(n)` gives n unpredictable bytes.

    RFC 8445 section 5.3 demands 24 and 128 bits of randomness. The 48 bits of the ufrag also keep it unique
    among the sessions of a worker, which routes first datagrams by it. The alphabet of base64 is that of
    ice-char, and multiples of three bytes need no "=".
    """
    return b64encode(random(_UFRAG_RANDOM_BYTES)).decode(), b64encode(random(_PWD_RANDOM_BYTES)).decode()


@dataclass(slots=True)
class _Generation:
    """One pair of credentials, and the addresses that checks with them came from."""

    ufrag: str
    key: bytes
    username: bytes
    """As checks have it (RFC 8445 section 7.2.2): the ufrag of the receiver, a colon, that of the sender."""
    validated: dict[Address, None] = field(default_factory=dict)
    """The least recently checked first."""


def _make_generation(ufrag: str, pwd: str, remote_ufrag: str) -> _Generation:
    return _Generation(ufrag, pwd.encode(), f"{ufrag}:{remote_ufrag}".encode())


class IceAgent:
    """Answers the peer's connectivity and consent checks, and knows where the peer is."""

    def __init__(self, *, ufrag: str, pwd: str, remote_ufrag: str) -> None:
        self.selected: Address | None = None
        """Where to send; None until the first authenticated check."""
        self.last_check: float | None = None
        """When the last authenticated check came: consent to send (RFC 7675 section 5)."""
        self.selected_at = 0.0
        """When `selected` was last decided anew."""
        self._current = _make_generation(ufrag, pwd, remote_ufrag)
        self._next: _Generation | None = None  # while a restart is pending
        self._former: dict[Address, None] = {}  # validated by the credentials before these
        self._transactions: dict[bytes, Address] = {}  # the oldest first
        self._nominated = False  # whether `selected` is
        self._priority = 0  # of `selected`
        self._renewed = 0.0  # when `selected` last earned its place
        self._datagrams: list[tuple[bytes, Address]] = []
        self._events: list[AddressSelected] = []

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Of this side: checks for them belong here. One, or two while a restart is pending."""
        return tuple(generation.ufrag for generation in self._generations())

    def restart(self, *, ufrag: str, pwd: str, remote_ufrag: str) -> None:
        """Take new credentials beside those in force, in place of any that were not taken up yet."""
        self._next = _make_generation(ufrag, pwd, remote_ufrag)

    def receive_datagram(self, data: bytes, addr: Address, now: float) -> None:
        """Take one STUN datagram.

        Raises ParseError with STUN_MALFORMED, STUN_UNKNOWN_USER, STUN_INTEGRITY or STUN_REPLAY. RFC 8489
        section 9.1.3 answers the second and third with 400 or 401; here they meet silence: an honest peer has
        the right credentials from SDP, and who sends from spoofed addresses finds no reflector.
        """
        message = parse_message(data)
        # Responses answer nothing that was sent from here; indications are keepalives without credentials.
        if message.message_class is not MessageClass.REQUEST:
            return
        generation = self._authenticate(message, data)
        is_new = self._remember(message.transaction_id, addr)
        priority = int.from_bytes(message.attributes.get(Attribute.PRIORITY, b""), "big")
        refusal = _refusal(message)
        if refusal is not None:
            self._respond(message, MessageClass.ERROR, refusal, addr, generation.key)
            return
        if is_new:
            self.last_check = now
            self._validate(generation, addr)
            nominates = Attribute.USE_CANDIDATE in message.attributes
            if generation is self._current:
                self._select(addr, priority, nominates, now)
            elif nominates or self.selected is None:
                # RFC 8445 section 9: until it has a nominated pair, data goes on over the one before; where
                # nothing was selected, there is nothing to go on with.
                self._former, self._current, self._next = self._current.validated, generation, None
                self.selected_at = now
                self._take(addr, priority, nominates, now)
        mapped = serialize_xor_address(addr[0], addr[1], message.transaction_id)
        attributes: dict[int, bytes] = {Attribute.XOR_MAPPED_ADDRESS: mapped}
        self._respond(message, MessageClass.SUCCESS, attributes, addr, generation.key)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """What to send, each with the very address tuple its request came with."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def events(self) -> list[AddressSelected]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def is_validated(self, addr: Address) -> bool:
        """Whether an authenticated check came from `addr`: only then may anything be sent there."""
        return any(addr in generation.validated for generation in self._generations())

    def was_validated(self, addr: Address) -> bool:
        """Whether it is validated, or was until the last restart: what was sent from there may still come."""
        return addr in self._former or self.is_validated(addr)

    def _generations(self) -> tuple[_Generation, ...]:
        return (self._current,) if self._next is None else (self._current, self._next)

    def _authenticate(self, message: Message, data: bytes) -> _Generation:
        if message.method != BINDING or len(message.attributes.get(Attribute.PRIORITY, b"")) not in (0, 4):
            raise ParseError(DropReason.STUN_MALFORMED, "not a connectivity check")
        username = message.attributes.get(Attribute.USERNAME)
        for generation in self._generations():
            if generation.username == username:
                if not verify_integrity(data, generation.key):
                    raise ParseError(DropReason.STUN_INTEGRITY)
                return generation
        raise ParseError(DropReason.STUN_UNKNOWN_USER)

    def _remember(self, transaction_id: bytes, addr: Address) -> bool:
        """Tell whether this transaction is a new one. Raises ParseError when it is somebody else's."""
        came_from = self._transactions.get(transaction_id)
        if came_from is not None:
            if came_from != addr:
                raise ParseError(DropReason.STUN_REPLAY)
            return False
        if len(self._transactions) == MAX_TRANSACTIONS:
            del self._transactions[next(iter(self._transactions))]
        self._transactions[transaction_id] = addr
        return True

    def _validate(self, generation: _Generation, addr: Address) -> None:
        validated = generation.validated
        validated.pop(addr, None)
        if len(validated) == MAX_VALIDATED_ADDRESSES:
            del validated[next(old for old in validated if old != self.selected)]
        validated[addr] = None

    def _select(self, addr: Address, priority: int, nominates: bool, now: float) -> None:
        """Apply the four rules of the module's docstring to one authenticated check."""
        if addr == self.selected:
            if not nominates and self._nominated:
                return
        elif self.selected is not None and not self._is_better(priority, nominates, now):
            return
        self._take(addr, priority, nominates, now)

    def _take(self, addr: Address, priority: int, nominates: bool, now: float) -> None:
        if addr != self.selected:
            self.selected, self.selected_at = addr, now
            self._events.append(AddressSelected(addr))
        self._nominated, self._priority, self._renewed = nominates, priority, now

    def _is_better(self, priority: int, nominates: bool, now: float) -> bool:
        is_left = now - self._renewed > SELECTION_TIMEOUT
        if not self._nominated:
            return nominates or is_left
        return nominates and (priority >= self._priority or is_left)

    def _respond(
        self, request: Message, kind: MessageClass, attributes: dict[int, bytes], addr: Address, key: bytes
    ) -> None:
        # RFC 8489 section 9.1.3: the response is protected with the credential of the request.
        response = Message(kind, BINDING, request.transaction_id, attributes)
        self._datagrams.append((response.serialize(key), addr))


def _refusal(request: Message) -> dict[int, bytes] | None:
    """The attributes of the error response an authenticated request deserves, or None."""
    # RFC 8489 section 6.3.1: unknown comprehension-required attributes → 420 that lists them.
    unknown = [
        attribute.to_bytes(2, "big")
        for attribute in request.attributes
        if attribute < _COMPREHENSION_OPTIONAL and attribute not in _UNDERSTOOD
    ]
    if unknown:
        code = serialize_error_code(420, "Unknown Attribute")
        return {Attribute.ERROR_CODE: code, Attribute.UNKNOWN_ATTRIBUTES: b"".join(unknown)}
    # RFC 8445 section 6.1.1: a lite agent is controlled, its full peer controlling. Section 7.3.1.1 answers a
    # peer that thinks otherwise with 487; no tie-breaker is compared, because no role could be switched.
    if Attribute.ICE_CONTROLLED in request.attributes:
        return {Attribute.ERROR_CODE: serialize_error_code(487, "Role Conflict")}
    return None
