from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp.url import check_stream_name
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import DEFAULT_AUDIO_BITRATE, PublishQuery, parse_publish_query

TARGET = "rtmp://host/live"
QUERY = f"stream_name=one&stream_url={TARGET}"


def test_the_least() -> None:
    assert parse_publish_query(QUERY.encode()) == PublishQuery("one", TARGET, DEFAULT_AUDIO_BITRATE, False)


def test_everything() -> None:
    query = f"{QUERY}&audio_bitrate=64000&redirected=1&other=x"
    assert parse_publish_query(query.encode()) == PublishQuery("one", TARGET, 64_000, True)


@pytest.mark.parametrize("value", ["", "0", "2", "11", "true"])
def test_what_is_no_redirect(value: str) -> None:
    assert not parse_publish_query(f"{QUERY}&redirected={value}".encode()).is_redirected


@given(st.text())
def test_encoded_names_come_out_as_they_were(name: str) -> None:
    query = f"stream_name={quote(name, safe='', errors='replace')}&stream_url={TARGET}"
    try:
        assert parse_publish_query(query.encode()).stream_name == name
    except Problem as problem:
        assert problem.parameter == "stream_name"
        with pytest.raises(ValueError):
            check_stream_name(name)


@given(st.binary())
def test_anything_is_read_or_refused_by_name(query: bytes) -> None:
    with pytest.raises(Problem) as raised:
        parse_publish_query(query)
    assert raised.value.kind is ProblemKind.BAD_PARAMETER and raised.value.parameter


@given(st.binary())
def test_what_stands_behind_does_no_harm(rest: bytes) -> None:
    try:
        parse_publish_query(QUERY.encode() + b"&x" + rest)
    except Problem as problem:
        assert problem.parameter
