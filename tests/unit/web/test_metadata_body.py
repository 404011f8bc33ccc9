import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.protocol.rtmp import amf0
from whipway.web.metadata_body import HANDLERS, MAX_DEPTH, MetadataMessage, parse_metadata
from whipway.web.problems import Problem, ProblemKind

PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


def body(payload: Any, handler: Any = "onMetaData") -> str:
    return json.dumps({"handlerName": handler, "payload": payload})


def nested(depth: int) -> Any:
    """Objects and arrays in turn, so many in each other."""
    value: Any = 1.0
    for level in range(depth - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


def assert_refused(text: str, words: str, kind: ProblemKind = ProblemKind.METADATA_REFUSED) -> None:
    with pytest.raises(Problem) as raised:
        parse_metadata(text)
    assert raised.value.kind is kind
    assert words in raised.value.detail


@pytest.mark.parametrize("handler", HANDLERS)
def test_what_a_message_says(handler: str) -> None:
    payload = {"title": "Ein schöner Tag", "score": [1, 0.5], "live": True, "more": {"a": None}}
    assert parse_metadata(body(payload, handler)) == MetadataMessage(handler, payload)


def test_an_empty_payload_is_one() -> None:
    assert parse_metadata(body({})) == MetadataMessage("onMetaData", {})


def test_other_members_are_left_alone() -> None:
    text = '{"handlerName": "onCuePoint", "payload": {}, "time": 12}'
    assert parse_metadata(text) == MetadataMessage("onCuePoint", {})


def test_all_numbers_are_floats() -> None:
    payload = parse_metadata(body({"one": 1, "more": [2, -3]})).payload
    assert payload == {"one": 1.0, "more": [2.0, -3.0]}
    assert all(isinstance(number, float) for number in (payload["one"], *payload["more"]))


@given(
    st.recursive(
        PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner), max_leaves=9
    )
)
def test_what_passes_has_a_form_in_amf0(value: Any) -> None:
    try:
        message = parse_metadata(body({"a": value}))
    except Problem as problem:
        assert problem.kind is ProblemKind.METADATA_REFUSED
        return
    assert message.payload == {"a": value}
    assert amf0.decode(amf0.encode(message.handler, message.payload)) == [message.handler, message.payload]


# What is refused


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        "{'handlerName': 'onMetaData'}",
        '{"handlerName": "onMetaData", "payload": {"a": NaN}}',
        '{"handlerName": "onMetaData", "payload": {"a": -Infinity}}',
        '{"handlerName": "onMetaData", "payload": {}} {}',
        "\ufeff{}",
    ],
)
def test_what_is_not_json(text: str) -> None:
    assert_refused(text, "not JSON", ProblemKind.MALFORMED_METADATA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("null", "The body is an object"),
        ("[]", "The body is an object"),
        ("{}", "handlerName is one of"),
        (body({}, "onTextData"), "handlerName is one of onMetaData, onCuePoint"),
        (body({}, ["onMetaData"]), "handlerName is one of"),
        (body({}, {}), "handlerName is one of"),
        ('{"handlerName": "onMetaData"}', "payload is an object"),
        (body(None), "payload is an object"),
        (body([1]), "payload is an object"),
        (body({"a": {"": 1}}), "payload.a has a member without a name"),
        (body({"a": "\ud800"}), "payload.a is no Unicode text"),
        (body({"a": [{"\udfff": 1}]}), "member of payload.a[0] is no Unicode text"),
        ('{"handlerName": "onMetaData", "payload": {"a": [1, 1e999]}}', "payload.a[1] is a number too large"),
        (
            f'{{"handlerName": "onMetaData", "payload": {{"a": {"9" * 5000}}}}}',
            "payload.a is a number too large",
        ),
    ],
)
def test_what_is_json_and_still_refused(text: str, words: str) -> None:
    assert_refused(text, words)


@pytest.mark.parametrize("depth", [1, 2, MAX_DEPTH])
def test_depth_that_is_fine(depth: int) -> None:
    assert parse_metadata(body(nested(depth))).payload == nested(depth)


def test_an_empty_object_counts_as_well() -> None:
    payload = nested(MAX_DEPTH)
    assert_refused(json.dumps({"handlerName": "onMetaData", "payload": {"a": payload}}), "nested too deep")
    assert_refused(
        body({"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}), "payload.a.b.c.d.e.f is nested too deep"
    )


def test_depth_that_no_reader_survives() -> None:
    assert_refused('{"payload": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep")


@given(st.text() | st.dictionaries(st.text(), st.text() | st.just(math.inf)).map(json.dumps))
def test_anything_is_a_message_or_a_problem(text: str) -> None:
    with pytest.raises(Problem) as raised:
        parse_metadata(text)
    assert raised.value.kind in (ProblemKind.MALFORMED_METADATA, ProblemKind.METADATA_REFUSED)
