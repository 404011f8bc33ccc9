"""Public keys of who issues JSON Web Tokens: JWK sets (RFC 7517), from a file or a URL.

Of a set, RSA keys of 2048 bits and more and P-256 keys are taken, for RS256 and ES256 (RFC 7518, sections 3.3
and 3.4); others are passed over, secret ones above all: a set that everybody may read holds no shared secret.
When a set cannot be read again, the keys that are known go on.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

MAX_SET_BYTES = 256 * 1024
MAX_KEYS = 256
FILE_INTERVAL = 60.0
"""Seconds for which a file is not looked at again."""
URL_LIFETIME = 600.0
"""Seconds for which fetched keys are good: who issues tokens shows a new key for longer before it uses it."""
UNKNOWN_KEY_INTERVAL = 60.0
"""Seconds: how often tokens with keys that nobody knows may cause a fetch."""
RETRY_INTERVAL = 5.0
"""Seconds until the next fetch after one that failed."""
FETCH_TIMEOUT = 2.0

_PARTS = {"RS256": ("kty", "n", "e"), "ES256": ("kty", "crv", "x", "y")}
"""The public members of a key (RFC 7518, sections 6.2.1 and 6.3.1), by what it verifies."""
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
_UNPACKED = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Of packed content nobody could tell how large it grows."""

log = structlog.get_logger("auth")


class Key(NamedTuple):
    """One public key: what tokens call it, what it verifies, and the key."""

    kid: str | None
    algorithm: str
    key: PyJWK


class KeySource(Protocol):
    """Where keys come from."""

    async def keys(self, kid: str | None) -> tuple[Key, ...]:
        """All keys. `kid` is the wanted one: where it is not among them, the source may look again."""
        ...


class KeyFile:
    """Keys in a file, which is read again when it was written since."""

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        """Read the file. Raises ValueError with what is wrong with it."""
        self._path = path
        self._monotonic = monotonic
        self._written, self._keys = self._read()
        self._next_look = monotonic() + FILE_INTERVAL

    async def keys(self, kid: str | None) -> tuple[Key, ...]:
        """All keys. The file is small and local, so reading it keeps nobody waiting."""
        now = self._monotonic()
        if now >= self._next_look:
            self._next_look = now + FILE_INTERVAL
            self._look()
        return self._keys

    def _look(self) -> None:
        try:
            if self._path.stat().st_mtime_ns != self._written:
                self._written, self._keys = self._read()
        except (OSError, ValueError) as error:
            log.warning("keys cannot be read again, the old ones go on", reason=str(error))

    def _read(self) -> tuple[int, tuple[Key, ...]]:
        try:
            # Before the content: a file that is written in between is read once more.
            written = self._path.stat().st_mtime_ns
            with self._path.open("rb") as file:
                return written, parse_keys(file.read(MAX_SET_BYTES + 1))
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None


class KeyUrl:
    """Keys behind a URL: fetched when first needed, one fetch at a time."""

    def __init__(self, client: httpx.AsyncClient, url: str, monotonic: Callable[[], float]) -> None:
        """Raises ValueError for what is no URL."""
        self._client = client
        self._url = _parse_url(url)
        self._monotonic = monotonic
        self._keys: tuple[Key, ...] = ()
        self._good_until = self._next_search = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, kid: str | None) -> tuple[Key, ...]:
        """All keys, fetched again when they are old or `kid` is not among them."""
        if self._is_due(kid):
            async with self._lock:
                # Another request may have fetched them while this one waited.
                if self._is_due(kid):
                    await self._fetch()
        return self._keys

    def _is_due(self, kid: str | None) -> bool:
        now = self._monotonic()
        if now >= self._good_until:
            return True
        is_unknown = kid is not None and all(key.kid != kid for key in self._keys)
        return is_unknown and now >= self._next_search

    async def _fetch(self) -> None:
        try:
            self._keys = parse_keys(await self._read())
            lifetime, interval = URL_LIFETIME, UNKNOWN_KEY_INTERVAL
        except (TimeoutError, httpx.HTTPError, ValueError) as error:
            log.warning("keys cannot be fetched, those known go on", error=type(error).__name__)
            lifetime = interval = RETRY_INTERVAL
        now = self._monotonic()
        self._good_until, self._next_search = now + lifetime, now + interval

    async def _read(self) -> bytes:
        data = bytearray()
        async with asyncio.timeout(FETCH_TIMEOUT):
            async with self._client.stream("GET", self._url, headers=_UNPACKED) as response:
                if response.status_code != httpx.codes.OK:
                    raise ValueError(f"the server answers with status {response.status_code}")
                async for part in response.aiter_raw():
                    data += part
                    if len(data) > MAX_SET_BYTES:
                        break
        return bytes(data)


def _parse_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("is no URL that can be read") from None
    if not url.host:
        raise ValueError("is a URL that names no host")
    return url


def parse_keys(data: bytes) -> tuple[Key, ...]:
    """The keys of a JWK set that can be used. Raises ValueError with what is wrong with it."""
    if len(data) > MAX_SET_BYTES:
        raise ValueError(f"is larger than {MAX_SET_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("is no JWK set: it has no list of keys")
    keys = tuple(key for entry in entries[:MAX_KEYS] if (key := _parse_key(entry)) is not None)
    if not keys:
        raise ValueError("holds no key for RS256 or ES256")
    return keys


def _parse_key(entry: Any) -> Key | None:
    """RFC 7517, section 5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type)
    values that are not understood by them, that are missing required members, or for which values are out of
    the supported ranges."
    """
    if not isinstance(entry, dict) or not _verifies(entry):
        return None
    curve = entry.get("crv") if entry.get("kty") == "EC" else None
    algorithm = next((name for kind, name in _ALGORITHMS.items() if kind == (entry.get("kty"), curve)), None)
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    public = {name: entry.get(name) for name in _PARTS[algorithm]}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    try:
        key = PyJWK(public, algorithm)
    except (PyJWTError, ValueError, OverflowError):
        return None
    # RFC 7518, section 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
    if key.Algorithm.check_key_length(key.key) is not None:
        return None
    kid = entry.get("kid")
    return Key(kid if isinstance(kid, str) else None, algorithm, key)


def _verifies(entry: dict[str, Any]) -> bool:
    """RFC 7517, sections 4.2 and 4.3: a key may say what it is for."""
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
