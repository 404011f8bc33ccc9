import pytest

from whipway.origin.names import MAX_KEY_CHARACTERS, is_usable, loggable_key


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("live/cam", "live/cam"),
        ("live/team/cam", "live/team/cam"),
        ("live/cam&token=secret", "live/cam"),
        ("live/cam;secret", "live/cam"),
        ("live/cam?secret", "live/cam"),
        ("live/cam/token=secret", "live/cam"),
        ("live/token=secret/cam", "live"),
        ("live/key=secret&x", "live"),
        ("=x", ""),
        ("live/0123456789abcdef/cam", "live/01234567…/cam"),
        ("0123456789abcdef/0123456789abcdef", "01234567…/01234567…"),
    ],
)
def test_a_key_in_logs(key: str, shown: str) -> None:
    assert loggable_key(key) == shown


@pytest.mark.parametrize(
    ("key", "usable"),
    [
        ("live/cam", True),
        ("x" * MAX_KEY_CHARACTERS, True),
        ("x" * (MAX_KEY_CHARACTERS + 1), False),
        ("red\x1b[31m", False),
        ("two\nlines", False),
    ],
)
def test_which_keys_can_be_used(key: str, usable: bool) -> None:
    assert is_usable(key) is usable
