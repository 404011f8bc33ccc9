from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from whipway.web.forwarded import MAX_CHARACTERS, MAX_HOPS, Forwarded, Hop, read_hops

PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"
TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def headers(*lines: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in lines]


def kind_of(*names: str) -> str:
    """What `http.forwarded_headers` is where a proxy writes these."""
    return "forwarded" if "forwarded" in names else "x-forwarded"


async def seen(
    *lines: tuple[str, str], peer: str = PROXY, trusted: object = TRUSTED, kind: str | None = None
) -> tuple[str, str, list[str]]:
    """Client, scheme and Host headers as the application finds them; `kind` is that of the lines."""
    kind = kind or kind_of(*(name for name, _ in lines))
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "client": (peer, 5000),
        "scheme": "http",
        "headers": headers(("host", "inside"), *lines),
    }
    before = dict(scope)
    await Forwarded(app, trusted, kind)(scope, receive, send)  # type: ignore[arg-type]
    assert scope == before
    [after] = found
    return after["client"][0], after["scheme"], Headers(scope=after).getlist("host")


pytestmark = pytest.mark.anyio


def hops(**lines: str) -> list[Hop]:
    headers = Headers({name.replace("_", "-"): value for name, value in lines.items()})
    return list(read_hops(headers, kind_of(*lines)))


# RFC 7239's own examples


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('for="_gazonk"', [Hop()]),
        ('For="[2001:db8:cafe::17]:4711"', [Hop(ip_address("2001:db8:cafe::17"))]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [Hop(ip_address("192.0.2.60"), "http")]),
        (
            "for=192.0.2.43, for=198.51.100.17",
            [Hop(ip_address("198.51.100.17")), Hop(ip_address("192.0.2.43"))],
        ),
        ("for=_hidden, for=_SEVKISEK", [Hop(), Hop()]),
        (
            'for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown',
            [Hop(), Hop(ip_address("2001:db8:cafe::17")), Hop(ip_address("192.0.2.43"))],
        ),
        (
            "for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com",
            [Hop(ip_address("198.51.100.17"), "http", "example.com"), Hop(ip_address("192.0.2.43"))],
        ),
    ],
)
def test_examples(line: str, expected: list[Hop]) -> None:
    assert hops(forwarded=line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("for=192.0.2.1:80;PROTO=HTTPS", Hop(ip_address("192.0.2.1"), "https")),
        ('for="192.0.2.1:80" ; ;proto="https";', Hop(ip_address("192.0.2.1"), "https")),
        ('for="[::ffff:192.0.2.1]"', Hop(ip_address("192.0.2.1"))),
        ('for=192.0.2.1;secret="a b"', Hop(ip_address("192.0.2.1"))),
        ('for=192.0.2.1;host="[::1]:8080"', Hop(ip_address("192.0.2.1"), None, "[::1]:8080")),
        ("for=[2001:db8::1]:80", Hop(ip_address("2001:db8::1"))),
        ("for=192.0.2.1;proto=ftp;host=a/b", Hop(ip_address("192.0.2.1"))),
        ('for=""', Hop()),
        ("for=192.0.2.1;for=192.0.2.2", Hop()),
        ("for=192.0.2.1;host", Hop()),
        ("for=192.0.2.1 proto=https", Hop()),
        ('for="192.0.2.1', Hop()),
        ('for="192.0.2.\\1"', Hop()),
        ("for = 192.0.2.1", Hop()),
        ("for=192.0.2.999", Hop()),
        ('for="[192.0.2.1"', Hop()),
        ('for="[fe80::1%25eth0]"', Hop()),
        ('for="[2001:db8::1]:999999"', Hop()),
    ],
)
def test_an_element(line: str, expected: Hop) -> None:
    assert hops(forwarded=line) == [expected]


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("unknown", None),
        ("fe80::1%eth0", None),
        ("\x1b[31m", None),
        ("2001:8888", None),
    ],
)
def test_an_address_of_x_forwarded_for(line: str, address: str | None) -> None:
    assert hops(x_forwarded_for=line) == [Hop(ip_address(address) if address else None)]


@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        ("live.example", True),
        ("live.example:8443", True),
        ("192.0.2.1:80", True),
        ("[2001:db8::1]:80", True),
        ("under_score", True),
        ("live.example:65536", False),
        ("live.example:", True),
        ("[2001::db8::1]", False),
        ("[]", False),
        ("user@live.example", False),
        ("live.example/path", False),
        ("\u00fcber.example", False),
        ("two words", False),
        ("a" * 256, False),
    ],
)
def test_a_host(host: str, is_taken: bool) -> None:
    assert hops(x_forwarded_host=host) == [Hop(host=host if is_taken else None)]


# The walk


async def test_a_proxy_is_believed() -> None:
    line = ("forwarded", f"for={CLIENT};proto=https;host=live.example:8443")
    assert await seen(line) == (CLIENT, "https", ["live.example:8443"])


async def test_the_same_by_x_forwarded() -> None:
    lines = (
        ("x-forwarded-for", CLIENT),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "live.example"),
    )
    assert await seen(*lines) == (CLIENT, "https", ["live.example"])


