import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.web.entity_tags import (
    MAX_FIELD_CHARACTERS,
    MAX_TAGS,
    parse_if_match,
    serialize_etag,
)
from whipway.web.problems import Problem, ProblemKind


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        # RFC 9110, section 13.1.1.
        (['"xyzzy"'], ["xyzzy"]),
        (['"xyzzy", "r2d2xxxx", "c3piozzzz"'], ["xyzzy", "r2d2xxxx", "c3piozzzz"]),
        (["*"], ["*"]),
        ([" * "], ["*"]),
        # RFC 9725, section 4.3.3.
        (['"*"'], ["*"]),
        # Section 8.8.3: what may stand between the quotes.
        (['""'], [""]),
        (['"a,b", "c"'], ["a,b", "c"]),
        (['"W/\\"'], ["W/\\"]),
        (['"\xe9t\xe9"'], ["\xe9t\xe9"]),
        # Section 13.1.1: "the strong comparison function".
        (['W/"weak"'], []),
        (['W/"weak", "strong"'], ["strong"]),
        # Section 5.6.1.2: elements that are empty, lines that are one list.
        ([' ,"a" ,, \t"b",'], ["a", "b"]),
        (['"a"', '"b"'], ["a", "b"]),
    ],
)
def test_tags(fields: list[str], tags: list[str]) -> None:
    assert parse_if_match(fields) == tags


@pytest.mark.parametrize(
    "fields",
    [
        ["xyzzy"],
        ['"xyzzy'],
        ['xyzzy"'],
        ["'xyzzy'"],
        ['"a b"'],
        ['"a\x7fb"'],
        ['"a" "b"'],
        ['"a"b"'],
        ['w/"weak"'],
        ['W/ "weak"'],
        ["W/"],
        ['*, "a"'],
        ["*", "*"],
        [";"],
        ['"a";q=1'],
    ],
)
def test_what_cannot_be_read(fields: list[str]) -> None:
    assert refusal(fields) is ProblemKind.MALFORMED_IF_MATCH


@pytest.mark.parametrize("fields", [[], [""], ["", " \t"], [",,"]])
def test_what_names_nothing(fields: list[str]) -> None:
    assert refusal(fields) is ProblemKind.PRECONDITION_REQUIRED


def test_limits() -> None:
    assert len(parse_if_match(['"a"'] * MAX_TAGS)) == MAX_TAGS
    assert refusal(['"a"'] * (MAX_TAGS + 1)) is ProblemKind.MALFORMED_IF_MATCH
    assert refusal(['W/"a"'] * (MAX_TAGS + 1)) is ProblemKind.MALFORMED_IF_MATCH
    longest = "x" * (MAX_FIELD_CHARACTERS - 2)
    assert parse_if_match([f'"{longest}"']) == [longest]
    assert refusal([f'"{longest}x"']) is ProblemKind.MALFORMED_IF_MATCH


def refusal(fields: list[str]) -> ProblemKind:
    with pytest.raises(Problem) as raised:
        parse_if_match(fields)
    return raised.value.kind


TAGS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"').filter(
        lambda character: not 0x7F <= ord(character) < 0x80
    ),
    max_size=20,
)


@given(st.lists(TAGS, min_size=1, max_size=MAX_TAGS))
def test_what_is_written_can_be_read(tags: list[str]) -> None:
    assert parse_if_match([serialize_etag(tag) for tag in tags]) == tags


@given(st.lists(st.text(st.sampled_from(' \t,*"W/a;\\\x7f\xe9')), max_size=4))
def test_anything_is_read_or_refused(fields: list[str]) -> None:
    try:
        assert all('"' not in tag for tag in parse_if_match(fields))
    except Problem as problem:
        assert problem.kind in (ProblemKind.MALFORMED_IF_MATCH, ProblemKind.PRECONDITION_REQUIRED)


@pytest.mark.parametrize("piece", [" ", '"', ",", " ,", '"a"', 'W/"'])
def test_no_header_takes_long(piece: str) -> None:
    field = (piece * MAX_FIELD_CHARACTERS)[: MAX_FIELD_CHARACTERS - 1] + ";"
    began = time.process_time()
    refusal([field])
    assert time.process_time() - began < 0.1
