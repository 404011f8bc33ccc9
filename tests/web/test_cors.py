"""CORS (the Fetch standard, section 3.2) on answers of every kind."""

from collections.abc import AsyncIterator

import pytest
import structlog
from fastapi import Response
from fastapi.responses import StreamingResponse
from tests.web.served import ENDPOINT, SDP, Served, serving

from whipway.config import Settings

pytestmark = pytest.mark.anyio

PAGE = "https://page.example"
OTHER = "https://other.example:8443"
SESSION = f"{ENDPOINT}/{'A' * 32}"
EXPOSED = {"location", "link", "etag", "accept-post", "accept-patch", "retry-after", "www-authenticate"}
CORS = "access-control-"


def listed(*origins: str) -> Settings:
    return Settings.model_validate({"http": {"cors_origins": list(origins)}})


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def cors_headers(headers: object) -> list[str]:
    return [name for name in headers if name.startswith(CORS)]  # type: ignore[attr-defined]


async def preflight(served: Served, path: str, method: str, **headers: str) -> dict[str, str]:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": method}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await served.http.options(path, headers=asked | more)
    assert (response.status_code, response.content) == (200, b"")
    return dict(response.headers)


# Preflights


@pytest.mark.parametrize(("path", "method"), [(ENDPOINT, "POST"), (SESSION, "PATCH"), (SESSION, "DELETE")])
async def test_a_preflight(served: Served, path: str, method: str) -> None:
    found = await preflight(
        served, path, method, Access_Control_Request_Headers="authorization,content-type,if-match"
    )
    assert found[f"{CORS}allow-origin"] == "*"
    assert method in found[f"{CORS}allow-methods"].split(", ")
    assert found[f"{CORS}allow-methods"] == found["allow"]
    assert words(found[f"{CORS}allow-headers"]) == {"authorization", "content-type", "if-match"}
    assert int(found[f"{CORS}max-age"]) > 0
    assert f"{CORS}allow-credentials" not in found
    assert f"{CORS}allow-private-network" not in found
    assert "vary" not in found


async def test_a_preflight_into_a_private_network(served: Served) -> None:
    found = await preflight(served, ENDPOINT, "POST", Access_Control_Request_Private_Network="true")
    assert found[f"{CORS}allow-private-network"] == "true"


async def test_a_preflight_from_elsewhere() -> None:
    async with serving(listed(OTHER)) as served:
        found = await preflight(served, ENDPOINT, "POST", Access_Control_Request_Private_Network="true")
        assert cors_headers(found) == []
        assert found["allow"] and found["vary"] == "Origin"


async def test_a_preflight_from_a_listed_origin() -> None:
    async with serving(listed(OTHER, PAGE)) as served:
        found = await preflight(served, ENDPOINT, "POST")
        assert found[f"{CORS}allow-origin"] == PAGE
        assert found["vary"] == "Origin"


async def test_options_that_is_no_preflight(served: Served) -> None:
    response = await served.http.options(ENDPOINT, headers={"Origin": PAGE})
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED
    assert f"{CORS}allow-methods" not in response.headers


# Answers


async def test_a_session_can_be_read_from_elsewhere(served: Served) -> None:
    response = await served.post(Origin=PAGE)
    assert response.status_code == 201
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED
    assert f"{CORS}allow-credentials" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("DELETE", SESSION, 404),
        ("PUT", ENDPOINT, 405),
        ("POST", ENDPOINT, 400),
    ],
)
async def test_so_can_errors(served: Served, method: str, path: str, status: int) -> None:
    response = await served.http.request(method, path, headers={"Origin": PAGE})
    assert response.status_code == status
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED


async def test_so_can_too_many_requests() -> None:
    settings = Settings.model_validate({"limits": {"posts_per_minute": 1}})
    async with serving(settings) as served:
        await served.post(Origin=PAGE)
        response = await served.post(Origin=PAGE)
        assert response.status_code == 429
        assert response.headers[f"{CORS}allow-origin"] == "*"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_so_can_bugs(served: Served) -> None:
    async def fail() -> Response:
        raise RuntimeError("a bug")

    served.app.add_api_route("/bug", fail)
    with structlog.testing.capture_logs() as logs:
        response = await served.http.get("/bug", headers={"Origin": PAGE})
    assert (response.status_code, response.json()["code"]) == (500, "bug")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert [log["event"] for log in logs] == ["request failed", "request"]
    assert logs[1]["status"] == 500


async def test_a_bug_after_the_beginning_is_the_servers(served: Served) -> None:
    """It hangs up: what was sent cannot be taken back."""

    async def begin() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("a bug")

    served.app.add_api_route("/bug", lambda: StreamingResponse(begin()))
    with pytest.raises(RuntimeError, match="a bug"):
        await served.http.get("/bug")


async def test_nothing_for_those_who_do_not_ask(served: Served) -> None:
    response = await served.http.get("/")
    assert cors_headers(response.headers) == []


async def test_listed_origins() -> None:
    async with serving(listed(PAGE, "https://Other.Example:8443")) as served:
        for origin in (PAGE, OTHER):
            response = await served.http.get("/", headers={"Origin": origin})
            assert response.headers[f"{CORS}allow-origin"] == origin
            assert response.headers["vary"] == "Origin"
        for origin in ("https://page.example:8443", "http://page.example", "null", "", "*"):
            response = await served.http.get("/", headers={"Origin": origin})
            assert response.status_code == 200
            assert cors_headers(response.headers) == []
            assert response.headers["vary"] == "Origin"


async def test_caches_learn_that_origins_matter_from_every_answer() -> None:
    async with serving(listed(PAGE)) as served:
        assert (await served.http.get("/")).headers["vary"] == "Origin"

        async def varied() -> Response:
            return Response(headers={"Vary": "Accept"})

        served.app.add_api_route("/varied", varied)
        assert words((await served.http.get("/varied")).headers["vary"]) == {"accept", "origin"}


async def test_two_origins_are_none(served: Served) -> None:
    response = await served.http.get("/", headers=[("Origin", PAGE), ("Origin", OTHER)])
    assert cors_headers(response.headers) == []


async def test_other_pages_may_still_send_what_they_cannot_read() -> None:
    """CORS keeps answers from a page; it is no authentication."""
    async with serving(listed(OTHER)) as served:
        response = await served.post(Origin=PAGE, **SDP)
        assert response.status_code == 201
        assert cors_headers(response.headers) == []
