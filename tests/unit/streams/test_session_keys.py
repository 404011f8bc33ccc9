"""What sessions are told apart by: their streams, and where they come from."""

import pytest

from whipway.streams.session_keys import stream_key
from whipway.worker.egress import EgressPolicy


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


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0::1]"],
)
def test_loopback_has_many_forms(host: str) -> None:
    assert stream_key(f"rtmp://{host}:1936/live", "one") == "localhost:1936/live/one"


@pytest.mark.parametrize("host", ["192.0.2.2", "3221225986", "0xc0000202", "192.0.514", "[::ffff:c000:202]"])
def test_an_address_has_many_forms(host: str) -> None:
    assert stream_key(f"rtmp://{host}/live", "one") == "192.0.2.2:1935/live/one"


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.2:1936", "localhost:1936/live/one"),
        ("3221225986:1936", "localhost:1936/live/one"),
        ("[::ffff:192.0.2.2]:1936", "localhost:1936/live/one"),
        ("192.0.2.2:1937", "192.0.2.2:1937/live/one"),
        ("192.0.2.3:1936", "192.0.2.3:1936/live/one"),
        ("rtmp.example:1936", "rtmp.example:1936/live/one"),
        ("dead:1936", "dead:1936/live/one"),
    ],
)
def test_addresses_that_lead_to_this_server_are_this_machine(host: str, key: str) -> None:
    assert stream_key(f"rtmp://{host}/live", "one", EgressPolicy(own=[("192.0.2.2", 1936)]).is_own) == key


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
