import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from whipway.streams.access.jwks import Key, parse_keys
from whipway.streams.access.jwt_tokens import MAX_TRIED_KEYS, JwtVerifier, looks_like_jwt
from whipway.streams.access.rights import NotAuthenticated, Principal, parse_target

pytestmark = pytest.mark.anyio

NOW = 2_000_000_000.0
SECRET = "a shared secret of enough characters"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA_JWK = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "r"}
EC_JWK = ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "e"}
CLAIMS = {"exp": NOW + 60, "stream_name": "one"}
ONE = Principal(("one",))


class Source:
    """Keys of the test's, and which of them were asked for."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.known = parse_keys(json.dumps({"keys": entries}).encode())
        self.asked: list[str | None] = []

    async def keys(self, kid: str | None) -> tuple[Key, ...]:
        self.asked.append(kid)
        return self.known


def verifier(source: Source | None = None, **more: Any) -> JwtVerifier:
    settings: dict[str, Any] = {"secret": SECRET, "issuer": None, "audience": None, "now": lambda: NOW}
    return JwtVerifier(source=source, **(settings | more))


def signed(claims: dict[str, Any] | None = None, headers: dict[str, Any] | None = None, **more: Any) -> str:
    return jwt.encode(CLAIMS | (claims or {}), SECRET, "HS256", headers | more if headers else more or None)


def without(claim: str) -> str:
    return jwt.encode({name: value for name, value in CLAIMS.items() if name != claim}, SECRET, "HS256")


def encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def forged(header: Any, payload: bytes = json.dumps(CLAIMS).encode(), key: bytes = SECRET.encode()) -> str:
    """A token written by hand, with an HMAC whatever its header says."""
    body = encoded(header if isinstance(header, bytes) else json.dumps(header).encode())
    body += b"." + encoded(payload)
    return (body + b"." + encoded(hmac.digest(key, body, hashlib.sha256))).decode()


async def refusal(tested: JwtVerifier, token: str) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        await tested.verify(token)
    assert caught.value.sent
    # RFC 6750, section 3: what an error_description may hold.
    assert caught.value.detail.isascii() and not set(caught.value.detail) & set('"\\')
    return caught.value.detail


# Keys and algorithms


@pytest.mark.parametrize(
    ("key", "algorithm"), [(SECRET, "HS256"), (RSA, "RS256"), (EC, "ES256")], ids=["HS256", "RS256", "ES256"]
)
@pytest.mark.parametrize("kid", [None, "its own"])
async def test_good_tokens(key: Any, algorithm: str, kid: str | None) -> None:
    own = {"RS256": "r", "ES256": "e"}.get(algorithm, "any")
    token = jwt.encode(CLAIMS, key, algorithm, {"kid": own} if kid else None)
    assert await verifier(Source(RSA_JWK, EC_JWK)).verify(token) == ONE


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        ("another secret of enough characters", "HS256", None),
        (OTHER_RSA, "RS256", None),
        (OTHER_EC, "ES256", None),
        (RSA, "RS256", "e"),
        (EC, "ES256", "r"),
        (RSA, "RS256", "unknown"),
        (RSA, "RS256", "../../etc/passwd"),
        (RSA, "RS256", "r' OR '1'='1"),
        (RSA, "RS256", ""),
    ],
)
async def test_unknown_keys(key: Any, algorithm: str, kid: str | None) -> None:
    token = jwt.encode(CLAIMS, key, algorithm, None if kid is None else {"kid": kid})
    assert "not signed with a key" in await refusal(verifier(Source(RSA_JWK, EC_JWK)), token)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (SECRET * 2, "HS384"),
        (SECRET * 2, "HS512"),
        (RSA, "RS384"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (None, "none"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 9 else "key",
)
async def test_other_algorithms(key: Any, algorithm: str) -> None:
    token = jwt.encode(CLAIMS, key, algorithm)
    assert "not accepted" in await refusal(verifier(Source(RSA_JWK, EC_JWK)), token)


@pytest.mark.parametrize("algorithm", ["none", "None", "hs256", "HS256 ", "", None, 1, ["HS256"], {}, True])
async def test_algorithms_that_are_none(algorithm: Any) -> None:
    assert "not accepted" in await refusal(verifier(), forged({"alg": algorithm}))
    assert "not accepted" in await refusal(verifier(), forged({"typ": "JWT"}))


async def test_a_public_key_is_no_secret() -> None:
    tested = verifier(Source(RSA_JWK, EC_JWK), secret=None)
    public = RSA.public_key()
    for key in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA_JWK).encode(),
    ):
        assert "not accepted" in await refusal(tested, forged({"alg": "HS256", "kid": "r"}, key=key))
        assert "not signed" in await refusal(verifier(), forged({"alg": "HS256"}, key=key))
        assert "not signed" in await refusal(tested, forged({"alg": "RS256", "kid": "r"}, key=key))
        assert "not signed" in await refusal(tested, forged({"alg": "ES256", "kid": "e"}, key=key))


@pytest.mark.parametrize(
    "secret",
    [
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        json.dumps(EC_JWK),
    ],
    ids=["PEM", "JWK"],
)
def test_a_secret_that_is_a_key_is_told_at_once(secret: str) -> None:
    with pytest.raises(ValueError, match="where a public key belongs") as caught:
        verifier(secret=secret)
    assert secret not in str(caught.value)


async def test_each_way_must_be_set_up() -> None:
    for key, algorithm in ((RSA, "RS256"), (EC, "ES256")):
        assert "not accepted" in await refusal(verifier(), jwt.encode(CLAIMS, key, algorithm))
    assert "not accepted" in await refusal(verifier(Source(RSA_JWK), secret=None), signed())


async def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    own = RSAAlgorithm.to_jwk(OTHER_RSA.public_key(), as_dict=True)
    header = {"jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/", "jwk": own, "x5c": ["AAAA"]}
    tested = verifier(Source(RSA_JWK))
    assert "not signed" in await refusal(tested, jwt.encode(CLAIMS, OTHER_RSA, "RS256", header))
    assert await tested.verify(jwt.encode(CLAIMS, RSA, "RS256", header)) == ONE


async def test_the_source_is_told_which_key_is_wanted() -> None:
    source = Source(RSA_JWK)
    await verifier(source).verify(jwt.encode(CLAIMS, RSA, "RS256", {"kid": "r"}))
    await verifier(source).verify(jwt.encode(CLAIMS, RSA, "RS256"))
    await verifier(source).verify(signed(kid="x"))
    assert source.asked == ["r", None]


async def test_keys_without_a_name_may_be_meant_by_any() -> None:
    nameless = {name: value for name, value in RSA_JWK.items() if name != "kid"}
    token = jwt.encode(CLAIMS, RSA, "RS256", {"kid": "whatever"})
    assert await verifier(Source(EC_JWK, nameless)).verify(token) == ONE


async def test_not_more_than_some_keys_are_tried() -> None:
    others = [ECAlgorithm.to_jwk(OTHER_EC.public_key(), as_dict=True)] * (MAX_TRIED_KEYS - 1)
    token = jwt.encode(CLAIMS, EC, "ES256")
    assert await verifier(Source(RSA_JWK, *others, EC_JWK)).verify(token) == ONE
    assert "not signed" in await refusal(verifier(Source(*others, others[0], EC_JWK)), token)


# Form


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "....",
        "",
        "no dots",
        forged(b"[]"),
        forged(b"not JSON"),
        forged(b"\xff"),
        forged(b"[" * 3000),
        forged(b'{"alg":' + b"1" * 5000 + b"}"),
        forged({"alg": "HS256", "kid": 5}),
        forged({"alg": "HS256", "kid": ["r"]}),
        forged({"alg": "HS256", "crit": ["exp"]}),
        forged({"alg": "HS256", "crit": ["made-up"], "made-up": True}),
        forged({"alg": "HS256", "crit": []}),
        forged({"alg": "HS256", "crit": "exp"}),
        forged({"alg": "HS256", "crit": [{}]}),
        signed().replace(".", ".!", 1),
    ],
    ids=lambda token: token[:12],
)
async def test_what_is_no_token(token: str) -> None:
    assert "can be read" in await refusal(verifier(), token)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'"x"', b"null", b"not JSON", b"[" * 4000, b"\xff", b"1" * 5000]
)
async def test_what_is_no_set_of_claims(payload: bytes) -> None:
    await refusal(verifier(), forged({"alg": "HS256"}, payload))


async def test_a_token_without_its_content_is_none() -> None:
    for header in ({"alg": "HS256", "b64": False}, {"alg": "HS256", "b64": False, "crit": ["b64"]}):
        await refusal(verifier(), forged(header))
        await refusal(verifier(), forged(header, b""))


@pytest.mark.parametrize("place", range(3))
async def test_a_changed_token_is_refused(place: int) -> None:
    parts = signed().split(".")
    parts[place] = parts[place][:-4] + ("AAAA" if parts[place][-4:] != "AAAA" else "BBBB")
    await refusal(verifier(), ".".join(parts))


@given(st.text(st.characters(codec="ascii"), max_size=60).map(lambda text: text + ".."))
async def test_any_text_is_refused(text: str) -> None:
    await refusal(verifier(Source(RSA_JWK)), text)


def test_what_looks_like_a_token() -> None:
    assert looks_like_jwt(signed()) and looks_like_jwt("..")
    assert not looks_like_jwt("abc") and not looks_like_jwt("a.b") and not looks_like_jwt("a.b.c.d.e")


# Times, issuer and audience


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"exp": NOW - 9.9}, None),
        ({"exp": NOW - 10}, "has expired"),
        ({"exp": 0}, "has expired"),
        ({"exp": -(10**400)}, "has expired"),
        ({"exp": 10**400}, None),
        ({"nbf": NOW + 10}, None),
        ({"nbf": NOW + 10.1}, "not valid yet"),
        ({"nbf": 10**400}, "not valid yet"),
        ({"iat": NOW + 10}, None),
        ({"iat": NOW + 11}, "not valid yet"),
        ({"iat": NOW - 10**9}, None),
        ({"exp": None}, "exp is no number"),
        ({"exp": str(NOW + 60)}, "exp is no number"),
        ({"exp": True}, "exp is no number"),
        ({"exp": float("nan")}, "exp is no number"),
        ({"exp": float("inf")}, "exp is no number"),
        ({"exp": [NOW + 60]}, "exp is no number"),
        ({"nbf": "now"}, "nbf is no number"),
        ({"nbf": float("-inf")}, "nbf is no number"),
        ({"iat": {}}, "iat is no number"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_times(claims: dict[str, Any], sentence: str | None) -> None:
    if sentence is None:
        assert await verifier().verify(signed(claims)) == ONE
    else:
        assert sentence in await refusal(verifier(), signed(claims))


async def test_a_token_must_expire() -> None:
    assert "when it expires" in await refusal(verifier(), without("exp"))


async def test_the_issuer_must_be_the_one_that_is_set() -> None:
    tested = verifier(issuer="https://id.example")
    assert await tested.verify(signed({"iss": "https://id.example"})) == ONE
    # Written by hand: PyJWT does not write issuers that are no text.
    for issuer in ("https://id.example/", "HTTPS://id.example", "", None, ["https://id.example"], 1):
        payload = json.dumps(CLAIMS | {"iss": issuer}).encode()
        assert "issuer" in await refusal(tested, forged({"alg": "HS256"}, payload))
    assert "issuer" in await refusal(tested, signed())
    assert await verifier().verify(signed({"iss": "anybody"})) == ONE


async def test_the_audience_must_be_the_one_that_is_set() -> None:
    tested = verifier(audience="whip")
    for good in ("whip", ["other", "whip"], ["whip", 1, {}]):
        assert await tested.verify(signed({"aud": good})) == ONE
    for bad in ("other", "", None, [], ["other"], {"whip": 1}, 5, ["whi", "p"], "whip other"):
        assert "audience" in await refusal(tested, signed({"aud": bad}))
    assert "audience" in await refusal(tested, signed())


@pytest.mark.parametrize("audience", ["whip", "", None, []])
async def test_a_token_for_an_audience_is_for_nobody_who_has_no_name(audience: Any) -> None:
    assert "audience" in await refusal(verifier(), signed({"aud": audience}))


# Rights


@pytest.mark.parametrize(
    ("claims", "principal"),
    [
        ({"stream_name": "studio-*"}, Principal(("studio-*",))),
        ({"stream_name": ["one", "two-*"]}, Principal(("one", "two-*"))),
        ({"stream_name": "one", "streamname": "*"}, ONE),
        ({"stream_url": "rtmp://a/b"}, Principal(("one",), frozenset({parse_target("rtmp://a/b")}))),
        ({"ingesturl": "rtmp://a/b"}, Principal(("one",), frozenset({parse_target("rtmp://a/b")}))),
        (
            {"stream_url": ["rtmp://a/b?x", "rtmps://c/d"], "ingesturl": "rtmp://e/f"},
            Principal(("one",), frozenset({parse_target("rtmp://a/b"), parse_target("rtmps://c/d")})),
        ),
    ],
    ids=repr,
)
async def test_rights(claims: dict[str, Any], principal: Principal) -> None:
    assert await verifier().verify(signed(claims)) == principal


async def test_the_older_name_of_the_stream() -> None:
    token = jwt.encode({"exp": NOW + 60, "streamname": ["one"]}, SECRET, "HS256")
    assert await verifier().verify(token) == ONE


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"stream_name": None}, "stream_name is neither"),
        ({"stream_name": None, "streamname": "*"}, "stream_name is neither"),
        ({"stream_name": []}, "stream_name is neither"),
        ({"stream_name": ["one", 2]}, "stream_name is neither"),
        ({"stream_name": {"one": 1}}, "stream_name is neither"),
        ({"stream_url": None}, "stream_url is neither"),
        ({"stream_url": []}, "stream_url is neither"),
        ({"stream_url": [["rtmp://a/b"]]}, "stream_url is neither"),
        ({"stream_url": "*"}, "stream_url is no RTMP URL"),
        ({"stream_url": ["rtmp://a/b", "http://a/b"]}, "stream_url is no RTMP URL"),
        ({"ingesturl": ""}, "stream_url is no RTMP URL"),
    ],
    ids=repr,
)
async def test_rights_that_cannot_be_read(claims: dict[str, Any], sentence: str) -> None:
    assert sentence in await refusal(verifier(), signed(claims))


async def test_a_token_must_name_its_streams() -> None:
    assert "names no stream" in await refusal(verifier(), without("stream_name"))


async def test_messages_repeat_nothing_of_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    marked: list[Callable[[], str]] = [
        lambda: signed({"stream_url": "SECRETVALUE"}),
        lambda: signed({"aud": "SECRETVALUE"}),
        lambda: signed({"exp": "SECRETVALUE"}),
        lambda: forged({"alg": "SECRETVALUE"}),
        lambda: forged({"alg": "HS256", "crit": ["SECRETVALUE"]}),
    ]
    for make in marked:
        assert "SECRETVALUE" not in await refusal(verifier(), make())
    assert "SECRETVALUE" not in "".join(capsys.readouterr())
