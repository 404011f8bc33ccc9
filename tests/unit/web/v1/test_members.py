"""The members of bodies, and what is said of those that are wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.streams.records import Role
from whipway.web.problems import Problem, ProblemKind
from whipway.web.v1.members import (
    Check,
    list_of,
    nullable,
    number_of_seconds,
    one_of,
    parse_members,
    printable_text,
)

CHECKS: dict[str, Check] = {
    "name": printable_text(4),
    "tags": list_of(printable_text(3), 2),
    "role": one_of((Role.ADMIN, Role.READ_ONLY)),
    "seconds": number_of_seconds(60),
    "url": nullable(printable_text(8)),
}


def refusal(text: str, **options: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        parse_members(text, CHECKS, **options)
    return raised.value


def test_members_as_they_are_meant() -> None:
    body = {"name": "abcd", "tags": ["a", "b b"], "role": "read-only", "seconds": 60, "url": None}
    assert parse_members(json.dumps(body), CHECKS, required=("name",)) == body | {"role": Role.READ_ONLY}
    assert parse_members('{"seconds": 1.5, "url": "x:/y"}', CHECKS) == {"seconds": 1.5, "url": "x:/y"}


def test_a_body_may_be_empty() -> None:
    assert parse_members("", CHECKS) == parse_members("{}", CHECKS) == {}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"name": }', "nope", "\u00a0"])
def test_what_is_no_json(text: str) -> None:
    assert refusal(text).kind is ProblemKind.MALFORMED_JSON


@pytest.mark.parametrize("text", ["[]", "null", "1", '"name"'])
def test_what_is_no_object(text: str) -> None:
    assert refusal(text).kind is ProblemKind.BODY_REFUSED


@pytest.mark.parametrize("text", ["", "{}", '{"url": null}'])
def test_a_member_is_missing(text: str) -> None:
    problem = refusal(text, required=("name",))
    assert (problem.kind, problem.parameter) == (ProblemKind.BODY_REFUSED, "name")
    assert problem.detail == "name is missing"


def test_a_member_that_nobody_knows() -> None:
    problem = refusal('{"naem": "x"}')
    assert (problem.kind, problem.parameter) == (ProblemKind.BODY_REFUSED, None)
    assert problem.detail.endswith("name, tags, role, seconds, url")


@pytest.mark.parametrize(
    "body",
    [
        '{"name": ""}',
        '{"name": "abcde"}',
        '{"name": "a\\u0000"}',
        '{"name": "a\\ud800"}',
        '{"name": 7}',
        '{"name": null}',
        '{"tags": "a"}',
        '{"tags": ["a", "b", "c"]}',
        '{"tags": [""]}',
        '{"tags": [["a"]]}',
        '{"role": "user"}',
        '{"role": "nobody"}',
        '{"role": ["admin"]}',
        '{"seconds": 0}',
        '{"seconds": 61}',
        '{"seconds": NaN}',
        '{"seconds": 1e999}',
        '{"seconds": true}',
        '{"seconds": "60"}',
        '{"url": ""}',
        '{"url": "a\\nb"}',
    ],
)
def test_a_member_is_wrong(body: str) -> None:
    problem = refusal(body)
    member = body[2:].partition('"')[0]
    assert (problem.kind, problem.parameter) == (ProblemKind.BODY_REFUSED, member)
    assert problem.detail.startswith(f"{member} ")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_members(text, CHECKS).keys() <= CHECKS.keys()
    except Problem as problem:
        assert problem.kind in (ProblemKind.MALFORMED_JSON, ProblemKind.BODY_REFUSED)
