"""RFC 9725, section 4.1: how HTTP is used. The table is docs/rfc/9725.md."""

import pytest
from tests.web.served import ENDPOINT, QUERY, Served, assert_problem

from whipway.web.problems import ProblemKind

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("query", ["", f"?{QUERY}"])
async def test_s4_1_get_on_endpoint_is_204_without_content(served: Served, query: str) -> None:
    response = await served.http.get(ENDPOINT + query)
    assert (response.status_code, response.content) == (204, b"")


async def test_s4_1_get_on_session_is_204_without_content(served: Served) -> None:
    path = await served.session()
    response = await served.http.get(path)
    assert (response.status_code, response.content) == (204, b"")
    assert served.directory.live_count == 1


async def test_s4_1_head_is_as_get(served: Served) -> None:
    for path in (ENDPOINT, await served.session(), f"{ENDPOINT}/unknown"):
        get, head = await served.http.get(path), await served.http.head(path)
        assert (head.status_code, head.content) == (get.status_code, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PURGE"])
async def test_s4_1_other_methods_on_endpoint_are_405_with_allow(served: Served, method: str) -> None:
    response = await served.http.request(method, f"{ENDPOINT}?{QUERY}")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"


@pytest.mark.parametrize("method", ["PUT", "POST", "TRACE", "PURGE"])
async def test_s4_1_other_methods_on_session_are_405_with_allow(served: Served, method: str) -> None:
    path = await served.session()
    response = await served.http.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, PATCH, DELETE, OPTIONS"
    assert served.directory.live_count == 1


async def test_s4_1_errors_are_problem_documents(served: Served) -> None:
    path = await served.session()
    assert_problem(await served.post("stream_name=two"), 400, "bad_parameter", "stream_url")
    assert_problem(await served.post(f"{QUERY}2", content="hello"), 400, "malformed_sdp")
    assert_problem(await served.patch(path, "hello"), 400, "malformed_fragment")
    assert_problem(await served.http.delete(f"{ENDPOINT}/unknown"), 404, "session_unknown")
    assert_problem(await served.http.put(path), 405, "method_not_allowed")


def test_s4_1_no_meaning_is_bound_to_an_exact_status() -> None:
    # A client may treat every 4xx as 400 and every 5xx as 500: what kind of error it is says `code`.
    own_fault = {
        ProblemKind.SERVER_FULL,
        ProblemKind.TOO_MANY_STREAMS,
        ProblemKind.DRAINING,
        ProblemKind.DATABASE_UNREACHABLE,
        ProblemKind.WORKER_SILENT,
    }
    assert {kind for kind in ProblemKind if kind.status >= 500} == own_fault
    assert all(400 <= kind.status < 500 for kind in set(ProblemKind) - own_fault)
