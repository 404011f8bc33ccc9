"""What no client of good will sends: each is refused in the shape of this API, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from json import dumps
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.web.bintu.api import (
    ORGANISATION,
    STREAM,
    assert_no_key,
    assert_refused,
    assert_unknown,
    client,
    create,
    succeeded,
)
from tests.web.served import Served, assert_problem

from whipway.web import bodies
from whipway.web.bintu.callers import API_KEY

pytestmark = pytest.mark.anyio

DEEP = b"[" * 30_000
WITH_BODY = [("POST", STREAM), ("POST", f"{STREAM}/validate"), ("PUT", f"{ORGANISATION}/webhook")]
WITH_BODY += [("PUT", f"{STREAM}/ID/tag"), ("PUT", f"{STREAM}/ID/push_url")]


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator."""
    async with await client(served) as http:
        yield http


async def send_everywhere(http: httpx.AsyncClient, content: bytes) -> list[httpx.Response]:
    """The answers of every route that takes a body."""
    stream = await create(http, "kept")
    paths = [(method, path.replace("ID", stream["id"])) for method, path in WITH_BODY]
    answers = [await http.request(method, path, content=content) for method, path in paths]
    assert succeeded(await http.get(f"{STREAM}/{stream['id']}")) == stream
    return answers


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"tags[]=a",
        b'{"tags": ["a",]}',
        b'{"a": ' + DEEP,
        b'{"type": ' + DEEP + b"]" * 30_000 + b"}",
        b'{"url": "a\x00b"}',
    ],
)
async def test_bodies_that_are_not_json(http: httpx.AsyncClient, content: bytes) -> None:
    for answer in await send_everywhere(http, content):
        assert_refused(answer, 400, 9401, "The body cannot be read")


@pytest.mark.parametrize("content", [b"[]", b"null", b'"tags"', b"1", b"1" * 9000, b"NaN"])
async def test_bodies_that_are_no_objects(http: httpx.AsyncClient, content: bytes) -> None:
    for answer in await send_everywhere(http, content):
        assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="body", type="object")


async def test_bodies_that_are_too_large(http: httpx.AsyncClient) -> None:
    content = dumps({"tags": ["a"], "padding": "x" * bodies.MAX_DOCUMENT_BYTES}).encode()
    for answer in await send_everywhere(http, content):
        assert_refused(answer, 413, 9413, "The body is too large")


async def test_bodies_that_do_not_come(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.01)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    answer = await http.post(STREAM, content=never())
    assert_refused(answer, 408, 9408, "The body did not arrive in time")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("depth", [100, 400, 700, 900, 960, 980, 990, 1000, 2000])
async def test_bodies_as_deep_as_can_be_read(http: httpx.AsyncClient, depth: int) -> None:
    """Where Python gives up depends on where it was called: never with anything but a refusal."""
    value = "[" * depth + "]" * depth
    for name in ("type", "tags", "url", "streamname", "webhook"):
        for answer in await send_everywhere(http, f'{{"{name}": {value}}}'.encode()):
            assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize("number", ["1" * 10_000, "1e999", "-0", "NaN", "Infinity"])
async def test_odd_numbers(http: httpx.AsyncClient, number: str) -> None:
    answer = await http.post(STREAM, content=f'{{"tags": {number}}}')
    assert_refused(answer, 400, 1004, "Wrong Data Type", parameter="tags", type="array of strings")


async def test_what_is_said_back_is_text_that_can_be_sent(http: httpx.AsyncClient) -> None:
    answer = await http.post(STREAM, content=dumps({"type": "\ud800\0" + "x" * 500}))
    assert_refused(
        answer, 400, 3002, "Stream Type is not available", stream_type=("\\ud800\\x00" + "x" * 500)[:200]
    )


@pytest.mark.parametrize(
    "stream_id",
    ["validate", "x", "ü", "a b", "'; DROP TABLE streams; --", "../organisation", "x" * 199, "%", "*"],
)
async def test_ids_that_are_none(http: httpx.AsyncClient, stream_id: str) -> None:
    path = f"{STREAM}/{quote(stream_id, safe='')}"
    if "/" in stream_id:
        assert_problem(await http.get(path), 404, "not_found")
        return
    stream_id = stream_id[:64]
    assert_unknown(await http.get(path), stream_id)
    assert_unknown(await http.delete(path), stream_id)
    for action in ("stop", "lock", "unlock"):
        assert_unknown(await http.put(f"{path}/{action}"), stream_id)
    for action, body in (("tag", {"tags": []}), ("push_url", {"url": None})):
        assert_unknown(await http.put(f"{path}/{action}", json=body), stream_id)


async def test_ids_without_end(http: httpx.AsyncClient) -> None:
    assert_unknown(await http.get(f"{STREAM}/{'x' * 5000}"), "x" * 64)


@pytest.mark.parametrize("path", [f"{STREAM}/%00", f"{STREAM}/a%0Ab", f"{STREAM}/x/stop%0a"])
async def test_control_characters_in_paths(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 400, "malformed_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/bintu", 404, "not_found"),
        ("GET", "/bintu/", 404, "not_found"),
        ("GET", f"{STREAM}/", 404, "not_found"),
        ("GET", f"{STREAM}/x/group", 404, "not_found"),
        ("POST", "/bintu/user/validate", 404, "not_found"),
        ("PATCH", f"{STREAM}/x", 405, "method_not_allowed"),
        ("GET", f"{STREAM}/x/stop", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert_problem(await http.request(method, path), status, code)


@pytest.mark.parametrize("secret", [b"\xff", b"wk_\xc3\xbc", b"x" * 8000, b"wk_" + b"A" * 5000])
async def test_keys_that_are_none(served: Served, secret: bytes) -> None:
    answer = await served.http.get(ORGANISATION, headers={API_KEY.encode(): secret})
    assert_no_key(answer)
    assert "AAAA" not in answer.text


async def test_nothing_that_is_sent_makes_it_fail(http: httpx.AsyncClient) -> None:
    """Any JSON for any member of any body: an answer of this API."""
    json = st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.characters(categories=["Cs", "Cc"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=6,
    )
    names = st.sampled_from(["tags", "type", "url", "streamname", "name", "webhook"])
    sent: list[bytes] = []

    @settings(max_examples=60, database=None, suppress_health_check=[*HealthCheck])
    @given(st.dictionaries(names, json, max_size=3))
    def draw(members: object) -> None:
        sent.append(dumps(members).encode())

    draw()
    for content in sent:
        stream = await create(http)
        for method, path in WITH_BODY:
            answer = await http.request(method, path.replace("ID", stream["id"]), content=content)
            assert answer.status_code == 200 or "error" in answer.json(), (content, answer.text)
            assert answer.status_code in (200, 400), (content, answer.text)
