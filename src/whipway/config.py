"""Settings: one typed tree, read once at the start.

Sources, the strongest first: command-line flags, environment (`WHIPWAY_HTTP__PORT`), a TOML file, defaults.
All of them name keys the same way, so they are merged into one plain dictionary and checked once. A key that
does not exist is an error that names the nearest one that does. `whipway.example.toml` at the top of the
repository shows every key with its default; a test keeps it so.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

ENV_PREFIX = "WHIPWAY_"


class ConfigError(Exception):
    """The configuration cannot be used. The message is one line and names the key."""


def _to_address(value: object) -> IPv4Address | IPv6Address:
    try:
        return ip_address(str(value))
    except ValueError:
        raise PydanticCustomError("address", "should be an IP address such as 127.0.0.1") from None


def _no_boolean(value: object) -> object:
    """Python counts with True as 1; who writes it for a number means something else."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number")
    return value


def _split_commas(value: object) -> object:
    """The environment and flags hold text only: a list is written there with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


IpAddress = Annotated[IPv4Address | IPv6Address, PlainValidator(_to_address)]
Port = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=65535)]
Seconds = Annotated[float, BeforeValidator(_no_boolean), Field(gt=0, le=3600)]
SessionCount = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1, le=100_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(_Section):
    """The HTTP server: WHIP endpoint and page."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: HttpUrl | None = None
    """What clients see when a proxy stands in front of this server; Location is made from it."""


class MediaSettings(_Section):
    """The UDP socket that carries ICE, DTLS and SRTP."""

    host: IpAddress = IPv4Address("127.0.0.1")
    port: Port = 8200
    public_addresses: Annotated[list[IpAddress], BeforeValidator(_split_commas), Field(max_length=8)] = []
    """Announced as ICE candidates. Empty: `host`, or this machine's own address when `host` is a wildcard."""
    public_port: Port = 0
    """Announced with them, where a NAT or a container maps another port to `port`. 0: the real one."""


class RtmpSettings(_Section):
    """The embedded RTMP origin."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 1935


class SessionSettings(_Section):
    """Limits of WHIP sessions."""

    setup_timeout: Seconds = 10.0
    """Seconds a client may take from its POST to the end of the DTLS handshake."""
    silence_timeout: Seconds = 5.0
    """Seconds an established client may be silent before its session is ended."""
    takeover_after: Seconds = 2.0
    """Seconds of silence after which a client whose media broke off gives way to the next publisher, as does
    one that never came. No less than `silence_timeout`, it says nothing: by then the session is over."""
    max_sessions: SessionCount = 1000
    on_conflict: Literal["refuse", "takeover"] = "refuse"
    """What a second publisher of a live stream gets: 409, or the stream. A silent one always gives way."""


class LogSettings(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(_Section):
    """The whole tree; `load_settings` builds it."""

    http: HttpSettings = HttpSettings()
    media: MediaSettings = MediaSettings()
    rtmp: RtmpSettings = RtmpSettings()
    session: SessionSettings = SessionSettings()
    log: LogSettings = LogSettings()


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """Merge the sources and return the checked tree. `flags` maps dotted keys to values as text.

    Raises ConfigError.
    """
    values = _read_toml(path) if path else {}
    for key, value in _environment_keys(environment or {}):
        _put(values, key, value)
    for key, value in (flags or {}).items():
        _put(values, key, value)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key of the tree, dotted, in the order of the classes above."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from known_keys(section, f"{prefix}{name}.")
        else:
            yield prefix + name


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None


def _environment_keys(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(environment.items()):
        if name.startswith(ENV_PREFIX):
            yield name.removeprefix(ENV_PREFIX).lower().replace("__", "."), value


def _put(values: dict[str, Any], key: str, value: str) -> None:
    if not key:
        raise ConfigError(f"={value[:80]}: write KEY=VALUE")
    if key not in known_keys():
        raise ConfigError(_unknown_key(key))
    section, name = key.split(".")
    inner = values.setdefault(section, {})
    if not isinstance(inner, dict):
        raise ConfigError(_unknown_key(section))
    inner[name] = value


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(".".join(map(str, first["loc"])))
    # Beside settings and places in lists, pydantic names the validators it went through.
    settings = {part for key in known_keys() for part in key.split(".")}
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in settings)
    if first["type"] == "model_type":
        return _unknown_key(key)
    message = first["msg"]
    if message[1:2].islower():  # Not "URL".
        message = message[0].lower() + message[1:]
    return f"{key}: {message}, got {str(first['input'])[:80]!r}"


def _unknown_key(key: str) -> str:
    inside = [known for known in known_keys() if known.startswith(f"{key}.")]
    if inside:
        return f"{key}: this is a section; name a key in it, such as {inside[0]}"
    nearest = difflib.get_close_matches(key, list(known_keys()), n=1, cutoff=0.0)
    return f"{key}: there is no such key; the nearest one is {nearest[0]}"
