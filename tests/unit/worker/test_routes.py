"""The worker's tables, with real sessions and whatever addresses."""

from collections import Counter
from typing import Any

import pytest
from tests.network.virtual import Network, make_network
from tests.peers.whip_client import WhipClient

from whipway.failures import DropReason
from whipway.protocol.ice import Address
from whipway.session.session import Session
from whipway.worker.routes import ADDRESS_HOLD, MAX_ADDRESSES, Routes

HOME = ("192.0.2.7", 40_000)
MOBILE = ("2001:db8::7", 50_000, 0, 0)
MEDIA = b"\x80" * 20


class Connections:
    """Stands for the TCP connections: which were adopted, and which released."""

    def __init__(self) -> None:
        self.adopted: list[Address] = []
        self.released: list[Address] = []

    def adopt(self, addr: Address) -> None:
        self.adopted.append(addr)

    def release(self, addr: Address) -> None:
        self.released.append(addr)


class Live:
    """Stands for a broadcast: what of it the tables look at, and the client of its session."""

    def __init__(self, network: Network) -> None:
        self.session: Session = network.session
        self.client = network.client
        self.ufrags: tuple[str, ...] = ()
        self.addresses: list[Address] = []


class Tables:
    """Routes, filled with sessions that are called by numbers."""

    def __init__(self, tcp: Connections | None = None) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.routes = Routes(self.drops, tcp)  # type: ignore[arg-type]

    def add(self, number: int = 1) -> Any:
        live = Live(make_network(WhipClient(seed=number), random_seed=number))
        self.routes.follow(live)  # type: ignore[arg-type]
        return live

    def check(self, live: Any, addr: Address, now: float = 0.0, *, nominates: bool = False) -> None:
        """As the worker does it with each STUN message."""
        data = live.client.stun(nominates=nominates)
        assert self.routes.find(data, addr) is live
        live.session.receive_datagram(data, addr, now)
        self.routes.learn(live, addr, now)

    def routed(self, *addrs: Address) -> list[Any]:
        return [self.routes.find(MEDIA, addr) for addr in addrs]


def test_strangers_are_counted():
    tables = Tables()
    for data in (b"", MEDIA, b"\x16" * 40, b"\x00\x01", WhipClient().stun(b"nobody:peer", b"key")):
        assert tables.routes.find(data, HOME) is None
    assert tables.drops == {
        DropReason.UNKNOWN_DATAGRAM: 1,
        DropReason.UNKNOWN_ADDRESS: 2,
        DropReason.STUN_UNKNOWN_USER: 2,
    }


def test_sessions_are_told_apart_by_user_name_and_then_by_address():
    tables = Tables()
    one, two = tables.add(1), tables.add(2)
    tables.check(one, HOME)
    tables.check(two, MOBILE)
    assert tables.routed(HOME, MOBILE) == [one, two]
    assert tables.drops == {}


def test_only_what_ice_has_validated_is_routed():
    tables = Tables()
    one = tables.add()
    forged = one.client.stun(key=b"guessed")
    one.session.receive_datagram(forged, HOME, 0.0)
    tables.routes.learn(one, HOME, 0.0)
    assert tables.routed(HOME) == [None]


def test_a_session_keeps_its_latest_addresses_and_those_in_use():
    tables = Tables()
    one = tables.add()
    one.session.transport.media_address = HOME
    addresses = [("192.0.2.8", port) for port in range(3 * MAX_ADDRESSES)]
    tables.check(one, HOME)
    tables.check(one, MOBILE, nominates=True)
    for addr in addresses:
        tables.check(one, addr)
    assert one.addresses == [HOME, MOBILE, *addresses[2 - MAX_ADDRESSES :]]
    assert tables.routed(HOME, MOBILE, addresses[-1], addresses[0]) == [one, one, one, None]


def test_an_address_goes_to_another_session_once_the_first_is_silent():
    tables = Tables()
    one, two = tables.add(1), tables.add(2)
    tables.check(one, HOME, 1.0)
    tables.check(two, HOME, 1.0 + ADDRESS_HOLD)
    assert tables.routed(HOME) == [one]
    tables.check(two, HOME, 1.1 + ADDRESS_HOLD)
    assert tables.routed(HOME) == [two]
    # Where it stays, whatever becomes of the first.
    tables.routes.forget(one)
    assert tables.routed(HOME) == [two]
    # And back again: it is in the list of the first already.
    one = tables.add(1)
    one.addresses.append(HOME)
    tables.check(one, HOME, 10.0)
    assert one.addresses == [HOME] and tables.routed(HOME) == [one]


def test_both_user_names_lead_to_a_session_while_ice_restarts():
    tables = Tables()
    one = tables.add()
    old = one.client.stun()
    tables.check(one, HOME)
    one.client.take_restart(one.session.ice.update(one.client.restart(), ["*"]).fragment, 0.0)
    tables.routes.follow(one)
    new = one.client.stun(one.client.pending.username, one.client.pending.key)
    assert [tables.routes.find(data, MOBILE) for data in (old, new)] == [one, one]
    one.session.receive_datagram(new, MOBILE, 1.0)
    tables.routes.learn(one, MOBILE, 1.0)
    assert [tables.routes.find(data, MOBILE) for data in (old, new)] == [None, one]
    # Media may still come from the address that ICE has forgotten.
    assert not one.session.transport.is_validated(HOME)
    assert tables.routed(HOME, MOBILE) == [one, one]


def test_restarts_do_not_fill_the_tables():
    tables = Tables()
    one = tables.add()
    for number in range(1000):
        one.client.take_restart(one.session.ice.update(one.client.restart(), ["*"]).fragment, 0.0)
        tables.routes.follow(one)
        if number % 3 == 0:
            pending = one.client.pending
            addr = ("192.0.2.8", number)
            one.session.receive_datagram(one.client.stun(pending.username, pending.key), addr, 0.0)
            tables.routes.learn(one, addr, 0.0)
    assert len(tables.routes._by_ufrag) <= 2
    assert len(tables.routes._by_address) == len(one.addresses) == MAX_ADDRESSES


def test_nothing_is_left_of_a_session_that_is_over():
    tables = Tables()
    one = tables.add()
    tables.check(one, HOME)
    one.session.ice.update(one.client.restart(), ["*"])
    tables.routes.follow(one)
    tables.routes.forget(one)
    assert (one.ufrags, one.addresses) == ((), [])
    assert (tables.routes._by_ufrag, tables.routes._by_address) == ({}, {})


class TestTcp:
    def test_connections_stay_as_long_as_they_are_routed(self):
        tcp = Connections()
        tables = Tables(tcp)
        one = tables.add()
        connections = [("192.0.2.7", 40_000, number) for number in range(MAX_ADDRESSES + 1)]
        for addr in [HOME, MOBILE, *connections, connections[-1]]:
            tables.check(one, addr)
        assert tcp.adopted == connections
        # HOME is where ICE sends to; MOBILE was the first to go.
        assert tcp.released == connections[:2]
        tables.routes.forget(one)
        assert tcp.released == connections

    @pytest.mark.parametrize("number", [1, 2])
    def test_without_a_port_for_them_there_are_none(self, number):
        tables = Tables()
        one = tables.add(number)
        tables.check(one, ("192.0.2.7", 40_000, 1))
        tables.routes.forget(one)
        assert tables.drops == {}
