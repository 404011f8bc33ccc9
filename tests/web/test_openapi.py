"""The description of WHIP and what is below a session's URL: true to what the server takes and says. `v1` has
that of the API.
"""

import json
from typing import Any

import pytest
from tests.web.served import ENDPOINT, FRAGMENT_TYPE, Served, serving

from whipway import __version__
from whipway.config import Settings
from whipway.relay.quality import Policy
from whipway.relay.sinks.sink import AudioChoice, SinkState
from whipway.relay.tags import AudioCodec
from whipway.session.session import SessionState
from whipway.streams.access.admission import make_admission
from whipway.web.openapi_inputs import (
    EXAMPLE_FRAGMENT,
    EXAMPLE_INPUT,
    EXAMPLE_METADATA,
    EXAMPLE_OFFER,
    EXAMPLE_QUALITY,
)
from whipway.web.problems import ProblemKind
from whipway.web.publish_query import PARAMETERS

pytestmark = pytest.mark.anyio

SESSION = f"{ENDPOINT}/{{session_id}}"
OPERATIONS = {
    (ENDPOINT, "post"),
    (ENDPOINT, "get"),
    (f"{ENDPOINT}/status.json", "get"),
    (SESSION, "get"),
    (SESSION, "patch"),
    (SESSION, "delete"),
    (f"{SESSION}/status", "get"),
    (f"{SESSION}/sink", "post"),
    (f"{SESSION}/sink", "get"),
    (f"{SESSION}/sink/{{sink_id}}", "get"),
    (f"{SESSION}/sink/{{sink_id}}", "delete"),
    (f"{SESSION}/metadata", "post"),
    (f"{SESSION}/input", "get"),
    (f"{SESSION}/input", "put"),
    (f"{SESSION}/input/{{mid}}/thumbnail", "get"),
    (f"{SESSION}/quality", "get"),
    (f"{SESSION}/quality", "put"),
    (f"{SESSION}/keyframe", "post"),
}
CHANGING = [(path, method) for path, method in sorted(OPERATIONS) if method != "get"]
NAMES = {
    "publish",
    "checkEndpoint",
    "getServerStatus",
    "checkSession",
    "updateIce",
    "endSession",
    "getSessionStatus",
    "addSink",
    "listSinks",
    "getSink",
    "removeSink",
    "sendMetadata",
    "getInputs",
    "selectInput",
    "getThumbnail",
    "getQuality",
    "setQuality",
    "requestKeyframe",
}
# Said by what stands around the routes, or where no operation is.
ELSEWHERE = {ProblemKind.METHOD_NOT_ALLOWED}


