import socket
from ipaddress import ip_address

import pytest

from whipway.worker import addresses
from whipway.worker.addresses import announced_addresses

ANY_4, ANY_6 = ip_address("0.0.0.0"), ip_address("::")


def test_configured_addresses_are_announced_as_they_are() -> None:
    public = [ip_address("198.51.100.1"), ip_address("2001:db8::5")]
    assert announced_addresses(ANY_4, public) == ["198.51.100.1", "2001:db8::5"]


def test_a_bound_address_is_announced() -> None:
    assert announced_addresses(ip_address("127.0.0.1"), []) == ["127.0.0.1"]
    assert announced_addresses(ip_address("::1"), []) == ["::1"]


@pytest.mark.parametrize("host", [ANY_4, ANY_6])
def test_a_wildcard_stands_for_the_addresses_of_this_machine(host: addresses.IpAddress) -> None:
    found = announced_addresses(host, [])
    assert found[-1] == "127.0.0.1"
    assert len(set(found)) == len(found)
    assert not any(ip_address(address).is_unspecified for address in found)


def test_a_machine_without_a_network_still_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unconnected(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Unconnected)
    assert announced_addresses(ANY_6, []) == ["127.0.0.1"]


def test_both_families_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Routed(socket.socket):
        def connect(self, address: object) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return {socket.AF_INET: "192.0.2.7", socket.AF_INET6: "2001:db8::7"}[self.family], 9

    monkeypatch.setattr(socket, "socket", Routed)
    assert announced_addresses(ANY_4, []) == ["192.0.2.7", "127.0.0.1"]
    assert announced_addresses(ANY_6, []) == ["192.0.2.7", "2001:db8::7", "127.0.0.1"]
