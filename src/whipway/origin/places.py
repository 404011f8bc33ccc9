"""How many peers the origin has at a time: in all, and from one address.

A newcomer has not asked for a stream yet. There are few of them, each for some tenths of a second; where
there are too many, the oldest gives way, first of all that of the same address. Who asks for a stream needs a
place: where there is none, it is refused. The sinks of this server need none, so that nobody can shut them
out; they are told from others only when they ask, and as newcomers pass as quickly as anybody.
"""

from collections import Counter
from typing import Protocol

MAX_PLACES = 2000
"""Publishers and players. Each costs a descriptor, which sessions need too."""
MAX_PLACES_PER_ADDRESS = 500
"""Of one client's address: a hall full of players may stand behind it, but is not to keep others out."""
MAX_NEWCOMERS = 500
MAX_NEWCOMERS_PER_ADDRESS = 200
"""All sessions of this server come from one address, and after an outage many of them come together."""


class Quota:
    """Counts what is taken, in all and by each client. A client is any text."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken: Counter[str] = Counter()
        self._total = 0

    def has_room(self, client: str) -> bool:
        """Whether there is one for this client."""
        return self._total < self._most and self._taken[client] < self._most_of_one

    def take(self, client: str) -> bool:
        """Take one, if there is one for this client."""
        if not self.has_room(client):
            return False
        self._taken[client] += 1
        self._total += 1
        return True

    def give_back(self, client: str) -> None:
        """Give one back that was taken."""
        self._total -= 1
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]


class Peer(Protocol):
    """What is counted: a connection."""

    @property
    def client(self) -> str:
        """The addresses it is counted under."""
        ...


class Places:
    """Newcomers, and the places of those who have asked for a stream."""

    def __init__(self) -> None:
        self._newcomers: dict[Peer, None] = {}
        """In the order they came."""
        self._newcomers_of: dict[str, dict[Peer, None]] = {}
        self._holders: set[Peer] = set()
        self._quota = Quota(MAX_PLACES, MAX_PLACES_PER_ADDRESS)

    def enter(self, peer: Peer) -> Peer | None:
        """Take a newcomer. Returns the one that has to go for it, which is forgotten already."""
        neighbours = self._newcomers_of.setdefault(peer.client, {})
        self._newcomers[peer] = neighbours[peer] = None
        if len(neighbours) > MAX_NEWCOMERS_PER_ADDRESS:
            oldest = next(iter(neighbours))
        elif len(self._newcomers) > MAX_NEWCOMERS:
            oldest = next(iter(self._newcomers))
        else:
            return None
        self._forget_newcomer(oldest)
        return oldest

    def settle(self, peer: Peer) -> bool:
        """Give a newcomer a place, if there is one for it."""
        if not self._quota.take(peer.client):
            return False
        self._forget_newcomer(peer)
        self._holders.add(peer)
        return True

    def exempt(self, peer: Peer) -> None:
        """Count a newcomer no longer."""
        self._forget_newcomer(peer)

    def leave(self, peer: Peer) -> None:
        """Forget a peer, whatever it was."""
        self._forget_newcomer(peer)
        if peer in self._holders:
            self._holders.discard(peer)
            self._quota.give_back(peer.client)

    def _forget_newcomer(self, peer: Peer) -> None:
        if peer not in self._newcomers:
            return
        del self._newcomers[peer]
        neighbours = self._newcomers_of[peer.client]
        del neighbours[peer]
        if not neighbours:
            del self._newcomers_of[peer.client]
