from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from whipway.worker import egress
from whipway.worker.egress import MAX_ADDRESSES, EgressPolicy, EgressRefused, IpAddress
from whipway.worker.name_lookup import NameLookup

pytestmark = pytest.mark.anyio

PUBLIC_4, PUBLIC_6 = "8.8.8.8", "2606:4700::1111"
ORIGIN = ("127.0.0.1", 1935)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Names:
    """A resolver that knows a few names."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._addresses = addresses

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._addresses[host.partition(".")[0]]


async def ask(policy: EgressPolicy, host: str, port: int = 1935) -> list[str] | None:
    """The addresses, or None when they are refused."""
    try:
        return await policy.addresses(host, port)
    except EgressRefused as refusal:
        assert "egress.allow" in str(refusal)
        return None


@pytest.mark.parametrize("address", [PUBLIC_4, PUBLIC_6, "64:ff9b::808:808", "192.0.1.1", "192.31.196.1"])
async def test_public_addresses_are_allowed_by_default(address: str) -> None:
    assert await ask(EgressPolicy(), address) == [address]
    assert await ask(EgressPolicy(resolve=Names(rtmp=[address])), "rtmp.example") == [address]


NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::808:808",
    "::ffff:127.0.0.1",
    "::ffff:a00:1",
    "::ffff:0:808:808",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:808:808::f7f7:f7f7",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_other_addresses_are_not(address: str) -> None:
    assert await ask(EgressPolicy(), address) is None
    assert await ask(EgressPolicy(["public"], resolve=Names(rtmp=[address])), "rtmp.example") is None


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "017700000001", "localhost", "localhost.", "0"]
)
async def test_other_spellings_of_loopback_are_resolved_and_refused(host: str) -> None:
    assert await ask(EgressPolicy(), host) is None
    assert await ask(EgressPolicy(["10.0.0.0/8"]), host) is None


async def test_only_the_permitted_addresses_of_a_name_are_used() -> None:
    names = Names(rtmp=["10.0.0.1", PUBLIC_6, "127.0.0.1", PUBLIC_4, "::ffff:8.8.8.8", "fe80::1"])
    assert await ask(EgressPolicy(resolve=names), "rtmp.example", 443) == [PUBLIC_6, PUBLIC_4]
    assert names.asked == [("rtmp.example", 443)]


async def test_a_refusal_names_the_host_and_no_address() -> None:
    policy = EgressPolicy(resolve=Names(rtmp=["10.0.0.1"]))
    with pytest.raises(EgressRefused) as caught:
        await policy.addresses("RTMP.example.", 1935)
    assert str(caught.value) == (
        "rtmp.example resolves to an address that this server does not send to;"
        " its operator can allow it by egress.allow"
    )
    with pytest.raises(
        EgressRefused, match=r"^10\.0\.0\.1 is an address that this server does not send to; "
    ):
        await policy.addresses("10.0.0.1", 1935)


async def test_no_more_than_a_few_addresses_are_tried() -> None:
    many = [f"8.8.{number}.8" for number in range(20)]
    assert await ask(EgressPolicy(resolve=Names(rtmp=many)), "rtmp.example") == many[:MAX_ADDRESSES]


@pytest.mark.parametrize(
    ("allow", "address", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", PUBLIC_4, False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("fd00::/8", "fd12::1", True),
        ("FD00::/8", "fe80::1", False),
        ("2001:db8::1", "2001:db8::1", True),
        ("public", PUBLIC_4, True),
        ("Public", "10.1.2.3", False),
        ("224.0.0.0/4", "224.0.0.1", True),
    ],
)
async def test_networks_and_addresses(allow: str, address: str, allowed: bool) -> None:
    expected = [address] if allowed else None
    assert await ask(EgressPolicy([allow]), address) == expected
    assert await ask(EgressPolicy([allow], resolve=Names(rtmp=[address])), "rtmp.example") == expected


async def test_an_ipv4_network_covers_the_mapped_form() -> None:
    assert await ask(EgressPolicy(["10.0.0.0/8"]), "::ffff:10.0.0.1") == ["10.0.0.1"]


async def test_entries_add_up() -> None:
    policy = EgressPolicy(["public", "10.0.0.0/8"], resolve=Names(rtmp=["10.0.0.1", PUBLIC_4, "127.0.0.1"]))
    assert await ask(policy, "rtmp.example") == ["10.0.0.1", PUBLIC_4]


@pytest.mark.parametrize(
    ("entry", "host", "trusted"),
    [
        ("rtmp.example.com", "rtmp.example.com", True),
        ("RTMP.Example.com.", "rtmp.example.COM", True),
        ("rtmp.example.com", "rtmp.example.com.", True),
        ("rtmp.example.com", "a.rtmp.example.com", False),
        ("*.example.com", "rtmp.example.com", True),
        ("*.Example.com", "rtmp.eu.EXAMPLE.com.", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "rtmpexample.com", False),
        ("*.example.com", "rtmp.example.com.evil.example", False),
        ("rtmp_server", "rtmp_server", True),
    ],
)
async def test_a_trusted_name_may_resolve_to_anything(entry: str, host: str, trusted: bool) -> None:
    addresses = ["10.0.0.1", "127.0.0.1", PUBLIC_4]
    names = Names(
        rtmp=addresses, a=addresses, example=addresses, rtmpexample=addresses, rtmp_server=addresses
    )
    assert await ask(EgressPolicy([entry], resolve=names), host) == (addresses if trusted else None)


async def test_a_trusted_name_says_nothing_of_an_address() -> None:
    assert await ask(EgressPolicy(["rtmp.example"]), PUBLIC_4) is None


@pytest.mark.parametrize(
    "entry", ["*", "*.", "10.0.0.1/8", "rtmp://host", "host:1935", "a..b", "bücher.example", "ho st", "[::1]"]
)
def test_an_entry_that_is_nothing_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host, address or network"):
        EgressPolicy(["public", entry])


@pytest.mark.parametrize("allow", [[], ["public"], ["rtmp.example"], ["10.0.0.0/8"]])
async def test_the_own_origin_is_always_allowed_at_its_port(allow: list[str]) -> None:
    policy = EgressPolicy(allow, own=[ORIGIN], resolve=Names(localhost=["::1", "127.0.0.1"]))
    for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
        assert await ask(policy, host) == ["127.0.0.1"]
        assert await ask(policy, host, 1936) is None
    assert await ask(policy, "127.0.0.2") is None


@pytest.mark.parametrize(("wildcard", "both"), [("0.0.0.0", False), ("::", True)])
async def test_an_origin_on_all_addresses_is_reached_by_loopback(wildcard: str, both: bool) -> None:
    policy = EgressPolicy(own=[(wildcard, 1935), ("10.0.0.1", 1935)])
    for address in ("127.0.0.1", "127.0.0.2", "10.0.0.1"):
        assert await ask(policy, address) == [address]
        assert await ask(policy, address, 22) is None
    # Another server may listen there.
    assert await ask(policy, "::1") == (["::1"] if both else None)
    assert await ask(policy, "::1", 22) is None
    assert await ask(policy, "10.0.0.2") is None
    assert await ask(policy, wildcard) is None


# Public addresses of this machine


HERE_4, HERE_6 = "8.8.4.4", "2606:4700::2222"


def is_here(address: IpAddress) -> bool:
    return str(address) in (HERE_4, HERE_6)


@pytest.mark.parametrize("address", [HERE_4, HERE_6, f"::ffff:{HERE_4}", f"64:ff9b::{HERE_4}"])
async def test_what_listens_on_this_machine_is_not_public(address: str) -> None:
    policy = EgressPolicy(["public"], resolve=Names(rtmp=[address, PUBLIC_4]), is_local=is_here)
    assert await ask(policy, address) is None
    assert await ask(policy, "rtmp.example") == [PUBLIC_4]


@pytest.mark.parametrize("entry", ["8.8.4.0/24", "rtmp.example"])
async def test_who_names_a_public_address_of_this_machine_means_it(entry: str) -> None:
    policy = EgressPolicy(["public", entry], resolve=Names(rtmp=[HERE_4]), is_local=is_here)
    assert await ask(policy, "rtmp.example") == [HERE_4]


async def test_the_own_origin_may_be_at_a_public_address() -> None:
    policy = EgressPolicy(own=[(HERE_4, 1935)], is_local=is_here)
    assert await ask(policy, HERE_4) == [HERE_4]
    assert await ask(policy, HERE_4, 22) is None


@pytest.mark.parametrize(
    ("own", "address", "is_own"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", HERE_4, False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("::1", "::1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("0.0.0.0", "127.0.0.9", True),
        ("0.0.0.0", "::1", False),
        ("::", "127.0.0.1", True),
        ("::", "::1", True),
        # A wildcard is reached by every address of this machine, and by no other.
        ("0.0.0.0", HERE_4, True),
        ("0.0.0.0", HERE_6, False),
        ("::", HERE_6, True),
        ("::", HERE_4, True),
        ("::", PUBLIC_4, False),
        ("::", PUBLIC_6, False),
    ],
)
def test_the_own_origin_is_known_by_its_address(own: str, address: str, is_own: bool) -> None:
    policy = EgressPolicy(["public", "10.0.0.0/8"], own=[(own, 1935)], is_local=is_here)
    assert policy.is_own(address, 1935) is is_own
    assert not policy.is_own(address, 1936)
    assert not EgressPolicy([address]).is_own(address, 1935)


def test_the_kernel_knows_which_addresses_are_here() -> None:
    assert egress.is_local(ip_address("127.0.0.1"))
    assert not egress.is_local(ip_address("192.0.2.1"))
    # Nothing can be sent to it without saying which network is meant, wherever that is.
    assert not egress.is_local(ip_address("ff02::1"))


# What is looked up


async def test_addresses_are_not_looked_up() -> None:
    names = Names()
    assert await ask(EgressPolicy(resolve=names), PUBLIC_4) == [PUBLIC_4]
    for text in ("127.1", "0x7f.1", "2130706433", "::1"):
        assert await ask(EgressPolicy(resolve=names), text) is None
    assert await ask(EgressPolicy(resolve=names), "8.2056") == ["8.0.8.8"]
    assert names.asked == []


async def test_a_check_says_what_connecting_would_say() -> None:
    policy = EgressPolicy(resolve=Names(rtmp=[PUBLIC_4], inside=["10.0.0.1"], empty=[]))
    await policy.check("rtmp.example", 1935)
    await policy.check(PUBLIC_4, 1935)
    with pytest.raises(EgressRefused):
        await policy.check("inside.example", 1935)
    with pytest.raises(OSError):
        await policy.check("empty.example", 1935)


async def test_checks_and_sinks_ask_for_places_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def find(self: NameLookup, host: str, port: int, asker: object = None) -> list[str]:
        asked.append("find" if asker is None else "find for a session")
        return [PUBLIC_4]

    async def find_for_check(self: NameLookup, host: str, port: int) -> list[str]:
        asked.append("find_for_check")
        return [PUBLIC_4]

    monkeypatch.setattr(NameLookup, "find", find)
    monkeypatch.setattr(NameLookup, "find_for_check", find_for_check)
    policy = EgressPolicy()
    await policy.check("rtmp.example", 1935)
    assert await policy.addresses("rtmp.example", 1935) == [PUBLIC_4]
    assert await policy.for_session().addresses("rtmp.example", 1935) == [PUBLIC_4]
    assert asked == ["find_for_check", "find", "find for a session"]


async def test_each_session_asks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    askers: list[object] = []

    async def find(self: NameLookup, host: str, port: int, asker: object = None) -> list[str]:
        askers.append(asker)
        return [PUBLIC_4]

    monkeypatch.setattr(NameLookup, "find", find)
    policy = EgressPolicy()
    one, two = policy.for_session(), policy.for_session()
    for session in (one, one, two):
        await session.addresses("rtmp.example", 1935)
    assert askers[0] is askers[1] and askers[1] is not askers[2]
    # All the rest is the same.
    with pytest.raises(EgressRefused):
        await one.addresses("10.0.0.1", 1935)


async def test_what_a_session_remembers_is_judged_as_well() -> None:
    names = Names(rtmp=[PUBLIC_4, "10.0.0.1"])
    policy = EgressPolicy(resolve=names)
    session = policy.for_session()
    assert await session.addresses("rtmp.example", 1935) == [PUBLIC_4]

    async def fail(host: str, port: int) -> Sequence[str]:
        raise OSError("DNS is gone")

    session._resolve.__self__._resolve = fail  # type: ignore[attr-defined]
    assert await session.addresses("rtmp.example", 1935) == [PUBLIC_4]
    session._public = False
    with pytest.raises(EgressRefused):
        await session.addresses("rtmp.example", 1935)
    # Others have not been told.
    other = policy.for_session()
    other._resolve.__self__._resolve = fail  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="DNS is gone"):
        await other.addresses("rtmp.example", 1935)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ""])
async def test_what_dns_cannot_know_does_not_resolve(host: str) -> None:
    with pytest.raises(OSError, match=r"\w"):
        await EgressPolicy().addresses(host, 1935)


async def test_a_name_without_addresses_does_not_resolve() -> None:
    with pytest.raises(OSError, match="no address"):
        await EgressPolicy(["rtmp.example"], resolve=Names(rtmp=[])).addresses("rtmp.example", 1935)
