from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.streams.access.rights import Principal
from whipway.streams.stream_names import ALPHABET, is_recordable, make_hash, make_name, record_name


def chance(*answers: bytes) -> Callable[[int], bytes]:
    """A source that says this, and counts on being asked for no more."""
    waiting = list(answers)
    return lambda number: waiting.pop(0)[:number]


def test_no_character_is_taken_for_another() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 58
    assert not set("0OIl") & set(ALPHABET)


def test_names_are_made_of_what_chance_gives() -> None:
    assert make_hash(chance(bytes(range(5)))) == "12345"
    assert make_name("12345", chance(bytes(range(57, 47, -1)))) == "12345-zyxwvutsrq"


def test_every_character_is_as_likely_as_any_other() -> None:
    # 58 goes into 256 four times: 232 and above would favour the first ones.
    assert make_hash(chance(bytes([231, 232, 255, 0, 58]), bytes([116, 1, 2, 3, 4]))) == "z1112"


@pytest.mark.parametrize(
    ("app", "stream_name", "expected"),
    [
        ("live", "AbcdE-1234567890", "AbcdE-1234567890"),
        ("live", "cam?passcode=abc&x=1", "cam"),
        ("live?key=1", "/cam/", "cam"),
        ("live/team", "cam", "team/cam"),
        ("live", "team/cam", "team/cam"),
        ("other/", "cam", "cam"),
    ],
)
def test_the_name_of_a_record(app: str, stream_name: str, expected: str) -> None:
    assert record_name(app, stream_name) == expected


@given(st.from_regex(r"[a-z]{1,5}(/[a-z]{1,3}){0,2}", fullmatch=True), st.from_regex(r"[a-z/]{1,9}"))
def test_rights_and_records_mean_the_same_name(app: str, stream_name: str) -> None:
    stream_name = stream_name.strip("/\n") or "x"
    name = record_name(app, stream_name)
    assert Principal((name,)).may_name(stream_name, f"rtmp://host/{app}")


@pytest.mark.parametrize("name", ["", "x" * 513, "a\0b", "a\nb", "\ud800"])
def test_names_that_no_record_can_have(name: str) -> None:
    assert not is_recordable(name)
    assert is_recordable("x" * 512)
