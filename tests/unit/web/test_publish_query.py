from urllib.parse import quote

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from whipway.config import SinkSettings
from whipway.protocol.rtmp.url import check_stream_name
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import AUDIO_CHOICES, FILLER_CHOICES, PublishQuery, client_address, raw_query
from whipway.web.publish_query import parse_publish_query as parse_with_defaults

TARGET = "rtmp://host/live"
QUERY = f"stream_name=one&stream_url={TARGET}"


def parse_publish_query(query: bytes) -> PublishQuery:
    """By the settings that a server has of itself."""
    return parse_with_defaults(query, SinkSettings())


def test_the_least() -> None:
    assert parse_publish_query(QUERY.encode()) == PublishQuery("one", TARGET, "aac", 128_000, "none", False)


def test_the_least_means_what_the_settings_say() -> None:
    defaults = SinkSettings(audio="auto", audio_bitrate=96_000, filler="freeze")
    expected = PublishQuery("one", TARGET, "auto", 96_000, "freeze")
    assert parse_with_defaults(QUERY.encode(), defaults) == expected
    told = parse_with_defaults(f"{QUERY}&filler=none".encode(), defaults)
    assert told.filler == "none"


def test_everything() -> None:
    query = f"{QUERY}&audio=opus&audio_bitrate=64000&filler=freeze&redirected=1&other=x"
    assert parse_publish_query(query.encode()) == PublishQuery("one", TARGET, "opus", 64_000, "freeze", True)


@pytest.mark.parametrize("choice", AUDIO_CHOICES)
def test_kinds_of_sound(choice: str) -> None:
    assert parse_publish_query(f"{QUERY}&audio={choice}".encode()).audio == choice
    assert SinkSettings.model_validate({"audio": choice}).audio == choice


@pytest.mark.parametrize("choice", ["", "AAC", "mp3", "aac,opus", "aac "])
def test_what_is_no_kind_of_sound(choice: str) -> None:
    with pytest.raises(Problem, match="audio is one of aac, opus, auto") as raised:
        parse_publish_query(f"{QUERY}&audio={quote(choice)}".encode())
    assert raised.value.parameter == "audio"


@pytest.mark.parametrize("choice", FILLER_CHOICES)
def test_what_comes_in_place_of_pictures(choice: str) -> None:
    assert parse_publish_query(f"{QUERY}&filler={choice}".encode()).filler == choice
    assert SinkSettings.model_validate({"filler": choice}).filler == choice


@pytest.mark.parametrize("choice", ["", "Freeze", "1", "none,freeze", "black"])
def test_what_cannot_come_in_place_of_pictures(choice: str) -> None:
    with pytest.raises(Problem, match="filler is one of none, freeze") as raised:
        parse_publish_query(f"{QUERY}&filler={quote(choice)}".encode())
    assert raised.value.parameter == "filler"


def test_whom_a_request_is_from() -> None:
    assert client_address(Request({"type": "http", "client": ("192.0.2.9", 5000)})) == "192.0.2.9"
    assert client_address(Request({"type": "http", "client": None})) == ""


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


@pytest.mark.parametrize("parameter", ["stream_name", "stream_url", "audio", "audio_bitrate", "filler"])
def test_what_is_said_twice(parameter: str) -> None:
    with pytest.raises(Problem, match=f"{parameter} is given twice"):
        parse_publish_query(f"{parameter}=1&{parameter}=2&{QUERY}".encode())


@pytest.mark.parametrize("text", ["", "15999", "320001", "fast", "-64000", "1" * 5000, "\u0661" * 5])
def test_what_is_no_bitrate(text: str) -> None:
    with pytest.raises(Problem, match="from 16000 to 320000") as raised:
        parse_publish_query(f"{QUERY}&audio_bitrate={quote(text)}".encode())
    assert raised.value.parameter == "audio_bitrate"


def test_the_query_as_it_came() -> None:
    assert raw_query(Request({"type": "http", "query_string": b"a=\xff"})) == b"a=\xff"
