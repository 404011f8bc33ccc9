from typing import Any

import pytest

from whipway.hosts import address_group, client_address, normalize_host, parse_address


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.7", 40000), "192.0.2.7"),
        (("2001:db8::7", 40000, 0, 0), "2001:db8::7"),
        (("::ffff:192.0.2.7", 40000, 0, 0), "192.0.2.7"),
        (None, ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer(peername: Any, address: str) -> None:
    assert client_address(peername) == address


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8::7", "2001:db8::ffff:8", True),
        ("2001:db8::7", "2001:DB8:0:0:ffff::8", True),
        ("2001:db8::7", "2001:db8:0:1::7", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("testclient", "testclient", True),
        ("", "", True),
        ("", "192.0.2.7", False),
    ],
)
def test_which_addresses_are_one_client(one: str, other: str, same: bool) -> None:
    assert (address_group(one) == address_group(other)) is same


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("localhost", None),
        ("host.example", None),
        ("\0", None),
    ],
)
def test_an_address_in_any_form(text: str, address: str | None) -> None:
    found = parse_address(text)
    assert (None if found is None else str(found)) == address


def test_names_differ_neither_by_case_nor_by_the_root() -> None:
    assert normalize_host("Host.Example.") == normalize_host("host.example")
