import base64
import hashlib
import hmac
import re

import pytest

from whipway.config import IceServer
from whipway.web.ice_servers import ice_server_links, is_secret

NOW = 1_700_000_000.75


def server(*urls: str, **values: object) -> IceServer:
    return IceServer.model_validate({"urls": list(urls), **values})


def parameters(link: str) -> dict[str, str]:
    """The parameters of a Link as a client reads them (RFC 8288, section 3)."""
    quoted = re.findall(r'; ([a-z-]+)="((?:[^"\\]|\\.)*)"', link)
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in quoted}


def test_servers_as_the_rfc_shows_them() -> None:
    """RFC 9725, section 4.6."""
    pair = {"username": "user", "credential": "myPassword"}
    servers = [
        server("stun:stun.example.net"),
        server("turn:turn.example.net?transport=udp", "turn:turn.example.net?transport=tcp", **pair),
        server("turns:turn.example.net?transport=tcp", **pair),
    ]
    turn = '; rel="ice-server"; username="user"; credential="myPassword"; credential-type="password"'
    assert ice_server_links(servers, NOW, "label") == [
        '<stun:stun.example.net>; rel="ice-server"',
        f"<turn:turn.example.net?transport=udp>{turn}",
        f"<turn:turn.example.net?transport=tcp>{turn}",
        f"<turns:turn.example.net?transport=tcp>{turn}",
    ]


def test_no_servers() -> None:
    assert ice_server_links([], NOW, "label") == []


def test_a_shared_secret_makes_credentials_that_expire() -> None:
    [link] = ice_server_links([server("turn:host", secret="north", lifetime=600)], NOW, "label")
    found = parameters(link)
    assert found["username"] == "1700000600:label"
    expected = hmac.new(b"north", b"1700000600:label", hashlib.sha1).digest()
    assert found["credential"] == base64.b64encode(expected).decode()
    assert found["credential-type"] == "password"


def test_a_secret_is_the_same_for_all_urls_of_a_server() -> None:
    links = ice_server_links([server("turn:one", "turn:two", secret="north")], NOW, "label")
    assert parameters(links[0]) == parameters(links[1])


def test_stun_beside_turn_goes_without_credentials() -> None:
    links = ice_server_links([server("stun:host", "turn:host", secret="north")], NOW, "label")
    assert list(map(is_secret, links)) == [False, True]
    assert "north" not in "".join(links)
    assert parameters(links[0]) == {"rel": "ice-server"}


@pytest.mark.parametrize(
    "text",
    [r"a\b", 'say "please"', '\\"', "semi; colon, <comma>", "50%", "".join(map(chr, range(0x20, 0x7F)))],
)
def test_quoting(text: str) -> None:
    [link] = ice_server_links([server("turn:host", username=text, credential=text)], NOW, "label")
    assert link.isascii() and link.isprintable()
    assert parameters(link) == {
        "rel": "ice-server",
        "username": text,
        "credential": text,
        "credential-type": "password",
    }
