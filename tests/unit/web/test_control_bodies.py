import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.config.tree import QualitySettings
from whipway.relay.quality import Policy
from whipway.web.control_bodies import (
    MAX_VIDEO_BITRATE,
    MIN_VIDEO_BITRATE,
    POLICIES,
    parse_input,
    parse_quality,
)
from whipway.web.problems import Problem, ProblemKind

NOT_JSON = ["", "hello", "{", "{'mid': '2'}", '{"mid": "2"} {}', "\ufeff{}", '{"mid": ' + "[" * 4000]
NO_OBJECTS = ["null", "[]", "1", '"mid"']


def assert_refused(parse: Any, text: str, kind: ProblemKind, words: str = "") -> None:
    with pytest.raises(Problem) as raised:
        parse(text)
    assert raised.value.kind is kind
    assert words in raised.value.detail


@pytest.mark.parametrize("parse", [parse_input, parse_quality])
@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_not_json(parse: Any, text: str) -> None:
    assert_refused(parse, text, ProblemKind.MALFORMED_JSON)


# Inputs


def test_an_input_is_named_by_its_mid() -> None:
    assert parse_input('{"mid": "2"}') == "2"


@pytest.mark.parametrize(
    "text", [*NO_OBJECTS, "{}", '{"mid": 2}', '{"mid": null}', '{"mid": ["2"]}', '{"mid": "2", "rid": "h"}']
)
def test_what_names_no_input(text: str) -> None:
    assert_refused(parse_input, text, ProblemKind.INPUT_REFUSED, "mid")


# Quality


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"max_video_bitrate": 800_000},
        {"max_video_bitrate": None},
        {"layer": "auto"},
        {"layer": "h"},
        *({"policy": policy} for policy in POLICIES),
        {"max_video_bitrate": MIN_VIDEO_BITRATE, "layer": "q", "policy": "off"},
        {"max_video_bitrate": MAX_VIDEO_BITRATE},
    ],
)
def test_what_can_be_asked_for(values: dict[str, Any]) -> None:
    assert parse_quality(json.dumps(values)) == values


@pytest.mark.parametrize("number", ["800000.0", "8e5", "8.0E+5"])
def test_there_is_one_kind_of_number(number: str) -> None:
    [bitrate] = parse_quality(f'{{"max_video_bitrate": {number}}}').values()
    assert bitrate == 800_000 and isinstance(bitrate, int)


@pytest.mark.parametrize(
    "number",
    [
        "49999",
        "100000001",
        "0",
        "-800000",
        "60000.5",
        "1e400",
        "9" * 4000,
        "NaN",
        "Infinity",
        "true",
        '"800000"',
    ],
)
def test_what_is_no_bitrate(number: str) -> None:
    text = f'{{"max_video_bitrate": {number}}}'
    assert_refused(parse_quality, text, ProblemKind.QUALITY_REFUSED, "from 50000 to 100000000")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((text, "The body is an object") for text in NO_OBJECTS),
        ('{"layer": null}', "layer is a string"),
        ('{"layer": 1}', "layer is a string"),
        ('{"layer": ["h"]}', "layer is a string"),
        ('{"policy": "follow"}', "follow-slowest, follow-primary, off"),
        ('{"policy": null}', "policy is one of"),
        ('{"policy": ["off"]}', "policy is one of"),
        ('{"policy": {}}', "policy is one of"),
        ('{"max_bitrate": 800000}', "max_video_bitrate, layer, policy"),
        ('{"max_video_bitrate": 800000, "": 1}', "no other members"),
    ],
)
def test_what_cannot_be_asked_for(text: str, words: str) -> None:
    assert_refused(parse_quality, text, ProblemKind.QUALITY_REFUSED, words)


def test_policies_are_those_there_are() -> None:
    assert list(Policy) == [*POLICIES]
    assert [QualitySettings.model_validate({"policy": policy}).policy for policy in POLICIES] == [*POLICIES]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["mid", "layer"]), inner),
)


@given(st.text() | ANYTHING.map(json.dumps))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_input(text), str)
    except Problem as problem:
        assert problem.kind in (ProblemKind.MALFORMED_JSON, ProblemKind.INPUT_REFUSED)
    try:
        assert parse_quality(text).keys() <= {"max_video_bitrate", "layer", "policy"}
    except Problem as problem:
        assert problem.kind in (ProblemKind.MALFORMED_JSON, ProblemKind.QUALITY_REFUSED)


@given(st.floats(allow_nan=False) | st.integers())
def test_any_number_is_a_bitrate_or_refused(number: float) -> None:
    text = json.dumps({"max_video_bitrate": number})
    if MIN_VIDEO_BITRATE <= number <= MAX_VIDEO_BITRATE and number == math.floor(number):
        assert parse_quality(text) == {"max_video_bitrate": number}
    else:
        assert_refused(parse_quality, text, ProblemKind.QUALITY_REFUSED)
