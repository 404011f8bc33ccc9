"""Settings: one typed tree, read once at the start. `whipway.example.toml` shows every key and default."""

from whipway.config.load import ENV_PREFIX, ConfigError, known_keys, load_settings
from whipway.config.tree import (
    AuthSettings,
    EgressSettings,
    HttpSettings,
    IceServer,
    InputSettings,
    LimitSettings,
    LogSettings,
    Settings,
    SinkSettings,
    TlsSettings,
    Token,
)

__all__ = [
    "ENV_PREFIX",
    "AuthSettings",
    "ConfigError",
    "EgressSettings",
    "HttpSettings",
    "IceServer",
    "InputSettings",
    "LimitSettings",
    "LogSettings",
    "Settings",
    "SinkSettings",
    "TlsSettings",
    "Token",
    "known_keys",
    "load_settings",
]