@pytest.mark.parametrize("peer", [CLIENT, "testclient", ""])
async def test_nobody_else_is_believed(peer: str) -> None:
    line = ("forwarded", "for=192.0.2.1;proto=https;host=live.example")
    assert await seen(line, peer=peer) == (peer, "http", ["inside"])


async def test_without_proxies_nobody_is_believed() -> None:
    assert await seen(("forwarded", f"for={CLIENT}"), trusted=[]) == (PROXY, "http", ["inside"])


async def test_a_proxy_that_says_nothing() -> None:
    assert await seen() == (PROXY, "http", ["inside"])


@pytest.mark.parametrize("peer", ["fd00::1", "fd00::1%eth0", "::ffff:10.0.0.1"])
async def test_a_proxy_with_an_ipv6_address(peer: str) -> None:
    assert (await seen(("forwarded", f"for={CLIENT}"), peer=peer))[0] == CLIENT


@pytest.mark.parametrize(
    "lines",
    [
        (("forwarded", f"for=192.0.2.1;proto=https, for={CLIENT};host=outer, for=10.0.0.2;host=inner"),),
        (
            ("forwarded", "for=192.0.2.1;proto=https"),
            ("forwarded", f"for={CLIENT};host=outer,"),
            ("forwarded", ", for=10.0.0.2;host=inner"),
        ),
        (("x-forwarded-for", f"192.0.2.1, {CLIENT}, 10.0.0.2"), ("x-forwarded-host", "forged, outer, inner")),
        (
            ("x-forwarded-for", f"192.0.2.1, {CLIENT}"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-host", "outer"),
        ),
    ],
    ids=["one line", "several", "X-Forwarded", "X-Forwarded, several lines"],
)
async def test_behind_two_proxies_what_the_client_wrote_counts_for_nothing(
    lines: tuple[tuple[str, str], ...],
) -> None:
    assert await seen(*lines) == (CLIENT, "http", ["outer"])


async def test_proxies_all_the_way() -> None:
    assert (await seen(("x-forwarded-for", "10.0.0.3, 10.0.0.2")))[0] == "10.0.0.3"


@pytest.mark.parametrize("name", ["unknown", "_hidden", '"', "garbage["])
async def test_what_names_no_address_ends_the_walk(name: str) -> None:
    line = ("forwarded", f"for={CLIENT};proto=https, for={name}")
    assert await seen(line) == (PROXY, "http", ["inside"])
    line = ("forwarded", f"for={CLIENT};proto=https, for=unknown;proto=https, for=10.0.0.2")
    assert await seen(line) == ("10.0.0.2", "https", ["inside"])


@pytest.mark.parametrize("forged", ['for="', 'for="\\', "for=,;=\"'", '"' * 3000, "x" * 9000, "," * 9000])
async def test_a_client_cannot_hide_what_the_proxy_wrote(forged: str) -> None:
    assert (await seen(("forwarded", f"{forged}, for={CLIENT}")))[0] == CLIENT
    assert (await seen(("x-forwarded-for", forged), ("x-forwarded-for", CLIENT)))[0] == CLIENT


async def test_one_kind_is_read_and_the_other_is_the_clients() -> None:
    lines = ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("forwarded", f"for={CLIENT}")
    assert await seen(*lines, kind="forwarded") == (CLIENT, "http", ["inside"])
    assert await seen(*lines, kind="x-forwarded") == ("192.0.2.1", "https", ["inside"])


# Without proxies


@pytest.mark.parametrize("trusted", [TRUSTED, []])
@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("testclient", "testclient"),
    ],
)
async def test_a_client_has_one_name(peer: str, client: str, trusted: object) -> None:
    line = ("x-forwarded-for", "192.0.2.1")
    assert await seen(line, peer=peer, trusted=trusted) == (client, "http", ["inside"])


async def test_a_proxy_by_its_ipv6_name() -> None:
    assert (await seen(("x-forwarded-for", CLIENT), peer=f"::ffff:{PROXY}"))[0] == CLIENT


# Bounds


def test_hops_are_bounded() -> None:
    assert len(hops(x_forwarded_for="10.0.0.1," * 100)) == MAX_HOPS


def test_a_piece_that_was_cut_is_left_out() -> None:
    line = f"110.0.0.1,{'x' * (MAX_CHARACTERS - len('10.0.0.1,'))}"
    assert hops(x_forwarded_for=line) == [Hop()]
    assert hops(x_forwarded_for=line[1:]) == [Hop(), Hop(ip_address("10.0.0.1"))]


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.booleans())
def test_any_text_is_read(text: str, is_x: bool) -> None:
    line = text.encode("latin-1")
    name = "x-forwarded-for" if is_x else "forwarded"
    found = list(read_hops(Headers(raw=[(name.encode(), line)]), kind_of(name)))
    assert len(found) <= MAX_HOPS


@given(st.text(alphabet='for=proth[]:."\\,; 1', max_size=60))
def test_any_text_that_looks_like_it_is_read(text: str) -> None:
    for hop in hops(forwarded=text):
        assert hop.host is None or set(hop.host) <= set("for=proth[]:.1")
