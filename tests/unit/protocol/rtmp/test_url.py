from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp.url import RtmpUrl, check_stream_name, loggable_name, parse_rtmp_url, stream_path


def plain(host: str, port: int, app: str, tc_url: str) -> RtmpUrl:
    """A URL without credentials."""
    return RtmpUrl(host, port, app, tc_url.startswith("rtmps:"), tc_url, tc_url.partition("?")[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtmp://host/live", plain("host", 1935, "live", "rtmp://host:1935/live")),
        ("rtmp://host:80/live/", plain("host", 80, "live", "rtmp://host:80/live")),
        ("rtmps://host/a/b", plain("host", 443, "a/b", "rtmps://host:443/a/b")),
        ("RTMP://Host/live", plain("host", 1935, "live", "rtmp://host:1935/live")),
        ("rtmp://a_b-1.c/live", plain("a_b-1.c", 1935, "live", "rtmp://a_b-1.c:1935/live")),
        ("rtmp://10.0.0.1:/live", plain("10.0.0.1", 1935, "live", "rtmp://10.0.0.1:1935/live")),
        ("rtmps://[2001:DB8::7]/a", plain("2001:db8::7", 443, "a", "rtmps://[2001:db8::7]:443/a")),
        ("rtmp://[::1]:19/live?k=v", plain("::1", 19, "live?k=v", "rtmp://[::1]:19/live?k=v")),
    ],
)
def test_url_is_split(text: str, expected: RtmpUrl) -> None:
    assert parse_rtmp_url(text) == expected


@pytest.mark.parametrize(
    ("written", "user", "password"),
    [
        ("bob:secret", "bob", "secret"),
        ("bob", "bob", ""),
        ("bob:", "bob", ""),
        ("b%40b%3A:s%2Fe%25c:r@t", "b@b:", "s/e%c:r@t"),
        ("b%C3%BCb:%F0%9F%94%91", "büb", "\U0001f511"),
        (f"{'u' * 256}:{'%70' * 256}", "u" * 256, "p" * 256),
    ],
)
@pytest.mark.parametrize("host", ["host", "[::1]"])
def test_credentials_are_split_off(host: str, written: str, user: str, password: str) -> None:
    url = parse_rtmp_url(f"rtmp://{written}@{host}:80/live?key=hidden")
    assert (url.user, url.password) == (user, password)
    assert (url.host, url.port, url.app) == (host.strip("[]"), 80, "live?key=hidden")
    assert url.tc_url == f"rtmp://{host}:80/live?key=hidden"
    assert url.shown == f"rtmp://{host}:80/live"


