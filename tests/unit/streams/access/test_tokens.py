import hashlib
import re
import secrets

from whipway.config.tree import Token
from whipway.streams.access.rights import Principal
from whipway.streams.access.tokens import StaticTokens, make_token


def entry(token: str, *streams: str) -> Token:
    return Token(hash="sha256:" + hashlib.sha256(token.encode()).hexdigest(), streams=list(streams))


def test_a_token_stands_for_its_streams() -> None:
    tokens = StaticTokens([entry("first", "one"), entry("second", "two", "three-*")])
    assert tokens.find("first") == Principal(("one",))
    assert tokens.find("second") == Principal(("two", "three-*"))


def test_others_stand_for_nobody() -> None:
    tokens = StaticTokens([entry("first", "one")])
    digest = hashlib.sha256(b"first").hexdigest()
    for other in ("", "First", "first ", digest, f"sha256:{digest}"):
        assert tokens.find(other) is None


def test_two_entries_of_one_token_count_together() -> None:
    tokens = StaticTokens([entry("first", "one"), entry("first", "two")])
    assert tokens.find("first") == Principal(("one", "two"))


def test_a_new_token_is_found_by_its_hash() -> None:
    token, digest = make_token(secrets.token_bytes)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert StaticTokens([Token(hash=digest, streams=["*"])]).find(token) == Principal(("*",))


def test_a_new_token_is_made_of_all_its_random_bytes() -> None:
    tokens = {make_token(lambda n, i=i: bytes(31) + bytes([i]))[0] for i in range(256)}
    assert len(tokens) == 256
