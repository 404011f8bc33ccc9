"""What commands that need the settings have in common: their two options, and how they fail.

A command fails with one line on standard error that names the key to mend, and no value that may be a secret.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from whipway.config import ConfigError, Settings, load_settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="A TOML file; whipway.example.toml shows every key.", metavar="FILE"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="One setting, as in http.port=8081. May be repeated.", metavar="KEY=VALUE"
    ),
]

EXIT_BAD_CONFIGURATION = 2
EXIT_FAILED = 1

_KEY = re.compile(r"[A-Za-z0-9_.]*")


def load(config: Path | None, flags: list[str] | None) -> Settings:
    """The settings in force: flags, then the environment, then the file, then defaults. May exit."""
    try:
        pairs = [_split_flag(flag) for flag in flags or []]
        return load_settings(config, os.environ, dict(pairs))
    except ConfigError as error:
        fail(str(error), EXIT_BAD_CONFIGURATION)


def fail(message: str, status: int = EXIT_FAILED) -> NoReturn:
    """Say why, and exit."""
    typer.echo(f"whipway: {message}", file=sys.stderr)
    raise SystemExit(status)


def _split_flag(flag: str) -> tuple[str, str]:
    key, equals, value = flag.partition("=")
    if not equals:
        # As far as it may be a key; what is behind may be a secret.
        raise ConfigError(f"--set {_KEY.match(flag)[0]}: write KEY=VALUE")  # type: ignore[index]
    return key.strip(), value
