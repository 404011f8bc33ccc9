"""What sessions are told apart by: their streams, and where they come from."""

import pytest

from whipway.streams.sessions import address_group, stream_key


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtmp://host/live", "one"),
        ("rtmp://HOST/live", "one"),
        ("rtmp://host:1935/live/", "one"),
        ("rtmp://host/live?token=x", "one"),
        ("rtmp://host/live", "one?passcode=abc"),
        ("rtmp://host/live", "/one/"),
        ("rtmp://host//live//", "//one"),
    ],
)
def test_one_stream(url: str, name: str) -> None:
    assert stream_key(url, name) == "host:1935/live/one"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]", "[0:0::1]", "x.localhost"]
)
def test_this_machine_has_many_names(host: str) -> None:
    assert stream_key(f"rtmp://{host}:1936/live", "one") == "localhost:1936/live/one"


def test_servers_put_application_and_name_together() -> None:
    """What they make of it, rights are about: see `Principal.may_name`."""
    keys = {stream_key("rtmp://host/live/team", "cam"), stream_key("rtmp://host/live", "team/cam")}
    assert keys == {"host:1935/live/team/cam"}


def test_other_streams() -> None:
    targets = [
        ("rtmp://host/live", "one"),
        ("rtmp://host/live", "One"),
        ("rtmp://host/live", "two"),
        ("rtmp://host/Live", "one"),
        ("rtmp://host:1936/live", "one"),
        ("rtmps://host/live", "one"),
        ("rtmp://other/live", "one"),
        ("rtmp://[::1]/live", "one"),
        ("rtmp://[::2]/live", "one"),
        ("rtmp://128.0.0.1/live", "one"),
        ("rtmp://localhost.example/live", "one"),
    ]
    assert len({stream_key(*target) for target in targets}) == len(targets)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:DB8:0:0:ffff::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("testclient", "testclient", True),
        ("", "192.0.2.1", False),
    ],
)
def test_addresses_that_count_as_one(first: str, second: str, same: bool) -> None:
    assert (address_group(first) == address_group(second)) is same
