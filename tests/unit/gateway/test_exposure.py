"""Who can reach a server, by its settings, and what follows from it."""

import pytest

from whipway.config import Settings, load_settings
from whipway.gateway.exposure import (
    exposure_notes,
    for_url,
    is_exposed,
    is_http_exposed,
    is_rtmp_exposed,
    metrics_need_key,
    plays_by_http,
)

WORLD = {"http.host": "0.0.0.0"}
WORLD_RTMP = {"rtmp.host": "::"}
PROXY = {"http.trusted_proxies": "10.0.0.0/8"}
PUBLIC = {"http.public_url": "https://whip.example"}
NO_RTMP = {"rtmp.enabled": "false"}
TLS = {"tls.cert": "cert.pem", "tls.key": "key.pem"}


def settings(*changes: dict[str, str]) -> Settings:
    flags: dict[str, str] = {}
    for each in changes:
        flags |= each
    return load_settings(flags=flags)


@pytest.mark.parametrize(
    ("changes", "by_http", "by_rtmp"),
    [
        ([], False, False),
        ([{"http.host": "localhost", "rtmp.host": "::1"}], False, False),
        ([{"http.host": "127.9.9.9"}], False, False),
        ([WORLD], True, False),
        ([{"http.host": "::"}], True, False),
        ([{"http.host": "192.0.2.1"}], True, False),
        ([PROXY], True, False),
        ([PUBLIC], True, False),
        ([WORLD_RTMP], False, True),
        ([WORLD_RTMP, NO_RTMP], False, False),
        ([WORLD, WORLD_RTMP], True, True),
    ],
)
def test_who_reaches_it(changes: list[dict[str, str]], by_http: bool, by_rtmp: bool) -> None:
    found = settings(*changes)
    assert (is_http_exposed(found), is_rtmp_exposed(found)) == (by_http, by_rtmp)
    assert is_exposed(found) == (by_http or by_rtmp)


@pytest.mark.parametrize(
    ("changes", "plays"),
    [
        ([], True),
        ([WORLD], False),
        ([WORLD, WORLD_RTMP], True),
        ([PUBLIC], False),
        ([PUBLIC, {"rtmp.http_flv": "on"}], True),
        ([{"rtmp.http_flv": "off"}], False),
        ([WORLD_RTMP, {"rtmp.http_flv": "off"}], False),
    ],
)
def test_who_plays_by_http(changes: list[dict[str, str]], plays: bool) -> None:
    assert plays_by_http(settings(*changes)) == plays


@pytest.mark.parametrize(
    ("changes", "access", "needs_key"),
    [
        ([], "auto", False),
        ([WORLD], "auto", True),
        ([PROXY], "auto", True),
        # Metrics are had by HTTP alone.
        ([WORLD_RTMP], "auto", False),
        ([WORLD], "open", False),
        ([], "key", True),
    ],
)
def test_whether_metrics_need_a_key(changes: list[dict[str, str]], access: str, needs_key: bool) -> None:
    assert metrics_need_key(settings(*changes, {"metrics.access": access})) == needs_key


@pytest.mark.parametrize(
    ("changes", "asks", "words"),
    [
        ([], False, []),
        ([WORLD], True, ["tls.cert"]),
        ([WORLD], False, ["tls.cert", "auth.enabled"]),
        ([WORLD, TLS], True, []),
        ([WORLD, TLS], False, ["auth.enabled"]),
        # A proxy in front has the certificate.
        ([WORLD, PROXY], True, []),
        ([WORLD, PUBLIC], False, ["auth.enabled"]),
        ([WORLD_RTMP], False, ["auth.enabled"]),
        ([WORLD_RTMP, NO_RTMP], False, []),
    ],
)
def test_what_is_worth_saying(changes: list[dict[str, str]], asks: bool, words: list[str]) -> None:
    notes = exposure_notes(settings(*changes), asks_publishers=asks)
    assert [word in note for word, note in zip(words, notes, strict=True)] == [True] * len(words)
    assert not any("\n" in note for note in notes)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::1", "[::1]"),
        ("whip.example", "whip.example"),
    ],
)
def test_hosts_in_urls(host: str, shown: str) -> None:
    assert for_url(host) == shown
