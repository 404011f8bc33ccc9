"""Rate limits (RFC 9725, section 5) as clients meet them."""

from typing import Any

import pytest
from tests.web.served import (
    ENDPOINT,
    FRAGMENT_TYPE,
    HOST,
    OFFER,
    QUERY,
    SDP,
    Served,
    assert_problem,
    serving,
)

from whipway.config import Settings

pytestmark = pytest.mark.anyio

SESSION = f"{ENDPOINT}/{'A' * 32}"
ELSEWHERE = "198.51.100.7"


def limits(**values: int) -> Settings:
    return Settings.model_validate({"limits": values})


async def statuses(served: Served, method: str, path: str, count: int, address: str = HOST) -> list[int]:
    headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": "*"} if method == "PATCH" else {}
    async with served.client(address=address) as client:
        return [(await client.request(method, path, headers=headers)).status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("method", "path", "limit", "status"),
    [
        ("POST", ENDPOINT, "posts_per_minute", 400),
        ("PATCH", SESSION, "patches_per_minute", 404),
        ("DELETE", SESSION, "deletes_per_minute", 404),
        ("POST", f"{SESSION}/sink?{QUERY}", "posts_per_minute", 404),
        ("POST", f"{SESSION}/metadata", "patches_per_minute", 404),
        ("POST", f"{SESSION}/keyframe", "patches_per_minute", 404),
        ("PUT", f"{SESSION}/input", "patches_per_minute", 404),
        ("PUT", f"{SESSION}/quality", "patches_per_minute", 404),
        ("DELETE", f"{SESSION}/sink/1", "deletes_per_minute", 404),
    ],
)
async def test_a_limit(method: str, path: str, limit: str, status: int) -> None:
    async with serving(limits(**{limit: 3})) as served:
        assert await statuses(served, method, path, 5) == [status] * 3 + [429] * 2
        assert await statuses(served, method, path, 1, ELSEWHERE) == [status]


async def test_what_is_said_to_one_too_many() -> None:
    async with serving(limits(deletes_per_minute=2)) as served:
        await statuses(served, "DELETE", SESSION, 2)
        response = await served.http.delete(SESSION)
        document = assert_problem(response, 429, "too_many_requests")
        assert response.headers["retry-after"] == "30"
        assert "DELETE" in document["detail"] and "30 s" in document["detail"]


async def test_each_method_has_a_limit_of_its_own() -> None:
    async with serving(limits(posts_per_minute=1, deletes_per_minute=1, patches_per_minute=1)) as served:
        for method, path in (("POST", ENDPOINT), ("DELETE", SESSION), ("PATCH", SESSION)):
            first, second = await statuses(served, method, path, 2)
            assert first != 429 and second == 429


async def test_what_changes_a_session_is_counted_together() -> None:
    async with serving(limits(patches_per_minute=4)) as served:
        for method, path in (
            ("PATCH", ""),
            ("POST", "/metadata"),
            ("POST", "/keyframe"),
            ("PUT", "/quality"),
        ):
            assert await statuses(served, method, SESSION + path, 1) == [404]
        assert_problem(await served.http.put(f"{SESSION}/input"), 429, "too_many_requests")


async def test_zero_is_no_limit() -> None:
    async with serving(limits(deletes_per_minute=0)) as served:
        assert await statuses(served, "DELETE", SESSION, 400) == [404] * 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ENDPOINT), ("OPTIONS", ENDPOINT), ("HEAD", "/"), ("POST", "/p/webrtcs")]
)
async def test_what_has_no_limit(method: str, path: str) -> None:
    async with serving(limits(posts_per_minute=1, deletes_per_minute=1, patches_per_minute=1)) as served:
        assert 429 not in await statuses(served, method, path, 20)


@pytest.mark.parametrize("end", ["%0A", "%0a", "%0D%0A", "%00", "%7F", "%C2%85"])
async def test_no_other_spelling_is_a_way_around(end: str) -> None:
    """A route's pattern may pass over a line's end that the path has, and that the limits do not know."""
    async with serving(limits(posts_per_minute=1)) as served:
        for _ in range(3):
            response = await served.http.post(f"{ENDPOINT}{end}?{QUERY}", content=OFFER, headers=SDP)
            assert_problem(response, 400, "malformed_request")
        assert served.is_empty
        path = await served.session()
        assert_problem(await served.http.delete(path + end), 400, "malformed_request")
        assert not served.is_empty


async def test_an_absolute_target_is_counted() -> None:
    async with serving(limits(deletes_per_minute=1)) as served:

        async def absolute(scope: Any, receive: object, send: object) -> None:
            raw_path = f"http://x{SESSION}"
            await served.app({**scope, "path": raw_path, "raw_path": raw_path.encode()}, receive, send)  # type: ignore[arg-type]

        async with served.client(absolute) as client:
            assert [(await client.delete(SESSION)).status_code for _ in range(2)] == [404, 429]
        assert await statuses(served, "DELETE", SESSION, 1) == [429]


async def test_an_ipv6_client_cannot_change_its_address() -> None:
    async with serving(limits(deletes_per_minute=1)) as served:
        assert await statuses(served, "DELETE", SESSION, 1, "2001:db8::1") == [404]
        assert await statuses(served, "DELETE", SESSION, 1, "2001:db8::2") == [429]
        assert await statuses(served, "DELETE", SESSION, 1, "2001:db8:0:1::1") == [404]


async def test_both_forms_of_an_ipv4_address_are_one_client() -> None:
    async with serving(limits(deletes_per_minute=1)) as served:
        assert await statuses(served, "DELETE", SESSION, 1, f"::ffff:{ELSEWHERE}") == [404]
        assert await statuses(served, "DELETE", SESSION, 1, ELSEWHERE) == [429]


async def test_without_an_address_there_is_no_limit() -> None:
    """Behind a Unix socket."""
    async with serving(limits(deletes_per_minute=1)) as served:

        async def nameless(scope: object, receive: object, send: object) -> None:
            await served.app({**scope, "client": None}, receive, send)  # type: ignore[dict-item,arg-type]

        async with served.client(nameless) as client:
            assert [(await client.delete(SESSION)).status_code for _ in range(3)] == [404] * 3