def test_a_password_is_not_seen_by_chance() -> None:
    assert "secret" not in repr(parse_rtmp_url("rtmp://bob:secret@host/live"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("http://host/live", "must begin with"),
        ("live", "must begin with"),
        ("rtmp:///live", "names no host"),
        ("rtmp://host", "names no application"),
        ("rtmp://host/", "names no application"),
        ("rtmp://host:0/live", "names port 0"),
        ("rtmp://host:port/live", "cannot be read"),
        ("rtmp://host:70000/live", "cannot be read"),
        ("rtmp://[::1/live", "cannot be read"),
        ("rtmp://:secret@host/live", "password without a user name"),
        ("rtmp://@host/live", "password without a user name"),
        (f"rtmp://{'secret' * 43}@host/live", "user name longer than 256"),
        (f"rtmp://bob:{'secret' * 43}@host/live", "password longer than 256"),
        ("rtmp://b%00b:secret@host/live", "user name with a character"),
        ("rtmp://bob:secret%0D%0A@host/live", "password with a character"),
        ("rtmp://bob:sec@ret/word@host/live", "password with a / that is not written as %2F"),
        ("rtmp://bob:secret@/live", "names no host"),
        ("rtmp://bob:sec/ret@host/live", "cannot be read"),
        ("rtmp://host/live#x", "must not hold a # sign"),
        ("rtmp://host/live?k=v#", "must not hold a # sign"),
        ("rtmp://host#/live", "must not hold a # sign"),
        ("rtmp://host/li ve", "cannot be printed"),
        ("rtmp://host/li\r\nve", "cannot be printed"),
        ("rtmp://host/" + "a" * 3000, "longer than 2048"),
    ],
)
def test_what_is_wrong_is_said_without_the_url(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_rtmp_url(text)
    assert "secret" not in str(caught.value)


LONGEST_LABEL = "a" * 63
LONGEST_HOST = ".".join((LONGEST_LABEL,) * 3 + ("a" * 61,))


@pytest.mark.parametrize("host", [LONGEST_LABEL, LONGEST_HOST])
def test_hosts_as_long_as_dns_has_them(host: str) -> None:
    assert parse_rtmp_url(f"rtmp://{host}/live").host == host


@pytest.mark.parametrize(
    "host",
    [
        LONGEST_LABEL + "a",
        LONGEST_HOST + "a",
        "a..b",
        ".a",
        "a.",
        ".",
        "a%2fb",
        "a\\b",
        'a"b',
        "a;b",
        "höst",
        "a\u0661",
        "::1",
        "[1::2::3]",
        "[fe80::1%25eth0]",
        "[::ffff:1.2.3.400]",
        "[v1.a]",
        "[127.0.0.1]",
        "a[::1]",
        "[::1]a",
    ],
)
def test_hosts_that_are_neither_name_nor_address(host: str) -> None:
    # Some versions of urlsplit see it themselves.
    with pytest.raises(
        ValueError, match=r"^has a host (that is no host name or address|or port that cannot)"
    ):
        parse_rtmp_url(f"rtmp://{host}/live")


@given(st.text() | st.text("u:@%40[]h1."))
def test_any_text_is_split_or_refused(host: str) -> None:
    try:
        url = parse_rtmp_url(f"rtmp://{host}/live")
    except ValueError:
        return
    assert url.host.isascii()
    assert parse_rtmp_url(url.tc_url) == replace(url, user=None, password=None)
    assert url.user is not None or url.password is None


LONG = "live_12345_abcdefghijkl"
OUT = "rtmp://rtmp.example/live"


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("one", "one"),
        ("one?key=secret", "one"),
        ("twelve-chars", "twelve-chars"),
        ("thirteen-char", "thirteen…"),
        (LONG, "live_123…"),
        (f"/{LONG}/?key=secret", "live_123…"),
        (f"{'/' * 20}{LONG}", "live_123…"),
        (f"team/{LONG}", "team/liv…"),
        ("", ""),
    ],
)
def test_logs_hold_the_beginning_of_a_name(name: str, logged: str) -> None:
    assert loggable_name(name, OUT) == logged
    for unreadable in ("", "rtmp://", "http://localhost/live", "rtmp://localhost:99999/live"):
        assert loggable_name(name, unreadable) == logged
    # Not worth a word to anybody, where it stays on this machine.
    for here in ("rtmp://localhost/live", "rtmp://127.0.0.1:1936/live", "rtmps://[::1]/live"):
        assert loggable_name(name, here) == name.partition("?")[0].strip("/")


def test_a_server_has_a_stream_at_one_path() -> None:
    for app, name in (("live", "team/cam"), ("live/team", "cam"), ("/live/?x/y", "/team/cam/?a/b")):
        assert stream_path(app, name) == "live/team/cam"


def test_stream_names_may_carry_publisher_arguments() -> None:
    check_stream_name("AbCdE-12345?passcode=abc&tenant=42")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "empty"),
        ("?a=b", "empty"),
        ("//", "empty"),
        ("/?a=b", "empty"),
        ("a b", "printed"),
        ("a\n", "printed"),
        ("a" * 2000, "longer"),
    ],
)
def test_stream_names_that_cannot_be_sent(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_stream_name(name)
