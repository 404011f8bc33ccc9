from typing import Any

import pytest
from fastapi import Request

from whipway.web.urls import base_url, redirect_url, resource_links, session_url


def request(
    host: str | None = "whip.example", server: Any = ("192.0.2.1", 8080), scheme: str = "http"
) -> Request:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return Request({"type": "http", "scheme": scheme, "path": "/p", "headers": headers, "server": server})


@pytest.mark.parametrize(
    "host", ["whip.example", "whip.example:8443", "my_host", "192.0.2.1:80", "[2001:db8::1]", "[::1]:8080"]
)
def test_the_host_of_the_request(host: str) -> None:
    assert base_url(request(host), None) == f"http://{host}"


def test_the_scheme_of_the_request() -> None:
    assert base_url(request(scheme="https"), None) == "https://whip.example"


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "[",
        "a b",
        "\xff",
        "host:port",
        ":",
        "host:123456",
        "host:65536",
        "[::1::]",
        "[1.2.3.4]",
        "user@host",
        "host/path",
        "a,b",
        "a\r\nb",
    ],
)
def test_what_is_no_host(host: str | None) -> None:
    assert base_url(request(host), None) == "http://192.0.2.1:8080"


def test_two_hosts_are_none() -> None:
    twice = request()
    twice.scope["headers"].append((b"host", b"other.example"))
    assert base_url(twice, None) == "http://192.0.2.1:8080"


@pytest.mark.parametrize(
    ("server", "host"),
    [
        (("::1", 80), "[::1]:80"),
        (("name", None), "name"),
        (("/run/whip.sock", None), "localhost"),
        (None, "localhost"),
    ],
)
def test_other_addresses_of_the_server(server: Any, host: str) -> None:
    assert base_url(request(None, server), None) == f"http://{host}"


@pytest.mark.parametrize("public_url", ["https://public.example/whip", "https://public.example/whip/"])
def test_the_public_url_goes_first(public_url: str) -> None:
    assert base_url(request("["), public_url) == "https://public.example/whip"


@pytest.mark.parametrize(
    "other", ["https://other.example", "https://other.example/", "https://other.example/b/"]
)
def test_a_redirect_keeps_the_query(other: str) -> None:
    query = b"stream_name=a+b%C3%A9?x=1/2&stream_url=rtmp://host/live&other='\"<>\\^`{|}"
    expected = f"{other.rstrip('/')}/p/webrtc?{query.decode()}&redirected=1"
    assert redirect_url(other, "/p/webrtc", query) == expected


def test_a_redirect_fits_a_header() -> None:
    url = redirect_url("https://other.example", "/p", b"a=\xff \r\n\x00\x7f")
    assert url == "https://other.example/p?a=%FF%20%0D%0A%00%7F&redirected=1"


def test_a_redirect_does_not_end_in_the_middle() -> None:
    """Behind a # is what a client keeps to itself: the mark would be lost, and the rest of the query."""
    url = redirect_url("https://other.example", "/p", b"a=b#c&d#")
    assert url == "https://other.example/p?a=b%23c&d%23&redirected=1"


def test_where_a_session_is() -> None:
    assert session_url(request(), None, "abc") == "http://whip.example/p/webrtc/abc"
    assert session_url(request(), "https://other.example/x/", "abc") == "https://other.example/x/p/webrtc/abc"


def test_what_is_below_a_session() -> None:
    inputs = '<https://whip.example/p/webrtc/abc/input>; rel="urn:whipway:inputs"'
    found = resource_links("https://whip.example/p/webrtc/abc", has_inputs=True)
    assert found == [
        '<https://whip.example/p/webrtc/abc/status>; rel="urn:whipway:status"',
        '<https://whip.example/p/webrtc/abc/sink>; rel="urn:whipway:sinks"',
        '<https://whip.example/p/webrtc/abc/metadata>; rel="urn:whipway:metadata"',
        inputs,
        '<https://whip.example/p/webrtc/abc/quality>; rel="urn:whipway:quality"',
    ]
    found.remove(inputs)
    assert resource_links("https://whip.example/p/webrtc/abc", has_inputs=False) == found
