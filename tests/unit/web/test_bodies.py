"""Media types; how a body is read is seen in `tests/web/test_bodies.py`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.web.bodies import MAX_TYPE_CHARACTERS, parse_media_type


@pytest.mark.parametrize(
    "field",
    [
        "application/sdp",
        "Application/SDP",
        " application/sdp\t",
        "application/sdp;charset=utf-8",
        "application/sdp ; charset=utf-8",
        'application/sdp; charset="utf-8"; level=1',
        'application/sdp; note="a;b, \\"c\\" text/plain"',
        # RFC 9110, section 5.6.6: parameters may be absent behind their semicolon.
        "application/sdp;",
        "application/sdp; ; x=y;",
    ],
)
def test_what_is_sdp(field: str) -> None:
    assert parse_media_type(field) == "application/sdp"


@pytest.mark.parametrize(
    "field",
    [
        "",
        "sdp",
        "application/",
        "/sdp",
        "application /sdp",
        "application/sdp, text/plain",
        "application/sdp charset=utf-8",
        "application/sdp; charset",
        "application/sdp; charset=",
        "application/sdp; charset = utf-8",
        'application/sdp; charset="utf-8',
        'application/sdp; charset="a"b',
        "application/sdp; x=" + "y" * MAX_TYPE_CHARACTERS,
    ],
)
def test_what_is_no_media_type(field: str) -> None:
    assert parse_media_type(field) is None


@pytest.mark.parametrize("name", ["text/plain", "application/trickle-ice-sdpfrag", "a/b+c.d"])
def test_other_types(name: str) -> None:
    assert parse_media_type(f"{name}; charset=utf-8") == name


@given(st.text(st.sampled_from('ab/;=" \t\\,\xe9\x00')))
def test_any_header_is_read_or_not(field: str) -> None:
    found = parse_media_type(field)
    assert found is None or field.strip().startswith(found)


@pytest.mark.parametrize("piece", ["; ", ";  ", '"', "a/a;", ';a="', "\\"])
def test_no_header_takes_long(piece: str) -> None:
    field = ("a/b" + piece * MAX_TYPE_CHARACTERS)[: MAX_TYPE_CHARACTERS - 1] + "\x00"
    began = time.process_time()
    assert parse_media_type(field) is None
    assert time.process_time() - began < 0.1
