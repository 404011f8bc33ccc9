import pytest

from whipway.protocol.rtmp.url import RtmpUrl, check_stream_name, parse_rtmp_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtmp://host/live", RtmpUrl("host", 1935, "live", False, "rtmp://host:1935/live")),
        ("rtmp://host:80/live/", RtmpUrl("host", 80, "live", False, "rtmp://host:80/live")),
        ("rtmps://host/a/b", RtmpUrl("host", 443, "a/b", True, "rtmps://host:443/a/b")),
        ("RTMP://Host/live", RtmpUrl("host", 1935, "live", False, "rtmp://host:1935/live")),
        ("rtmp://[::1]:19/live?k=v", RtmpUrl("::1", 19, "live?k=v", False, "rtmp://[::1]:19/live?k=v")),
    ],
)
def test_url_is_split(text: str, expected: RtmpUrl) -> None:
    assert parse_rtmp_url(text) == expected


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
        ("rtmp://user:secret@host/live", "user name or password"),
        ("rtmp://host/li ve", "cannot be printed"),
        ("rtmp://host/li\r\nve", "cannot be printed"),
        ("rtmp://host/" + "a" * 3000, "longer than 2048"),
    ],
)
def test_what_is_wrong_is_said_without_the_url(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_rtmp_url(text)
    assert "secret" not in str(caught.value)


def test_stream_names_may_carry_publisher_arguments() -> None:
    check_stream_name("AbCdE-12345?passcode=abc&tenant=42")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "empty"), ("?a=b", "empty"), ("a b", "printed"), ("a\n", "printed"), ("a" * 2000, "longer")],
)
def test_stream_names_that_cannot_be_sent(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_stream_name(name)
