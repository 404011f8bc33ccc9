import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.streams.access.rights import Principal, Target, matches, parse_target

URL = "rtmp://host/live"


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("one", "one", True),
        ("one", "One", False),
        ("one", "one1", False),
        ("*", "", True),
        ("*", "any/thing at all", True),
        ("studio-*", "studio-", True),
        ("studio-*", "studio-7", True),
        ("studio-*", "my-studio-7", False),
        ("*-cam", "a-cam", True),
        ("*-cam", "a-cam2", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*bc*c", "abc", False),
        ("a**b", "ab", True),
        ("a.c", "abc", False),
        ("[ab]?", "a1", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_patterns_agree_with_the_slow_way(pattern: str, name: str) -> None:
    slow = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    assert matches(pattern, name) is bool(slow.fullmatch(name))


def test_many_stars_take_no_more_time() -> None:
    # Tried one place after the other, this would not end in this universe's time.
    assert not matches("a*" * 500 + "b", "a" * 1024)


@pytest.mark.parametrize("name", ["one", "one?key=secret", "/one/", "one/?x"])
def test_arguments_and_outer_slashes_do_not_count(name: str) -> None:
    assert Principal(("two", "one")).may_name(name, URL)


@pytest.mark.parametrize("name", ["three", "o", "one/more", "three?one"])
def test_other_names_are_not_its_own(name: str) -> None:
    assert not Principal(("two", "one")).may_name(name, URL)


def test_a_folder_is_none_of_the_streams_inside() -> None:
    # "team/" is published as "team".
    assert not Principal(("team/*",)).may_name("team/", URL)
    assert Principal(("team/*",)).may_name("team/a", URL)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("live", "team/cam"),
        ("live/team", "cam"),
        ("live/team/", "/cam/"),
        ("live//team", "cam"),
        ("live/team?x=cam", "cam?y"),
        ("other/team", "cam"),
    ],
)
def test_what_follows_the_first_part_of_the_application_is_of_the_name(app: str, name: str) -> None:
    url = f"rtmp://host/{app}"
    assert Principal(("team/cam",)).may_name(name, url)
    assert not Principal(("cam",)).may_name(name, url)
    assert not Principal(("cam*", "team")).may_name(name, url)


def test_targets_are_compared_by_where_they_lead() -> None:
    principal = Principal(("*",), frozenset({parse_target("rtmp://host/live")}))
    assert principal.may_send_to("rtmp://HOST:1935/live/?key=x")
    for other in ("rtmps://host/live", "rtmp://host:1936/live", "rtmp://host/other", "rtmp://other/live"):
        assert not principal.may_send_to(other)
    assert Principal(("*",)).may_send_to("rtmp://anywhere/live")


def test_a_target_has_no_arguments() -> None:
    assert parse_target("rtmps://[::1]/live/two/?a=b") == Target("::1", 443, "live/two", True)
    with pytest.raises(ValueError, match="rtmp://"):
        parse_target("http://host/live")
