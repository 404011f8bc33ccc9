import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tests.peers.http_server import HttpServer, http_server

from whipway.streams.access import jwks
from whipway.streams.access.jwks import MAX_SET_BYTES, KeyFile, KeyUrl, parse_keys

pytestmark = pytest.mark.anyio

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
RSA_JWK = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
EC_JWK = ECAlgorithm.to_jwk(EC.public_key(), as_dict=True)


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def names(keys: tuple[jwks.Key, ...]) -> list[str | None]:
    return [key.kid for key in keys]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# Sets


def test_keys_are_taken_for_their_own_algorithm_only() -> None:
    keys = parse_keys(key_set(RSA_JWK | {"kid": "r", "alg": "RS256", "use": "sig"}, EC_JWK | {"kid": 7}))
    assert [(key.kid, key.algorithm, key.key.algorithm_name) for key in keys] == [
        ("r", "RS256", "RS256"),
        (None, "ES256", "ES256"),
    ]


def test_of_private_keys_the_public_half_is_taken() -> None:
    private = RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"key_ops": ["sign", "verify"]}
    [key] = parse_keys(key_set(private))
    assert isinstance(key.key.key, rsa.RSAPublicKey)


@pytest.mark.parametrize(
    "entry",
    [
        "no object",
        {},
        {"kty": ["RSA"]},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        {"kty": "oct", "alg": "RS256", "k": "c2VjcmV0"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        RSA_JWK | {"alg": "RS512"},
        RSA_JWK | {"alg": "HS256"},
        RSA_JWK | {"alg": "none"},
        RSA_JWK | {"use": "enc"},
        RSA_JWK | {"key_ops": ["sign"]},
        RSA_JWK | {"key_ops": "verify"},
        RSA_JWK | {"n": 5},
        RSA_JWK | {"n": "AQ"},
        RSA_JWK | {"n": "!"},
        RSA_JWK | {"e": "Ag"},
        {"kty": "RSA", "e": "AQAB"},
        RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True),  # noqa: S505
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True),
        EC_JWK | {"x": EC_JWK["y"], "y": EC_JWK["x"]},
        EC_JWK | {"x": "AA"},
    ],
    ids=repr,
)
def test_keys_that_cannot_be_used_are_passed_over(entry: Any) -> None:
    assert names(parse_keys(key_set(entry, RSA_JWK | {"kid": "good"}))) == ["good"]
    with pytest.raises(ValueError, match="holds no key"):
        parse_keys(key_set(entry))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "no list of keys"),
        (b"{}", "no list of keys"),
        (b'{"keys": {}}', "no list of keys"),
        (b'{"keys": []}', "holds no key"),
        (b" " * (MAX_SET_BYTES + 1), "is larger"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_set(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_keys(data)


def test_a_set_may_hold_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "MAX_KEYS", 2)
    assert names(parse_keys(key_set(*(EC_JWK | {"kid": str(i)} for i in range(3))))) == ["0", "1"]


# Files


def write(path: Path, data: bytes, written: int) -> None:
    path.write_bytes(data)
    os.utime(path, (written, written))


async def test_a_file_is_read_again_when_it_was_written(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    write(path, key_set(EC_JWK | {"kid": "a"}), 1)
    source = KeyFile(path, clock)
    write(path, key_set(EC_JWK | {"kid": "b"}), 2)
    clock.now += 59
    assert names(await source.keys("b")) == ["a"]
    clock.now += 1
    assert names(await source.keys(None)) == ["b"]
    write(path, key_set(EC_JWK | {"kid": "c"}), 2)
    clock.now += 60
    assert names(await source.keys(None)) == ["b"]


@pytest.mark.parametrize("data", [b"broken", None], ids=["broken", "gone"])
async def test_the_old_keys_go_on_when_the_file_is_bad(
    tmp_path: Path, clock: Clock, data: bytes | None
) -> None:
    path = tmp_path / "keys.json"
    write(path, key_set(EC_JWK | {"kid": "a"}), 1)
    source = KeyFile(path, clock)
    path.unlink()
    if data is not None:
        write(path, data, 2)
    clock.now += 60
    assert names(await source.keys(None)) == ["a"]
    write(path, key_set(EC_JWK | {"kid": "b"}), 3)
    clock.now += 60
    assert names(await source.keys(None)) == ["b"]


def test_a_bad_file_is_told_at_once(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        KeyFile(tmp_path / "none", clock)
    (tmp_path / "bad").write_bytes(b"x")
    with pytest.raises(ValueError, match="is not JSON"):
        KeyFile(tmp_path / "bad", clock)
    (tmp_path / "large").write_bytes(b" " * (MAX_SET_BYTES + 9))
    with pytest.raises(ValueError, match="is larger"):
        KeyFile(tmp_path / "large", clock)


# URLs


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        server.body = key_set(EC_JWK | {"kid": "a"})
        yield server


@pytest.fixture
async def source(server: HttpServer, clock: Clock) -> AsyncIterator[KeyUrl]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield KeyUrl(client, server.url + "/keys", clock)


async def test_a_url_is_fetched_when_first_needed_and_then_every_ten_minutes(
    server: HttpServer, source: KeyUrl, clock: Clock
) -> None:
    assert server.requests == []
    assert names(await source.keys("a")) == ["a"]
    clock.now += 599
    assert names(await source.keys("a")) == names(await source.keys(None)) == ["a"]
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/keys")]
    clock.now += 1
    server.body = key_set(EC_JWK | {"kid": "b"})
    assert names(await source.keys("a")) == ["b"]
    assert len(server.requests) == 2


async def test_an_unknown_key_is_looked_for_once_a_minute(
    server: HttpServer, source: KeyUrl, clock: Clock
) -> None:
    await source.keys(None)
    clock.now += 59
    await source.keys("b")
    assert len(server.requests) == 1
    clock.now += 1
    server.body = key_set(EC_JWK | {"kid": "b"})
    assert names(await source.keys("b")) == ["b"]
    await source.keys("c")
    assert len(server.requests) == 2


async def test_one_fetch_serves_all_who_wait(server: HttpServer, source: KeyUrl) -> None:
    server.is_open.clear()
    waiting = [asyncio.create_task(source.keys(kid)) for kid in ("a", "b", None, "a")]
    while not server.requests:
        await asyncio.sleep(0)
    server.is_open.set()
    assert [names(keys) for keys in await asyncio.gather(*waiting)] == [["a"]] * 4
    assert len(server.requests) == 1


async def test_who_fetches_may_leave_and_the_next_one_fetches(server: HttpServer, source: KeyUrl) -> None:
    server.is_open.clear()
    first, second = asyncio.create_task(source.keys("a")), asyncio.create_task(source.keys("a"))
    while not server.requests:
        await asyncio.sleep(0)
    first.cancel()
    server.is_open.set()
    assert names(await second) == ["a"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b""), (302, b""), (200, b"broken"), (200, b" " * (MAX_SET_BYTES + 100_000))],
    ids=["missing", "moved", "broken", "large"],
)
async def test_the_old_keys_go_on_when_a_fetch_fails(
    server: HttpServer, source: KeyUrl, clock: Clock, status: int, body: bytes
) -> None:
    await source.keys(None)
    good, server.status, server.body = server.body, status, body
    server.headers = {"Location": "/good"}
    clock.now += 600
    assert names(await source.keys(None)) == ["a"]
    server.status, server.body = 200, good.replace(b'"a"', b'"b"')
    clock.now += 4
    assert names(await source.keys(None)) == ["a"]
    assert len(server.requests) == 2
    clock.now += 1
    assert names(await source.keys(None)) == ["b"]


async def test_a_slow_server_is_not_waited_for(
    server: HttpServer, source: KeyUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.05)
    server.is_open.clear()
    assert await source.keys("a") == ()


async def test_packed_content_is_not_unpacked(server: HttpServer, source: KeyUrl) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    assert names(await source.keys("a")) == ["a"]
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("url", ["http://", "https:///keys", "http://[::1/keys"])
async def test_what_is_no_url(url: str, clock: Clock) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(ValueError, match="URL"):
            KeyUrl(client, url, clock)
