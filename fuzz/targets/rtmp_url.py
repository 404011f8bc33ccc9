"""Whatever a client gives as the URL of an RTMP server: it is split or refused with a sentence that quotes
nothing of it, what is sent and shown has no credentials, and splits into the same again."""

from dataclasses import replace

from whipway.protocol.rtmp.url import MAX_CREDENTIAL_CHARACTERS, MAX_URL_CHARACTERS, parse_rtmp_url

MARK = "Zq"
"""Stands in no sentence."""


def target(data: bytes) -> bool:
    """A URL."""
    text = data.decode(errors="replace")
    try:
        url = parse_rtmp_url(text)
    except ValueError as error:
        assert MARK not in str(error)
        return False
    # With the port it may have become too long.
    if len(url.tc_url) <= MAX_URL_CHARACTERS:
        assert parse_rtmp_url(url.tc_url) == replace(url, user=None, password=None)
    for plain in (url.tc_url, url.shown):
        assert "@" not in plain.partition("://")[2].partition("/")[0]
    assert "?" not in url.shown
    assert url.user != ""
    assert (url.user is None) is (url.password is None)
    for credential in (url.user or "", url.password or ""):
        assert len(credential) <= MAX_CREDENTIAL_CHARACTERS
        assert credential.isprintable()
    return True


def seeds() -> list[bytes]:
    return [
        b"rtmp://host/live",
        b"rtmps://bob:Zq%40%C3%BC@host:80/live/studio?key=Zq",
        b"rtmp://bob@[2001:db8::7]:1937/live",
    ]
