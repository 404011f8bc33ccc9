"""Which session a datagram belongs to: STUN by the user name in it, all else by the address it came from.

The routes to a session follow what ICE says: `learn` after each STUN message. Two user names lead to a
session while ICE restarts. An address that ICE no longer knows keeps its route: what else comes from there is
authenticated by SRTP, and media on its way during a restart is not to be lost. Every table is bounded by the
number of sessions.
"""

from collections import Counter

from whipway.failures import DropReason
from whipway.protocol.ice import TCP_ADDRESS_PARTS, Address
from whipway.protocol.stun import parse_username
from whipway.worker.broadcast import Broadcast
from whipway.worker.tcp_media import TcpMedia

FIRST_STUN_BYTE_MAX = 3
"""RFC 7983, section 7."""
MAX_ADDRESSES = 8
"""Of one session: a client has a few interfaces, and moves now and then."""
ADDRESS_HOLD = 2.0
"""Seconds for which an address stays with the session last heard from there."""


class Routes:
    """The worker's tables. A broadcast's own entries stand in its `ufrags` and `addresses`.

    What belongs to nobody is counted in `drops`. TCP connections that are routed may stay, all others go.
    """

    def __init__(self, drops: Counter[DropReason], tcp: TcpMedia | None) -> None:
        self._drops = drops
        self._tcp = tcp
        self._by_ufrag: dict[str, Broadcast] = {}
        self._by_address: dict[Address, Broadcast] = {}

    def find(self, data: bytes, addr: Address) -> Broadcast | None:
        """Whose datagram this is."""
        if not data:
            self._drops[DropReason.UNKNOWN_DATAGRAM] += 1
            return None
        if data[0] > FIRST_STUN_BYTE_MAX:
            broadcast = self._by_address.get(addr)
            if broadcast is None:
                self._drops[DropReason.UNKNOWN_ADDRESS] += 1
            return broadcast
        names = parse_username(data)
        broadcast = self._by_ufrag.get(names[0]) if names else None
        if broadcast is None:
            self._drops[DropReason.STUN_UNKNOWN_USER] += 1
        return broadcast

    def follow(self, broadcast: Broadcast) -> None:
        """Route the user names of its ICE session: after its creation, a restart, and each STUN message."""
        ufrags = broadcast.session.ice.ufrags
        if ufrags != broadcast.ufrags:
            self._drop_ufrags(broadcast)
            broadcast.ufrags = ufrags
            for ufrag in ufrags:
                self._by_ufrag[ufrag] = broadcast

    def learn(self, broadcast: Broadcast, addr: Address, now: float) -> None:
        """Route an address that ICE has validated, and the user names; a session keeps its latest addresses.

        Checks can be recorded and played back from anywhere, so they must not take the address that media
        come from: not from another session, and not from their own by pushing it out of the list.
        """
        self.follow(broadcast)
        transport = broadcast.session.transport
        holder = self._by_address.get(addr)
        if holder is broadcast or not transport.is_validated(addr):
            return
        if holder is not None and holder.session.was_heard_since(now - ADDRESS_HOLD):
            return
        known = broadcast.addresses
        if addr not in known:
            known.append(addr)
        if len(known) > MAX_ADDRESSES:
            needed = (addr, transport.media_address, transport.remote_address)
            spare = next(each for each in known if each not in needed)
            known.remove(spare)
            self._unroute(spare, broadcast)
        self._by_address[addr] = broadcast
        if self._tcp is not None and len(addr) == TCP_ADDRESS_PARTS:
            self._tcp.adopt(addr)

    def forget(self, broadcast: Broadcast) -> None:
        """Take every route to a session away."""
        self._drop_ufrags(broadcast)
        for addr in broadcast.addresses:
            self._unroute(addr, broadcast)
        broadcast.addresses.clear()

    def _drop_ufrags(self, broadcast: Broadcast) -> None:
        for ufrag in broadcast.ufrags:
            del self._by_ufrag[ufrag]
        broadcast.ufrags = ()

    def _unroute(self, addr: Address, broadcast: Broadcast) -> None:
        # Unless another session has been heard from there since.
        if self._by_address.get(addr) is broadcast:
            del self._by_address[addr]
            if self._tcp is not None and len(addr) == TCP_ADDRESS_PARTS:
                self._tcp.release(addr)
