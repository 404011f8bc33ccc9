"""Settings from their sources, the strongest first: command-line flags, environment
(`WHIPWAY_HTTP__PORT`), a TOML file, defaults.

All of them name keys the same way, so they are merged into one plain dictionary and checked once. A key that
does not exist is an error that names the nearest one that does.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from whipway.config.tree import IceServer, Settings, Token

ENV_PREFIX = "WHIPWAY_"
SECRET_SECTIONS = ("auth", "ice", "database")
"""Their values are not repeated in messages."""
_TABLE_KEYS = frozenset({*Token.model_fields, *IceServer.model_fields})


class ConfigError(Exception):
    """The configuration cannot be used. The message is one line and names the key."""


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
        raise ConfigError("a setting without a key: write KEY=VALUE")
    if key not in known_keys():
        raise ConfigError(_unknown_key(key))
    section, _, name = key.rpartition(".")
    inner = values.setdefault(section, {}) if section else values
    if not isinstance(inner, dict):
        raise ConfigError(_unknown_key(section))
    inner[name] = value


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(".".join(map(str, first["loc"])))
    # Beside settings and places in lists, pydantic names the validators it went through.
    settings = {part for key in known_keys() for part in key.split(".")} | _TABLE_KEYS
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in settings)
    if first["type"] == "model_type":
        return _unknown_key(key)
    message = first["msg"]
    if message[1:2].islower():  # Not "URL".
        message = message[0].lower() + message[1:]
    if first["loc"][0] in SECRET_SECTIONS or not isinstance(first["input"], str | int | float):
        return f"{key}: {message}"
    # A URL may hold a password or a key.
    if {"@", "?"} & set(str(first["input"])):
        return f"{key}: {message}"
    return f"{key}: {message}, got {str(first['input'])[:80]!r}"


def _unknown_key(key: str) -> str:
    if not key.isprintable():
        key = ascii(key)
    inside = [known for known in known_keys() if known.startswith(f"{key}.")]
    if inside:
        return f"{key}: this is a section; name a key in it, such as {inside[0]}"
    nearest = difflib.get_close_matches(key, list(known_keys()), n=1, cutoff=0.0)
    return f"{key}: there is no such key; the nearest one is {nearest[0]}"
