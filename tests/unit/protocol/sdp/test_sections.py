"""Lines by section and by name."""

import pytest

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.grammar import split_lines
from whipway.protocol.sdp.sections import Attributes, first_bundle, split_sections

TEXT = (
    "v=0\r\na=group:LS 1\r\na=group:BUNDLE 0 1 0\r\n"
    "m=audio 9 X 0\r\na=mid:0\r\n"
    "m=video 9 X 0\r\na=mid:1\r\na=mid:2\r\n"
)


def test_the_session_comes_first_then_each_media_description() -> None:
    sections = split_sections(split_lines(TEXT))
    assert ["".join(line.type for line in section) for section in sections] == ["vaa", "ma", "maa"]
    assert split_sections([]) == [[]]


def test_attributes_by_name() -> None:
    *_, video = split_sections(split_lines(TEXT))
    attributes = Attributes(video)
    assert "mid" in attributes
    assert "m" not in attributes
    assert attributes.every("mid", str) == ["1", "2"]
    assert attributes.one("mid", str) == "1"
    assert attributes.every("setup", str) == []
    assert attributes.one("setup", str) is None


def test_an_error_names_the_line() -> None:
    attributes = Attributes(split_lines("v=0\r\na=setup:sideways\r\n"))
    with pytest.raises(ParseError, match="line 2") as caught:
        attributes.one("setup", grammar.parse_setup)
    assert caught.value.reason is DropReason.SDP_MALFORMED


def test_lines_that_cannot_be_read_may_be_passed_over() -> None:
    attributes = Attributes(split_lines("a=setup:sideways\r\na=setup:active\r\na=setup:passive\r\n"))
    assert attributes.readable("setup", grammar.parse_setup) == ["active", "passive"]
    assert attributes.readable("mid", grammar.parse_token) == []


def test_the_first_bundle_with_each_mid_once() -> None:
    session, *_ = split_sections(split_lines(TEXT))
    assert first_bundle(Attributes(session)) == ("0", "1")
    assert first_bundle(Attributes([])) == ()
