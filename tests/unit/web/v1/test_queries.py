"""Queries of lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from whipway.streams.records import PRESENT, StreamQuery, StreamState
from whipway.web.problems import Problem, ProblemKind
from whipway.web.v1.queries import parse_stream_query, parse_text


def parse(query: str) -> StreamQuery:
    return parse_stream_query(QueryParams(query))


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", StreamQuery(PRESENT, (), "", 50, 0)),
        ("other=1", StreamQuery()),
        ("state=live&state=ended", StreamQuery(frozenset({StreamState.LIVE, StreamState.ENDED}))),
        ("state=deleted", StreamQuery(frozenset({StreamState.DELETED}))),
        ("tag=a&tag=b%20c&tag=a", StreamQuery(tags=("a", "b c"))),
        ("name=M%C3%BCnch+en", StreamQuery(text="Münch en")),
        ("name=", StreamQuery()),
        ("limit=500&offset=2147483647", StreamQuery(limit=500, offset=2**31 - 1)),
        ("limit=1&offset=0", StreamQuery(limit=1)),
    ],
)
def test_what_is_asked_for(query: str, meant: StreamQuery) -> None:
    assert parse(query) == meant


@pytest.mark.parametrize(
    "query",
    [
        "state=",
        "state=live&state=dead",
        "tag=",
        "tag=%00",
        f"tag={'a' * 129}",
        "&".join(["tag=a"] * 51),
        f"name={'a' * 513}",
        "name=%0a",
        "name=a&name=b",
        "limit=0",
        "limit=501",
        "limit=",
        "limit=-1",
        "limit=1.5",
        "limit=%D9%A1",
        f"limit={'1' * 5000}",
        "limit=1&limit=1",
        "offset=-1",
        "offset=2147483648",
        "offset=x",
    ],
)
def test_what_cannot_be_asked_for(query: str) -> None:
    with pytest.raises(Problem) as raised:
        parse(query)
    parameter = query.partition("=")[0]
    assert (raised.value.kind, raised.value.parameter) == (ProblemKind.BAD_PARAMETER, parameter)
    assert raised.value.detail.startswith(f"{parameter} ")


def test_text_of_another_parameter() -> None:
    assert parse_text(QueryParams("prefix=st"), "prefix", 2) == "st"
    assert parse_text(QueryParams(""), "prefix", 2) == ""


@given(st.text())
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        assert 1 <= parse(query).limit <= 500
    except Problem as problem:
        assert problem.kind is ProblemKind.BAD_PARAMETER
