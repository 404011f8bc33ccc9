"""The kinds of values that settings have: how each is read from text, and what is wrong with one."""

import json
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, PlainValidator, SecretStr
from pydantic_core import PydanticCustomError


def _to_address(value: object) -> IPv4Address | IPv6Address:
    try:
        return ip_address(str(value))
    except ValueError:
        raise PydanticCustomError("address", "should be an IP address such as 127.0.0.1") from None


def _to_network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError:
        detail = "should be an IP address or network such as 10.0.0.0/8"
        raise PydanticCustomError("network", detail) from None


def no_boolean(value: object) -> object:
    """Python counts with True as 1; who writes it for a number means something else."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number")
    return value


def split_commas(value: object) -> object:
    """The environment and flags hold text only: a list is written there with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def read_json(value: object) -> object:
    """A list of tables is written in the environment and in flags as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise PydanticCustomError("json", "should be a list of tables, in flags written as JSON") from None


def _check_key(value: SecretStr) -> SecretStr:
    if not MIN_KEY_BYTES <= len(value.get_secret_value().encode()) <= 1024:
        raise PydanticCustomError("key", f"should have {MIN_KEY_BYTES} to 1024 bytes")
    return value


def _check_visible(value: str) -> str:
    if not (value.isascii() and value.isprintable() and 0 < len(value) <= 1024):
        raise PydanticCustomError("visible", "should be 1 to 1024 printable ASCII characters")
    return value


def _check_visible_secret(value: SecretStr) -> SecretStr:
    _check_visible(value.get_secret_value())
    return value


def _check_ice_url(url: str) -> str:
    """RFC 7064, section 3.1 and RFC 7065, section 3.1: no user, no path, perhaps a transport."""
    scheme, colon, rest = url.partition(":")
    is_whole = rest and rest.isascii() and rest.isprintable() and not set(rest) & set(' /<>"@;,')
    if not (colon and is_whole and scheme in ("stun", "stuns", "turn", "turns")):
        detail = "should be a URL such as stun:host:3478 or turn:host:3478?transport=udp"
        raise PydanticCustomError("ice_url", detail)
    return url


def _check_rtmp_url(url: str) -> str:
    """As WHIP's `stream_url`; who uses it looks closer, as settings know nothing of the program."""
    if not _RTMP_URL.fullmatch(url):
        raise PydanticCustomError("rtmp_url", "should be a URL such as rtmp://live.example.com/live")
    return url


def _check_database_url(value: SecretStr) -> SecretStr:
    """May hold a password."""
    if not value.get_secret_value().startswith(("sqlite://", "postgresql://")):
        detail = "should be a URL such as sqlite:///whipway.db or postgresql://user:password@host/whipway"
        raise PydanticCustomError("database_url", detail)
    return value


def _to_worker_count(value: object) -> int | str:
    text = str(value).strip()
    if text == AUTO_WORKERS:
        return text
    if isinstance(value, bool) or not text.isdecimal() or int(text) > MAX_WORKERS:
        raise PydanticCustomError("workers", f'should be "auto" or a number from 0 to {MAX_WORKERS}')
    return int(text)


def _check_origin(origin: str) -> str:
    """An origin as browsers send it (RFC 6454, section 7), or `*`."""
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise PydanticCustomError("origin", "should be an origin such as https://example.com, or *")
    return origin


def _check_base(url: HttpUrl) -> HttpUrl:
    """Paths are appended to it."""
    if url.query is not None or url.fragment is not None or url.username is not None:
        detail = "should be a URL such as https://live.example.com, without a query, fragment or user"
        raise PydanticCustomError("base_url", detail)
    return url


_RTMP_URL = re.compile(r"rtmps?://[^\s/?#@]+/[^\s?#]+", re.ASCII)
_ORIGIN = re.compile(r"""[a-z][a-z0-9+.-]*://[^\s/?#@"',\\]+""", re.ASCII)
AUTO_WORKERS = "auto"
MAX_WORKERS = 128
MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is no shorter than its hash."""

IpAddress = Annotated[IPv4Address | IPv6Address, PlainValidator(_to_address)]
Port = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=65535)]
Seconds = Annotated[float, BeforeValidator(no_boolean), Field(gt=0, le=3600)]
DrainSeconds = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=86_400)]
SessionCount = Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=100_000)]
AudioBitrate = Annotated[int, BeforeValidator(no_boolean), Field(ge=16_000, le=320_000)]
WorkerCount = Annotated[int | str, PlainValidator(_to_worker_count)]
WorkerLoad = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=1)]
Rate = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=1_000_000)]
"""Requests a minute; 0 sets no limit."""
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_to_network)]
Text = Annotated[str, Field(min_length=1, max_length=1024)]
BaseUrl = Annotated[HttpUrl, AfterValidator(_check_base)]
Key = Annotated[SecretStr, AfterValidator(_check_key)]
Visible = Annotated[str, AfterValidator(_check_visible)]
"""What a header can hold: clients take it as it stands there."""
VisibleSecret = Annotated[SecretStr, AfterValidator(_check_visible_secret)]
IceUrl = Annotated[str, AfterValidator(_check_ice_url)]
RtmpBaseUrl = Annotated[str, AfterValidator(_check_rtmp_url)]
"""Up to the application, without a user and without arguments: everybody is told it."""
DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database_url)]
Origin = Annotated[str, AfterValidator(_check_origin)]
