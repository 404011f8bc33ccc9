import pytest

from whipway.streams.webhooks.webhook_rules import (
    MAX_PATTERNS,
    WebhookRefused,
    check_patterns,
    check_webhook_url,
    wants,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?x=1",
        "http://user:secret@10.0.0.1:8080/",
        "http://[::1]:80",
        "HTTPS://EXAMPLE.com",
        "http://" + "a" * 60 + ".example/" + "b" * 1900,
    ],
)
def test_urls_that_can_be_called(url: str) -> None:
    check_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("ftp://example.com/", "http://"),
        ("example.com", "http://"),
        ("", "http://"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://[::1", "cannot be read"),
        ("http://host:port/", "cannot be read"),
        ("http://xn--/", "cannot be read"),
        ("http://xn--a/", "cannot be read"),
        ("http://host:0/", "port"),
        ("http://host:-1/", "port"),
        ("http://host:65536/", "port"),
        ("http://example.com/a b", "percent-encoded"),
        ("http://example.com/\n", "percent-encoded"),
        ("http://exämple.com/", "percent-encoded"),
        ("http://example.com/" + "a" * 2048, "longer"),
    ],
)
def test_urls_that_cannot(url: str, detail: str) -> None:
    with pytest.raises(WebhookRefused, match=detail) as caught:
        check_webhook_url(url)
    assert caught.value.field == "url" and caught.value.detail == str(caught.value)


def test_each_pattern_once() -> None:
    assert check_patterns(["stream.*", "sink.failed", "stream.*"]) == ("stream.*", "sink.failed")
    assert check_patterns(["*"]) == ("*",)


@pytest.mark.parametrize(
    "patterns",
    [[], ["session.*"], ["stream"], ["stream."], ["*.live"], ["stream.LIVE"], ["stream.live "], ["**"], [""]]
    + [[f"stream.{chr(97 + number)}" for number in range(MAX_PATTERNS + 1)]],
)
def test_patterns_that_fit_nothing(patterns: list[str]) -> None:
    with pytest.raises(WebhookRefused) as caught:
        check_patterns(patterns)
    assert caught.value.field == "events"


def test_which_events_are_wanted() -> None:
    assert wants(("sink.*", "stream.live"), "stream.live")
    assert wants(("sink.*", "stream.live"), "sink.retrying")
    assert not wants(("sink.*", "stream.live"), "stream.ended")
    assert wants(("*",), "stream.ended")
    assert not wants((), "stream.ended")
