"""The description of the API below /v1: true to what the server takes and says."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.served import Served
from tests.web.v1.api import create, published

from whipway.streams.push_urls import split_push_url
from whipway.streams.webhooks.webhook_rules import check_webhook_url
from whipway.web.v1.openapi_manage import CREATE_WEBHOOK
from whipway.web.v1.openapi_shapes import (
    CHANGE,
    EXAMPLE_STREAM,
    KEY,
    ORGANISATION,
    STREAM,
    WEBHOOK,
)
from whipway.web.v1.openapi_streams import CHANGE_STREAM

pytestmark = pytest.mark.anyio

EXPRESSION = re.compile(r"\$(request\.path\.\w+|response\.body#/[\w/]+)")
OPEN = {"/v1/sign-in", "/v1/sign-out"}


@pytest.fixture
async def operations(served: Served) -> dict[tuple[str, str], dict[str, Any]]:
    """By path and method."""
    paths = (await served.http.get("/openapi.json")).json()["paths"]
    return {
        (path, method): operation
        for path, methods in paths.items()
        if path.startswith("/v1/")
        for method, operation in methods.items()
    }


Operations = dict[tuple[str, str], dict[str, Any]]


def codes(operation: dict[str, Any], status: str) -> list[str]:
    schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
    return list(schema["properties"]["code"]["enum"])


async def test_every_operation_says_who_may_ask(operations: Operations) -> None:
    for (path, method), operation in operations.items():
        assert operation["summary"] and operation["operationId"]
        if path in OPEN:
            continue
        assert operation["security"] == [{"key": []}, {"cookie": []}], path
        assert "unauthenticated" in codes(operation, "401")
        changes = method not in ("get", "head")
        assert "403" not in operation["responses"] or (
            ({"csrf_failed", "origin_not_allowed"} <= {*codes(operation, "403")}) == changes
        ), path


async def test_names_of_operations_are_unique(served: Served) -> None:
    paths = (await served.http.get("/openapi.json")).json()["paths"]
    names = Counter(each["operationId"] for methods in paths.values() for each in methods.values())
    assert [name for name, count in names.items() if count > 1] == []


async def test_paths_and_their_parameters_fit(operations: Operations) -> None:
    for (path, _), operation in operations.items():
        described = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert described == {*re.findall(r"{(\w+)}", path)}, path


async def test_links_lead_to_operations(operations: Operations) -> None:
    parameters = {
        each["operationId"]: {parameter["name"] for parameter in each.get("parameters", ())}
        for each in operations.values()
    }
    count = 0
    for operation in operations.values():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                count += 1
                assert link["parameters"].keys() <= parameters[link["operationId"]]
                assert all(EXPRESSION.fullmatch(each) for each in link["parameters"].values())
    assert count > 20


async def test_bodies_say_what_they_take(operations: Operations) -> None:
    for (path, method), operation in operations.items():
        if "requestBody" in operation and path not in OPEN:
            assert operation["requestBody"]["content"].keys() == {"application/json"}
            header = {"post": "Accept-Post", "patch": "Accept-Patch"}.get(method, "Accept")
            assert operation["responses"]["415"]["headers"].keys() == {header}, path


async def test_examples_of_bodies_are_taken(served: Served, operations: Operations) -> None:
    stream = await create(served)
    ids = {"stream_id": stream["id"]}
    for path, method in [
        ("/v1/streams", "post"),
        ("/v1/streams/{stream_id}", "patch"),
        ("/v1/streams/{stream_id}/tokens", "post"),
        ("/v1/organisation", "patch"),
        ("/v1/keys", "post"),
        ("/v1/webhooks", "post"),
    ]:
        content = operations[path, method]["requestBody"]["content"]["application/json"]
        response = await served.admin.request(method, path.format_map(ids), json=content["example"])
        assert response.is_success, (path, response.text)
        answer = operations[path, method]["responses"][str(response.status_code)]
        assert_complete(response.json(), answer["content"]["application/json"]["schema"])


async def test_answers_are_as_they_are_described(served: Served, operations: Operations) -> None:
    stream = await create(served, "a")
    await served.admin.post("/v1/webhooks", json={"url": "https://hook.example/"})
    with published(served, stream["name"]):
        for path in (
            "/v1/streams",
            "/v1/streams/{stream_id}",
            "/v1/streams/{stream_id}/changes",
            "/v1/tags",
            "/v1/summary",
            "/v1/organisation",
            "/v1/keys",
            "/v1/webhooks",
        ):
            found = (await served.admin.get(path.format(stream_id=stream["id"]))).json()
            answer = operations[path, "get"]["responses"]["200"]["content"]["application/json"]
            assert_complete(found, answer["schema"])


def assert_complete(found: Any, schema: dict[str, Any]) -> None:
    """All that there is is described, and the other way round; texts have their pattern."""
    if "anyOf" in schema:
        schema = schema["anyOf"][0 if found is not None else 1]
    if "properties" in schema:
        assert schema["properties"].keys() == {*schema["required"]} == found.keys()
        for name, each in found.items():
            assert_complete(each, schema["properties"][name])
    elif isinstance(found, list):
        for each in found:
            assert_complete(each, schema["items"])
    elif isinstance(found, str) and "pattern" in schema:
        assert re.search(schema["pattern"], found)


def test_the_example_of_a_stream_is_whole() -> None:
    assert_complete(EXAMPLE_STREAM, STREAM)


@pytest.mark.parametrize("schema", [STREAM, KEY, WEBHOOK, ORGANISATION, CHANGE])
def test_times_are_described_as_such(schema: dict[str, Any]) -> None:
    times = [each for name, each in schema["properties"].items() if name.endswith("at")]
    assert times and all(each["format"] == "date-time" for each in times)


def pattern(operation: dict[str, Any], member: str) -> re.Pattern[str]:
    content = operation["openapi_extra"]["requestBody"]["content"]["application/json"]
    # `$` of Python lets a line end stand behind it.
    return re.compile(content["schema"]["properties"][member]["pattern"].replace("$", r"\Z"))


@given(st.from_regex(pattern(CREATE_WEBHOOK, "url")))
def test_webhooks_that_are_described_are_taken(url: str) -> None:
    check_webhook_url(url)


@given(st.from_regex(pattern(CHANGE_STREAM, "push_url")))
def test_push_urls_that_are_described_are_taken(url: str) -> None:
    split_push_url(url)
