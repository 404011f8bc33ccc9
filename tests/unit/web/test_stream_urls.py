"""The URLs of streams, as clients of several addresses see them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import Request

from whipway.config import Settings
from whipway.web.publish_query import parse_publish_query
from whipway.web.stream_urls import StreamUrls, masked_push_url

OWN = "rtmp://127.0.0.1:1935/live"
OPEN = {"rtmp": {"host": "0.0.0.0"}}
NAMES = ["Hx4Qa-7fGkPz3WnR", "team/cam", "a&b=c?d#e+f%g", "München", "a:b@c"]


def request(host: str = "live.example:8443", scheme: str = "https") -> Request:
    return Request({"type": "http", "scheme": scheme, "headers": [(b"host", host.encode())]})


def urls(
    settings: dict[str, Any] | None = None, stream_url: str | None = OWN, *, has_flv: bool = True
) -> StreamUrls:
    return StreamUrls(Settings.model_validate(settings or {}), stream_url, 1935, has_flv=has_flv)


def test_an_origin_for_this_machine_alone() -> None:
    made = urls()
    assert made.base(request()) == "https://live.example:8443"
    assert made.whip(request(), "one") == (
        "https://live.example:8443/p/webrtc?stream_name=one&stream_url=rtmp://127.0.0.1:1935/live"
    )
    assert made.rtmp(request(), "one") == (OWN, "one")
    assert made.flv(request(), "one") == "https://live.example:8443/live/one.flv"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("live.example:8443", "rtmp://live.example:1935/live"),
        ("[2001:db8::1]:8080", "rtmp://[2001:db8::1]:1935/live"),
        ("192.0.2.7", "rtmp://192.0.2.7:1935/live"),
    ],
)
def test_an_origin_for_others_has_the_host_of_the_request(host: str, url: str) -> None:
    made = urls(OPEN)
    assert made.rtmp(request(host), "one") == (url, "one")
    # WHIP's way to the origin does not leave the machine.
    assert str(made.whip(request(host), "one")).endswith(f"&stream_url={OWN}")


def test_the_public_url_goes_before_the_request() -> None:
    made = urls({**OPEN, "http": {"public_url": "https://cast.example/live/"}})
    assert made.base(request()) == "https://cast.example/live"
    assert made.rtmp(request(), "one") == ("rtmp://cast.example:1935/live", "one")
    assert str(made.whip(request(), "one")).startswith("https://cast.example/live/p/webrtc?")
    assert made.flv(request(), "one") == "https://cast.example/live/live/one.flv"


@pytest.mark.parametrize("stream_url", [OWN, None])
def test_another_server_takes_the_streams(stream_url: str | None) -> None:
    made = urls({"streams": {"rtmp_url": "rtmps://cdn.example/app/inner"}}, stream_url)
    assert made.rtmp(request(), "one") == ("rtmps://cdn.example/app/inner", "one")
    assert str(made.whip(request(), "one")).endswith("stream_url=rtmps://cdn.example/app/inner")
    assert made.flv(request(), "one") is None


def test_nothing_takes_them() -> None:
    made = urls({"rtmp": {"enabled": False}}, None)
    assert made.whip(request(), "one") is None
    assert made.rtmp(request(), "one") is None
    assert made.flv(request(), "one") is None


def test_no_http_flv() -> None:
    assert urls(has_flv=False).flv(request(), "one") is None


@pytest.mark.parametrize("name", NAMES)
def test_names_come_back_as_they_are(name: str) -> None:
    whip, flv = urlsplit(str(urls().whip(request(), name))), str(urls().flv(request(), name))
    query = parse_publish_query(whip.query.encode(), Settings().sink)
    assert (query.stream_name, query.stream_url) == (name, OWN)
    assert parse_qs(whip.query)["stream_name"] == [name]
    assert not urlsplit(flv).query and not urlsplit(flv).fragment


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://push.example/app/secret-key", "rtmp://push.example:1935/app/****"),
        ("rtmps://me:pass@push.example/app/inner/key?sign=a/b", "rtmps://push.example:443/app/inner/****"),
    ],
)
def test_push_urls_are_shown_without_what_opens_them(url: str, shown: str) -> None:
    assert masked_push_url(url) == shown
