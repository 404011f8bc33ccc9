import json
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import BaseModel

from whipway.config import ConfigError, Settings, known_keys, load_settings


def refused(**sources: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(**sources)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_serve_on_loopback_only() -> None:
    settings = load_settings()
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert (str(settings.media.host), settings.media.port) == ("127.0.0.1", 8200)
    assert (settings.rtmp.host, settings.rtmp.port) == ("127.0.0.1", 1935)


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text("[http]\nport = 1\n[media]\nport = 1\n[rtmp]\nport = 1\n")
    settings = load_settings(
        file,
        {"WHIPWAY_MEDIA__PORT": "2", "WHIPWAY_RTMP__PORT": "2", "PATH": "/bin"},
        {"rtmp.port": "3"},
    )
    assert (settings.http.port, settings.media.port, settings.rtmp.port) == (1, 2, 3)


def test_lists_are_written_with_commas_outside_of_files() -> None:
    settings = load_settings(environment={"WHIPWAY_MEDIA__PUBLIC_ADDRESSES": "127.0.0.1, ::1"})
    assert settings.media.public_addresses == [ip_address("127.0.0.1"), ip_address("::1")]


def test_lists_of_a_file_are_lists(tmp_path: Path) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text("[media]\npublic_addresses = ['127.0.0.1', '::1']\n")
    assert load_settings(file).media.public_addresses == [ip_address("127.0.0.1"), ip_address("::1")]


def test_unknown_key_names_the_nearest() -> None:
    message = refused(flags={"http.prot": "1"})
    assert message == "http.prot: there is no such key; the nearest one is http.port"
    assert "nearest one is media.port" in refused(environment={"WHIPWAY_MEDIA__POTR": "1"})
    assert refused(flags={"htp": "1"}).startswith("htp: there is no such key")


def test_a_section_cannot_be_reached_through_a_value() -> None:
    message = refused(flags={"http.port": "1", "http.port.x": "2"})
    assert message.startswith("http.port.x: there is no such key")


def test_bad_value_names_the_key_and_the_value() -> None:
    assert refused(flags={"http.port": "99999"}) == (
        "http.port: input should be less than or equal to 65535, got '99999'"
    )
    assert refused(flags={"media.host": "localhost"}) == (
        "media.host: should be an IP address such as 127.0.0.1, got 'localhost'"
    )
    assert refused(flags={"media.public_addresses": "1.2.3.4,foo"}) == (
        "media.public_addresses.1: should be an IP address such as 127.0.0.1, got 'foo'"
    )


def test_abbreviations_keep_their_capitals() -> None:
    message = refused(flags={"http.public_url": "ftp://host"})
    assert message == "http.public_url: URL scheme should be 'http' or 'https', got 'ftp://host'"


def test_there_are_two_ways_to_treat_a_second_publisher() -> None:
    assert load_settings().session.on_conflict == "refuse"
    assert load_settings(flags={"session.on_conflict": "takeover"}).session.on_conflict == "takeover"
    assert refused(flags={"session.on_conflict": "both"}) == (
        "session.on_conflict: input should be 'refuse' or 'takeover', got 'both'"
    )


def test_how_long_a_silent_publisher_keeps_its_stream() -> None:
    assert load_settings().session.takeover_after == 2.0
    assert load_settings(flags={"session.takeover_after": "0.5"}).session.takeover_after == 0.5
    assert refused(flags={"session.takeover_after": "0"}).startswith("session.takeover_after:")


def test_a_section_is_no_key(tmp_path: Path) -> None:
    message = "http: this is a section; name a key in it, such as http.host"
    assert refused(flags={"http": "5"}) == message
    assert refused(environment={"WHIPWAY_HTTP": "5"}) == message
    file = tmp_path / "whipway.toml"
    file.write_text("http = 5\n")
    assert refused(path=file) == message
    assert refused(path=file, flags={"http.port": "1"}) == message


def test_a_key_that_is_missing() -> None:
    assert refused(flags={"": "5"}) == "a setting without a key: write KEY=VALUE"


@pytest.mark.parametrize("key", ["http.port", "session.max_sessions", "session.silence_timeout"])
def test_a_boolean_is_no_number(tmp_path: Path, key: str) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text(f"{key} = true\n")
    assert refused(path=file) == f"{key}: should be a number, got 'True'"


def test_unknown_keys_of_a_file_name_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text("[http]\nprot = 1\n")
    assert refused(path=file).startswith("http.prot: there is no such key")


def test_file_errors_are_one_line(tmp_path: Path) -> None:
    assert "cannot be read" in refused(path=tmp_path / "missing.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[http\n")
    assert "is not TOML" in refused(path=bad)


def test_known_keys_are_the_leaves() -> None:
    keys = list(known_keys())
    assert "http.port" in keys
    assert "http" not in keys
    assert "workers" in keys
    inside = sum(len(section.model_fields) for section in _sections())
    assert len(keys) == inside + len(Settings.model_fields) - len(_sections())


def _sections() -> list[type[BaseModel]]:
    kinds = [field.annotation for field in Settings.model_fields.values()]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


@pytest.mark.parametrize(("given", "expected"), [("auto", "auto"), ("0", 0), (" 4 ", 4), ("128", 128)])
def test_how_many_workers(given: str, expected: object, tmp_path: Path) -> None:
    assert load_settings(flags={"workers": given}).workers == expected
    assert load_settings(environment={"WHIPWAY_WORKERS": given}).workers == expected
    file = tmp_path / "whipway.toml"
    file.write_text(f"workers = {json.dumps(expected)}\n")
    assert load_settings(file).workers == expected


@pytest.mark.parametrize("given", ["129", "-1", "two", "", "1.5"])
def test_what_is_no_number_of_workers(given: str) -> None:
    reason = f'workers: should be "auto" or a number from 0 to 128, got {given!r}'
    assert refused(flags={"workers": given}) == reason


def test_a_key_at_the_top_is_no_section(tmp_path: Path) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text("workers = true\n")
    assert refused(path=file).startswith("workers: should be")
    assert "there is no such key" in refused(flags={"workers.count": "2"})


def test_tables_are_written_as_json_outside_of_files(tmp_path: Path) -> None:
    hashed = "sha256:" + "0" * 64
    file = tmp_path / "whipway.toml"
    file.write_text(f'[[auth.tokens]]\nhash = "{hashed}"\nstreams = ["one", "two-*"]\n')
    text = f'[{{"hash": "{hashed}", "streams": ["one", "two-*"]}}]'
    from_file = load_settings(file).auth.tokens
    assert from_file == load_settings(environment={"WHIPWAY_AUTH__TOKENS": text}).auth.tokens
    assert from_file == load_settings(flags={"auth.tokens": text}).auth.tokens
    assert [(one.hash, one.streams) for one in from_file] == [(hashed, ["one", "two-*"])]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"auth.tokens": "secret-word"}, "auth.tokens: should be a list of tables, in flags written as JSON"),
        (
            {"auth.tokens": '[{"hash": "secret-word", "streams": "a"}]'},
            "auth.tokens.0.hash: string should match pattern",
        ),
        (
            {"auth.tokens": '[{"hash": "secret-word"}]'},
            "auth.tokens.0.hash: string should match pattern",
        ),
        ({"auth.jwt_secret": "secret-word"}, "auth.jwt_secret: should have 32 to 1024 bytes"),
        (
            {"ice.servers": '[{"urls": "turn:a", "secret": "secret-word", "credential": "secret-word"}]'},
            "ice.servers.0: should have username and credential, or secret alone",
        ),
        (
            {"ice.servers": '[{"urls": ["stun:a"], "secret": "secret-word"}]'},
            "ice.servers.0: turn: needs username and credential, or secret; stun: has none",
        ),
        ({"ice.servers": '[{"urls": ["turn:a"]}]'}, "ice.servers.0: turn: needs username"),
        ({"ice.servers": '[{"urls": ["http://a"]}]'}, "ice.servers.0.urls.0: should be a URL such as stun:"),
        (
            {"ice.servers": '[{"urls": ["turn:a"], "username": "a", "credential": "secret-word\\n"}]'},
            "ice.servers.0.credential: should be 1 to 1024 printable ASCII characters",
        ),
        (
            {"ice.servers": '[{"urls": ["turn:a"], "username": "\u00fc", "credential": "secret-word"}]'},
            "ice.servers.0.username: should be 1 to 1024 printable ASCII characters",
        ),
        ({"ice.servers": '[{"urls": []}]'}, "ice.servers.0.urls: value should have at least 1 item"),
        ({"ice.servers": "[3]"}, "ice.servers.0: "),
        ({"tls.cert": "a.pem"}, "tls: cert and key belong together: set both"),
        (
            {"http.trusted_proxies": "10.0.0.0/33"},
            "http.trusted_proxies.0: should be an IP address or network",
        ),
        ({"http.cors_origins": "example.com"}, "http.cors_origins.0: should be an origin such as https://"),
        ({"http.cors_origins": "https://a/b"}, "http.cors_origins.0: should be an origin such as https://"),
        (
            {"http.cors_origins": '["https://a"]'},
            "http.cors_origins.0: should be an origin such as https://",
        ),
        ({"http.redirect_url": "https://a/?b=c"}, "http.redirect_url: should be a URL such as https://"),
        ({"http.public_url": "https://user@a/"}, "http.public_url: should be a URL such as https://"),
        ({"limits.posts_per_minute": "-1"}, "limits.posts_per_minute: input should be greater"),
    ],
)
def test_bad_values_of_the_new_kinds(flags: dict[str, str], message: str) -> None:
    told = refused(flags=flags)
    assert told.startswith(message)
    assert "secret-word" not in told


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auth.callback", "htp://user:secret-word@host/cb"),
        ("http.public_url", "https://user:secret-word@host"),
        ("ice.servers", '[{"urls":"turn:user:secret-word@host"}]'),
        ("auth.tokens", "12345678"),
        ("auth.enabled", "secret-word"),
    ],
)
def test_what_may_be_a_secret_is_not_repeated(key: str, value: str) -> None:
    told = refused(flags={key: value})
    assert told.startswith(key)
    assert "secret-word" not in told and "12345678" not in told


def test_a_key_that_cannot_be_printed_is_told_in_one_line() -> None:
    assert refused(flags={"http.\nport": "1"}).startswith("'http.\\nport': there is no such key")


def test_origins_and_proxies() -> None:
    settings = load_settings(
        flags={
            "http.cors_origins": "https://a.example, http://b:8080",
            "http.trusted_proxies": "10.0.0.0/8, ::1",
        }
    )
    assert settings.http.cors_origins == ["https://a.example", "http://b:8080"]
    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_what_is_in_force_is_shown_without_secrets() -> None:
    servers = '[{"urls": "turn:a", "secret": "secret-word"}]'
    settings = load_settings(flags={"auth.jwt_secret": "secret-word" * 3, "ice.servers": servers})
    assert settings.auth.is_configured
    assert "secret-word" not in settings.model_dump_json() + repr(settings)
