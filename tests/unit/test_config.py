from ipaddress import ip_address
from pathlib import Path

import pytest

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
    assert refused(flags={"media.host": "nowhere"}).startswith("media.host")


def test_file_errors_are_one_line(tmp_path: Path) -> None:
    assert "cannot be read" in refused(path=tmp_path / "missing.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[http\n")
    assert "is not TOML" in refused(path=bad)


def test_known_keys_are_the_leaves() -> None:
    keys = list(known_keys())
    assert "http.port" in keys
    assert "http" not in keys
    assert len(keys) == sum(len(section.model_fields) for section in _sections())


def _sections() -> list[type[Settings]]:
    return [field.annotation for field in Settings.model_fields.values()]  # type: ignore[misc]