@pytest.fixture
async def every_path(served: Served) -> dict[str, Any]:
    document: dict[str, Any] = (await served.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    return dict(document["paths"])


@pytest.fixture
def paths(every_path: dict[str, Any]) -> dict[str, Any]:
    return {path: operations for path, operations in every_path.items() if path.startswith(ENDPOINT)}


async def test_every_operation_is_described(paths: dict[str, Any]) -> None:
    assert {(path, method) for path, methods in paths.items() for method in methods} == OPERATIONS
    for path, method in OPERATIONS:
        operation = paths[path][method]
        assert operation["summary"]
        assert all(response["description"] for response in operation["responses"].values())


async def test_every_problem_is_described(every_path: dict[str, Any]) -> None:
    codes = {
        (status, code)
        for methods in every_path.values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
        for code in response["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"]
    }
    expected = {(str(int(kind.status)), kind.name.lower()) for kind in ProblemKind if kind not in ELSEWHERE}
    assert codes == expected | {("404", "not_found")}


@pytest.mark.parametrize(("path", "method"), CHANGING)
async def test_pages_from_elsewhere_are_described(paths: dict[str, Any], path: str, method: str) -> None:
    assert "origin_not_allowed" in codes(paths[path][method], "403")
    assert "origin_not_allowed" not in codes(paths[SESSION]["get"], "403")


def codes(operation: dict[str, Any], status: str) -> list[str]:
    schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
    return list(schema["properties"]["code"]["enum"])


async def test_the_query_is_described(paths: dict[str, Any]) -> None:
    for path in (ENDPOINT, f"{SESSION}/sink"):
        parameters = {
            each["name"]: each for each in paths[path]["post"]["parameters"] if each["in"] == "query"
        }
        assert parameters.keys() == PARAMETERS
        assert [name for name, each in parameters.items() if each.get("required")] == [
            "stream_name",
            "stream_url",
        ]
        bitrate = parameters["audio_bitrate"]["schema"]
        assert (bitrate["minimum"], bitrate["maximum"]) == (16_000, 320_000)
        assert parameters["audio"]["schema"]["enum"] == list(AudioChoice)
        assert parameters["filler"]["schema"]["enum"] == ["none", "freeze"]


async def test_bodies_and_headers_are_described(paths: dict[str, Any]) -> None:
    post, patch = paths[ENDPOINT]["post"], paths[SESSION]["patch"]
    assert set(post["requestBody"]["content"]) == {"application/sdp", "text/plain"}
    assert set(patch["requestBody"]["content"]) == {FRAGMENT_TYPE}
    assert {"Location", "ETag", "Link"} <= post["responses"]["201"]["headers"].keys()
    assert post["responses"]["307"]["headers"].keys() == {"Location", "Cache-Control"}
    assert patch["responses"]["200"]["headers"].keys() == {"ETag", "Link", "Cache-Control"}
    assert "422" not in patch["responses"]
    assert set(post["responses"]["201"]["content"]) == {"application/sdp"}
    assert set(patch["responses"]["200"]["content"]) == {FRAGMENT_TYPE}
    assert "content" not in patch["responses"]["204"] and "headers" not in patch["responses"]["204"]
    assert post["responses"]["415"]["headers"].keys() == {"Accept-Post"}
    assert patch["responses"]["415"]["headers"].keys() == {"Accept-Patch"}
    assert {"name": "If-Match", "in": "header"}.items() <= patch["parameters"][1].items()


@pytest.mark.parametrize(
    ("settings", "is_needed"),
    [
        pytest.param({}, False, id="no authentication"),
        pytest.param({"tokens": [{"hash": f"sha256:{'0' * 64}", "streams": ["*"]}]}, True, id="tokens"),
        pytest.param({"jwt_secret": "x" * 32}, True, id="JSON Web Tokens"),
        pytest.param({"callback": "http://127.0.0.1/"}, False, id="a callback alone"),
        pytest.param({"callback": "http://127.0.0.1/", "jwt_secret": "x" * 32}, True, id="both"),
    ],
)
async def test_who_may_ask_is_described(settings: dict[str, Any], is_needed: bool) -> None:
    tree = Settings.model_validate({"auth": settings})
    admission = make_admission(tree.auth)
    async with serving(tree, admission=admission) as served:
        paths = (await served.http.get("/openapi.json")).json()["paths"]
    if admission is not None:
        await admission.close()
    for path, method in OPERATIONS:
        operation = paths[path][method]
        is_open = method == "get" and "session_id" not in path
        expected = [{"bearer": []}] if is_needed else [{"bearer": []}, {}]
        assert operation.get("security") == (None if is_open else expected)
        assert ("401" in operation["responses"]) != is_open


async def test_the_whole_is_described(served: Served) -> None:
    document = (await served.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1.")
    info = document["info"]
    assert info["license"] == {"name": "MIT License", "identifier": "MIT"}
    assert info["summary"] and info["version"] == __version__
    # What no operation says, because it holds for all of them.
    assert all(word in info["description"] for word in ("`OPTIONS`", "`HEAD`", "405", "9457"))
    names = {tag["name"] for tag in document["tags"]}
    for methods in document["paths"].values():
        assert all(set(operation["tags"]) <= names for operation in methods.values())


async def test_a_snapshot_is_described(served: Served, paths: dict[str, Any]) -> None:
    responses = paths[f"{SESSION}/status"]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    snapshot = (await served.http.get(f"{await served.session()}/status")).json()
    assert_complete(snapshot, schema)
    assert schema["properties"]["state"]["enum"] == list(SessionState)


async def test_a_sink_is_described(served: Served, paths: dict[str, Any]) -> None:
    responses = paths[f"{SESSION}/sink"]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]["items"]
    [sink] = (await served.http.get(f"{await served.session()}/sink")).json()
    assert schema["properties"].keys() == set(schema["required"]) == sink.keys()
    assert schema["properties"]["state"]["enum"] == list(SinkState)
    audio = schema["properties"]["audio"]["properties"]
    assert audio.keys() == sink["audio"].keys()
    assert audio["choice"]["enum"] == list(AudioChoice)
    assert audio["codec"]["enum"] == list(AudioCodec)


@pytest.mark.parametrize("resource", ["input", "quality"])
async def test_what_controls_a_session_is_described(
    served: Served, paths: dict[str, Any], resource: str
) -> None:
    get, put = paths[f"{SESSION}/{resource}"]["get"], paths[f"{SESSION}/{resource}"]["put"]
    [schema] = {
        json.dumps(each["responses"]["200"]["content"]["application/json"]["schema"]) for each in (get, put)
    }
    found = (await served.http.get(f"{await served.session()}/{resource}")).json()
    assert_complete(found, json.loads(schema))
    assert set(put["requestBody"]["content"]) == {"application/json"}
    assert put["responses"]["415"]["headers"].keys() == {"Accept"}
    assert codes(put, "400") == ["malformed_request", "malformed_json"]
    assert codes(put, "422") == [f"{resource}_refused"]


def assert_complete(found: Any, schema: dict[str, Any]) -> None:
    """All that there is is described, and the other way round."""
    if "properties" in schema:
        assert schema["properties"].keys() == set(schema["required"]) == found.keys()
        for name, each in found.items():
            assert_complete(each, schema["properties"][name])
    elif isinstance(found, list) and "items" in schema:
        for each in found:
            assert_complete(each, schema["items"])


async def test_the_words_are_those_of_the_program(paths: dict[str, Any]) -> None:
    body = paths[f"{SESSION}/quality"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["policy"]["enum"] == list(Policy)
    status = paths[f"{SESSION}/status"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert status["properties"]["quality"]["properties"]["asked"]["properties"]["policy"]["enum"] == list(
        Policy
    )
    thumbnail = paths[f"{SESSION}/input/{{mid}}/thumbnail"]["get"]["responses"]
    assert set(thumbnail["200"]["content"]) == {"image/jpeg"} and "content" not in thumbnail["204"]


async def test_metadata_is_described(paths: dict[str, Any]) -> None:
    operation = paths[f"{SESSION}/metadata"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/json"}
    assert operation["responses"]["415"]["headers"].keys() == {"Accept-Post"}
    assert {"malformed_metadata"} <= {*codes(operation, "400")}
    assert codes(operation, "422") == ["metadata_refused"]


async def test_events_are_described(paths: dict[str, Any]) -> None:
    status = paths[f"{SESSION}/status"]["get"]
    assert set(status["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert codes(status, "503") == ["too_many_streams"]
    assert "Retry-After" in status["responses"]["503"]["headers"]


async def test_links_lead_to_what_can_be_done_with_a_session(paths: dict[str, Any]) -> None:
    targets = {
        operation["operationId"]: {each["name"] for each in operation.get("parameters", [])}
        for methods in paths.values()
        for operation in methods.values()
    }
    assert targets.keys() == NAMES
    created = paths[ENDPOINT]["post"]["responses"]["201"]["links"]
    of_parts = {"getSink", "removeSink", "getThumbnail"}
    of_sessions = NAMES - {"publish", "checkEndpoint", "getServerStatus", "updateIce"} - of_parts
    assert created.keys() == of_sessions | {"updateIce"}
    assert created["updateIce"]["parameters"]["If-Match"] == "$response.header.ETag"
    found = [
        response.get("links", {})
        for methods in paths.values()
        for operation in methods.values()
        for response in operation["responses"].values()
    ]
    assert {name for links in found for name in links} == of_sessions | {"updateIce"} | of_parts
    for link in (link for links in found for link in links.values()):
        assert link["parameters"].keys() <= targets[link["operationId"]]


async def test_the_examples_are_taken(served: Served, paths: dict[str, Any]) -> None:
    post = paths[ENDPOINT]["post"]
    examples = [each["examples"].values() for each in post["parameters"] if "examples" in each]
    for name, url in zip(*examples, strict=True):
        query = f"stream_name={name['value']}&stream_url={url['value']}"
        response = await served.post(query, EXAMPLE_OFFER)
        assert response.status_code == 201
        location = response.headers["location"]
        fragment = await served.patch(location, EXAMPLE_FRAGMENT)
        assert fragment.status_code == 204
        metadata = await served.http.post(f"{location}/metadata", json=EXAMPLE_METADATA)
        assert metadata.status_code == 204
        for resource, example in (("input", EXAMPLE_INPUT), ("quality", EXAMPLE_QUALITY)):
            response = await served.http.put(f"{location}/{resource}", json=example)
            assert response.status_code == 200
